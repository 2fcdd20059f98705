"""How hard a prompt is taken to be: what is read of it, how it is scored, and which tier serves."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.routing.difficulty import (
    SHADOW_TAG,
    TIER_TAG,
    Decision,
    DifficultyModel,
    DifficultyModelError,
    DifficultyRouter,
    Tier,
)
from gateway.routing.difficulty.decision import tier_of
from gateway.routing.difficulty.features import BUCKETS, MEASURES, Prompt, extract, prompt_of, prompt_of_body

MODELS = {Tier.SIMPLE: "small", Tier.MEDIUM: "middle", Tier.HARD: "large"}
BUNDLED = DifficultyModel.load()
ROUTER = DifficultyRouter(BUNDLED, MODELS)
EASY = "What is the capital of Bolivia?"
HARD = "Prove that every bounded sequence of reals has a convergent subsequence; show where completeness is used."


def score(text: str) -> float:
    return BUNDLED.score(extract(Prompt(text)))


def measure(name: str, prompt: Prompt) -> float:
    return extract(prompt).measures[MEASURES.index(name)]


@given(st.text(st.characters(), max_size=700), st.integers(0, 50), st.integers(1, 50), st.booleans())
def test_any_text_in_any_language_has_a_score(text: str, tools: int, turns: int, structured: bool) -> None:
    features = extract(Prompt(text, turns, tools, structured))
    assert 0 <= BUNDLED.score(features) <= 1
    assert all(-0.01 <= value <= 2 for value in features.measures)


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\udfff\ud800" * 300, "\u0000" * 500, "\ufdfa" * 2000, "🙂" * 900])
def test_odd_texts_are_scored_too(text: str) -> None:
    assert 0 <= score(text) <= 1


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        (EASY, HARD),
        ("Wie viele Einwohner hat Graz?", "Beweise, dass jede stetige Funktion auf einem Kompaktum beschränkt ist."),
        (
            "¿Cuántos años tiene un siglo?",
            "Analiza la responsabilidad contractual de ambas partes y diseña una cláusula.",
        ),
        ("今天星期几？", "请证明素数有无穷多个，并分析该证明的每一步。"),
        ("Сколько дней в мае?", "Докажите, что множество действительных чисел несчётно."),
    ],
)
def test_a_question_of_fact_is_easier_than_a_proof_or_an_analysis(easy: str, hard: str) -> None:
    assert score(easy) < 0.35
    assert score(hard) > 0.7


def test_only_the_ends_of_a_long_prompt_are_read() -> None:
    ends = "Please look at this. " * 60, " What do you make of it?" * 60
    one = Prompt(ends[0] + "x" * 200_000 + ends[1])
    other = Prompt(ends[0] + "def f(y):\n  return y\n" * 9_523 + "z" * 17 + ends[1])
    assert len(one.text) == len(other.text)
    assert extract(one) == extract(other)
    assert len(extract(one).grams) < 1_500


def test_a_letter_is_the_same_in_any_composition_and_case() -> None:
    text = "Erkläre Ökonomie für Anfänger"
    assert extract(Prompt(unicodedata.normalize("NFD", text).upper())).terms == extract(Prompt(text)).terms


def test_numbers_are_alike_but_for_their_length() -> None:
    assert extract(Prompt("Add 17 and 25")) == extract(Prompt("Add 46 and 81"))


def test_the_last_user_turn_is_what_counts() -> None:
    texts = [
        ("system", HARD),
        ("user", HARD),
        ("assistant", HARD),
        ("user", EASY + " And is it in the mountains there?"),
    ]
    assert prompt_of(texts) == Prompt(texts[-1][1], turns=2)
    assert ROUTER.decide(texts, None).tier is Tier.SIMPLE
    assert ROUTER.decide([("system", EASY), ("user", HARD), ("tool", EASY)], None).tier is Tier.HARD


def test_a_short_turn_is_read_with_the_one_before_it() -> None:
    texts = [("user", EASY), ("user", HARD), ("assistant", "First, bisect."), ("user", "go on")]
    assert prompt_of(texts).text == f"{HARD}\ngo on"
    assert ROUTER.decide(texts, None).tier is Tier.HARD


def test_a_conversation_without_a_user_still_gets_a_tier() -> None:
    assert prompt_of([("assistant", HARD)]).text == HARD
    assert ROUTER.decide([], None).tier in Tier


def test_a_body_tells_texts_tools_and_the_format_asked_for() -> None:
    parts = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": "data:x"}}, "Why?"]
    chat = {
        "messages": [{"role": "system", "content": HARD}, {"role": "user", "content": parts}],
        "tools": [{"type": "function"}] * 3,
        "response_format": {"type": "json_schema", "json_schema": {}},
    }
    assert prompt_of_body(chat) == Prompt("Look.\nWhy?", turns=1, tools=3, structured=True)
    assert prompt_of_body({"prompt": [EASY, HARD]}).text == f"{EASY}\n{HARD}"
    assert measure("tools", prompt_of_body(chat)) > measure("tools", Prompt(EASY)) == 0
    assert measure("structured", prompt_of_body(chat)) == 1


@given(
    st.dictionaries(
        st.sampled_from(["messages", "prompt", "tools", "response_format", "functions"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_a_body_of_any_shape_gets_a_decision(body: dict[str, Any]) -> None:
    assert ROUTER.decide_body(body, None).tier in Tier


def test_a_score_at_a_threshold_belongs_above_it() -> None:
    tiers = [tier_of(score, (0.35, 0.7)) for score in (0.0, 0.349, 0.35, 0.699, 0.7, 1.0)]
    assert [tier.rank for tier in tiers] == [0, 0, 1, 1, 2, 2]
    assert DifficultyRouter(BUNDLED, MODELS, thresholds=(0.0, 1.0)).decide([("user", EASY)], None).tier is Tier.MEDIUM


@pytest.mark.parametrize("word", ["hard", " Hard ", "HARD"])
def test_the_caller_may_name_the_tier(word: str) -> None:
    decision = ROUTER.decide([("user", EASY)], word)
    assert decision == Decision(Tier.HARD, score=None, overridden=True)
    assert ROUTER.model_for(decision) == "large"


@pytest.mark.parametrize("word", ["", "easy", "1", "hard,simple"])
def test_an_override_that_is_no_tier_is_the_callers_fault(word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ROUTER.decide_body({"messages": []}, word)
    assert caught.value.status == 400
    assert caught.value.param == "x-sluicegate-difficulty"


def test_in_shadow_the_decision_is_recorded_and_another_tier_serves() -> None:
    router = DifficultyRouter(BUNDLED, MODELS, shadow=Tier.HARD)
    watched = router.decide([("user", EASY)], None)
    assert (watched.tier, watched.serving, router.model_for(watched)) == (Tier.SIMPLE, Tier.HARD, "large")
    assert watched.tags() == {TIER_TAG: "simple", SHADOW_TAG: "hard"}
    named = router.decide([("user", EASY)], "medium")
    assert (named.serving, named.tags()) == (Tier.MEDIUM, {TIER_TAG: "medium"})


def test_a_weights_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(BUNDLED.to_json())
    assert DifficultyModel.load(path) == BUNDLED


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(BUNDLED.to_json()) | fields).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x80\x04pickle", "is not a file of weights"),
        (b"\xff\xfe", "is not a file of weights"),
        (b"[]", "is not a file of weights"),
        (b'{"format": "sluicegate-difficulty"}', "missing required field"),
        (changed(format="other"), "JSON of another kind"),
        (changed(version=2), "has format version 2"),
        (changed(hashed="%"), "not base64"),
        (changed(hashed=base64.b64encode(bytes(BUCKETS // 2)).decode()), "16384 hashed weights in place of 32768"),
        (changed(measures={"length": 1.0}), "other measures"),
        (changed(cuts=[1.0, 0.5]), "wrong order"),
        (changed(scale="1"), "is not a file of weights"),
        (changed(scale=1.0).replace(b'"scale": 1.0', b'"scale": 1e999'), "is not a file of weights"),
        (b" " * (2**20 + 1), "larger than"),
    ],
)
def test_bad_weights_are_refused_with_the_reason_and_what_to_do(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(raw)
    with pytest.raises(DifficultyModelError, match=reason) as caught:
        DifficultyModel.load(path)
    assert "sluicegate difficulty train" in str(caught.value)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_weights_that_cannot_be_read_are_no_traceback(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "model.json")
    with pytest.raises(DifficultyModelError, match="cannot be read"):
        DifficultyModel.load(tmp_path / "model.json")
