"""`POST /admin/config/reload`: take over the changed configuration file without dropping a request."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from gateway.admin.deps import Admin, Writer, actor
from gateway.config import ConfigError, Fault
from gateway.errors import InvalidConfig
from gateway.telemetry.scrub import scrub

router = APIRouter(prefix="/admin/config", tags=["config"])


class FaultBody(BaseModel):
    line: int | None = Field(description="In the file; null where the file as a whole is meant.")
    path: str
    message: str


class RefusedDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str
    faults: list[FaultBody] = Field(description="All there are, in the order of the file.")


class RefusedBody(BaseModel):
    error: RefusedDetail


class Reloaded(BaseModel):
    changed: list[str] = Field(
        description="What differs from the configuration before, by its place; values are not shown.",
        examples=[["models[assistant].targets[0].timeouts.total", "guards[pii]"]],
    )


@router.post(
    "/reload",
    summary="Load the configuration file anew",
    responses={400: {"model": RefusedBody, "description": "The file cannot be used. The one before keeps serving."}},
)
async def reload(request: Request, admin: Admin, caller: Writer) -> Reloaded:
    """All of it or nothing. Requests under way end as they began; those that come after find the new configuration.

    What only a restart can change (server, storage, shared_state, engine, admin_key, telemetry.otlp_endpoint and
    .service_name) is a fault when it differs. SIGHUP does the same. With several workers the others follow in a moment.
    """
    try:
        return Reloaded(changed=await admin.reload(actor(request, caller)))
    except ConfigError as error:
        count = len(error.faults)
        message = f"The configuration has {count} fault{'s' if count > 1 else ''}; the one before keeps serving."
        raise InvalidConfig(message, [_fault(fault) for fault in error.faults]) from None


def _fault(fault: Fault) -> dict[str, object]:
    return {"line": fault.line, "path": scrub(fault.path), "message": scrub(fault.message)}
