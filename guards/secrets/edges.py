"""Where a secret may begin, and how the unfinished end of a text looks that may still become one.

All detectors of secrets but that of private keys share one tail. A word is held until it ends or is longer than any
secret that cannot be told by its beginning; a word that begins like a long token is held until that is over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import re2

LONGEST_WORD = 200  # bytes; of secrets without a prefix, and of what stands after a name
LONGEST_TOKEN = 8192  # bytes; of secrets with a prefix

# Not within a word; what an escape leaves before a value (`\n`, `%20`) is not a word.
LEFT = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"

# All that a value may hold: printable ASCII without space, quotes and brackets, and letters of spaced scripts.
VALUE = rb"!#-&(-;=?-Z\\^_a-~\xc0"
VALUE_BYTES = bytes(byte for byte in range(256) if re.match(rb"[%b]" % VALUE, bytes([byte])))
TOKEN = rb"A-Za-z0-9_\-.=+/~:"


def tail_of(prefixes: list[bytes]) -> re.Pattern[bytes]:
    """The shared tail; `prefixes` begin tokens that may be longer than `LONGEST_WORD`."""
    long_ones = b"|".join(re.escape(prefix) for prefix in sorted(prefixes, key=len, reverse=True))
    return re.compile(
        LEFT + rb"(?:[%b]{1,%d}|(?:%b)[%b]{0,%d})\Z" % (VALUE, LONGEST_WORD, long_ones, TOKEN, LONGEST_TOKEN)
    )


_AT_LEFT = re.compile(LEFT)


def places_of(pattern: bytes, group: int = 0, before: int = 0) -> Callable[[bytes, int], Iterator[int]]:
    """Every place where an RE2 pattern (or its group) begins, overlapping ones included, that a secret may begin at.

    `before`: bytes that the pattern reads before its group. RE2 passes over text without a match many times faster than
    `re` does; it knows no look-around, so what stands on the left is asked afterwards.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    compiled = re2.compile(pattern, options)

    def places(folded: bytes, begin: int) -> Iterator[int]:
        at = max(0, begin - before)
        while (match := compiled.search(folded, at)) is not None:
            if (start := match.start(group)) >= begin and _AT_LEFT.match(folded, start):
                yield start
            at = match.start() + 1

    return places
