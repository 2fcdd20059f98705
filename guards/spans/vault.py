"""Placeholders and the values behind them, for the length of one request.

A placeholder is `[EMAIL_1_k7]`: kind, number in order of first appearance, nonce. The nonce comes from an
HMAC over tenant, kind and canonical value, so a conversation replayed in order gets the same placeholders,
and other writings of one value share a nonce. Nothing is stored anywhere else, and `repr` shows no value.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator

from guards.pii.detectors import KINDS

_LETTERS = "abcdefghjkmnpqrstuvwxyz"
_DIGITS = "23456789"

# A model may write a placeholder in another case, with spaces inside, or escaped for markdown.
_BREAK = r" ?\\{0,2}_ ?"
_KIND = "|".join(kind.replace("_", _BREAK) for kind in KINDS)
_BODY = rf" ?(?:{_KIND}){_BREAK}\d{{1,6}}{_BREAK}[a-z0-9]{{2,12}} ?"
_PLACEHOLDER = re.compile(rf"\\{{1,2}}\[{_BODY}\\{{1,2}}\]|\[{_BODY}\]", re.IGNORECASE | re.ASCII)
_LONGEST = 64
_LOOSE = str.maketrans("", "", "\\ ")


def _key(written: str) -> str:
    """The one form of all writings of a placeholder."""
    return written.translate(_LOOSE).lower()


class Vault:
    """One request's values. Not shared between requests, so nobody else's value can be found in it."""

    def __init__(self, secret: bytes, tenant: str) -> None:
        self._secret = secret
        self._tenant = tenant
        self._placeholders: dict[tuple[str, str], str] = {}  # (kind, value) -> placeholder
        self._values: dict[str, str] = {}  # key of the placeholder -> value
        self._counts: dict[str, int] = {}
        self._own: set[str] = set()  # canonical values
        self._literal: set[str] = set()  # keys that stand in the caller's own text

    def __repr__(self) -> str:
        return f"<Vault of {len(self._values)} values>"

    @property
    def empty(self) -> bool:
        """Whether no placeholder was given out."""
        return not self._values

    def avoid(self, texts: Iterable[str]) -> None:
        """Never give out a placeholder that these texts already contain, in any writing."""
        for text in texts:
            if "[" in text:
                self._literal.update(_key(match.group()) for match in _PLACEHOLDER.finditer(text))

    def learn(self, canonical: str) -> None:
        """This value is the caller's own."""
        self._own.add(canonical)

    def owns(self, canonical: str) -> bool:
        return canonical in self._own

    def placeholder(self, kind: str, value: str, canonical: str) -> str:
        """The placeholder of `value`; the same one each time."""
        known = self._placeholders.get((kind, value))
        if known is not None:
            return known
        number = self._counts[kind] = self._counts.get(kind, 0) + 1
        candidates = (f"[{kind}_{number}_{nonce}]" for nonce in self._nonces(kind, canonical))
        placeholder = next(candidate for candidate in candidates if _key(candidate) not in self._literal)
        self._placeholders[kind, value] = placeholder
        self._values[_key(placeholder)] = value
        self.learn(canonical)
        return placeholder

    def _nonces(self, kind: str, canonical: str) -> Iterator[str]:
        """Two characters, and others (longer ones in time) should the caller's text hold the first."""
        attempt = 0
        while True:
            message = "\0".join((self._tenant, kind, canonical, str(attempt))).encode("utf-8", "surrogatepass")
            digest = hmac.digest(self._secret, message, hashlib.sha256)
            pairs = 1 + min(attempt // 64, 5)
            yield "".join(
                _LETTERS[digest[2 * i] % len(_LETTERS)] + _DIGITS[digest[2 * i + 1] % len(_DIGITS)]
                for i in range(pairs)
            )
            attempt += 1

    def find(self, text: str, begin: int, limit: int) -> Iterator[tuple[int, int, str]]:
        """This request's placeholders that start in `begin .. limit`: start, end and the value."""
        if self.empty or text.find("[", begin) < 0:
            return
        for match in _PLACEHOLDER.finditer(text, begin):
            if match.start() >= limit:
                return
            value = self._values.get(_key(match.group()))
            if value is not None:
                yield match.start(), match.end(), value

    def undecided(self, text: str, begin: int) -> int:
        """Where a placeholder may have begun that is not complete yet; the text's end if nowhere."""
        size = len(text)
        if self.empty:
            return size
        bracket = text.rfind("[", max(begin, size - _LONGEST))
        if bracket >= 0:
            written = _key(text[bracket:])
            if any(key.startswith(written) and len(written) < len(key) for key in self._values):
                return _before_escapes(text, bracket, begin)
        return _before_escapes(text, size, begin)


def _before_escapes(text: str, end: int, begin: int) -> int:
    """`end` without the backslashes right before it, two at most: they may belong to an escaped
    placeholder."""
    while end > begin and text[end - 1] == "\\":
        if end - 1 == begin or text[end - 2] != "\\":
            return end - 1
        return end - 2
    return end
