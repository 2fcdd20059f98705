"""Makes a text look to the rules of `guards.content.rules` as it sounds to a reader.

`fold` gives one Latin-1 byte per character: lower case, no accents but that of `n` with a tilde (Spanish tells words
apart by it), no invisible characters, look-alike letters of other scripts taken for the Latin ones. `unmask` goes on to
what people do to get past word lists: digits and signs in place of letters, letters spaced out, letters repeated.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import re2

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]+"
)
_MARKS = re.compile("[\u0300-\u0302\u0304-\u036f\u20d0-\u20ff]+")  # all but the tilde
_OTHER_TILDES = re.compile("(?<!n)\u0303")


_FOREIGN = re.compile("[^\x00-\x7f]+")


def _pairs(odd: str, plain: str) -> dict[int, str]:
    return {ord(one): two for one, two in zip(odd, plain, strict=True)}


_ALWAYS = _pairs("\u0131\u0142\xf8\u0111\u2018\u2019\u02bc\xb4\u02ca\u2010\u2011\u2013\u2014", "ilod'''''----") | {
    ord("\xe6"): "ae",
    ord("\u0153"): "oe",
}
# Cyrillic and Greek letters that pass for Latin ones.
_LOOKALIKES = _pairs(
    "\u0430\u0432\u0435\u0451\u0456\u0457\u0458\u043a\u043c\u043d\u043e\u043f\u0440\u0441\u0442\u0443\u0445\u04bb\u0455\u0501"
    "\u03b1\u03b2\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abeeiijkmhonpctyxhsdabeikvoptux",
)
_MIXED_WORD = re.compile("[a-z\u0370-\u03ff\u0400-\u04ff]+")
_LATIN = re.compile("[a-z]")


def _latin1(pattern: bytes) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern, options)


_ALIKE = re.compile("[\u0370-\u03ff\u0400-\u04ff]")

# Letters with one space or sign between them. Two spaces are the end of a word that is written like that.
_SPACED_OUT = _latin1(rb"(^|[^\w'])((?:[a-z0-9@$!*](?: |[.\-_*~|/+]{1,2})){2,}[a-z0-9@$*])\b")
_SEPARATORS = re.compile(rb"[ .\-_*~|/+]+")
# A word with a letter and a sign or digit that stands for one. A `!` counts only before a letter.
_LEET_WORD = _latin1(rb"[a-z0-9@$+|!]*(?:[a-z][0134579@$|+8]|[0134579@$|+8!][a-z])[a-z0-9@$+|!]*")
_LEET = bytes.maketrans(b"0134579@$!|+8", b"oieastgasiitb")
_ENDING = re.compile(rb"!+$")
_REPEATED = _latin1(b"|".join(bytes([letter]) * 3 + b"+" for letter in b"abcdefghijklmnopqrstuvwxyz"))


def fold(text: str) -> bytes:
    """One byte per character; what has no place in Latin-1 becomes `?`. Not of the text's length: see the module."""
    if text.isascii():
        return text.lower().encode("ascii")
    text = _FOREIGN.sub(_plain_letters, unicodedata.normalize("NFC", text.casefold()))
    if _ALIKE.search(text):
        text = _MIXED_WORD.sub(_without_lookalikes, text)
    return text.encode("latin-1", "replace")


def _plain_letters(match: re.Match[str]) -> str:
    text = _MARKS.sub("", unicodedata.normalize("NFKD", _INVISIBLE.sub("", match.group())))
    return _OTHER_TILDES.sub("", text).replace("n\u0303", "\xf1").translate(_ALWAYS)


def unmask(folded: bytes) -> bytes:
    """The same with disguises taken off; equal to `folded` where there are none."""
    text = folded
    if _SPACED_OUT.search(text):
        text = _SPACED_OUT.sub(lambda match: match.group(1) + _SEPARATORS.sub(b"", match.group(2)), text)
    if _LEET_WORD.search(text):
        text = _LEET_WORD.sub(_letters_for_signs, text)
    if _REPEATED.search(text):
        text = _REPEATED.sub(lambda match: match.group()[:2], text)
    return text


def _without_lookalikes(match: re.Match[str]) -> str:
    word = match.group()
    return word.translate(_LOOKALIKES) if not word.isascii() and _LATIN.search(word) else word


def _letters_for_signs(match: Any) -> bytes:
    word: bytes = match.group()
    ending = _ENDING.search(word)
    end = ending.start() if ending else len(word)
    return word[:end].translate(_LEET) + word[end:]
