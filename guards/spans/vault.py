"""What stands for values, and the values behind it, for the length of one request.

A placeholder is `[EMAIL_1_k7]`: kind, number in order of first appearance, nonce. The nonce comes from an
HMAC over tenant, kind and canonical value, so a conversation replayed in order gets the same placeholders,
and other writings of one value share a nonce. Nothing is stored anywhere else, and `repr` shows no value.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from guards.spans import written
from guards.spans.fakes import Dice, fake

_LETTERS = "abcdefghjkmnpqrstuvwxyz"
_DIGITS = "23456789"
_HASH_PAIRS = 5  # 37 bits
_MOST_FAKES = 40  # draws for one value before it gets a placeholder
_WORDS = re.compile(r"\w+")
# Only ASCII: lower-casing other letters may change how many there are.
_ASCII_LOWER = {ord(char): ord(char.lower()) for char in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


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
        self._fakes = _Fakes()
        self._said = ""  # the words of the caller's own texts

    def __repr__(self) -> str:
        return f"<Vault of {len(self._values)} values>"

    def avoid(self, texts: Iterable[str]) -> None:
        """Never give out a placeholder that these texts already contain, in any writing."""
        for text in texts:
            self._literal.update(key for _, _, key in written.writings(text))

    def learn(self, canonical: str) -> None:
        """This value is the caller's own."""
        self._own.add(canonical)

    def owns(self, canonical: str) -> bool:
        return canonical in self._own

    def learn_words(self, texts: Iterable[str]) -> None:
        """Whatever words stand in these texts are the caller's own."""
        self._said += "".join(map(_words_of, texts))

    def owns_words(self, value: str) -> bool:
        """Whether these words stand together in the caller's own texts."""
        return _words_of(value) in self._said

    def placeholder(self, kind: str, value: str, canonical: str) -> str:
        """The placeholder of `value`; the same one each time."""
        known = self._placeholders.get((kind, value))
        if known is not None:
            return known
        number = self._counts[kind] = self._counts.get(kind, 0) + 1
        candidates = (f"[{kind}_{number}_{nonce}]" for nonce in self._nonces(kind, canonical))
        placeholder = next(candidate for candidate in candidates if written.key_of(candidate) not in self._literal)
        self._placeholders[kind, value] = placeholder
        self._values[written.key_of(placeholder)] = value
        self.learn(canonical)
        return placeholder

    def fake(self, kind: str, value: str, canonical: str, texts: str) -> str | None:
        """A value that stands for this one, the same each time; None where a placeholder has to.

        It occurs nowhere in `texts` (all of the caller's, folded by `lower`).
        """
        known = self._fakes.of(kind, value)
        if known is not None:
            return known
        for attempt in range(_MOST_FAKES):
            made = fake(kind, value, Dice(self._secret, self._message("fake", kind, canonical, str(attempt))))
            if made is None:
                return None
            if self._fakes.free(made) and lower(made) not in texts:
                self._fakes.add(kind, value, made)
                self.learn(canonical)
                return made
        return None

    @property
    def stands_for_nothing(self) -> bool:
        """Whether no text can hold anything that stands for a value of this request."""
        return not self._values and not self._fakes

    @property
    def has_fakes(self) -> bool:
        return bool(self._fakes)

    def forget_fakes(self) -> None:
        """None was given out after all."""
        self._fakes = _Fakes()

    def real(self, canonical: str) -> str | None:
        """The value behind a fake, by the fake's canonical form."""
        return self._fakes.by_canonical.get(canonical)

    def learn_fake(self, canonical: str, value: str) -> None:
        """A model may write the fake of `value` in another way; this is the form they share."""
        self._fakes.by_canonical.setdefault(canonical, value)

    def hashed(self, kind: str, canonical: str) -> str:
        """The same for a value each time; says nothing of it to whoever lacks the secret."""
        return f"[{kind}#{_pairs(self._digest('hash', kind, canonical), _HASH_PAIRS)}]"

    def _nonces(self, kind: str, canonical: str) -> Iterator[str]:
        """Two characters, and others (longer ones in time) should the caller's text hold the first."""
        attempt = 0
        while True:
            yield _pairs(self._digest(kind, canonical, str(attempt)), 1 + min(attempt // 64, 5))
            attempt += 1

    def _message(self, *parts: str) -> bytes:
        return "\0".join((self._tenant, *parts)).encode("utf-8", "surrogatepass")

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self._secret, self._message(*parts), hashlib.sha256)

    def find(self, text: str, begin: int, limit: int) -> list[tuple[int, int, str]]:
        """What stands for a value of this request and starts in `begin .. limit`, in order: start, end, the value."""
        found: list[tuple[int, int, str]] = []
        if self._values:
            for start, end, key in written.writings(text, begin):
                if start >= limit:
                    break
                value = self._values.get(key)
                if value is not None:
                    found.append((start, end, value))
        if self._fakes:
            found = sorted(found + list(self._fakes.find(text, begin, limit)))
        return found

    def undecided(self, text: str, begin: int) -> int:
        """Where something that stands for a value may have begun that is not complete yet; the text's end if
        nowhere."""
        first = len(text)
        if self._values:
            first = written.undecided(text, begin, self._values)
        if self._fakes:
            first = min(first, self._fakes.undecided(text, begin))
        return first

    @property
    def look_back(self) -> int:
        """Characters of a text that `undecided` may hold back, at most."""
        return max(written.LONGEST if self._values else 0, self._fakes.longest)


class _Fakes:
    """The fakes given out, in lower case, and the values behind them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._sorted: list[str] | None = None
        self._pattern: re.Pattern[str] | None = None
        self.by_canonical: dict[str, str] = {}
        self.longest = 0

    def __bool__(self) -> bool:
        return bool(self._values)

    def of(self, kind: str, value: str) -> str | None:
        return self._known.get((kind, value))

    def free(self, made: str) -> bool:
        return lower(made) not in self._values

    def add(self, kind: str, value: str, made: str) -> None:
        self._known[kind, value] = made
        self._values[lower(made)] = value
        self._sorted = self._pattern = None
        self.longest = max(self.longest, len(made))

    def find(self, text: str, begin: int, limit: int) -> Iterator[tuple[int, int, str]]:
        if self._pattern is None:
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        for match in self._pattern.finditer(lower(text), begin):
            if match.start() >= limit:
                return
            yield match.start(), match.end(), self._values[match.group()]

    def undecided(self, text: str, begin: int) -> int:
        if self._sorted is None:
            self._sorted = sorted(self._values)
        size = len(text)
        lowest = max(begin, size - self.longest + 1)
        rest = lower(text[lowest:])
        for start in range(len(rest)):
            tail = rest[start:]
            place = bisect_left(self._sorted, tail)
            # Of what begins like the tail, the tail itself comes first.
            place += place < len(self._sorted) and self._sorted[place] == tail
            if place < len(self._sorted) and self._sorted[place].startswith(tail):
                return lowest + start
        return size


def lower(text: str) -> str:
    """In small letters, of the same length."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def _pairs(digest: bytes, count: int) -> str:
    """Letters and digits in turn: no word, no number, no value of any kind."""
    return "".join(
        _LETTERS[digest[2 * i] % len(_LETTERS)] + _DIGITS[digest[2 * i + 1] % len(_DIGITS)] for i in range(count)
    )


def _words_of(text: str) -> str:
    return " " + " ".join(_WORDS.findall(text.casefold())) + " "
