"""`POST /v1/chat/completions`. The house speaks this dialect inside, so there is nothing to translate."""

from __future__ import annotations

import orjson

from gateway.doors.chat_call import chat_call
from gateway.doors.openai_events import EventEncoder, encode_error
from gateway.doors.reading import read_object
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call

__all__ = ["ENDPOINT", "encode_error", "encode_reply", "open_stream", "parse"]

ENDPOINT = "chat/completions"


def parse(raw: bytes) -> Call:
    """Raises InvalidRequest naming the field at fault."""
    return chat_call(ENDPOINT, read_object(raw))


def encode_reply(reply: Reply, call: Call) -> bytes:
    return orjson.dumps(reply.body)


def open_stream(call: Call) -> EventEncoder:
    return EventEncoder()
