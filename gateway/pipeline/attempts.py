"""Trying targets until one answers: retries, fallbacks, one deadline over them all.

Before the first content of a stream a failed attempt is forgotten and the next target tried. After it the attempt is
the answer, and if it breaks the stream ends with an error.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from time import monotonic

import structlog

from gateway.errors import GateError, UpstreamFailed
from gateway.pipeline.answer import Chunk, ChunkStream, Reply, is_content, served_model
from gateway.pipeline.call import Call
from gateway.pipeline.record import Attempt, Record
from gateway.routing.router import Candidate, Target
from gateway.tokens import TokenCounter
from gateway.upstreams.base import Failure, UpstreamError

log = structlog.get_logger(__name__)

BACK_OFF = 0.1  # seconds before the first retry; doubled for each further one, with jitter
MAX_WAIT = 5.0  # an upstream that asks for more than this is left for the next target


@dataclass(slots=True)
class OpenStream:
    """A stream whose first content has come: `head` holds the chunks up to it, `rest` the generator of the others."""

    head: list[Chunk]
    rest: AsyncGenerator[Chunk, None]


@dataclass(slots=True)
class Attempts:
    """All attempts of one request. They are written into `record` as they end, whatever ends them."""

    candidates: list[Candidate]
    record: Record
    rng: random.Random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    answered: Candidate | None = None  # whose answer it is, once there is one
    _failures: list[UpstreamError] = field(default_factory=list)

    @property
    def counter(self) -> TokenCounter:
        """What counts the tokens of the answer."""
        return self.answered.target.tokens if self.answered else TokenCounter()

    async def complete(self, call: Call) -> Reply:
        """A whole reply. Raises GateError when the request is at fault or no target is left."""
        async with aclosing(self._tries()) as tries:
            async for candidate in tries:
                target = candidate.target
                with self._failing_over(target), self._attempt(candidate):
                    async with asyncio.timeout(self._remaining(target)):
                        reply = await target.upstream.complete(call)
                    self._answered(candidate, reply.served_model)
                    return reply
        raise self._exhausted()

    async def open_stream(self, call: Call) -> OpenStream:
        """A stream, once its first content is here. Raises as `complete` does."""
        async with aclosing(self._tries()) as tries:
            async for candidate in tries:
                target = candidate.target
                chunks = self._timed(candidate, target.upstream.stream(call))
                head: list[Chunk] = []
                try:
                    with self._failing_over(target):
                        async for chunk in chunks:
                            head.append(chunk)
                            if is_content(chunk):
                                self._answered(candidate, served_model(chunk.body))
                                return OpenStream(head, chunks)
                except BaseException:
                    await chunks.aclose()
                    raise
        raise self._exhausted()

    async def _tries(self) -> AsyncGenerator[Candidate, None]:
        """Each candidate, and again for its retries, with the waits between."""
        for candidate in self.candidates:
            for retry in range(candidate.target.retries + 1):
                if retry:
                    wait = self._back_off(retry)
                    if wait is None or wait >= self._remaining(candidate.target):
                        break
                    await self.sleep(wait)
                if self._remaining(candidate.target) <= 0:
                    break
                yield candidate

    def _back_off(self, retry: int) -> float | None:
        """Seconds until the next try at the same target; None when there should be none."""
        last = self._failures[-1]
        if last.failure is Failure.TIMEOUT:
            return None  # it may still be at work on the first try; a second would be paid twice
        wait = BACK_OFF * 2.0 ** (retry - 1) * self.rng.uniform(0.5, 1.5)
        wait = max(wait, last.retry_after or 0.0)
        return wait if wait <= MAX_WAIT else None

    def _remaining(self, target: Target) -> float:
        return target.timeouts.total - (monotonic() - self.record.started)

    @contextmanager
    def _attempt(self, candidate: Candidate) -> Iterator[None]:
        """Book one attempt with the way it ended."""
        attempt = Attempt(candidate.target.name, monotonic())
        self.record.attempts.append(attempt)
        try:
            yield
        except UpstreamError as error:
            attempt.outcome = error.failure.value
            raise
        except TimeoutError:
            attempt.outcome = Failure.TIMEOUT.value
            raise UpstreamError(Failure.TIMEOUT, "no answer in time") from None
        except GateError:
            attempt.outcome = "refused"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            attempt.outcome = "cancelled"
            if self.answered is None:
                self._answered(candidate, None)  # it was at work, and will be paid for that
            raise
        except BaseException:
            attempt.outcome = Failure.ERROR.value  # a fault of ours
            raise
        finally:
            attempt.ended = monotonic()

    @contextmanager
    def _failing_over(self, target: Target) -> Iterator[None]:
        """Swallow an attempt's failure, but keep it: the next candidate may do, and the log must know."""
        try:
            yield
        except UpstreamError as error:
            self._failures.append(error)
            log.warning(
                "attempt failed",
                request_id=self.record.request_id,
                target=target.name,
                failure=error.failure.value,
                detail=str(error),
            )

    async def _timed(self, candidate: Candidate, chunks: ChunkStream) -> ChunkStream:
        """The chunks under the target's time limits, booked as one attempt until the last of them."""
        target = candidate.target
        first_content_by = monotonic() + target.timeouts.first_token
        content = False
        with self._attempt(candidate):
            async with aclosing(chunks):
                while True:
                    wait = target.timeouts.idle if content else first_content_by - monotonic()
                    async with asyncio.timeout(min(wait, self._remaining(target))):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    content = content or is_content(chunk)
                    yield chunk
            if not content:
                raise UpstreamError(Failure.BROKEN, "the stream ended without content")

    def _answered(self, candidate: Candidate, served_model: str | None) -> None:
        self.answered = candidate
        self.record.model = candidate.model.name
        self.record.target = candidate.target.name
        self.record.price = candidate.price
        self.record.served_model = served_model

    def _exhausted(self) -> GateError:
        if not self._failures:
            return UpstreamFailed("No target could answer this request.")
        kinds = {failure.failure for failure in self._failures}
        if len(kinds) > 1:
            return UpstreamError(Failure.ERROR, "").as_gate_error()
        return self._failures[-1].as_gate_error()
