"""The other endpoints: the same gateway in another shape, with the same honesty."""

from __future__ import annotations

from typing import Any

from conformance.answers import StreamAnswer
from conformance.case import case, expect, expect_equal, short
from conformance.dialects import CHAT, DIALECTS, DONE, MESSAGES, RESPONSES, Dialect
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import SPOKEN, dies_after_words, replies, says, streams
from conformance.shapes import VECTOR, chunk, completion, error, event, events, more_arguments, tool_call

LETTERS = ("Grüße ", "안녕 ", "🙂")
OTHERS = tuple(dialect for dialect in DIALECTS if dialect is not CHAT)


async def fails_or_dies(exchange: Exchange) -> None:
    await (dies_after_words(exchange) if exchange.streamed else exchange.reply(error("boom"), 500))


def _works(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        whole = await probe.post(dialect.body(probe), path=dialect.path)
        expect_equal(dialect.said(whole.completed()), "".join(LETTERS), "the whole reply")
        streamed = await probe.stream_of(dialect.body(probe, stream=True), path=dialect.path)
        expect_equal(dialect.streamed(streamed.bodies), "".join(LETTERS), "the stream")
        expect(_is_closed(dialect, streamed), f"the stream does not end with {dialect.closing}")

    title = f"{dialect.path} answers, whole and streamed, in its own shape"
    case(f"{dialect.name}-works", title, script=says(*LETTERS), needs=dialect.needs)(check)


def _fails_honestly(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        whole = await probe.post(dialect.body(probe), path=dialect.path)
        expect(whole.status in (500, 502, 503, 504, 529), f"status {whole.status}: {short(whole.raw)}")
        streamed = await probe.stream_told_to_go_on("three.", dialect.body(probe, stream=True), path=dialect.path)
        expect_equal(dialect.streamed(streamed.bodies), SPOKEN, "the stream")
        expect(not _is_closed(dialect, streamed), f"{dialect.closing} although the answer is not whole")
        told = any(body.get("error") or body.get("type") in ("error", "response.failed") for body in streamed.bodies)
        expect(told or streamed.broken, f"ends as if whole: {short(streamed.raw[-100:])}")

    title = f"{dialect.path} tells of an upstream that fails, and of one that dies in mid-stream"
    seen = ["Bifrost #5546"]
    case(f"{dialect.name}-fails-honestly", title, script=fails_or_dies, needs=dialect.needs, seen=seen)(check)


def _is_closed(dialect: Dialect, answer: StreamAnswer) -> bool:
    """Whether a stream says of itself that it is whole."""
    return bool(answer.done_marks) if dialect.closing == DONE else dialect.closing in map(_type, answer.bodies)


def _type(body: dict[str, Any]) -> str:
    return str(body.get("type"))


for _dialect in OTHERS:
    _works(_dialect)
    _fails_honestly(_dialect)


@case("embeddings-float", "embeddings come as numbers", needs=["embeddings"])
async def embeddings_float(probe: Probe) -> None:
    asked = {"model": probe.model(), "input": [probe.prompt("one"), "two"], "encoding_format": "float"}
    body = (await probe.post(asked, path="/v1/embeddings")).completed()
    expect_equal([item["embedding"] for item in body["data"]], [list(VECTOR)] * 2, "the vectors")
    expect_equal(body["usage"]["prompt_tokens"], 9, "the prompt tokens")


@case("embeddings-client", "the official client, which asks for base64, gets its vectors", needs=["embeddings"])
async def embeddings_client(probe: Probe) -> None:
    found = await probe.openai().embeddings.create(model=probe.model(), input=[probe.prompt("one"), "two"])
    expect_equal([item.embedding for item in found.data], [list(VECTOR)] * 2, "the vectors")


@case("responses-client", "the official client gets a response, whole and streamed", needs=RESPONSES.needs)
async def responses_client(probe: Probe) -> None:
    client = probe.openai()
    whole = await client.responses.create(model=probe.model(), input=probe.prompt())
    expect_equal((whole.output_text, whole.status), ("Hello there.", "completed"), "text and status")
    expect(whole.usage is not None and whole.usage.output_tokens == 4, f"the usage is {whole.usage}")
    async with client.responses.stream(model=probe.model(), input=probe.prompt()) as stream:
        names = [seen.type async for seen in stream]
        final = await stream.get_final_response()
    expect_equal(final.output_text, "Hello there.", "the streamed text")
    expect_equal((names[0], names[-1]), ("response.created", "response.completed"), "the first and last event")


async def calls_weather(exchange: Exchange) -> None:
    if exchange.streamed:
        said: list[dict[str, Any]] = [
            chunk({"role": "assistant", "content": None}),
            chunk({"tool_calls": [tool_call("call_1", "weather", "", 0)]}),
            chunk({"tool_calls": [tool_call("call_2", "time", "", 1)]}),
            chunk({"tool_calls": [more_arguments(1, '{"zone":'), more_arguments(0, '{"city":')]}),
            chunk({"tool_calls": [more_arguments(0, ' "Riga"}'), more_arguments(1, ' "EET"}')]}),
            chunk({}, "tool_calls"),
        ]
        await exchange.stream(events(said))
    else:
        call = tool_call("call_1", "weather", '{"city": "Riga"}')
        await exchange.reply(completion(None, finish="tool_calls", tool_calls=[call]))


@case("responses-tools", "the official client gets a function call", script=calls_weather, needs=RESPONSES.needs)
async def responses_tools(probe: Probe) -> None:
    reply = await probe.openai().responses.create(
        model=probe.model(),
        input=probe.prompt(),
        tools=[{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}],
    )
    calls = [item for item in reply.output if item.type == "function_call"]
    found = [(call.name, call.call_id, call.arguments) for call in calls]
    expect_equal(found, [("weather", "call_1", '{"city": "Riga"}')], "the function calls")
    told = probe.sent.body["tools"][0]["function"]["name"]
    expect_equal(told, "weather", "the tool as the upstream got it")


@case(
    "messages-events",
    "a messages stream has Anthropic's events in Anthropic's order, each named as its type",
    needs=MESSAGES.needs,
)
async def messages_events(probe: Probe) -> None:
    answer = await probe.stream_of(MESSAGES.body(probe, stream=True), path=MESSAGES.path)
    types = [body["type"] for body in answer.bodies if body["type"] != "ping"]
    expect_equal([types[0], types[-2], types[-1]], ["message_start", "message_delta", "message_stop"], "first and last")
    middle = [kind for kind in types[1:-2] if kind != "content_block_delta"]
    expect_equal(middle, ["content_block_start", "content_block_stop"], "the block's events")
    for (name, _), body in zip(answer.events, answer.bodies, strict=True):
        expect_equal(name, body["type"], "an event's name")
    ending = next(body for body in answer.bodies if body["type"] == "message_delta")
    expect_equal(ending["delta"]["stop_reason"], "end_turn", "stop_reason")
    expect_equal(ending["usage"]["output_tokens"], 4, "the output tokens")


@case(
    "messages-parallel-tools",
    "tool calls that come interleaved become blocks one after the other",
    script=calls_weather,
    needs=MESSAGES.needs,
)
async def messages_parallel_tools(probe: Probe) -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("weather", "time")]
    answer = await probe.stream_of(MESSAGES.body(probe, stream=True, tools=tools), path=MESSAGES.path)
    open_block: int | None = None
    found: dict[str, str] = {}
    name = ""
    for body in answer.bodies:
        if body["type"] == "content_block_start":
            expect(open_block is None, f"block {body['index']} starts before block {open_block} stops")
            open_block, name = body["index"], str(body["content_block"].get("name"))
            found[name] = ""
        elif body["type"] == "content_block_delta":
            expect_equal(body["index"], open_block, "a delta's block")
            found[name] += body["delta"].get("partial_json", "")
        elif body["type"] == "content_block_stop":
            open_block = None
    wanted = {"weather": '{"city": "Riga"}', "time": '{"zone": "EET"}'}
    expect_equal({key: text for key, text in found.items() if key in wanted}, wanted, "the tool calls")


@case(
    "messages-error",
    "an error of /v1/messages has Anthropic's shape",
    script=replies(error("boom"), 500),
    needs=MESSAGES.needs,
)
async def messages_error(probe: Probe) -> None:
    answer = await probe.post(MESSAGES.body(probe), path=MESSAGES.path)
    expect(answer.status >= 500, f"status {answer.status}")
    body = answer.body
    expect_equal(body.get("type"), "error", "type")
    expect(isinstance(body.get("error", {}).get("type"), str), f"no error type: {short(body)}")
    expect(isinstance(body["error"].get("message"), str), f"no message: {short(body)}")


@case(
    "messages-error-first",
    "an error as the first event is an error status on /v1/messages too",
    script=streams(event(error("The model crashed."))),
    seen=["LiteLLM #6629"],
    needs=MESSAGES.needs,
)
async def messages_error_first(probe: Probe) -> None:
    answer = await probe.stream_of(MESSAGES.body(probe, stream=True), path=MESSAGES.path)
    expect(answer.status >= 500, f"status {answer.status}: {short(answer.raw)}")
