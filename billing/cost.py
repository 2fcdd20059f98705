"""The one cost function: estimates, settlements and re-pricing all call it."""

from __future__ import annotations

from decimal import Decimal

from billing.money import from_pico, whole
from billing.prices import MAX_DECIMALS, Price
from billing.usage import Usage


def cost(usage: Usage, price: Price) -> Decimal:
    """What `usage` costs at `price`, in USD. Exact: no term is ever rounded.

    A price per million tokens (or per second) times 10^6 is pico-dollars per token (or per microsecond),
    a whole number, so the sum is made of integers. Cached tokens cost `cached_input`, the rest of the input
    `input`; reasoning tokens are part of the output. The result may be more than one ledger row holds:
    `billing.money.to_pico` says so.
    """
    fresh = usage.input_tokens - usage.cached_input_tokens
    pico = fresh * whole(price.input, MAX_DECIMALS) + usage.output_tokens * whole(price.output, MAX_DECIMALS)
    if usage.cached_input_tokens:
        cached = price.input if price.cached_input is None else price.cached_input
        pico += usage.cached_input_tokens * whole(cached, MAX_DECIMALS)
    if price.per_compute_second is not None:
        pico += usage.compute_us * whole(price.per_compute_second, MAX_DECIMALS)
    return from_pico(pico)
