"""Passes: what a text goes through piece by piece, so that whole texts and streams are looked at in the same way.

A pass gives back what may leave and holds the rest. What it gives in total does not depend on how the text was cut: it
decides a place only when more text could not change the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guards.content.sink import Sink
from guards.spans.detector import KEPT
from guards.spans.fold import fold
from guards.spans.scanner import Scanner


class Reading:
    """A pass that reads on from where it stands. Subclasses say how far they come."""

    def __init__(self) -> None:
        self.held = ""

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        """What leaves of the text, and how many characters of it are done with; all of them if `final`.

        Raises GuardBlocked.
        """
        raise NotImplementedError

    async def feed(self, text: str) -> str:
        return self.take(text, final=False)

    async def finish(self) -> str:
        return self.take("", final=True)

    def take(self, text: str, *, final: bool) -> str:
        """Both, without waiting."""
        self.held += text
        out, done = self.advance(self.held, final=final)
        self.held = self.held[done:]
        return out


class SpanPass(Reading):
    """The operator's words and patterns. `replacements`: what stands for a value of each kind."""

    def __init__(self, scanner: Scanner, replacements: Mapping[str, str], sink: Sink) -> None:
        super().__init__()
        self._scanner = scanner
        self._replacements = replacements
        self._sink = sink
        self._context = ""

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        begin = len(self._context)
        view = self._context + text
        folded = fold(view)
        limit = len(view) if final else self._scanner.undecided(folded, begin, view)
        out: list[str] = []
        position = begin
        for span in self._scanner.spans(folded, begin, limit, view):
            value = view[span.start : span.end]
            out += (view[position : span.start], self._sink.span(span.kind, value, self._replacements[span.kind]))
            position = span.end
        if position < limit:
            out.append(view[position:limit])
            position = limit
        self._context = view[max(0, position - KEPT) : position]
        return "".join(out), position - begin


class LengthPass(Reading):
    """Ends a text that is longer than `most` characters, `kind` being what is found then."""

    def __init__(self, most: int, kind: str, sink: Sink) -> None:
        super().__init__()
        self._left = most
        self._kind = kind
        self._sink = sink

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        if self._left >= 0 and len(text) > self._left:
            self._left = -1
            self._sink.judged([self._kind])
        elif self._left >= 0:
            self._left -= len(text)
        return text, len(text)


OpenPass = Callable[[Sink], Reading]
