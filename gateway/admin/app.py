"""The FastAPI part of the house: the admin API, its OpenAPI page, and the contract's errors for all of it."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from gateway.admin import keys, usage
from gateway.admin.deps import AdminContext
from gateway.errors import (
    GateError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    StorageUnavailable,
)
from gateway.http import retry_after
from gateway.version import VERSION

log = structlog.get_logger(__name__)


def build_admin(context: AdminContext) -> FastAPI:
    app = FastAPI(
        title="Sluicegate admin API",
        version=VERSION,
        description="Send the admin key, or a key with the admin role, as a bearer token.",
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.admin = context
    app.include_router(keys.router)
    app.include_router(usage.router)
    app.add_exception_handler(GateError, _gate_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(SQLAlchemyError, _storage_error)
    app.add_exception_handler(OSError, _storage_error)  # what asyncpg raises when there is no server
    app.add_exception_handler(Exception, _unexpected)
    return app


def _answer(error: GateError) -> JSONResponse:
    headers = {name.decode(): value.decode() for name, value in retry_after(error)}
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


async def _gate_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GateError)
    return _answer(error)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    if first["type"] == "json_invalid":
        return _answer(InvalidRequest("The request body is not valid JSON.", code="invalid_json"))
    param = ".".join(where) or None
    named = f"Invalid value for '{param}': {first['msg']}." if param else f"Invalid request: {first['msg']}."
    return _answer(InvalidRequest(named, param=param, code="invalid_value"))


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(NotFound("There is nothing at this path."))
    if error.status_code == 405:
        return _answer(MethodNotAllowed("This path does not take that method."))
    return _answer(InvalidRequest("The request could not be read."))


async def _storage_error(_: Request, error: Exception) -> JSONResponse:
    log.error("storage failed", error=repr(error))
    return _answer(StorageUnavailable("The database cannot be reached right now; try again."))


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    log.error("admin request failed", exc_info=error)
    return _answer(InternalError("The gate failed; its log says why."))
