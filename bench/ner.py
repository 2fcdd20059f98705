"""What the finder of names finds, how fast it is, and that the event loop goes on meanwhile.

    python bench/ner.py [--data FOLDER] [--quiet] [--requests 50] [--characters 20000] [--workers 1]

Needs the extra `ner` and the model. First recall and precision on Microsoft's presidio-research synthetic set (MIT):
`pii_synth*.json`, rows of `full_text` and `spans`, in FOLDER, by default what SLUICEGATE_DATA says, or `shared/data`
beside the checkout. A label is found when a span of its kind shares a character with it; a span is right when it shares
one with a label of its kind. GPE and STREET_ADDRESS are LOCATION. Every miss and every false find is listed. Then
`REQUESTS` texts of `CHARACTERS` characters at once, on asyncio and on uvloop: time to answer, throughput, and how late
a task was that wants to run each millisecond (beside it, the same with nothing to do).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guards.ner.finder import NAMES, NerOptions, ner_finder
from guards.pool import WorkerPool
from guards.resources import Resources
from guards.spans.finder import Found

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "STREET_ADDRESS": "LOCATION",
    "ORGANIZATION": "ORGANIZATION",
}
AROUND = 30  # characters shown on either side of an error
SENTENCES = (
    "Maria Fernandes from Acme Corp. wrote to us on Monday about the delivery to Rotterdam. ",
    "The pump was replaced twice, and the second one failed after a week of ordinary use. ",
    "Please ask Dr. Weber whether the sample from the Lyon office has been analysed yet. ",
    "Nobody in the warehouse remembers who signed for it, so the invoice stays open for now. ",
)

Place = tuple[int, int]


def overlap(one: Place, other: Place) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def around(text: str, place: Place) -> str:
    start, end = place
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return f"{before}>>{text[start:end]}<<{after}".replace("\n", "\\n")


async def recall(folder: Path, workers: int, *, quiet: bool) -> None:
    files = sorted(folder.glob("pii_synth*.json"))
    if not files:
        print(f"no pii_synth*.json in {folder}: recall is not measured")
        return
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    resources = Resources(pool=WorkerPool(workers=workers, queue=len(rows) + 1))
    finder = ner_finder(NerOptions(), resources)
    started = perf_counter()
    await finder.prepare()
    print(f"loaded in {perf_counter() - started:.1f} s")
    found = await asyncio.gather(*(finder.find(row["full_text"]) for row in rows))
    await resources.close()
    print(f"{len(rows)} texts of {', '.join(file.name for file in files)}")
    for kind in NAMES:
        report(kind, rows, found, quiet=quiet)


def report(kind: str, rows: Sequence[dict[str, Any]], found: Sequence[Sequence[Found]], *, quiet: bool) -> None:
    labels = hits = spans = right = 0
    errors: list[str] = []
    for row, ours in zip(rows, found, strict=True):
        text = row["full_text"]
        all_labels = [(span["start_position"], span["end_position"], span["entity_type"]) for span in row["spans"]]
        wanted = [(start, end) for start, end, label in all_labels if KINDS.get(label) == kind]
        places = [(one.start, one.end) for one in ours if one.kind == kind]
        for place in wanted:
            labels += 1
            if any(overlap(place, other) for other in places):
                hits += 1
            else:
                as_other = {one.kind for one in ours if overlap(place, (one.start, one.end))}
                errors.append(
                    f"  missed {around(text, place)} {'(as ' + ', '.join(as_other) + ')' if as_other else ''}"
                )
        for place in places:
            spans += 1
            if any(overlap(place, other) for other in wanted):
                right += 1
            else:
                there = {label for start, end, label in all_labels if overlap(place, (start, end))}
                errors.append(f"  false  {around(text, place)} {'(is ' + ', '.join(there) + ')' if there else ''}")
    print(
        f"{kind:13} recall {hits / max(labels, 1):.3f} ({hits}/{labels})  "
        f"precision {right / max(spans, 1):.3f} ({right}/{spans})"
    )
    if not quiet:
        print("\n".join(errors))


async def lag_during(work: Callable[[], Coroutine[Any, Any, None]] | None, seconds: float) -> list[float]:
    """How many milliseconds late each tick of one millisecond was while `work` ran, or for `seconds`."""
    late: list[float] = []
    task = asyncio.ensure_future(work()) if work else None
    end = perf_counter() + seconds
    while not task.done() if task else perf_counter() < end:
        before = perf_counter()
        await asyncio.sleep(0.001)
        late.append((perf_counter() - before - 0.001) * 1e3)
    if task:
        task.result()
    return late


def percentiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99, 0.999)]
    return f"p50 {at[0]:.2f}  p99 {at[1]:.2f}  p99.9 {at[2]:.2f}  max {ordered[-1]:.2f} ms"


async def load(name: str, requests: int, characters: int, workers: int) -> None:
    resources = Resources(pool=WorkerPool(workers=workers))
    finder = ner_finder(NerOptions(seconds=600), resources)
    await finder.prepare()
    texts = [
        "".join(SENTENCES[(number + index) % len(SENTENCES)] for index in range(characters // 80))[:characters]
        for number in range(requests)
    ]
    alone = perf_counter()
    await finder.find(texts[0])
    alone = perf_counter() - alone
    times: list[float] = []

    async def one(text: str) -> None:
        started = perf_counter()
        await finder.find(text)
        times.append(perf_counter() - started)

    async def all_at_once() -> None:
        await asyncio.gather(*map(one, texts))

    print(f"\n{name}, {requests} texts of {characters:,} characters at once, {workers} worker(s)")
    print(f"  idle loop   late by {percentiles(await lag_during(None, 3))}")
    started = perf_counter()
    late = await lag_during(all_at_once, 0)
    took = perf_counter() - started
    print(f"  under load  late by {percentiles(late)}")
    print(
        f"  one alone {alone * 1e3:.0f} ms; of all at once: median {statistics.median(times):.1f} s, last {took:.1f} s"
    )
    print(f"  {sum(map(len, texts)) / took:,.0f} characters/s")
    await resources.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SLUICEGATE_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--quiet", action="store_true", help="do not list the errors")
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--characters", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    asyncio.run(recall(Path(options.data), options.workers, quiet=options.quiet))
    if options.requests:
        for name, factory in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(load(name, options.requests, options.characters, options.workers))


if __name__ == "__main__":
    main()
