"""What one guard would say of one text: for the command line and the admin API, not for requests."""

from __future__ import annotations

from dataclasses import dataclass

from guards.types import Action, Guard, GuardBlocked, GuardRequest, ModelCaller, Scope, Stage, Verdict


@dataclass(slots=True, repr=False)
class _Slot:
    text: str
    scope: Scope
    context: str = ""


async def check_text(
    guard: Guard, text: str, stage: Stage, scope: Scope = Scope.USER, models: ModelCaller | None = None
) -> dict[str, object]:
    """The verdict as JSON values: guard, stage, action, findings, score, and the text after it (None when blocked).

    A stage at which the guard does not stand passes, and so does a scope that it does not look at.
    """
    slot = _Slot(text, scope)
    verdict = Verdict(guard=guard.name, stage=stage, action=Action.PASS)
    if stage in guard.stages and scope in guard.scopes(stage):
        session = guard.open(GuardRequest("check", models=models))
        check = session.check_input if stage is Stage.INPUT else session.check_output
        try:
            verdict = await check([slot])
        except GuardBlocked as blocked:
            verdict = blocked.verdict
    return {
        "guard": verdict.guard,
        "stage": verdict.stage.value,
        "action": verdict.action.value,
        "findings": dict(verdict.findings),
        "score": verdict.score,
        "text": None if verdict.action is Action.BLOCK else slot.text,
    }
