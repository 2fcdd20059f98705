"""What a run came to: as a table to read, as JSON to keep, and several runs side by side in Markdown.

`python -m conformance.report A.json B.json` prints the latter.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from conformance.runner import Result, Verdict


def line(result: Result) -> str:
    """One result for a terminal."""
    return f"{result.case.id:<34} {result.verdict.value:<5} {result.detail}".rstrip()


def summary(results: Iterable[Result]) -> str:
    counts = Counter(result.verdict for result in results)
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)


def as_json(gateway: str, results: Iterable[Result]) -> str:
    """A run as JSON, for `side_by_side`."""
    rows = [
        {
            "case": result.case.id,
            "title": result.case.title,
            "seen": result.case.seen,
            "verdict": result.verdict.value,
            "detail": result.detail,
        }
        for result in results
    ]
    return json.dumps({"gateway": gateway, "results": rows}, indent=1, ensure_ascii=False) + "\n"


def side_by_side(runs: Sequence[dict[str, Any]]) -> str:
    """Runs of `as_json` as a Markdown table, and below it why what failed did."""
    verdicts = [{row["case"]: row for row in run["results"]} for run in runs]
    names = [run["gateway"] for run in runs]
    lines = [f"| case | what must come | seen at | {' | '.join(names)} |", "|---" * (3 + len(runs)) + "|"]
    for row in runs[0]["results"]:
        cells = [told[row["case"]]["verdict"] if row["case"] in told else "-" for told in verdicts]
        marked = ["**fail**" if cell == Verdict.FAIL.value else cell for cell in cells]
        lines.append(f"| `{row['case']}` | {row['title']} | {', '.join(row['seen'])} | {' | '.join(marked)} |")
    for name, run in zip(names, runs, strict=True):
        counts = Counter(row["verdict"] for row in run["results"])
        told = ", ".join(f"{counts[verdict.value]} {verdict.value}" for verdict in Verdict)
        lines += ["", f"**{name}**: {told}", ""]
        failed = (row for row in run["results"] if row["verdict"] == Verdict.FAIL.value)
        lines += [f"- `{row['case']}`: {_plain(row['detail'])}" for row in failed]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A detail for Markdown: on one line, in which nothing is markup."""
    return "`" + " ".join(text.split()).replace("`", "'") + "`"


if __name__ == "__main__":
    sys.stdout.write(side_by_side([json.loads(Path(path).read_text()) for path in sys.argv[1:]]))
