"""What a text says in ways that people do not read: invisible characters, codes, words taken apart or turned round.

Each way yields a view, a text that is judged for itself. An order that somebody took the trouble to hide is not in
good faith, so what is found in a view weighs more. Work and size of all views of a window are bounded: no code is
unpacked that grows, and nothing is decoded more than `DEPTH` times over.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import re2

DEPTH = 2
MOST_VIEWS = 6  # of one window
LONGEST_VIEW = 2_000  # characters
_MOST_RUNS = 8  # of one code in a window


class View(NamedTuple):
    """`way`: how it was hidden. `whole`: it is the whole of the window, read in another way."""

    way: str
    text: str
    whole: bool = False


class Oddities(NamedTuple):
    """How often a text has what hardly any text in good faith has: tag characters, bidi overrides, words with
    characters inside that are not seen."""

    tags: int
    overrides: int
    split_words: int


# Flags of parts of countries are spelt with tags. Only the three in use are let through: more would be an alphabet.
_FLAG = re.compile(
    "\U0001f3f4(?:\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067|\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074"
    "|\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_BIDI = re.compile("[\u202d\u202e]")
_SPLIT_WORD = re.compile(r"(?<=[A-Za-z])[\u00ad\u200b-\u200d\u2060-\u2064\ufeff]+(?=[A-Za-z])")

_BASE64 = re2.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re2.compile(r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:;]{0,2}){10,}")
_PERCENT = re2.compile(r"%[0-9A-Fa-f]{2}\S{0,40}%[0-9A-Fa-f]{2}")
_ESCAPES = re2.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|&#x?[0-9A-Fa-f]{2,6};){4,}")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_BASE32 = re2.compile(r"\b[A-Z2-7]{32,}={0,6}")
_BASE85 = re2.compile(r"<~[!-u\s]{20,}~>")
_MORSE = re2.compile(r"(?:[.\-]{1,5}[ ]{1,3}[/|]?[ ]{0,2}){10,}[.\-]{1,5}")
_MORSE_SIGNS = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.."
)
_MORSE_LETTERS = dict(zip(_MORSE_SIGNS.split(" "), "abcdefghijklmnopqrstuvwxyz", strict=True))
_BINARY = re2.compile(r"(?:[01]{8}[ ,]?){6,}")
# Words that an attack can hardly do without. Whole windows are read in another way only if that brings some to light.
_TELLING = (
    "ignor", "previous", "instruction", "system", "prompt", "disregard", "forget", "reveal", "password", "secret",
    "override", "guideline", "restrict", "jailbreak", "anything now", "unfilter",
)  # fmt: skip
_TELLS = re2.compile("(?i)" + "|".join(_TELLING))
_ROT13 = re2.compile("(?i)" + "|".join(codecs.encode(word, "rot13") for word in _TELLING))
_REVERSED = re2.compile("(?i)" + "|".join(word[::-1] for word in _TELLING))
_SPACED = re.compile(r"(?<![A-Za-z0-9@$])(?:[A-Za-z0-9@$][ .,_*|/~+-]{1,3}){4,}[A-Za-z0-9@$](?![A-Za-z0-9@$])")
_SPACED_GATE = re2.compile(r"(?:[A-Za-z0-9@$][ .,_*|/~+-]{1,3}){4}")
_GAP = re.compile(r"[^A-Za-z0-9@$]+")
_LEET_WORD = re2.compile(r"[A-Za-z][01345@$!|]+[A-Za-z]|\b[01345@$!|][A-Za-z]{2}")
_LEET = str.maketrans("0134579@$!|", "oieastgasil")
_MIXED_CASE = re2.compile(r"[a-z].*[A-Z]|[A-Z].*[a-z]")
# Where words were run together, they are told apart by these.
_JOINED_WORDS = re.compile(
    "instructions?|previous|disregard|developer|assistant|everything|guidelines?|override|password|forget|reveal|"
    "ignore|system|prompt|secret|earlier|before|output|repeat|rules?|above|prior|print|about|write|hidden|without|"
    "your|that|this|from|with|give|tell|show|what|have|were|told|then|said|mode|all|any|the|and|you|now|are|not|for|"
    "how|out|act|dan|of|me|to|do|is|it|as|in|an|my|be|or|on|a|i"
)


def invisible(raw: str) -> Iterator[View]:
    """What the invisible characters of a piece of raw text spell; nothing for plain ASCII."""
    if raw.isascii():
        return
    tagged = "".join(_TAGS.findall(_FLAG.sub("", raw)))
    if tagged:
        yield View("tags", "".join(chr(ord(char) - 0xE0000) for char in tagged)[:LONGEST_VIEW])
    spelt = "".join(map(_selected, _SELECTORS.findall(raw)))
    if spelt:
        yield View("selectors", spelt[:LONGEST_VIEW])


def oddities(raw: str) -> Oddities:
    """Of a piece of raw text."""
    return Oddities(len(_TAGS.findall(_FLAG.sub("", raw))), len(_BIDI.findall(raw)), len(_SPLIT_WORD.findall(raw)))


def views(text: str) -> list[View]:
    """What the codes in a window of clean text say, and what is in those codes in turn."""
    found: list[View] = []
    waiting = [(text, 0)]
    while waiting:
        inside, depth = waiting.pop(0)
        for view in _decoded(inside):
            if len(found) >= MOST_VIEWS:
                return found
            if view.text != text and all(view.text != known.text for known in found):
                found.append(view)
                if depth + 1 < DEPTH:
                    waiting.append((view.text, depth + 1))
    return found


def _decoded(text: str) -> Iterator[View]:
    seen = frozenset(_GATES.Match(text) or ())
    for place, (way, pattern, decode) in enumerate(_CODES):
        if place not in seen:
            continue
        runs = [match.group() for _, match in zip(range(_MOST_RUNS), pattern.finditer(text), strict=False)]
        said = " ".join(filter(None, map(decode, runs)))
        if said:
            yield View(way, said[:LONGEST_VIEW])
    told = -1
    for place, (way, read, must_tell) in enumerate(_READINGS, len(_CODES)):
        if place not in seen:
            continue
        if must_tell and told < 0:
            told = _tells(text)
        for other in read(text):
            if not must_tell or _tells(other) > told:
                yield View(way, other[:LONGEST_VIEW], whole=True)


def _tells(text: str) -> int:
    return sum(1 for _ in _TELLS.finditer(text)) if _TELLS.search(text) else 0


def _from_base64(run: str) -> str:
    if not _MIXED_CASE.search(run):
        return ""
    plain = run.rstrip("=").replace("-", "+").replace("_", "/")
    for skipped in range(4):  # a window may begin inside a code
        part = plain[skipped:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        try:
            said = _readable(base64.b64decode(part + "=" * (-len(part) % 4)))
        except (binascii.Error, ValueError):
            continue
        if said:
            return said
    return ""


def _from_hex(run: str) -> str:
    digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", run)
    return _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _from_binary(run: str) -> str:
    return _readable(bytes(int(octet, 2) for octet in re.findall(r"[01]{8}", run)))


def _from_base32(run: str) -> str:
    try:
        return _readable(base64.b32decode(run[: len(run) // 8 * 8]))
    except (binascii.Error, ValueError):
        return ""


def _from_base85(run: str) -> str:
    try:
        return _readable(base64.a85decode(run, adobe=True))
    except ValueError:
        return ""


def _from_morse(run: str) -> str:
    letters = ("".join(_MORSE_LETTERS.get(sign, "") for sign in word.split()) for word in re.split(r"[/|]", run))
    return _readable(" ".join(letters).encode())


def _readable(raw: bytes) -> str:
    """The bytes as text if they are one; else nothing."""
    for encoding in ("utf-8", "utf-16-le") if b"\0" in raw else ("utf-8",):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "utf-8" or len(raw) < 8:
                continue
            text = raw[:-3].decode(encoding, "ignore")  # the last character may be cut
            if len(text) < len(raw) * 0.3:
                continue
        good = sum(char.isalnum() or char in " .,:;!?'\"()\n-/{}<>_=" for char in text)
        if len(text) >= 6 and good >= 0.9 * len(text) and any(map(str.isalpha, text)):
            return text
    return ""


def _selected(run: str) -> str:
    """Variation selectors as bytes: 1 to 16 in one block, 17 to 256 in another."""
    codes = (ord(char) for char in run)
    return bytes(code - 0xFE00 if code < 0xFE10 else code - 0xE0100 + 16 for code in codes).decode("utf-8", "replace")


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return "" if 0xD800 <= code < 0xE000 else chr(code)  # half a character, which no pattern could be shown


def _closed_up(match: re.Match[str]) -> str:
    """Letters that stand alone, joined; wider gaps among them part words, else `_JOINED_WORDS` do."""
    run = match.group()
    gaps = {*map(len, _GAP.findall(run))}
    narrow = min(gaps)
    words = _GAP.sub(lambda gap: "" if len(gap.group()) == narrow else " ", run)
    if len(gaps) == 1:
        words = " ".join(_JOINED_WORDS.findall(words.lower()))
    return words


_CODES: tuple[tuple[str, Any, Callable[[str], str]], ...] = (
    ("base64", _BASE64, _from_base64),
    ("hex", _HEX, _from_hex),
    ("binary", _BINARY, _from_binary),
    ("base32", _BASE32, _from_base32),
    ("base85", _BASE85, _from_base85),
    ("morse", _MORSE, _from_morse),
)
# Ways to read the whole of a text, and whether that has to bring telling words to light: the first two take away
# nothing but what stands between words.
_READINGS: tuple[tuple[str, Callable[[str], Sequence[str]], bool], ...] = (
    ("url", lambda text: (unquote(text, errors="replace"),), False),
    ("escapes", lambda text: (html.unescape(_ESCAPE.sub(_unescaped, text)),), False),
    ("rot13", lambda text: (codecs.encode(text, "rot13"),), True),
    ("reversed", lambda text: (text[::-1], " ".join(word[::-1] for word in text.split(" "))), True),
    ("spaced", lambda text: (_SPACED.sub(_closed_up, text),), True),
    ("leet", lambda text: (text.translate(_LEET),), True),
)
_GATES = re2.Set.SearchSet()
for _gate in (
    *(pattern for _, pattern, _ in _CODES), _PERCENT, _ESCAPES, _ROT13, _REVERSED, _SPACED_GATE, _LEET_WORD,
):  # fmt: skip
    _GATES.Add(_gate.pattern)
_GATES.Compile()
