"""The ways in which a model may write a placeholder, and the one form (key) that all of them stand for.

`[EMAIL_1_k7]` may come back in another case, with spaces or emphasis inside, escaped for markdown
(`\\[EMAIL\\_1\\_k7\\]`, once or twice), for JSON (`\\u005bEMAIL_1_k7\\u005d`), HTML (`&#91;`, `&lbrack;`) or URLs
(`%5B`), or in full width. The brackets of one placeholder are of one kind. What stands around it (`**`, backticks,
quotes) is not part of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

LONGEST = 200  # characters of any writing

# (opening, closing) of each kind of bracket; `ESC` is one backslash or two.
_ESC = r"\\{1,2}"
_BRACKETS = (
    (r"\[", r"\]"),
    (rf"{_ESC}\[", rf"{_ESC}\]"),
    (rf"{_ESC}u005[bB]", rf"{_ESC}u005[dD]"),
    (r"&(?:#91|#[xX]5[bB]|lbrack|lsqb);", r"&(?:#93|#[xX]5[dD]|rbrack|rsqb);"),
    (r"%5[bB]", r"%5[dD]"),
    ("［", "］"),
)
_OPEN = "|".join(opening for opening, _ in _BRACKETS)
_IGNORED = " \u00a0\u2009\u202f\u200b\u200c\u200d\u2060\ufeff*`~"  # spaces, zero width, emphasis
_UNIT = (
    rf"(?:[A-Za-z0-9_Ａ-Ｚａ-ｚ０-９＿{_IGNORED}]|{_ESC}_|{_ESC}u005[fF]"
    rf"|&(?:#95|#[xX]5[fF]|lowbar);|%5[fF])"
)
_PLACEHOLDER = re.compile("|".join(rf"{opening}{_UNIT}{{6,100}}{closing}" for opening, closing in _BRACKETS))

_ESCAPED = re.compile(rf"{_ESC}u005([bdf])|%5([bdf])|&(?:#(9[135])|#x(5[bdf])|(lbrack|lsqb|rbrack|rsqb|lowbar));")
_MEANS = {"b": "[", "d": "]", "f": "_", "91": "[", "93": "]", "95": "_", "5b": "[", "5d": "]", "5f": "_"}
_MEANS |= {"lbrack": "[", "lsqb": "[", "rbrack": "]", "rsqb": "]", "lowbar": "_"}
_DROPPED = str.maketrans("", "", "\\" + _IGNORED)
_KEY = re.compile(r"\[[a-z][a-z0-9_]{1,39}_[0-9]{1,6}_[a-z0-9]{2,12}\]")
_HINTS = ("[", "u005", "%5", "&", "［")


def key_of(written: str) -> str:
    """The one form of all writings of a placeholder, or of the beginning of one."""
    key = written.lower()
    if not key.isascii():
        key = unicodedata.normalize("NFKC", key)
    if "\\" in key or "&" in key or "%" in key:
        key = _ESCAPED.sub(lambda match: _MEANS[match[match.lastindex or 0]], key)
    return key.translate(_DROPPED)


def writings(text: str, begin: int = 0) -> Iterator[tuple[int, int, str]]:
    """Everything in the text that may be a placeholder in some writing: start, end, key."""
    if not any(hint in text for hint in _HINTS):
        return
    for match in _PLACEHOLDER.finditer(text, begin):
        if match.end() - match.start() > LONGEST:
            continue
        key = key_of(match.group())
        if _KEY.fullmatch(key):
            yield match.start(), match.end(), key


def _begun(*literals: str) -> str:
    """A pattern of what literals begin with, whole ones left out."""
    return "|".join(
        sorted({re.escape(literal[:size]) for literal in literals for size in range(1, len(literal))}, key=len)[::-1]
    )


_SIGNS = ("5b", "5B", "5d", "5D", "5f", "5F")
_NAMED = ("#91;", "#93;", "#95;", "lbrack;", "lsqb;", "rbrack;", "rsqb;", "lowbar;")
_ENTITIES = (*_NAMED, *(f"#{x}{sign};" for x in "xX" for sign in _SIGNS))
_PARTIAL = "|".join(
    (
        rf"(?:{_ESC}(?:u(?:0(?:0(?:5)?)?)?)?",
        _begun(*(f"&{name}" for name in _ENTITIES)),
        _begun(*(f"%{sign}" for sign in _SIGNS)) + ")",
    )
)
_OPENED = re.compile(rf"(?P<known>(?:{_OPEN}){_UNIT}{{0,100}})(?:{_PARTIAL})?\Z")
_OPENING = re.compile(rf"{_PARTIAL}\Z")


def undecided(text: str, begin: int, keys: Iterable[str]) -> int:
    """Where one of the placeholders `keys` may have begun that is not complete yet; the text's end if nowhere."""
    size = len(text)
    lowest = max(begin, size - LONGEST)
    opened = _OPENED.search(text, lowest)
    if opened:
        written = key_of(opened["known"])
        if any(key.startswith(written) for key in keys):
            return opened.start()
    opening = _OPENING.search(text, lowest)
    return opening.start() if opening else size
