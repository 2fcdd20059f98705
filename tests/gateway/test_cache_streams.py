"""Streams put together to whole replies, and whole replies sent as streams."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cachekit import USAGE
from gatekit import chunk, completion
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import Usage
from gateway.cache.assemble import ChunkAssembler
from gateway.cache.replay import replay
from gateway.pipeline.answer import Chunk, Reply, is_content, usage_body
from gateway.pipeline.shaping import StreamShaper
from guards.runner import GuardRunner
from guards.types import GuardRequest

ROOM = 10**6


def assemble(chunks: list[Chunk], limit: int = ROOM) -> Reply | None:
    assembler = ChunkAssembler(limit)
    for piece in chunks:
        assembler.add(piece)
    return assembler.reply()


def message_of(chunks: list[Chunk]) -> Any:
    reply = assemble(chunks)
    assert reply is not None
    return reply.body["choices"][0]["message"]


def deltas(*told: dict[str, Any], finish: str = "stop") -> list[Chunk]:
    return [*(Chunk(chunk(delta)) for delta in told), Chunk(chunk({}, finish))]


TEXT = st.text(min_size=1, max_size=1500)
CALL = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": st.text(min_size=1, max_size=9), "arguments": st.text()}),
    }
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | TEXT, "refusal": st.none() | TEXT},
    optional={
        "reasoning_content": TEXT,
        "tool_calls": st.lists(CALL, min_size=1, max_size=3),
        "annotations": st.lists(st.dictionaries(TEXT, TEXT, max_size=2), min_size=1, max_size=2),
        "function_call": st.fixed_dictionaries({"name": st.just("f"), "arguments": st.text()}),
    },
)
LOGPROBS = st.none() | st.fixed_dictionaries(
    {
        "content": st.lists(
            st.fixed_dictionaries({"token": TEXT, "logprob": st.floats(-9, 0)}), min_size=1, max_size=3
        ),
        "refusal": st.none(),
    }
)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    choices = [
        {
            "index": index,
            "message": draw(MESSAGE),
            "logprobs": draw(LOGPROBS),
            "finish_reason": draw(st.sampled_from(["stop", "length", "tool_calls"])),
        }
        for index in range(draw(st.integers(1, 3)))
    ]
    usage = draw(
        st.none() | st.builds(lambda n: Usage(input_tokens=n, output_tokens=n, requests=1), st.integers(0, 99))
    )
    body = {**completion(""), "system_fingerprint": "fp", "choices": choices}
    body.pop("usage")
    if usage is not None:
        body["usage"] = usage_body(usage)
    return Reply(body, usage, "upstream-model-2026")


@given(replies())
def test_a_reply_sent_as_a_stream_and_put_together_again_is_the_same(reply: Reply) -> None:
    before = copy.deepcopy(reply)
    chunks = replay(reply)
    assert assemble(chunks) == before
    assert reply == before
    assert all(piece.body["object"] == "chat.completion.chunk" for piece in chunks)


def test_an_openai_stream_with_parallel_tool_calls_is_put_together_by_index() -> None:
    def call(index: int, arguments: str, **first: Any) -> dict[str, Any]:
        name = {"name": first.pop("name")} if first else {}
        return {"tool_calls": [{"index": index, **first, "function": {**name, "arguments": arguments}}]}

    message = message_of(
        deltas(
            {"role": "assistant", "content": None},
            call(0, "", id="call_a", type="function", name="weather"),
            call(1, "", id="call_b", type="function", name="time"),
            call(0, '{"city": '),
            call(1, '{"zone": "CET"}'),
            call(0, '"Bern"}'),
            finish="tool_calls",
        )
    )
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": '{"zone": "CET"}'}},
    ]


def test_choices_that_alternate_are_kept_apart_and_in_order() -> None:
    def of(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "finish_reason": finish}

    parts = [of(1, {"content": "b"}), of(0, {"content": "a"}), of(1, {"content": "B"}, "stop"), of(0, {}, "length")]
    reply = assemble([Chunk({**chunk({}), "choices": [part]}) for part in parts])
    assert reply is not None
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in reply.body["choices"]] == [
        (0, "a", "length"),
        (1, "bB", "stop"),
    ]


def test_the_last_usage_told_counts_and_is_kept_as_it_was_told() -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0.1}
    first = Chunk(chunk({"content": "a"}), Usage(input_tokens=9, output_tokens=1))
    reply = assemble([first, Chunk(chunk({}, "stop")), Chunk({**chunk({}), "choices": [], "usage": told}, USAGE)])
    assert reply is not None
    assert (reply.usage, reply.body["usage"], reply.served_model) == (USAGE, told, "upstream-model-2026")


def test_usage_that_an_engine_counts_is_told_in_the_body_too() -> None:
    reply = assemble([Chunk(chunk({"content": "a"})), Chunk(chunk({}, "stop"), USAGE)])
    assert reply is not None
    assert reply.body["usage"] == usage_body(USAGE)


def test_what_a_provider_adds_to_a_choice_stays_and_padding_goes() -> None:
    last = chunk({}, "stop", obfuscation="xyz", service_tier="default")
    last["choices"][0]["stop_reason"] = 128009
    reply = assemble([Chunk(chunk({"content": "a"}, service_tier=None)), Chunk(last)])
    assert reply is not None
    assert reply.body["choices"][0]["stop_reason"] == 128009
    assert reply.body["service_tier"] == "default"
    assert "obfuscation" not in reply.body


def test_log_probabilities_are_strung_together() -> None:
    def piece(token: str) -> Chunk:
        body = chunk({"content": token})
        body["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -1.0}], "refusal": None}
        return Chunk(body)

    reply = assemble([piece("a"), piece("b"), Chunk(chunk({}, "stop"))])
    assert reply is not None
    logprobs = reply.body["choices"][0]["logprobs"]
    assert [entry["token"] for entry in logprobs["content"]] == ["a", "b"]
    assert logprobs["refusal"] is None


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([], id="nothing came"),
        pytest.param([Chunk(chunk({"content": "a"}))], id="no end"),
        pytest.param(deltas({"content": [{"type": "text", "text": "a"}]}), id="content in parts"),
        pytest.param(deltas({"content": "a"}, {"thinking_blocks": [{"text": "b"}]}), id="a field nobody knows"),
        pytest.param(
            deltas({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}), id="call without index"
        ),
        pytest.param(
            deltas(*({"tool_calls": [{"index": 0, "id": i, "function": {"arguments": "{}"}}]} for i in "ab")),
            id="two calls under one index",
        ),
    ],
)
def test_what_cannot_be_put_together_with_certainty_makes_no_reply(chunks: list[Chunk]) -> None:
    assert assemble(chunks) is None


def test_a_choice_that_has_not_ended_makes_no_reply() -> None:
    half = {"index": 1, "delta": {"content": "b"}, "finish_reason": None}
    assert assemble([*deltas({"content": "a"}), Chunk({**chunk({}), "choices": [half]})]) is None


def test_a_stream_larger_than_the_limit_is_let_go() -> None:
    assert assemble(deltas({"content": "a" * 60}, {"content": "b" * 40}), limit=100) is not None
    assembler = ChunkAssembler(limit=100)
    for piece in deltas({"content": "a" * 60}, {"content": "b" * 41}):
        assembler.add(piece)
    assert assembler.reply() is None
    assert not assembler._choices


async def test_what_a_stream_is_shaped_to_does_not_reach_what_was_put_together() -> None:
    assembler, shaper = ChunkAssembler(ROOM), StreamShaper(GuardRunner([]).open(GuardRequest("t")), "assistant")
    counted = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    for piece in [*deltas({"content": "a"}), Chunk({**chunk({}), "choices": [], "usage": counted}, USAGE)]:
        assembler.add(piece)
        for out in await shaper.feed(piece):
            for choice in out.body["choices"]:
                choice["delta"].clear()
    reply = assembler.reply()
    assert reply is not None
    assert reply.body["model"] == "upstream-model-2026"
    assert reply.body["choices"][0]["message"]["content"] == "a"
    assert reply.body["usage"] == counted


@pytest.mark.parametrize("include_usage", [True, False])
async def test_a_replayed_stream_passes_the_shaper_as_any_stream_does(include_usage: bool) -> None:
    text = "A gate for water. " * 100
    shaper = StreamShaper(GuardRunner([]).open(GuardRequest("t")), "assistant")
    chunks = replay(Reply(completion(text), USAGE, None))
    assert is_content(chunks[1])
    out = [piece for given in chunks for piece in await shaper.feed(given)]
    out += await shaper.finish(include_usage=include_usage)
    assert out[0].body["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(c["delta"].get("content", "") for piece in out for c in piece.body["choices"])
    assert said == text
    told = [piece.body["usage"] for piece in out if piece.body.get("usage")]
    assert told == ([usage_body(USAGE)] if include_usage else [])
    assert out[-1 - include_usage].body["choices"][0]["finish_reason"] == "stop"
