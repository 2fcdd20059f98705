"""What crosses the engine's inside borders: requests, deltas, statistics. No torch, no text.

Everything here is a msgspec struct so that it can travel over the engine's socket as msgpack
(never pickle) and be checked on arrival.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class FinishReason(StrEnum):
    """Why a sequence ended."""

    STOP = "stop"  # an end-of-sequence or stop token; a stop string is found on the text side
    LENGTH = "length"  # max_tokens or the context's end
    ABORT = "abort"  # the caller went away
    ERROR = "error"  # this sequence alone failed; `Delta.error` says why


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the next token is chosen. Order: see `engine.sampling`.

    `temperature` 0 is greedy (argmax, ties to the lowest id). `top_k` 0 means off.
    `seed` makes the sequence's noise a function of (seed, output index) alone.
    `max_tokens` counts output tokens and is at least 1.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt to continue. `salt` keeps one tenant's cached prefixes from another's."""

    id: str
    prompt: list[int]
    params: SamplingParams
    salt: str = ""


class Delta(msgspec.Struct, kw_only=True):
    """New tokens of one sequence. `finish` is set exactly once, on the last delta.

    `tokens` are for printing: the end-of-sequence or stop token that ended the sequence is not among them,
    but `completion_tokens` counts it. `cached_tokens`: prompt tokens taken from the prefix cache.
    `compute_us`: this sequence's share of the engine's busy time so far, in microseconds (a step's time is
    divided by the tokens each sequence had in it), the base of a price per GPU-second. All three are
    totals, final when `finish` is set.
    """

    id: str
    tokens: list[int]
    finish: FinishReason | None = None
    completion_tokens: int = 0
    cached_tokens: int = 0
    compute_us: int = 0
    error: str | None = None


class EngineStats(msgspec.Struct, kw_only=True):
    """A snapshot of the engine. Blocks: `free + cached + used == total` (`cached` is reclaimable)."""

    running: int = 0
    waiting: int = 0
    blocks_total: int = 0
    blocks_free: int = 0
    blocks_cached: int = 0
    blocks_used: int = 0
    max_running_seen: int = 0  # the largest batch since the start
    steps: int = 0
    prompt_tokens: int = 0  # computed or taken from the cache
    generated_tokens: int = 0
    prefix_hit_tokens: int = 0
    preemptions: int = 0
    integrity_failures: int = 0  # idle self-checks that found the block accounting wrong


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded model is, told once when the engine process is ready."""

    name: str
    architecture: str
    parameters: int
    context: int  # tokens of prompt and completion together that a request may have
    vocab_size: int
    weights: str  # "f32" or "int8"
    weight_bytes: int
    kv_bytes_per_token: int
    blocks: int
    block_size: int
