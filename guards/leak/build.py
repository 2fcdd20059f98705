"""Builds a `leak` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

from typing import Annotated

import msgspec

from guards.base import Policy
from guards.leak.canaries import LONGEST, SHORTEST, Canaries, letters_of
from guards.leak.guard import SHORTEST_PROMPT, LeakGuard
from guards.resources import Resources
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError, Scope, Stage


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`canaries`: texts that no reply may hold. `system_prompt`: replies may not repeat the request's system texts;
    `words`: so many words in a row are a repetition."""

    canaries: tuple[str, ...] = ()
    system_prompt: bool = True
    words: Annotated[int, msgspec.Meta(ge=SHORTEST_PROMPT, le=100)] = 12


def build(spec: GuardSpec, resources: Resources) -> LeakGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(
        spec,
        actions=frozenset({Action.BLOCK, Action.FLAG, Action.LOG}),
        action=Action.BLOCK,
        stages=frozenset({Stage.OUTPUT}),
        possible=frozenset({Stage.OUTPUT}),
        scopes=frozenset({Scope.ASSISTANT, Scope.TOOL_CALL}),
    )
    for index, canary in enumerate(options.canaries):
        if not SHORTEST <= len(letters_of(canary)) <= LONGEST:
            said = f"a canary has {SHORTEST} to {LONGEST} letters and digits"
            raise GuardConfigError(f"{said}; shorter ones turn up by chance", ("canaries", index))
    if not options.canaries and not options.system_prompt:
        raise GuardConfigError("nothing to look for: no canaries, and system_prompt is false", ("system_prompt",))
    run = options.words if options.system_prompt else None
    return LeakGuard(policy, Canaries(options.canaries), run, resources.cache)
