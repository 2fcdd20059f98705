"""Scores a text by category: how strong the evidence is that it is toxic, hateful, sexual, and so on.

Rules (`guards.content.rules`) are tried on the folded text and, where it differs, on the text with its disguises taken
off. One gate tells which of them can match at all. Evidence in one sentence adds up; sentences do not, so that a long
text is not worse than its worst sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import re2

from guards.content.folding import fold, unmask
from guards.content.rules import english, english_harm, french, german, spanish
from guards.content.rules.rule import (
    GRAPHIC,
    HARASS,
    HATE,
    HATE_THREAT,
    ILLICIT,
    INTENT,
    LABELS,
    METHOD,
    MINORS,
    PROFANITY,
    SELF_HARM,
    SEXUAL,
    THREAT,
    TOXICITY,
    VIOLENCE,
    WEAPONS,
    Rule,
)

# What the operator can ask for, and which labels are part of it.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "toxicity": (TOXICITY, HARASS, THREAT, HATE, HATE_THREAT),
    "profanity": (PROFANITY,),
    "harassment": (HARASS, THREAT),
    "hate": (HATE, HATE_THREAT),
    "violence": (VIOLENCE, GRAPHIC, THREAT),
    "sexual": (SEXUAL, MINORS),
    "self_harm": (SELF_HARM, INTENT, METHOD),
    "illicit": (ILLICIT, WEAPONS),
}
MODERATION = tuple(label for label in LABELS if label not in (PROFANITY, TOXICITY))  # OpenAI's

_SIDE = 300  # bytes of a sentence that are read on each side of a match
_SENTENCE_BEGIN = re.compile(rb".*[.!?\n]", re.DOTALL)
_SENTENCE_END = re.compile(rb"[.!?\n]")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A rule that holds, and the bounds of its match and of the sentence around it."""

    rule: int
    begin: int
    end: int
    sentence: tuple[int, int]


class Scorer:
    """All rules, compiled. Holds no text; safe to share."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = 64 * 2**20
        self._rules = rules
        self._patterns = [re2.compile(rule.pattern.encode("latin-1"), options) for rule in rules]
        self._unless = [re2.compile(rule.unless.encode("latin-1"), options) if rule.unless else None for rule in rules]
        self._gate = re2.Set.SearchSet(options)
        for rule in rules:
            self._gate.Add(rule.pattern.encode("latin-1"))
        self._gate.Compile()

    def labels(self, text: str) -> dict[str, float]:
        """Every label that has evidence, with its score, 0 to 1."""
        folded = fold(text)
        scores = self._labels(folded)
        unmasked = unmask(folded)
        if unmasked != folded:
            for label, score in self._labels(unmasked).items():
                scores[label] = max(score, scores.get(label, 0.0))
        return scores

    def _labels(self, text: bytes) -> dict[str, float]:
        sentences: dict[tuple[int, int], list[_Evidence]] = {}
        for index in self._gate.Match(text) or ():
            for found in self._evidence(index, text):
                sentences.setdefault(found.sentence, []).append(found)
        worst: dict[str, float] = {}
        for evidence in sentences.values():
            for label, score in self._sum(evidence).items():
                worst[label] = max(score, worst.get(label, 0.0))
        return worst

    def _evidence(self, index: int, text: bytes) -> Iterator[_Evidence]:
        """Where the rule holds."""
        unless = self._unless[index]
        for match in self._patterns[index].finditer(text):
            sentence = _sentence(text, match.start(), match.end())
            if unless is None or not unless.search(text[slice(*sentence)]):
                yield _Evidence(index, match.start(), match.end(), sentence)

    def _sum(self, evidence: Sequence[_Evidence]) -> dict[str, float]:
        """The scores of one sentence: of rules that found the same words only the strongest counts."""
        scores: dict[str, float] = {}
        for label in LABELS:
            said = [(self._rules[one.rule].scores.get(label, 0.0), one.begin, one.end) for one in evidence]
            counted: list[tuple[int, int]] = []
            innocence = 1.0
            for score, begin, end in sorted(said, reverse=True):
                if score and not any(begin < other_end and other < end for other, other_end in counted):
                    counted.append((begin, end))
                    innocence *= 1.0 - score
            if counted:
                scores[label] = round(1.0 - innocence, 4)
        return scores


def by_category(labels: Mapping[str, float]) -> dict[str, float]:
    """The operator's categories that have evidence."""
    scores = {name: max((labels.get(one, 0.0) for one in parts), default=0.0) for name, parts in CATEGORIES.items()}
    return {name: score for name, score in scores.items() if score > 0}


@lru_cache(maxsize=1)
def scorer() -> Scorer:
    """The one scorer of this process; compiling it takes a moment."""
    return Scorer((*english.RULES, *english_harm.RULES, *german.RULES, *french.RULES, *spanish.RULES))


def _sentence(text: bytes, begin: int, end: int) -> tuple[int, int]:
    """The bounds of the sentence around a match, as far as it is read."""
    lowest = max(0, begin - _SIDE)
    before = _SENTENCE_BEGIN.match(text, lowest, begin)
    after = _SENTENCE_END.search(text, end, min(len(text), end + _SIDE))
    return (before.end() if before else lowest), (after.start() if after else min(len(text), end + _SIDE))
