"""Makes a text look to rules as it looks to a reader: what cannot be seen is dropped, what looks alike is made alike.

`clean_blocks` is for reading, never shown or sent: accents are gone, letters that pose as others are folded, floods of
spaces and marks are cut short. `flatten` goes on from there to bare words. What was hidden is the affair of `hidden`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import re2

BLOCK = 4_000  # characters that are made ready at a time
_MOST_GROWTH = 4  # a character that stands for more than so many (U+FDFA stands for 18) is no text we have to read

# Zero-width and filler characters, bidi controls, variation selectors, tags, soft hyphens, unpaired surrogates.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]+"
)
_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]+")
_SPACES = re.compile(r"[^\S\n]{5,}")
_LINES = re.compile(r"\n\s*\n\s*\n")
# A gate for these three that costs next to nothing.
_FLOODED = re2.compile(r"[^\S\n]{5}|\n\s*\n\s*\n|[^\w\s]{16}")
_FLOOD = re.compile(r"([^\w\s])\1{15,}")
_WORD = re.compile(r"[^\W\d_]+")
_ASCII_LETTER = re.compile(r"[A-Za-z]")
# The end of a sentence, or a line that begins something new. A line that is merely full goes on.
_SENTENCE_END = r"[.!?\u2026]+(?=[\s\"')\]*_]|$)|[\0\u3002\uff01\uff1f;]|\n(?=\s*(?:\n|[-*#>|+\u2022]|\d))"
_END = re.compile(_SENTENCE_END)
_TOKEN = re.compile(rf"[^\W_]+|{_SENTENCE_END}")
_ASCII_WORDS = {code: chr(code) if chr(code).isalnum() else " " for code in range(1, 128)} | {0: "."}


def _pairs(odd: str, plain: str) -> dict[int, str]:
    return {ord(one): two for one, two in zip(odd, plain, strict=True)}


# Letters of their own that no normal form takes back, shapes made of letters, and the many quotes and dashes.
_ALWAYS = (
    _pairs("ıłŁøØđĐħŧŦþðæœ", "ilLoOdDhtTpdao")
    | _pairs("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢɑɡɩʋ", "abcdefghijklmnopqrstuvwyzagiv")
    | {base + index: chr(ord("a") + index) for base in (0x1F150, 0x1F170) for index in range(26)}
    | _pairs("‘’‚‛′“”„‟″«»", '\'\'\'\'\'"""""""')
    | _pairs("‐‑‒–—―−", "-------")
)
# Cyrillic, Greek and Armenian letters that pass for Latin ones, in words that have Latin ones too.
_LOOKALIKES = (
    _pairs("авгеѕіјкмнопрстухһьԁԛԝ", "abreSijkmhonpctyxhbdqw".lower())
    | _pairs("АВЕЗЅІЈКМНОРСТУХ", "ABE3SIJKMHOPCTYX")
    | _pairs("αβγεηικνορτυχωϲϳ", "abyenikvoptuxwcj")
    | _pairs("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX")
    | _pairs("աոսօցհյ", "wnuoghj")
)
_POSERS = frozenset(map(chr, _LOOKALIKES))


def clean_blocks(text: str) -> Iterator[str]:
    """The text as it looks, piece by piece. The work of each piece is bounded, and all of it linear in the text."""
    for start in range(0, len(text), BLOCK):
        yield clean(text[start : start + BLOCK])


def clean(text: str) -> str:
    """One piece of at most `BLOCK` characters as it looks."""
    if not text.isascii():
        text = fold_letters(INVISIBLE.sub("", text))
        if not _POSERS.isdisjoint(text):
            text = _WORD.sub(_unmasked, text)
    if _FLOODED.search(text):
        text = _FLOOD.sub(r"\1\1\1", _LINES.sub("\n\n", _SPACES.sub("    ", text)))
    return text


def fold_letters(text: str) -> str:
    """Compatibility forms resolved (NFKD), accents dropped; case is kept. Rules are folded in the same way."""
    normal = unicodedata.normalize("NFKD", text)
    if len(normal) > _MOST_GROWTH * len(text):
        long = [char for char in set(text) if len(unicodedata.normalize("NFKD", char)) > _MOST_GROWTH]
        normal = unicodedata.normalize("NFKD", text.translate(dict.fromkeys(map(ord, long))))
    return _MARKS.sub("", normal).translate(_ALWAYS)


def masked_words(text: str) -> int:
    """How many words of a text mix Latin letters with others that look like them; text of at most `BLOCK`."""
    if text.isascii():
        return 0
    normal = fold_letters(INVISIBLE.sub("", text))
    if _POSERS.isdisjoint(normal):
        return 0
    return sum(_unmasked(match) != match.group() for match in _WORD.finditer(normal))


def flatten(clean_text: str) -> str:
    """Its words in lower case with one space between them; a sentence ends in ` .`. Apostrophes are dropped."""
    text = clean_text.casefold().replace("'", "")
    if text.isascii():  # the same as below in a third of the time
        return " ".join(_END.sub(" \0 ", text).translate(_ASCII_WORDS).split())
    return " ".join([token if token.isalnum() else "." for token in _TOKEN.findall(text)])


def _unmasked(match: re.Match[str]) -> str:
    word = match.group()
    if word.isascii() or _POSERS.isdisjoint(word) or not _ASCII_LETTER.search(word):
        return word
    return word.translate(_LOOKALIKES)
