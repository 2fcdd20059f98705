"""The SDK's exceptions as the gate's: one table.

The SDK's own texts are kept from callers and logs alike: they quote prompts, addresses and settings. A caller gets what
the provider itself said of an invalid request, if that can be told apart; the log gets the exception's name and status.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from gateway.errors import ContentFiltered, ContextTooLong, GateError, InvalidRequest, Unsupported
from gateway.telemetry.scrub import scrub
from gateway.upstreams.base import Failure, UpstreamError

MAX_MESSAGE = 500
MAX_RETRY_AFTER = 86_400.0  # seconds

# By class name, looked up along the exception's ancestry, so that the nearest wins.
_FAILURES = {
    "RateLimitError": Failure.BUSY,
    "Timeout": Failure.TIMEOUT,
    "APITimeoutError": Failure.TIMEOUT,
    "APIConnectionError": Failure.ERROR,  # the SDK's name for all it has no other for
    "AuthenticationError": Failure.ERROR,  # the operator's key, model or plan: not the caller's to know
    "PermissionDeniedError": Failure.ERROR,
    "NotFoundError": Failure.ERROR,
    "PaymentRequiredError": Failure.ERROR,
    "InternalServerError": Failure.ERROR,
    "ServiceUnavailableError": Failure.ERROR,
    "BadGatewayError": Failure.ERROR,
    "APIResponseValidationError": Failure.ERROR,
    "APIError": Failure.ERROR,
}
_CALLERS_FAULT: dict[str, Callable[[str | None], GateError]] = {
    "ContextWindowExceededError": lambda told: ContextTooLong(
        told or "The request is longer than the model's context.", param="messages"
    ),
    "ContentPolicyViolationError": lambda told: ContentFiltered(
        told or "The model's provider filtered the request for its content."
    ),
    "UnsupportedParamsError": lambda _: Unsupported("This model does not support a parameter of the request."),
    "ImageFetchError": lambda _: Unsupported(
        "This model takes pictures and files as data: URLs only; the gate downloads nothing.", param="messages"
    ),
    "BadRequestError": lambda told: InvalidRequest(told or "The model's provider refused the request as invalid."),
    "UnprocessableEntityError": lambda told: InvalidRequest(
        told or "The model's provider refused the request as invalid."
    ),
}


def translated(
    error: Exception, *, begun: bool = False, accepted: bool = False, unreachable: bool = False
) -> UpstreamError | GateError:
    """What an exception of the SDK amounts to.

    `begun`: a stream has given content already, so that whatever ends it has broken it. `accepted`: the provider
    answered with success, so that what the SDK cannot read is not the caller's fault, whatever the SDK calls it.
    `unreachable`: there was no connection, which the SDK does not tell from the provider's own failures.
    """
    inner = getattr(error, "original_exception", None)  # what lies in the wrapper around failures of a stream
    streaming = isinstance(inner, Exception)
    error = inner if isinstance(inner, Exception) else error
    names = [cls.__name__ for cls in type(error).__mro__]
    status = getattr(error, "status_code", None)
    detail = f"{names[0]}, status {status}" if isinstance(status, int) else names[0]
    if begun:
        return UpstreamError(Failure.BROKEN, f"the stream broke: {detail}")
    if unreachable:
        return UpstreamError(Failure.UNREACHABLE, "no connection")
    for name in names:
        if name in _CALLERS_FAULT:
            told = _told(error)
            if accepted and told is None and name == "BadRequestError":
                return UpstreamError(Failure.ERROR, f"the reply cannot be read: {detail}")
            return _CALLERS_FAULT[name](told)
        if name == "APIConnectionError" and streaming:
            return UpstreamError(Failure.BROKEN, detail)
        if name in _FAILURES:
            return UpstreamError(_FAILURES[name], detail, retry_after=_retry_after(error))
    return UpstreamError(Failure.ERROR, detail)


def _told(error: Exception) -> str | None:
    """The provider's own sentence: the `message` of the JSON that the SDK quotes in its own."""
    text = str(getattr(error, "message", ""))
    for start in (at for at, character in enumerate(text) if character == "{"):
        try:
            body, _ = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            continue
        message = _message(body)
        return scrub(message)[:MAX_MESSAGE] if message else None
    return None


def _message(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    inner = body.get("error")
    for holder in (inner, body):
        if isinstance(holder, dict) and isinstance(message := holder.get("message"), str):
            return message
    return None


def _retry_after(error: Exception) -> float | None:
    """Seconds, at most a day; the date form of the header is left to our own back-off."""
    response = getattr(error, "response", None)
    for headers in (getattr(response, "headers", None), getattr(error, "litellm_response_headers", None)):
        value = headers.get("retry-after") if headers is not None else None
        if value is not None:
            try:
                seconds = float(value)
            except (TypeError, ValueError):
                return None
            return None if math.isnan(seconds) else min(max(0.0, seconds), MAX_RETRY_AFTER)
    return None
