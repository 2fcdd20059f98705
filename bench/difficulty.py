"""What the decision of `routing: difficulty` costs a request, in microseconds, for prompts of several lengths.

    python bench/difficulty.py [--rounds 500]

Medians and 99th percentiles over rounds in this process. The floors beside it: hashing as many n-grams and doing
nothing with them, and an empty call.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.routing.difficulty import DifficultyModel, DifficultyRouter, Tier
from gateway.routing.difficulty.features import Prompt, extract

SENTENCE = "The order left our house on time, so why did customer {} wait until the end of week {}? "
PROSE = "".join(SENTENCE.format(number, number * 7) for number in range(2_000))
DENSE = "大量のデータをリアルタイムに集計する基盤を設計し、障害時の挙動を評価してください。" * 100


def spread(rounds: int, work: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile of one call, in microseconds."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - started)
    taken.sort()
    return statistics.median(taken) / 1e3, taken[len(taken) * 99 // 100] / 1e3


def measure(rounds: int) -> None:
    started = time.perf_counter()
    weights = DifficultyModel.load()
    print(f"loading the weights: {(time.perf_counter() - started) * 1e3:.1f} ms, once\n")
    router = DifficultyRouter(weights, {tier: tier.value for tier in Tier})
    raw = PROSE[:400].encode("utf-32-le")
    grams = [raw[at : at + size] for size in (12, 16, 20) for at in range(0, len(raw), 4)]
    features = extract(Prompt(PROSE[:2000]))
    cases: dict[str, Callable[[], object]] = {
        "an empty call (a floor)": lambda: None,
        f"crc32 of {len(grams)} n-grams (a floor)": lambda: [crc32(gram) for gram in grams],
        "score alone, 2,000 characters": lambda: weights.score(features),
    }
    for name, text in (
        ("decide, 20 characters", PROSE[:20]),
        ("decide, 200 characters", PROSE[:200]),
        ("decide, 2,000 characters", PROSE[:2000]),
        ("decide, 2,000 Japanese characters", DENSE[:2000]),
        ("decide, 150,000 characters", PROSE[:150_000]),
    ):
        cases[name] = lambda text=text: router.decide([("system", "Be brief."), ("user", text)], None)  # type: ignore[misc]
    print(f"{'':45}{'p50':>10}{'p99':>10}  µs")
    for name, work in cases.items():
        median, tail = spread(rounds, work)
        print(f"{name:45}{median:10.1f}{tail:10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    measure(parser.parse_args().rounds)


if __name__ == "__main__":
    main()
