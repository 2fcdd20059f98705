"""The one way through: admit, guard, answer, guard, settle. Every endpoint that can spend takes it.

The stages know no dialect: a door made the `Call`, and a `ReplyWriter` turns what comes out into the door's bytes.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import Protocol

from gateway.admission.admission import Admission
from gateway.admission.principals import Principal
from gateway.errors import GuardBlockedRequest, GuardUnavailableError, Unsupported
from gateway.pipeline.answer import Chunk, Reply
from gateway.pipeline.attempts import Attempts, OpenStream
from gateway.pipeline.call import Call
from gateway.pipeline.record import Outcome, Record
from gateway.pipeline.settlement import Bill, Settlement
from gateway.pipeline.shaping import StreamShaper
from gateway.routing.router import Router
from gateway.texts import reply_slots
from gateway.upstreams.base import UpstreamError
from guards.runner import GuardRunner, RunnerSession
from guards.types import GuardBlocked, GuardUnavailable


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
    """`rng` drives back-off jitter; the router has its own."""

    def __init__(
        self,
        *,
        router: Router,
        guards: GuardRunner,
        admission: Admission,
        settlement: Settlement,
        rng: random.Random,
    ) -> None:
        self._router = router
        self._guards = guards
        self._admission = admission
        self._settlement = settlement
        self._rng = rng

    async def serve(self, call: Call, principal: Principal, record: Record, writer: ReplyWriter) -> None:
        """Answer one call. Raises GateError for all that goes wrong, also after the first byte was written."""
        model = self._router.find(call.model, principal.may_use)
        call.tenant = principal.tenant
        candidates = [
            candidate
            for candidate in self._router.candidates(model, record.started_at)
            if call.operation in candidate.target.upstream.operations
        ]
        if not candidates:
            raise Unsupported(f"The model {model.name!r} does not serve {call.endpoint}.", param="model")
        attempts = Attempts(candidates, record, self._rng)
        self._settlement.require_writable()
        async with self._admission.admit(principal, call, candidates, record.started_at) as hold:
            record.rates = hold.rates
            with self._settlement.bill(call, record, hold) as bill:
                try:
                    session = self._guards.open(call.tenant, principal.guards)
                    try:
                        await self._guard_input(call, session)
                        record.user, record.tags = call.attribution(principal.tags)
                        if call.stream:
                            await self._stream(call, attempts, session, bill, writer)
                        else:
                            await self._whole(call, attempts, session, bill, writer)
                    finally:
                        record.verdicts = session.verdicts
                except GuardUnavailable as error:
                    name = error.verdict.guard
                    raise GuardUnavailableError(f"The guard {name!r} is unavailable.") from None

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

    async def _whole(
        self, call: Call, attempts: Attempts, session: RunnerSession, bill: Bill, writer: ReplyWriter
    ) -> None:
        reply = await attempts.complete(call)
        slots = reply_slots(reply.body)
        bill.usage, bill.said, bill.counter = reply.usage, [slot.text for slot in slots], attempts.counter
        await bill.ready()
        reply.body["model"] = attempts.record.model
        try:
            await session.check_output(slots)
        except GuardBlocked:
            attempts.record.outcome = Outcome.BLOCKED
            for choice in reply.body["choices"]:
                choice["message"] = {"role": "assistant", "content": "", "refusal": None}
                choice["logprobs"] = None
                choice["finish_reason"] = "content_filter"
        bill.settle()
        await writer.reply(reply)

    async def _stream(
        self, call: Call, attempts: Attempts, session: RunnerSession, bill: Bill, writer: ReplyWriter
    ) -> None:
        opened = await attempts.open_stream(call)
        record = attempts.record
        shaper = StreamShaper(session, record.model or call.model)
        bill.said = shaper.received
        bill.counter = attempts.counter
        async with aclosing(_chunks(opened)) as chunks:
            try:
                async for chunk in chunks:
                    out = await shaper.feed(chunk)
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
