"""Every text of a reply is guarded, also in fields that nobody has heard of, whole and streamed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from gateway.pipeline.answer import Chunk
from gateway.pipeline.shaping import StreamShaper
from gateway.texts import reply_slots, reply_texts, without_texts, write_back
from guards.build import build_runner
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardRequest, Scope

MARK = "jane@example.com"
GATE = build_runner([GuardSpec(name="pii", kind="pii", default=True)])

FIELDS: list[dict[str, Any]] = [
    {"content": MARK},
    {"refusal": MARK},
    {"reasoning_content": MARK},
    {"record_field": MARK},
    {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": MARK, "signature": "c2ln"}]},
    {"annotations": [{"type": "url_citation", "url_citation": {"url": f"https://a.b/?m={MARK}", "title": "t"}}]},
    {"audio": {"id": "a", "data": "AAAA", "transcript": MARK}},
    {"deep": {"er": [[{"est": [MARK]}]]}},
    {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": json.dumps({"to": MARK})}}]},
    {"tool_calls": [{"index": 0, "id": "1", "type": "custom", "custom": {"name": "f", "input": MARK}}]},
    {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}, "why": MARK}]},
    {"function_call": {"name": "f", "arguments": json.dumps([MARK])}},
]


def reply(message: dict[str, Any], **top: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **top}


@pytest.mark.parametrize("message", FIELDS)
async def test_a_value_in_any_field_of_a_whole_reply_is_masked(message: dict[str, Any]) -> None:
    body = reply(copy.deepcopy(message))
    slots = reply_slots(body)
    await GATE.open(GuardRequest("t")).check_output(slots)
    write_back(slots)
    assert MARK not in json.dumps(body) and "[EMAIL]" in json.dumps(body)


@pytest.mark.parametrize("place", ["top", "choice"])
async def test_a_value_beside_the_message_is_masked(place: str) -> None:
    body = reply({"content": "Hi"})
    (body if place == "top" else body["choices"][0])["citations"] = [{"text": MARK}]
    await GATE.open(GuardRequest("t")).check_output(reply_slots(body))
    assert MARK not in json.dumps(body)


def texts_of(node: Any) -> str:
    """All strings of a body, in order."""
    if isinstance(node, dict):
        return "".join(texts_of(value) for value in node.values())
    if isinstance(node, list):
        return "".join(map(texts_of, node))
    return node if isinstance(node, str) else ""


def cut(message: dict[str, Any], at: int) -> list[dict[str, Any]]:
    """A message as two deltas, the marked text cut at a place; other texts in the first alone."""

    def part(node: Any, first: bool) -> Any:
        if isinstance(node, dict):
            return {key: part(value, first) for key, value in node.items()}
        if isinstance(node, list):
            return [part(value, first) for value in node]
        if isinstance(node, str):
            if MARK in node:
                place = node.index(MARK) + at
                return node[:place] if first else node[place:]
            return node if first else ""
        return node

    return [part(message, True), part(message, False)]


@pytest.mark.parametrize("message", [field for field in FIELDS if "annotations" not in field and "deep" not in field])
@pytest.mark.parametrize("at", [1, 6, 10])
async def test_a_value_cut_over_two_chunks_is_masked_in_any_growing_field(message: dict[str, Any], at: int) -> None:
    shaper = StreamShaper(GATE.open(GuardRequest("t")), "m")
    out: list[Chunk] = []
    for delta in cut(message, at):
        out += await shaper.feed(Chunk({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    out += await shaper.feed(Chunk({"id": "x", "choices": [end]}))
    out += await shaper.finish(include_usage=False)
    said = "".join(texts_of(chunk.body["choices"]) for chunk in out)
    assert MARK not in said and "[EMAIL]" in said
    assert "jane" not in said and "example" not in said


async def test_two_fields_that_grow_side_by_side_do_not_end_each_other() -> None:
    shaper = StreamShaper(GATE.open(GuardRequest("t")), "m")
    out: list[Chunk] = []
    for piece in ("mail jane@exam", "ple.com ", "now"):
        delta = {"content": piece, "record_field": piece}
        out += await shaper.feed(Chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    out += await shaper.finish(include_usage=False)
    for field in ("content", "record_field"):
        said = "".join(choice["delta"].get(field) or "" for chunk in out for choice in chunk.body["choices"])
        assert said == "mail [EMAIL] now"


async def test_a_text_without_an_identity_is_whole_in_its_chunk() -> None:
    shaper = StreamShaper(GATE.open(GuardRequest("t")), "m")
    delta = {"annotations": [{"type": "url_citation", "url_citation": {"url": f"https://a.b/{MARK}", "title": "t"}}]}
    (chunk,) = await shaper.feed(Chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    (annotation,) = chunk.body["choices"][0]["delta"]["annotations"]
    assert annotation == {"type": "url_citation", "url_citation": {"url": "https://a.b/[EMAIL]", "title": "t"}}
    assert await shaper.finish(include_usage=False) == []


def test_words_that_steer_and_bytes_are_no_texts() -> None:
    message = {"content": None, "audio": {"id": MARK, "data": MARK}, "reasoning_details": [{"signature": MARK}]}
    body = reply(message, system_fingerprint=MARK)
    assert reply_slots(body) == []


def test_what_the_model_said_is_told_apart_from_what_is_written_about_it() -> None:
    body = reply({"content": "a", "reasoning": "b", "record_field": "c"}, citations=["d"])
    assert [slot.text for slot in reply_texts(body)] == ["a", "b"]
    scopes = {slot.text: slot.scope for slot in reply_slots(body)}
    assert scopes == {"a": Scope.ASSISTANT, "b": Scope.REASONING, "c": Scope.ASSISTANT, "d": Scope.ASSISTANT}


def test_a_reply_without_its_texts_says_nothing_anywhere() -> None:
    body = reply({"content": MARK, "record_field": MARK}, citations=[MARK])
    body["choices"][0]["note"] = MARK
    without_texts(body)
    assert MARK not in json.dumps(body)
    assert body["choices"][0]["finish_reason"] == "content_filter"


async def test_a_block_comes_before_any_part_of_the_value_in_any_field() -> None:
    strict = build_runner([GuardSpec(name="pii", kind="pii", default=True, action=Action.BLOCK)])
    shaper = StreamShaper(strict.open(GuardRequest("t")), "m")
    delta = {"content": "fine ", "record_field": "jane@exa"}
    (chunk,) = await shaper.feed(Chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    assert "jane" not in json.dumps(chunk.body)
    with pytest.raises(GuardBlocked):
        await shaper.feed(Chunk({"choices": [{"index": 0, "delta": {"record_field": "mple.com "}}]}))
