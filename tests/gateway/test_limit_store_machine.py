"""Any order of reserving, settling, cancelling, crashing, new windows and clock jumps, held against a small model.

The model knows nothing of how a store counts: it has a list of what was taken when, and sums it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from storekit import NEVER, Clock, own_prefix

from gateway.admission.stores.base import Claim, Granted, Kind, LimitStore, Refused, Unseeded
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.valkey import ValkeyStore

pytestmark = pytest.mark.slow  # thousands of steps on both stores

T = TypeVar("T")

TOKENS, RUNNING, PICO = 20, 3, 2 * 10**16 + 1  # the limits; money beyond what a double counts exactly
MONEY = st.one_of(
    st.sampled_from([0, 1, 999_999, 10**6, PICO // 3, PICO // 2 + 1, PICO - 1, PICO]), st.integers(0, PICO + 1)
)
WANTS = st.tuples(  # replica, tokens, least, pico-dollars
    st.sampled_from([0, 1]),
    st.sampled_from([0, 1, 1, 2, 2, 5, TOKENS // 2, TOKENS, TOKENS + 1]),
    st.sampled_from([-1, 0, 1]),
    MONEY,
)
SHARES = st.one_of(st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1)]), st.fractions(0, 1))
DAY = 86_400
SECOND = 1_000_000  # microseconds


@dataclass
class Taken:
    """An amount of a rate, in the second it counts in."""

    second: int
    amount: int


@dataclass
class Held:
    claims: list[Claim]
    window: str
    rate: Taken
    pico: int
    replica: int


@dataclass
class Model:
    """What was taken, and the ledger: what each window came to."""

    holds: dict[str, Held] = field(default_factory=dict)
    amounts: list[Taken] = field(default_factory=list)
    ledger: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)  # of the ledger, what the store was told
    unseeded: set[str] = field(default_factory=set)

    def tokens(self, second: int) -> int:
        return sum(taken.amount for taken in self.amounts if taken.second > second - 60)

    def held(self, window: str) -> int:
        return sum(hold.pico for hold in self.holds.values() if hold.window == window)


class Machine(RuleBasedStateMachine):
    """One store, used by two replicas where a store can be."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.latest = self.clock.micros()  # the store's time: it never runs back
        self.ahead = 0
        self.model = Model()
        self.window = 0
        self.count = 0
        self.replicas: list[LimitStore] = []

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    def open(self) -> LimitStore:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.replicas = [self.open(), self.open()]

    @property
    def second(self) -> int:
        return self.latest // SECOND

    @property
    def day(self) -> str:
        return f"day {self.window}"

    def claims(self, tokens: int, least: int, pico: int) -> list[Claim]:
        expires = int(self.clock.now) + DAY * (self.window + 1)
        return [
            Claim(Kind.CONCURRENT, "key:a", RUNNING, 1),
            Claim(Kind.RATE, "key:a", TOKENS, tokens, least),
            Claim(Kind.BUDGET, self.day, PICO, pico, expires=expires),
        ]

    @rule(wants=st.lists(WANTS, min_size=1, max_size=4))
    def reserve(self, wants: list[tuple[int, int, int, int]]) -> None:
        for replica, tokens, least, pico in wants:
            self.reserve_one(replica, tokens, least, pico)

    def reserve_one(self, replica: int, tokens: int, least: int, pico: int) -> None:
        self.count += 1
        hold, claims, model = f"hold {self.count}", self.claims(tokens, least, pico), self.model
        store = self.replicas[replica]
        answer = self.do(store.reserve(hold, claims))
        known = self.day in model.told and self.day not in model.unseeded
        assert isinstance(answer, Unseeded) == (not known)
        if isinstance(answer, Unseeded):
            self.seed()
            answer = self.do(store.reserve(hold, claims))
        need = tokens if least < 0 else min(tokens, least)
        used = model.tokens(self.second)
        spent, held = model.told[self.day], model.held(self.day)
        short = [
            len(model.holds) + 1 > RUNNING,
            used + need > TOKENS,
            spent + held + pico > PICO,
        ]
        if isinstance(answer, Refused):
            assert short[answer.index]
            assert [level.used for level in answer.levels] == [len(model.holds), used, spent + held]
            return
        assert isinstance(answer, Granted)
        assert not any(short)
        taken = Taken(self.second, min(tokens, TOKENS - used))
        assert [level.taken for level in answer.levels] == [1, taken.amount, pico]
        after = [len(model.holds) + 1, used + taken.amount, spent + held + pico]
        assert [level.used for level in answer.levels] == after
        model.amounts.append(taken)
        model.holds[hold] = Held(claims, self.day, taken, pico, replica)

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), share=SHARES)
    def settle(self, data: st.DataObject, share: Fraction) -> None:
        hold = data.draw(st.sampled_from(sorted(self.model.holds)))
        held = self.model.holds.pop(hold)
        used = [1, int(held.rate.amount * share), int(held.pico * share)]  # exact: a fraction
        held.rate.amount = used[1]
        self.book(held, used[2])
        store = self.replicas[held.replica]
        self.do(store.settle(hold, held.claims, used))
        if data.draw(st.booleans()):
            self.do(store.settle(hold, held.claims, [1, held.rate.amount + 1, held.pico]))

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        hold = data.draw(st.sampled_from(sorted(self.model.holds)))
        held = self.model.holds.pop(hold)
        held.rate.amount = 0
        self.do(self.replicas[held.replica].settle(hold, held.claims, [0, 0, 0]))

    @rule(seconds=st.one_of(st.floats(0, 61), st.integers(61, 300)))
    def wait(self, seconds: float) -> None:
        self.set_clock(self.clock.now + seconds)

    @precondition(lambda self: self.model.amounts)
    @rule(data=st.data(), after=st.sampled_from([59, 59.999, 60]))
    def wait_until_an_amount_goes(self, data: st.DataObject, after: float) -> None:
        taken = data.draw(st.sampled_from(self.model.amounts[-5:]))
        wait = taken.second + after - (self.clock.micros() + self.ahead) / SECOND
        if wait > 0:
            self.set_clock(self.clock.now + wait)

    @rule(seconds=st.one_of(st.floats(0, 60), st.integers(59, 100_000)))
    def clock_set_back(self, seconds: float) -> None:
        self.set_clock(self.clock.now - seconds)

    @rule()
    def next_window(self) -> None:
        self.window += 1

    @rule()
    def seed_again(self) -> None:
        self.seed()

    @invariant()
    def nothing_passes_its_limit(self) -> None:
        if not self.replicas:
            return
        assert self.model.tokens(self.second) <= TOKENS
        assert len(self.model.holds) <= RUNNING
        for window, told in self.model.told.items():
            spent, held = self.do(self.replicas[0].budget(window))
            assert (spent, held) == (told, self.model.held(window))
            assert spent + held <= PICO

    def teardown(self) -> None:
        try:
            for hold, held in self.model.holds.items():
                self.do(self.replicas[held.replica].settle(hold, held.claims, [0, 0, 0]))
            self.model.holds.clear()
            self.nothing_passes_its_limit()
            for store in self.replicas:
                assert self.do(store.holds()) == 0
        finally:
            for store in self.replicas:
                self.do(store.close())
            self.loop.close()

    def book(self, held: Held, pico: int, *, told: bool = True) -> None:
        self.model.ledger[held.window] = self.model.ledger.get(held.window, 0) + pico
        if told:
            self.model.told[held.window] = self.model.told.get(held.window, 0) + pico

    def seed(self) -> None:
        """What admission does with Unseeded: tell the ledger's sum."""
        total = self.model.ledger.get(self.day, 0)
        self.do(self.replicas[0].seed({self.day: total}, {self.day: int(self.clock.now) + DAY}))
        self.model.told[self.day] = total
        self.model.unseeded.discard(self.day)

    def set_clock(self, now: float) -> None:
        self.clock.now = now
        time = self.clock.micros() + self.ahead
        if self.latest - time > 60 * SECOND:
            self.ahead += self.latest - time
        self.latest = max(self.latest, time)
        self.count += 1
        self.do(self.replicas[0].settle(f"look {self.count}", [], []))  # so that the store has seen the time


class MemoryMachine(Machine):
    """One process: its two "replicas" are the same store, and a crash takes everything but the ledger."""

    def open(self) -> LimitStore:
        return self.replicas[0] if self.replicas else MemoryStore(self.clock)

    @initialize()
    def start(self) -> None:
        store = MemoryStore(self.clock)
        self.replicas = [store, store]

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        for held in self.model.holds.values():
            if data.draw(st.booleans()):  # in the journal, but nobody was told
                self.book(held, held.pico)
        ledger = self.model.ledger
        self.model = Model(ledger=ledger)
        self.latest, self.ahead = self.clock.micros(), 0
        self.start()


class ValkeyMachine(Machine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.prefix = own_prefix()
        self.names = 0

    def open(self) -> LimitStore:
        self.names += 1
        name = f"replica {self.names}"
        store = ValkeyStore(self.url, replica=name, prefix=self.prefix, now=self.clock.micros, beat=NEVER, sweep=NEVER)
        self.do(store.start())
        return store

    @rule(data=st.data(), replica=st.sampled_from([0, 1]))
    def crash(self, data: st.DataObject, replica: int) -> None:
        """A replica dies with what it held; others find out, and the ledger tells what had reached its journal."""
        dead = self.replicas[replica]
        self.replicas[replica] = self.open()
        self.do(dead.close())
        for hold, held in list(self.model.holds.items()):
            if held.replica == replica:
                del self.model.holds[hold]
                self.model.unseeded.add(held.window)
                if data.draw(st.booleans()):
                    self.book(held, held.pico, told=False)
        # Released after 15 s of silence, when somebody has looked every few seconds all the while.
        released = self.latest + 20 * SECOND
        while self.latest < released:
            self.set_clock(self.clock.now + 5)
            for store in self.replicas:
                assert isinstance(store, ValkeyStore)
                self.do(store.beat())
                self.do(store.sweep())


@pytest.mark.parametrize("machine", [MemoryMachine, ValkeyMachine])
def test_whatever_happens_no_limit_is_passed_and_nothing_stays_held(
    machine: type[Machine], request: pytest.FixtureRequest
) -> None:
    phases = set(Phase)
    if machine is ValkeyMachine:
        ValkeyMachine.url = request.getfixturevalue("valkey_url")
        phases -= {Phase.shrink}  # takes minutes with a server
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
