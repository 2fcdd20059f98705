"""Makes the weights of the injection guard: `python -m guards.injection.train --out weights.json`.

The weights that ship come from the texts in `corpus/` alone. An operator may add rows of their own, one JSON object a
line: `{"text": ..., "label": "attack" or "benign", "where": "said" or "fetched"}`, and name the file under `weights`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Literal

import msgspec

from guards.injection.corpus import Label, Row
from guards.injection.training import bundled_rows, train

BUNDLED = Path(__file__).parent / "data" / "weights.json"


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    label: Label
    where: Literal["said", "fetched"] = "said"


def read_lines(path: Path) -> tuple[list[Row], list[Row]]:
    """An operator's rows: said, and fetched. Raises ValueError with the line of a bad row."""
    said: list[Row] = []
    fetched: list[Row] = []
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                row = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            (said if row.where == "said" else fetched).append(Row(row.text, row.label, "own"))
    return said, fetched


def main() -> int:
    """Exit status 1, with the reason, where a file cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[], help="JSONL of more rows; may be repeated")
    parser.add_argument("--without-held-out", action="store_true", help="keep the held-out templates for evaluation")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    asked = parser.parse_args()
    said, fetched = bundled_rows()
    try:
        for path in asked.data:
            more_said, more_fetched = read_lines(path)
            said += more_said
            fetched += more_fetched
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if asked.without_held_out:
        said, fetched = ([row for row in rows if not row.held_out] for rows in (said, fetched))
    asked.out.write_bytes(train(said, fetched).to_json())
    print(f"{len(said)} texts as said, {len(fetched)} as fetched; weights in {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
