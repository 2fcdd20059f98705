"""What a request must satisfy to be taken at all. Checked on both sides of the socket; no state, no torch."""

from __future__ import annotations

import math

from engine.errors import InvalidRequest, PromptTooLong
from engine.types import Request, SamplingParams

SEED_BITS = 64


def check_request(request: Request, *, context: int, vocab_size: int) -> None:
    """Raise if the request can never run.

    `prompt + max_tokens` must fit into `context`: PromptTooLong says both numbers. Every other fault is an
    InvalidRequest that names the field.
    """
    if not request.id:
        raise InvalidRequest("id must not be empty", param="id")
    check_params(request.params)
    if not request.prompt:
        raise InvalidRequest("the prompt is empty", param="messages")
    if len(request.prompt) + request.params.max_tokens > context:
        raise PromptTooLong(len(request.prompt), request.params.max_tokens, context)
    if min(request.prompt) < 0 or max(request.prompt) >= vocab_size:
        raise InvalidRequest(f"the prompt has a token id outside 0..{vocab_size - 1}", param="messages")


def check_params(params: SamplingParams) -> None:
    """Raise InvalidRequest for numbers that mean nothing to the sampler."""
    if params.max_tokens < 1:
        raise InvalidRequest(f"max_tokens is {params.max_tokens}; it must be at least 1", param="max_tokens")
    if not (math.isfinite(params.temperature) and params.temperature >= 0):
        raise InvalidRequest(f"temperature is {params.temperature}; it must be 0 or more", param="temperature")
    if not 0 < params.top_p <= 1:
        raise InvalidRequest(f"top_p is {params.top_p}; it must be above 0 and at most 1", param="top_p")
    if params.top_k < 0:
        raise InvalidRequest(f"top_k is {params.top_k}; it must be 0 (off) or more", param="top_k")
    if params.seed is not None and not -(2 ** (SEED_BITS - 1)) <= params.seed < 2**SEED_BITS:
        raise InvalidRequest(f"seed must fit {SEED_BITS} bits", param="seed")
