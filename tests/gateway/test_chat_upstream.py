"""Chat completions through the gate, in front of a scripted OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from aiohttp import web
from gatekit import (
    ADMIN_KEY,
    REMOTE,
    RunningGate,
    ScriptedUpstream,
    chunk,
    completion,
    events,
    run_gate,
    send_paused,
    send_stream,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ASK = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}
ADDRESS = "jane.doe@example.com"


def ask(content: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": "assistant", "messages": [{"role": "user", "content": content}], **fields}


async def stream_text(gate: RunningGate, content: str = "Hi", **fields: Any) -> str:
    stream = await gate.client().chat.completions.create(**ask(content, stream=True, **fields))
    return "".join([part.choices[0].delta.content or "" async for part in stream if part.choices])


async def raw_stream(gate: RunningGate, body: dict[str, Any]) -> tuple[int, bytes]:
    async with gate.http.post(gate.url + "/v1/chat/completions", json=body, headers=gate.headers) as response:
        return response.status, await response.read()


async def test_the_official_client_gets_a_plain_answer(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    answer = await gate.client().chat.completions.create(**ask())
    assert answer.choices[0].message.content == "Hello there."
    assert answer.model == "assistant"
    assert answer.usage and answer.usage.prompt_tokens == 9
    assert upstream.requests[0]["model"] == "upstream-model"


async def test_the_official_client_gets_a_stream(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Hello", " there", "."])])
    assert await stream_text(gate) == "Hello there."


async def test_reply_headers_name_the_request_the_target_and_the_cost(gate: RunningGate) -> None:
    _, headers, _ = await gate.post(ASK, **{"x-request-id": "mine-1"})
    assert headers["x-request-id"] == "mine-1"
    assert headers["x-sluicegate-model"] == "assistant"
    assert headers["x-sluicegate-target"] == "openai/upstream-model"
    assert Decimal(headers["x-sluicegate-cost-usd"]) == (9 * Decimal("0.15") + 3 * Decimal("0.60")) / 10**6


@pytest.mark.parametrize("asked", [None, True, False])
async def test_a_usage_chunk_comes_only_when_asked_for(
    gate: RunningGate, upstream: ScriptedUpstream, asked: bool | None
) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Hi"])])
    options = {} if asked is None else {"stream_options": {"include_usage": asked}}
    _, raw = await raw_stream(gate, ask(stream=True, **options))
    sent = [orjson.loads(line[6:]) for line in raw.split(b"\n\n") if line.startswith(b"data: {")]
    usage = [body for body in sent if body.get("usage")]
    assert len(usage) == (1 if asked else 0)
    assert all(body["choices"] == [] for body in usage)
    assert raw.endswith(b"data: [DONE]\n\n")
    assert upstream.requests[0]["stream_options"] == {"include_usage": True}
    (row,) = await gate.rows()
    assert (row.input_tokens, row.output_tokens, row.estimated) == (9, 1, False)


async def test_stream_and_plain_of_the_same_answer_have_the_same_row(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["stream"]:
            return await send_stream(request, [events(["Hello", " there", "."])])
        return web.json_response(completion("Hello there."))

    upstream.answer = answer
    await gate.post(ASK)
    await stream_text(gate)
    plain, stream = await gate.rows()
    own = {"id", "request_id", "at", "stream", "duration_ms", "first_token_ms"}
    assert {k: v for k, v in plain._mapping.items() if k not in own} == {
        k: v for k, v in stream._mapping.items() if k not in own
    }
    assert plain.cost_pico == 9 * 150_000 + 3 * 600_000


async def test_the_address_never_leaves_and_the_reply_carries_it(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(completion("You wrote: " + body["messages"][0]["content"]))

    upstream.answer = echo
    _, _, body = await gate.post(ask(f"Mail {ADDRESS} now", user=ADDRESS, metadata={"customer": ADDRESS}))
    assert ADDRESS not in orjson.dumps(upstream.requests).decode()
    assert body["choices"][0]["message"]["content"] == f"You wrote: Mail {ADDRESS} now"
    (row,) = await gate.rows()
    assert ADDRESS not in str(row)


async def test_a_stream_cut_at_every_position_gives_the_address_back(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    cut = 0

    async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        text = "Say " + body["messages"][0]["content"] + " ok"
        return await send_stream(request, [events([text[:cut], text[cut:]])])

    upstream.answer = echo
    length = len("Say ") + len("[EMAIL_1_xx]") + len(" ok")
    for position in range(length + 1):
        cut = position
        assert await stream_text(gate, ADDRESS) == f"Say {ADDRESS} ok"
    assert ADDRESS not in orjson.dumps(upstream.requests).decode()


async def test_a_stream_delivered_byte_by_byte_is_the_same_stream(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    text = ["안녕 ", "👋🏽", " ciao"]
    upstream.answer = lambda request, body: send_stream(request, [bytes([b]) for b in events(text)])
    assert await stream_text(gate) == "".join(text)


async def test_personal_data_the_model_invents_is_masked_in_streams_too(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Ask bob@exa", "mple.org or", " nobody"])])
    text = await stream_text(gate)
    assert "bob@" not in text and "example.org" not in text
    assert text.startswith("Ask [EMAIL") and text.endswith("or nobody")


async def test_tool_call_arguments_get_the_address_back(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def call(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        arguments = orjson.dumps({"to": body["messages"][0]["content"]}).decode()
        deltas: list[dict[str, Any]] = [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": "send", "arguments": ""}},
            {"index": 0, "function": {"arguments": arguments[:9]}},
            {"index": 0, "function": {"arguments": arguments[9:]}},
        ]
        parts = [chunk({"role": "assistant", "content": None}), *(chunk({"tool_calls": [d]}) for d in deltas)]
        parts.append(chunk({}, "tool_calls"))
        raw = b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts)
        return await send_stream(request, [raw + b"data: [DONE]\n\n"])

    upstream.answer = call
    stream = await gate.client().chat.completions.create(**ask(ADDRESS, stream=True))
    pieces = [p.choices[0].delta.tool_calls or [] async for p in stream if p.choices]
    joined = "".join(c.function.arguments or "" for calls in pieces for c in calls if c.function)
    assert orjson.loads(joined) == {"to": ADDRESS}


async def test_the_callers_key_and_headers_stay_here(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    await gate.post(ASK, **{"x-secret": "s3cret", "cookie": "a=b"})
    seen = str(upstream.headers[0])
    assert ADMIN_KEY not in seen and "s3cret" not in seen and "a=b" not in seen
    assert upstream.headers[0]["Authorization"] == "Bearer sk-upstream-secret-0123456789"


async def test_unknown_fields_reach_the_upstream(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    await gate.post(ask(some_new_field={"a": [1, 2]}))
    assert upstream.requests[0]["some_new_field"] == {"a": [1, 2]}


async def test_tags_and_user_are_in_the_ledger(gate: RunningGate) -> None:
    await gate.post(ask(user="u-7", metadata={"trip": "4"}), **{"x-sluicegate-tags": "feature=search, customer=acme"})
    (row,) = await gate.rows()
    assert row.user == "u-7"
    assert row.tags == {"trip": "4", "feature": "search", "customer": "acme"}


async def test_two_requests_with_one_request_id_are_two_rows(gate: RunningGate) -> None:
    for _ in range(2):
        await gate.post(ASK, **{"x-request-id": "same"})
    assert [row.request_id for row in await gate.rows()] == ["same", "same"]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_an_upstreams_failure_is_502_without_its_words(
    gate: RunningGate, upstream: ScriptedUpstream, status: int
) -> None:
    async def fail(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "key sk-upstream-secret-0123456789"}}, status=status)

    upstream.answer = fail
    got, headers, body = await gate.post(ASK)
    assert got == 502
    assert body["error"]["code"] == "upstream_failed"
    assert "sk-upstream" not in str(body) + str(headers)
    assert gate.idle()


MALFORMED: list[Any] = [
    [],
    {"choices": None},
    {"choices": [1]},
    {"choices": [{"index": {}}]},
    {"choices": [{"message": "text", "delta": "text"}]},
    {"choices": [{"message": {"content": [{"text": ADDRESS}]}, "delta": {"content": [{"text": ADDRESS}]}}]},
    {"choices": [{"message": {"tool_calls": {}}, "delta": {"tool_calls": [None]}}]},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
async def test_a_reply_of_another_shape_is_502_and_not_passed_on(
    gate: RunningGate, upstream: ScriptedUpstream, body: Any, stream: bool
) -> None:
    raw = b"data: " + orjson.dumps(body) + b"\n\ndata: [DONE]\n\n"

    async def answer(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        return await send_stream(request, [raw]) if stream else web.json_response(body)

    upstream.answer = answer
    status, _, answered = await gate.post(ask(stream=stream))
    assert (status, answered["error"]["code"]) == (502, "upstream_failed")
    assert ADDRESS not in str(answered)


async def test_a_busy_upstream_is_429_with_its_retry_after(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def busy(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"})

    upstream.answer = busy
    status, headers, body = await gate.post(ASK)
    assert (status, headers["retry-after"], body["error"]["code"]) == (429, "7", "rate_limit_exceeded")


async def test_an_invalid_request_upstream_is_the_callers_400(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def refuse(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        error = {"message": "too many tokens", "param": "messages", "code": "context_length_exceeded"}
        return web.json_response({"error": error}, status=400)

    upstream.answer = refuse
    status, _, body = await gate.post(ASK)
    assert status == 400
    assert body["error"] == {
        "message": "too many tokens",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    assert await gate.rows() == []


async def test_a_stream_that_dies_ends_with_an_error_event_and_no_done(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    whole = events(["one", "two", "three"], usage=False, done=False)
    cut = whole.index(b"three")
    upstream.answer = lambda request, body: send_stream(request, [whole[:cut]])
    status, raw = await raw_stream(gate, ask(stream=True))
    assert status == 200
    last = orjson.loads(raw.strip().rsplit(b"\n\n", 1)[-1].removeprefix(b"data: "))
    assert last["error"]["code"] == "upstream_failed"
    assert b"[DONE]" not in raw
    with pytest.raises(openai.APIError):
        await stream_text(gate)
    rows = await gate.rows()
    assert [(row.outcome, row.estimated) for row in rows] == [("failed", True)] * 2
    assert all(row.cost_pico > 0 for row in rows)


async def test_a_stream_that_fails_before_its_first_word_is_a_plain_error(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    first = b'data: {"error": {"message": "overloaded"}}\n\n'
    upstream.answer = lambda request, body: send_stream(request, [first])
    status, raw = await raw_stream(gate, ask(stream=True))
    assert status == 502
    assert orjson.loads(raw)["error"]["code"] == "upstream_failed"


async def test_a_caller_that_leaves_mid_stream_pays_for_what_was_made(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"data: " + orjson.dumps(chunk({"content": "word "})) + b"\n\n")
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    upstream.answer = endless
    async with gate.http.post(
        gate.url + "/v1/chat/completions", json=ask(stream=True), headers=gate.headers
    ) as response:
        await response.content.readany()
        response.close()
    await asyncio.wait_for(gone.wait(), 1.0)
    await gate.until_idle()
    (row,) = await gate.rows()
    assert (row.outcome, row.status, row.estimated) == ("client_closed", 499, True)
    assert row.output_tokens > 0 and row.cost_pico > 0


async def test_a_caller_that_leaves_before_the_answer_frees_everything(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def never(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    upstream.answer = never
    asking = asyncio.create_task(gate.post(ASK))
    await reached.wait()
    asking.cancel()
    await asyncio.wait_for(gone.wait(), 1.0)
    await gate.until_idle()
    (row,) = await gate.rows()
    assert row.outcome == "client_closed"


FALLBACK = """
models:
  - name: assistant
    targets:
      - {{name: first, provider: openai, model: first, base_url: {url}, retries: {retries}}}
    fallbacks: [spare]
  - name: spare
    targets:
      - {{name: second, provider: openai, model: second, base_url: {url}, price: {{input: "2", output: "3"}}}}
"""


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_model_falls_back_and_the_fallbacks_price_is_billed(
    tmp_path: Path, upstream: ScriptedUpstream, stream: bool
) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "first":
            return web.json_response({"error": {"message": "no"}}, status=500)
        return await send_stream(request, [events(["ok"])]) if stream else web.json_response(completion("ok"))

    upstream.answer = answer
    async with run_gate(tmp_path, FALLBACK.format(url=upstream.url, retries=1)) as gate:
        if stream:
            assert await stream_text(gate) == "ok"
        else:
            _, headers, _ = await gate.post(ASK)
            assert headers["x-sluicegate-model"] == "spare"
        (row,) = await gate.rows()
        assert (row.requested_model, row.model, row.target, row.attempts) == ("assistant", "spare", "second", 3)
        assert row.cost_pico == (9 * 2 + (1 if stream else 3) * 3) * 10**6
        assert [request["model"] for request in upstream.requests] == ["first", "first", "second"]


async def test_a_request_at_fault_is_not_tried_elsewhere(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def refuse(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "bad"}}, status=400)

    upstream.answer = refuse
    async with run_gate(tmp_path, FALLBACK.format(url=upstream.url, retries=3)) as gate:
        status, _, _ = await gate.post(ASK)
        assert (status, len(upstream.requests)) == (400, 1)


async def test_an_unreachable_upstream_is_502_and_nothing_hangs(tmp_path: Path) -> None:
    text = REMOTE.format(url="http://127.0.0.1:9/v1")
    async with run_gate(tmp_path, text) as gate:
        status, _, body = await gate.post(ASK)
        assert (status, body["error"]["code"]) == (502, "upstream_failed")
        assert (await gate.metrics())[
            'sluicegate_upstream_attempts_total{outcome="unreachable",target="openai/upstream-model"}'
        ] == 1


async def test_a_stalled_stream_is_a_timeout(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answer = lambda request, body: send_paused(request, "word", asyncio.Event())
    text = REMOTE.format(url=upstream.url).replace("retries: 0", "retries: 0\n        timeouts: {idle: 100ms}")
    async with run_gate(tmp_path, text) as gate:
        _, raw = await raw_stream(gate, ask(stream=True))
        assert (
            orjson.loads(raw.strip().rsplit(b"\n\n", 1)[-1].removeprefix(b"data: "))["error"]["code"]
            == "upstream_timeout"
        )


async def test_a_request_leaves_one_trace_that_joins_the_callers(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    received: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        received.append(await request.read())
        return web.Response()

    sink = web.Application()
    sink.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(sink)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config = REMOTE.format(url=upstream.url) + f"telemetry: {{otlp_endpoint: '{endpoint}'}}\n"
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with run_gate(tmp_path, config) as gate:
        await gate.post(ask(f"I am {ADDRESS}"), traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    await runner.cleanup()
    spans = [
        span
        for raw in received
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert sorted(span.name for span in spans) == ["chat assistant", "chat openai/upstream-model"]
    assert {span.trace_id.hex() for span in spans} == {trace}
    assert ADDRESS.encode() not in b"".join(received)
