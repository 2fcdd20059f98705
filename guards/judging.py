"""Guards that judge texts and leave them as they are: each text by itself, by a score, once.

A kind brings a `Judge`; this module remembers its judgements, turns them into verdicts and guards streams with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from guards.base import BaseGuard, Policy
from guards.cache import Remembered, ScanCache
from guards.pieces import PieceFilter
from guards.types import Action, GuardBlocked, GuardRequest, Scope, Stage, TextSlot, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one text. `findings`: what was found, each kind once; empty: nothing. `score`: 0 to 1."""

    findings: Mapping[str, int] = field(default_factory=dict)
    score: float | None = None


class Judge(Protocol):
    """Says what it finds in one text. May be asked for many texts at once; keeps none of them."""

    def judge(self, text: str, scope: Scope) -> Awaitable[Judgement]: ...


class JudgingGuard(BaseGuard):
    """`fingerprint`: all of the judge's configuration that its judgements depend on; None: they are not remembered.

    `longest_piece`: characters of a stream that are judged together, at most; None: a stream is judged as a whole when
    it ends, and held back until then.
    """

    def __init__(
        self, policy: Policy, judge: Judge, cache: ScanCache, fingerprint: bytes | None, longest_piece: int | None
    ) -> None:
        super().__init__(policy)
        self._judge = judge
        self._cache = cache
        self._fingerprint = fingerprint
        self._longest_piece = longest_piece

    def open(self, request: GuardRequest) -> JudgingSession:
        remembered: Remembered[Judgement] | None = None
        if self._fingerprint is not None:
            remembered = Remembered(self._cache, self._fingerprint, request.tenant)
        return JudgingSession(self.policy, self.judge_for(request), remembered, self._longest_piece)

    def judge_for(self, request: GuardRequest) -> Judge:
        """Who judges the texts of this request: the same judge for all, unless a kind says otherwise."""
        return self._judge


class JudgingSession:
    def __init__(
        self, policy: Policy, judge: Judge, remembered: Remembered[Judgement] | None, longest_piece: int | None
    ) -> None:
        self._policy = policy
        self._judge = judge
        self._remembered = remembered
        self._longest_piece = longest_piece
        self._streamed: Counter[str] = Counter()
        self._score: float | None = None

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        return await self._check(Stage.INPUT, slots)

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        return await self._check(Stage.OUTPUT, slots)

    def open_stream(self, scope: Scope) -> PieceFilter:
        told: set[str] = set()  # of this text: what stands in a piece's context would count again

        async def look(piece: str, context: str) -> str:
            judgement = await self._of(context + piece, scope)
            self._streamed.update({kind: n for kind, n in judgement.findings.items() if kind not in told})
            told.update(judgement.findings)
            self._score = _higher(self._score, judgement.score)
            verdict = self.stream_verdict()
            if judgement.findings and verdict.action is Action.BLOCK:
                raise GuardBlocked(verdict)
            return piece

        return PieceFilter(look, self._longest_piece)

    def stream_verdict(self) -> Verdict:
        return self._policy.verdict(Stage.OUTPUT, self._streamed, self._score)

    async def _check(self, stage: Stage, slots: Sequence[TextSlot]) -> Verdict:
        counts: Counter[str] = Counter()
        score: float | None = None
        for slot in slots:
            judgement = await self._of(slot.text, slot.scope)
            counts.update(judgement.findings)
            score = _higher(score, judgement.score)
        verdict = self._policy.verdict(stage, counts, score)
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)
        return verdict

    async def _of(self, text: str, scope: Scope) -> Judgement:
        if self._remembered is None:
            return await self._judge.judge(text, scope)
        key = self._remembered.key(f"{scope.value}\0{text}")
        known = self._remembered.get(key)
        if known is None:
            known = await self._judge.judge(text, scope)
            self._remembered.put(key, known, 200)
        return known


def _higher(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)
