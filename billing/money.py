"""Exact US dollars: `Decimal` at every border, whole pico-dollars (1e-12 USD) in SQL and in sums.

A price of at most 6 decimals per million tokens is a whole number of pico-dollars per token, and a price of
at most 6 decimals per second is one per microsecond. So at such prices every cost is a whole number of
pico-dollars, and nothing is rounded. A finer price (up to 12 decimals), a margin or a discount may leave a part
of a pico-dollar: `billing.cost` adds up exactly and rounds the sum half-even, once; no other place rounds. This
module knows no prices and rounds nothing for display.

Ranges. A stored amount is a signed 64-bit integer: at most 9,223,372.036854775807 USD in one row; `to_pico`
refuses more. A sum of rows may pass that. PostgreSQL sums BIGINT as NUMERIC, but SQLite's `sum` stops with
"integer overflow", so `billing.reports` sums whole micro-dollars and the pico-dollars left over apart: exact
up to 9.2e12 USD. Python's integers have no limit.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation

PICO_DECIMALS = 12
MAX_PICO = 2**63 - 1

# Its own context, so that nobody's thread-wide precision can round money: what does not fit is an error.
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
_FAR_BELOW_MAX = 6  # the power of ten from which on an amount has to be looked at more closely
_TOO_LARGE = Decimal(10**7)  # USD; above MAX_PICO, and small enough to compute with


class MoneyError(ValueError):
    """An amount that is not exact, not finite, negative, or too large to store."""


def whole(value: Decimal, decimals: int) -> int:
    """`value` x 10^`decimals` as an integer. Raises MoneyError if that is not whole, or not finite."""
    if not isinstance(value, Decimal):
        raise MoneyError(f"money must be a Decimal, not {type(value).__name__}")
    if not value.is_finite():
        raise MoneyError(f"{value} is not an amount of money")
    if abs(value) > _TOO_LARGE:
        raise MoneyError(f"{value} USD is more than one record can hold")
    try:
        return int(value.scaleb(decimals, _EXACT).to_integral_exact(context=_EXACT))
    except Inexact:
        raise MoneyError(f"{value} USD has more than {decimals} decimals") from None


def to_pico(usd: Decimal) -> int:
    """Dollars as whole pico-dollars.

    Raises MoneyError for anything but a finite, non-negative `Decimal` of at most 12 decimals and `MAX_PICO`.
    """
    if type(usd) is Decimal and usd.is_finite() and usd.adjusted() < _FAR_BELOW_MAX:  # as nearly every amount is
        try:
            scaled = usd.scaleb(PICO_DECIMALS, _EXACT)
            pico = int(scaled)
            if pico == scaled and pico >= 0:
                return pico
        except Inexact:  # more digits than can be: told below
            pass
    pico = whole(usd, PICO_DECIMALS)
    if not 0 <= pico <= MAX_PICO:
        raise MoneyError(f"{display(usd)} USD does not fit one record (0 to {display(from_pico(MAX_PICO))})")
    return pico


def from_pico(pico: int) -> Decimal:
    """Pico-dollars as dollars. Exact; raises MoneyError for what is not an integer."""
    if type(pico) is not int:
        raise MoneyError(f"pico-dollars must be an int, not {type(pico).__name__}")
    return Decimal(pico).scaleb(-PICO_DECIMALS, _EXACT)


MAX_USD = from_pico(MAX_PICO)  # the most that one record or counter can hold


def display(usd: Decimal) -> str:
    """A plain decimal string: no exponent, no trailing zeros ("0.184918125", "5", "0")."""
    text = format(usd, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
