"""What a request holds while it is under way: reserved together on the way in, settled once on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import TracebackType

from billing.cost import worst_pico
from billing.money import MAX_PICO, MAX_USD, to_pico
from billing.usage import Usage
from gateway.admission.alerts import Alerts
from gateway.admission.claims import Demand, Need, has_budget, needs, used
from gateway.admission.limits import Binding
from gateway.admission.principals import Principal
from gateway.admission.refusals import RateStatus, rate_status, refusal, unpriced
from gateway.admission.seeding import Seeder
from gateway.admission.stores.base import Claim, LimitStore, Refused, StoreUnavailable, Unseeded
from gateway.errors import StorageUnavailable, Unsupported
from gateway.ids import new_id
from gateway.pipeline.call import Call
from gateway.routing.router import Candidate, most_billed

CLOSE_SECONDS = 2.0
MAX_SEEDINGS = 5  # a budget may have to be seeded again when its store loses it in that moment


@dataclass(slots=True, eq=False)
class Hold:
    """One admitted request, and what it came to once that is known."""

    id: str
    needs: Sequence[Need] = ()
    claims: Sequence[Claim] = ()  # of the needs
    rates: RateStatus | None = None
    usage: Usage | None = None
    cost: Decimal = Decimal(0)
    billed: Callable[[Sequence[Need]], None] = lambda needs: None

    def settle(self, usage: Usage, cost: Decimal) -> None:
        """What it really used. The first call counts; without one nothing was used, and nothing counts."""
        if self.usage is None:
            self.usage = usage
            self.cost = cost
            self.billed(self.needs)

    def used(self) -> list[int]:
        if self.usage is None:
            return [0] * len(self.needs)
        return used(self.needs, self.usage, to_pico(min(self.cost, MAX_USD)))


@dataclass(frozen=True, slots=True)
class Scopes:
    """What the configuration binds: limits of whole models by name, budgets of tags by (name, value)."""

    models: Mapping[str, Binding] = field(default_factory=dict)
    tags: Mapping[tuple[str, str], Binding] = field(default_factory=dict)
    allow_unpriced: bool = False


class Admission:
    """Reserves for every request in one store of counters."""

    def __init__(self, store: LimitStore, seeder: Seeder, alerts: Alerts, scopes: Scopes) -> None:
        self._store = store
        self._seeder = seeder
        self._alerts = alerts
        self._scopes = scopes
        self._under_way: set[Hold] = set()
        self._settling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait, for a moment, until every settlement is confirmed."""
        if self._settling:
            await asyncio.wait(self._settling, timeout=CLOSE_SECONDS)

    @property
    def in_flight(self) -> int:
        return len(self._under_way)

    def admit(
        self, principal: Principal, call: Call, candidates: Sequence[Candidate], at: datetime
    ) -> AbstractAsyncContextManager[Hold]:
        """Hold what `call` may come to at most at any of its candidates, until the block is left.

        `at` (aware) says which windows of budgets it counts in. Raises RateLimited, BudgetExceeded, StorageUnavailable.
        """
        return _Admitted(self, principal, call, candidates, at)

    async def enter(self, principal: Principal, call: Call, candidates: Sequence[Candidate], at: datetime) -> Hold:
        """See `admit`."""
        hold = Hold(new_id(), billed=self._seeder.billed)
        serving = candidates[0].model.name
        models = (call.model,) if serving == call.model else (call.model, serving)
        bindings = self._bindings(principal, call, models)
        if bindings:
            hold.needs = needs(bindings, self._demand(bindings, call, candidates, models, at))
            hold.claims = [need.claim for need in hold.needs]
            await self._reserve(hold, at)
        self._under_way.add(hold)
        return hold

    async def leave(self, hold: Hold) -> None:
        """See `admit`."""
        self._under_way.discard(hold)
        if hold.needs and self._store.remote:
            # The caller has its answer, and whoever asks next is behind this: nobody waits for the confirmation.
            task = asyncio.create_task(self._settle(hold), name="settlement")
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        elif hold.needs:
            await self._settle(hold)

    def _bindings(self, principal: Principal, call: Call, models: Sequence[str]) -> Sequence[Binding]:
        if not self._scopes.models and not self._scopes.tags:
            return principal.bindings
        found = list(principal.bindings)
        found += [own for model in models if (own := self._scopes.models.get(model)) is not None]
        if self._scopes.tags:
            _, tags = call.attribution(principal.tags)
            found += [binding for pair in tags.items() if (binding := self._scopes.tags.get(pair)) is not None]
        return found

    def _demand(
        self,
        bindings: Sequence[Binding],
        call: Call,
        candidates: Sequence[Candidate],
        models: tuple[str, ...],
        at: datetime,
    ) -> Demand:
        """What the call may come to at most. An answer that nothing else bounds is bounded from here on."""
        budgeted = has_budget(bindings)
        output = call.max_output_tokens
        if output is None:
            output = max([candidate.target.output_cap.tokens for candidate in candidates]) * call.choices
            call.bind_output = budgeted
        paid = most_billed(candidates)
        cost_pico = self._worst_cost(call, candidates, output, paid) if budgeted else 0
        return Demand(
            at,
            models,
            call.input_estimate * paid,
            output * paid,
            call.max_output_tokens is not None,
            min(cost_pico, MAX_PICO),
        )

    def _worst_cost(self, call: Call, candidates: Sequence[Candidate], output: int, paid: int) -> int:
        """At the `paid` dearest candidates, in pico-dollars. Raises BudgetExceeded, Unsupported if it is unknown."""
        if call.surcharged is not None:
            message = f"{call.surcharged!r} as asked has a price of its own, so its cost cannot be held under a budget."
            raise Unsupported(message, param=call.surcharged)
        costs = []
        for candidate in candidates:
            if candidate.price is not None:
                seconds = candidate.target.timeouts.total
                costs.append(worst_pico(candidate.price, call.input_estimate, output, seconds))
            elif not self._scopes.allow_unpriced:
                raise unpriced(candidate)
        if len(costs) > 1:
            costs.sort(reverse=True)
        return sum(costs[:paid])

    async def _reserve(self, hold: Hold, at: datetime) -> None:
        claims = hold.claims
        try:
            answer = await self._store.reserve(hold.id, claims)
            for _ in range(MAX_SEEDINGS):
                if not isinstance(answer, Unseeded):
                    break
                await self._seeder.seed([hold.needs[index] for index in answer.indices])
                answer = await self._store.reserve(hold.id, claims)
        except StoreUnavailable:
            raise StorageUnavailable("Limits cannot be checked right now; try again.") from None
        if isinstance(answer, Unseeded):
            raise StorageUnavailable("Budgets cannot be checked right now; try again.")
        hold.rates = rate_status(hold.needs, answer.levels)
        if isinstance(answer, Refused):
            need = hold.needs[answer.index]
            if answer.first:
                self._alerts.exhausted(need, answer.levels[answer.index].used)
            raise refusal(need, answer, hold.rates, at)
        self._seeder.watch(hold.needs)

    async def _settle(self, hold: Hold) -> None:
        spendings = await self._store.settle(hold.id, hold.claims, hold.used())
        if hold.usage is not None:
            self._seeder.settled(hold.needs)
        for need, spending in zip(hold.needs, spendings, strict=True):
            if spending is not None:
                self._alerts.spent(need, spending)


class _Admitted(AbstractAsyncContextManager[Hold]):
    """`Admission.admit`, without a generator's detours: nothing else is on the way of every request twice."""

    __slots__ = ("_admission", "_asked", "_hold")

    def __init__(
        self, admission: Admission, principal: Principal, call: Call, candidates: Sequence[Candidate], at: datetime
    ) -> None:
        self._admission = admission
        self._asked = principal, call, candidates, at

    async def __aenter__(self) -> Hold:
        self._hold = await self._admission.enter(*self._asked)
        return self._hold

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._admission.leave(self._hold)
