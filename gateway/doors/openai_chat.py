"""`POST /v1/chat/completions`: how a request is read and how a reply is written. Nothing else is decided here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import orjson

from gateway.errors import GateError, InvalidRequest
from gateway.pipeline.answer import Chunk
from gateway.pipeline.call import MAX_TAGS, Call, estimate_tokens
from gateway.texts import request_slots

ENDPOINT = "chat/completions"
DONE = b"data: [DONE]\n\n"

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
MEDIA_TOKENS = 1_500  # about what a picture, a sound or a file costs; providers count each their own way


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _Request(msgspec.Struct):
    """The fields the gate itself must understand; all others pass through untouched."""

    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    user: str | None = None
    metadata: Annotated[dict[str, str], msgspec.Meta(max_length=MAX_TAGS)] | None = None


def parse(raw: bytes) -> Call:
    """Bytes to a Call. Raises InvalidRequest naming the field at fault."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            code="invalid_json",
        ) from None
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json")
    try:
        request = msgspec.convert(body, _Request)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    slots = request_slots(body)
    limits = [n for n in (request.max_completion_tokens, request.max_tokens) if n is not None]
    return Call(
        endpoint=ENDPOINT,
        model=request.model,
        stream=bool(request.stream),
        body=body,
        slots=slots,
        input_estimate=estimate_tokens(slots, len(request.messages)) + _unread(body),
        messages=len(request.messages),
        surcharged=_surcharged(body),
        choices=request.n or 1,
        max_output_tokens=min(limits) * (request.n or 1) if limits else None,
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
    )


def _surcharged(body: dict[str, Any]) -> str | None:
    """The field that asks for priority, or for searches that are paid by the piece."""
    if body.get("service_tier") == "priority":
        return "service_tier"
    return "web_search_options" if body.get("web_search_options") is not None else None


def _unread(body: dict[str, Any]) -> int:
    """About how many tokens stand where no text is: in schemas, whose keys and numbers count too, and in media."""
    schemas = [body[name] for name in ("tools", "functions", "response_format") if body.get(name)]
    tokens = sum(len(orjson.dumps(schema)) // 3 for schema in schemas)
    for message in body["messages"]:
        if isinstance(parts := message.get("content"), list):
            tokens += MEDIA_TOKENS * sum(part.get("type") != "text" for part in parts)
    return tokens


def _invalid(message: str) -> InvalidRequest:
    """msgspec's "Expected `int` >= 1 - at `$.max_tokens`" as an error that names its param."""
    what, _, where = message.partition(" - at `$")
    param = where.rstrip("`").lstrip(".") or None
    if param is None and what.startswith("Object missing required field `"):
        param = what.split("`")[1]
    named = f"Invalid value for '{param}': {what}." if param else f"Invalid request: {what}."
    return InvalidRequest(named, param=param, code="invalid_value")


def encode_chunk(chunk: Chunk) -> bytes:
    return b"data: " + orjson.dumps(chunk.body) + b"\n\n"


def encode_stream_error(error: GateError) -> bytes:
    """The one event that ends a stream which broke after its first byte; no [DONE] follows it."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"
