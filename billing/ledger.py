"""The ledger: every finished request becomes exactly one row, through crashes and a database that is away.

`record` writes to the journal at once and is done. A task of the event loop carries the records to SQL in
batches, tries again for as long as the database is away, and picks up what dead processes left behind. It
keeps no more than `max_queued` entries in memory: beyond that they wait in the journal alone and are read back
later. A record that the database refuses for what is in it is put aside (`billing.rejects`), so that it holds up
no other. Reading the rows is not done here: see `billing.reports`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import EntryError, UsageEntry, decode, encode
from billing.journal import Journal, JournalError
from billing.rejects import Rejects
from billing.store import UsageStore, describe, is_refusal

__all__ = ["Ledger", "UsageEntry"]

logger = logging.getLogger(__name__)

FIRST_RETRY = 0.05  # seconds; doubled on every failure, up to
LAST_RETRY = 5.0
ADOPT_AGAIN = 0.5  # seconds after an adoption that failed
PROBE_SECONDS = 1.0  # between two looks at a journal that refused a record


@dataclass(slots=True)
class _Queued:
    entry: UsageEntry
    segment: int | None  # None: the journal refused it
    since: float


@dataclass(slots=True)
class _Spill:
    """Records of one segment that are in the journal only."""

    segment: int
    count: int
    since: float


class Ledger:
    """Use from one event loop: `await start()`, then `record` from anywhere in it, `await close()`.

    Owns `journal` and closes it; `db` stays the caller's. `batch_rows` are written at once, or what has come
    together in `batch_seconds`. `adopt_seconds`: how often journals of dead processes are looked for.
    """

    def __init__(
        self,
        journal: Journal,
        db: AsyncEngine,
        *,
        batch_rows: int = 500,
        batch_seconds: float = 0.2,
        max_queued: int = 10_000,
        write_timeout: float = 10.0,
        adopt_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._store = UsageStore(db, timeout=write_timeout)
        self._rejects = Rejects(journal.directory.parent / f"rejected-{journal.directory.name}.jsonl")
        self._batch_rows = batch_rows
        self._batch_seconds = batch_seconds
        self._max_queued = max_queued
        self._adopt_seconds = adopt_seconds
        self._clock = clock
        # Written in this order, which is the order of recording: `_unspilling`, `_queue`, `_spilled`.
        self._unspilling: deque[_Spill] = deque()
        self._queue: deque[_Queued] = deque()
        self._spilled: deque[_Spill] = deque()
        self._recorded = 0
        self._saved = 0
        self._next_adoption = 0.0
        self._next_probe: float | None = None  # None: the journal has refused nothing
        self._wake = asyncio.Event()  # there is something to write
        self._hurry = asyncio.Event()  # a batch is full, or somebody waits for it
        self._progress = asyncio.Condition()
        self._writer: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Records that are not in SQL yet."""
        return self._recorded - self._saved

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest record that is not in SQL yet; 0 if there is none."""
        for waiting in (self._unspilling, self._queue, self._spilled):
            if waiting:
                return self._clock() - waiting[0].since
        return 0.0

    @property
    def writable(self) -> bool:
        """Whether the journal takes records. Once it has refused one, it is asked by a small write, at most every
        `PROBE_SECONDS`, until it takes them again."""
        if self._next_probe is None:
            return True
        now = self._clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_SECONDS
        try:
            self._journal.probe()
        except JournalError:
            return False
        self._next_probe = None
        logger.info("the journal takes records again")
        return True

    @property
    def rejected(self) -> int:
        """Records that the database refused for what is in them, since the start; see `billing.rejects`."""
        return self._rejects.count

    async def start(self) -> None:
        """Store what dead processes left behind, then begin. A database that is away does not stop it."""
        try:
            await self._adopt()
        except Exception as error:
            logger.error("leftover usage records wait for the database: %s", describe(error))
        self._writer = asyncio.create_task(self._run(), name="ledger-writer")

    def record(self, entry: UsageEntry) -> None:
        """Take `entry`. When this returns, the death of the process does not lose it.

        Raises JournalError if the journal refused it (a full disk). It is then still on its way to SQL, if
        there is room in memory, but only as safe as this process. Recording the same `id` again is harmless.
        """
        now = self._clock()
        segment: int | None = None
        failure: JournalError | None = None
        try:
            segment = self._journal.append(encode(entry))
        except JournalError as error:
            failure = error
            if self._next_probe is None:
                self._next_probe = now + PROBE_SECONDS
                logger.error("%s", error)
        if segment is not None and (self._spilled or len(self._queue) >= self._max_queued):
            self._spill(segment, now)
        elif len(self._queue) < self._max_queued:
            self._queue.append(_Queued(entry, segment, now))
        else:
            raise JournalError(f"a usage record is lost: {failure}, and the queue is full") from failure
        self._recorded += 1
        if not self._wake.is_set():
            self._wake.set()
        if len(self._queue) >= self._batch_rows:
            self._hurry.set()
        if failure is not None:
            raise failure

    async def flush(self) -> None:
        """Wait until everything recorded so far is in SQL. Waits as long as the database is away."""
        target = self._recorded
        self._hurry.set()
        async with self._progress:
            await self._progress.wait_for(lambda: self._saved >= target)

    async def close(self, seconds: float = 10.0) -> None:
        """Flush for at most `seconds`, then stop. What is not in SQL by then stays in the journal."""
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except TimeoutError:
            logger.error("%d usage records are left in the journal for the next start", self.pending)
        finally:
            if self._writer is not None:
                self._writer.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._writer
                self._writer = None
            self._journal.close()

    def _spill(self, segment: int, now: float) -> None:
        if not self._spilled or self._spilled[-1].segment != segment:
            self._spilled.append(_Spill(segment, 0, now))
        self._spilled[-1].count += 1

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._wait_for_work()
                await self._step()
            except Exception as error:  # whatever a driver raises, the journal has the records: try again
                failures += 1
                if failures == 1:
                    logger.error("usage records wait for the database: %s", describe(error))
                await self._back_off(failures)
            else:
                if failures:
                    logger.info("the database takes usage records again; %d are pending", self.pending)
                failures = 0

    async def _wait_for_work(self) -> None:
        if not self.pending:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._next_adoption - self._clock())):
                    await self._wake.wait()
        if self._queue and not self._unspilling and len(self._queue) < self._batch_rows:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._batch_seconds):
                    await self._hurry.wait()
        self._hurry.clear()

    async def _step(self) -> None:
        """Carry one batch to SQL, or look for leftovers when that is due."""
        if self._unspilling:
            await self._write_spilled(self._unspilling[0])
        elif self._queue:
            await self._write_queued()
        elif self._spilled:
            # From here on new records queue in memory again, behind these.
            self._journal.seal()
            self._unspilling, self._spilled = self._spilled, deque()
        if self._clock() >= self._next_adoption:
            await self._adopt()

    async def _write_queued(self) -> None:
        batch = list(islice(self._queue, self._batch_rows))
        await self._save([queued.entry for queued in batch])
        for queued in batch:
            self._queue.popleft()
            if queued.segment is not None:
                self._journal.settle(queued.segment, 1)
        await self._advance(len(batch))

    async def _write_spilled(self, spill: _Spill) -> None:
        try:
            found = self._journal.read(spill.segment)
        except JournalError as error:
            # Waiting would hold up every later record. The file, if it comes back, is stored at the next start.
            logger.error("%d usage records cannot be read back: %s", spill.count, error)
        else:
            unreadable = await self._write_payloads(found.payloads)
            if not found.damaged and not unreadable:
                self._journal.settle_all(spill.segment)
        self._unspilling.popleft()
        await self._advance(spill.count)

    async def _adopt(self) -> None:
        """Store the records of dead processes' journals and remove them."""
        self._next_adoption = self._clock() + ADOPT_AGAIN  # where it fails: what is new goes first
        for leftover in self._journal.leftovers():
            try:
                for segment in leftover.segments():
                    found = leftover.read(segment)
                    unreadable = await self._write_payloads(found.payloads)
                    leftover.settle(segment, keep=bool(found.damaged or unreadable))
                    logger.info("stored %d usage records of %s", len(found.payloads) - unreadable, segment)
            finally:
                leftover.release()
        self._next_adoption = self._clock() + self._adopt_seconds

    async def _write_payloads(self, payloads: list[bytes]) -> int:
        """Store what was read from a journal; returns how many payloads are no usage entries."""
        entries: list[UsageEntry] = []
        for payload in payloads:
            try:
                entries.append(decode(payload))
            except EntryError as error:
                logger.error("%s", error)
        for start in range(0, len(entries), self._batch_rows):
            await self._save(entries[start : start + self._batch_rows])
        return len(payloads) - len(entries)

    async def _save(self, entries: Sequence[UsageEntry]) -> None:
        """Store `entries`, but for those that the database refuses: they are found by halving and put aside."""
        try:
            await self._store.write(entries)
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(entries) == 1:
                self._rejects.add(entries[0], describe(error))
                return
            middle = len(entries) // 2
            await self._save(entries[:middle])
            await self._save(entries[middle:])

    async def _advance(self, count: int) -> None:
        self._saved += count
        async with self._progress:
            self._progress.notify_all()

    async def _back_off(self, failures: int) -> None:
        longest = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures, 16))
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))
