"""Labelled prompts: the seed set that ships, or an operator's own, as JSONL; and which of them are held out.

Each row belongs to a family (rows made from one template, or alike but for numbers), and a family lies on one side of
the split as a whole: else a near copy of what was learnt would pass for something new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from zlib import crc32

import msgspec

from gateway.routing.difficulty.features import Prompt
from gateway.routing.difficulty.model import Tier

HELD_OUT_SHARE = 5  # one family of so many is kept from training


class TrainingDataError(ValueError):
    """Rows that cannot be trained on or evaluated; the message says which and why."""


class Row(msgspec.Struct, frozen=True):
    """One labelled prompt. `family` groups what must not be split; without one the text itself does."""

    text: str
    label: Tier
    family: str = ""
    turns: int = 1
    tools: int = 0
    structured: bool = False

    def fold(self, folds: int, salt: int = 0) -> int:
        """0 to `folds` - 1, by a hash of the family: the same for ever."""
        family = self.family or re.sub(r"\d+", "0", " ".join(self.text.casefold().split()))
        return crc32(family.encode("utf-8", "surrogatepass"), salt) % folds

    @property
    def held_out(self) -> bool:
        """Whether this row is for evaluation and not for training."""
        return self.fold(HELD_OUT_SHARE) == 0

    @property
    def prompt(self) -> Prompt:
        return Prompt(self.text, self.turns, self.tools, self.structured)


def read_rows(lines: Iterable[bytes]) -> list[Row]:
    """Rows of a JSONL file: objects with `text` and `label`, and what else `Row` has. Empty lines are skipped.

    The same text is taken once. Raises TrainingDataError with the line of a bad row, and for a text with two labels.
    """
    decoder = msgspec.json.Decoder(Row)
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TrainingDataError(f"line {number}: {error}") from None
        known = rows.setdefault(row.text, row)
        if known.label is not row.label:
            raise TrainingDataError(f"line {number}: this text is {known.label} further up and {row.label} here")
    return list(rows.values())
