"""`POST /v1/responses`, OpenAI's newer way to ask. A response here is one chat completion; none is stored.

The parts are in `gateway.doors.responses`.
"""

from __future__ import annotations

import secrets
import time

import orjson

from gateway.doors.chat_call import chat_call
from gateway.doors.openai_events import encode_error
from gateway.doors.reading import read_object
from gateway.doors.responses.reply import response_of
from gateway.doors.responses.request import Source, chat_body, repeated_fields
from gateway.doors.responses.stream import ResponseStream
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call

__all__ = ["ENDPOINT", "encode_error", "encode_reply", "open_stream", "parse"]

ENDPOINT = "responses"


def parse(raw: bytes) -> Call:
    """Raises InvalidRequest naming the field at fault, Unsupported for what a chat upstream cannot do."""
    body = read_object(raw)
    chat = chat_body(body)
    source = Source(secrets.token_hex(24), int(time.time()), chat["model"], repeated_fields(body))
    call = chat_call(ENDPOINT, chat, source=source)
    call.include_usage = True  # a response ends with its usage, streamed or not
    return call


def encode_reply(reply: Reply, call: Call) -> bytes:
    return orjson.dumps(response_of(reply, call.source, completed_at=int(time.time())))


def open_stream(call: Call) -> ResponseStream:
    return ResponseStream(call.source, clock=time.time)
