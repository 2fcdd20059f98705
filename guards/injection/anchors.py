"""What a text must have before a rule over words can match: words, or pairs of neighbours. Asked first, they spare
nearly every search: to look for a hundred patterns with gaps in them costs milliseconds, to see that a text has none of
their words costs microseconds.

Read is the small part of RE2's syntax that the rules are written in: letters, `\\b`, `\\w`, `\\d`, `\\.`, `[abc]`,
`(?:a|b)`, `?`, `+`, `*`, `{0,n}`, `$`. For anything else `AnchorError` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise, product
from typing import NamedTuple

MOST_STRINGS = 500  # that one run of a pattern may stand for; a longer run is cut in two
_UNKNOWN = "\0"  # some letters that are not known
_SIGN = re.compile(r"\\[bwd.]|\(\?:|\[\w+\]|\{\d+,\d*\}|[()|?+*$]|[^\\\[\](){}|?+*.$^]")

Keys = frozenset[tuple[str, ...]]  # one word, or two that stand side by side


class AnchorError(ValueError):
    """A pattern uses syntax that is not read here."""


class _Piece(NamedTuple):
    """All strings it stands for, or None. `ends_word`: where those are not known, each is empty or ends in a space."""

    strings: frozenset[str] | None
    ends_word: bool = False


class Needs(NamedTuple):
    """At least one of `keys` is in every match, and at least one word of each of `words`."""

    keys: Keys
    words: tuple[frozenset[str], ...]


def needs(pattern: str) -> tuple[Needs, ...]:
    """For each alternative of a pattern what it needs. Raises AnchorError, also where it needs nothing."""
    signs = _SIGN.findall(pattern)
    if "".join(signs) != pattern:
        raise AnchorError(f"cannot read {pattern!r}")
    found = []
    for pieces in _alternatives(iter(signs), inside=False):
        groups = [keys for keys in map(_keys, _runs(pieces)) if keys]
        if not groups:
            raise AnchorError(f"any text may match {pattern!r}")
        singles = [_words(run) for run in _runs(pieces, word_by_word=True)]
        found.append(Needs(min(groups, key=_cost), tuple(sorted((words for words in singles if words), key=len))))
    return tuple(found)


def keys_of(tokens: list[str]) -> set[tuple[str, ...]]:
    """All keys of a text, by its words in order."""
    return {*zip(tokens), *pairwise(tokens)}


def _alternatives(signs: Iterator[str], *, inside: bool) -> list[list[_Piece]]:
    found: list[list[_Piece]] = [[]]
    for sign in signs:
        pieces = found[-1]
        if sign == "|":
            found.append([])
        elif sign == ")" and inside:
            return found
        elif sign == "(?:":
            pieces.append(_either(_alternatives(signs, inside=True)))
        elif sign == "?":
            last = pieces.pop()
            pieces.append(_Piece(None if last.strings is None else last.strings | {""}, last.ends_word))
        elif sign.startswith("{") or sign in ("+", "*"):
            pieces.append(_Piece(None, _ends_word(pieces.pop())))
        elif sign in ("\\b", "$"):
            pieces.append(_Piece(frozenset({" "})))
        elif sign == "\\.":
            pieces.append(_Piece(frozenset({"."})))
        elif sign.startswith("\\"):
            pieces.append(_Piece(None))
        elif sign.startswith("["):
            pieces.append(_Piece(frozenset(sign[1:-1])))
        elif sign in ("(", ")"):
            raise AnchorError("only (?:...) groups are read")
        else:
            pieces.append(_Piece(frozenset({sign})))
    if inside:
        raise AnchorError("a bracket is not closed")
    return found


def _either(alternatives: list[list[_Piece]]) -> _Piece:
    known: set[str] = set()
    for pieces in alternatives:
        if any(piece.strings is None for piece in pieces) or (joined := _joined(pieces)) is None:
            return _Piece(None, all(_piece_end(pieces) for pieces in alternatives))
        known |= joined
    return _Piece(frozenset(known)) if len(known) <= MOST_STRINGS else _Piece(None, all(s[-1:] == " " for s in known))


def _joined(pieces: Iterable[_Piece]) -> frozenset[str] | None:
    strings: frozenset[str] = frozenset({""})
    for piece in pieces:
        assert piece.strings is not None
        if len(strings) * len(piece.strings) > MOST_STRINGS:
            return None
        strings = frozenset(map("".join, product(strings, piece.strings)))
    return strings


def _ends_word(piece: _Piece) -> bool:
    return piece.ends_word if piece.strings is None else all(text.endswith(" ") for text in piece.strings if text)


def _piece_end(pieces: list[_Piece]) -> bool:
    return bool(pieces) and _ends_word(pieces[-1])


def _runs(pieces: list[_Piece], *, word_by_word: bool = False) -> Iterator[frozenset[str]]:
    """The strings of each run of known pieces. `word_by_word`: a run ends with each word."""
    run: frozenset[str] = frozenset({_UNKNOWN})
    for piece in pieces:
        if piece.strings is None:
            whole = all(text.endswith(" ") for text in run)
            yield run if whole else frozenset(text + _UNKNOWN for text in run)
            run = frozenset({" " if piece.ends_word and whole else _UNKNOWN})
        elif word_by_word and piece.strings == {" "} and not any(text.endswith(" ") for text in run):
            yield frozenset(text + " " for text in run)
            run = frozenset({" "})
        elif len(run) * len(piece.strings) > MOST_STRINGS:
            whole = all(text.endswith(" ") for text in run)
            yield run if whole else frozenset(text + _UNKNOWN for text in run)
            run = frozenset((" " if whole else _UNKNOWN) + text for text in piece.strings)
        else:
            run = frozenset(map("".join, product(run, piece.strings)))
    yield frozenset(text + _UNKNOWN for text in run)


def _keys(run: Iterable[str]) -> Keys:
    """For each string the pair of neighbours, else the word, that is least likely to be there by chance.

    Empty where a string has no whole word.
    """
    found = set()
    for text in run:
        words = text.split()
        chains = [*pairwise(words), *zip(words)]
        whole = [chain for chain in chains if not any(_UNKNOWN in word for word in chain)]
        best = min(whole, key=lambda chain: (_chance(chain), chain), default=None)
        if best is None or best == (".",):
            return frozenset()
        found.add(best)
    return frozenset(found)


def _words(run: Iterable[str]) -> frozenset[str]:
    """For each string its longest whole word; empty where one has none."""
    best = [
        max((word for word in text.split() if _UNKNOWN not in word and word != "."), key=len, default="")
        for text in run
    ]
    return frozenset(best) if all(best) else frozenset()


def _chance(key: tuple[str, ...]) -> float:
    """How often a key is about to be found where no rule matches: short words are common, pairs are not."""
    return 0.3 ** len("".join(key)) if len(key) == 1 else 0.01 * 0.3 ** len("".join(key))


def _cost(keys: Keys) -> float:
    return sum(map(_chance, keys))
