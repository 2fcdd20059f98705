"""The Messages API through the official client, a real gate and a scripted upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import orjson
import pytest
from aiohttp import web
from gatekit import ADMIN_KEY, RunningGate, ScriptedUpstream, chunk, completion, events, run_gate, send_stream

from gateway.doors import anthropic_messages

PLAIN = """
models:
  - name: assistant
    targets:
      - provider: openai
        model: upstream-model
        base_url: {url}
        retries: 0
        price: {{input: "1", cached_input: "0.1", output: "2"}}
"""
BLOCKING = "guards:\n  - {{name: pii, kind: pii, stages: [output], action: block, default: true}}\n"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
WEATHER: anthropic.types.ToolParam = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def plain(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    """A gate without guards."""
    async with run_gate(tmp_path, PLAIN.format(url=upstream.url)) as running:
        yield running


@pytest.fixture
async def blocking(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    """A gate whose guard blocks replies with personal data."""
    async with run_gate(tmp_path, (PLAIN + BLOCKING).format(url=upstream.url)) as running:
        yield running


def client(gate: RunningGate, key: str = ADMIN_KEY) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=gate.url, api_key=key, max_retries=0)


def ask(content: Any = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": "assistant", "max_tokens": 64, "messages": [{"role": "user", "content": content}], **fields}


def answering(upstream: ScriptedUpstream, body: dict[str, Any], status: int = 200, **headers: str) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    upstream.answer = answer


def streaming(upstream: ScriptedUpstream, *parts: dict[str, Any], end: bytes = DONE) -> None:
    raw = b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts) + end
    upstream.answer = lambda request, body: send_stream(request, [raw])


def calling(*calls: tuple[str, str, dict[str, Any]], text: str | None = None, finish: str = "tool_calls") -> Any:
    """A whole reply with these tool calls: id, name, arguments."""
    body = completion("")
    body["choices"][0]["message"] = {
        "role": "assistant",
        "content": text,
        "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": orjson.dumps(given).decode()}}
            for id_, name, given in calls
        ],
    }
    body["choices"][0]["finish_reason"] = finish
    return body


def call_delta(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    head = {"id": f"call_{index}", "type": "function"} if name else {}
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return chunk({"tool_calls": [{"index": index, **head, "function": function}]})


def usage(prompt: int, completed: int, cached: int = 0) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed}
    return {"usage": {**counts, "prompt_tokens_details": {"cached_tokens": cached}}}


async def raw_events(gate: RunningGate, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Event names with their data, as they lie on the wire."""
    url, headers = gate.url + "/v1/messages", {"x-api-key": ADMIN_KEY}
    async with gate.http.post(url, json={**body, "stream": True}, headers=headers) as response:
        assert response.content_type == "text/event-stream"
        blocks = (await response.text()).strip().split("\n\n")
    pairs = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))) for name, data in pairs]


async def test_a_plain_answer(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, completion("Hello there.") | usage(9, 3, cached=4))
    answer = await client(plain).messages.create(**ask())
    assert answer.id.startswith("msg_") and (answer.type, answer.role, answer.model) == (
        "message",
        "assistant",
        "assistant",
    )
    assert [block.model_dump(exclude_none=True) for block in answer.content] == [
        {"type": "text", "text": "Hello there."}
    ]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    counted = answer.usage
    assert (counted.input_tokens, counted.cache_read_input_tokens, counted.output_tokens) == (5, 4, 3)
    assert upstream.requests == [
        {
            "model": "upstream-model",
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": False,
        }
    ]


async def test_the_row_is_billed_like_any_other(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, completion("Hello there.") | usage(9, 3, cached=4))
    await client(plain).messages.create(**ask(metadata={"user_id": "user-7"}))
    (row,) = await plain.rows()
    assert (row.endpoint, row.user, row.input_tokens, row.cached_input_tokens) == ("messages", "user-7", 9, 4)
    assert upstream.requests[0]["user"] == "user-7" and "metadata" not in upstream.requests[0]


async def test_every_request_field_has_its_place(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    await client(plain).messages.create(
        **ask(
            system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
            stop_sequences=["END"],
            service_tier="standard_only",
            tools=[WEATHER],
            tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}, "effort": "low"},
            extra_body={"temperature": 0.3, "top_p": 0.9, "top_k": 5, "some_new_field": 1},
        )
    )
    (sent,) = upstream.requests
    assert sent.pop("messages")[0] == {
        "role": "system",
        "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    }
    function = {key: WEATHER[key] for key in ("name", "description")}  # type: ignore[literal-required]
    assert sent == {
        "model": "upstream-model",
        "max_tokens": 64,
        "stream": False,
        "stop": ["END"],
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 5,
        "service_tier": "default",
        "tools": [{"type": "function", "function": {**function, "parameters": WEATHER["input_schema"]}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": True},
        },
        "reasoning_effort": "low",
        "some_new_field": 1,
    }


async def test_a_system_text_of_one_block_is_a_string(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    await client(plain).messages.create(**ask(system="Be brief."))
    await client(plain).messages.create(**ask(system=[{"type": "text", "text": "Be brief."}]))
    assert [sent["messages"][0] for sent in upstream.requests] == [{"role": "system", "content": "Be brief."}] * 2


async def test_images_reach_the_upstream(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    inline = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.org/cat.png"}}
    await client(plain).messages.create(**ask([{"type": "text", "text": "What is this?"}, inline, linked]))
    assert upstream.requests[0]["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]


async def test_a_conversation_with_tools_goes_round(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, calling(("call_a", "weather", {"city": "Rome"}), ("call_b", "weather", {"city": "Oslo"})))
    question = {"role": "user", "content": "Rome or Oslo?"}
    first = await client(plain).messages.create(**ask(messages=[question], tools=[WEATHER]))
    assert first.stop_reason == "tool_use"
    assert [(b.id, b.name, b.input) for b in first.content if b.type == "tool_use"] == [
        ("call_a", "weather", {"city": "Rome"}),
        ("call_b", "weather", {"city": "Oslo"}),
    ]
    answering(upstream, completion("Rome."))
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    results = [
        {"type": "tool_result", "tool_use_id": "call_a", "content": [{"type": "text", "text": "sun"}, picture]},
        {"type": "tool_result", "tool_use_id": "call_b", "content": "no such city", "is_error": True},
        {"type": "text", "text": "So?"},
    ]
    turns = [question, first.to_param(), {"role": "user", "content": results}]
    await client(plain).messages.create(**ask(messages=turns, tools=[WEATHER]))
    assistant, sun, failed, rest = upstream.requests[1]["messages"][1:]
    assert [orjson.loads(call["function"]["arguments"]) for call in assistant["tool_calls"]] == [
        {"city": "Rome"},
        {"city": "Oslo"},
    ]
    assert (assistant["content"], assistant["tool_calls"][0]["id"]) == (None, "call_a")
    assert sun == {"role": "tool", "tool_call_id": "call_a", "content": "sun"}
    assert failed == {"role": "tool", "tool_call_id": "call_b", "content": "Error: no such city"}
    assert [part["type"] for part in rest["content"]] == ["text", "image_url", "text"]
    assert rest["content"][2]["text"] == "So?"


async def test_a_stream(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Hello", " there", "."])])
    async with client(plain).messages.stream(**ask()) as stream:
        assert [text async for text in stream.text_stream] == ["Hello", " there", "."]
        final = await stream.get_final_message()
    assert final.content[0].type == "text" and final.content[0].text == "Hello there."
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 9, 3)
    assert final.model == "assistant"


async def test_the_events_come_by_name_and_in_order(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Hello", "."])])
    found = await raw_events(plain, ask())
    assert [name for name, _ in found] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(data["type"] == name for name, data in found)
    start = found[0][1]["message"]
    assert (start["content"], start["stop_reason"], start["role"]) == ([], None, "assistant")
    assert found[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert found[-2][1]["usage"]["output_tokens"] == 2


async def test_parallel_tool_calls_that_interleave_come_one_after_the_other(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    streaming(
        upstream,
        chunk({"role": "assistant", "content": "Looking."}),
        call_delta(0, "", "weather"),
        call_delta(1, '{"ci', "weather"),
        call_delta(0, '{"city":'),
        call_delta(1, 'ty": "Oslo"}'),
        call_delta(0, ' "Rome"}'),
        chunk({}, "tool_calls"),
    )
    partial: dict[int, str] = {}
    async with client(plain).messages.stream(**ask(tools=[WEATHER])) as stream:
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                partial[event.index] = partial.get(event.index, "") + event.delta.partial_json
        final = await stream.get_final_message()
    assert partial == {1: '{"city": "Rome"}', 2: '{"city": "Oslo"}'}
    assert [block.type for block in final.content] == ["text", "tool_use", "tool_use"]
    assert [b.input for b in final.content if b.type == "tool_use"] == [{"city": "Rome"}, {"city": "Oslo"}]
    assert final.stop_reason == "tool_use"


async def test_a_stop_sequence_is_named_where_the_server_tells_it(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    body = completion("One, ")
    body["choices"][0]["stop_reason"] = "two"
    answering(upstream, body)
    answer = await client(plain).messages.create(**ask(stop_sequences=["two", "three"]))
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "two")


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal")])
async def test_finish_reasons(plain: RunningGate, upstream: ScriptedUpstream, finish: str, reason: str) -> None:
    body = completion("Well")
    body["choices"][0]["finish_reason"] = finish
    answering(upstream, body)
    assert (await client(plain).messages.create(**ask())).stop_reason == reason


async def test_a_tool_call_cut_off_by_the_limit_is_told_as_such(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    body = calling(("call_a", "weather", {}), finish="length")
    body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"city": "Ro'
    answering(upstream, body)
    answer = await client(plain).messages.create(**ask(tools=[WEATHER]))
    assert answer.stop_reason == "max_tokens"
    assert [b.input for b in answer.content if b.type == "tool_use"] == [{"INVALID_JSON": '{"city": "Ro'}]


async def test_a_blocked_reply_is_a_refusal(blocking: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, completion("Write to jane.doe@example.com"))
    answer = await client(blocking).messages.create(**ask())
    assert (answer.stop_reason, answer.content) == ("refusal", [])


async def test_a_blocked_stream_is_a_refusal(blocking: RunningGate, upstream: ScriptedUpstream) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Write to jane.doe@exa", "mple.com now"])])
    async with client(blocking).messages.stream(**ask()) as stream:
        final = await stream.get_final_message()
    assert final.stop_reason == "refusal"
    assert "jane" not in final.model_dump_json()


async def test_the_callers_values_come_back_in_tool_input(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    address = "jane.doe@example.com"

    async def call(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(calling(("call_a", "send", {"to": body["messages"][0]["content"]})))

    upstream.answer = call
    answer = await client(gate).messages.create(**ask(address))
    assert [b.input for b in answer.content if b.type == "tool_use"] == [{"to": address}]
    assert address not in orjson.dumps(upstream.requests).decode()


async def test_a_key_may_come_as_a_bearer_token_too(plain: RunningGate) -> None:
    bearer = anthropic.AsyncAnthropic(base_url=plain.url, auth_token=ADMIN_KEY, max_retries=0)
    assert (await bearer.messages.create(**ask())).stop_reason == "end_turn"


async def test_an_unknown_key_and_an_unknown_model(plain: RunningGate) -> None:
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        await client(plain, "sg-wrong").messages.create(**ask())
    assert (unknown.value.type, unknown.value.error_code) == ("authentication_error", "invalid_api_key")
    with pytest.raises(anthropic.NotFoundError) as missing:
        await client(plain).messages.create(**ask(model="nobody"))
    assert (missing.value.type, missing.value.error_code) == ("not_found_error", "model_not_found")


async def test_a_bad_request_names_the_field(plain: RunningGate) -> None:
    with pytest.raises(anthropic.BadRequestError) as error:
        await client(plain).messages.create(**ask([{"type": "text"}]))
    body = error.value.body
    assert isinstance(body, dict) and body["type"] == "error" and body["request_id"].startswith("req_")
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["details"]["param"] == "messages.0.content.0.text"


async def test_a_body_too_large(plain: RunningGate) -> None:
    with pytest.raises(anthropic.ContentTooLargeError) as large:
        await client(plain).messages.create(**ask("x" * (11 * 2**20)))
    assert large.value.type == "request_too_large"


async def test_a_busy_upstream(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, {}, 429, **{"retry-after": "7"})
    with pytest.raises(anthropic.RateLimitError) as busy:
        await client(plain).messages.create(**ask())
    assert (busy.value.type, busy.value.response.headers["retry-after"]) == ("rate_limit_error", "7")


async def test_a_broken_upstream(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, {}, 500)
    with pytest.raises(anthropic.InternalServerError) as broken:
        await client(plain).messages.create(**ask())
    told = (broken.value.status_code, broken.value.type, broken.value.error_code)
    assert told == (502, "api_error", "upstream_failed")


async def test_a_stream_that_breaks_ends_with_an_error_event(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    streaming(upstream, chunk({"role": "assistant", "content": "Hel"}), end=b"")
    names = [name for name, _ in await raw_events(plain, ask())]
    assert names[-1] == "error" and "message_stop" not in names
    with pytest.raises(anthropic.APIStatusError) as error:
        async with client(plain).messages.stream(**ask()) as stream:
            await stream.get_final_message()
    assert (error.value.type, error.value.error_code) == ("api_error", "upstream_failed")


async def test_thinking_comes_back_and_is_kept_from_servers_that_do_not_know_it(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    body = completion("Four.")
    signed = {"type": "thinking", "thinking": "2+2", "signature": "c2ln"}
    body["choices"][0]["message"] |= {"reasoning_content": "2+2", "thinking_blocks": [signed]}
    answering(upstream, body)
    question = {"role": "user", "content": "2+2?"}
    budget = {"type": "enabled", "budget_tokens": 2048}
    first = await client(plain).messages.create(**ask(messages=[question], thinking=budget, max_tokens=4096))
    assert first.content[0].model_dump() == signed
    turns = [question, first.to_param(), {"role": "user", "content": "Sure?"}]
    await client(plain).messages.create(**ask(messages=turns))
    asked, again = upstream.requests
    assert asked["reasoning_effort"] == "medium" and "thinking" not in asked
    assert again["messages"][1] == {"role": "assistant", "content": "Four."}
    turns[1] = {"role": "assistant", "content": [signed, {"type": "text", "text": "Four."}]}
    kept = anthropic_messages.parse(orjson.dumps(ask(messages=turns)))
    assert kept.body["messages"][1]["thinking_blocks"] == [signed]
    assert "thinking_blocks" in kept.hints
