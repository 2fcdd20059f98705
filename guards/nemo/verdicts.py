"""What a model's answer to a self-check means. The library's own reading lets "Not safe." and "no, but yes" pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_ALLOWED = re.compile(r"[\s\"'`*]*(no|safe)[\s\"'`*.!]*", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+")


class NoVerdict(Exception):
    """The answer is neither; the guard has failed. Never holds the answer."""


def is_safe(answer: str) -> Sequence[bool | str]:
    """In the library's form, whose first element tells. Safe is "no" or "safe" and not a word more.

    Unsafe is what says "yes" or "unsafe" anywhere, or denies that something is safe. Raises NoVerdict for the rest.
    """
    if _ALLOWED.fullmatch(answer):
        return [True]
    words = _WORD.findall(answer.lower())
    if "yes" in words or "unsafe" in words or ("not" in words and "safe" in words):
        return [False]
    raise NoVerdict


PARSERS: dict[str, Callable[[str], Sequence[bool | str]]] = {"is_content_safe": is_safe}
