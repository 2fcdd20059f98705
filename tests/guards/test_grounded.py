"""Replies that rest on their context and replies that do not, by words and by a judge."""

from __future__ import annotations

import time
from typing import Any

import pytest
from guardkit import Slot
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.grounded.build import build
from guards.grounded.judging import NoVerdict, is_grounded
from guards.grounded.support import Context
from guards.grounded.words import claim_of, sentences
from guards.resources import Resources
from guards.spec import GuardSpec
from guards.types import (
    Action,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    ModelUnavailable,
    Question,
    Scope,
    Stage,
)

SOURCE = (
    "Order 48213 was shipped on 12 March 2024 by Northwind Freight. The parcel weighs 3.5 kg and holds two lamps.\n"
    "Returns are accepted within 30 days if the goods are unused. Refunds of up to $1,250.00 take five working days. "
    "The support desk in Utrecht is open from 9:00 to 17:30."
)
SUPPORTED = [
    "Your order 48213 was shipped by Northwind Freight on 12 March 2024.",
    "The parcel, which holds two lamps, weighs 3.50 kg.",
    "- Unused goods can be returned within 30 days.",
    "**Refunds** of up to $1250 take five working days.",
    "You can reach the support desk in Utrecht, open from 9:00 to 17:30.",
]
UNSUPPORTED = [
    "Your order 48214 was shipped by Northwind Freight on 12 March 2024.",
    "The parcel weighs 4 kg and holds two lamps.",
    "Order 48213 was shipped by Contoso Logistics on 12 March 2024.",
    "Returns are free of charge for members of our loyalty programme.",
    "Used goods are exchanged at any shop without a receipt.",
    "The warehouse burnt down last winter and nobody was hurt.",
]


class Model:
    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    async def ask(self, guard: str, question: Question) -> str:
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def guard(**options: Any) -> Any:
    fields = {key: options.pop(key) for key in ("action", "stages", "timeout") if key in options}
    return build(GuardSpec(name="grounded", kind="grounded", options=options, **fields), Resources())


async def opened(built: Any, *slots: Slot, models: Any = None) -> Any:
    session = built.open(GuardRequest("t", models=models))
    shown = [slot for slot in (slots or (Slot(SOURCE, Scope.TOOL),)) if slot.scope in built.scopes(Stage.INPUT)]
    assert (await session.check_input(shown)).action is Action.PASS
    return session


async def verdict_on(session: Any, *texts: str) -> Any:
    return await session.check_output([Slot(text, Scope.ASSISTANT) for text in texts])


@pytest.mark.parametrize("sentence", SUPPORTED)
async def test_a_sentence_in_the_words_of_the_context_is_supported(sentence: str) -> None:
    verdict = await verdict_on(await opened(guard()), sentence)
    assert verdict.action is Action.PASS and verdict.score == 1.0


@pytest.mark.parametrize("sentence", UNSUPPORTED)
async def test_other_numbers_names_or_words_are_not(sentence: str) -> None:
    verdict = await verdict_on(await opened(guard()), sentence)
    assert verdict.action is Action.FLAG and verdict.score == 0.0 and verdict.findings == {"UNGROUNDED": 1}


async def test_the_score_is_the_share_of_supported_sentences_and_the_threshold_decides() -> None:
    text = "Sure! " + " ".join(SUPPORTED[:3]) + "\n" + UNSUPPORTED[3] + " I hope this helps."
    assert (await verdict_on(await opened(guard(threshold=0.75)), text)).action is Action.PASS
    verdict = await verdict_on(await opened(guard(threshold=0.8)), text)
    assert verdict.action is Action.FLAG and verdict.score == 0.75 and verdict.findings == {"UNGROUNDED": 1}


async def test_what_claims_nothing_is_not_counted() -> None:
    for text in ("", "   ", "Hello!", "Of course. Is there anything else?", "```python\nx = 99999 + Foo(1)\n```"):
        verdict = await verdict_on(await opened(guard()), text)
        assert verdict.action is Action.PASS and verdict.score is None


async def test_without_a_context_nothing_is_judged() -> None:
    for slots in ((Slot(SOURCE, Scope.USER),), (Slot("  ", Scope.TOOL),), (Slot("...", Scope.TOOL),)):
        verdict = await verdict_on(await opened(guard(), *slots), UNSUPPORTED[0])
        assert verdict.action is Action.PASS and verdict.score is None


async def test_the_context_is_what_the_operator_says() -> None:
    asks = Slot(SOURCE, Scope.USER)
    built = guard(context=["user", "system"])
    assert built.scopes(Stage.INPUT) == {Scope.USER, Scope.SYSTEM} and built.scopes(Stage.OUTPUT) == {Scope.ASSISTANT}
    assert (await verdict_on(await opened(built, asks), UNSUPPORTED[0])).action is Action.FLAG
    assert (await verdict_on(await opened(built, asks), SUPPORTED[0])).action is Action.PASS


async def test_words_that_stand_far_apart_support_nothing() -> None:
    scattered = [Slot(f"The {word} is here. Nothing to see. A quiet day. All is well.", Scope.TOOL)
                 for word in ("warehouse", "winter", "burning", "nobody", "hurt")]  # fmt: skip
    session = await opened(guard(), *scattered)
    assert (await verdict_on(session, "The warehouse burnt in winter and nobody was hurt.")).action is Action.FLAG


async def test_of_several_replies_the_worst_counts() -> None:
    verdict = await verdict_on(await opened(guard()), SUPPORTED[0], UNSUPPORTED[3], SUPPORTED[1])
    assert verdict.score == 0.0 and verdict.findings == {"UNGROUNDED": 1}


async def test_block_raises_and_flag_passes_on() -> None:
    with pytest.raises(GuardBlocked) as refused:
        await verdict_on(await opened(guard(action=Action.BLOCK)), UNSUPPORTED[1])
    assert refused.value.verdict.score == 0.0
    assert (await verdict_on(await opened(guard(action=Action.LOG)), UNSUPPORTED[1])).action is Action.LOG


@settings(max_examples=50, deadline=None)
@given(
    parts=st.lists(st.sampled_from([*SUPPORTED, *UNSUPPORTED, "Hello.", "\n"]), max_size=5),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    blocks=st.booleans(),
)
async def test_a_stream_is_judged_as_the_whole_text_is(parts: list[str], sizes: list[int], blocks: bool) -> None:
    text = " ".join(parts)
    flagged = await verdict_on(await opened(guard()), text)
    session = await opened(guard(action=Action.BLOCK if blocks else Action.FLAG))
    stream = session.open_stream(Scope.ASSISTANT)
    sent, position, turn = "", 0, 0
    while position < len(text):
        piece = text[position : position + sizes[turn % len(sizes)]]
        out = await stream.feed(piece)
        assert out == ("" if blocks else piece) and stream.held == (text[: position + len(piece)] if blocks else "")
        sent, position, turn = sent + out, position + len(piece), turn + 1
    try:
        sent += await stream.finish()
    except GuardBlocked:
        assert blocks and flagged.action is Action.FLAG and sent == ""
    else:
        assert sent == text and not (blocks and flagged.action is Action.FLAG)
    assert session.stream_verdict().findings == flagged.findings and session.stream_verdict().score == flagged.score


@pytest.mark.parametrize(
    ("answer", "grounded"),
    [('{"grounded": true}', True), (' {"grounded":false}\n', False), ('```json\n{"grounded": true}\n```', True)],
)
async def test_a_judge_decides_by_an_exact_verdict(answer: str, grounded: bool) -> None:
    model = Model(answer)
    session = await opened(guard(judge=True, model="judge", timeout=30.0), models=model)
    verdict = await verdict_on(session, UNSUPPORTED[0])
    assert (verdict.action is Action.PASS) == grounded and verdict.score == float(grounded)
    (question,) = model.asked
    assert question.model == "judge" and SOURCE in question.messages[1]["content"]
    assert UNSUPPORTED[0] in question.messages[1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "true",
        "Grounded.",
        '{"grounded": "true"}',
        '{"grounded": True}',
        '{"grounded": true} I think',
        '{"grounded": null}',
        '{"grounded": true, "grounded": false}',
        '{"grounded": true}{"grounded": false}',
        '{"verdict": true}',
        '[{"grounded": true}]',
    ],
)
async def test_anything_else_is_a_failure_and_no_verdict(answer: str) -> None:
    with pytest.raises(NoVerdict):
        await verdict_on(await opened(guard(judge=True, timeout=30.0), models=Model(answer)), SUPPORTED[0])
    with pytest.raises(NoVerdict):
        is_grounded(answer)


async def test_a_judge_that_cannot_be_asked_is_a_failure() -> None:
    for models in (None, Model(ModelUnavailable("down"))):
        with pytest.raises(ModelUnavailable):
            await verdict_on(await opened(guard(judge=True, timeout=30.0), models=models), SUPPORTED[0])


def test_the_runner_is_told_whether_a_model_is_asked() -> None:
    assert guard(judge=True).asks_models and not guard().asks_models


async def test_a_judge_is_not_asked_without_a_context() -> None:
    model = Model()
    session = await opened(guard(judge=True, timeout=30.0), Slot(SOURCE, Scope.USER), models=model)
    assert (await verdict_on(session, UNSUPPORTED[0])).action is Action.PASS and not model.asked


def test_sentences_end_where_readers_say() -> None:
    text = "Dr. Crane paid $3.50 to J. Hill, e.g. for oats. Cheap? Yes!\n1. First point\n- second *point*\n\n水。土。"
    assert list(sentences(text, code=True)) == [
        "Dr. Crane paid $3.50 to J. Hill, e.g. for oats.",
        "Cheap?",
        "Yes!",
        "First point",
        "second  point",
        "水。",
        "土。",
    ]


def test_numbers_are_the_same_however_they_are_written() -> None:
    assert claim_of("It is 1,250.00 or +1250 or 1250.").numbers == {"1250"}
    assert claim_of("Open 9:00 on 2024-03-12, 25% and -3").numbers == {"9:00", "2024", "3", "12", "25", "-3"}
    assert claim_of("25%").numbers == claim_of("25").numbers


async def test_it_proves_itself_at_the_start() -> None:
    await guard().prepare()
    await guard(judge=True, timeout=30.0).prepare()
    with pytest.raises(GuardConfigError, match="cannot be told"):
        await guard(overlap=1.0).prepare()


@pytest.mark.parametrize(
    ("options", "at", "said"),
    [
        ({"context": []}, ("context",), "no context"),
        ({"context": ["tol"]}, ("context", 0), "invalid enum"),
        ({"threshold": 0}, ("threshold",), "> 0"),
        ({"model": "m"}, ("model",), "judge"),
        ({"judge": True, "timeout": 2.0}, ("timeout",), "timeout"),
        ({"stages": (Stage.INPUT,)}, ("stages",), "output only"),
        ({"action": Action.REDACT}, ("action",), "cannot redact"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_place(options: dict[str, Any], at: Any, said: str) -> None:
    with pytest.raises(GuardConfigError, match=said) as refused:
        guard(**options)
    assert refused.value.at == at


async def test_long_texts_take_time_in_proportion() -> None:
    started = time.process_time()
    same = " ".join(f"The brass lamp {i} is on the table {i % 7}." for i in range(8_000))
    session = await opened(guard(), Slot(same, Scope.TOOL))
    assert (await verdict_on(session, same)).score == 1.0
    assert time.process_time() - started < 6


async def test_a_flagged_stream_may_be_longer_than_what_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guards.grounded.guard.MOST_HELD", 100)
    stream = (await opened(guard())).open_stream(Scope.ASSISTANT)
    assert await stream.feed("x " * 100) == "x " * 100 and await stream.finish() == ""
    assert not Context([], 0.5)
