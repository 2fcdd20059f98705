"""Long texts of many requests at once: between two pieces of work everything else gets its turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import pytest
from guardkit import Slot

from guards import turns
from guards.build import build_guard
from guards.content import guard as content_guard
from guards.injection import judge as injection_judge
from guards.resources import Resources
from guards.spec import GuardSpec
from guards.turns import Pace, in_turn
from guards.types import Action, GuardRequest, Stage

# A kind, where it stands, and what it is asked.
LOOKS: list[tuple[str, Stage, dict[str, Any]]] = [
    ("content", Stage.INPUT, {"categories": ["toxicity"]}),
    ("content", Stage.OUTPUT, {"words": ["forbidden"], "html": True, "sql": True}),
    ("injection", Stage.INPUT, {}),
]


class Others:
    """Everything else on the loop: `turns` counts how often it came to run."""

    def __init__(self) -> None:
        self.turns = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.turns += 1


async def test_work_of_many_is_done_one_piece_at_a_turn() -> None:
    done = 0

    def work() -> None:
        nonlocal done
        done += 1

    async def request() -> None:
        for _ in range(5):
            await in_turn(work)

    requests = [asyncio.create_task(request()) for _ in range(20)]
    most = 0
    while not all(task.done() for task in requests):
        before = done
        await asyncio.sleep(0)
        most = max(most, done - before)
    assert done == 100
    assert most == 1


async def test_after_slow_work_the_loop_has_time_for_more_than_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "BREATH", 0.05)
    await asyncio.sleep(0.06)
    async with Others() as others:
        for slow, least in ((False, 0), (True, 0), (True, 50), (True, 50)):
            before = others.turns
            await in_turn(partial(time.sleep, 0.002 if slow else 0))
            assert least <= others.turns - before
            assert least or others.turns - before < 10
        await asyncio.sleep(0.06)  # in which it has that time
        before = others.turns
        await in_turn(lambda: None)
        assert others.turns - before < 10


async def test_pieces_grow_where_work_is_quick_and_shrink_where_it_is_slow() -> None:
    pace = Pace()
    for _ in range(5):
        await pace.take(lambda: None)
    assert pace.size == turns.MOST
    for _ in range(5):
        await pace.take(lambda: time.sleep(0.05))
    assert pace.size == turns.LEAST


@pytest.mark.parametrize(("kind", "stage", "options"), LOOKS, ids=["judges", "passes", "injection"])
async def test_a_guard_takes_turns_over_long_texts(
    kind: str, stage: Stage, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = 0

    async def counted(work: Callable[[], Any]) -> Any:
        nonlocal pieces

        def piece() -> Any:
            nonlocal pieces
            pieces += 1
            return work()

        return await in_turn(piece)

    for module in (turns, content_guard, injection_judge):
        monkeypatch.setattr(module, "in_turn", counted)
    spec = GuardSpec(name="g", kind=kind, action=Action.FLAG, stages=(stage,), options=options)
    guard = build_guard(spec, Resources())
    await guard.prepare()
    pieces = 0
    text = "We went for a long walk, and the weather was fine. "

    async def check(text: str) -> None:
        session = guard.open(GuardRequest("t"))
        await (session.check_input if stage is Stage.INPUT else session.check_output)([Slot(text)])

    await check(text)
    assert pieces == 0, "a short text is looked at in one go"
    async with Others() as others:
        await asyncio.gather(*(check(f"{n} " + text * 400) for n in range(5)))
    assert pieces >= 15
    assert others.turns >= pieces
