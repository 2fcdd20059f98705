"""What guards ask of language models: calls of their own, on behalf of the request they guard.

A question goes the way of any call (router, attempts, fallbacks, breakers, deadline), but past all guards, past the
response cache, and past limits on rates and concurrency: the request holds those already, and would wait for itself.
Budgets it is not past: what it may cost is held, and billed to the request's key, user, team and tags, in a row of its
own. The model is the operator's choice, so no allow-list of a key is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from time import monotonic

import msgspec
import structlog

from billing.entry import UsageEntry
from gateway.admission.admission import Admission
from gateway.admission.principals import Principal
from gateway.errors import ContentFiltered, ContextTooLong, GateError, InvalidRequest
from gateway.guarding.budgets import budgeted_tags, hold_budgets
from gateway.guarding.questions import ENDPOINT, question_call, words_of
from gateway.ids import new_id
from gateway.pipeline.attempts import Attempts
from gateway.pipeline.call import Call
from gateway.pipeline.record import Record
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import Settlement
from gateway.routing.router import Model, Router
from gateway.texts import reply_texts
from guards.types import ModelUnavailable, Question

log = structlog.get_logger(__name__)

MAX_QUESTIONS = 64  # of all guards of one request: what goes on asking has gone astray
TAG = "guard"  # names the guard that asked, in the row of its question

Find = Callable[[str, Call], Model]


class GuardModels:
    """The models of one line, for guards to ask. `find` gives the model of a name, for a call of it."""

    def __init__(
        self,
        *,
        find: Find,
        router: Router,
        admission: Admission,
        settlement: Settlement,
        rng: random.Random,
        recorder: Recorder | None = None,
    ) -> None:
        self._find = find
        self._router = router
        self._admission = admission
        self._settlement = settlement
        self._rng = rng
        self._recorder = recorder
        self._plain: set[str] = set()  # models that refused a schema or a temperature

    def open(self, call: Call, principal: Principal, record: Record, model: Model) -> RequestModels:
        """For the guards of one request: `call`, which `model` serves."""
        return RequestModels(self, call, principal, record, model)

    async def answer(self, guard: str, question: Question, request: RequestModels) -> str:
        """Raises GateError, ModelUnavailable."""
        name = question.model or request.model.name
        if name not in self._plain:
            try:
                return await self._ask(guard, question_call(question, name), question, request)
            except (ContextTooLong, ContentFiltered):
                raise
            except InvalidRequest:
                words = await self._ask(guard, question_call(question, name, plain=True), question, request)
                self._plain.add(name)
                return words
        return await self._ask(guard, question_call(question, name, plain=True), question, request)

    async def _ask(self, guard: str, call: Call, question: Question, request: RequestModels) -> str:
        call.tenant = request.call.tenant
        model = request.model if question.model is None else self._find(question.model, call)
        at = datetime.now(UTC)
        candidates = [
            candidate
            for candidate in self._router.candidates(model, at, call)
            if call.operation in candidate.target.upstream.operations
        ]
        if not candidates:
            raise ModelUnavailable("the model does not chat")
        record = _record(guard, call, request, at)
        attempts = Attempts(candidates, record, self._rng)
        _, call.tags = request.call.attribution(request.principal.tags)
        payer = msgspec.structs.replace(request.principal, tags={**request.principal.tags, TAG: guard})
        with self._recorder.under_way(record) if self._recorder else nullcontext():
            async with hold_budgets(self._admission, payer, call, candidates, at) as hold:
                record.tags = {**budgeted_tags(hold), TAG: guard}
                with self._settlement.bill(call, record, hold, rows=request) as bill:
                    reply = await attempts.complete(call)
                    if attempts.answered is None:
                        bill.waive()
                    else:
                        bill.usage, bill.counter = reply.usage, attempts.counter
                        bill.said = [slot.text for slot in reply_texts(reply.body)]
                        await bill.ready()
                    bill.settle()
        if attempts.answered is None:  # the configuration's message for that is no verdict
            raise ModelUnavailable("no target answered")
        return words_of(reply)

    def write(self, rows: Sequence[UsageEntry]) -> None:
        """Raises StorageUnavailable."""
        self._settlement.write(rows)


class RequestModels:
    """A ModelCaller for the guards of one request.

    Rows of questions wait until it is known what the request is booked to, which is after its input guards: they carry
    its user and tags as those guards left them. Of a request that gets no further they carry the key's own tags, and
    those that have a budget.
    """

    __slots__ = ("_asked", "_attributed", "_closed", "_models", "_record", "_rows", "call", "model", "principal")

    def __init__(self, models: GuardModels, call: Call, principal: Principal, record: Record, model: Model) -> None:
        self._models = models
        self._record = record
        self._asked = 0
        self._attributed = False
        self._closed = False
        self._rows: list[UsageEntry] = []
        self.call = call
        self.principal = principal
        self.model = model

    @property
    def request_id(self) -> str:
        return self._record.request_id

    @property
    def traceparent(self) -> str | None:
        return self._record.traceparent

    async def ask(self, guard: str, question: Question) -> str:
        """The model's words. Raises ModelUnavailable, whose message names a reason and quotes nothing."""
        if self._closed:
            raise ModelUnavailable("the request is over")
        if self._asked >= MAX_QUESTIONS:
            raise ModelUnavailable(f"the guards of one request may ask {MAX_QUESTIONS} questions")
        self._asked += 1
        try:
            return await self._models.answer(guard, question, self)
        except GateError as error:
            log.warning(
                "a guard's question was not answered", request_id=self.request_id, guard=guard, reason=error.code
            )
            raise ModelUnavailable(error.code) from None

    def record(self, entry: UsageEntry) -> None:
        """Take the row of one question. Raises StorageUnavailable."""
        self._rows.append(entry)
        if self._attributed or self._closed:  # closed: of a question that was cut short, and noticed it late
            self._write()

    def attributed(self) -> None:
        """The request's record has its user and tags now. Raises StorageUnavailable."""
        self._attributed = True
        self._write()

    def close(self) -> None:
        """The request is over. Raises StorageUnavailable."""
        self._closed = True
        self._write()

    def _write(self) -> None:
        """The rows that wait, booked as the request is by now."""
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        tags = self._record.tags if self._attributed else self.principal.tags
        user = self.principal.user or (self._record.user if self._attributed else None)
        self._models.write([msgspec.structs.replace(row, user=user, tags={**tags, **row.tags}) for row in rows])


def _record(guard: str, call: Call, request: RequestModels, at: datetime) -> Record:
    return Record(
        id=new_id(),
        request_id=request.request_id,
        traceparent=request.traceparent,
        endpoint=ENDPOINT,
        started_at=at,
        started=monotonic(),
        principal=request.principal,
        requested_model=call.model,
        tags={TAG: guard},
    )
