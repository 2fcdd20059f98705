"""The gate's errors in Anthropic's shape. Its client picks the exception by status, and reads `details.error_code`."""

from __future__ import annotations

from typing import Any

from gateway.errors import GateError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def error_body(error: GateError) -> dict[str, Any]:
    """`details.error_code` is the contract's code, `details.param` the request field at fault."""
    details = {"error_code": error.code, "param": error.param}
    kind = "overloaded_error" if error.code == "overloaded" else _TYPES.get(error.status, "api_error")
    told = {"type": kind, "message": error.message, "details": details}
    return {"type": "error", "error": told}
