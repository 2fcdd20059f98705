"""Where the texts are in an OpenAI-shaped request, reply and stream chunk.

Guards must see every text that leaves. So a request is walked whole: each string in it is a slot unless its key is
known to steer the call and not to speak. A field we have never heard of is therefore guarded too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.errors import InvalidRequest

# Keys whose strings steer a call. Everything else may carry a person's words.
CONTROL_KEYS = frozenset(
    {
        "model", "role", "type", "id", "object", "tool_call_id", "call_id", "service_tier", "reasoning_effort",
        "verbosity", "detail", "format", "voice", "modalities", "encoding_format", "tool_choice", "$schema", "$ref",
        "truncation", "finish_reason", "mime_type", "media_type", "prompt_cache_retention",
    }
)  # fmt: skip
_MAX_DEPTH = 64


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

    Raises InvalidRequest when the body is nested too deeply to be looked through.
    """
    return list(_walk(body, "user", 0))


def _walk(node: Any, role: str, depth: int) -> Iterator[Slot]:
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
            if value and key not in CONTROL_KEYS and not value.startswith("data:"):
                yield Slot(node, key, role)
        elif isinstance(value, dict | list):
            yield from _walk(value, role, depth + 1)


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
        function = call.get("function") or {}
        if isinstance(function.get("arguments"), str):
            yield Slot(function, "arguments", "assistant"), (choice, "tool", call.get("index", position))
