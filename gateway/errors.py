"""Every error a caller can see, with its status, type and code (the contract's table).

An error's message is written for the caller. Nothing from an upstream, a database or a stack goes into one
unless it was made for callers and scrubbed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class GateError(Exception):
    """An error with a place in the contract. `param` names the request field at fault, where one is."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    code: str = "internal_error"
    limit: str | None = None  # which kind of limit refused: a bounded word, fit for a metric label
    headers: Sequence[tuple[bytes, bytes]] = ()  # sent with it, beside `retry-after`
    should_retry: bool | None = None  # told to clients that ask (`x-should-retry`); None leaves it to them

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(GateError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class GuardBlockedRequest(InvalidRequest):
    code = "guard_blocked"


class InvalidConfig(InvalidRequest):
    """The configuration file cannot be used. `faults`: each with `line`, `path` and `message`."""

    code = "invalid_config"

    def __init__(self, message: str, faults: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.faults = faults

    def body(self) -> dict[str, Any]:
        body = super().body()
        body["error"]["faults"] = list(self.faults)
        return body


class ContextTooLong(InvalidRequest):
    code = "context_length_exceeded"


class ContentFiltered(InvalidRequest):
    """The provider's own filter refused the request; another model's may not."""

    code = "content_filter"


class Unsupported(InvalidRequest):
    code = "unsupported_parameter"


class InvalidKey(GateError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class NotPermitted(GateError):
    status = 403
    type = "permission_error"
    code = "model_not_allowed"


class AdminRequired(NotPermitted):
    code = "admin_required"


class NotFound(GateError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(GateError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class Conflict(GateError):
    """What is asked for does not fit what is there: a taken id, an old version, a key that is revoked."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class BodyTooLarge(GateError):
    status = 413
    type = "invalid_request_error"
    code = "body_too_large"


class RateLimited(GateError):
    """`limit` is requests, tokens or concurrency, or "upstream" where every target refused for load."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, limit: str = "upstream") -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class BudgetExceeded(GateError):
    """A hard ceiling would be passed. Trying again at once is no use, unless it is only held for requests under way."""

    status = 429
    type = "insufficient_quota"
    code = "budget_exceeded"
    limit = "budget"

    def __init__(self, message: str, *, retry_after: float, should_retry: bool = False) -> None:
        super().__init__(message, retry_after=retry_after)
        self.should_retry = should_retry


class UpstreamFailed(GateError):
    status = 502
    type = "upstream_error"
    code = "upstream_failed"


class UpstreamTimeout(GateError):
    status = 504
    type = "upstream_error"
    code = "upstream_timeout"


class Unavailable(GateError):
    """Something the gate depends on is down. `retry_after` is always told."""

    status = 503
    type = "service_unavailable"
    code = "overloaded"

    def __init__(self, message: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message, code=code, retry_after=retry_after)


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


class GuardUnavailableError(Unavailable):
    code = "guard_unavailable"


class InternalError(GateError):
    """A fault of ours. The caller learns the request id, the log learns the rest."""
