"""Where the texts are in a reply of OpenAI's shape, whole or in chunks.

Every string is one, unless it stands where the API has a word that steers: a field we have never heard of is guarded
too. In a stream a text grows from chunk to chunk, if it can be told apart from others: as a field of the delta, of an
object in it, or of a list's element that has an `index`. Any other is taken to be whole in its chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.texts.slots import JsonSlot, Slot, inner_slots
from guards.types import Scope

TextId = tuple[Any, ...]  # (choice, what, ...): one growing text of a stream

OTHER = "other"  # what a text of a field is that we do not know: its path follows

_FIELDS = {
    "content": Scope.ASSISTANT,
    "refusal": Scope.ASSISTANT,
    "reasoning_content": Scope.REASONING,
    "reasoning": Scope.REASONING,
}
# Words that steer, numbers in disguise, bytes in base64 and what is signed.
_STEERING = frozenset({"role", "id", "type", "object", "format", "status", "signature", "data", "encrypted_content"})
_OF_THE_REPLY = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint", "obfuscation"}
)
_OF_A_CHOICE = frozenset({"index", "message", "delta", "finish_reason", "logprobs"})
_OF_A_CALL = frozenset({"index", "id", "type"})


def reply_texts(body: dict[str, Any]) -> list[Slot]:
    """What the model said in a whole reply: content, refusal, reasoning and tool-call arguments of every choice."""
    return [slot for slot, text_id in _texts(body, "message") if text_id and text_id[1] != OTHER]


def reply_slots(body: dict[str, Any]) -> list[Slot | JsonSlot]:
    """Every text of a whole reply, as guards see it: of arguments each of their strings, decoded."""
    return [
        inner
        for slot, text_id in _texts(body, "message")
        for inner in (inner_slots(slot) if holds_json(text_id) else (slot,))
    ]


def chunk_slots(chunk: dict[str, Any]) -> Iterator[tuple[Slot, TextId | None]]:
    """The texts of one stream chunk, each with the identity of the growing text it continues; None if it is whole."""
    return _texts(chunk, "delta")


def holds_json(text_id: TextId | None) -> bool:
    """Whether a text is meant to be JSON: the arguments of a function."""
    return text_id is not None and text_id[1] in ("tool", "function_call")


def delta_of(text_id: TextId, text: str) -> dict[str, Any]:
    """A delta that continues a growing text."""
    match text_id[1]:
        case "tool":
            return {"tool_calls": [{"index": text_id[2], "function": {"arguments": text}}]}
        case "custom":
            return {"tool_calls": [{"index": text_id[2], "custom": {"input": text}}]}
        case "function_call":
            return {"function_call": {"arguments": text}}
        case "other":
            delta: Any = text
            for step in reversed(text_id[2:]):
                delta = [{"index": step, **delta}] if isinstance(step, int) else {step: delta}
            return delta  # type: ignore[no-any-return]  # the first step is a field of the delta
        case field:
            return {field: text}


def without_texts(body: dict[str, Any]) -> None:
    """Take out of a whole reply all that a guard would have to see, and end each choice as a filter does."""
    for key in body.keys() - _OF_THE_REPLY:
        del body[key]
    body["choices"] = [
        {
            "index": choice.get("index", 0),
            "message": {"role": "assistant", "content": "", "refusal": None},
            "logprobs": None,
            "finish_reason": "content_filter",
        }
        for choice in body["choices"]
    ]


def _texts(body: dict[str, Any], said: str) -> Iterator[tuple[Slot, TextId | None]]:
    for choice in body.get("choices") or ():
        message = choice.get(said)
        if message:
            yield from _message_texts(message, choice.get("index", 0))
        if choice.keys() - _OF_A_CHOICE:
            yield from _beside(choice, _OF_A_CHOICE)
    if body.keys() - _OF_THE_REPLY:
        yield from _beside(body, _OF_THE_REPLY)


def _message_texts(message: dict[str, Any], choice: int) -> Iterator[tuple[Slot, TextId | None]]:
    for key, value in message.items():
        if not value:
            continue
        if isinstance(value, str) and (scope := _FIELDS.get(key)) is not None:
            yield Slot(message, key, scope), (choice, key)
        elif key == "tool_calls":
            for position, call in enumerate(value):
                yield from _call_texts(call, choice, call.get("index", position))
        elif key == "function_call":
            if isinstance(value.get("arguments"), str):
                yield Slot(value, "arguments", Scope.TOOL_CALL), (choice, "function_call")
        else:
            yield from _field_texts(message, key, (choice, OTHER, key))


def _call_texts(call: dict[str, Any], choice: int, index: int) -> Iterator[tuple[Slot, TextId | None]]:
    for key, value in call.items():
        if key in _OF_A_CALL or not value:
            continue
        if key == "function" and isinstance(value.get("arguments"), str):
            yield Slot(value, "arguments", Scope.TOOL_CALL), (choice, "tool", index)
        elif key == "custom" and isinstance(value.get("input"), str):
            yield Slot(value, "input", Scope.TOOL_CALL), (choice, "custom", index)
        elif key not in ("function", "custom"):
            yield from _field_texts(call, key, (choice, OTHER, "tool_calls", index, key))


def _beside(holder: dict[str, Any], known: frozenset[str]) -> Iterator[tuple[Slot, TextId | None]]:
    """The texts of fields that stand beside what the model said; none goes on in another chunk."""
    for key in holder:
        if key not in known:
            yield from _field_texts(holder, key, None)


def _field_texts(holder: Any, key: Any, text_id: TextId | None) -> Iterator[tuple[Slot, TextId | None]]:
    """The strings in a field that we do not know. Without recursion: a reply may be nested as deep as it likes."""
    thought = text_id is not None and ("reasoning" in text_id[2] or "thinking" in text_id[2])
    scope = Scope.REASONING if thought else Scope.ASSISTANT
    todo: list[tuple[Any, Any, TextId | None]] = [(holder, key, text_id)]
    while todo:
        holder, key, at = todo.pop()
        value = holder[key]
        if isinstance(value, str):
            if value and key not in _STEERING:
                yield Slot(holder, key, scope), at
        elif isinstance(value, dict):
            todo += ((value, inner, None if at is None else (*at, inner)) for inner in value)
        elif isinstance(value, list):
            todo += ((value, place, _element_id(item, at)) for place, item in enumerate(value))


def _element_id(item: Any, at: TextId | None) -> TextId | None:
    """The identity of a list's element; None if nothing tells it from others."""
    index = item.get("index") if isinstance(item, dict) else None
    return None if at is None or not isinstance(index, int) else (*at, index)
