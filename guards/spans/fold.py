"""Folds a text to one byte per character, so that byte patterns see every script and offsets stay the
text's own.

ASCII stays as it is. Everything else becomes what a detector must know about it: decimal digits, spaces,
dashes and full-width forms become their ASCII twins, letters become one of two classes, the rest becomes
`OTHER`. This is not a normal form: it is never shown or stored.
"""

from __future__ import annotations

import codecs
import unicodedata
from functools import lru_cache

OTHER = 0x80  # emoji, symbols, controls: ends every candidate
LETTER = 0xC0  # a letter of a script that puts spaces between words: part of a word
IDEOGRAPH = 0xC1  # a letter of a script without spaces: words of other scripts may stand right beside it
TAKEN = 0x81  # `MARK`: no value holds it

MARK = "\ufdd0"  # stands for what is taken already (see `guards.spans.view`): a code point that is no character

_FULL_WIDTH = range(0xFF01, 0xFF5F)
_SPACED_SCRIPTS = (range(0x0080, 0x0E00), range(0x10A0, 0x1100), range(0x1E00, 0x2000))
_MINUS_SIGN = "−"
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)


@lru_cache(maxsize=16_384)
def _class_of(char: str) -> int:
    """The byte that stands for a character outside ASCII."""
    code = ord(char)
    if char == MARK:
        return TAKEN
    if code in _FULL_WIDTH:
        return code - 0xFEE0
    category = unicodedata.category(char)
    if category == "Nd":
        return ord("0") + unicodedata.decimal(char)
    if category == "Zs":
        return ord(" ")
    if category == "Pd" or char == _MINUS_SIGN:
        return ord("-")
    if category in ("Mn", "Mc"):  # a combining accent belongs to its letter; a selector belongs to its emoji
        return OTHER if code in _VARIATION_SELECTORS or code > 0xFFFF else LETTER
    if char.isalnum():
        return LETTER if any(code in block for block in _SPACED_SCRIPTS) else IDEOGRAPH
    return OTHER


def _fold_run(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return bytes(map(_class_of, error.object[error.start : error.end])), error.end


_HANDLER = "guards.spans.fold"
codecs.register_error(_HANDLER, _fold_run)


def fold(text: str) -> bytes:
    """One byte per character of `text`; never fails, lone surrogates included."""
    return text.encode("ascii", _HANDLER)
