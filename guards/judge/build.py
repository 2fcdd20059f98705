"""The judge guard: a policy in words, and the model that judges by it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from guards.base import Policy
from guards.judge.session import Asking, AskingGuard, Rule, Ruling
from guards.judge.verdict import NoVerdict, breaks_policy, question
from guards.resources import Resources
from guards.spec import GuardSpec, read_options
from guards.types import Action, Guard, GuardConfigError, GuardRequest, ModelUnavailable, Stage

FINDING = "POLICY"
MAX_POLICY = 20_000  # characters


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`policy`: what texts must not do or be, in words. `model`: the gate's model that judges; None: the one that the
    caller asked. `turns`, `stream`, `piece`, `remember`: see `guards.judge.session.Asking`. `max_tokens`: of the
    model's answer; models that think first need more."""

    policy: str
    model: str | None = None
    turns: Literal["all", "last"] = "all"
    stream: Literal["pieces", "whole"] = "pieces"
    piece: Annotated[int, msgspec.Meta(ge=20, le=1_000_000)] = 200
    remember: bool = True
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100


class JudgeGuard(AskingGuard):
    def __init__(self, policy: Policy, options: Options, asking: Asking, resources: Resources) -> None:
        super().__init__(policy, asking, resources.cache, msgspec.json.encode(["judge", options.policy, options.model]))
        self._options = options

    async def prepare(self) -> None:
        """What is no verdict must not be taken for one, whatever this version came to. Raises GuardConfigError."""
        for answer, breaks in (('{"verdict": "violation"}', True), ('{"verdict": "allowed"}', False)):
            if breaks_policy(answer) is not breaks:
                raise GuardConfigError("the judge does not know its own verdicts")
        for answer in ("", "allowed", "Not allowed.", '{"verdict": "allowed", "verdict": "violation"}'):
            try:
                breaks_policy(answer)
            except NoVerdict:
                continue
            raise GuardConfigError("the judge takes for a verdict what is none")

    def _rule(self, request: GuardRequest) -> Rule:
        models, options, name = request.models, self._options, self.name

        async def rule(stage: Stage, text: str) -> Ruling:
            if models is None:
                raise ModelUnavailable("no model can be asked here")
            asked = question(options.policy, stage, text, options.model, options.max_tokens)
            return Ruling({FINDING: 1}) if breaks_policy(await models.ask(name, asked)) else Ruling()

        return rule


def build(spec: GuardSpec, resources: Resources) -> Guard:
    """Raises GuardConfigError for what it cannot do."""
    actions = frozenset({Action.BLOCK, Action.FLAG, Action.LOG})
    policy = Policy.of(spec, actions=actions, action=Action.BLOCK)
    options = read_options(spec, Options)
    if not options.policy.strip():
        raise GuardConfigError("the policy is empty; say in words what texts must not do", ("policy",))
    if len(options.policy) > MAX_POLICY:
        raise GuardConfigError(f"the policy has more than {MAX_POLICY:,} characters", ("policy",))
    piece = options.piece if options.stream == "pieces" else None
    return JudgeGuard(policy, options, Asking.of(spec, options.turns, piece, options.remember), resources)
