"""The guard of kind `schema`: judges whole replies, and with `repair` asks a model once to put a broken one right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guards.base import BaseGuard, Policy
from guards.pieces import PieceFilter
from guards.schema.limits import BadSchema
from guards.schema.reply import read, repair, without_fence
from guards.schema.validator import CheckTooLong, Validator
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

NOT_JSON = "NOT_JSON"
BROKEN = "SCHEMA"
FENCE = "FENCE"
REPAIRED = "REPAIRED"

_SHORT = 2_000  # characters; longer replies and callers' schemas are checked in a thread


class UnusableSchema(Exception):
    """The caller asked for a shape that cannot be checked. Never holds the schema."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`validator` None: each caller's own schema. `model`: that repairs; None: the one that the caller asked."""

    validator: Validator | None
    strip_fences: bool
    repair: bool
    model: str | None


class SchemaGuard(BaseGuard):
    def __init__(self, policy: Policy, settings: Settings) -> None:
        super().__init__(policy)
        self._settings = settings
        self.asks_models = settings.repair
        self.rewrites = policy.action is Action.BLOCK and (settings.strip_fences or settings.repair)

    async def prepare(self) -> None:
        """Try the schema on values of every type, and a text that is no JSON. Raises GuardConfigError."""
        validator = self._settings.validator or Validator({"type": "object"})
        try:
            for value in (None, True, 0, 1.5, "text", [], {}, [{"a": 1}], {"a": [1]}):
                validator.broken(value)
        except CheckTooLong:
            raise GuardConfigError("the schema leads in a circle", ("schema",)) from None
        session = SchemaSession(self.policy, self._settings, validator, None)
        if NOT_JSON not in await session.wrong_with("not JSON"):
            raise GuardConfigError(f"guard {self.name!r} takes for JSON what is none")

    def open(self, request: GuardRequest) -> SchemaSession:
        asked = self._settings.validator or request.reply_schema
        return SchemaSession(self.policy, self._settings, asked, request.models)


class SchemaSession:
    """One request. `asked`: its schema, not read yet if it is the caller's own; None: nothing to check."""

    def __init__(
        self,
        policy: Policy,
        settings: Settings,
        asked: Validator | Mapping[str, Any] | None,
        models: ModelCaller | None,
    ) -> None:
        self._policy = policy
        self._settings = settings
        self._asked = asked
        self._models = models
        self._streamed: Counter[str] = Counter()

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        return self._policy.verdict(Stage.INPUT, {})

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Raises GuardBlocked; CheckTooLong and UnusableSchema where nothing can be said."""
        counts: Counter[str] = Counter()
        for slot in slots:
            text = await self._judge(slot.text, counts)
            if text != slot.text:
                slot.text = text
        return self._verdict(counts)

    def open_stream(self, scope: Scope) -> PieceFilter:
        """Holds the text until it ends: half a JSON value is none."""

        async def look(piece: str, context: str) -> str:
            return await self._judge(piece, self._streamed)

        return PieceFilter(look, None)

    def stream_verdict(self) -> Verdict:
        return self._verdict(self._streamed)

    async def wrong_with(self, text: str) -> Mapping[str, int]:
        """Empty for a text that follows the schema."""
        if isinstance(self._asked, Validator) and len(text) <= _SHORT:
            return self._broken(text)
        return await asyncio.to_thread(self._broken, text)

    async def _judge(self, text: str, counts: Counter[str]) -> str:
        """What is passed on in its place. Raises GuardBlocked."""
        if self._asked is None or not text.strip():
            return text
        bare = without_fence(text) if self._settings.strip_fences else None
        wrong = await self.wrong_with(text if bare is None else bare)
        if wrong and self._policy.action is Action.BLOCK and self._settings.repair:
            repaired = await self._repaired(text, wrong)
            if repaired is not None:
                counts[REPAIRED] += 1
                return repaired
        counts.update(wrong)
        if wrong and self._policy.action is Action.BLOCK:
            raise GuardBlocked(self._verdict(counts))
        if bare is not None and self._policy.action is Action.BLOCK:
            counts[FENCE] += 1
            return bare
        return text

    async def _repaired(self, text: str, wrong: Mapping[str, int]) -> str | None:
        """A model's second try, if it follows the schema."""
        question = repair(text, self._validator().schema, wrong, self._settings.model)
        if self._models is None or question is None:
            return None
        try:
            answer = await self._models.ask(self._policy.name, question)
        except ModelUnavailable:
            return None
        bare = without_fence(answer)
        answer = answer if bare is None else bare
        return None if await self.wrong_with(answer) else answer

    def _broken(self, text: str) -> Mapping[str, int]:
        validator = self._validator()
        try:
            value = read(text)
        except ValueError:
            return {NOT_JSON: 1}
        broken = validator.broken(value)
        return {BROKEN: sum(broken.values()), **{f"{BROKEN}.{name}": n for name, n in broken.items()}} if broken else {}

    def _validator(self) -> Validator:
        if not isinstance(self._asked, Validator):
            try:
                self._asked = Validator(self._asked or {})
            except BadSchema:
                raise UnusableSchema from None
        return self._asked

    def _verdict(self, counts: Mapping[str, int]) -> Verdict:
        """Text that was put right is a change (`redact`) and no fault."""
        if counts and set(counts) <= {FENCE, REPAIRED}:
            return Verdict(guard=self._policy.name, stage=Stage.OUTPUT, action=Action.REDACT, findings=dict(counts))
        return self._policy.verdict(Stage.OUTPUT, counts)
