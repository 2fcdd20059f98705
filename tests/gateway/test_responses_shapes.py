"""The shapes of the Responses door: requests to chat, chat chunks to events, each as the official package reads it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent

from gateway.doors import openai_responses
from gateway.doors.responses.request import Source
from gateway.doors.responses.stream import ResponseStream
from gateway.errors import InvalidRequest, Unsupported
from gateway.pipeline.answer import Chunk, Reply

EVENTS = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(ResponseStreamEvent)[0])
}


def chat(**fields: Any) -> dict[str, Any]:
    """The chat request that a Responses request becomes."""
    return openai_responses.parse(orjson.dumps({"model": "m", "input": "Hi", **fields})).body


def messages(*items: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chat(input=list(items))["messages"]
    return found


def read(raw: bytes) -> list[dict[str, Any]]:
    """The events in these bytes, each checked against its type in the package."""
    found = []
    for block in raw.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        EVENTS[event["type"]].model_validate(event)
        found.append(event)
    return found


# Requests


def test_unknown_fields_go_on_and_the_doors_own_do_not() -> None:
    body = chat(top_k=5, store=True, truncation="disabled", background=False, max_tool_calls=3, include=[])
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "top_k": 5}


def test_settings_get_their_names_in_chat() -> None:
    schema = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}
    body = chat(
        max_output_tokens=7, text={"format": schema, "verbosity": "low"}, reasoning={"effort": "high"}, top_logprobs=3
    )
    assert body["max_completion_tokens"] == 7
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
    }
    assert (body["verbosity"], body["reasoning_effort"]) == ("low", "high")
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)


def test_calls_of_one_turn_become_one_message() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    asked = {"type": "custom_tool_call", "name": "sh", "input": "ls", "call_id": "c3"}
    assert messages(
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"},
        {**call, "call_id": "c1"},
        {**call, "call_id": "c2"},
        asked,
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "1"}]},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "2"},
        {**call, "call_id": "c4"},
        {"role": "assistant", "content": "Done"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
    ) == [
        {
            "role": "assistant",
            "content": "So",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c3", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c3", "content": "2"},
        {
            "role": "assistant",
            "content": "Done",
            "tool_calls": [{"id": "c4", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "assistant", "content": None, "refusal": "No"},
    ]


def test_tools_and_choices_are_nested_as_chat_has_them() -> None:
    grammar = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    tools = [{"type": "function", "name": "f", "parameters": {}}, {"type": "custom", "name": "c", "format": grammar}]
    allowed = [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]
    body = chat(tools=tools, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": allowed})
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {}}},
        {
            "type": "custom",
            "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}},
        },
    ]
    assert body["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "auto",
            "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}],
        },
    }
    assert chat(tool_choice="required")["tool_choice"] == "required"


PICTURE = {"type": "input_image", "file_id": "file-1"}
FILE = {"type": "input_file", "file_url": "https://example.com/a.pdf"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "mcp"}]}, "tools.1.type"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0"),
        ({"input": [{"id": "msg_1"}]}, "input.0"),
        ({"input": [{"type": "computer_call"}]}, "input.0.type"),
        ({"input": [{"role": "user", "content": [PICTURE]}]}, "input.0.content.0.file_id"),
        ({"input": [{"role": "user", "content": [FILE]}]}, "input.0.content.0.file_url"),
    ],
)
def test_what_a_chat_upstream_cannot_do_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as refused:
        chat(**fields)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["Hi"]}, "input.0"),
        ({"input": [{"role": "critic", "content": "Hi"}]}, "input.0.role"),
        ({"input": [{"role": ["user"], "content": "Hi"}]}, "input.0.role"),
        ({"input": [{"role": "user"}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, "input.0.content.0.type"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text"}]}]}, "input.0.content.0.type"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input.0.arguments"),
        ({"input": [{"type": "function_call_output", "output": ""}]}, "input.0.call_id"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tool_choice": "some"}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "text.format.schema"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"include": ["everything"]}, "include.0"),
        ({"reasoning": {"mode": "pro"}}, "reasoning"),
    ],
)
def test_a_wrong_request_is_refused_by_the_name_of_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")


def test_a_field_nested_too_deeply_to_be_repeated_is_refused() -> None:
    deep = b"[" * 300 + b"]" * 300
    raw = b'{"model":"m","input":"Hi","tool_choice":{"type":"function","name":"f","x":' + deep + b"}}"
    with pytest.raises(InvalidRequest):
        openai_responses.parse(raw)


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "auto"])
KINDS = st.sampled_from(
    [
        "message", "function_call", "function_call_output", "custom_tool_call", "reasoning", "item_reference",
        "input_text", "input_image", "input_file", "input_audio", "output_text", "refusal", "function", "custom",
        "allowed_tools", "json_schema", "user", "assistant",
    ]
)  # fmt: skip
KEYS = st.sampled_from(
    ["content", "name", "format", "tools", "output", "call_id", "text", "arguments", "image_url", "input_audio", "mode"]
)
ODD = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.builds(
            lambda steering, rest: {**steering, **rest},
            st.fixed_dictionaries({}, optional={"type": KINDS | inner, "role": KINDS | inner}),
            st.dictionaries(KEYS, inner, max_size=3),
        )
    ),
    max_leaves=12,
)
FIELDS = ["input", "tools", "tool_choice", "text", "reasoning", "include", "stream_options", "metadata"]


@settings(deadline=None)
@given(st.sampled_from(FIELDS), ODD | st.lists(ODD, max_size=3))
def test_no_request_fails_in_another_way_than_by_an_error_for_its_caller(field: str, value: Any) -> None:
    with suppress(InvalidRequest):
        chat(**{field: value})


# Answers


def source() -> Source:
    call = openai_responses.parse(orjson.dumps({"model": "m", "input": "Hi"}))
    return Source("ab" * 24, 1_700_000_000, "m", call.source.repeated)


def piece(delta: dict[str, Any], finish: str | None = None) -> Chunk:
    return Chunk({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def cut(delta: dict[str, Any], sizes: list[int]) -> list[dict[str, Any]]:
    """The same delta in pieces: the one text in it cut after so many characters each."""
    if "tool_calls" in delta:
        call = delta["tool_calls"][0]
        kind = "custom" if "custom" in call else "function"
        field = "input" if kind == "custom" else "arguments"
        first, *rest = _slices(call[kind][field], sizes)
        head = {**call, kind: {**call[kind], field: first}}
        tails = [{"index": call["index"], kind: {field: text}} for text in rest]
        return [{"tool_calls": [told]} for told in (head, *tails)]
    ((name, text),) = delta.items()
    return [{name: part} for part in _slices(text, sizes)]


def _slices(text: str, sizes: list[int]) -> list[str]:
    parts = []
    for size in sizes:
        parts.append(text[:size])
        text = text[size:]
    return [*parts, text]


def tool(index: int, kind: str) -> st.SearchStrategy[dict[str, Any]]:
    field = "input" if kind == "custom" else "arguments"
    made = st.text(max_size=12).map(lambda text: {"name": "f", field: text})
    return made.map(lambda said: {"tool_calls": [{"index": index, "id": f"call_{index}", "type": kind, kind: said}]})


ANSWERS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"reasoning_content": st.text(min_size=1, max_size=12)}),
        st.fixed_dictionaries({"content": st.text(min_size=1, max_size=12)}),
        st.fixed_dictionaries({"refusal": st.text(min_size=1, max_size=12)}),
        tool(0, "function"),
        tool(1, "function"),
        tool(2, "custom"),
    ),
    max_size=6,
    unique_by=lambda delta: str(delta.get("tool_calls", [{}])[0].get("index", list(delta))),
)
FINISHES = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@settings(deadline=None)
@given(ANSWERS, FINISHES, st.data())
def test_any_cut_of_the_deltas_gives_the_same_final_response(
    deltas: list[dict[str, Any]], finish: str, data: st.DataObject
) -> None:
    def run(pieces: list[dict[str, Any]], batch: int) -> list[dict[str, Any]]:
        stream = ResponseStream(source(), clock=lambda: 1_700_000_001.5)
        chunks = [*map(piece, pieces), piece({}, finish), Chunk({"model": "m", "choices": [], "usage": USAGE})]
        raw = b"".join(stream.chunks(chunks[at : at + batch]) for at in range(0, len(chunks) - 1, batch))
        return read(raw + stream.end(chunks[-1:] if (len(chunks) - 1) % batch == 0 else []))

    whole = run(deltas, 1)
    sizes = st.lists(st.integers(0, 5), max_size=3)
    pieces = [part for delta in deltas for part in cut(delta, data.draw(sizes))]
    seen = run(pieces, data.draw(st.integers(1, 4)))
    assert seen[-1]["response"] == whole[-1]["response"]
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    _check_deltas_add_up(seen)


def _check_deltas_add_up(events: list[dict[str, Any]]) -> None:
    """The deltas of every text give what its `done` event says, and the items done are the response's output."""
    grown: dict[tuple[Any, ...], str] = {}
    done: dict[int, Any] = {}
    for event in events:
        kind = event["type"].rpartition(".")[0]
        place = (kind, event.get("item_id"), event.get("content_index"))
        if "delta" in event:
            grown[place] = grown.get(place, "") + event["delta"]
        elif event["type"] == "response.output_item.done":
            done[event["output_index"]] = event["item"]
        elif texts := [event[name] for name in ("text", "refusal", "arguments", "input") if name in event]:
            assert grown.get(place, "") == texts[0]
    assert [done[index] for index in sorted(done)] == events[-1]["response"]["output"]


@settings(deadline=None)
@given(ANSWERS, FINISHES)
def test_a_whole_reply_says_what_the_stream_of_it_says(deltas: list[dict[str, Any]], finish: str) -> None:
    order = ["reasoning_content", "content", "refusal", "tool_calls"]
    deltas = sorted(deltas, key=lambda delta: order.index(next(iter(delta))))
    message: dict[str, Any] = {"tool_calls": []}
    for delta in deltas:
        calls = delta.get("tool_calls", [])
        message = {**message, **delta, "tool_calls": [*message["tool_calls"], *calls]}
    stream = ResponseStream(source(), clock=lambda: 1_700_000_001.5)
    streamed = read(stream.end([*map(piece, deltas), piece({}, finish)]))[-1]["response"]
    body = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    call = openai_responses.parse(orjson.dumps({"model": "m", "input": "Hi"}))
    call.source = source()
    whole = orjson.loads(openai_responses.encode_reply(Reply(body, None), call))
    Response.model_validate(whole)
    assert {**whole, "completed_at": None} == {**streamed, "completed_at": None}


def test_a_request_with_everything_is_repeated_as_the_package_reads_it() -> None:
    asked = {
        "tools": [
            {"type": "function", "name": "f", "parameters": {}, "strict": False},
            {"type": "custom", "name": "c"},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "metadata": {"a": "b"},
        "max_tool_calls": 2,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "top_p": 0.5,
    }
    call = openai_responses.parse(orjson.dumps({"model": "m", "input": "Hi", **asked}))
    body = {"model": "m", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    answer = orjson.loads(openai_responses.encode_reply(Reply(body, None), call))
    Response.model_validate(answer)
    assert {name: answer[name] for name in asked} == asked
    assert (answer["store"], answer["background"], answer["usage"]) == (False, False, None)


def test_nonsense_in_an_upstreams_answer_is_no_error() -> None:
    odd = {"index": None, "id": None, "type": "custom", "custom": "no object"}
    stream = ResponseStream(source(), clock=lambda: 1.0)
    chunk = piece({"content": "Hi", "tool_calls": [odd]})
    chunk.body["choices"][0]["logprobs"] = {"content": [{"token": 5}]}
    message, call = read(stream.end([chunk]))[-1]["response"]["output"]
    assert message["content"][0]["logprobs"] == []
    assert call["call_id"].startswith("call_") and call["name"] == ""
