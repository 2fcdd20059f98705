"""Where the answer of a request comes from: the cache, else a target, else what the cache has past its time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from gateway.cache.exact import Hit, Lookup
from gateway.cache.replay import replay
from gateway.errors import GateError, RateLimited
from gateway.pipeline.answer import Chunk, Reply
from gateway.pipeline.attempts import Attempts, OpenStream
from gateway.pipeline.call import Call
from gateway.upstreams.base import UpstreamError

CACHE = "sluicegate/cache"  # what stands for it in headers, metrics and the ledger


@dataclass(slots=True)
class Source:
    """Of one request. `lookup` is None where no cache is to be asked.

    `free`: the answer is one that nobody is paid for now.
    """

    attempts: Attempts
    lookup: Lookup | None
    free: bool = False

    async def whole(self, call: Call) -> Reply:
        """A whole reply. Raises GateError."""
        if (hit := await self._kept()) is not None:
            return hit.reply
        try:
            reply = await self.attempts.complete(call)
        except GateError as error:
            return (await self._past_its_time(error)).reply
        if self.attempts.answered is None:
            self.free = True
            if (hit := await self._stale()) is not None:
                return hit.reply
        elif self.lookup is not None:
            self.lookup.put(reply, self.attempts.answered.model.name)
        return reply

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """A stream whose first content is here. Closing it closes the upstream's. Raises GateError."""
        if (hit := await self._kept()) is not None:
            return _replayed(hit)
        try:
            opened = await self.attempts.open_stream(call)
        except GateError as error:
            return _replayed(await self._past_its_time(error))
        if self.attempts.answered is None:
            self.free = True
            if (hit := await self._stale()) is not None:
                return _replayed(hit)
        elif self.lookup is not None:
            return _recorded(_chunks(opened), self.lookup, self.attempts.answered.model.name)
        return _chunks(opened)

    async def _kept(self) -> Hit | None:
        if self.lookup is None:
            return None
        hit = await self.lookup.get(self.attempts.candidates[0].target.timeouts.first_token)
        self.attempts.record.cache = "miss" if hit is None else "hit"
        return None if hit is None else self._use(hit)

    async def _past_its_time(self, error: GateError) -> Hit:
        """Raises `error` if it is the request's own, or nothing was kept."""
        failed = error.status >= 500 or (isinstance(error, RateLimited) and error.limit == "upstream")
        hit = await self._stale() if failed else None
        if hit is None:
            raise error
        return hit

    async def _stale(self) -> Hit | None:
        hit = None if self.lookup is None else await self.lookup.stale()
        return None if hit is None else self._use(hit)

    def _use(self, hit: Hit) -> Hit:
        record = self.attempts.record
        record.model, record.target, record.served_model = hit.model, CACHE, hit.reply.served_model
        record.price = None
        self.free = True
        return hit


async def _replayed(hit: Hit) -> AsyncGenerator[Chunk, None]:
    for chunk in replay(hit.reply):
        yield chunk


async def _recorded(chunks: AsyncGenerator[Chunk, None], lookup: Lookup, model: str) -> AsyncGenerator[Chunk, None]:
    """The same chunks; the reply they make is handed to the cache once it is whole."""
    assembler = lookup.assembler()
    async with aclosing(chunks):
        async for chunk in chunks:
            assembler.add(chunk)  # before a guard rewrites it
            yield chunk
    if (reply := assembler.reply()) is not None:
        lookup.put(reply, model)


async def _chunks(opened: OpenStream) -> AsyncGenerator[Chunk, None]:
    """The whole stream, head and rest; it closes the upstream when it is closed."""
    async with aclosing(opened.rest):
        for chunk in opened.head:
            yield chunk
        try:
            async for chunk in opened.rest:
                yield chunk
        except UpstreamError as error:
            raise error.as_gate_error() from None
