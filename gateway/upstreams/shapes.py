"""What an OpenAI-compatible server may send for each operation, and how it becomes the house's chat shape."""

from __future__ import annotations

from typing import Any

import msgspec

from billing.usage import CachedTokens, Usage, UsageError
from gateway.pipeline.call import Operation


class _Function(msgspec.Struct):
    arguments: str | None = None


class _Custom(msgspec.Struct):
    input: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _ChatChoice(msgspec.Struct):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct):
    """What the house reads in a reply or a chunk. Guards look at these texts; in another shape they would not."""

    choices: list[_ChatChoice]


class _TextChoice(msgspec.Struct):
    text: str
    index: int = 0
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_TextChoice]


class _Embeddings(msgspec.Struct):
    data: list[dict[str, Any]]


class _Moderations(msgspec.Struct):
    results: list[dict[str, Any]]


_SHAPES: dict[Operation, type[msgspec.Struct]] = {
    Operation.CHAT: _Chat,
    Operation.COMPLETIONS: _Completion,
    Operation.EMBEDDINGS: _Embeddings,
    Operation.MODERATIONS: _Moderations,
}


def well_formed(body: Any, operation: Operation) -> bool:
    try:
        msgspec.convert(body, _SHAPES[operation])
    except msgspec.ValidationError:
        return False
    return True


def as_chat(body: dict[str, Any], said: str) -> dict[str, Any]:
    """A `text_completion` with its texts where chat has them: under `said`, "message" or "delta"."""
    choices = []
    for choice in body["choices"]:
        kept = {key: value for key, value in choice.items() if key != "text"}
        choices.append({**kept, said: {"content": choice["text"]}})
    return {**body, "choices": choices}


def read_usage(body: dict[str, Any]) -> Usage | None:
    told = body.get("usage")
    if told is None:
        return None
    try:
        return Usage.from_openai(told, CachedTokens.INSIDE)
    except (UsageError, msgspec.ValidationError):
        return None  # the bill is then estimated and says so; a nonsense count must not become one
