"""Replies of a shape: what passes, what is blocked, how a broken one is put right, and what a schema may not do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from guardkit import Slot
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.resources import Resources
from guards.schema.build import build
from guards.schema.guard import UnusableSchema
from guards.schema.limits import BadSchema
from guards.schema.validator import CheckTooLong, Validator
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardConfigError, GuardRequest, ModelUnavailable, Question, Scope, Stage

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


class Model:
    """Answers in order what it was told to; an exception is raised."""

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
    fields = {key: options.pop(key) for key in ("action", "stages", "timeout", "scopes") if key in options}
    return build(GuardSpec(name="shape", kind="schema", options=options, **fields), Resources())


async def judged(text: str, built: Any, *, models: Any = None, asked: Mapping[str, Any] | None = None) -> Any:
    """(text after, verdict) of a whole reply."""
    slot = Slot(text, Scope.ASSISTANT)
    verdict = await built.open(GuardRequest("t", models=models, reply_schema=asked)).check_output([slot])
    return slot.text, verdict


async def blocked(text: str, built: Any, **request: Any) -> Mapping[str, int]:
    with pytest.raises(GuardBlocked) as refused:
        await judged(text, built, **request)
    assert refused.value.verdict.action is Action.BLOCK and refused.value.verdict.stage is Stage.OUTPUT
    return refused.value.verdict.findings


async def test_a_reply_of_the_shape_passes_unchanged() -> None:
    text = ' {"name": "Ada",\n "age": 36} '
    after, verdict = await judged(text, guard(schema=PERSON))
    assert after == text and verdict.action is Action.PASS and not verdict.findings


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('{"name": "Ada", "age": -1}', "SCHEMA.minimum"),
        ('{"name": "Ada", "age": 3.5}', "SCHEMA.type"),
        ('{"age": 3}', "SCHEMA.required"),
        ('{"name": "Ada", "x": 1}', "SCHEMA.additionalProperties"),
        ("[]", "SCHEMA.type"),
        ("Here you are: {}", "NOT_JSON"),
        ('{"name": "Ada"', "NOT_JSON"),
        ('{"name": NaN}', "NOT_JSON"),
        ('{"name": "Ada"} and more', "NOT_JSON"),
        ("[" * 100_000, "NOT_JSON"),
        ('{"name": "\ud800"}', "NOT_JSON"),
    ],
)
async def test_a_reply_of_another_shape_is_blocked(text: str, finding: str) -> None:
    assert finding in await blocked(text, guard(schema=PERSON))


async def test_flag_and_log_leave_the_text_as_it_is() -> None:
    for action in (Action.FLAG, Action.LOG):
        for text in ("no", '```json\n{"name": 1}\n```'):
            after, verdict = await judged(text, guard(schema=PERSON, action=action))
            assert after == text and verdict.action is action


async def test_a_fence_is_taken_off_or_refused() -> None:
    text = '```json\n{"name": "Ada"}\n```\n'
    after, verdict = await judged(text, guard(schema=PERSON))
    assert after == '{"name": "Ada"}' and verdict.action is Action.REDACT and verdict.findings == {"FENCE": 1}
    assert await blocked(text, guard(schema=PERSON, fences="refuse")) == {"NOT_JSON": 1}
    assert await blocked("Sure!\n" + text, guard(schema=PERSON)) == {"NOT_JSON": 1}
    after, verdict = await judged(text, guard(schema=PERSON, action=Action.FLAG))
    assert after == text and verdict.action is Action.PASS


async def test_a_reply_without_text_is_not_judged() -> None:
    """It calls tools."""
    for text in ("", " \n"):
        assert (await judged(text, guard(schema=PERSON)))[1].action is Action.PASS


async def test_the_callers_own_schema_is_enforced_and_who_asks_for_none_gets_anything() -> None:
    own = guard(from_request=True)
    assert (await judged("hello", own))[1].action is Action.PASS
    assert (await judged('{"name": "Ada"}', own, asked=PERSON))[1].action is Action.PASS
    assert "SCHEMA.required" in await blocked("{}", own, asked=PERSON)
    with pytest.raises(UnusableSchema):
        await judged("{}", own, asked={"$ref": "https://example.com/x"})


async def test_a_broken_reply_is_put_right_once() -> None:
    model = Model('```json\n{"name": "Ada", "age": 36}\n```')
    built = guard(schema=PERSON, repair=True, model="small", timeout=30.0)
    after, verdict = await judged("Ada is 36", built, models=model)
    assert after == '{"name": "Ada", "age": 36}'
    assert verdict.action is Action.REDACT and verdict.findings == {"REPAIRED": 1}
    (question,) = model.asked
    assert question.model == "small" and question.schema == PERSON and "Ada is 36" in question.messages[1]["content"]


@pytest.mark.parametrize("answer", ["still not", '{"age": 1}', "", ModelUnavailable("down")])
async def test_a_reply_that_cannot_be_put_right_is_blocked(answer: Any) -> None:
    model = Model(answer)
    assert await blocked("x", guard(schema=PERSON, repair=True, timeout=30.0), models=model) == {"NOT_JSON": 1}
    assert len(model.asked) == 1


def test_the_runner_is_told_whether_a_model_is_asked() -> None:
    assert guard(schema=PERSON, repair=True).asks_models and not guard(schema=PERSON).asks_models


async def test_without_a_model_or_need_nothing_is_asked() -> None:
    built = guard(schema=PERSON, repair=True, timeout=30.0)
    assert await blocked("x", built) == {"NOT_JSON": 1}
    model = Model()
    await judged('{"name": "Ada"}', built, models=model)
    assert await blocked("x" * 200_000, built, models=model) == {"NOT_JSON": 1}
    assert not model.asked


@settings(max_examples=30, deadline=None)
@given(
    value=st.fixed_dictionaries({"name": st.text(max_size=5)}, optional={"age": st.integers(-2, 5)}),
    fence=st.booleans(),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
async def test_a_stream_says_what_the_whole_text_says(value: Any, fence: bool, sizes: list[int]) -> None:
    text = json.dumps(value)
    text = f"```json\n{text}\n```" if fence else text
    stream = guard(schema=PERSON).open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    position, turn = 0, 0
    while position < len(text):
        assert await stream.feed(text[position : position + sizes[turn % len(sizes)]]) == ""
        position += sizes[turn % len(sizes)]
        turn += 1
    try:
        streamed: Any = await stream.finish()
    except GuardBlocked as refused:
        assert refused.verdict.findings == await blocked(text, guard(schema=PERSON))
    else:
        assert streamed == (await judged(text, guard(schema=PERSON)))[0]


async def test_a_stream_tells_what_it_did_and_is_put_right_too() -> None:
    session = guard(schema=PERSON, repair=True, timeout=30.0).open(GuardRequest("t", models=Model('{"name": "Ada"}')))
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed("Ada") == "" and await stream.finish() == '{"name": "Ada"}'
    assert session.stream_verdict().findings == {"REPAIRED": 1}


@pytest.mark.parametrize(
    ("options", "at", "said"),
    [
        ({}, ("schema",), "either"),
        ({"schema": PERSON, "from_request": True}, ("schema",), "either"),
        ({"schema": {"type": "objekt"}}, ("schema", "type"), "not a JSON schema"),
        ({"schema": {"properties": {"a": {"minimum": "1"}}}}, ("schema", "properties", "a", "minimum"), "not a JSON"),
        ({"schema": {"$ref": "https://example.com/s"}}, ("schema", "$ref"), "same schema"),
        ({"schema": {"properties": {"a": {"$ref": "file:///etc/x"}}}}, ("schema", "properties", "a", "$ref"), "sam"),
        ({"schema": {"properties": {"enum": {"$ref": "x.json"}}}}, ("schema", "properties", "enum", "$ref"), "sam"),
        ({"schema": {"$ref": "#/$defs/x"}}, ("schema", "$ref"), "nowhere"),
        ({"schema": {"allOf": [{"$ref": "#other"}]}}, ("schema", "allOf", 0, "$ref"), "nowhere"),
        ({"schema": {"items": {"$id": "https://x.example/y"}}}, ("schema", "items", "$id"), r"\$id"),
        ({"schema": {"pattern": "(?=a)b"}}, ("schema", "pattern"), "RE2"),
        ({"schema": {"patternProperties": {"(a)\\1": {}}}}, ("schema", "patternProperties", "(a)\\1"), "RE2"),
        ({"schema": {"patternProperties": {"a": {}}, "unevaluatedProperties": False}}, ("schema",), "unevaluated"),
        ({"schema": {"$schema": "https://example.com/draft"}}, ("schema", "$schema"), "known are"),
        ({"schema": "no/such/file.json"}, ("schema",), "cannot be read"),
        ({"schema": PERSON, "repair": True, "timeout": 2.0}, ("timeout",), "timeout"),
        ({"schema": PERSON, "repair": True, "action": Action.FLAG, "timeout": 9.0}, ("repair",), "block"),
        ({"schema": PERSON, "model": "m"}, ("model",), "repair"),
        ({"schema": PERSON, "stages": (Stage.INPUT,)}, ("stages",), "output only"),
        ({"schema": PERSON, "action": Action.REDACT}, ("action",), "cannot redact"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_the_place(options: dict[str, Any], at: Any, said: str) -> None:
    with pytest.raises(GuardConfigError, match=said) as refused:
        guard(**options)
    assert refused.value.at == at


def test_a_schema_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "person.json"
    path.write_text(json.dumps(PERSON))
    guard(schema=str(path))
    path.write_text('{"properties": {"a": {"type": "x"}}}')
    with pytest.raises(GuardConfigError, match=re.escape("at /properties/a/type")):
        guard(schema=str(path))
    for text in ("[1]", "{"):
        path.write_text(text)
        with pytest.raises(GuardConfigError):
            guard(schema=str(path))


async def test_it_proves_itself_at_the_start() -> None:
    await guard(schema=PERSON).prepare()
    await guard(from_request=True).prepare()
    with pytest.raises(GuardConfigError, match="circle"):
        await guard(schema={"$ref": "#"}).prepare()
    with pytest.raises(GuardConfigError, match="circle"):
        await guard(schema={"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}).prepare()


def test_names_of_properties_are_no_keywords() -> None:
    names = ("$ref", "pattern", "const", "enum", "$id", "patternProperties", "required")
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    assert not Validator(schema).broken(dict.fromkeys(names, "(?=x)"))
    assert Validator({"const": {"$ref": "https://example.com"}}).broken(1)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^a+$"}, "aaa", "ab"),
        ({"pattern": r"^\p{L}+$"}, "été", "a1"),
        ({"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": False}, {"n_a": 1}, {"m": 1}),
        ({"patternProperties": {"^n_": {"type": "number"}}}, {"n_a": 1, "x": "y"}, {"n_a": "1"}),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "null"}}, {"a": 1, "b": None}, {"b": 1}),
        ({"uniqueItems": True}, [1, True, "1", {"a": 1}], [{"a": 1, "b": 2.0}, {"b": 2, "a": 1}]),
        ({"$defs": {"n": {"minimum": 3}}, "items": {"$ref": "#/$defs/n"}}, [3, 4], [2]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"s": {"type": "string"}},
          "items": [{"$ref": "#/definitions/s"}], "additionalItems": False}, ["a"], ["a", "b"]),
        ({"$anchor": "top", "properties": {"next": {"$ref": "#top"}}, "type": "object"}, {"next": {}}, {"next": 1}),
    ],
)  # fmt: skip
def test_own_keywords_say_what_the_standard_says(schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert not Validator(schema).broken(good) and Validator(schema).broken(bad)


def test_nothing_makes_a_check_take_long() -> None:
    deep: dict[str, Any] = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(40)}
    explosive = Validator({"$defs": {**deep, "a40": {"type": "null"}}, "$ref": "#/$defs/a0"})
    started = time.process_time()
    with pytest.raises(CheckTooLong):
        explosive.broken(1)
    assert not Validator({"pattern": "^(a|a)*$"}).broken("a" * 50_000)
    assert Validator({"uniqueItems": True}).broken([{"a": i} for i in range(50_000)] + [{"a": 0}])
    assert time.process_time() - started < 5


def test_a_schema_of_any_size_or_depth_is_refused_or_read_in_time() -> None:
    nested: dict[str, Any] = {}
    for _ in range(5_000):
        nested = {"items": nested}
    for schema in (nested, {"properties": {str(i): {} for i in range(30_000)}}):
        with pytest.raises(BadSchema):
            Validator(schema)
