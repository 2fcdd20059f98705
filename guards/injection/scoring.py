"""What a text comes to: its windows one after another, each by rules and model, the highest of all.

A window's points are log-odds: the model's, held within bounds so that neither padding nor a chance word decides
alone, and those of the rules found in it, once for each family. Nothing is added up over windows, so a long text is
not suspicious for its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from guards.injection.features import words
from guards.injection.hidden import View, invisible, oddities, views
from guards.injection.model import InjectionModel
from guards.injection.normalise import BLOCK, clean, flatten, masked_words
from guards.injection.quotes import quoted
from guards.injection.rules import Rule, rule_set

WINDOW = 2_000  # characters that are judged together
OVERLAP = 300  # of them with the window before: longer than any rule
_LOWEST, _HIGHEST = -2.5, 3.5  # log-odds that the model alone may give
_MOST_POINTS = 8.0  # of all rules together
_DIRECT_SHIFT, _DIRECT_SLOPE = 0.6, 1.4
_INDIRECT_SHIFT, _INDIRECT_SLOPE = -1.5, 1.0
_HIDDEN_POINTS = 2.0  # for what a hidden text says, if it says anything suspicious
_HIDDEN_FROM = 1.0  # log-odds from which on it does where no rule is found in it
_MANY_TAGS, _TAG_POINTS = 8, 4.0  # tag characters spell text that no reader sees, and serve for nothing else
_MANY_ODD, _ODD_POINTS = 4, 0.5  # words taken apart by what is not seen, or spelt in two scripts: odd, no more
MODEL = "phrasing"  # the family of what the model found and no rule


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one window. `odds`: log-odds of an attack. `fetched`: judged as text that was fetched. `text`: what was read,
    for a second opinion; never kept."""

    odds: float
    families: frozenset[str] = frozenset()
    fetched: bool = False
    rules: frozenset[str] = frozenset()
    text: str = field(default="", repr=False)

    @property
    def score(self) -> float:
        """0 to 1."""
        return 0.5 + 0.5 * math.tanh(self.odds / 2)


class Scorer:
    """Rules and model, ready to judge. Safe to share between threads; keeps no text.

    `allowed`: phrases that are taken out before a text is judged.
    """

    def __init__(self, model: InjectionModel, allowed: Sequence[str] = ()) -> None:
        self._model = model
        self._rules = rule_set()
        self._allowed = tuple(clean(phrase).casefold() for phrase in allowed)

    def findings(self, text: str, *, fetched: bool) -> Iterator[Finding]:
        """One finding for each window, view and quoted block."""
        return (step for step in self.steps(text, fetched=fetched) if step is not None)

    def steps(self, text: str, *, fetched: bool) -> Iterator[Finding | None]:
        """The same in more steps, whose work is bounded: None is nothing but a place at which a caller may pause."""
        if not text.isascii():
            text = text.encode("utf-8", "ignore").decode()  # unpaired surrogates are not seen either
        if not fetched:
            for block in quoted(text):
                yield from self._read(block, fetched=True)
        yield from self._read(text, fetched=fetched)

    def _read(self, text: str, *, fetched: bool) -> Iterator[Finding | None]:
        pending = ""
        for start in range(0, len(text), BLOCK):
            raw = text[start : start + BLOCK]
            if not raw.isascii():
                yield from self._invisible(raw)
            pending += clean(raw)
            while len(pending) > WINDOW:
                end = _border(pending, WINDOW - OVERLAP // 2, WINDOW)
                yield from self._window(pending[:end], fetched=fetched)
                pending = pending[_border(pending, end - OVERLAP, end - OVERLAP // 2) :]
        if pending:
            yield from self._window(pending, fetched=fetched)

    def _window(self, window: str, *, fetched: bool) -> Iterator[Finding | None]:
        for phrase in self._allowed:
            window = _without(window, phrase)
        plain = self._judged(window, fetched=fetched)
        yield plain
        for view in views(window):
            yield None
            yield from self._hidden(view, plain.rules if view.whole else frozenset())

    def _invisible(self, raw: str) -> Iterator[Finding | None]:
        for view in invisible(raw):
            yield None
            yield from self._hidden(view)
        odd = oddities(raw)
        if odd.tags >= _MANY_TAGS:
            yield Finding(_TAG_POINTS, frozenset({"invisible"}), text=clean(raw)[:WINDOW])
        elif odd.split_words >= _MANY_ODD or odd.overrides >= 2 or masked_words(raw) >= _MANY_ODD:
            yield Finding(_ODD_POINTS, frozenset({"invisible"}), text=clean(raw)[:WINDOW])

    def _hidden(self, view: View, known: frozenset[str] = frozenset()) -> Iterator[Finding | None]:
        """Judged as said and as fetched, for whoever hides it may mean either; `known` rules were there in the open."""
        text = clean(view.text)
        tokens, rules = self._seen_in(text)
        yield None
        said = self._weighed(text, tokens, rules, fetched=False)
        if said.rules <= known and (view.whole or said.odds < _HIDDEN_FROM):
            yield Finding(_LOWEST)
            return
        found = max(said, self._weighed(text, tokens, rules, fetched=True), key=_odds)
        yield Finding(found.odds + _HIDDEN_POINTS, found.families | {"hidden"}, text=text)

    def _judged(self, text: str, *, fetched: bool) -> Finding:
        return self._weighed(text, *self._seen_in(text), fetched=fetched)

    def _seen_in(self, text: str) -> tuple[list[bytes], list[Rule]]:
        """The words of a text, and the rules that are found in it."""
        flat = flatten(text)
        return words(flat), self._rules.match(flat, text)

    def _weighed(self, text: str, tokens: list[bytes], rules: list[Rule], *, fetched: bool) -> Finding:
        if fetched:
            odds = self._model.indirect.sentences(tokens) * _INDIRECT_SLOPE + _INDIRECT_SHIFT
        else:
            odds = self._model.direct.spans(tokens) * _DIRECT_SLOPE + _DIRECT_SHIFT
        odds = min(max(odds, _LOWEST), _HIGHEST)
        points: dict[str, float] = {}
        for rule in rules:
            worth = rule.indirect if fetched else rule.direct
            points[rule.family] = max(points.get(rule.family, worth), worth)
        families = frozenset(family for family, worth in points.items() if worth > 0) or frozenset({MODEL})
        odds += min(sum(worth for worth in points.values() if worth > 0), _MOST_POINTS)
        odds += sum(worth for worth in points.values() if worth < 0)
        return Finding(odds, families, fetched, frozenset(rule.id for rule in rules), text)


def _border(text: str, first: int, last: int) -> int:
    """Where to cut between two places: behind the last sentence there, else behind the last word."""
    for marks in ((". ", "\n", "\u3002"), (" ",)):
        places = [place + len(mark) for mark in marks if (place := text.rfind(mark, first, last)) >= 0]
        if places:
            return max(places)
    return last


def _odds(finding: Finding) -> float:
    return finding.odds


def _without(text: str, phrase: str) -> str:
    """The text with a paragraph's end in place of each occurrence of a phrase, whatever its case."""
    folded = text.casefold()
    if phrase not in folded:
        return text
    return folded.replace(phrase, "\n\n")
