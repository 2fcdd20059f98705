"""Where the texts are in a reply of OpenAI's shape, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.texts.slots import JsonSlot, Slot, inner_slots
from guards.types import Scope

TextId = tuple[Any, ...]  # (choice, what, ...): one growing text of a stream

_FIELDS = {
    "content": Scope.ASSISTANT,
    "refusal": Scope.ASSISTANT,
    "reasoning_content": Scope.REASONING,
    "reasoning": Scope.REASONING,
}


def reply_texts(body: dict[str, Any]) -> list[Slot]:
    """The texts of a whole reply: content, refusal, reasoning and tool-call arguments of every choice."""
    return [
        slot
        for choice in body.get("choices") or ()
        for slot, _ in _message_texts(choice.get("message") or {}, choice.get("index", 0))
    ]


def reply_slots(body: dict[str, Any]) -> list[Slot | JsonSlot]:
    """The same as guards see them: of arguments each of their strings, decoded."""
    return [
        inner
        for choice in body.get("choices") or ()
        for slot, text_id in _message_texts(choice.get("message") or {}, choice.get("index", 0))
        for inner in (inner_slots(slot) if holds_json(text_id) else (slot,))
    ]


def chunk_slots(chunk: dict[str, Any]) -> list[tuple[Slot, TextId]]:
    """The texts of one stream chunk, each with the identity of the growing text it continues."""
    return [
        pair
        for choice in chunk.get("choices") or ()
        for pair in _message_texts(choice.get("delta") or {}, choice.get("index", 0))
    ]


def holds_json(text_id: TextId) -> bool:
    """Whether a text is meant to be JSON: the arguments of a function."""
    return text_id[1] in ("tool", "function_call")


def _message_texts(message: dict[str, Any], choice: int) -> Iterator[tuple[Slot, TextId]]:
    for field, scope in _FIELDS.items():
        if isinstance(message.get(field), str):
            yield Slot(message, field, scope), (choice, field)
    for position, call in enumerate(message.get("tool_calls") or ()):
        index = call.get("index", position)
        function, custom = call.get("function") or {}, call.get("custom") or {}
        if isinstance(function.get("arguments"), str):
            yield Slot(function, "arguments", Scope.TOOL_CALL), (choice, "tool", index)
        if isinstance(custom.get("input"), str):
            yield Slot(custom, "input", Scope.TOOL_CALL), (choice, "custom", index)
    older = message.get("function_call") or {}
    if isinstance(older.get("arguments"), str):
        yield Slot(older, "arguments", Scope.TOOL_CALL), (choice, "function_call")
