"""Choosing the next token from logits. One order, in float32, for every row of a batch:

    logits → temperature → top-k → top-p → one draw by the Gumbel-max rule

Temperature 0 is greedy: the largest logit, the lowest id on ties. Top-k keeps every token as likely as the kth. Top-p
keeps the smallest set of most likely tokens whose probability, after top-k, reaches p; ties go to the lower id.

Noise comes from a counter, not from a generator with state: token `t` of a draw gets a hash of (seed, output index,
t). So a seeded sequence gets the same noise whatever runs beside it, in whatever order, and after it was preempted.
A row without a seed gets fresh entropy at every draw.
"""

from __future__ import annotations

import secrets

import torch
from torch import Tensor

from engine.types import SamplingParams

_MASK64 = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_TOP_CANDIDATES = 256  # tokens tried before a whole row is sorted for top-p


def sample(logits: Tensor, params: list[SamplingParams], output_indices: list[int]) -> list[int | None]:
    """One token id for each row of `logits` [rows, vocab] (float32, not changed).

    `output_indices` are the positions of these tokens in their completions. A row whose largest logit is not finite
    (NaN, infinity, or nothing left) gives None and leaves the others alone.
    """
    usable = logits.amax(dim=-1).isfinite().tolist()
    tokens = logits.argmax(dim=-1).tolist()
    drawn = [row for row, ok in enumerate(usable) if ok and params[row].temperature > 0]
    if drawn:
        row_params = [params[row] for row in drawn]
        scores = warp(logits[drawn], row_params)
        noise = _noise([_key(params[row].seed, output_indices[row]) for row in drawn], logits.shape[1])
        for row, token in zip(drawn, (scores - noise).argmax(dim=-1).tolist(), strict=True):
            tokens[row] = token
    return [token if ok else None for token, ok in zip(tokens, usable, strict=True)]


def warp(logits: Tensor, params: list[SamplingParams]) -> Tensor:
    """Logits [rows, vocab] after temperature (above 0), top-k and top-p; what was cut off is -inf.

    The result is shifted so that every row's largest value is 0.
    """
    temperatures = torch.tensor([p.temperature for p in params], dtype=torch.float32)[:, None]
    # Shifted first: a tiny temperature then drives all but the largest to -inf instead of dividing inf by inf.
    scores = (logits - logits.amax(dim=-1, keepdim=True)).div_(temperatures.clamp_min_(1e-30))
    limited = [row for row, p in enumerate(params) if 0 < p.top_k < logits.shape[1]]
    if limited:
        scores[limited] = _top_k(scores[limited], [params[row].top_k for row in limited])
    nucleus = [row for row, p in enumerate(params) if p.top_p < 1]
    if nucleus:
        scores[nucleus] = _top_p(scores[nucleus], torch.tensor([params[row].top_p for row in nucleus]))
    return scores


def _top_k(scores: Tensor, ks: list[int]) -> Tensor:
    largest = scores.topk(max(ks), dim=-1).values
    kth = largest.gather(1, torch.tensor(ks)[:, None] - 1)
    return scores.masked_fill(scores < kth, float("-inf"))


def _top_p(scores: Tensor, ps: Tensor) -> Tensor:
    """Keep, from the most likely down, the tokens whose likelier ones have less than p together."""
    probabilities = scores.softmax(dim=-1)
    candidates = min(_TOP_CANDIDATES, scores.shape[1])
    values, ids = _sorted_top(probabilities, candidates)
    reached = values.cumsum(dim=-1)
    if (reached[:, -1] < ps).any():  # a nucleus may go further; sort everything
        values, ids = _sorted_top(probabilities, scores.shape[1])
        reached = values.cumsum(dim=-1)
    before = reached - values
    kept = before < ps[:, None]
    kept[:, 0] = True
    result = torch.full_like(scores, float("-inf"))
    return result.scatter_(1, ids, torch.where(kept, scores.gather(1, ids), float("-inf")))


def _sorted_top(probabilities: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest with their ids, descending, equal ones by ascending id."""
    if count == probabilities.shape[1]:
        values, ids = probabilities.sort(dim=-1, descending=True, stable=True)
        return values, ids
    threshold = probabilities.topk(count, dim=-1).values[:, -1:]
    # topk picks any of the values tied at its edge; only those strictly above it are a sure start of the order.
    above = torch.where(probabilities > threshold, probabilities, 0.0)
    ids = above.topk(count, dim=-1).indices.sort(dim=-1).values
    values, order = above.gather(1, ids).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(1, order)


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) on an unsigned 64-bit number."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


def _key(seed: int | None, output_index: int) -> int:
    """The 64-bit stream of one draw."""
    if seed is None:
        return secrets.randbits(64)
    return _mix((_mix((seed + _GAMMA) & _MASK64) + (output_index + 1) * _GAMMA) & _MASK64)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _shift_right(values: Tensor, bits: int) -> Tensor:
    """A logical shift of int64, which torch would shift arithmetically."""
    return (values >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _noise(keys: list[int], vocab: int) -> Tensor:
    """`log(-log u)` with u uniform in (0, 1), [len(keys), vocab] float32: minus a standard Gumbel value.

    `argmax(scores - noise)` then is a draw from `softmax(scores)`. Element (i, t) is `_mix(keys[i] + t * gamma)` in
    wrapping int64, of which 52 bits make u.
    """
    z = torch.tensor([_signed(key) for key in keys])[:, None] + torch.arange(vocab) * _signed(_GAMMA)
    z = z.bitwise_xor_(_shift_right(z, 30)).mul_(_signed(0xBF58476D1CE4E5B9))
    z = z.bitwise_xor_(_shift_right(z, 27)).mul_(_signed(0x94D049BB133111EB))
    z = z.bitwise_xor_(_shift_right(z, 31))
    uniform = _shift_right(z, 12).double().add_(0.5).mul_(2.0**-52)
    return uniform.log_().neg_().float().log_()
