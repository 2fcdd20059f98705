"""The one cost function, which estimates, settlements and re-pricing all call; and what a request may cost at most."""

from __future__ import annotations

import math
from decimal import Decimal

from billing.money import from_pico
from billing.prices import ExactPrice, Price
from billing.usage import Usage


def cost(usage: Usage, price: Price) -> Decimal:
    """What `usage` costs at `price`, in USD, in whole pico-dollars.

    The sum is made of integers of 10^-18 dollars, so no term is ever rounded; margin and discount are applied to the
    sum, and that is rounded half-even, once (see `billing.money` for when there is anything to round). The highest tier
    that `input_tokens` exceeds prices all tokens. The result may be more than one ledger row holds:
    `billing.money.to_pico` says so.
    """
    return from_pico(cost_pico(usage, price))


def cost_pico(usage: Usage, price: Price) -> int:
    """`cost` in pico-dollars."""
    exact = price.exact
    rates = exact.base
    for above, tier in exact.tiers:
        if usage.input_tokens > above:
            rates = tier
            break
    cached, written, heard = usage.cached_input_tokens, usage.cache_write_tokens, usage.audio_input_tokens
    thought, spoken = usage.reasoning_tokens, usage.audio_output_tokens
    attos = (usage.input_tokens - cached - written - heard) * rates.input
    attos += (usage.output_tokens - thought - spoken) * rates.output
    if cached:
        attos += cached * rates.cached_input
    if written:
        attos += written * rates.cache_write
    if heard:
        attos += heard * rates.audio_input
    if thought:
        attos += thought * rates.reasoning
    if spoken:
        attos += spoken * rates.audio_output
    attos += usage.images * exact.per_image + usage.requests * exact.per_request
    attos += usage.compute_us * exact.per_compute_us
    return _pico(attos, exact)


def worst(
    price: Price, input_tokens: int, output_tokens: int, compute_seconds: float = 0.0, *, images: int = 0
) -> Decimal:
    """The most that one request within these bounds may cost at `price`, in USD; see `worst_pico`."""
    return from_pico(worst_pico(price, input_tokens, output_tokens, compute_seconds, images=images))


def worst_pico(
    price: Price, input_tokens: int, output_tokens: int, compute_seconds: float = 0.0, *, images: int = 0
) -> int:
    """The most that one request within these bounds may cost at `price`, in pico-dollars.

    No usage of at most `input_tokens`, `output_tokens`, `images`, `compute_seconds` of the local engine and one request
    costs more: each token is taken for the dearest of its side, in the dearest tier that so long a prompt can reach.
    """
    exact = price.exact
    dearest_input, dearest_output = exact.base.dearest_input, exact.base.dearest_output
    for above, tier in exact.tiers:
        if input_tokens > above:
            dearest_input = max(dearest_input, tier.dearest_input)
            dearest_output = max(dearest_output, tier.dearest_output)
    attos = input_tokens * dearest_input + output_tokens * dearest_output
    attos += images * exact.per_image + exact.per_request
    if exact.per_compute_us:
        attos += math.ceil(compute_seconds * 1_000_000) * exact.per_compute_us
    return _pico(attos, exact)


def _pico(attos: int, exact: ExactPrice) -> int:
    """10^-18 dollars as pico-dollars, margin and discount applied, rounded half-even."""
    pico, rest = divmod(attos * exact.numerator, exact.denominator)
    if rest:
        twice = 2 * rest
        if twice > exact.denominator or (twice == exact.denominator and pico & 1):
            pico += 1
    return pico
