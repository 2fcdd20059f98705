"""What the injection guard finds and what it takes for an attack wrongly, with the errors listed, and what it costs.

    python bench/injection.py [--data FOLDER] [--held-out] [--errors 20] [--rounds 50]

`--data`: a folder with public sets (default: the environment's SLUICEGATE_DATA, else ../shared/data beside the
checkout); what is not there is said and left out. `--held-out`: first train weights without a fifth of the corpus's
templates, and measure those on that fifth too (minutes). The weights that ship have seen all of the corpus, and no row
of any public set. The rules' authors have read the attacks in the halves of the public sets that are measured here.

Scores are the guard's own, at its default thresholds; the texts of `BIPIA` are requests that are only odd inside
fetched text, and are counted both as said and as fetched.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guards.injection.build import Options
from guards.injection.corpus import Label
from guards.injection.model import InjectionModel, bundled
from guards.injection.scoring import Finding, Scorer
from guards.injection.training import bundled_rows, train

ROOT = Path(__file__).resolve().parent.parent
SENTENCE = "The order left our house on time, so why did customer {} wait until the end of week {}? "
CLEAN = "".join(SENTENCE.format(number, number * 7) for number in range(400))
# What a poisoned document looks like around the attack.
CONTEXTS = (
    "From: billing@shop.example\nSubject: Your invoice\n\nDear customer, thank you for your order. The total is 148 "
    "EUR, payable within 14 days. {}\nYour parcel was sent on Monday and should arrive by Thursday.\nRegards",
    "The old harbour was closed in 1962 when ships had grown too large for it. For years it stood empty. {} Today "
    "there are flats, two schools and a market hall, and the last crane has become a restaurant.",
    '{{"id": 4411, "status": "open", "title": "Printer does not start", "comment": "It beeps twice and stops. {}", '
    '"created": "2024-03-01T10:12:44Z"}}',
    "| Player | Team | Points |\n| Ruiz | North | 27 |\n| Okafor | Harbour | 19 |\n{}\n| Lind | West | 22 |",
    "{}\n\nQ: How do I clear the cache?\nA: Stop the service, remove the folder and start it again. If the error "
    "stays, look at the log.",
)


class Measure:
    """Judges texts by one model and prints shares."""

    def __init__(self, model: InjectionModel, errors: int) -> None:
        self._scorer = Scorer(model)
        self._limits = {False: Options().threshold, True: Options().indirect_threshold}
        self._errors = errors

    def best(self, text: str, *, fetched: bool = False) -> Finding:
        findings = self._scorer.findings(text, fetched=fetched)
        return max(findings, key=lambda one: one.odds, default=Finding(-9.0))

    def found(self, text: str, *, fetched: bool = False) -> bool:
        return any(one.score >= self._limits[one.fetched] for one in self._scorer.findings(text, fetched=fetched))

    def share(
        self, name: str, texts: Sequence[str], *, attacks: bool, fetched: bool = False, errors: int | None = None
    ) -> None:
        """One line, and the errors below it."""
        verdicts = [self.found(text, fetched=fetched) for text in texts]
        hits = sum(verdicts)
        what = "found" if attacks else "taken for attacks"
        print(f"{name:56}{what:>18} {hits:5} of {len(texts):5}  {hits / max(len(texts), 1):6.1%}")
        wrong = [text for text, verdict in zip(texts, verdicts, strict=True) if verdict is not attacks]
        for text in wrong[: self._errors if errors is None else errors]:
            best = self.best(text, fetched=fetched)
            why = ",".join(sorted(best.rules)) or "no rule"
            print(f"      {best.score:.2f} {why:30.60} {' '.join(text.split())[:110]!r}")


def rows(folder: Path, name: str) -> Any:
    path = folder / name
    if not path.is_file():
        print(f"{name}: not in {folder}, left out")
        return None
    return json.loads(path.read_text("utf-8"))


def public_sets(measure: Measure, folder: Path) -> None:
    print(f"\nPublic sets in {folder}")
    injections = rows(folder, "injection_valid_half.json")
    if isinstance(injections, list):
        attacks = [row for row in injections if row["label"] == 1]
        measure.share("injections, all as said", [row["prompt"] for row in attacks], attacks=True)
        said = [row["prompt"] for row in attacks if row["source"] != "BIPIA_text"]
        measure.share("injections that are such as said (without BIPIA_text)", said, attacks=True)
        plain = [row["prompt"] for row in attacks if row["source"] == "BIPIA_text"]
        measure.share("BIPIA_text of these, as fetched", plain, attacks=True, fetched=True)
        benign = [row["prompt"] for row in injections if row["label"] == 0]
        measure.share("ordinary prompts beside them", benign, attacks=False)
    triggers = rows(folder, "notinject_one.json")
    if isinstance(triggers, list):
        measure.share("NotInject: trigger words in good faith", [row["prompt"] for row in triggers], attacks=False)
    people = rows(folder, "pii_synth_500.json")
    if isinstance(people, list):
        texts = [row["full_text"] for row in people]
        measure.share("texts with personal data, as said", texts, attacks=False)
        measure.share("texts with personal data, as fetched", texts, attacks=False, fetched=True)
    planted = rows(folder, "bipia_text_attacks_half.json")
    if isinstance(planted, dict):
        for category, texts in planted.items():
            placed = [context.format(text) for text in texts for context in CONTEXTS]
            measure.share(f"BIPIA in fetched text: {category}", placed, attacks=True, fetched=True)
        every = [context.format(text) for texts in planted.values() for text in texts for context in CONTEXTS]
        measure.share("BIPIA in fetched text: all", every, attacks=True, fetched=True, errors=0)
    empty = [context.format("") for context in CONTEXTS]
    measure.share("the same contexts with nothing planted", empty, attacks=False, fetched=True)


def held_out(measure: Measure) -> None:
    print("\nHeld-out templates of the corpus")
    said, fetched = bundled_rows()
    for name, every, as_fetched in (("said", said, False), ("fetched", fetched, True)):
        for label in Label:
            texts = [row.text for row in every if row.held_out and row.label is label]
            measure.share(f"{label.value}, as {name}", texts, attacks=label is Label.ATTACK, fetched=as_fetched)


def pages(measure: Measure) -> None:
    """What packages say of themselves: real pages that the weights have not seen."""
    print("\nDescriptions of the installed packages, in pieces of 2,000 characters")
    every = [
        (package.read_text("METADATA") or "").partition("\n\n")[2] for package in importlib.metadata.distributions()
    ]
    long = [text[:8_000] for text in every if len(text) > 200]
    texts = sorted({text[at : at + 2_000] for text in long for at in range(0, len(text), 2_000)})
    random.Random(1).shuffle(texts)
    measure.share("as fetched", texts, attacks=False, fetched=True)
    measure.share("as said", texts, attacks=False)


def cost(measure: Measure, rounds: int) -> None:
    print(f"\n{'Cost, in processor time':45}{'median':>10}{'p99':>10}  ms")
    cases: dict[str, Callable[[], object]] = {"200 characters": lambda: measure.best(CLEAN[:200])}
    for size in (2_000, 20_000):
        cases[f"{size:,} characters, as said"] = lambda size=size: measure.best(CLEAN[:size])  # type: ignore[misc]
        cases[f"{size:,} characters, as fetched"] = lambda size=size: measure.best(CLEAN[:size], fetched=True)  # type: ignore[misc]
    prose = (ROOT / "guards" / "injection" / "corpus" / "prose.txt").read_text("utf-8")
    cases["2,000 characters full of trigger words"] = lambda: measure.best(prose[2_000:4_000])
    cases["the longest step of 20,000 characters"] = lambda: longest_step(measure, CLEAN[:20_000])
    for name, work in cases.items():
        work()
        taken = sorted(timed(work) for _ in range(rounds))
        print(f"{name:45}{statistics.median(taken):10.2f}{taken[len(taken) * 99 // 100]:10.2f}")


def timed(work: Callable[[], object]) -> float:
    """Milliseconds; of `longest_step` what it returns."""
    started = time.process_time()
    answer = work()
    return answer if isinstance(answer, float) else (time.process_time() - started) * 1e3


def longest_step(measure: Measure, text: str) -> float:
    longest, before = 0.0, time.process_time()
    for _ in measure._scorer.findings(text, fetched=False):
        now = time.process_time()
        longest, before = max(longest, now - before), now
    return longest * 1e3


def default_folder() -> Path:
    return Path(os.environ.get("SLUICEGATE_DATA") or ROOT.parent / "shared" / "data")


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_folder())
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--errors", type=int, default=20, help="errors listed below each line")
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args(None if arguments is None else [*arguments])
    model = bundled()
    if asked.held_out:
        said, fetched = ([row for row in every if not row.held_out] for every in bundled_rows())
        model = train(said, fetched)
    measure = Measure(model, asked.errors)
    if asked.held_out:
        held_out(measure)
    if asked.data.is_dir():
        public_sets(measure, asked.data)
    else:
        print(f"there are no public sets in {asked.data}; name their folder with --data")
    pages(measure)
    cost(measure, asked.rounds)


if __name__ == "__main__":
    main()
