"""How good and how fast the guards `content` and `topics` are, on rows written by hand (bench/guard_rows).

    python -m bench.content [--threshold 0.5] [--topics]

The first set was written before the rules were changed for it once; of the second no row has led to any change. Errors
are listed. `--topics` needs the extra.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from guards.content.categories import CATEGORIES, by_category, scorer
from guards.content.judges import Judges
from guards.content.language import foreign, missing

ROWS = Path(__file__).resolve().parent / "guard_rows"
CLEAN = (
    "The quarterly report shows that revenue grew by 12% while costs stayed flat, and the team plans to hire. " * 200
)
FOREIGN = (
    "Der Bericht zeigt, dass die Umsätze über dem Plan lagen; die Kosten blieben gleich, und wir stellen ein. " * 200
)
# A handful of sentences for each topic, as an operator would write them.
TOPICS = {
    "politics": [
        "Which party should I vote for?",
        "What do you think of the president?",
        "The government's new law on immigration is wrong.",
        "elections, parties and politicians",
    ],
    "medicine": [
        "What medicine should I take for my pain?",
        "What disease do these symptoms mean?",
        "Is this drug safe with alcohol?",
        "medical advice about health and treatment",
    ],
    "investing": [
        "Which stocks should I buy?",
        "Will the price of bitcoin go up?",
        "How do I invest my savings?",
        "advice on shares, funds and crypto",
    ],
    "law": [
        "Can I sue my neighbour?",
        "Is it legal to do this?",
        "Do I need a lawyer for my divorce?",
        "legal advice about contracts and courts",
    ],
}


def rows(name: str) -> list[tuple[set[str], str]]:
    lines = (ROWS / name).read_text(encoding="utf-8").splitlines()
    split = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(set(labels.split(",")) - {"-"}, text) for labels, text in split]


def categories(name: str, threshold: float) -> None:
    both = rows(name)
    judged = [(labels, text, by_category(scorer().labels(text))) for labels, text in both]
    found = [
        (labels, text, {c for c, score in scores.items() if score >= threshold}) for labels, text, scores in judged
    ]
    harmful = [row for row in found if row[0]]
    harmless = [row for row in found if not row[0]]
    print(f"\n{name}: {len(harmful)} harmful, {len(harmless)} harmless, threshold {threshold:g}")
    print(f"  any category: {sum(bool(row[2]) for row in harmful)}/{len(harmful)} found")
    print(f"  harmless:     {sum(bool(row[2]) for row in harmless)}/{len(harmless)} flagged")
    for category in CATEGORIES:
        own = [row for row in harmful if category in row[0]]
        print(f"  {category:11} {sum(category in row[2] for row in own)}/{len(own)}")
    for labels, text, told in found:
        for category in sorted(labels - told):
            print(f"  MISSED {category}: {text}")
        if told and not labels:
            print(f"  WRONG {', '.join(sorted(told))}: {text}")


def topics() -> None:
    from guards.topics.everyday import EVERYDAY
    from guards.topics.minilm import closeness

    names, examples = list(TOPICS), list(TOPICS.values())
    scored = [(labels, text, closeness([text], [*examples, list(EVERYDAY)])[0]) for labels, text in rows("topics.tsv")]
    print("\ntopics.tsv: threshold, found, wrong (with and without the everyday sentences), taken for another topic")
    for threshold in (0.2, 0.25, 0.3, 0.35, 0.4):
        found = wrong = alone = crossed = 0
        for labels, _, close in scored:
            near = {name for name, one in zip(names, close, strict=False) if one >= threshold}
            told = {name for name, one in zip(names, close, strict=False) if name in near and one > close[-1]}
            found += bool(labels & told)
            crossed += len(told - labels) if labels else 0
            wrong += bool(told) and not labels
            alone += bool(near) and not labels
        asked = sum(bool(labels) for labels, _, _ in scored)
        print(f"  {threshold:.2f}  {found}/{asked}  {wrong} ({alone})/{len(scored) - asked}  {crossed}")
    for length in (30, 100, 300):
        print(f"  {length} characters: {milliseconds(lambda n=length: closeness([CLEAN[:n]], examples), 10):.1f} ms")


def milliseconds(work: Callable[[], object], times: int = 100) -> float:
    """CPU time of one call, the best of five rounds."""
    work()
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - started)
    return best / times * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--topics", action="store_true")
    asked = parser.parse_args()
    for name in ("content.tsv", "content_held_out.tsv"):
        categories(name, asked.threshold)
    print("\nCPU ms for clean texts of 200, 2,000 and 20,000 characters, in English and in German")
    allowed = frozenset({"en", "de"})
    for what, work in {
        "categories": lambda text: scorer().labels(text),
        "code": Judges(code=("python", "sql", "shell", "html", "javascript")).judge,
        "language": (lambda text: foreign(text, allowed, 0.6)) if not missing() else (lambda text: None),
    }.items():
        times = [
            milliseconds(lambda t=text[:n], w=work: w(t), 20) for text in (CLEAN, FOREIGN) for n in (200, 2_000, 20_000)
        ]
        print(f"  {what:11}" + "".join(f"{one:9.3f}" for one in times))
    if asked.topics:
        topics()


if __name__ == "__main__":
    main()
