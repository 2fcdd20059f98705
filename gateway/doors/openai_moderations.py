"""`POST /v1/moderations`, answered by a configured model whose provider has that endpoint."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from gateway.doors.openai_events import EventEncoder, encode_error
from gateway.doors.reading import Metadata, check_fields, read_object
from gateway.errors import InvalidRequest
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call, Operation, estimate_tokens
from gateway.texts import request_slots

__all__ = ["ENDPOINT", "encode_error", "encode_reply", "open_stream", "parse"]

ENDPOINT = "moderations"
DEFAULT_MODEL = "omni-moderation-latest"  # OpenAI's own; configure a model of this name to serve clients that name none


class _Request(msgspec.Struct):
    input: Any
    model: str = DEFAULT_MODEL
    user: str | None = None
    metadata: Metadata | None = None


def parse(raw: bytes) -> Call:
    """Raises InvalidRequest naming the field at fault."""
    body = read_object(raw)
    request = check_fields(body, _Request)
    given = request.input
    if not (
        isinstance(given, str) or (isinstance(given, list) and given and all(isinstance(i, str | dict) for i in given))
    ):
        raise InvalidRequest(
            "Invalid value for 'input': it must be a text, a list of texts, or a list of parts.",
            param="input",
            code="invalid_value",
        )
    slots = request_slots(body)
    return Call(
        endpoint=ENDPOINT,
        model=request.model,
        stream=False,
        body=body,
        slots=slots,
        input_estimate=estimate_tokens(slots),
        operation=Operation.MODERATIONS,
        max_output_tokens=0,
    )


def encode_reply(reply: Reply, call: Call) -> bytes:
    return orjson.dumps(reply.body)


def open_stream(call: Call) -> EventEncoder:
    return EventEncoder()
