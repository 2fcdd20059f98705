"""What guards share that have to ask for each verdict: the judge and the rails.

They ask as seldom as they can. The last turn of a conversation is put to them by itself; older turns that are not known
to be fine go together in one question more. What was fine is remembered for the tenant, so an old turn costs once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from guards.base import BaseGuard, Policy
from guards.cache import Remembered, ScanCache
from guards.judge.pieces import GrowingPieces
from guards.judge.turns import in_turns, text_of
from guards.pieces import PieceFilter
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardRequest, Scope, Stage, StreamFilter, TextSlot, Verdict


@dataclass(frozen=True, slots=True)
class Ruling:
    """On one text. `findings` empty: it is fine. `text`: what it should become; None where it has no better form."""

    findings: Mapping[str, int] = field(default_factory=dict)
    text: str | None = None


Rule = Callable[[Stage, str], Awaitable[Ruling]]

_SCOPES = {Stage.INPUT: frozenset({Scope.USER}), Stage.OUTPUT: frozenset({Scope.ASSISTANT, Scope.TOOL_CALL})}
_FINE = Ruling()


@dataclass(frozen=True, slots=True)
class Asking:
    """When an asking guard asks.

    `turns` "last": what was said since the last answer only; older turns go by. `piece`: characters of a stream that
    are ruled on together at first; None: a stream is ruled on as a whole. `remember`: what was fine stays fine.
    """

    scopes: Mapping[Stage, frozenset[Scope]]
    turns: Literal["all", "last"]
    piece: int | None
    remember: bool

    @classmethod
    def of(cls, spec: GuardSpec, turns: Literal["all", "last"], piece: int | None, remember: bool) -> Asking:
        scopes = _SCOPES if spec.scopes is None else dict.fromkeys(Stage, frozenset(spec.scopes))
        return cls(scopes, turns, piece, remember)


class AskingGuard(BaseGuard):
    """`fingerprint`: all of the configuration that a ruling depends on. Subclasses say who rules for a request."""

    asks_models = True

    def __init__(self, policy: Policy, asking: Asking, cache: ScanCache, fingerprint: bytes) -> None:
        super().__init__(policy)
        self.rewrites = policy.action is Action.REDACT
        self._asking = asking
        self._cache = cache
        self._fingerprint = fingerprint

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        """With the model's answers on the way in: they are where one turn ends."""
        scopes = self._asking.scopes[stage]
        return scopes | {Scope.ASSISTANT} if stage is Stage.INPUT else scopes

    def open(self, request: GuardRequest) -> AskingSession:
        remembered: Remembered[Ruling] | None = None
        if self._asking.remember:
            remembered = Remembered(self._cache, self._fingerprint, request.tenant)
        return AskingSession(self.policy, self._asking, self._rule(request), remembered)

    def _rule(self, request: GuardRequest) -> Rule:
        raise NotImplementedError


class AskingSession:
    def __init__(self, policy: Policy, asking: Asking, rule: Rule, remembered: Remembered[Ruling] | None) -> None:
        self._policy = policy
        self._asking = asking
        self._ask = rule
        self._remembered = remembered
        self._streamed: Counter[str] = Counter()

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        turns = in_turns(slots, self._asking.scopes[Stage.INPUT])
        if self._asking.turns == "last":
            turns = turns[-1:]
        if self._policy.action is Action.REDACT:
            return await self._rewrite(Stage.INPUT, [slot for turn in turns for slot in turn])
        texts = [text_of(turn) for turn in turns]
        found = Counter[str]()
        if unknown := [text for text in texts[:-1] if not self._is_fine(Stage.INPUT, text)]:
            ruling = await self._rule(Stage.INPUT, "\n\n".join(unknown))
            found.update(ruling.findings)
            for text in unknown if not ruling.findings else ():
                self._remember_fine(Stage.INPUT, text)
        for text in texts[-1:]:
            found.update((await self._rule(Stage.INPUT, text)).findings)
        return self._verdict(Stage.INPUT, found)

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        if self._policy.action is Action.REDACT:
            return await self._rewrite(Stage.OUTPUT, slots)
        answers = [slot.text for slot in slots if slot.scope is Scope.ASSISTANT]
        others = text_of([slot for slot in slots if slot.scope is not Scope.ASSISTANT])
        found = Counter[str]()
        for text in (*answers, others):
            found.update((await self._rule(Stage.OUTPUT, text)).findings)
        return self._verdict(Stage.OUTPUT, found)

    def open_stream(self, scope: Scope) -> StreamFilter:
        async def look(piece: str, context: str) -> str:
            rewrites = self._policy.action is Action.REDACT
            ruling = await self._rule(Stage.OUTPUT, piece if rewrites else context + piece)
            self._streamed.update(ruling.findings)
            stuck = rewrites and bool(ruling.findings) and ruling.text is None
            self._verdict(Stage.OUTPUT, self._streamed, forbidden=stuck)
            return ruling.text if rewrites and ruling.text is not None else piece

        piece = self._asking.piece
        return PieceFilter(look, None) if piece is None else GrowingPieces(look, piece)

    def stream_verdict(self) -> Verdict:
        return self._policy.verdict(Stage.OUTPUT, self._streamed)

    async def _rewrite(self, stage: Stage, slots: Sequence[TextSlot]) -> Verdict:
        """Each text by itself, as each is rewritten by itself."""
        found = Counter[str]()
        for slot in slots:
            ruling = await self._rule(stage, slot.text)
            found.update(ruling.findings)
            self._verdict(stage, ruling.findings, forbidden=ruling.text is None)
            if ruling.text is not None:
                slot.text = ruling.text
        return self._verdict(stage, found)

    def _verdict(self, stage: Stage, findings: Mapping[str, int], *, forbidden: bool = False) -> Verdict:
        """Raises GuardBlocked where the action is that, or what was found cannot be rewritten."""
        verdict = self._policy.verdict(stage, findings)
        if findings and (forbidden or verdict.action is Action.BLOCK):
            raise GuardBlocked(replace(verdict, action=Action.BLOCK))
        return verdict

    async def _rule(self, stage: Stage, text: str) -> Ruling:
        if not text.strip() or self._is_fine(stage, text):
            return _FINE
        ruling = await self._ask(stage, text)
        if not ruling.findings:
            self._remember_fine(stage, text)
        return ruling

    def _is_fine(self, stage: Stage, text: str) -> bool:
        if self._remembered is None:
            return False
        return self._remembered.get(self._remembered.key(f"{stage.value}\0{text}")) is not None

    def _remember_fine(self, stage: Stage, text: str) -> None:
        """Only what was fine: what was not is asked again, as the judge may have been wrong."""
        if self._remembered is not None:
            self._remembered.put(self._remembered.key(f"{stage.value}\0{text}"), _FINE)
