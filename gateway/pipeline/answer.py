"""What comes back from an upstream: a whole reply, or a stream of chunks. OpenAI's chat shape inside the house."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import msgspec

from billing.usage import Usage


@dataclass(slots=True)
class Reply:
    """A whole reply: `body` is a `chat.completion` object."""

    body: dict[str, Any]
    usage: Usage | None
    served_model: str | None = None


class Chunk(msgspec.Struct):
    """A piece of a streamed reply: `body` is a `chat.completion.chunk` object.

    `usage` is the usage of the whole stream so far, where the upstream tells it; the last one told counts.
    A chunk that carries usage and no choices has an empty `choices` list.
    """

    body: dict[str, Any]
    usage: Usage | None = None


ChunkStream = AsyncGenerator[Chunk, None]


def is_content(chunk: Chunk) -> bool:
    """Whether a caller could see an answer in it: text, a tool call, or an end."""
    for choice in chunk.body.get("choices") or ():
        if choice.get("finish_reason"):
            return True
        delta = choice.get("delta") or {}
        if any(value for key, value in delta.items() if key != "role"):
            return True
    return False


def served_model(body: dict[str, Any]) -> str | None:
    """What the upstream calls the model that answered, if it tells."""
    name = body.get("model")
    return name if isinstance(name, str) else None


def usage_body(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
