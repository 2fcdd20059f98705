"""Four providers through a real gate: what each gets on its wire, and what the official client makes of its answer."""

from __future__ import annotations

import asyncio
import base64
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from gatekit import RunningGate, run_gate
from providerkit import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    DIALECTS,
    GEMINI,
    KEY,
    TOOL_CALLS,
    Dialect,
    Failing,
    Provider,
    Streamed,
    anthropic_block,
    anthropic_end,
    anthropic_message,
    anthropic_start,
    anthropic_text,
    run_provider,
)

PRICE = '{input: "1", cached_input: "0.1", cache_write: "1.25", output: "5"}'
# Input, cached, written, output tokens of `Dialect.counts` at that price, in dollars per million tokens.
COST = {(60, 30, 20, 7): "0.000073", (60, 30, 0, 7): "0.000068", (60, 0, 0, 7): "0.000095"}
MESSAGES: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "It tells.", "parameters": PARAMETERS}}
    for name, _ in TOOL_CALLS
]


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with run_provider() as running:
        yield running


def config(dialect: Dialect, provider: Provider) -> str:
    key = "" if dialect is BEDROCK else f", api_key: {KEY}"
    path = {"gemini": "/v1beta", "cohere": "/v2"}.get(dialect.name, "")
    return (
        "models:\n  - name: assistant\n    targets:\n"
        f"      - {{provider: {dialect.name}, model: '{dialect.model}', base_url: '{provider.url}{path}', retries: 0,\n"
        f"         breaker: false, price: {PRICE}{key}{dialect.config}}}\n"
    )


@pytest.fixture
async def gate(tmp_path: Path, dialect: Dialect, provider: Provider) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, config(dialect, provider)) as running:
        yield running


def expected_request(dialect: Dialect, **sampling: Any) -> dict[str, Any]:
    """MESSAGES as the provider must get them."""
    if dialect is ANTHROPIC:
        messages = [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]
        system = [{"type": "text", "text": "Be brief."}]
        return {"model": dialect.model, "messages": messages, "system": system, "max_tokens": 50, "temperature": 0.5}
    if dialect is GEMINI:
        return {
            "contents": [{"role": "user", "parts": [{"text": "Hello?"}]}],
            "system_instruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"max_output_tokens": 50, "temperature": 0.5},
        }
    if dialect is BEDROCK:
        return {
            "messages": [{"role": "user", "content": [{"text": "Hello?"}]}],
            "system": [{"text": "Be brief."}],
            "inferenceConfig": {"maxTokens": 50, "temperature": 0.5},
        }
    return {"model": dialect.model, "messages": MESSAGES, "max_tokens": 50, "temperature": 0.5}


PATHS = {
    "anthropic": ("/v1/messages", "/v1/messages"),
    "gemini": (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    ),
    "bedrock": (f"/model/{BEDROCK.model}/converse", f"/model/{BEDROCK.model}/converse-stream"),
    "cohere": ("/v2/chat", "/v2/chat"),
}


def authorization(dialect: Dialect) -> tuple[str, str]:
    """The header that carries the key, and how it begins."""
    return {
        "anthropic": ("x-api-key", KEY),
        "gemini": ("x-goog-api-key", KEY),
        "bedrock": ("authorization", "AWS4-HMAC-SHA256 Credential=AKIATEST/"),
        "cohere": ("authorization", f"Bearer {KEY}"),
    }[dialect.name]


async def ask(gate: RunningGate, **more: Any) -> Any:
    return await gate.client().chat.completions.create(model="assistant", messages=MESSAGES, **more)  # type: ignore[call-overload]


async def test_a_plain_answer(gate: RunningGate, provider: Provider, dialect: Dialect) -> None:
    provider.answer = dialect.reply("Hello there.")
    answer = await ask(gate, max_tokens=50, temperature=0.5, user="u-1", metadata={"feature": "search"})
    request = provider.requests[-1]
    assert request.path == PATHS[dialect.name][0]
    header, begins = authorization(dialect)
    assert {name.lower(): value for name, value in request.headers.items()}[header].startswith(begins)
    sent = dict(request.body)
    assert sent.pop("metadata", {"user_id": "u-1"}) == {"user_id": "u-1"}  # Anthropic's place for the user
    assert sent == expected_request(dialect)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello there.", "stop")
    prompt, cached, _, completion = dialect.counts
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (prompt, completion)
    assert answer.usage.prompt_tokens_details.cached_tokens == cached
    assert await gate_cost(gate) == (COST[dialect.counts], dialect.counts)


async def test_a_streamed_answer(gate: RunningGate, provider: Provider, dialect: Dialect) -> None:
    provider.answer = Streamed(dialect.stream(["Hello", " there", "."]), dialect.content_type)
    stream = await ask(gate, stream=True, stream_options={"include_usage": True}, max_tokens=50, temperature=0.5)
    chunks = [chunk async for chunk in stream]
    request = provider.requests[-1]
    assert request.path == PATHS[dialect.name][1]
    assert {**request.body, "stream": True} == {**expected_request(dialect), "stream": True}
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert texts == ["Hello", " there", "."]
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens == dialect.counts[0]
    assert await gate_cost(gate) == (COST[dialect.counts], dialect.counts)


async def test_parallel_tool_calls(gate: RunningGate, provider: Provider, dialect: Dialect) -> None:
    provider.answer = dialect.tools_reply()
    (choice,) = (await ask(gate, tools=TOOLS)).choices
    assert choice.finish_reason == "tool_calls"
    calls = [(call.function.name, orjson.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert calls == list(TOOL_CALLS)
    assert sent_tools(dialect, provider.sent) == [name for name, _ in TOOL_CALLS]

    # The results go back to their calls.
    provider.answer = dialect.reply("Sunny.")
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {number}"}
        for number, call in enumerate(choice.message.tool_calls)
    ]
    conversation = [*MESSAGES, choice.message.model_dump(exclude_none=True), *results]
    await gate.client().chat.completions.create(model="assistant", messages=conversation, tools=TOOLS)  # type: ignore[call-overload]
    raw = orjson.dumps(provider.sent).decode()
    assert raw.index("Paris") < raw.index("CET") < raw.index("result 0") < raw.index("result 1")


async def test_streamed_parallel_tool_calls(gate: RunningGate, provider: Provider, dialect: Dialect) -> None:
    provider.answer = Streamed(dialect.tools_stream(), dialect.content_type)
    names: dict[int, str] = {}
    ids: dict[int, str] = {}
    arguments: dict[int, str] = {}
    finishes = []
    async for chunk in await ask(gate, stream=True, tools=TOOLS):
        for choice in chunk.choices:
            finishes += [choice.finish_reason] if choice.finish_reason else []
            for call in choice.delta.tool_calls or ():
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
                if call.id:
                    assert call.index not in ids  # told once
                    ids[call.index], names[call.index] = call.id, call.function.name
    assert [(names[index], orjson.loads(arguments[index])) for index in (0, 1)] == list(TOOL_CALLS)
    assert finishes == ["tool_calls"]


def sent_tools(dialect: Dialect, body: dict[str, Any]) -> list[str]:
    if dialect is GEMINI:
        return [tool["name"] for tool in body["tools"][0]["function_declarations"]]
    if dialect is BEDROCK:
        return [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]
    return [tool["function"]["name"] if dialect is COHERE else tool["name"] for tool in body["tools"]]


async def gate_cost(gate: RunningGate) -> tuple[str, tuple[int, ...]]:
    """Cost in dollars and tokens of the one row."""
    await gate.until_idle()
    await gate.rows()
    (row,) = (await gate.get("/admin/usage?group_by=model"))["rows"]
    (entry,) = await gate.rows()
    counts = (entry.input_tokens, entry.cached_input_tokens, entry.cache_write_tokens, entry.output_tokens)
    return row["cost_usd"], counts


async def test_refusals_are_told_as_openai_tells_them(gate: RunningGate, provider: Provider, dialect: Dialect) -> None:
    body = {"model": "assistant", "messages": MESSAGES}
    for stream in (False, True):
        provider.answer = Failing(429, dialect.refusal("slow down"), {"retry-after": "7"})
        status, headers, told = await gate.post({**body, "stream": stream})
        assert (status, headers["retry-after"], told["error"]["code"]) == (429, "7", "rate_limit_exceeded")
        provider.answer = Failing(400, dialect.refusal(dialect.too_long))
        status, _, told = await gate.post({**body, "stream": stream})
        assert (status, told["error"]["code"]) == (400, "context_length_exceeded")
        assert told["error"]["message"] == dialect.too_long
        provider.answer = Failing(400, dialect.refusal("temperature: range: 0..1"))
        status, _, told = await gate.post({**body, "stream": stream})
        assert (status, told["error"]["message"]) == (400, "temperature: range: 0..1")
    assert len(provider.requests) == 6  # the SDK does not try again by itself


async def test_the_operators_and_the_providers_faults_are_502_without_a_word_of_them(
    gate: RunningGate, provider: Provider, dialect: Dialect, capfd: pytest.CaptureFixture[str]
) -> None:
    answers: list[Any] = [
        Failing(code, dialect.refusal(f"no such key: {KEY}")) for code in (401, 403, 404, 500, 503, 529)
    ]
    for answer in [*answers, {"nonsense": 1}]:
        provider.answer = answer
        status, _, told = await gate.post({"model": "assistant", "messages": MESSAGES})
        assert (status, told["error"]["code"]) == (502, "upstream_failed")
        assert KEY not in str(told)
    out, err = capfd.readouterr()
    assert "attempt failed" in out + err
    for secret in (KEY, "Hello?", "github.com"):  # the key, the prompt, the SDK's advertisement
        assert secret not in out + err


async def test_a_stream_that_breaks_ends_with_an_error_event(
    gate: RunningGate, provider: Provider, dialect: Dialect
) -> None:
    whole = dialect.stream(["Hello", " there", "."])
    begun = whole[: next(number for number, event in enumerate(whole) if b"there" in event) + 1]
    provider.answer = Streamed([*begun, dialect.stream_error()], dialect.content_type)
    assert await end_of_stream(gate) == ("Hello there", "upstream_failed", False)
    # A connection that is lost, and one that ends cleanly without a finish reason.
    for cut in (True, False):
        provider.answer = Streamed(begun, dialect.content_type, cut=cut)
        text, code, done = await end_of_stream(gate)
        assert "Hello there".startswith(text)  # what was on the way is lost with the connection
        assert (code, done) == ("upstream_failed", False)


async def end_of_stream(gate: RunningGate) -> tuple[str, str | None, bool]:
    """The text of a stream, the code of its error, and whether it was marked as done."""
    body = {"model": "assistant", "messages": MESSAGES, "stream": True}
    async with gate.http.post(f"{gate.url}/v1/chat/completions", json=body, headers=gate.headers) as response:
        raw = await response.read()
    if response.status != 200:
        return "", orjson.loads(raw)["error"]["code"], False
    events = [line.removeprefix(b"data: ") for line in raw.splitlines() if line.startswith(b"data: ")]
    parsed = [orjson.loads(event) for event in events if event != b"[DONE]"]
    text = "".join(c["delta"].get("content") or "" for event in parsed for c in event.get("choices", ()))
    codes = [event["error"]["code"] for event in parsed if "error" in event]
    return text, codes[0] if codes else None, b"[DONE]" in events


async def test_a_caller_that_leaves_closes_the_providers_connection(
    gate: RunningGate, provider: Provider, dialect: Dialect
) -> None:
    whole = dialect.stream(["Hello", " there", "."])
    until_text = next(number for number, event in enumerate(whole) if b"there" in event) + 1
    provider.answer = Streamed(whole[:until_text], dialect.content_type, hold=True)
    stream = await ask(gate, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    await stream.close()
    await gate.until_idle()
    async with asyncio.timeout(1.0):
        await provider.gone.wait()


# --- Anthropic's own ways


@pytest.fixture
async def anthropic(tmp_path: Path, provider: Provider) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, config(ANTHROPIC, provider)) as running:
        yield running


THINKING = [{"type": "thinking_delta", "thinking": part} for part in ("They greet", " me.")]


async def test_thoughts_are_streamed_with_their_signature_apart_and_go_back_as_they_were(
    anthropic: RunningGate, provider: Provider
) -> None:
    deltas = [*THINKING, {"type": "signature_delta", "signature": "SIGNED"}]
    thought = anthropic_block(0, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
    provider.answer = Streamed([anthropic_start(), *thought, *anthropic_text(["Hello."], 1), *anthropic_end()])
    reasoning, text, blocks = "", "", []
    async for chunk in await ask(anthropic, stream=True, reasoning_effort="low"):
        for choice in chunk.choices:
            delta = choice.delta.model_dump()
            reasoning += delta.get("reasoning_content") or ""
            text += delta.get("content") or ""
            blocks += delta.get("thinking_blocks") or []
    assert provider.sent["thinking"]["type"] == "enabled"
    assert (reasoning, text) == ("They greet me.", "Hello.")
    assert blocks == [{"type": "thinking", "thinking": "", "signature": "SIGNED"}]

    said = {"role": "assistant", "content": text, "reasoning_content": reasoning, "thinking_blocks": blocks}
    conversation = [*MESSAGES, said, {"role": "user", "content": "And now?"}]
    provider.answer = anthropic_message([{"type": "text", "text": "Bye."}])
    await anthropic.post({"model": "assistant", "messages": conversation, "reasoning_effort": "low"})
    assert provider.sent["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "They greet me.",
        "signature": "SIGNED",
    }


async def test_marks_for_the_prompt_cache_reach_anthropic(anthropic: RunningGate, provider: Provider) -> None:
    provider.answer = ANTHROPIC.reply("Hello.")
    part = {"type": "text", "text": "A long text.", "cache_control": {"type": "ephemeral"}}
    await anthropic.post({"model": "assistant", "messages": [{"role": "user", "content": [part]}]})
    assert provider.sent["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}


async def test_structured_output_is_what_was_asked_for(anthropic: RunningGate, provider: Provider) -> None:
    provider.answer = ANTHROPIC.reply('{"city": "Paris"}')
    schema = {"name": "place", "schema": {**PARAMETERS, "additionalProperties": False}, "strict": True}
    answer = await ask(anthropic, response_format={"type": "json_schema", "json_schema": schema})
    assert orjson.loads(answer.choices[0].message.content) == {"city": "Paris"}
    assert "city" in orjson.dumps(provider.sent).decode()


async def test_an_overload_before_the_first_word_is_a_failed_attempt(
    anthropic: RunningGate, provider: Provider
) -> None:
    provider.answer = Streamed([ANTHROPIC.stream_error()])
    assert await end_of_stream(anthropic) == ("", "upstream_failed", False)


async def test_gemini_gets_the_signature_of_a_tool_call_back(tmp_path: Path, provider: Provider) -> None:
    part = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "U0lHTkVE"}
    provider.answer = {**GEMINI.tools_reply()}
    provider.answer["candidates"][0]["content"]["parts"] = [part]
    async with run_gate(tmp_path, config(GEMINI, provider)) as gate:
        (choice,) = (await ask(gate, tools=TOOLS)).choices
        (call,) = choice.message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        conversation = [*MESSAGES, choice.message.model_dump(exclude_none=True), result]
        provider.answer = GEMINI.reply("Sunny.")
        await gate.post({"model": "assistant", "messages": conversation, "tools": TOOLS})
        assert "U0lHTkVE" in orjson.dumps(provider.sent).decode()


async def test_embeddings_as_floats_and_as_base64(tmp_path: Path, provider: Provider) -> None:
    provider.answer = {
        "id": "e1",
        "embeddings": {"float": [[0.5, -1.0], [0.25, 2.0]]},
        "texts": ["one", "two"],
        "meta": {"billed_units": {"input_tokens": 4}},
    }
    async with run_gate(tmp_path, config(COHERE, provider)) as gate:
        for encoding in ("float", "base64"):
            answer = await gate.client().embeddings.create(
                model="assistant",
                input=["one", "two"],
                encoding_format=encoding,  # type: ignore[arg-type]
            )
            assert provider.requests[-1].path == "/v2/embed"
            vectors = [entry.embedding for entry in answer.data]
            assert encoding == "base64" or vectors == [[0.5, -1.0], [0.25, 2.0]]
        _, _, body = await gate.post(
            {"model": "assistant", "input": "one", "encoding_format": "base64"}, "/v1/embeddings"
        )
        assert list(array("f", base64.b64decode(body["data"][0]["embedding"]))) == [0.5, -1.0]
        assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
