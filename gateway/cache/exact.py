"""The exact cache as the pipeline uses it: one `Lookup` for each request, around all that may answer it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from gateway.cache.assemble import ChunkAssembler
from gateway.cache.base import Counts, Store
from gateway.cache.controls import Controls
from gateway.cache.entry import Entry, decode, encode, is_whole
from gateway.cache.key import cache_key
from gateway.cache.single_flight import Flight, Flights
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call

__all__ = ["ExactCache", "Hit", "Lookup", "Policy"]

ANYTHING = Controls()


@dataclass(frozen=True, slots=True)
class Policy:
    """`ttl`: seconds an answer is given again. `stale_if_error`: seconds more that it is kept for when targets fail.

    `max_entry`: bytes of the largest answer that is kept.
    """

    ttl: float
    max_entry: int
    stale_if_error: float = 0.0


@dataclass(slots=True)
class Hit:
    """A kept answer. The reply is the caller's own copy; its usage is what the answer took when it was made.

    `model` is the configured model that made it, `age` in seconds.
    """

    reply: Reply
    model: str
    age: float


class ExactCache:
    """`revisions` has each configured model's (see `gateway.cache.revision`). `now` gives Unix seconds."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        revisions: Mapping[str, str],
        counts: Counts,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.policy = policy
        self.counts = counts
        self.flights = Flights()
        self.now = now
        self._revisions = revisions

    def open(
        self, call: Call, guards: Iterable[str] = (), controls: Controls = ANYTHING, *, model: str | None = None
    ) -> Lookup | None:
        """Begin with one call, after its input guards. None when its caller wants nothing to do with a cache.

        `guards` are those that the key adds. `model` is the configured model that a router chose for the call; the one
        it named, by default.
        """
        if not (controls.reads or controls.writes):
            return None
        model = call.model if model is None else model
        revision = f"{self._revisions[call.model]}:{self._revisions[model]}"
        key = cache_key(call, model=model, revision=revision, guards=guards)
        return Lookup(self, key, call, controls, model)

    async def start(self) -> None:
        await self.store.start()

    async def close(self) -> None:
        await self.store.close()


class Lookup:
    """One request and the cache. A context manager: whatever way it is left, nobody is left waiting.

    with lookup:
        hit = await lookup.get(patience)
        if hit is None:
            reply = ...  # ask a model
            lookup.put(reply, model)
    """

    def __init__(self, cache: ExactCache, key: bytes, call: Call, controls: Controls, model: str) -> None:
        self._cache = cache
        self._key = key
        self._call = call
        self._controls = controls
        self._model = model
        self._flight: Flight | None = None  # while others may wait for us

    async def get(self, patience: float) -> Hit | None:
        """The kept answer, or that of an equal request under way, for which it waits `patience` seconds at most.

        None: ask a model. Call it once.
        """
        hit = await self._find(patience) if self._controls.reads else None
        if hit is None:
            self._cache.counts.misses += 1
        else:
            self._cache.counts.hits += 1
        return hit

    def put(self, reply: Reply, model: str) -> None:
        """Hand over the answer, as its upstream sent it: before guards, and before anything else rewrites it.

        It is kept if it is whole, not too large, and made by the model that was asked first: a fallback's answer would
        outlive the outage. `model` is the configured model that answered.
        """
        if not is_whole(self._call, reply.body):
            self._end_flight(None)
            return
        policy, controls = self._cache.policy, self._controls
        fresh = policy.ttl if controls.ttl is None else min(policy.ttl, controls.ttl)
        entry = Entry(reply.body, reply.usage, reply.served_model, model, self._cache.now(), fresh)
        payload = encode(entry)
        self._end_flight(payload)
        if controls.writes and model == self._model and len(payload) <= policy.max_entry:
            self._cache.store.put(self._key, payload, fresh + policy.stale_if_error)

    def assembler(self) -> ChunkAssembler:
        """What makes a reply to `put` of a stream's chunks."""
        return ChunkAssembler(self._cache.policy.max_entry)

    async def stale(self) -> Hit | None:
        """An answer past its time, if the configuration allows it: for when every target failed."""
        allowed = self._cache.policy.stale_if_error
        if not allowed or not self._controls.reads or self._controls.max_age is not None:
            return None
        hit = self._usable(await self._cache.store.get(self._key), allowed)
        if hit is not None:
            self._cache.counts.stale += 1
        return hit

    async def _find(self, patience: float) -> Hit | None:
        joined = await self._cache.flights.join(self._key, patience)
        if not isinstance(joined, Flight):
            return self._usable(joined)
        # Leading begins before the store is read: an equal request cannot slip in between the two.
        self._flight = joined
        payload = await self._cache.store.get(self._key)
        hit = self._usable(payload)
        if hit is not None:
            self._end_flight(payload)
        return hit

    def _usable(self, payload: bytes | None, past: float = 0.0) -> Hit | None:
        """The answer, if it is one and not too old. `past` is how many seconds it may be over its time."""
        if payload is None:
            return None
        try:
            entry = decode(payload)
        except msgspec.DecodeError:
            self._cache.counts.errors += 1
            return None
        age = entry.age(self._cache.now())
        if age >= min(entry.fresh_for, self._cache.policy.ttl) + past:
            return None
        if self._controls.max_age is not None and age > self._controls.max_age:
            return None
        return Hit(entry.reply(), entry.model, age)

    def _end_flight(self, payload: bytes | None) -> None:
        flight, self._flight = self._flight, None
        if flight is None:
            return
        if payload is None:
            flight.fail()
        else:
            flight.land(payload)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._flight is not None and isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._flight.leave()
            self._flight = None
        self._end_flight(None)
