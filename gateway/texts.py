"""Where the texts are in an OpenAI-shaped request, reply and stream chunk.

Guards must see every text that leaves. So a request is walked whole: each string in it is a slot unless it stands where
OpenAI's API has a word that steers the call. A field we have never heard of is therefore guarded too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from gateway.errors import InvalidRequest

# Keys whose strings steer a call, not speak: at the top, and inside the fields below. Anywhere else they may hold
# a person's words as any key may.
CONTROL_KEYS = frozenset(
    {
        "model", "role", "type", "id", "object", "tool_call_id", "service_tier", "reasoning_effort", "verbosity",
        "detail", "format", "voice", "encoding_format", "tool_choice", "$schema", "$ref",
    }
)  # fmt: skip
_STRUCTURED = frozenset(
    {"messages", "tools", "functions", "tool_choice", "function_call", "response_format", "audio", "input"}
)
MAX_SLOTS = 50_000
_MAX_DEPTH = 64

# Pictures, sound and files in base64: no text, and a digit changed in one would break it.
_BINARY_KEYS = frozenset({"url", "data", "file_data", "signature"})
_BASE64 = re.compile(r"(data:[a-z]+/[\w.+-]+;base64,)?[A-Za-z0-9+/]{512,}={0,2}", re.ASCII)


class Slot:
    """One string inside a parsed JSON body. Setting `text` rewrites the body."""

    __slots__ = ("_container", "_key", "role")

    def __init__(self, container: Any, key: str | int, role: str) -> None:
        self._container = container
        self._key = key
        self.role = role

    @property
    def text(self) -> str:
        value: str = self._container[self._key]
        return value

    @text.setter
    def text(self, value: str) -> None:
        self._container[self._key] = value


def request_slots(body: dict[str, Any]) -> list[Slot]:
    """Every text of a request, in the order it is read. Message texts carry their message's role.

    Raises InvalidRequest when the body is nested too deeply, or has too many texts, to be looked through.
    """
    slots: list[Slot] = []
    for key, value in body.items():
        if isinstance(value, str):
            if value and key not in CONTROL_KEYS:
                slots.append(Slot(body, key, "user"))
        elif isinstance(value, dict | list):
            found = _walk(value, "user", 1, CONTROL_KEYS if key in _STRUCTURED else frozenset())
            slots.extend(islice(found, MAX_SLOTS + 1))
        if len(slots) > MAX_SLOTS:  # or one request could hold everybody up for seconds
            raise InvalidRequest(f"The request has more than {MAX_SLOTS:,} texts.")
    return slots


def _walk(node: Any, role: str, depth: int, control: frozenset[str]) -> Iterator[Slot]:
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"The request is nested deeper than {_MAX_DEPTH} levels.")
    items: Iterator[tuple[Any, Any]]
    if isinstance(node, dict):
        own_role = node.get("role")
        role = own_role if isinstance(own_role, str) else role
        items = iter(node.items())
    else:
        items = iter(enumerate(node))
    for key, value in items:
        if isinstance(value, str):
            if value and key not in control and not (key in _BINARY_KEYS and _BASE64.fullmatch(value)):
                yield Slot(node, key, role)
        elif isinstance(value, dict | list):
            yield from _walk(value, role, depth + 1, control)


def reply_slots(body: dict[str, Any]) -> list[Slot]:
    """The texts of a whole reply: content, refusal, reasoning and tool-call arguments of every choice."""
    return [
        slot
        for choice in body.get("choices") or ()
        for slot, _ in _message_texts(choice.get("message") or {}, choice.get("index", 0))
    ]


def chunk_slots(chunk: dict[str, Any]) -> list[tuple[Slot, tuple[Any, ...]]]:
    """The texts of one stream chunk, each with the identity of the growing text it continues."""
    return [
        pair
        for choice in chunk.get("choices") or ()
        for pair in _message_texts(choice.get("delta") or {}, choice.get("index", 0))
    ]


def _message_texts(message: dict[str, Any], choice: int) -> Iterator[tuple[Slot, tuple[Any, ...]]]:
    for field in ("content", "refusal", "reasoning_content", "reasoning"):
        if isinstance(message.get(field), str):
            yield Slot(message, field, "assistant"), (choice, field)
    for position, call in enumerate(message.get("tool_calls") or ()):
        index = call.get("index", position)
        function, custom = call.get("function") or {}, call.get("custom") or {}
        if isinstance(function.get("arguments"), str):
            yield Slot(function, "arguments", "assistant"), (choice, "tool", index)
        if isinstance(custom.get("input"), str):
            yield Slot(custom, "input", "assistant"), (choice, "custom", index)
    older = message.get("function_call") or {}
    if isinstance(older.get("arguments"), str):
        yield Slot(older, "arguments", "assistant"), (choice, "function_call")
