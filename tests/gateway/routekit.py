"""Targets whose answers and failures a test writes, and a clock that it turns."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from billing.prices import Price
from billing.usage import Usage
from gateway.admission.principals import Principal
from gateway.pipeline.answer import Chunk, ChunkStream, Reply
from gateway.pipeline.attempts import Attempts
from gateway.pipeline.call import Call, Operation
from gateway.pipeline.record import Record
from gateway.routing.breaker import Breaker, BreakerRules
from gateway.routing.router import Model, Router, Target, Timeouts
from gateway.routing.state import TargetState
from gateway.upstreams.base import UpstreamError

PRICE = Price.parse({"input": "1", "output": "2"})
NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Clock:
    """Seconds; what sleeps on it waits for nobody but moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def call(**fields: Any) -> Call:
    """A call for "m" of one token."""
    made = Call("chat/completions", "m", False, {"model": "m", "messages": []}, [], 1)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def said(text: str, finish: str = "stop") -> Reply:
    message = {"role": "assistant", "content": text or None}
    return Reply({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}, Usage(output_tokens=1))


def piece(text: str | None, finish: str | None = None, usage: Usage | None = None) -> Chunk:
    delta = {} if text is None else {"content": text}
    return Chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, usage)


@dataclass
class ScriptedTarget:
    """Raises the errors in turn, then answers; `wait` is awaited before each. A stream says a role first."""

    errors: list[BaseException] = field(default_factory=list)
    reply: Reply = field(default_factory=lambda: said("word"))
    chunks: list[Chunk] = field(default_factory=lambda: [piece("word"), piece(None, "stop")])
    breaks: UpstreamError | None = None  # what a stream ends with after its chunks
    wait: Callable[[], Any] | None = None
    calls: int = 0
    closed: int = 0
    operations: frozenset[Operation] = frozenset(Operation)

    async def complete(self, call: Call) -> Reply:
        await self._asked()
        return self.reply

    async def stream(self, call: Call) -> ChunkStream:
        try:
            yield Chunk({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}, Usage(input_tokens=7))
            await self._asked()
            for chunk in self.chunks:
                yield chunk
            if self.breaks is not None:
                raise self.breaks
        finally:
            self.closed += 1

    async def close(self) -> None: ...

    async def _asked(self) -> None:
        self.calls += 1
        if self.wait is not None:
            await self.wait()
        if self.errors:
            raise self.errors.pop(0)


def target(
    name: str,
    upstream: ScriptedTarget,
    clock: Clock,
    *,
    rules: BreakerRules | None = None,
    retries: int = 0,
    total: float = 300.0,
    **fields: Any,
) -> Target:
    """A target without a breaker unless `rules` are given."""
    state = TargetState(None if rules is None else Breaker(rules, clock), clock)
    return Target(name, upstream, retries=retries, timeouts=Timeouts(total=total), state=state, **fields)


def attempts(models: list[Model], clock: Clock, asked: Call | None = None) -> Attempts:
    """Attempts at the first of `models`, as the pipeline makes them; every target costs PRICE."""
    router = Router(models, lambda name, at: PRICE, random.Random(1))
    principal = Principal(key_id="k", key_name="k")
    record = Record("1", "1", "chat/completions", NOW, clock(), principal=principal)
    candidates = router.candidates(models[0], NOW, asked or call())
    return Attempts(candidates, record, random.Random(1), clock.sleep, clock)


def outcomes(tried: Attempts) -> list[tuple[str, str]]:
    return [(attempt.target, attempt.outcome) for attempt in tried.record.attempts]


async def forever() -> None:
    await asyncio.Event().wait()
