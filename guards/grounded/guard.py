"""The guard of kind `grounded`: learns the context on the way in, and judges whole replies by it.

A stream that need not be blocked is passed on at once and judged when it has ended; one that may be is held until then.
A request without a context is not judged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from guards.base import BaseGuard, Policy
from guards.grounded.judging import NoVerdict, is_grounded, question
from guards.grounded.support import MOST_CONTEXT, Context
from guards.pieces import MOST_HELD, HeldTooLong
from guards.types import (
    Action,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    ModelCaller,
    ModelUnavailable,
    Scope,
    Stage,
    TextSlot,
    Verdict,
)

UNGROUNDED = "UNGROUNDED"

_SHORT = 5_000  # characters of context and reply together; more is compared in a thread
_PROBE = "The mill on the river Arle was built in 1790 by Thomas Crane. It ground oats until the flood of 1846."


@dataclass(frozen=True, slots=True)
class Settings:
    """`threshold`: the least share of supported sentences. `overlap`: see `Context`. `model`: that judges; None: the
    one that the caller asked."""

    context: frozenset[Scope]
    threshold: float
    overlap: float
    judge: bool
    model: str | None


class GroundedGuard(BaseGuard):
    def __init__(self, policy: Policy, settings: Settings) -> None:
        super().__init__(policy)
        self._settings = settings
        self.asks_models = settings.judge

    @property
    def stages(self) -> frozenset[Stage]:
        return frozenset(Stage)

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        return self._settings.context if stage is Stage.INPUT else self.policy.scopes

    async def prepare(self) -> None:
        """Judge sentences whose support is known. Raises GuardConfigError."""
        context = Context([_PROBE], self._settings.overlap)
        true = context.support("Thomas Crane built the mill on the river Arle in 1790.")
        false = context.support("Thomas Crane built the mill in 1795. The bakery in London sells cheese to tourists.")
        if true.share < 1 or false.share > 0:
            raise GuardConfigError(
                "with this overlap, sentences that are supported cannot be told from others", ("overlap",)
            )
        if not is_grounded('{"grounded": true}') or is_grounded('{"grounded": false}'):
            raise GuardConfigError("the judge does not know its own verdicts")
        for answer in ("", "true", '{"grounded": true, "grounded": false}', 'It is: {"grounded": true}'):
            try:
                is_grounded(answer)
            except NoVerdict:
                continue
            raise GuardConfigError("the judge takes for a verdict what is none")

    def open(self, request: GuardRequest) -> GroundedSession:
        return GroundedSession(self.policy, self._settings, request.models)


class GroundedSession:
    """One request and its context."""

    def __init__(self, policy: Policy, settings: Settings, models: ModelCaller | None) -> None:
        self._policy = policy
        self._settings = settings
        self._models = models
        self._texts: list[str] = []
        self._context: Context | None = None
        self._streamed: Counter[str] = Counter()
        self._score: float | None = None

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Nothing is found here; what is there is learnt."""
        self._texts = [slot.text for slot in slots if slot.text.strip()]
        return self._policy.verdict(Stage.INPUT, {})

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Raises GuardBlocked; NoVerdict and ModelUnavailable where a judge should say and does not."""
        counts: Counter[str] = Counter()
        lowest: float | None = None
        for slot in slots:
            lowest = _lower(lowest, await self._judge(slot.text, counts))
        verdict = self._policy.verdict(Stage.OUTPUT, counts, lowest)
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)
        return verdict

    def open_stream(self, scope: Scope) -> GroundedFilter:
        return GroundedFilter(self, holds=self._policy.action is Action.BLOCK)

    def stream_verdict(self) -> Verdict:
        return self._policy.verdict(Stage.OUTPUT, self._streamed, self._score)

    async def end_of_stream(self, text: str) -> None:
        """Judge a streamed text. Raises GuardBlocked."""
        self._score = _lower(self._score, await self._judge(text, self._streamed))
        verdict = self.stream_verdict()
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)

    async def _judge(self, text: str, counts: Counter[str]) -> float | None:
        """The share of the text that is supported; None where there is nothing to judge."""
        if not self._texts or not text.strip():
            return None
        share, unsupported = await (self._by_model(text) if self._settings.judge else self._by_words(text))
        if share is not None and share < self._settings.threshold:
            counts[UNGROUNDED] += unsupported
        return share

    async def _by_words(self, text: str) -> tuple[float | None, int]:
        if len(text) + sum(map(len, self._texts)) > _SHORT:
            return await asyncio.to_thread(self._compare, text)
        return self._compare(text)

    def _compare(self, text: str) -> tuple[float | None, int]:
        if self._context is None:
            self._context = Context(_within(self._texts, MOST_CONTEXT), self._settings.overlap)
        if not self._context:
            return None, 0
        support = self._context.support(text)
        return (support.share if support.claims else None), support.claims - support.supported

    async def _by_model(self, text: str) -> tuple[float | None, int]:
        if self._models is None:
            raise ModelUnavailable("no model can be asked here")
        answer = await self._models.ask(self._policy.name, question(self._texts, text, self._settings.model))
        return (1.0, 0) if is_grounded(answer) else (0.0, 1)


class GroundedFilter:
    """Keeps a copy of a stream for its end (of `MOST_HELD` characters at most), or holds it until then."""

    def __init__(self, session: GroundedSession, *, holds: bool) -> None:
        self.held = ""
        self._session = session
        self._holds = holds
        self._copy: list[str] = []
        self._size = 0

    async def feed(self, text: str) -> str:
        """Raises HeldTooLong."""
        self._size += len(text)
        too_long = self._size > MOST_HELD
        if too_long and self._holds:
            raise HeldTooLong
        if not too_long:
            self._copy.append(text)
        if not self._holds:
            return text
        self.held += text
        return ""

    async def finish(self) -> str:
        """Raises GuardBlocked."""
        await self._session.end_of_stream("".join(self._copy))
        out, self.held = self.held, ""
        return out


def _within(texts: Sequence[str], size: int) -> list[str]:
    """The last of them, and so much of the first of those, that they have `size` characters at most."""
    kept: list[str] = []
    for text in reversed(texts):
        if size <= 0:
            break
        kept.append(text[-size:])
        size -= len(text)
    return kept[::-1]


def _lower(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)
