"""One kept answer: which replies may become one, and its form as bytes.

A reply is kept as its upstream sent it, before any output guard: each hit goes through the guards of its own request,
which also put back the values that stand behind placeholders. The body a key is made of has the same placeholders,
and what they stand for is known to nobody but the request at hand.
"""

from __future__ import annotations

from typing import Any

import msgspec

from billing.usage import Usage
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call, Operation

# "length" too: an answer that fills the caller's `max_tokens` is all that was asked for.
FINISHED = frozenset({"stop", "length", "tool_calls", "function_call"})


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """`model` is the configured model that answered, `stored_at` in Unix seconds, `fresh_for` in seconds."""

    body: dict[str, Any]
    usage: Usage | None
    served_model: str | None
    model: str
    stored_at: float
    fresh_for: float

    def age(self, now: float) -> float:
        """Seconds; never negative, though another machine's clock may have written it."""
        return max(0.0, now - self.stored_at)

    def reply(self) -> Reply:
        return Reply(self.body, self.usage, self.served_model)


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode


def is_whole(call: Call, body: dict[str, Any]) -> bool:
    """Whether this is a complete, successful answer to the call. What a filter cut short or left empty is none."""
    if body.get("error") is not None:
        return False
    if call.operation is Operation.EMBEDDINGS:
        return bool(body.get("data"))
    if call.operation is Operation.MODERATIONS:
        return bool(body.get("results"))
    choices = body.get("choices") or ()
    return len(choices) >= (call.body.get("n") or 1) and all(_finished(choice) for choice in choices)


def _finished(choice: dict[str, Any]) -> bool:
    if choice.get("finish_reason") not in FINISHED or choice.get("error") is not None:
        return False
    message = choice.get("message") or {}
    return any(value for name, value in message.items() if name != "role")
