"""`on_store_error: local`: while the shared store is away, this process counts for itself.

Limits then hold for each process alone, and budgets by what the ledger knew when it was asked. Nothing is shared, so
several replicas may together pass a limit until the store is back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.admission.stores.base import Claim, Granted, Refused, Spending, StoreUnavailable, Unseeded
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.valkey import ValkeyStore

__all__ = ["FallbackStore"]


class FallbackStore:
    """A LimitStore that takes holds in `primary`, or in `local` while that is away. A hold ends where it was taken.

    What a BUDGET spent in `local` is in the ledger but not in `primary`, which is told to ask for it.
    """

    remote = True

    def __init__(self, primary: ValkeyStore, local: MemoryStore) -> None:
        self._primary = primary
        self._local = local
        self._behind = False  # `primary` has served since `local` last learned what was spent
        self._asked_here: set[str] = set()  # budgets that somebody was told to seed in `local`

    async def reserve(self, hold: str, claims: Sequence[Claim]) -> Granted | Refused | Unseeded:
        try:
            answer = await self._primary.reserve(hold, claims)
        except StoreUnavailable:
            if self._behind:
                self._local.unseed()
                self._behind = False
            here = await self._local.reserve(hold, claims)
            if isinstance(here, Unseeded):
                self._asked_here |= {claims[i].counter for i in here.indices}
            return here
        self._behind = True
        return answer

    async def settle(self, hold: str, claims: Sequence[Claim], used: Sequence[int]) -> list[Spending | None]:
        if not self._local.knows(hold):
            return await self._primary.settle(hold, claims, used)
        spendings = await self._local.settle(hold, claims, used)
        for claim, spending in zip(claims, spendings, strict=True):
            if spending is not None and spending.after > spending.before:
                self._primary.doubt(claim.counter)
        return spendings

    async def seed(self, spent: Mapping[str, int], expires: Mapping[str, int]) -> None:
        here = self._asked_here & spent.keys()
        self._asked_here -= here
        try:
            await self._primary.seed(spent, expires)
        except StoreUnavailable:
            here = set(spent)
        await self._local.seed({name: spent[name] for name in here}, expires)

    async def budget(self, counter: str) -> tuple[int, int]:
        try:
            return await self._primary.budget(counter)
        except StoreUnavailable:
            return await self._local.budget(counter)

    async def holds(self) -> int:
        return await self._primary.holds() + await self._local.holds()

    async def start(self) -> None:
        await self._primary.start()

    async def close(self) -> None:
        await self._primary.close()
