"""What a request used, in one typed form for every provider, and the readers of the providers' own forms.

Providers differ in what contains what. Here every part lies inside its whole, and no token is in two parts. An account
that does not add up is not refused where another reading of it makes sense; of several, the readers take the dearer: a
bill may not come out below what the provider asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Self

import msgspec

MAX_TOKENS = 10**12  # of one request; above it a provider is talking nonsense

_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "images",
    "requests",
)
_TOTALS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_MOST_PLAIN = 12  # fields
_counts: Callable[[Usage], tuple[int, ...]] = attrgetter(*_COUNTS)


class UsageError(ValueError):
    """Counts that cannot be true. Whoever gets one counts for itself and marks the usage `estimated`."""


class CachedTokens(Enum):
    """Where a provider counts prompt tokens read from and written to its cache. No default: guessing bills wrongly."""

    INSIDE = "inside"  # OpenAI: prompt_tokens already contains them
    BESIDE = "beside"  # Anthropic: input_tokens does not contain them


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens, images and engine time of one request.

    `input_tokens` is the whole prompt: cached, cache-write and audio tokens are parts of it that do not overlap.
    `output_tokens` is the whole completion, reasoning and audio tokens parts of it. `requests` is 1 for a request that
    was answered. `compute_us` is local engine time in microseconds (0 for remote providers). `estimated` is true when
    we counted because the provider did not say.
    Raises UsageError for a count that is negative or above `MAX_TOKENS`, and for parts larger than their whole.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    images: int = 0
    requests: int = 0
    compute_us: int = 0
    estimated: bool = False

    def __post_init__(self) -> None:
        counts = _counts(self)
        if min(counts) < 0 or max(counts) > MAX_TOKENS:
            field, count = next(pair for pair in zip(_COUNTS, counts, strict=True) if not 0 <= pair[1] <= MAX_TOKENS)
            raise UsageError(f"{field} is {count}")
        if self.compute_us < 0:
            raise UsageError(f"compute_us is {self.compute_us}")
        inside = self.cached_input_tokens + self.cache_write_tokens + self.audio_input_tokens
        if inside > self.input_tokens:
            raise UsageError(f"{inside} of {self.input_tokens} input tokens are cached, cache writes or audio")
        inside = self.reasoning_tokens + self.audio_output_tokens
        if inside > self.output_tokens:
            raise UsageError(f"{inside} of {self.output_tokens} output tokens are reasoning or audio")

    @classmethod
    def from_openai(cls, usage: Mapping[str, object], convention: CachedTokens) -> Self:
        """Read the `usage` object of a chat completion, completion or embedding reply.

        `prompt_tokens` must be there; a missing `completion_tokens` (embeddings) is what `total_tokens` leaves, else 0.
        Details may be missing or null. Cached tokens are also looked for where DeepSeek (`prompt_cache_hit_tokens`) and
        Moonshot (`cached_tokens`) put them. `convention` says whether `prompt_tokens` contains the cached tokens; see
        `_input` and `_output` for accounts that do not add up.
        Raises UsageError for counts that are no integers, are negative, or are missing.
        """
        if _is_plain(_object(usage)):
            return cls(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"], requests=1)  # type: ignore[arg-type]
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        if prompt is None:
            raise UsageError("prompt_tokens is missing")
        given, made = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
        cached = _first(given, "cached_tokens") or _first(usage, "prompt_cache_hit_tokens", "cached_tokens")
        total = _count(usage, "total_tokens")
        if completion is None:
            completion = 0 if total is None else total - prompt
        return cls._read(prompt, cached, given, completion, made, total, convention)

    @classmethod
    def from_openai_responses(cls, usage: Mapping[str, object], convention: CachedTokens) -> Self:
        """Read the `usage` object of a Responses reply: `input_tokens`, `output_tokens` and their `_details`.

        Both counts must be there. Otherwise like `from_openai`.
        """
        prompt, completion = _count(_object(usage), "input_tokens"), _count(usage, "output_tokens")
        if prompt is None or completion is None:
            raise UsageError(f"{'input' if prompt is None else 'output'}_tokens is missing")
        given, made = _details(usage, "input_tokens_details"), _details(usage, "output_tokens_details")
        total = _count(usage, "total_tokens")
        return cls._read(prompt, _first(given, "cached_tokens"), given, completion, made, total, convention)

    @classmethod
    def from_anthropic(cls, usage: Mapping[str, object], convention: CachedTokens) -> Self:
        """Read the `usage` object of an Anthropic message: cache reads and writes are counted beside `input_tokens`.

        Some servers of the same shape count them inside: `convention` says which. Writes that are kept for an hour
        count as cache writes like any other. Thinking is part of `output_tokens` and not told apart.
        Both counts must be there. Raises UsageError as `from_openai` does.
        """
        prompt, completion = _count(_object(usage), "input_tokens"), _count(usage, "output_tokens")
        if prompt is None or completion is None:
            raise UsageError(f"{'input' if prompt is None else 'output'}_tokens is missing")
        cached, written = _first(usage, "cache_read_input_tokens"), _first(usage, "cache_creation_input_tokens")
        return cls(
            input_tokens=_input(prompt, cached, written, convention),
            cached_input_tokens=cached,
            cache_write_tokens=written,
            output_tokens=completion,
            requests=1,
        )

    @classmethod
    def _read(
        cls,
        prompt: int,
        cached: int,
        given: Mapping[str, object],
        completion: int,
        made: Mapping[str, object],
        total: int | None,
        convention: CachedTokens,
    ) -> Self:
        """`given` and `made` are the details of the prompt and of the completion, in OpenAI's names."""
        written = _first(given, "cache_write_tokens", "cache_creation_tokens")
        whole = _input(prompt, cached, written, convention)
        # An audio token that was cached is in both counts. Where the overlap is told, it is billed as audio, the dearer
        # of the two; where it is not, as much of it is taken as there must be.
        overlap = _first(_details(given, "cached_tokens_details"), "audio_tokens")
        heard = min(_first(given, "audio_tokens"), whole - written)
        cached = min(cached - min(cached, overlap, heard), whole - written - heard)
        output, thought = _output(completion, _first(made, "reasoning_tokens"), total, whole)
        return cls(
            input_tokens=whole,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            output_tokens=output,
            reasoning_tokens=thought,
            audio_input_tokens=heard,
            audio_output_tokens=min(_first(made, "audio_tokens"), output - thought),
            requests=1,
        )


def total(usages: Sequence[Usage]) -> Usage:
    """All of them together, no count above `MAX_TOKENS`; estimated if one is."""
    if len(usages) == 1:
        return usages[0]
    counts = {name: min(sum(getattr(usage, name) for usage in usages), MAX_TOKENS) for name in _COUNTS}
    return Usage(
        **counts,
        compute_us=sum(usage.compute_us for usage in usages),
        estimated=any(usage.estimated for usage in usages),
    )


def _input(prompt: int, cached: int, written: int, convention: CachedTokens) -> int:
    """The whole prompt. Cached tokens that do not fit into it were counted beside it, whatever was declared."""
    if convention is CachedTokens.BESIDE or cached + written > prompt:
        return prompt + cached + written
    return prompt


def _output(completion: int, reasoning: int, total: int | None, prompt: int) -> tuple[int, int]:
    """The whole completion, and the reasoning in it.

    xAI counts reasoning beside `completion_tokens`, Gemini's OpenAI endpoint does not list it at all; both have it in
    `total_tokens`. So what the total has beyond prompt and completion was made too. Reasoning that does not fit into
    the completion lies beside it even where no total says so.
    """
    unlisted = 0 if total is None else max(0, total - prompt - completion)
    if reasoning > completion:
        unlisted = max(unlisted, reasoning)
    return completion + unlisted, max(reasoning, unlisted)


def _is_plain(usage: Mapping[str, object]) -> bool:
    """Whether it is two counts that add up, and nothing beside them is more than nothing: as of most requests."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int or prompt < 0 or completion < 0:
        return False
    if usage.get("total_tokens") != prompt + completion or len(usage) > _MOST_PLAIN:
        return False
    for name, value in usage.items():
        if name in _TOTALS or value is None:
            continue
        if type(value) is dict:
            if any([part != 0 or type(part) is not int for part in value.values()]):  # noqa: C419
                return False
        elif value != 0 or type(value) is not int:
            return False
    return True


def _object(usage: object) -> Mapping[str, object]:
    if not isinstance(usage, Mapping):
        raise UsageError(f"usage is {type(usage).__name__}, not an object")
    return usage


def _details(usage: Mapping[str, object], name: str) -> Mapping[str, object]:
    details = usage.get(name)
    if details is None:
        return {}
    if not isinstance(details, Mapping):
        raise UsageError(f"{name} is {type(details).__name__}, not an object")
    return details


def _first(usage: Mapping[str, object], *names: str) -> int:
    """The first of these counts that is there; 0 if none is."""
    for name in names:
        value = _count(usage, name)
        if value is not None:
            return value
    return 0


def _count(usage: Mapping[str, object], name: str) -> int | None:
    value = usage.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{name} is {str(value)[:40]!r}, not an integer")
    if value < 0:
        raise UsageError(f"{name} is {value}")
    return value
