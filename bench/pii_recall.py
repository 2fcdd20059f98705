"""What share of labelled values the pii detectors find, and how much of what they find is labelled.

    python bench/pii_recall.py [--data FOLDER] [--quiet]

The set is Microsoft's presidio-research synthetic one (MIT): `pii_synth*.json`, rows of `full_text` and `spans`. It is
not part of the project; FOLDER is by default what SLUICEGATE_DATA says, or `shared/data` beside the checkout.

A label is found when a span of its kind shares at least one character with it; `exact` counts those with the same
bounds. A false find is a span of a kind that shares no character with a label of that kind. Every miss and every false
find is listed, with what the set calls the text there, so that faults of the labels can be told from ours. Kinds that
the set does not label are listed apart and count nowhere.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guards.pii.detectors import DETECTORS
from guards.spans.fold import fold
from guards.spans.scanner import Scanner

ROOT = Path(__file__).resolve().parent.parent

# What the set calls what we call otherwise, and what is asked of each: recall and precision.
KINDS = {
    "EMAIL_ADDRESS": "EMAIL",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "US_SSN": "US_SSN",
    "IP_ADDRESS": "IP",
    "PHONE_NUMBER": "PHONE",
}
WANTED = {kind: (0.80, 0.90) if kind == "PHONE" else (0.98, 0.98) for kind in KINDS.values()}
AROUND = 40  # characters shown on either side of an error


@dataclass
class Tally:
    labels: int = 0
    found: int = 0
    exact: int = 0
    spans: int = 0
    right: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / self.labels if self.labels else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.spans if self.spans else 1.0


Place = tuple[str, int, int]  # kind, start, end


def overlaps(one: Place, other: Place) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def around(text: str, place: Place) -> str:
    _, start, end = place
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return f"{before}>>{text[start:end]}<<{after}".replace("\n", "\\n")


def rows_of(folder: Path) -> Iterator[tuple[str, list[Place]]]:
    for file in sorted(folder.glob("pii_synth*.json")):
        for row in json.loads(file.read_text(encoding="utf-8")):
            labels = [(span["entity_type"], span["start_position"], span["end_position"]) for span in row["spans"]]
            yield row["full_text"], labels


def measure(folder: Path) -> tuple[int, dict[str, Tally], list[str]]:
    """How many texts there are, the tally of each labelled kind, and the finds of kinds that have no label."""
    scanner = Scanner(DETECTORS)
    tallies = {kind: Tally() for kind in KINDS.values()}
    others: list[str] = []
    texts = 0
    for text, places in rows_of(folder):
        texts += 1
        spans: list[Place] = [(span.kind, span.start, span.end) for span in scanner.spans(fold(text))]
        labels: list[Place] = [(KINDS.get(kind, kind), start, end) for kind, start, end in places]
        for label in labels:
            if (tally := tallies.get(label[0])) is None:
                continue
            tally.labels += 1
            tally.exact += label in spans
            if any(span[0] == label[0] and overlaps(span, label) for span in spans):
                tally.found += 1
            else:
                instead = ", ".join(span[0] for span in spans if overlaps(span, label))
                tally.errors.append(f"missed{f' (found as {instead})' if instead else ''}: {around(text, label)}")
        for span in spans:
            called = ", ".join(label[0] for label in labels if overlaps(span, label)) or "nothing"
            if (tally := tallies.get(span[0])) is None:
                others.append(f"{span[0]} (labelled {called}): {around(text, span)}")
                continue
            tally.spans += 1
            if any(span[0] == label[0] and overlaps(span, label) for label in labels):
                tally.right += 1
            else:
                tally.errors.append(f"false (labelled {called}): {around(text, span)}")
    return texts, tallies, others


def default_folder() -> Path:
    named = os.environ.get("SLUICEGATE_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_folder(), metavar="FOLDER")
    parser.add_argument("--quiet", action="store_true", help="the table alone, without the errors")
    options = parser.parse_args()
    texts, tallies, others = measure(options.data)
    if not texts:
        print(f"no pii_synth*.json in {options.data}: nothing measured (say --data FOLDER)")
        return 0
    print(f"{texts} texts of {options.data}; a label is found by any overlap with a span of its kind\n")
    print("| kind | labels | found | recall | exact bounds | spans | right | precision | wanted |")
    print("|---|---|---|---|---|---|---|---|---|")
    short = 0
    for kind, tally in tallies.items():
        recall, precision = WANTED[kind]
        reached = tally.recall >= recall and tally.precision >= precision
        short += not reached
        print(
            f"| {kind} | {tally.labels} | {tally.found} | {tally.recall:.3f} | {tally.exact} | {tally.spans} "
            f"| {tally.right} | {tally.precision:.3f} | {'reached' if reached else 'NOT reached'} |"
        )
    if not options.quiet:
        for kind, tally in tallies.items():
            print(f"\n{kind}: {len(tally.errors)} errors")
            print("\n".join(f"  {error}" for error in tally.errors))
        print(f"\nkinds without a label in this set: {len(others)} finds")
        print("\n".join(f"  {other}" for other in others))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
