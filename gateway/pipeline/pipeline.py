"""The one way through: admit, guard, answer, guard, settle. Every endpoint that can spend takes it.

The stages know no dialect: a door made the `Call`, and a `ReplyWriter` turns what comes out into the door's bytes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import aclosing, nullcontext
from dataclasses import replace
from time import monotonic
from types import MappingProxyType
from typing import Protocol

from gateway.admission.admission import Admission
from gateway.admission.principals import Principal
from gateway.cache.exact import ANYTHING, ExactCache, Lookup
from gateway.errors import GuardBlockedRequest, GuardUnavailableError, Unsupported
from gateway.guarding.models import GuardModels
from gateway.pipeline.answer import Chunk, Reply
from gateway.pipeline.attempts import Attempts
from gateway.pipeline.call import Call, Operation
from gateway.pipeline.record import Outcome, Record
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import Bill, Settlement
from gateway.pipeline.shaping import StreamShaper
from gateway.pipeline.source import Source
from gateway.routing.difficulty import DifficultyRouter
from gateway.routing.router import Candidate, Model, Router
from gateway.texts import reply_slots, reply_texts, without_texts, write_back
from guards.runner import GuardRunner, RunnerSession
from guards.types import GuardBlocked, GuardRequest, GuardUnavailable, Scope


class ReplyWriter(Protocol):
    """Writes one answer to the caller, in the caller's dialect."""

    async def reply(self, reply: Reply) -> None: ...

    async def chunks(self, chunks: list[Chunk]) -> None:
        """Send pieces of a stream; the first call opens it."""
        ...

    async def end(self, chunks: list[Chunk]) -> None:
        """Send the last pieces and the stream's end mark, in one write."""
        ...


class Pipeline:
    """`rng` drives back-off jitter; the router has its own. `difficulty`: of the models that route by it, by name.

    `moderation`: what answers moderations that no model can; see `gateway.moderation`.
    """

    def __init__(
        self,
        *,
        router: Router,
        guards: GuardRunner,
        admission: Admission,
        settlement: Settlement,
        rng: random.Random,
        cache: ExactCache | None = None,
        difficulty: Mapping[str, DifficultyRouter] = MappingProxyType({}),
        recorder: Recorder | None = None,
        moderation: Candidate | None = None,
    ) -> None:
        self._router = router
        self._guards = guards
        self._admission = admission
        self._settlement = settlement
        self._rng = rng
        self._cache = cache
        self._difficulty = difficulty
        self._moderation = moderation
        self._models = GuardModels(
            find=lambda name, asked: self._chosen(router.find(name, None), asked)[0],
            router=router,
            admission=admission,
            settlement=settlement,
            rng=rng,
            recorder=recorder,
        )

    async def serve(self, call: Call, principal: Principal, record: Record, writer: ReplyWriter) -> None:
        """Answer one call. Raises GateError for all that goes wrong, also after the first byte was written."""
        call.tenant = principal.tenant
        decided: dict[str, str] = {}
        own = self._own_answer(call)
        if own is not None:
            model, candidates = own.model, [own]
        else:
            model, decided = self._chosen(self._router.find(call.model, principal.may_use), call)
            candidates = [
                candidate
                for candidate in self._router.candidates(model, record.started_at, call)
                if call.operation in candidate.target.upstream.operations
            ]
        if not candidates:
            raise Unsupported(f"The model {call.model!r} does not serve {call.endpoint}.", param="model")
        attempts = Attempts(candidates, record, self._rng)
        self._settlement.require_writable()
        async with self._admission.admit(principal, call, candidates, record.started_at) as hold:
            record.rates = hold.rates
            with self._settlement.bill(call, record, hold) as bill:
                try:
                    models = self._models.open(call, principal, record, model)
                    if own is not None:  # what is to be judged goes nowhere; what it is booked to does
                        call.slots = [slot for slot in call.slots if slot.scope is Scope.OTHER]
                    request = GuardRequest(call.tenant, models, call.reply_schema)
                    session = self._guards.open(request, principal.guards)
                    try:
                        await self._guard_input(call, session)
                        record.verdicts = session.verdicts  # a stream's head tells them
                        record.user, record.tags = call.attribution(principal.tags)
                        record.tags |= decided
                        models.attributed()
                        lookup = None if own else self._lookup(call, principal, model)
                        with lookup or nullcontext():
                            answer = self._stream if call.stream else self._whole
                            await answer(call, Source(attempts, lookup), session, bill, writer)
                    finally:
                        record.verdicts = session.verdicts
                        models.close()
                except GuardUnavailable as error:
                    name = error.verdict.guard
                    raise GuardUnavailableError(f"The guard {name!r} is unavailable.") from None

    def _own_answer(self, call: Call) -> Candidate | None:
        """What answers a moderation that no configured model of the asked name can."""
        if call.operation is not Operation.MODERATIONS or self._router.serves(call.model, call.operation):
            return None
        return self._moderation

    def _chosen(self, asked: Model, call: Call) -> tuple[Model, dict[str, str]]:
        """The model that serves, and tags that tell why. Another than the asked one where that routes by difficulty."""
        router = self._difficulty.get(asked.name)
        if router is None:
            return asked, {}
        decision = router.decide_body(call.body, call.difficulty)
        chosen = self._router.find(router.model_for(decision), None)
        serving = replace(
            chosen,
            fallbacks=(*chosen.fallbacks, *asked.fallbacks),
            context_window_fallbacks=(*chosen.context_window_fallbacks, *asked.context_window_fallbacks),
            content_filter_fallbacks=(*chosen.content_filter_fallbacks, *asked.content_filter_fallbacks),
            last_resort=chosen.last_resort or asked.last_resort,
        )
        return serving, decision.tags()

    def _lookup(self, call: Call, principal: Principal, model: Model) -> Lookup | None:
        if self._cache is None:
            return None
        return self._cache.open(call, principal.guards, call.cache or ANYTHING, model=model.name)

    async def _guard_input(self, call: Call, session: RunnerSession) -> None:
        if session.guards_output and call.body.get("logprobs") not in (None, False):
            # They spell the reply out token by token, past any guard.
            raise Unsupported("'logprobs' cannot be given while a guard looks at the reply.", param="logprobs")
        if session.guards_input and call.opaque is not None:
            raise Unsupported(
                f"'{call.opaque}' cannot be token ids while a guard looks at the request; send the text.",
                param=call.opaque,
            )
        try:
            await session.check_input(call.slots)
        except GuardBlocked as error:
            name = error.verdict.guard
            raise GuardBlockedRequest(f"The request was blocked by the guard {name!r}.", param=name) from None
        write_back(call.slots)

    async def _whole(self, call: Call, source: Source, session: RunnerSession, bill: Bill, writer: ReplyWriter) -> None:
        reply = await source.whole(call)
        record = source.attempts.record
        if source.free:
            bill.waive()
        else:
            bill.usage, bill.counter = reply.usage, source.attempts.counter
            bill.said = [slot.text for slot in reply_texts(reply.body)]
            await bill.ready()
        reply.body["model"] = record.model
        try:
            slots = reply_slots(reply.body)
            await session.check_output(slots)
            write_back(slots)
        except GuardBlocked:
            record.outcome = Outcome.BLOCKED
            without_texts(reply.body)
        record.verdicts = session.verdicts
        bill.settle()
        await writer.reply(reply)

    async def _stream(
        self, call: Call, source: Source, session: RunnerSession, bill: Bill, writer: ReplyWriter
    ) -> None:
        chunks = await source.stream(call)
        record = source.attempts.record
        shaper = StreamShaper(session, record.model or call.model)
        if source.free:
            bill.waive()
        else:
            bill.said, bill.counter = shaper.received, source.attempts.counter
        async with aclosing(chunks):
            try:
                async for chunk in chunks:
                    out = await shaper.feed(chunk)
                    if not source.free:
                        bill.usage = shaper.usage
                    if out:
                        if record.first_token is None:
                            record.first_token = monotonic()
                        await writer.chunks(out)
                ending = await shaper.finish(include_usage=call.include_usage)
            except GuardBlocked:
                record.outcome = Outcome.BLOCKED
                ending = shaper.blocked()
        await bill.ready()
        bill.settle()
        await writer.end(ending)
