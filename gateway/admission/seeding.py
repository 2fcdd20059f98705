"""What budgets have spent so far, from the ledger: told to the counters when they do not know it, and again and again.

A counter is only ever raised to the ledger's sum, never lowered: every settled request is in the counter at once and
in the ledger soon, so the larger of the two is right. This is how counters come back after a restart, after a store
lost its data, and how the rows of a process that died find their way into them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.budgets import Span
from billing.ledger import Ledger
from billing.reports import spent
from gateway.admission.claims import Need
from gateway.admission.limits import Binding
from gateway.admission.stores.base import LimitStore, StoreUnavailable
from gateway.errors import StorageUnavailable
from gateway.patience import patience

log = structlog.get_logger(__name__)

SEED_SECONDS = 0.8  # how long a request waits for the ledger's sum
FLUSH_SECONDS = 0.3  # of it, for this process's own records to be stored
RECONCILE_SECONDS = 30.0
MAX_WATCHED = 10_000  # budgets in use that are reconciled; the longest unused are forgotten first
PER_ROUND = 500


class Seeder:
    """Sums the ledger for budgets. One of a process; sums of the same counter asked at once are made once."""

    def __init__(
        self,
        database: AsyncEngine,
        ledger: Ledger,
        store: LimitStore,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._store = store
        self._now = now
        self._sleep = sleep
        self._running: dict[str, asyncio.Task[None]] = {}
        # Budgets with requests that are in the ledger, but not in the counter yet: how many.
        self._billed: dict[str, int] = {}
        self._watched: OrderedDict[str, Need] = OrderedDict()
        self._reconciler: asyncio.Task[None] | None = None

    async def seed(self, needs: Sequence[Need]) -> None:
        """Tell the store what these budgets have spent. Raises StorageUnavailable, StoreUnavailable."""
        tasks = [self._task(need) for need in needs]
        try:
            async with patience(SEED_SECONDS):
                # Shielded: another request may wait for the same sum.
                await asyncio.gather(*(asyncio.shield(task) for task in tasks))
        except StoreUnavailable:
            raise
        except Exception as error:
            log.error("budgets cannot be read from the ledger", error=type(error).__name__)
            raise StorageUnavailable("Budgets cannot be checked right now; try again.") from None

    def watch(self, needs: Sequence[Need]) -> None:
        """These counters are in use: reconcile them with the ledger from time to time."""
        for need in needs:
            if need.budget is not None:
                counter = need.claim.counter
                if counter in self._watched:
                    self._watched.move_to_end(counter)
                else:
                    self._watched[counter] = need
                    if len(self._watched) > MAX_WATCHED:
                        self._watched.popitem(last=False)

    def billed(self, needs: Sequence[Need]) -> None:
        """A request of these budgets is in the ledger, and will be settled. Until then no sum of theirs is taken over.

        It would be in the counter twice: by the sum, and by its settlement.
        """
        for need in needs:
            if need.budget is not None:
                counter = need.claim.counter
                self._billed[counter] = self._billed.get(counter, 0) + 1

    def settled(self, needs: Sequence[Need]) -> None:
        for need in needs:
            if need.budget is not None:
                counter = need.claim.counter
                left = self._billed.get(counter, 0) - 1
                if left > 0:
                    self._billed[counter] = left
                else:
                    self._billed.pop(counter, None)

    async def start(self) -> None:
        self._reconciler = asyncio.create_task(self._run(), name="budget-reconciler")

    async def close(self) -> None:
        tasks = [*self._running.values(), *([self._reconciler] if self._reconciler else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reconcile(self) -> None:
        """Raise the counters of budgets in use to what the ledger knows; forget those whose window is over."""
        now = self._now()
        for counter, need in list(self._watched.items())[:PER_ROUND]:
            if need.span is not None and need.span.end is not None and need.span.end <= now:
                self._watched.pop(counter, None)
                continue
            assert need.span is not None
            pico = await self._spent(need.binding, need.span)
            if counter not in self._billed:
                await self._store.seed({counter: pico}, {counter: need.claim.expires})
            if counter in self._watched:
                self._watched.move_to_end(counter)

    def _task(self, need: Need) -> asyncio.Task[None]:
        counter = need.claim.counter
        task = self._running.get(counter)
        if task is None:
            task = self._running[counter] = asyncio.create_task(self._flush_and_sum(need), name="budget-seed")
            task.add_done_callback(lambda done: self._done(counter, done))
        return task

    def _done(self, counter: str, task: asyncio.Task[None]) -> None:
        self._running.pop(counter, None)
        if not task.cancelled():
            task.exception()  # it has reached whoever waits; nobody may be left to

    async def _flush_and_sum(self, need: Need) -> None:
        with contextlib.suppress(TimeoutError):  # what cannot be stored now is reconciled once it is
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._ledger.flush()
        await self._sum(need)

    async def _sum(self, need: Need) -> None:
        assert need.span is not None
        pico = await self._spent(need.binding, need.span)
        await self._store.seed({need.claim.counter: pico}, {need.claim.counter: need.claim.expires})

    async def _spent(self, binding: Binding, span: Span) -> int:
        """What the ledger has of a key, user, team or tag in one window, in pico-dollars."""
        sum_of = partial(spent, self._database, since=span.start, until=span.end)
        match binding.kind:
            case "key":
                return await sum_of(key=binding.id)
            case "team":
                return await sum_of(team=binding.id)
            case "user":
                return await sum_of(user=binding.id)
            case _:
                name, _, value = binding.id.partition("=")
                return await sum_of(tag=(name, value))

    async def _run(self) -> None:
        while True:
            await self._sleep(RECONCILE_SECONDS)
            try:
                await self.reconcile()
            except Exception as error:  # the database or the store is away: the next round does it
                log.warning("budgets could not be reconciled", error=type(error).__name__)
