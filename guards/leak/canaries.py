"""Canaries: texts that an operator plants in a system prompt and that no reply has a reason to hold.

Found whatever their case and with anything but letters and digits between their characters, a few at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SHORTEST = 8  # letters and digits: what is shorter turns up by chance
LONGEST = 64

_BETWEEN = r"[\W_]{0,8}"


def letters_of(canary: str) -> str:
    """What of it counts."""
    return "".join(char for char in canary if char.isalnum())


class Canaries:
    """`whole` finds any of them; `begun` finds where a text may end within one."""

    def __init__(self, canaries: tuple[str, ...]) -> None:
        self._known = {letters_of(canary).casefold(): canary for canary in canaries}
        spelled = sorted(self._known, key=lambda letters: (-len(letters), letters))
        self.whole = re.compile("|".join(map(_whole, spelled)), re.IGNORECASE) if spelled else None
        self.begun = re.compile("|".join(map(_begun, spelled)), re.IGNORECASE) if spelled else None

    @property
    def letters(self) -> tuple[str, ...]:
        """What of each counts, in small letters."""
        return tuple(self._known)

    def without(self, texts: Sequence[str]) -> Canaries:
        """Those that the caller has not sent."""
        if self.whole is None or not any(self.whole.search(text) for text in texts):
            return self
        return Canaries(tuple(c for c in self._known.values() if not any(Canaries((c,)).found(text) for text in texts)))

    def found(self, text: str) -> bool:
        return self.whole is not None and self.whole.search(text) is not None


def _whole(letters: str) -> str:
    return _BETWEEN.join(map(re.escape, letters))


def _begun(letters: str) -> str:
    """Every beginning of it that stands at the text's end."""
    pattern = ""
    for letter in reversed(letters[:-1]):
        more = rf"(?:\Z|{pattern})" if pattern else r"\Z"
        pattern = f"{re.escape(letter)}{_BETWEEN}{more}"
    return pattern
