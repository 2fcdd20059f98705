"""A race of two tries at two targets: the second starts when the first is slow, and the first answer wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.pipeline.trial import Trial
from gateway.routing.latency import percentile
from gateway.routing.router import Hedge, Target

SHARE = 0.95
FEWEST = 20  # measures that a percentile needs; before, nothing is hedged

Run = Callable[[Trial], Coroutine[Any, Any, None]]


def patience(hedge: Hedge, target: Target, *, stream: bool) -> float | None:
    """Seconds to wait for the target's first content before a second is asked; None: however long it takes."""
    if hedge.after is not None:
        return hedge.after
    measures = target.state.latency(stream=stream).recent()
    return percentile(measures, SHARE) if len(measures) >= FEWEST else None


async def race(
    run: Run, trials: list[Trial], second: Callable[[], Trial | None], wait: Awaitable[None]
) -> Trial | None:
    """Run the one in `trials`; if it is not through when `wait` is, also what `second` gives, which is added to them.

    Returns the winner, None where none answered: then the errors are in the trials. Whatever happens, all but the
    winner have ended when this returns or raises, and what they had open is closed.
    """
    tasks = [asyncio.create_task(run(trials[0]))]
    timer = asyncio.ensure_future(wait)
    winner: Trial | None = None
    try:
        await asyncio.wait({*tasks, timer}, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done() and (other := second()) is not None:
            trials.append(other)
            tasks.append(asyncio.create_task(run(other)))
        pending = set(tasks)
        while pending and winner is None:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            winner = next((trial for trial in trials if trial.answer is not None), None)
    finally:
        timer.cancel()
        for task, trial in zip(tasks, trials, strict=True):
            if trial is not winner:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for trial, result in zip(trials, ended, strict=True):
            trial.error = result if isinstance(result, Exception) else None
            if trial is not winner:
                await trial.close()
    return winner
