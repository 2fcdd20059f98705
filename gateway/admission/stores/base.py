"""What a store of counters does: take everything a request claims together or nothing, and correct it once it is known.

Three kinds of counter. A RATE counts amounts in any 60 seconds, exact to the second: an amount belongs to the second
it was taken in. CONCURRENT counts what is under way. A BUDGET has what was spent in one window, and what is held for
requests under way. A reservation never takes `spent + held` past the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

RATE_SECONDS = 60


class StoreUnavailable(Exception):
    """The counters cannot be reached. Nothing was taken; or if that is not known, it will be given back."""


class Kind(IntEnum):
    RATE = 1
    CONCURRENT = 2
    BUDGET = 3


class Claim(msgspec.Struct, frozen=True):
    """One counter a request needs room in.

    `limit` and `amount` are requests, tokens or pico-dollars. A RATE takes `amount`, or where `least` is smaller, as
    much as there is room for but no less than `least`. `expires`: the Unix second a BUDGET's window ends; 0: never.
    """

    kind: Kind
    counter: str
    limit: int
    amount: int
    least: int = -1  # -1: amount
    expires: int = 0


class Level(msgspec.Struct, frozen=True):
    """A counter after a reservation or a refusal.

    `used`: what counts against the limit now (of a BUDGET: spent + held). `taken`: what this hold has of it. `reset`:
    seconds until a RATE counts nothing any more if nothing is added.
    """

    used: int
    taken: int = 0
    reset: float = 0.0


class Granted(msgspec.Struct, frozen=True):
    """Everything was taken; one level for each claim."""

    levels: list[Level]


class Refused(msgspec.Struct, frozen=True):
    """Nothing was taken. `index` is the claim without room (the one with the longest wait, if several).

    `retry_after`: seconds until there is room if nothing is added; for CONCURRENT and for a BUDGET with room but for
    what is held, 1. None: not before the BUDGET's window ends, or never (the amount is above the limit). `first`: it
    is the first refusal of that BUDGET in its window with 80 % or more of it spent, not for what is held.
    """

    index: int
    retry_after: float | None
    levels: list[Level]
    first: bool = False


class Unseeded(msgspec.Struct, frozen=True):
    """Nothing was taken: these claims (by index) are BUDGETs whose spending the store does not know. `seed` them."""

    indices: list[int]


class Spending(msgspec.Struct, frozen=True):
    """What a BUDGET had spent before and after a settlement, in pico-dollars."""

    before: int
    after: int


class LimitStore(Protocol):
    """All counters. Every method raises StoreUnavailable within a second when they cannot be reached.

    `remote`: they are behind a connection, so that it takes a moment until a settlement is confirmed.
    """

    remote: bool

    async def reserve(self, hold: str, claims: Sequence[Claim]) -> Granted | Refused | Unseeded:
        """Take everything for the hold of that new id, or nothing."""
        ...

    async def settle(self, hold: str, claims: Sequence[Claim], used: Sequence[int]) -> list[Spending | None]:
        """End a hold: `used` is what each claim really came to; CONCURRENT is given back, whatever it says.

        `claims` are those of the reservation. The second settlement of a hold changes nothing (`before` == `after`).
        A hold that the store lost, or that a sweep took for dead, still books what a BUDGET spent. More than was taken
        is booked too; a RATE books the surplus in the second of the settlement, and gives back only in the second it
        took in. A settlement is carried out even if its caller is cancelled, and later if the store is away now. It
        never raises.
        """
        ...

    async def seed(self, spent: Mapping[str, int], expires: Mapping[str, int]) -> None:
        """Tell what the ledger knows of BUDGETs: each counter's spending is raised to it, never lowered."""
        ...

    async def budget(self, counter: str) -> tuple[int, int]:
        """What a BUDGET has spent and held, in pico-dollars; zeros for one it does not know."""
        ...

    async def holds(self) -> int:
        """Holds of this process that are not settled."""
        ...

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Carry out what settlements wait, for at most a few seconds, and let go of the store."""
        ...
