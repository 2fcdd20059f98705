"""`POST /v1/messages` and its `count_tokens`: Anthropic's Messages API.

Prompts and answers pass through the house in chat shape; the parts of this door are in `gateway.doors.anthropic`.
"""

from __future__ import annotations

import orjson

from gateway.doors.anthropic.errors import error_body
from gateway.doors.anthropic.reply import message
from gateway.doors.anthropic.request import to_chat, to_counted_chat
from gateway.doors.anthropic.stream import MessageEncoder
from gateway.doors.chat_call import MEDIA_TOKENS, chat_call
from gateway.doors.reading import read_object
from gateway.errors import GateError
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call
from gateway.texts import request_slots
from gateway.tokens import MESSAGE_TOKENS, TokenCounter

__all__ = ["ENDPOINT", "count", "encode_error", "encode_reply", "open_stream", "parse", "parse_count"]

ENDPOINT = "messages"

# What stays in messages and tools for providers that take it: servers of OpenAI's API may refuse what they do not know.
_HINTS = frozenset({"cache_control", "thinking_blocks"})
# Fields with a price of their own: faster answers, and answers from a region.
_SURCHARGED = {"speed": (None, "standard"), "inference_geo": (None, "global")}


def parse(raw: bytes) -> Call:
    """Raises InvalidRequest, Unsupported, naming Anthropic's field."""
    return _call(to_chat(read_object(raw)))


def parse_count(raw: bytes) -> Call:
    """The call whose tokens `count` counts. Raises InvalidRequest, Unsupported."""
    return _call(to_counted_chat(read_object(raw)))


def _call(body: dict[str, object]) -> Call:
    call = chat_call(ENDPOINT, body)
    call.hints = _HINTS
    call.include_usage = True  # the last event of every stream tells it
    for name, free in _SURCHARGED.items():
        if body.get(name) not in free:
            call.surcharged = name
    return call


def count(call: Call, counter: TokenCounter) -> dict[str, int]:
    """The answer of `count_tokens`: the texts and tool schemas by the model's tokenizer, media at a flat rate."""
    messages = call.body["messages"]
    texts = [slot.text for slot in request_slots({"messages": messages})]
    texts += [orjson.dumps(tool).decode() for tool in call.body.get("tools") or ()]
    media = sum(
        part["type"] != "text" for said in messages if isinstance(said["content"], list) for part in said["content"]
    )
    return {"input_tokens": counter.count(texts) + len(messages) * MESSAGE_TOKENS + media * MEDIA_TOKENS}


def encode_reply(reply: Reply, call: Call) -> bytes:
    return orjson.dumps(message(reply.body, reply.usage, _stops(call)))


def open_stream(call: Call) -> MessageEncoder:
    return MessageEncoder(call.model, _stops(call))


def encode_error(error: GateError, request_id: str) -> bytes:
    return orjson.dumps({**error_body(error), "request_id": request_id})


def _stops(call: Call) -> list[str]:
    stops: list[str] = call.body.get("stop") or []
    return stops
