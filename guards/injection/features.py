"""A text as numbers: hashed words, pairs of words and beginnings of words. Pure Python; no model, no numpy.

Weights are looked up by these hashes, so whatever changes here needs the weights trained anew (`FEATURES`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import accumulate
from zlib import crc32

BUCKETS = 2**17
FEATURES = 1  # goes up with every change of what is hashed
PER_TOKEN = 4  # features
_FLOOR = 16  # features a text is taken to have at least: two or three words alone prove little
MASK = 2 * BUCKETS - 1  # one bit more than a bucket: the sign (Weinberger et al., 2009)

# Of each kind of feature, so that the same bytes as another kind are another feature.
_PAIR, _SKIP, _START = 0x5A17, 0x1CE5, 0x7E57
REACH = 40  # tokens
_STEM = 5  # letters a word begins with: what most inflections have in common
# Written without spaces: each character is taken for a word.
_UNSPACED = re.compile("([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff])")
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def words(flat: str) -> list[bytes]:
    """The tokens of a flattened text, all digits alike; sentence ends are kept as `.`."""
    if not flat.isascii():
        flat = _UNSPACED.sub(r" \1 ", flat)
    return flat.encode("utf-8", "surrogatepass").translate(_DIGITS).split()


def hashes(tokens: Sequence[bytes]) -> list[tuple[int, ...]]:
    """For each token its `PER_TOKEN` features: itself, with the one before, with the one before that, its beginning.

    None for a token that stood behind the same one not long before: a table repeats its words, and means no more by
    it. `sums` does the same with the weights looked up at once.
    """
    own = [0, 0, *map(crc32, tokens)]
    starts = _starts(tokens)
    pairs = _pairs(tokens, own)
    return [
        ()
        if repeated
        else (
            own[place + 2] & MASK,
            pairs[place] & MASK,
            crc32(starts[place], own[place] ^ _SKIP) & MASK,
            crc32(starts[place], _START) & MASK,
        )
        for place, repeated in enumerate(_repeated(pairs))
    ]


def norm(tokens: int) -> float:
    """What the weights of so many tokens are divided by."""
    return math.sqrt(PER_TOKEN * tokens + _FLOOR)


def sums(tokens: Sequence[bytes], weights: Sequence[int]) -> list[int]:
    """The weights of all tokens before each place in `tokens` (running totals, one more than there are tokens).

    `weights` has a weight for each hash, the second half being the first with its sign turned.
    """
    own = [0, 0, *map(crc32, tokens)]
    pairs = _pairs(tokens, own)
    hashed = crc32
    each = [
        0
        if repeated
        else weights[itself & MASK]
        + weights[pair & MASK]
        + weights[hashed(start, before ^ _SKIP) & MASK]
        + weights[hashed(start, _START) & MASK]
        for start, itself, pair, before, repeated in zip(
            _starts(tokens), own[2:], pairs, own, _repeated(pairs), strict=False
        )
    ]
    return [*accumulate(each, initial=0)]


def _pairs(tokens: Sequence[bytes], own: Sequence[int]) -> list[int]:
    return [crc32(token, last ^ _PAIR) for token, last in zip(tokens, own[1:], strict=False)]


def _repeated(pairs: Sequence[int]) -> list[bool]:
    """Whether the same pair was there, and counted, less than `REACH` tokens before."""
    if len(set(pairs)) == len(pairs):
        return [False] * len(pairs)
    counted: dict[int, int] = {}
    known, count = counted.get, counted.__setitem__
    return [place - known(pair, -REACH) < REACH or count(pair, place) is not None for place, pair in enumerate(pairs)]


def _starts(tokens: Sequence[bytes]) -> list[bytes]:
    if all(map(bytes.isascii, tokens)):
        return [token[:_STEM] for token in tokens]
    # Outside ASCII most letters take two bytes.
    return [token[:_STEM] if token.isascii() else token[: 2 * _STEM] for token in tokens]
