"""Every text of a request is a slot, wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.texts import chunk_slots, reply_slots, request_slots, write_back
from guards.types import Scope

MARK = "jane@example.com"

PLACES: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": MARK}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": MARK}]}]},
    {"messages": [{"role": "system", "content": MARK}]},
    {"messages": [{"role": "user", "content": "x", "name": MARK}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": MARK}}]}]},
    {"messages": [{"role": "tool", "tool_call_id": "1", "content": MARK}]},
    {"tools": [{"type": "function", "function": {"name": "f", "description": MARK}}]},
    {"tools": [{"function": {"parameters": {"properties": {"a": {"enum": [MARK]}}}}}]},
    {"user": MARK},
    {"metadata": {"customer": MARK}},
    {"metadata": {"id": MARK, "type": MARK}},
    {"messages": [{"role": "user", "content": f"data: {MARK}"}]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"https://a.b/?m={MARK}"}}]}
        ]
    },
    {"stop": [MARK]},
    {"prediction": {"content": MARK}},
    {"a_field_of_next_year": [[{"deep": MARK}]]},
]


@pytest.mark.parametrize("body", PLACES)
def test_a_text_is_found_and_rewritten_wherever_it_stands(body: dict[str, Any]) -> None:
    slots = request_slots(body)
    for slot in slots:
        slot.text = slot.text.replace(MARK, "[GONE]")
    write_back(slots)
    assert MARK not in str(body) and "[GONE]" in str(body)


CARD = 4111111111111111


@pytest.mark.parametrize(
    ("body", "context"),
    [
        ({"customer": CARD}, "customer: "),
        ({"metadata": {"card": CARD}}, "card: "),
        ({"metadata": {"cards": [[1, CARD]]}}, "cards: "),
        ({"messages": [{"role": "user", "content": [{"type": "contact", "phone": CARD}]}]}, "phone: "),
        ({"metadata": {"balance": -CARD}}, "balance: "),
    ],
)
def test_a_long_number_is_found_with_its_name_and_rewritten(body: dict[str, Any], context: str) -> None:
    (slot,) = [slot for slot in request_slots(body) if str(CARD) in slot.text]
    assert slot.context == context
    before = str(body)
    for text in (slot.text, "[GONE]", slot.text):  # a guard that failed has its texts set back
        slot.text = text
    assert str(body) == before, "it is a number again"
    slot.text = "[GONE]"
    assert slot.text == "[GONE]"
    assert str(CARD) not in str(body) and "[GONE]" in str(body)


@pytest.mark.parametrize(
    "body",
    [
        {"seed": CARD, "max_tokens": CARD, "n": 1, "temperature": 0.7, "stream": True, "top_k": None},
        {"prompt": [101, 50256, 999_999]},
        {"tools": [{"function": {"parameters": {"properties": {"a": {"minimum": CARD, "default": CARD}}}}}]},
        {"logit_bias": {"50256": -100}},
    ],
)
def test_numbers_that_steer_or_are_short_are_no_texts(body: dict[str, Any]) -> None:
    before = str(body)
    for slot in request_slots(body):
        slot.text = "[GONE]"
    assert str(body) == before


@pytest.mark.parametrize(
    "body",
    [
        {MARK: 1},
        {"metadata": {MARK: "x", "other": "y"}},
        {"metadata": {"a": [{MARK: CARD}]}},
        {"messages": [{"role": "user", "content": "x", MARK: {"deep": "y"}}]},
        {"messages": [{"role": "assistant", "tool_calls": [{MARK: "x", "function": {"arguments": "{}"}}]}]},
    ],
)
def test_the_name_of_a_field_is_found_and_changed_in_its_place(body: dict[str, Any]) -> None:
    before = str(body)
    slots = request_slots(body)
    for slot in slots:
        slot.text = slot.text.replace(MARK, "[GONE]")
    write_back(slots)
    assert str(body) == before.replace(MARK, "[GONE]")
    assert all(slot.text for slot in slots), "values are still at hand"
    write_back(slots)
    assert str(body) == before.replace(MARK, "[GONE]")


def test_two_names_that_become_one_keep_both_values() -> None:
    body = {"metadata": {"jane@example.com": "1", "john@example.com": "2"}}
    slots = request_slots(body)
    for slot in slots:
        if "@" in slot.text:
            slot.text = "[EMAIL]"
    write_back(slots)
    assert body == {"metadata": {"[EMAIL]": "1", "[EMAIL]_": "2"}}
    assert [slot.text for slot in slots] == ["[EMAIL]", "1", "[EMAIL]_", "2"]


def test_slots_carry_what_they_are() -> None:
    body = {"messages": [{"role": r, "content": [{"type": "text", "text": "x"}]} for r in ("system", "user", "tool")]}
    assert [slot.scope for slot in request_slots(body)] == [Scope.SYSTEM, Scope.USER, Scope.TOOL]


JSON = st.recursive(
    st.text(max_size=5) | st.integers() | st.none(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
)


@given(JSON)
def test_no_text_of_an_unknown_field_is_passed_over(value: Any) -> None:
    def count(node: Any) -> int:
        if isinstance(node, dict):
            names = sum(len(name) > 6 and not name.isidentifier() for name in node)
            return names + sum(map(count, node.values()))
        if isinstance(node, list):
            return sum(map(count, node))
        if isinstance(node, int):
            return abs(node) >= 10**6
        return int(isinstance(node, str) and bool(node))

    assert len(request_slots({"unknown": value})) == count(value)


def test_steering_words_and_pictures_are_no_texts() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBOR/+9" * 100 + "=="}}
    body = {"model": "m", "messages": [{"role": "user", "content": [picture]}], "service_tier": "auto"}
    assert request_slots(body) == []


def test_nesting_beyond_what_is_looked_through_is_refused() -> None:
    body: Any = "x"
    for _ in range(100):
        body = [body]
    with pytest.raises(InvalidRequest):
        request_slots({"a": body})


def test_a_reply_and_a_chunk_show_content_refusal_reasoning_and_arguments() -> None:
    said = {
        "content": "a",
        "refusal": "b",
        "reasoning_content": "c",
        "tool_calls": [{"index": 3, "function": {"arguments": "d"}}],
    }
    assert [slot.text for slot in reply_slots({"choices": [{"index": 0, "message": said}]})] == ["a", "b", "c", "d"]
    found = chunk_slots({"choices": [{"index": 1, "delta": said}]})
    assert [text_id for _, text_id in found] == [
        (1, "content"),
        (1, "refusal"),
        (1, "reasoning_content"),
        (1, "tool", 3),
    ]


def test_what_a_model_says_in_any_kind_of_call_is_a_text() -> None:
    calls = [
        {"index": 2, "function": {"name": "f", "arguments": "plain"}},
        {"index": 3, "type": "custom", "custom": {"name": "c", "input": "own"}},
    ]
    said = {"content": None, "tool_calls": calls, "function_call": {"name": "g", "arguments": "older"}}
    found = chunk_slots({"choices": [{"index": 1, "delta": said}]})
    assert {text_id: slot.text for slot, text_id in found} == {
        (1, "tool", 2): "plain",
        (1, "custom", 3): "own",
        (1, "function_call"): "older",
    }
    assert [slot.text for slot in reply_slots({"choices": [{"message": said}]})] == ["plain", "own", "older"]
