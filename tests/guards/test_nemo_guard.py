"""The nemo guard as a whole: its process, whose questions reach whom, and what becomes of one that dies or hangs."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from guardkit import Slot

from guards.judge.session import Ruling
from guards.nemo import process
from guards.nemo.build import build
from guards.nemo.guard import NemoGuard
from guards.nemo.model import RailsFailed
from guards.resources import Resources
from guards.runner import GuardRunner, Installed
from guards.spec import GuardSpec
from guards.types import (
    Action,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    GuardUnavailable,
    ModelUnavailable,
    Question,
    Scope,
    Stage,
)

pytest.importorskip("nemoguardrails")
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # each guard here has a process of its own

CONFIG = """
colang_version: "2.x"
models: []
prompts:
  - {task: self_check_input, max_tokens: 3, content: "Block this? {{ user_input }}"}
  - {task: self_check_output, max_tokens: 3, content: "Block this? {{ bot_response }}"}
"""
RAILS = """
import guardrails
import nemoguardrails.library.self_check.input_check
import nemoguardrails.library.self_check.output_check

flow input rails $input_text
  $bad = await LookAction(text=$input_text)
  if $bad
    bot refuse to respond
    abort
  self check input

flow output rails $output_text
  global $bot_message
  $bot_message = await GentleAction(text=$output_text)
  self check output
"""
ACTIONS = """
import os, pathlib, time
from nemoguardrails.actions import action

STANDS = os.getcwd()
TOLD = os.environ.get("NEMO_GUARDRAILS_NO_USAGE_STATS")

@action(name="look")
async def look(text: str):
    if "hang" in text:
        time.sleep(60)
    if "die" in text:
        os._exit(3)
    if "told" in text:
        return not (TOLD == "1" and STANDS == str(pathlib.Path(__file__).parent))
    return "bad" in text

@action(name="gentle")
async def gentle(text: str):
    print("reading", text)
    return text.replace("damn", "dear")
"""


class Models:
    """Answers by a function of what is asked; counts what is still being answered."""

    def __init__(self, answer: Callable[[str], str | Exception] = lambda text: "no") -> None:
        self.answer = answer
        self.questions: list[Question] = []
        self.names: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.cancelled = 0

    async def ask(self, guard: str, question: Question) -> str:
        self.names.add(guard)
        self.questions.append(question)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answer = self.answer(question.messages[0]["content"])
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rails")
    (made / "config.yml").write_text(CONFIG)
    (made / "rails.co").write_text(RAILS)
    (made / "actions.py").write_text(ACTIONS)
    return made


def guard_of(folder: Path, action: Action | None = None, **options: Any) -> NemoGuard:
    spec = GuardSpec(name="rails", kind="nemo", action=action, options={"rails": str(folder), **options})
    made = build(spec, Resources())
    assert isinstance(made, NemoGuard)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guard(folder: Path) -> AsyncIterator[NemoGuard]:
    made = guard_of(folder, remember=False, model="checker")
    await made.prepare()
    yield made
    await made.close()


async def ask(guard: NemoGuard, text: str, models: Models | None, stage: Stage = Stage.INPUT) -> Ruling:
    return await guard.process.check("rails", stage, text, models)


async def test_rails_run_in_a_process_of_their_own_that_asks_through_us(guard: NemoGuard) -> None:
    models = Models()
    assert guard.process.pid not in (None, os.getpid())
    session = guard.open(GuardRequest("t", models=models))
    assert (await session.check_input([Slot("hello")])).action is Action.PASS
    with pytest.raises(GuardBlocked) as blocked:
        await session.check_input([Slot("this is bad")])
    assert dict(blocked.value.verdict.findings) == {"input rails": 1}
    (question,) = models.questions
    assert (question.model, question.max_tokens, models.names) == ("checker", 3, {"rails"})
    assert "hello" in question.messages[0]["content"]


async def test_the_process_reports_nothing_and_stands_in_its_folder(guard: NemoGuard) -> None:
    assert await ask(guard, "told", Models()) == Ruling()


async def test_questions_of_many_requests_at_once_are_answered_each_by_its_own_models(guard: NemoGuard) -> None:
    def own(number: int) -> Models:
        return Models(lambda text: "yes" if number % 3 == 0 else "no" if f"text {number}." in text else "junk")

    asked = [(number, own(number)) for number in range(30)]
    rulings = await asyncio.gather(*(ask(guard, f"text {number}.", models) for number, models in asked))
    assert [bool(ruling.findings) for ruling in rulings] == [number % 3 == 0 for number, _ in asked]


@pytest.mark.parametrize("answer", [ModelUnavailable("budget_exceeded"), RuntimeError("secret"), "junk", ""])
async def test_a_question_without_an_answer_fails_the_check(guard: NemoGuard, answer: str | Exception) -> None:
    with pytest.raises(RailsFailed) as failed:
        await ask(guard, "hello", Models(lambda text: answer))
    assert "secret" not in str(failed.value) and "hello" not in str(failed.value)
    runner = GuardRunner([Installed(guard, default=True, timeout=30)])
    with pytest.raises(GuardUnavailable):
        await runner.open(GuardRequest("t", models=Models(lambda text: answer))).check_input([Slot("hello")])


async def test_without_a_gate_rails_that_ask_fail_and_others_do_not(guard: NemoGuard) -> None:
    with pytest.raises(RailsFailed, match="no model"):
        await ask(guard, "hello", None)
    assert (await ask(guard, "bad", None)).findings


async def test_a_check_that_is_given_up_takes_its_questions_along(guard: NemoGuard) -> None:
    models = Models()
    models.gate.clear()
    check = asyncio.create_task(ask(guard, "hello", models))
    async with asyncio.timeout(10):
        while not models.questions:
            await asyncio.sleep(0.005)
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check
        while not models.cancelled:
            await asyncio.sleep(0.005)
    assert await ask(guard, "hello", Models()) == Ruling()
    assert not guard.process._link.result()._checks  # type: ignore[union-attr]


async def test_a_text_that_is_no_unicode_is_a_failure(guard: NemoGuard) -> None:
    with pytest.raises(ValueError):
        await ask(guard, "\ud800", Models())


async def test_a_stream_is_guarded_as_a_whole_and_rewritten(folder: Path, guard: NemoGuard) -> None:
    rewriting = guard_of(folder, Action.REDACT, stream="whole")
    rewriting.process = guard.process  # the same rails
    session = rewriting.open(GuardRequest("t", models=Models()))
    stream = session.open_stream(Scope.ASSISTANT)
    assert [await stream.feed(text) for text in ("oh da", "mn it")] == ["", ""]
    assert await stream.finish() == "oh dear it"
    assert session.stream_verdict().action is Action.REDACT
    slots = [Slot("damn", Scope.ASSISTANT), Slot("fine", Scope.ASSISTANT)]
    verdict = await session.check_output(slots)
    assert ([slot.text for slot in slots], dict(verdict.findings)) == (["dear", "fine"], {"REWRITTEN": 1})
    assert rewriting.rewrites and not guard.rewrites
    with pytest.raises(GuardBlocked):  # it has no better form
        await session.check_input([Slot("bad")])
    stream = rewriting.open(GuardRequest("t", models=Models(lambda text: "yes"))).open_stream(Scope.ASSISTANT)
    await stream.feed("fine words")
    with pytest.raises(GuardBlocked):
        await stream.finish()


async def test_a_rewritten_text_counts_as_found_where_rewriting_is_not_the_action(
    folder: Path, guard: NemoGuard
) -> None:
    for action in (Action.BLOCK, Action.FLAG):
        other = guard_of(folder, action)
        other.process = guard.process
        session = other.open(GuardRequest("t", models=Models()))
        slot = Slot("damn", Scope.ASSISTANT)
        if action is Action.BLOCK:
            with pytest.raises(GuardBlocked):
                await session.check_output([slot])
        else:
            assert dict((await session.check_output([slot])).findings) == {"REWRITTEN": 1}
        assert slot.text == "damn"


async def test_what_was_fine_is_asked_once(folder: Path, guard: NemoGuard) -> None:
    other = guard_of(folder)
    other.process = guard.process
    models = Models()
    for _ in range(3):
        await other.open(GuardRequest("t", models=models)).check_input([Slot("hello")])
    assert len(models.questions) == 1


async def test_a_process_that_dies_or_hangs_fails_its_checks_and_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENT_SECONDS", 0.2)
    now = [0.0]
    guard = guard_of(folder, remember=False)
    guard.process._clock = lambda: now[0]
    await guard.prepare()
    try:
        first = guard.process.pid
        with pytest.raises(RailsFailed, match="ended"):
            await ask(guard, "die", Models())
        with pytest.raises(RailsFailed, match="ended"):  # not at once, or it would be started for every request
            await ask(guard, "hello", Models())
        now[0] += process.RESTART_SECONDS
        assert await ask(guard, "hello", Models()) == Ruling()
        second = guard.process.pid
        assert second != first
        hanging = asyncio.create_task(ask(guard, "hang", Models()))
        other = asyncio.create_task(ask(guard, "hello", Models()))
        await asyncio.sleep(0.1)
        hanging.cancel()
        with pytest.raises(RailsFailed, match="ended"):
            async with asyncio.timeout(10):
                await other
    finally:
        await guard.close()
    for pid in (first, second):
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def test_rails_that_cannot_be_run_are_refused_when_they_are_prepared(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("models: []\nrails: {input: {flows: [nowhere]}}")
    guard = guard_of(tmp_path)
    with pytest.raises(GuardConfigError, match=r"no output rails|nowhere") as fault:
        await guard.prepare()
    assert fault.value.at in (("rails",), ("stages",))
    await guard.close()
    (tmp_path / "config.py").write_text("import os\nos._exit(1)\n")
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "rails.co").write_text(RAILS)
    with pytest.raises(GuardConfigError, match="ended while it loaded"):
        await guard_of(tmp_path).prepare()


async def test_options_are_checked_when_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, at in (
        ({"rails": str(tmp_path / "none")}, ("rails",)),
        ({"rails": str(tmp_path), "piece": 0}, ("piece",)),
        ({"rails": str(tmp_path), "stream": "never"}, ("stream",)),
        ({"folder": str(tmp_path)}, ("folder",)),
    ):
        with pytest.raises(GuardConfigError) as fault:
            build(GuardSpec(name="rails", kind="nemo", options=options), Resources())
        assert fault.value.at == at
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GuardConfigError, match=r"sluicegate\[nemo\]"):
        guard_of(tmp_path)
