"""Tries rails once when they are loaded, with a model that is none: it answers by heart."""

from __future__ import annotations

from guards.nemo.model import RUN, Run
from guards.nemo.rails import Rails
from guards.types import GuardConfigError, Question, Stage

_TEXT = "Hello."
# What the library's own checks understand as nothing found, whichever of them asks.
_FINE = {
    "content_safety": '{"User Safety": "safe", "Response Safety": "safe"}',
    "topic_safety": "on-topic",
    "llama_guard": "safe",
}
_UNCLEAR = ("", "maybe", "Not safe.", "no, but yes")
_CHECKS = ("self_check", *_FINE)


async def try_rails(rails: Rails, stage: Stage) -> None:
    """The rails must come to an end on a harmless text, and must not take an unclear verdict of a model for a good one.

    Raises GuardConfigError.
    """
    run = _run(stage, None)
    try:
        await rails.check(_TEXT, run)
    except Exception as error:
        raise GuardConfigError(f"the {stage.value} rails fail on a harmless text: {error}", ("rails",)) from None
    if not any(_check_of(task) for task in run.tasks):
        return
    for answer in _UNCLEAR:
        run = _run(stage, answer)
        try:
            ruling = await rails.check(_TEXT, run)
        except Exception:  # noqa: S112  # to fail is as good as to block
            continue
        if not ruling.findings:
            raise GuardConfigError(
                f"the {stage.value} rails let a text pass when the model that checks it says {answer!r}", ("rails",)
            )


class _Scripted:
    """Answers checks with `answer`, or (None) that nothing was found; all else with a word."""

    def __init__(self, answer: str | None) -> None:
        self._answer = answer

    async def ask(self, guard: str, question: Question) -> str:
        check = _check_of(RUN.get().tasks[-1])
        if check is not None and self._answer is not None:
            return self._answer
        return _FINE.get(check or "", "no")


def _check_of(task: str) -> str | None:
    return next((check for check in _CHECKS if task.startswith(check)), None)


def _run(stage: Stage, answer: str | None) -> Run:
    return Run("", stage, _Scripted(answer))
