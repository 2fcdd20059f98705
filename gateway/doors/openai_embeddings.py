"""`POST /v1/embeddings`. The reply is the provider's own: numbers, in which nobody looks for texts."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from gateway.doors.openai_completions import read_prompts
from gateway.doors.openai_events import EventEncoder, encode_error
from gateway.doors.reading import Metadata, check_fields, read_object
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call, Operation, estimate_tokens
from gateway.texts import request_slots

__all__ = ["ENDPOINT", "encode_error", "encode_reply", "open_stream", "parse"]

ENDPOINT = "embeddings"


class _Request(msgspec.Struct):
    model: str
    input: Any
    user: str | None = None
    metadata: Metadata | None = None


def parse(raw: bytes) -> Call:
    """Raises InvalidRequest naming the field at fault."""
    body = read_object(raw)
    request = check_fields(body, _Request)
    _, ids = read_prompts(request.input, "input")
    slots = request_slots(body)
    return Call(
        endpoint=ENDPOINT,
        model=request.model,
        stream=False,
        body=body,
        slots=slots,
        input_estimate=estimate_tokens(slots) + ids,
        operation=Operation.EMBEDDINGS,
        opaque="input" if ids else None,
        token_ids=ids,
        max_output_tokens=0,
    )


def encode_reply(reply: Reply, call: Call) -> bytes:
    return orjson.dumps(reply.body)


def open_stream(call: Call) -> EventEncoder:
    return EventEncoder()
