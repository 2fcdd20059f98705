"""Where everything that a content guard finds in its texts goes: it is counted, and the action follows at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from guards.base import Policy
from guards.types import Action, GuardBlocked, Stage, Verdict


class Sink:
    """The findings of one stage of one request, or of one text of it."""

    def __init__(self, policy: Policy, stage: Stage, *, collect: bool = False) -> None:
        """`collect`: findings are only counted; whoever made the sink sees to the rest."""
        self._policy = policy
        self._stage = stage
        self._stop = policy.action is Action.BLOCK and not collect
        self._redact = policy.action is Action.REDACT
        self.counts: Counter[str] = Counter()
        self.score: float | None = None

    def span(self, kind: str, text: str, replacement: str) -> str:
        """What stands in the place of a text that was found. Raises GuardBlocked."""
        self.judged([kind])
        return replacement if self._redact else text

    def judged(self, kinds: Iterable[str], score: float | None = None) -> None:
        """Raises GuardBlocked if there are any kinds."""
        found = list(kinds)
        self.counts.update(found)
        if score is not None:
            self.score = max(score, self.score or 0.0)
        if found and self._stop:
            raise GuardBlocked(self.verdict())

    def verdict(self) -> Verdict:
        return self._policy.verdict(self._stage, self.counts, self.score)
