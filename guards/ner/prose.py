"""Which parts of a text are prose, and the windows in which it is read. Depends on the text alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

WINDOW = 2_000  # characters
OVERLAP = 200

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*([\w+#.\-]*)[^\n`]*$", re.MULTILINE)
# What people paste between fences that is not code: letters, tables, logs and records hold names.
_PROSE = {
    *("text", "txt", "plain", "plaintext", "markdown", "md", "log", "output", "csv", "tsv", "json", "jsonl", "yaml"),
    *("yml", "xml", "html", "email", "eml", "vcf", "ics", "ini"),
}
_CODE_LINE = re.compile(
    r"[{};]\s*$|^\s*(?:def|class|import|from\s+\w+\s+import|return|if\s*\(|for\s*\(|while\s*\(|#include|func|fn|let|const"
    r"|var|public|private|static|package|using|SELECT|INSERT|UPDATE|CREATE)\b|^\s*(?://|#!|\$ )|\w\([^\s()]{0,80}\)"
    r"|[\w\])]\s(?:=|:=|==|=>|->)\s"
)
_LOOKED_AT = 8_000  # characters of a block, to tell whether it is code


@dataclass(frozen=True, slots=True)
class Window:
    """`text[start:end]` is read; what begins from `first` on and before `limit` is taken from it."""

    start: int
    end: int
    first: int
    limit: int


def stretches(text: str) -> Iterator[tuple[int, int]]:
    """The text without its fenced blocks of code, in parts."""
    if "```" not in text and "~~~" not in text:
        yield 0, len(text)
        return
    begin = position = 0
    while opening := _FENCE.search(text, position):
        closing = _closing(text, opening)
        inside = closing.start() if closing else len(text)
        end = closing.end() if closing else len(text)
        if _is_code(opening.group(2).lower(), text[opening.end() : inside]):
            if begin < opening.start():
                yield begin, opening.start()
            begin = end
        position = end
        if closing is None:
            break
    if begin < len(text):
        yield begin, len(text)


def _closing(text: str, opening: re.Match[str]) -> re.Match[str] | None:
    """The fence that ends a block: of the same sign, as long or longer, and bare."""
    mark = opening.group(1)
    for fence in _FENCE.finditer(text, opening.end()):
        if fence.group(1).startswith(mark) and not fence.group(2):
            return fence
    return None


def _is_code(language: str, block: str) -> bool:
    if language:
        return language not in _PROSE
    lines = [line for line in block[:_LOOKED_AT].split("\n") if line.strip()]
    return sum(_CODE_LINE.search(line) is not None for line in lines) * 5 > len(lines) * 2


def windows(text: str, begin: int, end: int) -> Iterator[Window]:
    """Windows that cover `text[begin:end]`, cut between words where there are any, each overlapping the next."""
    start = first = begin
    while True:
        if end - start <= WINDOW:
            yield Window(start, end, first, end)
            return
        stop = _between_words(text, start + WINDOW - OVERLAP // 2, start + WINDOW)
        following = _between_words(text, stop - OVERLAP, stop - OVERLAP * 3 // 4)
        limit = _between_words(text, following + OVERLAP // 4, stop - OVERLAP // 4)
        yield Window(start, stop, first, limit)
        start, first = following, limit


def _between_words(text: str, low: int, high: int) -> int:
    """The last place in `low .. high` that a space stands before; `high` if there is none."""
    place = max(text.rfind(" ", low, high), text.rfind("\n", low, high))
    return place + 1 if place >= 0 else high
