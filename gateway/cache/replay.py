"""From a whole reply to the stream an upstream would have sent of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.cache.assemble import TEXTS
from gateway.pipeline.answer import Chunk, Reply

PIECE = 512  # characters of text in one chunk
_OF_THE_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs"})


def replay(reply: Reply) -> list[Chunk]:
    """The reply in chunks: for each choice its role, its texts, its tool calls and its end; then the usage, if known.

    The usage comes as from any upstream, in a last chunk without choices that callers only see if they asked for it.
    """
    body = {name: value for name, value in reply.body.items() if name not in ("choices", "usage")}
    body["object"] = "chat.completion.chunk"
    chunks = [Chunk({**body, "choices": [part]}) for choice in reply.body["choices"] for part in _parts(choice)]
    if reply.usage is not None:
        chunks.append(Chunk({**body, "choices": []}, reply.usage))
    return chunks


def _parts(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The choice as the `choices` entries of a stream. Its log probabilities stand beside the first text."""
    logprobs, message = choice.get("logprobs"), choice.get("message") or {}
    index = choice.get("index", 0)

    def part(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}

    content = message.get("content")
    yield part({"role": message.get("role", "assistant"), "content": "" if isinstance(content, str) else None})
    for delta in _deltas(message):
        yield part(delta, logprobs=logprobs)
        logprobs = None
    others = {name: value for name, value in choice.items() if name not in _OF_THE_CHOICE}
    yield part({}, finish_reason=choice.get("finish_reason"), **{"logprobs": logprobs, **others})


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in TEXTS:
        if isinstance(text := message.get(name), str):
            for piece in _pieces(text):
                yield {name: piece}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function")
        if function is None:
            yield {"tool_calls": [{"index": index, **call}]}
            continue
        yield {"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]}
        for piece in _pieces(function.get("arguments") or ""):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    others = {k: v for k, v in message.items() if k not in (*TEXTS, "role", "tool_calls") and v}
    if others:
        yield others


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE))
