"""What a content guard judges in a text without pointing at a place: categories, languages, program text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from guards.content.categories import by_category, scorer
from guards.content.language import foreign
from guards.content.programs import languages_in
from guards.content.sink import Sink
from guards.judging import Judgement
from guards.pieces import PieceFilter

LANGUAGE = "LANGUAGE"
LONGEST_PIECE = 400  # characters of a stream that are judged together

_WINDOW = 4_000  # characters of a whole text that are judged in one go
_OVERLAP = 200
_BREAK = re.compile(r"[.!?\n]\s")


@dataclass(frozen=True, slots=True)
class Judges:
    """`thresholds`: of the categories that are asked for. `languages`: the allowed ones; empty: any.

    `code`: languages of programs that are looked for.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    languages: frozenset[str] = frozenset()
    min_confidence: float = 0.6
    code: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.thresholds or self.languages or self.code)

    def judge(self, text: str) -> Judgement:
        """What one window of a text comes to."""
        found: dict[str, int] = {}
        score: float | None = None
        if self.thresholds:
            scores = by_category(scorer().labels(text))
            asked = {name: scores.get(name, 0.0) for name in self.thresholds}
            score = max(asked.values())
            found = {name.upper(): 1 for name, one in asked.items() if one >= self.thresholds[name]}
        if self.languages and foreign(text, self.languages, self.min_confidence):
            found[LANGUAGE] = 1
        found |= {f"CODE_{name.upper()}": 1 for name in languages_in(text, self.code)}
        return Judgement(found, score)

    def piece_filter(self, sink: Sink) -> PieceFilter:
        """For one growing text. Each kind is told once."""
        told: set[str] = set()

        async def look(piece: str, context: str) -> str:
            judgement = self.judge(context + piece)
            new = judgement.findings.keys() - told
            told.update(new)
            sink.judged(new, judgement.score)
            return piece

        return PieceFilter(look, LONGEST_PIECE)


def windows(text: str) -> Iterator[str]:
    """The text in windows that end with a sentence where they can, each with the end of the one before it."""
    begin = 0
    while begin < len(text):
        end = min(len(text), begin + _WINDOW)
        if end < len(text):
            breaks = [match.end() for match in _BREAK.finditer(text, begin + _WINDOW // 2, end)]
            end = breaks[-1] if breaks else end
        yield text[max(0, begin - _OVERLAP) : end]
        begin = end
