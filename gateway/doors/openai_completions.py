"""`POST /v1/completions`, the older endpoint: one prompt as it stands, no messages and no template."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import orjson

from gateway.doors.openai_events import EventEncoder, encode_error
from gateway.doors.reading import Count, Metadata, check_fields, read_object
from gateway.errors import InvalidRequest
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call, Operation, estimate_tokens
from gateway.texts import request_slots

__all__ = ["ENDPOINT", "encode_error", "encode_reply", "open_stream", "parse"]

ENDPOINT = "completions"
DEFAULT_MAX_TOKENS = 16  # what OpenAI's reference says of a request without `max_tokens`


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Request(msgspec.Struct):
    model: str
    prompt: Any
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    user: str | None = None
    metadata: Metadata | None = None


def parse(raw: bytes) -> Call:
    """Raises InvalidRequest naming the field at fault."""
    body = read_object(raw)
    request = check_fields(body, _Request)
    prompts, ids = read_prompts(request.prompt, "prompt")
    slots = request_slots(body)
    made = max(request.n or 1, request.best_of or 1) * prompts
    return Call(
        endpoint=ENDPOINT,
        model=request.model,
        stream=bool(request.stream),
        body=body,
        slots=slots,
        input_estimate=estimate_tokens(slots) + ids,
        operation=Operation.COMPLETIONS,
        opaque="prompt" if ids else None,
        token_ids=ids,
        choices=made,
        max_output_tokens=(request.max_tokens or DEFAULT_MAX_TOKENS) * made,
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
    )


def read_prompts(given: Any, field: str) -> tuple[int, int]:
    """How many prompts these are, and how many token ids are in them. Raises InvalidRequest for anything else."""
    if isinstance(given, str):
        return 1, 0
    if isinstance(given, list) and given:
        if all(isinstance(item, str) for item in given):
            return len(given), 0
        if _are_ids(given):
            return 1, len(given)
        if all(isinstance(item, list) and item and _are_ids(item) for item in given):
            return len(given), sum(map(len, given))
    raise InvalidRequest(
        f"Invalid value for '{field}': it must be a text, a list of texts, or token ids in one list or several.",
        param=field,
        code="invalid_value",
    )


def _are_ids(items: list[Any]) -> bool:
    return all(type(item) is int and 0 <= item < 2**31 for item in items)


def encode_reply(reply: Reply, call: Call) -> bytes:
    return orjson.dumps(_completion(reply.body))


def open_stream(call: Call) -> EventEncoder:
    return EventEncoder(_completion)


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    """A chat reply or chunk in the shape of this endpoint."""
    choices = []
    for choice in body.get("choices") or ():
        said = choice.get("message") or choice.get("delta") or {}
        kept = {key: value for key, value in choice.items() if key not in ("message", "delta")}
        choices.append({**kept, "text": said.get("content") or ""})
    return {**body, "object": "text_completion", "choices": choices}
