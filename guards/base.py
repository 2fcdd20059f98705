"""What most guards share, so that a kind has only its own to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guards.spec import GuardSpec
from guards.types import ALL_SCOPES, Action, GuardConfigError, Scope, Stage, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """What a guard is asked, with the kind's defaults filled in."""

    name: str
    stages: frozenset[Stage]
    scopes: frozenset[Scope]
    action: Action

    @classmethod
    def of(
        cls,
        spec: GuardSpec,
        *,
        actions: frozenset[Action],
        action: Action,
        stages: frozenset[Stage] = frozenset(Stage),
        scopes: frozenset[Scope] = ALL_SCOPES,
        possible: frozenset[Stage] = frozenset(Stage),
    ) -> Policy:
        """`action`, `stages` and `scopes` are the kind's defaults; `actions` and `possible` stages all it can do.

        Raises GuardConfigError for what it cannot.
        """
        asked = action if spec.action is None else spec.action
        if asked not in actions:
            choices = ", ".join(sorted(actions))
            raise GuardConfigError(f'kind "{spec.kind}" cannot {asked.value}; action is one of {choices}', ("action",))
        at = stages if spec.stages is None else frozenset(spec.stages)
        if not at:
            raise GuardConfigError("no stages; say input, output or both", ("stages",))
        if not at <= possible:
            raise GuardConfigError(f'kind "{spec.kind}" stands at {" and ".join(sorted(possible))} only', ("stages",))
        looks_at = scopes if spec.scopes is None else frozenset(spec.scopes)
        if not looks_at:
            raise GuardConfigError("no scopes; leave the key out for the kind's own", ("scopes",))
        return cls(spec.name, at, looks_at, asked)

    def verdict(self, stage: Stage, findings: Mapping[str, int], score: float | None = None) -> Verdict:
        """What is said of one stage: the configured action if anything was found, else PASS."""
        action = self.action if findings else Action.PASS
        return Verdict(guard=self.name, stage=stage, action=action, findings=dict(findings), score=score)


class BaseGuard:
    """A guard that looks and does not rewrite, needs nothing loaded and nothing closed. Subclasses add `open`."""

    rewrites = False
    asks_models = False

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def stages(self) -> frozenset[Stage]:
        return self.policy.stages

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        return self.policy.scopes

    async def prepare(self) -> None:
        """Nothing to load; kinds that can be wrong about themselves try themselves here."""

    async def close(self) -> None:
        """Nothing to close."""
