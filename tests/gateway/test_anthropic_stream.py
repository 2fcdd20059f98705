"""The Anthropic door's stream encoder: one message, however its chunks are cut and mixed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from gatekit import chunk
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from billing.usage import Usage
from gateway.doors import anthropic_messages
from gateway.doors.anthropic.reply import message
from gateway.errors import Unavailable, UpstreamFailed
from gateway.pipeline.answer import Chunk, Reply, usage_body

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
USAGE = Usage(input_tokens=20, cached_input_tokens=5, output_tokens=9, reasoning_tokens=2, requests=1)
CALL = anthropic_messages.parse(
    orjson.dumps({"model": "assistant", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
)
ASSISTANT = {"id": "chatcmpl-1", "model": "assistant"}


def encode(deltas: list[dict[str, Any]], finish: str = "stop") -> bytes:
    encoder = anthropic_messages.open_stream(CALL)
    sent = b"".join(encoder.chunks([Chunk(chunk(delta, model="assistant"))]) for delta in deltas)
    tail = {**chunk({}, model="assistant"), "choices": [], "usage": usage_body(USAGE)}
    return sent + encoder.end([Chunk(chunk({}, finish, model="assistant")), Chunk(tail)])


def read(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream, in which blocks must not overlap and must be numbered in order."""
    events = [orjson.loads(event.split(b"\ndata: ")[1]) for event in raw.strip().split(b"\n\n")]
    index, is_open = -1, False
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                index, is_open = index + 1, True
            case "content_block_stop":
                assert is_open
                is_open = False
        if event["type"].startswith("content_block"):
            assert event["index"] == index
            assert is_open or event["type"] == "content_block_stop"
    assert not is_open
    return events


def final(raw: bytes) -> dict[str, Any]:
    """The message that Anthropic's own client puts together."""
    snapshot, buffers = None, dict[int, bytes]()
    for event in read(raw):
        if event["type"] not in ("ping", "message_stop"):
            snapshot = accumulate_event(
                event=EVENT.validate_python(event), current_snapshot=snapshot, json_bufs=buffers
            )
    assert snapshot is not None
    dumped: dict[str, Any] = snapshot.model_dump(exclude_none=True)
    return dumped


def cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=5)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


WORDS = st.text(min_size=1, max_size=12)
ARGUMENTS = st.dictionaries(WORDS, WORDS | st.integers(-9, 9) | st.dictionaries(WORDS, WORDS, max_size=2), max_size=3)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A chat message, and deltas that spell it: texts in order, tool calls mixed with each other in any way."""
    thought = draw(st.just("") | WORDS)
    text = draw(st.just("") | WORDS)
    calls = [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": draw(WORDS), "arguments": orjson.dumps(a).decode()},
        }
        for i, a in enumerate(draw(st.lists(ARGUMENTS, max_size=3)))
    ]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in cut(draw, thought)]
    deltas += [{"content": piece} for piece in cut(draw, text)]
    pieces: list[list[dict[str, Any]]] = []
    for index, call in enumerate(calls):
        first = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        rest = [{"index": index, "function": {"arguments": part}} for part in cut(draw, call["function"]["arguments"])]
        pieces.append([first, *rest])
        deltas.append({"tool_calls": [pieces[index].pop(0)]})  # calls begin in order, then mix
    while any(pieces):
        left = draw(st.sampled_from([group for group in pieces if group]))
        deltas.append({"tool_calls": [left.pop(0)]})
    said = {"role": "assistant", "content": text, "reasoning_content": thought, "tool_calls": calls}
    return said, deltas


@given(spoken())
def test_any_cut_of_a_stream_is_the_message_of_the_whole_reply(case: tuple[Any, list[dict[str, Any]]]) -> None:
    said, deltas = case
    finish = "tool_calls" if said["tool_calls"] else "stop"
    body = {**ASSISTANT, "choices": [{"index": 0, "message": said, "finish_reason": finish}]}
    whole = message(body, USAGE, [])
    got = final(encode(deltas, finish))
    assert got["content"] == whole["content"]
    assert (got["id"], got["stop_reason"], got["model"]) == (whole["id"], whole["stop_reason"], "assistant")
    assert got["usage"] == whole["usage"]


def call(index: int | None, arguments: str, **head: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": head.pop("name")} if "name" in head else {})
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def test_a_text_flows_at_once_and_so_does_the_first_tool_call() -> None:
    encoder = anthropic_messages.open_stream(CALL)
    assert b'"text":"Hel"' in encoder.chunks([Chunk(chunk({"content": "Hel"}))])
    started = encoder.chunks([Chunk(chunk(call(0, '{"a"', id="c0", name="f")))])
    assert started.count(b"event: content_block_stop") == 1 and b'"partial_json":"{\\"a\\""' in started


def test_the_end_of_a_text_that_comes_after_a_tool_call_is_not_lost() -> None:
    """A guard lets go of the last words of a text when the whole stream has ended."""
    deltas = [{"content": "Let me "}, call(0, '{"a":', id="c0", name="f"), {"content": "see."}, call(0, "1}")]
    content = final(encode(deltas, "tool_calls"))["content"]
    assert [block.get("text") or block["input"] for block in content] == ["Let me ", {"a": 1}, "see."]


def test_calls_that_all_have_the_number_0_are_told_apart_by_their_ids() -> None:
    deltas = [call(0, '{"a":1}', id="c0", name="f"), call(0, '{"b":2}', id="c1", name="g")]
    content = final(encode(deltas, "stop"))["content"]
    assert [(block["id"], block["name"], block["input"]) for block in content] == [
        ("c0", "f", {"a": 1}),
        ("c1", "g", {"b": 2}),
    ]


def test_a_call_without_an_id_or_a_number_gets_one_and_ends_in_tool_use() -> None:
    got = final(encode([call(None, "{}", name="f")], "stop"))
    assert got["content"][0]["id"].startswith("toolu_") and got["stop_reason"] == "tool_use"


def test_a_signature_is_the_last_delta_of_its_thought() -> None:
    signed = [{"type": "thinking", "thinking": "unseen by guards", "signature": "c2ln"}]
    hidden = [{"type": "redacted_thinking", "data": "b3BhcXVl"}]
    deltas = [
        {"reasoning_content": "Hm", "thinking_blocks": [{"type": "thinking", "thinking": "Hm"}]},
        {"thinking_blocks": signed},
        {"reasoning_content": "m."},  # what a guard held back
        {"thinking_blocks": hidden},
        {"content": "Yes."},
    ]
    assert final(encode(deltas))["content"] == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "Yes."},
    ]


def test_thinking_that_a_guard_rewrote_is_told_without_the_original() -> None:
    blocks = [{"type": "thinking", "thinking": "Ask jane@", "signature": "a"}, {"type": "thinking", "thinking": "x"}]
    said = {"content": "Yes.", "reasoning_content": "Ask [EMAIL]x", "thinking_blocks": blocks}
    body = {**ASSISTANT, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    content = orjson.loads(anthropic_messages.encode_reply(Reply(body, USAGE), CALL))["content"]
    assert content[0] == {"type": "thinking", "thinking": "Ask [EMAIL]x", "signature": ""}


def test_a_refusal_is_a_text_and_the_reason_to_stop() -> None:
    got = final(encode([{"refusal": "I may not."}]))
    assert (got["content"], got["stop_reason"]) == ([{"type": "text", "text": "I may not."}], "refusal")


def test_a_known_usage_is_told_at_the_start() -> None:
    encoder = anthropic_messages.open_stream(CALL)
    start = orjson.loads(encoder.chunks([Chunk(chunk({"content": "Hi"}), USAGE)]).split(b"\n")[1][6:])
    assert start["message"]["usage"]["input_tokens"] == 15


def test_a_heartbeat_is_a_ping() -> None:
    assert anthropic_messages.open_stream(CALL).heartbeat() == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamFailed("No target could answer."), "api_error"),
        (Unavailable("Too busy."), "overloaded_error"),
        (Unavailable("The store is down.", code="storage_unavailable"), "api_error"),
    ],
)
def test_errors_have_anthropics_types(error: Any, kind: str) -> None:
    told = orjson.loads(anthropic_messages.encode_error(error, "req_1"))
    assert (told["type"], told["request_id"], told["error"]["type"]) == ("error", "req_1", kind)
    event = anthropic_messages.open_stream(CALL).error(error)
    assert event.startswith(b"event: error\ndata: ") and orjson.loads(event[19:])["error"] == told["error"]
