"""Builds a `topics` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from guards.base import Policy
from guards.judging import JudgingGuard
from guards.pool import PoolError
from guards.resources import Resources
from guards.spec import GuardSpec, read_options
from guards.topics.judge import OFF_TOPIC, TopicJudge
from guards.topics.minilm import INSTALL, load_model, missing
from guards.types import Action, GuardConfigError, Scope, Stage

ACTIONS = frozenset({Action.BLOCK, Action.FLAG, Action.LOG})

_LONGEST_PIECE = 300  # characters of a stream that are judged together
_MOST_EXAMPLES = 1_000
# What the self-test asks: its verdicts are known.
_CANARY_TOPIC = {"canary": ["Which party should I vote for in the election?"]}
_CANARIES = {"Who do you want to win the election, and which party?": True, "How do I bake a chocolate cake?": False}


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`deny`, `allow`: topics by name, each with sentences as people would say them; a handful each. `threshold`: how
    like one of them a text must be, 0 to 1. `otherwise`: what is not like any allowed topic is a finding (`block`; what
    then happens is the guard's action) or is let pass; by default `block` where `allow` is given. With `pass`, allowed
    topics are exceptions to the denied. `max_windows`: pieces of 300 characters that are looked at in one text.
    """

    deny: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    allow: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    threshold: float = 0.25
    otherwise: Literal["block", "pass"] | None = None
    max_windows: int = 20


class TopicsGuard(JudgingGuard):
    def __init__(self, policy: Policy, options: Options, resources: Resources) -> None:
        closed = bool(options.allow) and options.otherwise != "pass"
        judge = TopicJudge(
            resources.pool,
            options.deny,
            options.allow,
            threshold=options.threshold,
            closed=closed,
            windows=options.max_windows,
        )
        fingerprint = hashlib.blake2b(b"topics" + msgspec.json.encode((options, closed))).digest()
        super().__init__(policy, judge, resources.cache, fingerprint, _LONGEST_PIECE)
        self._resources = resources

    async def prepare(self) -> None:
        """Load the model in the worker, and ask it what is known. Raises GuardConfigError."""
        try:
            await self._resources.pool.load(load_model)
            # Of its own: whether the operator's topics are well chosen is not for a self-test.
            judge = TopicJudge(self._resources.pool, _CANARY_TOPIC, {}, threshold=0.25, closed=False, windows=1)
            for text, about in _CANARIES.items():
                if bool((await judge.judge(text, Scope.USER)).findings) is not about:
                    raise GuardConfigError("the topic model fails its self-test: it does not tell topics apart")
        except PoolError as error:
            raise GuardConfigError(f"the topic model does not run: {error}") from None


def build(spec: GuardSpec, resources: Resources) -> TopicsGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(
        spec,
        actions=ACTIONS,
        action=Action.BLOCK,
        stages=frozenset({Stage.INPUT}),
        scopes=frozenset({Scope.USER, Scope.ASSISTANT}),
    )
    if not options.deny and not options.allow:
        raise GuardConfigError('kind "topics" needs "deny" or "allow", with example sentences')
    for key, topics in (("deny", options.deny), ("allow", options.allow)):
        for name, sentences in topics.items():
            if not sentences or not all(sentence.strip() for sentence in sentences):
                raise GuardConfigError(f'topic "{name}" needs example sentences, none of them empty', (key, name))
            if len(sentences) > _MOST_EXAMPLES:
                raise GuardConfigError(f'topic "{name}" has more than {_MOST_EXAMPLES} sentences', (key, name))
    if OFF_TOPIC in options.deny:
        raise GuardConfigError(f'"{OFF_TOPIC}" is the finding of what no allowed topic is like', ("deny", OFF_TOPIC))
    if not 0 < options.threshold < 1:
        raise GuardConfigError(f"threshold is {options.threshold:g}; it is between 0 and 1", ("threshold",))
    if options.otherwise is not None and not options.allow:
        raise GuardConfigError("otherwise needs allowed topics", ("otherwise",))
    if options.otherwise == "pass" and not options.deny:
        raise GuardConfigError('otherwise "pass" and nothing denied: this guard would find nothing', ("otherwise",))
    if options.max_windows < 1:
        raise GuardConfigError("max_windows must be at least 1", ("max_windows",))
    if absent := missing():
        raise GuardConfigError(f'kind "topics" needs {", ".join(absent)}: {INSTALL}', ("kind",))
    return TopicsGuard(policy, options, resources)
