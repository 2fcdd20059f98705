"""What one guard would say of one text: for the command line and the admin API, not for requests."""

from __future__ import annotations

from dataclasses import dataclass

from guards.types import Action, Guard, GuardBlocked, Stage, Verdict


@dataclass(slots=True, repr=False)
class _Slot:
    text: str
    role: str = "user"


async def check_text(guard: Guard, text: str, stage: Stage) -> dict[str, object]:
    """The verdict as JSON values: guard, stage, action, findings, and the text after it (None when blocked).

    A stage at which the guard does not stand passes.
    """
    slot = _Slot(text)
    verdict = Verdict(guard=guard.name, stage=stage, action=Action.PASS)
    if stage in guard.stages:
        session = guard.open("check")
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
        "text": None if verdict.action is Action.BLOCK else slot.text,
    }
