"""Trying targets until one answers: retries, fallbacks, hedges, one deadline over them all.

Before the first content of a stream a failed attempt is forgotten and the next target tried. After it the attempt is
the answer, and if it breaks the stream ends with an error.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from types import TracebackType

import structlog

from gateway.errors import GateError, RateLimited, Unavailable, UpstreamFailed
from gateway.pipeline import last_resort
from gateway.pipeline.answer import ChunkStream, Reply, is_content
from gateway.pipeline.backoff import back_off
from gateway.pipeline.call import Call
from gateway.pipeline.chain import Chain, reason_of, surely_too_long
from gateway.pipeline.hedge import Run, patience, race
from gateway.pipeline.limit import Limit
from gateway.pipeline.record import Attempt, Record
from gateway.pipeline.trial import FILTERED, OpenStream, Trial
from gateway.routing.router import Candidate, Reason, Target
from gateway.routing.state import TargetOpen
from gateway.tokens import TokenCounter
from gateway.upstreams.base import Failure, UpstreamError

__all__ = ["Attempts", "OpenStream"]

log = structlog.get_logger(__name__)

HEDGED = "hedged"


@dataclass(slots=True)
class Attempts:
    """All attempts of one request. They are written into `record` as they end, whatever ends them.

    `candidates` are those of `Router.candidates`, the asked model's first. `clock` is the one `record.started` is of.
    """

    candidates: list[Candidate]
    record: Record
    rng: random.Random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = monotonic
    answered: Candidate | None = None  # whose answer it is, once there is one; None for a last resort
    _failures: list[UpstreamError] = field(default_factory=list)
    _skipped: list[Target] = field(default_factory=list)  # by an open breaker
    _spent: set[int] = field(default_factory=set)  # ids of candidates that are not tried again
    _reason: Reason = Reason.ERROR  # how the model being tried fails
    _refusal: GateError | None = None  # what it said, if that was about the request
    _filtered: Trial | None = None  # an answer its provider filtered: the last one, if nobody has a better
    _chain: Chain = field(init=False)

    def __post_init__(self) -> None:
        self._chain = Chain(self.candidates)

    @property
    def counter(self) -> TokenCounter:
        """What counts the tokens of the answer."""
        return self.answered.target.tokens if self.answered else TokenCounter()

    async def complete(self, call: Call) -> Reply:
        """A whole reply. Raises GateError when the request is at fault or no target is left."""
        trial = await self._search(call, partial(self._whole, call), stream=False)
        if trial is None:
            return last_resort.message_reply(*self._resort(call))
        assert isinstance(trial.answer, Reply)
        return trial.answer

    async def open_stream(self, call: Call) -> OpenStream:
        """A stream, once its first content is here. Raises as `complete` does."""
        trial = await self._search(call, partial(self._stream, call), stream=True)
        if trial is None:
            return last_resort.message_stream(*self._resort(call))
        assert isinstance(trial.answer, OpenStream)
        return trial.answer

    async def _search(self, call: Call, run: Run, *, stream: bool) -> Trial | None:
        """The try whose answer it is; None where every target failed."""
        while (group := self._chain.next()) is not None:
            self._reason, self._refusal = Reason.ERROR, None
            model = group[0].model
            if self._chain.has_fallback(model, Reason.CONTEXT_WINDOW) and all(surely_too_long(call, c) for c in group):
                self._reason = Reason.CONTEXT_WINDOW
            for candidate in group:
                retry = 0
                while self._reason is Reason.ERROR and await self._may_try(candidate, retry):
                    retry += 1
                    trial = await self._try(call, candidate, run, stream=stream)
                    if trial is None:
                        continue
                    if trial.filtered and self._chain.has_fallback(candidate.model, Reason.CONTENT_FILTER):
                        await self._set_aside(call, trial)
                        continue
                    self._answered(trial.candidate, trial.served_model)
                    return trial
            self._chain.failed(model, self._reason)
        if self._filtered is not None:
            self._filtered.unbill()
            self._answered(self._filtered.candidate, self._filtered.served_model)
        return self._filtered

    async def _may_try(self, candidate: Candidate, retry: int) -> bool:
        """Whether to send the request there now; a retry's wait is over when this returns."""
        target = candidate.target
        if retry > target.retries or id(candidate) in self._spent:
            return False
        if retry:
            wait = back_off(retry, self._failures[-1], self.rng)
            if wait is None or wait >= self.remaining(target) or not target.state.admits:
                return False
            await self.sleep(wait)
        if not target.state.admits:
            self._skipped.append(target)
            return False
        return self.remaining(target) > 0

    async def _try(self, call: Call, candidate: Candidate, run: Run, *, stream: bool) -> Trial | None:
        """One try, or two at once; None if it failed so that another may do."""
        trial = Trial(candidate)
        hedge = candidate.model.hedge
        wait = None if hedge is None else patience(hedge, candidate.target, stream=stream)
        if wait is not None:
            return await self._hedged(call, trial, run, wait)
        try:
            await run(trial)
        except Exception as error:
            if not self._passed_over(candidate, error):
                raise
        return trial if trial.answer is not None else None

    async def _hedged(self, call: Call, first: Trial, run: Run, wait: float) -> Trial | None:
        trials = [first]
        try:
            winner = await race(run, trials, lambda: self._second(first.candidate), self.sleep(wait))
        except BaseException:
            # Nobody waits any more. What was begun last is booked as the one that was left, all before it as losers.
            begun = [trial for trial in trials if trial.attempt is not None]
            for trial in begun[:-1]:
                trial.bill(call, HEDGED)
            for trial in begun[-1:]:
                self._answered(trial.candidate, None)
            raise
        for trial in trials:
            if len(trials) > 1:
                self._spent.add(id(trial.candidate))
            if trial is winner:
                continue
            if winner is not None:
                trial.bill(call, HEDGED)
            error = trial.error
            if error is not None and not self._passed_over(trial.candidate, error, final=winner is None):
                raise error
        return winner

    def _second(self, first: Candidate) -> Trial | None:
        """A try at another target of the same model, if one may be asked."""
        for candidate in self.candidates:
            target = candidate.target
            if candidate.model is not first.model or target.name == first.target.name:
                continue
            if id(candidate) not in self._spent and target.state.admits and self.remaining(target) > 0:
                return Trial(candidate)
        return None

    async def _whole(self, call: Call, trial: Trial) -> None:
        target = trial.candidate.target
        with self._attempt(trial, stream=False) as answered:
            with Limit(self.remaining(target)):
                trial.answer = await target.upstream.complete(call)
            answered()

    async def _stream(self, call: Call, trial: Trial) -> None:
        chunks = self._timed(trial, trial.candidate.target.upstream.stream(call))
        try:
            async for chunk in chunks:
                trial.heard.append(chunk)
                if is_content(chunk):
                    trial.answer = OpenStream(trial.heard, chunks)
                    return
        except BaseException:
            await chunks.aclose()
            raise

    async def _timed(self, trial: Trial, chunks: ChunkStream) -> ChunkStream:
        """The chunks under the target's time limits, booked as one attempt until the last of them."""
        target = trial.candidate.target
        content = False
        with self._attempt(trial, stream=True) as answered:
            first_content_by = self.clock() + target.timeouts.first_token
            async with aclosing(chunks):
                while True:
                    wait = target.timeouts.idle if content else first_content_by - self.clock()
                    with Limit(min(wait, self.remaining(target))):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    if not content and is_content(chunk):
                        content = True
                        answered()
                    yield chunk
            if not content:
                raise UpstreamError(Failure.BROKEN, "the stream ended without content")

    async def _set_aside(self, call: Call, trial: Trial) -> None:
        """Keep a filtered answer for the case that nobody has a better one, and book what it cost."""
        if isinstance(trial.answer, OpenStream):
            try:
                async for chunk in trial.answer.rest:  # its usage comes last
                    trial.heard.append(chunk)
            except Exception as error:
                if not self._passed_over(trial.candidate, error):
                    raise
            trial.answer = OpenStream(trial.heard, last_resort.nothing())
        trial.bill(call, FILTERED)
        self._filtered, self._reason = trial, Reason.CONTENT_FILTER

    def remaining(self, target: Target) -> float:
        return target.timeouts.total - (self.clock() - self.record.started)

    def _attempt(self, trial: Trial, *, stream: bool) -> _Booked:
        return _Booked(self, trial, stream)

    def _passed_over(self, candidate: Candidate, error: Exception, *, final: bool = True) -> bool:
        """Whether another candidate may mend a failure. Then it is kept: the caller and the log must know.

        `final` is False for one that is already mended.
        """
        if isinstance(error, UpstreamError):
            self._failures.append(error)
            log.warning(
                "attempt failed",
                request_id=self.record.request_id,
                target=candidate.target.name,
                failure=error.failure.value,
                detail=str(error),
            )
            return True
        if isinstance(error, TargetOpen):
            self._skipped.append(candidate.target)
            self._spent.add(id(candidate))
            return True
        if not isinstance(error, GateError):
            return False
        if final:
            reason = reason_of(error)
            if reason is None:
                return False
            self._reason, self._refusal = reason, error
        return True

    def _answered(self, candidate: Candidate, served_model: str | None) -> None:
        self.answered = candidate
        self.record.model = candidate.model.name
        self.record.target = candidate.target.name
        self.record.price = candidate.price
        self.record.served_model = served_model

    def abandoned(self, candidate: Candidate) -> None:
        """Its caller left while it was at work: it will be paid for that."""
        if self.answered is None:
            self._answered(candidate, None)

    def _resort(self, call: Call) -> tuple[str, str]:
        """The asked model's name and its message for when every target failed. Raises GateError without one."""
        asked = self.candidates[0].model
        if self._refusal is not None or asked.last_resort is None or call.operation not in last_resort.ANSWERS:
            raise self._exhausted()
        self.record.model, self.record.target = asked.name, last_resort.TARGET
        self.record.price = self.record.served_model = None
        return asked.name, asked.last_resort

    def _exhausted(self) -> GateError:
        if self._refusal is not None:
            return self._refusal
        if not self._failures:
            return self._all_open()
        kinds = {failure.failure for failure in self._failures}
        if len(kinds) > 1:
            return UpstreamError(Failure.ERROR, "").as_gate_error()
        return self._failures[-1].as_gate_error()

    def _all_open(self) -> GateError:
        """Nobody was asked: the breakers say who may be asked again when."""
        if not self._skipped:
            return UpstreamFailed("No target could answer this request.")
        wait = max(1.0, min(target.state.opens_in for target in self._skipped))
        if all(target.state.last_failure is Failure.BUSY for target in self._skipped):
            return RateLimited("The model is busy; try again later.", retry_after=wait)
        return Unavailable("The model does not answer for now; try again later.", retry_after=wait)


class _Booked:
    """Around one attempt: booked with the way it ended. Gives what to call at the first content. Raises TargetOpen."""

    __slots__ = ("_attempt", "_attempts", "_candidate", "_content", "_permit", "_state", "_stream")

    def __init__(self, attempts: Attempts, trial: Trial, stream: bool) -> None:
        self._attempts, self._candidate, self._stream = attempts, trial.candidate, stream
        self._state = self._candidate.target.state
        self._permit = self._state.begin()
        self._attempt = trial.attempt = Attempt(self._candidate.target.name, attempts.clock())
        attempts.record.attempts.append(self._attempt)
        self._content = False

    def __enter__(self) -> Callable[[], None]:
        return self._answered

    def _answered(self) -> None:
        self._content = True
        self._state.answered(self._permit, self._attempts.clock() - self._attempt.started, stream=self._stream)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._ended_by(error)
        finally:
            self._attempt.ended = self._attempts.clock()
            self._state.end(self._permit)

    def _ended_by(self, error: BaseException) -> None:
        """Raises UpstreamError in place of a TimeoutError."""
        attempt = self._attempt
        if isinstance(error, UpstreamError):
            self._failed(error)
        elif isinstance(error, TimeoutError):
            timeout = UpstreamError(Failure.TIMEOUT, "no answer in time")
            if self._attempts.remaining(self._candidate.target) > 0 or len(self._attempts.record.attempts) == 1:
                self._failed(timeout)
            else:
                attempt.outcome = timeout.failure.value  # attempts before it took its time: that is no fault of it
            raise timeout from None
        elif isinstance(error, GateError):
            attempt.outcome = "refused"
            self._state.lives(self._permit)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            attempt.outcome = "cancelled"
            self._attempts.abandoned(self._candidate)
        else:
            attempt.outcome = Failure.ERROR.value  # a fault of ours

    def _failed(self, error: UpstreamError) -> None:
        self._attempt.outcome = error.failure.value
        seconds = 0.0 if self._content else self._attempts.clock() - self._attempt.started
        self._state.failed(self._permit, error, seconds, stream=self._stream)
