"""From a body in OpenAI's chat shape to a Call. Doors of other dialects translate into that shape first."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import orjson

from gateway.doors.reading import Count, Metadata, check_fields
from gateway.pipeline.call import Call, estimate_tokens
from gateway.texts import request_slots

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
    metadata: Metadata | None = None


def chat_call(endpoint: str, body: dict[str, Any], *, source: Any = None) -> Call:
    """A Call of `body`, which is kept and not copied. Raises InvalidRequest naming the field at fault."""
    request = check_fields(body, _Request)
    slots = request_slots(body)
    limits = [n for n in (request.max_completion_tokens, request.max_tokens) if n is not None]
    return Call(
        endpoint=endpoint,
        model=request.model,
        stream=bool(request.stream),
        body=body,
        slots=slots,
        input_estimate=estimate_tokens(slots, len(request.messages)) + _unread(body),
        source=source,
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
