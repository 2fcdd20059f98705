"""Turns a line of a table (a kind of number, its forms, its check, the words that name it) into a detector.

A number whose form and check say enough stands for itself; one that could be any number needs a word before it. Many
kinds have a line for each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from guards.pii.detectors import words as said
from guards.pii.detectors.numbers import NUMBER_GATE, latin1, starts_of_numbers
from guards.pii.detectors.shapes import (
    AFTER,
    BEFORE,
    ID_TAIL,
    ID_TAIL_BYTES,
    LETTERED_GATE,
    LONGEST_ID_TAIL,
    Form,
    compact,
    form,
)
from guards.spans.detector import Detector, starts_of


@dataclass(frozen=True, slots=True)
class Identifier:
    """One kind of number.

    `forms`: see `shapes`. `valid(number)`: the check, given letters and digits alone, in capitals. `words`: one of
    them must stand before it; None: it stands for itself, unless it is called something else (`part no.`) and there
    is no check digit to say otherwise (`wary`). `close`: the word must stand right before it, which numbers
    without a check need. `any_case`: letters may be small if the number is in one piece; by default beside a word.
    """

    kind: str
    forms: tuple[str, ...]
    valid: Callable[[str], bool]
    words: str | None = None
    close: bool = False
    wary: bool = False
    any_case: bool | None = None


def detector(one: Identifier) -> Detector:
    """Raises ValueError for a form that is too long."""
    forms = [form(written) for written in one.forms]
    wholes = [written.pattern for written in forms]
    if one.any_case or (one.any_case is None and one.words):
        wholes += [b"(?i:%b)" % form(each.replace(" ", "")).pattern for each in one.forms if re.search("[A-Z]", each)]
    whole = b"|".join(wholes)
    named = said.near(one.words, close=one.close) if one.words else None
    match = re.compile(rb"(?:%b)%b" % (whole, AFTER)).match

    def end(folded: bytes, begin: int) -> int | None:
        found = match(folded, begin)
        if found is None or (named is not None and not named(folded, begin)):
            return None
        if one.wary and said.called_otherwise(folded, begin):
            return None
        return found.end() if one.valid(compact(found.group())) else None

    return Detector(
        kind=one.kind,
        gate=_gate(one, forms),
        starts=_starts(one, forms, whole),
        end=end,
        tail=ID_TAIL,
        tail_bytes=ID_TAIL_BYTES,
        longest_tail=LONGEST_ID_TAIL,
        canonical=canonical,
    )


def _gate(one: Identifier, forms: Sequence[Form]) -> bytes:
    if one.words:
        return said.gate(one.words)
    if min(each.digits for each in forms) >= 7:
        return NUMBER_GATE
    return LETTERED_GATE


def _starts(one: Identifier, forms: Sequence[Form], whole: bytes) -> Callable[[bytes, int], Iterator[int]]:
    pattern = re.compile(rb"%b(?=(?:%b)%b)" % (BEFORE, whole, AFTER))
    if one.words:
        windows = said.windows(one.words, whole)

        def starts_near_words(folded: bytes, begin: int) -> Iterator[int]:
            for low, high in windows(folded, begin):
                for found in pattern.finditer(folded, low, high + LONGEST_ID_TAIL + 2):
                    yield found.start()

        return starts_near_words

    is_there = latin1(whole).search
    if all(each.numeric and each.digits >= 7 for each in forms):
        everywhere = starts_of_numbers(pattern, LONGEST_ID_TAIL + 2)
    else:
        everywhere = starts_of(pattern)

    def starts(folded: bytes, begin: int) -> Iterator[int]:
        return everywhere(folded, begin) if is_there(folded, begin) else iter(())

    return starts


def canonical(value: str) -> str:
    """Letters and digits alone, of whatever script, in capitals."""
    plain = unicodedata.normalize("NFKC", value)
    return "".join(str(int(char)) if char.isdecimal() else char.upper() for char in plain if char.isalnum())
