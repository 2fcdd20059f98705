"""`/v1/responses` through the official client, a real gate and a scripted upstream that knows only chat."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, chunk, completion, events, run_gate, send_stream
from openai.types.responses import Response
from pydantic import BaseModel

PLAIN = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: upstream-model, base_url: "{url}", retries: 0, price: {{input: "1", output: "2"}}}}
"""
BLOCKING = """
guards:
  - {name: watch, kind: pii, stages: [output], action: block, default: true}
"""
ADDRESS = "jane.doe@example.com"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


@pytest.fixture
async def plain(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    """A gate without guards."""
    async with run_gate(tmp_path, PLAIN.format(url=upstream.url)) as running:
        yield running


def answering(upstream: ScriptedUpstream, body: dict[str, Any], status: int = 200) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(body, status=status)

    upstream.answer = answer


def streaming(upstream: ScriptedUpstream, *chunks: dict[str, Any], done: bool = True) -> None:
    raw = [b"data: " + orjson.dumps(body) + b"\n\n" for body in chunks]
    upstream.answer = lambda request, body: send_stream(request, [*raw, b"data: [DONE]\n\n"] if done else raw)


def saying(message: dict[str, Any], finish: str = "stop", **extra: Any) -> dict[str, Any]:
    """A whole chat reply with this message."""
    body = completion("", **extra)
    body["choices"][0] |= {"message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return body


def called(index: int, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    """A delta of a tool call as OpenAI streams it."""
    head = {"id": call_id, "type": "function"} if call_id else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


async def ask(gate: RunningGate, given: Any = "Hi", **fields: Any) -> Response:
    answer: Response = await gate.client().responses.create(model="assistant", input=given, **fields)
    return answer


async def raw_events(gate: RunningGate, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    """Each event's name and data, as they stand in the bytes."""
    body = {"model": "assistant", "input": "Hi", "stream": True, **fields}
    async with gate.http.post(gate.url + "/v1/responses", json=body, headers=gate.headers) as response:
        assert response.status == 200 and response.content_type == "text/event-stream"
        blocks = (await response.read()).decode().split("\n\n")
    assert blocks.pop() == ""
    pairs = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))) for name, data in pairs]


async def test_a_plain_response(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    details = {"cached_tokens": 4}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": details}
    answering(upstream, {**completion("Hello there."), "usage": usage, "service_tier": "default"})
    answer = await ask(plain, instructions="Be brief.", max_output_tokens=50, temperature=0.5, user="u-1")
    assert upstream.requests == [
        {
            "model": "upstream-model",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "max_tokens": 50,
            "temperature": 0.5,
            "user": "u-1",
            "stream": False,
        }
    ]
    Response.model_validate(answer.to_dict())
    assert (answer.output_text, answer.status, answer.model, answer.object) == (
        "Hello there.",
        "completed",
        "assistant",
        "response",
    )
    assert answer.id.startswith("resp_") and answer.output[0].id.startswith("msg_")  # type: ignore[union-attr]
    assert (answer.instructions, answer.max_output_tokens, answer.temperature, answer.user) == (
        "Be brief.",
        50,
        0.5,
        "u-1",
    )
    assert (answer.service_tier, answer.incomplete_details, answer.error) == ("default", None, None)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (9, 3, 12)
    assert answer.usage.input_tokens_details.cached_tokens == 4
    (row,) = await plain.rows()
    assert (row.endpoint, row.user, row.input_tokens, row.output_tokens, row.estimated) == (
        "responses",
        "u-1",
        9,
        3,
        False,
    )


async def test_a_stream_has_all_events_numbered_in_openais_order(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Hel", "lo."])])
    seen = await raw_events(plain)
    assert [name for name, _ in seen] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [data["sequence_number"] for _, data in seen] == list(range(10))
    assert [data["type"] for _, data in seen] == [name for name, _ in seen]
    assert [data["delta"] for _, data in seen if "delta" in data] == ["Hel", "lo."]
    assert seen[0][1]["response"]["status"] == "in_progress" and seen[0][1]["response"]["output"] == []
    assert seen[-1][1]["response"]["usage"]["output_tokens"] == 2
    assert {data["item_id"] for _, data in seen if "item_id" in data} == {seen[2][1]["item"]["id"]}


async def test_the_clients_stream_helper_gets_the_final_response(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Hello", " there", "."])])
    async with plain.client().responses.stream(model="assistant", input="Hi") as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        final = await stream.get_final_response()
    assert text == final.output_text == "Hello there."
    assert final.status == "completed" and final.usage and final.usage.output_tokens == 3


class Person(BaseModel):
    name: str
    age: int


async def test_structured_output_is_parsed(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, completion('{"name": "Ada", "age": 36}'))
    parsed = await plain.client().responses.parse(model="assistant", input="Who?", text_format=Person)
    assert parsed.output_parsed == Person(name="Ada", age=36)
    asked = upstream.requests[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["name"] == "Person" and asked["json_schema"]["strict"] is True
    assert set(asked["json_schema"]["schema"]["properties"]) == {"name", "age"}


async def test_a_tool_call_and_its_output_go_round(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    function = {"name": "get_weather", "arguments": '{"city":"Oslo"}'}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    answering(upstream, saying({"content": "Let me look.", "tool_calls": calls}, "tool_calls"))
    question = {"role": "user", "content": "How is Oslo?"}
    choice = {"type": "function", "name": "get_weather"}
    first = await ask(plain, [question], tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    message, call = first.output
    assert message.type == "message" and call.type == "function_call"
    assert (call.call_id, call.name, call.arguments, call.status) == (
        "call_1",
        "get_weather",
        '{"city":"Oslo"}',
        "completed",
    )
    assert call.id and call.id.startswith("fc_") and first.parallel_tool_calls is False
    nested = {key: value for key, value in WEATHER.items() if key != "type"}
    assert upstream.requests[0]["tools"] == [{"type": "function", "function": nested}]
    assert upstream.requests[0]["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}

    answering(upstream, completion("Rain."))
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    items = [question, *(item.to_dict() for item in first.output), result]
    assert (await ask(plain, items, tools=[WEATHER])).output_text == "Rain."
    assert upstream.requests[1]["messages"] == [
        question,
        {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]


async def test_parallel_tool_calls_are_streamed_each_at_its_place(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    streaming(
        upstream,
        chunk({"role": "assistant", **called(0, "call_a", "get_weather", "")}),
        chunk(called(1, "call_b", "get_weather", '{"city":')),
        chunk(called(0, None, None, '{"city":"Oslo"}')),
        chunk(called(1, None, None, '"Rome"}')),
        chunk({}, "tool_calls"),
    )
    async with plain.client().responses.stream(model="assistant", input="Hi", tools=[WEATHER]) as stream:
        deltas = [
            (event.output_index, event.delta)
            async for event in stream
            if event.type == "response.function_call_arguments.delta"
        ]
        final = await stream.get_final_response()
    assert deltas == [(1, '{"city":'), (0, '{"city":"Oslo"}'), (1, '"Rome"}')]
    calls = [item for item in final.output if item.type == "function_call"]
    assert [(call.call_id, call.parsed_arguments) for call in calls] == [
        ("call_a", {"city": "Oslo"}),
        ("call_b", {"city": "Rome"}),
    ]


async def test_pictures_files_and_sounds_reach_the_upstream(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"picture").decode()
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": picture, "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    await ask(plain, [{"role": "user", "content": content}])
    assert upstream.requests[0]["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]


async def test_reasoning_comes_before_the_answer_and_does_not_go_back(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    answering(upstream, saying({"reasoning_content": "Two and two.", "content": "Four."}))
    first = await ask(plain, reasoning={"effort": "low", "summary": "auto"})
    thought, _ = first.output
    assert thought.type == "reasoning" and thought.summary[0].text == "Two and two."
    assert first.output_text == "Four." and first.reasoning and first.reasoning.effort == "low"
    await ask(plain, [*(item.to_dict() for item in first.output), {"role": "user", "content": "Sure?"}])
    assert upstream.requests[0]["reasoning_effort"] == "low"
    assert upstream.requests[1]["messages"] == [
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": "Sure?"},
    ]


async def test_reasoning_and_refusal_have_their_own_events(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    streaming(
        upstream,
        chunk({"role": "assistant", "reasoning_content": "Hm."}),
        chunk({"refusal": "No"}),
        chunk({"refusal": "."}),
        chunk({}, "stop"),
    )
    seen = await raw_events(plain)
    assert [name.removeprefix("response.") for name, _ in seen[2:-1]] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    thought, message = seen[-1][1]["response"]["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert message["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_a_cut_answer_is_incomplete_whole_or_streamed(
    plain: RunningGate, upstream: ScriptedUpstream, finish: str, reason: str
) -> None:
    answering(upstream, saying({"content": "Half"}, finish))
    whole = await ask(plain)
    assert whole.status == "incomplete" and whole.incomplete_details and whole.incomplete_details.reason == reason
    streaming(upstream, chunk({"content": "Half"}), chunk({}, finish))
    name, data = (await raw_events(plain))[-1]
    assert name == "response.incomplete"
    assert data["response"]["incomplete_details"] == {"reason": reason}
    assert data["response"]["output"][0]["status"] == "incomplete"


async def test_an_answer_that_a_guard_blocks_is_incomplete_and_says_none_of_it(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with run_gate(tmp_path, PLAIN.format(url=upstream.url) + BLOCKING) as gate:
        answering(upstream, completion(f"Write to {ADDRESS}."))
        whole = await ask(gate)
        assert (whole.status, whole.output_text) == ("incomplete", "")
        assert whole.incomplete_details and whole.incomplete_details.reason == "content_filter"
        upstream.answer = lambda request, body: send_stream(request, [events(["Write to ", ADDRESS, "."])])
        seen = await raw_events(gate)
        assert seen[-1][0] == "response.incomplete"
        assert seen[-1][1]["response"]["incomplete_details"] == {"reason": "content_filter"}
        assert ADDRESS not in str(seen)


async def test_what_a_guard_hides_comes_back_and_is_not_sent(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    """Also in the fields that a response repeats of its request."""

    async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        said = body["messages"][-1]["content"]
        if not body.get("stream"):
            return web.json_response(completion(said))
        return await send_stream(request, [events([said[:5], said[5:]])])

    upstream.answer = echo
    tool = {**WEATHER, "description": f"Ask {ADDRESS}"}
    asked: dict[str, Any] = {"instructions": f"I am {ADDRESS}", "metadata": {"by": ADDRESS}, "tools": [tool]}
    whole = await ask(gate, f"Mail {ADDRESS}", **asked)
    assert whole.output_text == f"Mail {ADDRESS}"
    last = (await raw_events(gate, input=f"Mail {ADDRESS}", **asked))[-1][1]["response"]
    assert last["output"][0]["content"][0]["text"] == f"Mail {ADDRESS}"
    answers: list[Any] = [whole.to_dict(), last]
    for answer in answers:
        assert (answer["instructions"], answer["metadata"]) == (f"I am {ADDRESS}", {"by": ADDRESS})
        assert answer["tools"][0]["description"] == f"Ask {ADDRESS}"
    assert len(upstream.requests) == 2 and ADDRESS not in str(upstream.requests)


async def test_text_that_a_guard_held_back_comes_before_the_tool_call_that_follows(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    streaming(
        upstream,
        chunk({"role": "assistant", "content": "I ask about jane.doe@exam"}),
        chunk(called(0, "call_a", "get_weather", '{"city":"Oslo"}')),
        chunk({}, "tool_calls"),
    )
    seen = await raw_events(gate)
    names = [name for name, _ in seen]
    deltas = [at for at, name in enumerate(names) if name == "response.output_text.delta"]
    assert deltas[-1] < names.index("response.function_call_arguments.delta")
    message, call = seen[-1][1]["response"]["output"]
    assert message["content"][0]["text"] == "I ask about jane.doe@exam"
    assert call["arguments"] == '{"city":"Oslo"}'


async def test_logprobs_are_asked_for_and_come_back(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    token = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    first = chunk({"content": "é"})
    first["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
    streaming(upstream, first, chunk({}, "stop"))
    seen = await raw_events(plain, include=["message.output_text.logprobs"], top_logprobs=2)
    assert (upstream.requests[0]["logprobs"], upstream.requests[0]["top_logprobs"]) == (True, 2)
    told = [{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": []}]
    assert next(data["logprobs"] for name, data in seen if name == "response.output_text.delta") == told
    assert seen[-1][1]["response"]["output"][0]["content"][0]["logprobs"] == told


async def test_a_stream_that_breaks_ends_with_one_error_event(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    streaming(upstream, chunk({"content": "Hel"}), done=False)
    seen = await raw_events(plain)
    name, data = seen[-1]
    assert name == "error" and data["type"] == "error"
    assert (data["code"], data["param"], data["sequence_number"]) == ("upstream_failed", None, len(seen) - 1)
    assert "response.completed" not in [name for name, _ in seen]
    stream = await plain.client().responses.create(model="assistant", input="Hi", stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[-1] == "error"


async def test_errors_are_the_clients_own_classes(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await plain.client().responses.create(model="other", input="Hi")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        await plain.client("sk-wrong").responses.create(model="assistant", input="Hi")
    with pytest.raises(openai.BadRequestError) as odd:
        await ask(plain, previous_response_id="resp_1")
    assert (odd.value.code, odd.value.param) == ("unsupported_parameter", "previous_response_id")
    answering(upstream, {"error": {"message": "no"}}, status=500)
    with pytest.raises(openai.InternalServerError) as failed:
        await ask(plain)
    assert failed.value.status_code == 502
