"""What one guard would say of one text: for the command line and the admin API, not for requests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from guards.runner import GuardRunner, Installed
from guards.types import Action, GuardBlocked, GuardRequest, GuardUnavailable, Scope, Stage, Verdict


@dataclass(slots=True, repr=False)
class _Slot:
    text: str
    scope: Scope
    context: str = ""


async def check_text(
    entry: Installed, text: str, stage: Stage = Stage.INPUT, scope: Scope = Scope.USER
) -> dict[str, object]:
    """The verdict as JSON values: guard, stage, action, findings, score, error, and the text after it (None when
    blocked). It runs as it would in a request, but that no model can be asked.

    A stage at which the guard does not stand passes, and so does a scope that it does not look at.
    """
    slot = _Slot(text, scope)
    verdict = Verdict(guard=entry.guard.name, stage=stage, action=Action.PASS)
    if stage in entry.guard.stages and scope in entry.guard.scopes(stage):
        session = GuardRunner([replace(entry, default=True)]).open(GuardRequest("check"))
        try:
            await (session.check_input([slot]) if stage is Stage.INPUT else session.check_output([slot]))
        except (GuardBlocked, GuardUnavailable) as stopped:
            verdict = stopped.verdict
        else:
            (verdict,) = session.verdicts
    blocked = verdict.action is Action.BLOCK and not verdict.dry_run
    return {
        "guard": verdict.guard,
        "stage": verdict.stage.value,
        "action": verdict.action.value,
        "dry_run": verdict.dry_run,
        "findings": dict(verdict.findings),
        "score": verdict.score,
        "error": verdict.error,
        "text": None if blocked else slot.text,
    }
