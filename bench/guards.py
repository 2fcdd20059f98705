"""What guards cost: a clean text, a full one, a chat of forty turns, a stream; and if the loop goes on.

    python bench/guards.py [--rounds 200] [--lag]

Medians in one process, in turns, beside what a guard stands on or is taken for: reading the text once with `str.count`,
one RE2 pattern for an address, and Presidio's own recognizers (without a language model) where it is installed. Every
round has a text of its own, so that nothing is remembered, but where that is what is measured. `--lag`: fifty requests
of 20,000 characters at once through the finder of names, and how late a 1 ms timer of the event loop came meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import re2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guards.build import KINDS, build_guard
from guards.resources import Resources
from guards.spec import GuardSpec
from guards.types import Guard, GuardRequest, Scope, Stage

SENTENCES = (
    "The order left our house on time and should be with the customer by the end of the week. ",
    "Please summarise what was agreed in the meeting, and who is to write the first draft. ",
    "Rain is expected in the north, while the south stays dry until the evening. ",
    "The function returns an empty list when there is nothing to do, which is easy to overlook. ",
)
FULL = "Mail jane.doe{n}@example.com or call +1 415 555 {n:04d}; the card is 4111 1111 1111 1111. "
REQUEST = GuardRequest("bench")
BURST = 10

# One guard of each kind that needs nothing but itself.
GUARDS: Mapping[str, Mapping[str, Any]] = {
    "pii": {},
    "secrets": {},
    "injection": {},
    "content": {"categories": {"toxicity": 0.8}, "words": ["a word that is not there"]},
}


@dataclass
class Text:
    text: str
    scope: Scope = Scope.USER
    context: str = ""


def clean(size: int, number: int) -> str:
    """Prose of a size; another one for each number."""
    return (f"Note {number}: " + "".join(SENTENCES) * (size // 300 + 1))[:size]


def full(size: int, number: int) -> str:
    return "".join(FULL.format(n=(number + n) % 10_000) for n in range(size // 80 + 1))[:size]


async def measure(works: Mapping[str, Callable[[int], Awaitable[object]]], rounds: int) -> dict[str, float]:
    """Microseconds of each work, `BURST` times in a row by turns; each call is given a number of its own."""
    taken: dict[str, list[int]] = {name: [] for name in works}
    for number in range(rounds // BURST + 1):
        for place, (name, work) in enumerate(works.items()):
            for step in range(BURST):
                started = time.perf_counter_ns()
                await work((number * 100 + place) * 100 + step)
                if number:  # the first round warms up
                    taken[name].append(time.perf_counter_ns() - started)
    return {name: statistics.median(times) / 1e3 for name, times in taken.items()}


def whole(guard: Guard, text: Callable[[int], str]) -> Callable[[int], Awaitable[object]]:
    async def work(number: int) -> None:
        await guard.open(REQUEST).check_input([Text(text(number))])

    return work


def together(guards: list[Guard], text: Callable[[int], str]) -> Callable[[int], Awaitable[object]]:
    async def work(number: int) -> None:
        slots = [Text(text(number))]
        for guard in guards:
            await guard.open(REQUEST).check_input(slots)

    return work


def chat(guard: Guard, turns: int) -> Callable[[int], Awaitable[object]]:
    """The last turn of a chat whose earlier ones were seen before."""
    old = [clean(1_000, 10_000_000 + turn) for turn in range(turns - 1)]

    async def work(number: int) -> None:
        await guard.open(REQUEST).check_input([*map(Text, old), Text(clean(1_000, number))])

    return work


def stream(guard: Guard) -> Callable[[int], Awaitable[object]]:
    text = clean(2_000, 0)
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]

    async def work(number: int) -> None:
        filter_ = guard.open(REQUEST).open_stream(Scope.ASSISTANT)
        for piece in pieces:
            await filter_.feed(piece)
        await filter_.finish()

    return work


def floors() -> dict[str, Callable[[int], Awaitable[object]]]:
    address = re2.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")

    async def count(number: int) -> None:
        clean(2_000, number).count("@")

    async def one_pattern(number: int) -> None:
        address.search(clean(2_000, number))

    found: dict[str, Callable[[int], Awaitable[object]]] = {
        "floor: the text read once": count,
        "floor: one RE2 pattern": one_pattern,
    }
    if importlib.util.find_spec("presidio_analyzer"):
        from presidio_analyzer import RecognizerResult
        from presidio_analyzer.predefined_recognizers import (
            CreditCardRecognizer,
            EmailRecognizer,
            IbanRecognizer,
            IpRecognizer,
            PhoneRecognizer,
            UsSsnRecognizer,
        )  # fmt: skip

        kinds = (
            CreditCardRecognizer, EmailRecognizer, IbanRecognizer, IpRecognizer, PhoneRecognizer, UsSsnRecognizer
        )  # fmt: skip
        recognizers = [kind() for kind in kinds]

        async def presidio(number: int) -> list[RecognizerResult]:
            text = clean(2_000, number)
            return [r for one in recognizers for r in one.analyze(text, one.supported_entities, None)]

        found["peer: six of Presidio's recognizers, no model"] = presidio
    return found


async def costs(rounds: int) -> None:
    resources = Resources()
    guards = {
        kind: build_guard(
            GuardSpec(name=kind, kind=kind, stages=(Stage.INPUT, Stage.OUTPUT), options=options), resources
        )
        if kind in ("pii", "secrets", "content")
        else build_guard(GuardSpec(name=kind, kind=kind, options=options), resources)
        for kind, options in GUARDS.items()
        if kind in KINDS
    }
    for guard in guards.values():
        await guard.prepare()
    patterns = [guard for kind, guard in guards.items() if kind in ("pii", "secrets")]
    works = floors()
    works["pii and secrets, clean 2,000 characters"] = together(patterns, lambda n: clean(2_000, n))
    for kind, guard in guards.items():
        works[f"{kind}, clean 2,000 characters"] = whole(guard, lambda n: clean(2_000, n))
        works[f"{kind}, clean 20,000 characters"] = whole(guard, lambda n: clean(20_000, n))
        works[f"{kind}, the same 2,000 again"] = whole(guard, lambda n: clean(2_000, -1))
        works[f"{kind}, clean 1,000 characters"] = whole(guard, lambda n: clean(1_000, n))
        works[f"{kind}, the 40th turn of a chat"] = chat(guard, 40)
        if kind in ("pii", "secrets"):
            works[f"{kind}, 2,000 characters full of values"] = whole(guard, lambda n: full(2_000, n))
        if Stage.OUTPUT in guard.stages:
            works[f"{kind}, 400 events of a stream"] = stream(guard)
    figures = await measure(works, rounds)
    for name, microseconds in figures.items():
        print(f"{name:55}{microseconds:12.1f} µs")
    for guard in guards.values():
        await guard.close()
    await resources.close()


async def lag() -> None:
    """Fifty requests at once through the finder of names; the loop's own lateness."""
    resources = Resources()
    guard = build_guard(GuardSpec(name="pii", kind="pii", options={"ner": {"seconds": 900.0}}), resources)
    await guard.prepare()
    late: list[float] = []
    running = True

    async def tick() -> None:
        while running:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - due)

    async def idle() -> float:
        late.clear()
        await asyncio.sleep(2)
        return statistics.quantiles(late, n=100)[98]

    ticking = asyncio.create_task(tick())
    quiet = await idle()
    late.clear()
    started = time.perf_counter()
    await asyncio.gather(*(guard.open(REQUEST).check_input([Text(clean(20_000, n))]) for n in range(50)))
    seconds = time.perf_counter() - started
    p99, worst = statistics.quantiles(late, n=100)[98], max(late)
    running = False
    await ticking
    print(f"50 texts of 20,000 characters at once: {seconds:.1f} s")
    print(f"the loop was late by: p99 {p99 * 1e3:.1f} ms, at most {worst * 1e3:.1f} ms")
    print(f"and while nothing was done: p99 {quiet * 1e3:.1f} ms")
    await guard.close()
    await resources.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument(
        "--lag", action="store_true", help="measure the event loop under the finder of names, nothing else"
    )
    arguments = parser.parse_args()
    asyncio.run(lag() if arguments.lag else costs(arguments.rounds))


if __name__ == "__main__":
    main()
