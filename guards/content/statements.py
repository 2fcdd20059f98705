"""Finds SQL that destroys, changes everything, gives rights away, or is written to slip into another statement.

`DELETE` and `UPDATE` are found where they have no condition, or one that is always true. Keywords may be in any case
and have comments between them. A statement is held until it ends; other text only while its last words could begin one.
"""

from __future__ import annotations

import re

from guards.content.passes import Reading
from guards.content.sink import Sink

SQL = "SQL"

LONGEST = 600  # characters of a statement that are read

_GAP = r"(?:\s|/\*.{0,100}?\*/|--[^\n]{0,100}\n)+"
_NAME = r"[\w.\"`\[\]$]+"
_THINGS = "table|database|schema|view|index|user|role|function|procedure|trigger|column|tablespace|sequence"
# What must follow a keyword for a statement to have begun; a part of it may be all there is so far.
_SECOND = {
    "drop": rf"(?:{_THINGS})",
    "truncate": rf"{_NAME}",
    "delete": r"from",
    "update": rf"{_NAME}",
    "alter": r"(?:table|user|role|database|system|login)",
    "grant": r"\w+",
    "revoke": r"\w+",
    "union": r"(?:all|distinct|select)",
    "exec": r"[\w.\[\]]+",
    "execute": r"[\w.\[\]]+",
    "into": r"(?:outfile|dumpfile)",
    "or": r"[\"'(]*\w*[\"')]*",
    "shutdown": r"(?:with|immediate|abort|;)",
}
_FLAGS = re.IGNORECASE | re.DOTALL
_KEYWORD = re.compile(rf"(?<!\w)({'|'.join(sorted(_SECOND, key=len, reverse=True))})(?=\W|\Z)", _FLAGS)
_FOLLOWS = {word: re.compile(_GAP + second + r"(?!\w)", _FLAGS) for word, second in _SECOND.items()}
_OPEN_GAP = re.compile(
    rf"(?:{_GAP})?(?:/|/\*.{{0,100}}|--?[^\n]{{0,100}}|[\w.\"'`(\[\]$;]{{0,64}}[\"')]{{0,3}})\Z", _FLAGS
)
_END = re.compile(r";|\n\s*\n|```|\Z")
_LAST_WORD = re.compile(r"(?<!\w)[A-Za-z]{1,8}\Z")
_STOP = r"\s*(?:;|\Z|\n|[\"'`)]|--|#|cascade|restrict|purge|,)"
_IF = rf"(?:if{_GAP}exists{_GAP})?"

_DANGEROUS = [
    re.compile(pattern, _FLAGS)
    for pattern in (
        rf"drop{_GAP}(?:{_THINGS}){_GAP}{_IF}{_NAME}{_STOP}",
        rf"truncate{_GAP}table{_GAP}{_NAME}",
        rf"truncate{_GAP}{_NAME}\s*;",
        rf"alter{_GAP}table{_GAP}{_NAME}{_GAP}(?:drop|rename|disable)\b",
        rf"alter{_GAP}(?:user|role|login){_GAP}\S+{_GAP}(?:with{_GAP})?(?:password|identified|superuser|enable)\b",
        rf"(?:grant|revoke){_GAP}(?:all|select|insert|update|delete|super|create|drop|dba|execute)\b.{{0,200}}?\b(?:on|to|from)\b",
        rf"union{_GAP}(?:(?:all|distinct){_GAP})?select\b",
        rf"exec(?:ute)?{_GAP}(?:master\.+)?(?:dbo\.)?(?:xp_|sp_configure|sp_oacreate)",
        rf"into{_GAP}(?:outfile|dumpfile){_GAP}[\"']",
        r"or\s+[\"'(]*(\w+)[\"')]*\s*=\s*[\"'(]*\1\b",
        rf"shutdown{_GAP}(?:with{_GAP}nowait|immediate|abort)|shutdown\s*;",
    )
]
_ALL_ROWS = [
    re.compile(rf"delete{_GAP}from{_GAP}{_NAME}{_STOP}", _FLAGS),
    re.compile(rf"delete{_GAP}from{_GAP}{_NAME}{_GAP}where{_GAP}(?:1\s*=\s*1|true|1\b)", _FLAGS),
    re.compile(rf"update{_GAP}{_NAME}{_GAP}set{_GAP}{_NAME}\s*=(?!.*\bwhere\b)", _FLAGS),
    re.compile(rf"update{_GAP}{_NAME}{_GAP}set\b.*\bwhere{_GAP}(?:1\s*=\s*1|true)\b", _FLAGS),
]


class StatementPass(Reading):
    def __init__(self, replacement: str | None, sink: Sink) -> None:
        super().__init__()
        self._replacement = f"[{SQL}]" if replacement is None else replacement
        self._sink = sink
        self._last = ""

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        before = len(self._last)
        view = self._last + text
        out: list[str] = []
        position = at = before
        while (word := _KEYWORD.search(view, at)) is not None:
            at = word.end()
            if word.end() == len(view) and not final:
                return self._so_far(out, view, position, word.start(), before)
            if not _FOLLOWS[word[1].lower()].match(view, word.end()):
                if not final and _OPEN_GAP.match(view, word.end()):
                    return self._so_far(out, view, position, word.start(), before)
                continue
            most = min(len(view), word.start() + LONGEST)
            end = _END.search(view, word.end(), most)
            if (end is None or end.start() == len(view)) and not final and most == len(view):
                return self._so_far(out, view, position, word.start(), before)
            stop = min(end.end() if end and end.group() == ";" else end.start() if end else most, most)
            statement = view[word.start() : stop].rstrip()
            if is_dangerous(statement):
                out += (view[position : word.start()], self._sink.span(SQL, statement, self._replacement))
                position = at = word.start() + len(statement)
        end_of_sure = len(view)
        if not final and (last := _LAST_WORD.search(view, max(at, before))):
            written = last.group().lower()
            if any(keyword.startswith(written) for keyword in _SECOND):
                end_of_sure = max(last.start(), position)
        return self._so_far(out, view, position, end_of_sure, before)

    def _so_far(self, out: list[str], view: str, position: int, end: int, before: int) -> tuple[str, int]:
        self._last = view[max(0, end - 1) : end]
        return "".join((*out, view[position:end])), end - before


def is_dangerous(statement: str) -> bool:
    return any(pattern.match(statement) for pattern in (*_DANGEROUS, *_ALL_ROWS))
