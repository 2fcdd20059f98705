"""How far a reply is supported by a context: the share of its sentences that are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from guards.grounded.words import Claim, claim_of, sentences

LEAST_WORDS = 3  # content words; a sentence of fewer, with no number and no name, claims nothing
_WINDOW = 3  # sentences of the context that are read together
_WORDS_SHARE = 0.7  # of the words, and the rest for pairs of neighbours

_MOST_WINDOWS = 100  # around each word, that are looked at

MOST_CONTEXT = 400_000  # characters
MOST_CLAIMS = 1_000  # of a reply that are looked at, the first ones


@dataclass(frozen=True, slots=True)
class Support:
    """`claims`: sentences that claim something; `supported`: those of them that the context supports."""

    claims: int
    supported: int

    @property
    def share(self) -> float:
        return self.supported / self.claims if self.claims else 1.0


class Context:
    """Texts that a reply should rest on, ready to be asked. `overlap`: how much of a sentence must stand in them."""

    def __init__(self, texts: Sequence[str], overlap: float) -> None:
        self._overlap = overlap
        self._windows: dict[str, set[int]] = defaultdict(set)  # word -> the windows it stands in
        self._pairs: set[tuple[str, str]] = set()
        self._numbers: set[str] = set()
        place = 0
        for text in texts:
            for sentence in sentences(text, code=True):
                claim = claim_of(sentence)
                self._numbers |= claim.numbers
                self._pairs.update(zip(claim.words, claim.words[1:], strict=False))
                for word in claim.words:
                    self._windows[word].update(range(place, place + _WINDOW))
                place += 1
            place += _WINDOW  # no window over two texts

    def __bool__(self) -> bool:
        return bool(self._windows or self._numbers)

    def support(self, reply: str) -> Support:
        claims = [claim for claim in map(claim_of, sentences(reply, code=False)) if _claims_something(claim)]
        counted = Counter(claims[:MOST_CLAIMS])
        supported = sum(times for claim, times in counted.items() if self._supports(claim))
        return Support(counted.total(), supported)

    def _supports(self, claim: Claim) -> bool:
        if not claim.numbers <= self._numbers or not all(name in self._windows for name in claim.names):
            return False
        if not claim.words:
            return True
        wanted = set(claim.words)
        closest = self._most_together(wanted) / len(wanted)
        pairs = list(zip(claim.words, claim.words[1:], strict=False))
        if not pairs:
            return closest >= self._overlap
        joined = sum(pair in self._pairs for pair in pairs) / len(pairs)
        return _WORDS_SHARE * closest + (1 - _WORDS_SHARE) * joined >= self._overlap

    def _most_together(self, wanted: set[str]) -> int:
        """How many of the words stand in one window: the best of those around the rarer half of them."""
        places = sorted((self._windows[word] for word in wanted if word in self._windows), key=len)
        candidates: set[int] = set()
        for windows in places[: len(wanted) // 2 + 1]:
            candidates.update(islice(windows, _MOST_WINDOWS))
        return max((sum(window in windows for windows in places) for window in candidates), default=0)


def _claims_something(claim: Claim) -> bool:
    return len(claim.words) >= LEAST_WORDS or bool(claim.numbers or claim.names)
