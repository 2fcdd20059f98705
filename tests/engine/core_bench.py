"""Ways to run a whole core in a test and to see what came of it."""

from __future__ import annotations

from fake_runner import CONTEXT, FakeRunner, fake_config

from engine.core.engine import EngineCore
from engine.core.runner import BatchRow
from engine.types import Delta, FinishReason, Request

BLOCK = 4


class Outcome:
    """All deltas of one request put together."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.last: Delta | None = None

    def add(self, delta: Delta) -> None:
        assert self.last is None or self.last.finish is None, "a delta after the last"
        self.tokens += delta.tokens
        self.last = delta

    @property
    def finish(self) -> FinishReason | None:
        return None if self.last is None else self.last.finish


def finished(core: EngineCore, *requests: Request, limit: int = 5000) -> dict[str, Outcome]:
    """Submit, run to the end, and check that nothing is left held."""
    outcomes = {request.id: Outcome() for request in requests}
    for request in requests:
        core.submit(request)
    for _ in range(limit):
        if not core.has_work:
            break
        for delta in core.step():
            outcomes[delta.id].add(delta)
        core.check_integrity()
    assert not core.has_work
    assert_empty(core)
    return outcomes


def assert_empty(core: EngineCore) -> None:
    core.check_integrity()
    stats = core.stats
    assert (stats.running, stats.waiting, stats.blocks_used) == (0, 0, 0)
    assert stats.blocks_free + stats.blocks_cached == stats.blocks_total


def new_core(blocks: int = 101, *, context: int = CONTEXT, eos: tuple[int, ...] = (), **config: object) -> EngineCore:
    return EngineCore(fake_config(**config), FakeRunner(blocks, BLOCK, context=context, eos=eos))


def prompt(length: int, first: int = 100) -> list[int]:
    return [first + position for position in range(length)]


def clocked_core(seconds_per_token: float, **config: object) -> EngineCore:
    """A core whose steps take as long as they have tokens, on a clock of their own."""
    now = [0.0]

    def work(rows: list[BatchRow]) -> None:
        now[0] += seconds_per_token * sum(len(row.tokens) for row in rows)

    return EngineCore(fake_config(**config), FakeRunner(1001, BLOCK, before_step=work), clock=lambda: now[0])
