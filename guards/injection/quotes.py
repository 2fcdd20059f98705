"""Which parts of what a user says were fetched rather than written: documents between tags, quoted blocks, context."""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

SHORTEST = 200  # characters; a shorter quotation is what the user wants to talk about
_MOST_BLOCKS = 50
_NAMES = (
    r"(?:documents?|doc|contexts?|search_results?|results?|retrieved|sources?|passages?|web_?page|page|article|email|mail|"
    r"tool_output|data|content|file|snippet|chunk|quote)"
)
_OPENINGS = re.compile(
    rf"(?i)(?P<tag><(?P<name>{_NAMES})\b[^>\n]{{0,200}}>)"
    r"|^[ \t]*(?P<fence>```|~~~)[ \t]*(?P<language>[A-Za-z0-9_+#.-]*)[^\n]*$"
    r"|(?P<quotes>\"\"\")"
    r"|^[ \t]*(?P<label>(?:#{1,4} |\*\*)?(?:context|(?:retrieved )?documents?|search results|web results|sources?|"
    r"passages?|e-?mail content|article|tool output)(?: \d+)?(?:\*\*)?[ \t]*:)",
    re.MULTILINE,
)
_GATE = re2.compile(
    rf"(?i)<{_NAMES}\b|```|~~~|\"\"\"|(?:context|documents?|results|sources?|passages?|content|article|output)"
    r"[ \t0-9*]*:"
)
# Code is what people ask about; what they paste with one of these names is text.
_TEXT_LANGUAGES = frozenset(
    {"", "text", "txt", "md", "markdown", "html", "email", "mail", "quote", "plain", "plaintext"}
)
_LABEL_END = re.compile(
    r"(?im)^[ \t]*(?:#{1,4} |\*\*)?(?:questions?|query|user|task|instructions?|request|answer|output|assistant|"
    r"your (?:task|answer))(?:\*\*)?[ \t]*:"
)


def quoted(text: str) -> Iterator[str]:
    """The blocks of a text that were fetched, those of at least `SHORTEST` characters. One pass, linear.

    A block that does not end is none.
    """
    if not _GATE.search(text):
        return
    place = found = 0
    never: set[str] = set()  # ends that do not come any more
    while found < _MOST_BLOCKS and (opening := _OPENINGS.search(text, place)):
        place = opening.end()
        mark = _mark(opening)
        if mark in never:
            continue
        start, end, place = place, *_end(text, mark, place)
        if end < 0:
            never.add(mark)
            place = start
        elif end - start >= SHORTEST and (opening["fence"] is None or opening["language"].lower() in _TEXT_LANGUAGES):
            found += 1
            yield text[start:end]


def _mark(opening: re.Match[str]) -> str:
    """What ends a block; empty for one that ends where the next part of a prompt begins."""
    if opening["tag"] is not None:
        return f"</{opening['name']}>"
    return opening["fence"] or opening["quotes"] or ""


def _end(text: str, mark: str, start: int) -> tuple[int, int]:
    """Where a block ends, -1 for nowhere, and where to look on."""
    if not mark:
        ending = _LABEL_END.search(text, start)
        return (ending.start(), ending.start()) if ending else (-1, -1)
    end = text.find(mark, start)
    return end, end + len(mark)
