"""Cuts a JSON text into what guards have to see and what they must leave alone, while it is still growing.

A tool's arguments are JSON inside a string. Its strings may be escaped (`a\\u0040b.com` is an address), so guards see
them decoded; what stands between them is structure. Nothing is parsed into values and written anew: what no guard
changes stays as it was, to the byte (RFC 8259; broken JSON is cut as far as it goes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_SPACE = " \t\n\r"
_BETWEEN = re.compile(r"[ \t\n\r{}\[\]:,]+")
_WORD = re.compile(r'[^{}\[\]:,"]+')  # a number or a literal, in JSON; anything at all, in what claims to be JSON
_PLAIN = re.compile(r'[^"\\]+')
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\[^u]", re.DOTALL)
_PAIR_BEGUN = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
_UNIT_BEGUN = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_MUST_ESCAPE = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_LITERALS = frozenset({"true", "false", "null"})
_LONGEST_KEY = 40  # characters of a key that are told as context


class Kind(Enum):
    STRUCTURE = "structure"  # also the quotes around strings
    BEGIN = "begin"  # a string begins; `text` is the key that it is the value of
    TEXT = "text"  # some of a string, decoded
    END = "end"
    WORD = "word"  # a whole number or literal, or what stands in the place of one


@dataclass(frozen=True, slots=True)
class Piece:
    """`raw` is how it is written, `text` what it says (of a WORD and a BEGIN: see `key`)."""

    kind: Kind
    raw: str
    text: str = ""
    key: str = ""


def looks_like_json(text: str) -> bool:
    """Whether a text is an object, an array or a string, by its first character."""
    return text.lstrip(_SPACE)[:1] in ("{", "[", '"')


def quoted_inside(text: str) -> str:
    """`text` as it is written between the quotes of a JSON string, with as few escapes as may be."""
    return _MUST_ESCAPE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match.group()
    return f"\\{char}" if char in '"\\' else f"\\u{ord(char):04x}"


class JsonCutter:
    """Takes a JSON text in any pieces; gives `Piece`s whose `raw`, put together, are the text."""

    def __init__(self) -> None:
        self._rest = ""
        self._in_string = False
        self._open: list[str] = []
        self._key = ""
        self._string = ""  # the string just read, which is a key if a colon follows

    def feed(self, text: str, *, final: bool = False) -> Iterator[Piece]:
        """`final`: no more text follows."""
        text, self._rest = self._rest + text, ""
        at = 0
        while at < len(text):
            step = self._string_piece(text, at, final) if self._in_string else self._outside(text, at, final)
            if step is None:
                self._rest = text[at:]
                return
            yield step
            at += len(step.raw)

    def _outside(self, text: str, at: int, final: bool) -> Piece | None:
        if text[at] == '"':
            self._in_string = True
            self._string = ""
            return Piece(Kind.BEGIN, '"', key=self._key)
        if between := _BETWEEN.match(text, at):
            self._walk(between.group())
            return Piece(Kind.STRUCTURE, between.group())
        word = _WORD.match(text, at)
        assert word is not None  # whatever is neither structure nor a quote
        if word.end() == len(text) and not final:
            return None
        raw = word.group().rstrip(_SPACE)
        return Piece(Kind.STRUCTURE if raw in _LITERALS else Kind.WORD, raw, raw, self._key)

    def _string_piece(self, text: str, at: int, final: bool) -> Piece | None:
        if text[at] == '"':
            self._in_string = False
            return Piece(Kind.END, '"')
        if plain := _PLAIN.match(text, at):
            return self._said(plain.group(), plain.group())
        if pair := _PAIR.match(text, at):
            units = bytes.fromhex(pair.group().replace("\\u", ""))
            return self._said(pair.group(), units.decode("utf-16-be"))
        if not final and (_PAIR_BEGUN.fullmatch(text, at) or _UNIT_BEGUN.fullmatch(text, at)):
            return None
        escape = _ESCAPE.match(text, at)
        if escape is None:  # no escape after all
            return self._said("\\", "\\")
        raw = escape.group()
        return self._said(raw, chr(int(raw[2:], 16)) if raw[1] == "u" else _SIMPLE.get(raw[1], raw[1]))

    def _said(self, raw: str, text: str) -> Piece:
        if len(self._string) <= _LONGEST_KEY:
            self._string = (self._string + text)[: _LONGEST_KEY + 1]
        return Piece(Kind.TEXT, raw, text)

    def _walk(self, structure: str) -> None:
        """Keep track of whose value comes next."""
        for char in structure:
            if char == ":":
                self._key = self._string if len(self._string) <= _LONGEST_KEY else ""
            elif char in "{[":
                self._open.append(char)
                if char == "{":
                    self._key = ""
            elif char in "}]":
                if self._open:
                    self._open.pop()
                self._key = ""
            elif char == "," and self._open and self._open[-1] == "{":
                self._key = ""
