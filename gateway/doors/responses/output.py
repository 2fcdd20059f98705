"""The output of one response, grown from a chat answer: delta by delta, or from a whole message as one delta.

Every item stays open until the answer has ended. A guard may hold back the end of one text while the next has begun, so
nothing before the end tells that a text is complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.doors.responses.items import Event, Item, Message, Reasoning, ToolCall

_THOUGHTS = ("reasoning_content", "reasoning")  # where servers put it; some say the same in both
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[_Token] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class Output:
    """`response_id` is hexadecimal; the ids of the items are made of it."""

    def __init__(self, response_id: str) -> None:
        self._id = response_id
        self._items: list[Item] = []
        self._reasoning: Reasoning | None = None
        self._thoughts: str | None = None  # the field that this answer's reasoning comes in
        self._message: Message | None = None
        self._calls: dict[int, ToolCall] = {}
        self._finish_reason: str | None = None

    def take(self, choice: dict[str, Any]) -> Iterator[Event]:
        """What a choice of a chunk, or of a whole reply, adds."""
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta") or choice.get("message") or {}
        yield from self._think(delta)
        if text := _said(delta, "content"):
            yield from self._say("output_text", text, _logprobs(choice))
        if text := _said(delta, "refusal"):
            yield from self._say("refusal", text, [])
        for position, call in enumerate(delta.get("tool_calls") or ()):
            index = call.get("index")
            yield from self._call(position if index is None else index, call)

    def close(self) -> Iterator[Event]:
        """The ends of all items. An answer that has nothing in it becomes an empty message."""
        if not self._items:
            yield from self._say("output_text", "", [])
        for item in self._items:
            yield from item.close(self.status)

    @property
    def status(self) -> str:
        """Of the response and of its items alike, once it has ended: a cut answer does not tell which one was cut."""
        return "incomplete" if self._finish_reason in _INCOMPLETE else "completed"

    @property
    def incomplete_details(self) -> dict[str, Any] | None:
        reason = _INCOMPLETE.get(self._finish_reason or "")
        return {"reason": reason} if reason else None

    def shape(self) -> list[dict[str, Any]]:
        """The items as they are once the answer has ended."""
        return [item.shape(self.status) for item in self._items]

    def _think(self, delta: dict[str, Any]) -> Iterator[Event]:
        if self._thoughts is None:
            self._thoughts = next((name for name in _THOUGHTS if _said(delta, name)), None)
        text = _said(delta, self._thoughts) if self._thoughts else None
        if not text:
            return
        if self._reasoning is None:
            self._reasoning = Reasoning(*self._new("rs"))
            yield from self._open(self._reasoning)
        yield from self._reasoning.add(text)

    def _say(self, kind: str, text: str, logprobs: list[dict[str, Any]]) -> Iterator[Event]:
        if self._message is None:
            self._message = Message(*self._new("msg"))
            yield from self._open(self._message)
        yield from self._message.add(kind, text, logprobs)

    def _call(self, index: int, told: dict[str, Any]) -> Iterator[Event]:
        custom = told.get("type") == "custom" or told.get("custom") is not None
        said = told.get("custom" if custom else "function")
        if not isinstance(said, dict):
            said = {}
        call = self._calls.get(index)
        if call is None:
            id, place = self._new("ctc" if custom else "fc")
            call_id = told.get("id") or f"call_{self._id}{place:04x}"
            call = ToolCall(id, place, custom=custom, call_id=call_id, name=said.get("name") or "")
            self._calls[index] = call
            yield from self._open(call)
        if text := _said(said, "input" if custom else "arguments"):
            yield from call.add(text)

    def _new(self, prefix: str) -> tuple[str, int]:
        index = len(self._items)
        return f"{prefix}_{self._id}{index:04x}", index

    def _open(self, item: Item) -> Iterator[Event]:
        self._items.append(item)
        yield from item.open()


def _said(delta: dict[str, Any], field: str) -> str | None:
    text = delta.get(field)
    return text if isinstance(text, str) else None


def _logprobs(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """Chat's logprobs of a text in this endpoint's shape; an upstream's in another shape tell nothing."""
    try:
        told = msgspec.convert(choice.get("logprobs"), _Logprobs | None)
    except msgspec.ValidationError:
        return []
    tokens = (told.content if told else None) or []
    return [
        {**_shape(token), "top_logprobs": [_shape(other) for other in token.top_logprobs or ()]} for token in tokens
    ]


def _shape(told: _Token) -> dict[str, Any]:
    data = list(told.token.encode()) if told.bytes is None else told.bytes
    return {"token": told.token, "bytes": data, "logprob": told.logprob}
