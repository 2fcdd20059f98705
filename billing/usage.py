"""What a request used, in one typed form for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Self

import msgspec

MAX_TOKENS = 10**12  # of one request; above it a provider is talking nonsense

_FIELDS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")


class UsageError(ValueError):
    """Counts that cannot be true. Whoever gets one counts for itself and marks the usage `estimated`."""


class CachedTokens(Enum):
    """Where a provider counts cached prompt tokens. No default: guessing bills twice or not at all."""

    INSIDE = "inside"  # OpenAI: prompt_tokens already contains them
    BESIDE = "beside"  # Anthropic: input_tokens does not contain them


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and engine time of one request.

    `input_tokens` is the whole prompt, cached tokens included; `output_tokens` the whole completion,
    reasoning included. `compute_us` is local engine time in microseconds (0 for remote providers).
    `estimated` is true when we counted because the provider did not say.
    Raises UsageError for a count that is negative, above `MAX_TOKENS`, or larger than its whole.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    compute_us: int = 0
    estimated: bool = False

    def __post_init__(self) -> None:
        for field in _FIELDS:
            if not 0 <= getattr(self, field) <= MAX_TOKENS:
                raise UsageError(f"{field} is {getattr(self, field)}")
        if self.compute_us < 0:
            raise UsageError(f"compute_us is {self.compute_us}")
        if self.cached_input_tokens > self.input_tokens:
            raise UsageError(f"{self.cached_input_tokens} of {self.input_tokens} input tokens are cached")
        if self.reasoning_tokens > self.output_tokens:
            raise UsageError(f"{self.reasoning_tokens} of {self.output_tokens} output tokens are reasoning")

    @classmethod
    def from_openai(cls, usage: Mapping[str, object], convention: CachedTokens) -> Self:
        """Read the `usage` object of a chat completion, completion or embedding reply.

        `prompt_tokens` must be there; a missing `completion_tokens` (embeddings) is what `total_tokens`
        leaves, else 0; details may be missing or null. `convention` says whether `prompt_tokens` contains
        the cached tokens. Raises UsageError for counts that are no integers or cannot be true.
        """
        if not isinstance(usage, Mapping):
            raise UsageError(f"usage is {type(usage).__name__}, not an object")
        prompt = _count(usage, "prompt_tokens")
        if prompt is None:
            raise UsageError("prompt_tokens is missing")
        completion = _count(usage, "completion_tokens")
        if completion is None:
            total = _count(usage, "total_tokens")
            completion = 0 if total is None else total - prompt
        cached = _count(_details(usage, "prompt_tokens_details"), "cached_tokens") or 0
        reasoning = _count(_details(usage, "completion_tokens_details"), "reasoning_tokens") or 0
        return cls(
            input_tokens=prompt + cached if convention is CachedTokens.BESIDE else prompt,
            cached_input_tokens=cached,
            output_tokens=completion,
            reasoning_tokens=reasoning,
        )


def _details(usage: Mapping[str, object], name: str) -> Mapping[str, object]:
    details = usage.get(name)
    if details is None:
        return {}
    if not isinstance(details, Mapping):
        raise UsageError(f"{name} is {type(details).__name__}, not an object")
    return details


def _count(usage: Mapping[str, object], name: str) -> int | None:
    value = usage.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{name} is {str(value)[:40]!r}, not an integer")
    return value
