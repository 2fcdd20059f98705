"""The FastAPI part of the house: the admin API, its OpenAPI page, and the contract's errors for all of it."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admin import audit, config, guards, keys, models, prices, teams, usage, users
from gateway.admin.deps import REQUEST_ID, AdminContext
from gateway.errors import (
    BodyTooLarge,
    GateError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    StorageUnavailable,
)
from gateway.http import ClientGone, read_body, request_id, retry_headers, send_error
from gateway.version import VERSION

log = structlog.get_logger(__name__)


MAX_BODY = 2**20  # bytes
MAX_PARAM = 200  # characters of a field's name that are said again
_STATUSES = {
    400: "The request is wrong; `param` names the field.",
    401: "The key is missing, unknown, revoked or expired.",
    403: "The key's role does not allow it.",
    404: "There is no such thing.",
    409: "It does not fit what is there: a taken id, an old version, a revoked key.",
    413: "The body is too large.",
    503: "The database cannot be reached; try again.",
}


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    error: ErrorDetail


def build_admin(context: AdminContext) -> FastAPI:
    any_error: dict[str, Any] = {"model": ErrorAnswer, "description": "Any other error."}
    documented: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorAnswer, "description": text} for status, text in _STATUSES.items()
    }
    app = FastAPI(
        title="Sluicegate admin API",
        version=VERSION,
        description="Send the admin key, or a key with the admin role, as a bearer token or as `x-api-key`.",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be made from the Host header, which anyone may write
        responses={**documented, "default": any_error},
        # Both only say so in OpenAPI: each route asks for its role itself.
        dependencies=[
            Depends(HTTPBearer(auto_error=False, scheme_name="bearer")),
            Depends(APIKeyHeader(name="x-api-key", auto_error=False, scheme_name="x-api-key")),
        ],
    )
    app.state.admin = context
    for part in (keys, teams, users, usage, models, guards, prices, config, audit):
        app.include_router(part.router)
    app.add_middleware(_Edge)
    app.add_exception_handler(GateError, _gate_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(SQLAlchemyError, _storage_error)
    app.add_exception_handler(OSError, _storage_error)  # what asyncpg raises when there is no server
    app.add_exception_handler(Exception, _unexpected)
    return app


class _Edge:
    """Around every request: an id, which the audit log and the answer name, and a body of at most MAX_BODY."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        known = request_id(scope)
        name = (b"x-request-id", known.encode())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], name]
            await send(message)

        try:
            body = await read_body(scope, receive, MAX_BODY)
        except BodyTooLarge as error:
            await send_error(send, error, [name])
        except ClientGone:
            return
        else:
            scope[REQUEST_ID] = known
            await self._app(scope, _again(body, receive), send_named)


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` as it was before the body was read from it."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


def _answer(error: GateError) -> JSONResponse:
    headers = {name.decode(): value.decode() for name, value in retry_headers(error)}
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
    param = ".".join(where)[:MAX_PARAM] or None
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
