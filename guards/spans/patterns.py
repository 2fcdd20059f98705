"""Reads a regular expression of the configuration (RE2's syntax) so that matches have an end in sight.

Two things are needed that RE2 does not give: how long a match can be, and a second pattern that matches every text
that could still become a match (its prefixes), which tells a stream what has to wait. Both come from the parsed
pattern. A repetition without an end is given one: together its rounds match at most `longest` characters.

Refused are anchors (`^`, `$`, `\\A`, `\\z`: in a stream nobody knows where a text ends), single bytes (`\\C`), `\\Q`,
the flag `U`, patterns that match nothing at all, and those whose longest match has more than `MOST` characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import re2

DEFAULT_LONGEST = 100
MOST = 1_000  # characters of one match
_MEMORY = 64 * 2**20  # bytes that one compiled pattern may take


class BadPattern(Exception):
    """A pattern that cannot be used; the message says why."""


class Node(Protocol):
    def written(self) -> str:
        """The node as a pattern."""
        ...

    def begun(self) -> str:
        """A pattern of everything that a match of this node may begin with: nothing, a part, or all of it."""
        ...

    @property
    def shortest(self) -> int: ...

    @property
    def longest(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Char:
    """Anything that matches exactly one character."""

    source: str
    shortest: int = 1
    longest: int = 1

    def written(self) -> str:
        return self.source

    def begun(self) -> str:
        return f"(?:{self.source})?"


@dataclass(frozen=True, slots=True)
class Edge:
    """`\\b` or `\\B`."""

    source: str
    shortest: int = 0
    longest: int = 0

    def written(self) -> str:
        return self.source

    def begun(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Row:
    items: Sequence[Node]

    def written(self) -> str:
        return "".join(item.written() for item in self.items)

    def begun(self) -> str:
        out = ""
        for item in reversed(self.items):
            whole, part = item.written(), item.begun()
            if isinstance(item, Char):
                out = f"(?:{whole}{out})?"
            else:
                out = f"(?:{whole}{out}|{part})"
        return out

    @property
    def shortest(self) -> int:
        return sum(item.shortest for item in self.items)

    @property
    def longest(self) -> int:
        return sum(item.longest for item in self.items)


@dataclass(frozen=True, slots=True)
class Choice:
    """`flags`: those that hold inside, as RE2 writes them (`i`)."""

    items: Sequence[Node]
    flags: str = ""

    def written(self) -> str:
        return f"(?{self.flags}:{'|'.join(item.written() for item in self.items)})"

    def begun(self) -> str:
        return f"(?{self.flags}:{'|'.join(item.begun() for item in self.items)})"

    @property
    def shortest(self) -> int:
        return min(item.shortest for item in self.items)

    @property
    def longest(self) -> int:
        return max(item.longest for item in self.items)


@dataclass(frozen=True, slots=True)
class Repeat:
    item: Node
    least: int
    most: int
    lazy: bool = False

    def written(self) -> str:
        return f"(?:{self.item.written()}){{{self.least},{self.most}}}{'?' if self.lazy else ''}"

    def begun(self) -> str:
        if self.most == 0:
            return ""
        return f"(?:{self.item.written()}){{0,{self.most - 1}}}{self.item.begun()}"

    @property
    def shortest(self) -> int:
        return self.least * self.item.shortest

    @property
    def longest(self) -> int:
        return self.most * self.item.longest


_GROUP = re.compile(r"\(\?(?:P?<\w+>|(?P<flags>[a-zA-Z]*(?:-[a-zA-Z]+)?)(?P<end>[:)]))")
_TIMES = re.compile(r"\{(\d+)(,?)(\d*)\}")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|[^\]\\])*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[^}]*\}|..)|[0-7]{1,3}|.)", re.DOTALL)


def _known(flags: str) -> str:
    if "U" in flags:
        raise BadPattern("it may not use the flag U")
    return flags


class _Reader:
    """Reads a pattern that RE2 has accepted: whatever is unknown here is one character."""

    def __init__(self, source: str, longest: int) -> None:
        self._source = source
        self._longest = longest
        self._at = 0

    def choice(self, flags: str = "") -> Node:
        """Alternatives up to a closing parenthesis or the end."""
        choices: list[Node] = []
        items: list[Node] = []
        within: list[str] = []  # flags that were set on the way, from there to the end
        while self._at < len(self._source) and self._source[self._at] != ")":
            if self._source[self._at] == "|":
                self._at += 1
                choices.append(Row(items))
                items = []
                continue
            setting = _GROUP.match(self._source, self._at)
            if setting and setting["end"] == ")":
                self._at = setting.end()
                within.append(_known(setting["flags"]))
                continue
            item = self._item()
            for setting_flags in reversed(within):
                item = Choice([item], setting_flags)
            items.append(self._repeated(item))
        return Choice([*choices, Row(items)], flags)

    def _item(self) -> Node:
        char = self._source[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return Char(self._take(_CLASS))
        if char == "\\":
            return self._escape()
        if char in "^$":
            raise BadPattern(f"it may not hold the anchor {char}: in a stream nobody knows where a text ends")
        self._at += 1
        return Char("\\{" if char == "{" else char)

    def _group(self) -> Node:
        opening = _GROUP.match(self._source, self._at)
        self._at += len(opening.group()) if opening else 1
        inner = self.choice(_known(opening["flags"] or "") if opening else "")
        self._at += 1
        return inner

    def _escape(self) -> Node:
        source = self._take(_ESCAPE)
        if source in ("\\b", "\\B"):
            return Edge(source)
        if source in ("\\A", "\\z"):
            raise BadPattern(f"it may not hold the anchor {source}: in a stream nobody knows where a text ends")
        if source in ("\\C", "\\Q", "\\E"):
            raise BadPattern(f"it may not hold {source}")
        return Char(source)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._source, self._at)
        if match is None:
            raise BadPattern(f"it cannot be read from its character {self._at + 1} on")
        self._at = match.end()
        return match.group()

    def _repeated(self, item: Node) -> Node:
        while self._at < len(self._source):
            char = self._source[self._at]
            times = _TIMES.match(self._source, self._at) if char == "{" else None
            if char in "*+?":
                self._at += 1
                least, most = int(char == "+"), 1 if char == "?" else None
            elif times:
                self._at = times.end()
                least = int(times[1])
                most = least if not times[2] else int(times[3]) if times[3] else None
            else:
                return item
            if most is None:
                most = max(least, 1, self._longest // max(1, item.longest))
            lazy = self._source.startswith("?", self._at)
            self._at += lazy
            item = Repeat(item, least, most, lazy)
        return item


def parse(source: str, longest: int = DEFAULT_LONGEST) -> Node:
    """Raises BadPattern."""
    compiled_alone(source)
    node = _Reader(source, longest).choice()
    if node.shortest == 0:
        raise BadPattern("it matches nothing at all")
    if node.longest > MOST:
        raise BadPattern(
            f"its longest match has {node.longest:,} characters, {MOST:,} are the most; bound its repetitions"
        )
    return node


@dataclass(frozen=True, slots=True)
class Compiled:
    """`whole`: matches. `begun`: matches what may still become one, at a text's end. `longest`: in characters."""

    whole: re2._Regexp
    begun: re2._Regexp
    longest: int


def compiled(node: Node) -> Compiled:
    """Raises BadPattern."""
    return Compiled(compiled_alone(node.written()), compiled_alone(f"(?:{node.begun()})\\z"), node.longest)


def any_of(words: Iterable[str]) -> Node:
    """Any of these words, the longest that is there, whatever the case, kind and number (up to three) of spaces."""
    root: _Trie = {}
    for word in words:
        branch = root
        for char in " ".join(word.split()):
            small = char.lower()
            branch = branch.setdefault(small if len(small) == 1 else char, {})
        branch[""] = {}
    return Choice([_branch(root)], "i")


_Trie = dict[str, "_Trie"]  # by the next character; the empty one stands for a word's end


def _branch(trie: _Trie) -> Node:
    """Words with a common beginning share it: RE2 takes long for thousands that do not."""
    choices: list[Node] = []
    for char in sorted(trie, reverse=True):  # the end of a word comes last: longer words are tried first
        items: list[Node] = []
        rest = trie[char]
        if char:
            items.append(_one(char))
        while len(rest) == 1:
            ((char, rest),) = rest.items()
            if char:
                items.append(_one(char))
        if rest:
            items.append(_branch(rest))
        choices.append(Row(items))
    return Choice(choices)


def _one(char: str) -> Node:
    return Repeat(Char(r"[\s\x{a0}]"), 1, 3) if char == " " else Char(re2.escape(char))


def compiled_alone(source: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(source.encode("utf-8"), options)
    except UnicodeEncodeError:
        raise BadPattern("it holds half a character") from None
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadPattern(f"it is none of RE2's: {said}") from None
