"""The official client, unchanged but for its base URL."""

from __future__ import annotations

import json

import openai
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from conformance.case import case, expect, expect_equal
from conformance.probe import Probe
from conformance.scripts import SPOKEN, dies_after_words, replies, streams
from conformance.shapes import chunk, completion, events, more_arguments, tool_call

WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Person(BaseModel):
    name: str
    age: int


@case("client-plain", "the official client gets a whole reply with its usage")
async def client_plain(probe: Probe) -> None:
    reply = await probe.openai().chat.completions.create(
        model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}]
    )
    expect_equal(reply.choices[0].message.content, "Hello there.", "the text")
    expect(reply.usage is not None and reply.usage.total_tokens == 13, f"the usage is {reply.usage}")


@case("client-stream", "the official client gets a stream, its text and its end")
async def client_stream(probe: Probe) -> None:
    stream = await probe.openai().chat.completions.create(
        model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}], stream=True
    )
    chunks = [piece async for piece in stream]
    said = "".join(choice.delta.content or "" for piece in chunks for choice in piece.choices)
    reasons = [choice.finish_reason for piece in chunks for choice in piece.choices if choice.finish_reason]
    expect_equal((said, reasons), ("Hello there.", ["stop"]), "text and end")


@case(
    "client-tools",
    "the official client gets a tool call and gives its result back",
    script=replies(
        completion(None, finish="tool_calls", tool_calls=[tool_call("call_1", "weather", '{"city": "Riga"}')])
    ),
)
async def client_tools(probe: Probe) -> None:
    client = probe.openai()
    asked = await client.chat.completions.create(
        model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}], tools=[WEATHER]
    )
    expect_equal(asked.choices[0].finish_reason, "tool_calls", "finish_reason")
    call = (asked.choices[0].message.tool_calls or [])[0]
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    expect_equal((call.id, json.loads(call.function.arguments)), ("call_1", {"city": "Riga"}), "the tool call")
    await client.chat.completions.create(
        model=probe.model(),
        messages=[
            {"role": "user", "content": probe.prompt()},
            {
                "role": "assistant",
                "tool_calls": [{"id": call.id, "type": "function", "function": call.function.to_dict()}],  # type: ignore[typeddict-item]
            },
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
        ],
        tools=[WEATHER],
    )
    result = probe.exchanges[-1].body["messages"][-1]
    expect_equal((result["role"], result["tool_call_id"]), ("tool", "call_1"), "the result as the upstream got it")


@case(
    "client-tools-stream",
    "the official client's stream helper puts a tool call's arguments together",
    script=streams(
        events(
            [
                chunk({"role": "assistant", "content": None}),
                chunk({"tool_calls": [tool_call("call_1", "weather", "", 0)]}),
                *(chunk({"tool_calls": [more_arguments(0, part)]}) for part in ('{"ci', 'ty": "Ri', 'ga"}')),
                chunk({}, "tool_calls"),
            ]
        )
    ),
)
async def client_tools_stream(probe: Probe) -> None:
    async with probe.openai().chat.completions.stream(
        model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}], tools=[WEATHER]
    ) as stream:
        reply = await stream.get_final_completion()
    call = (reply.choices[0].message.tool_calls or [])[0]
    expect_equal((call.id, call.function.name), ("call_1", "weather"), "the tool call")
    expect_equal(call.function.parsed_arguments, {"city": "Riga"}, "the arguments")


@case(
    "client-structured",
    "the official client's parse() gets an object, and the schema reaches the upstream as it was",
    script=replies(completion('{"name": "Ada", "age": 36}')),
)
async def client_structured(probe: Probe) -> None:
    reply = await probe.openai().chat.completions.parse(
        model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}], response_format=Person
    )
    expect_equal(reply.choices[0].message.parsed, Person(name="Ada", age=36), "the object")
    told = probe.sent.body["response_format"]
    expect_equal((told["type"], told["json_schema"]["strict"]), ("json_schema", True), "response_format")
    expect_equal(set(told["json_schema"]["schema"]["properties"]), {"name", "age"}, "the schema's properties")


@case(
    "client-unknown-model",
    "an unknown model is 404 or 400: the client's NotFoundError or BadRequestError",
    needs=["models"],
)
async def client_unknown_model(probe: Probe) -> None:
    try:
        await probe.openai().chat.completions.create(
            model="no-such-model", messages=[{"role": "user", "content": probe.prompt()}]
        )
    except (openai.NotFoundError, openai.BadRequestError):
        expect(not probe.exchanges, "the upstream was asked for a model the gateway does not know")
        return
    expect(False, "an unknown model was answered")


@case("client-bad-key", "a wrong key is 401: the client's AuthenticationError", needs=["keys"])
async def client_bad_key(probe: Probe) -> None:
    client = probe.openai().with_options(api_key="sg-wrong-key-000000000000000000000000")
    try:
        await client.chat.completions.create(
            model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}]
        )
    except openai.AuthenticationError:
        expect(not probe.exchanges, "the upstream was asked all the same")
        return
    expect(False, "a wrong key was served")


@case(
    "client-broken-stream",
    "the official client raises when a stream breaks after its first words",
    seen=["Bifrost #5546"],
    script=dies_after_words,
)
async def client_broken_stream(probe: Probe) -> None:
    raised = False
    said = ""
    try:
        stream = await probe.openai().chat.completions.create(
            model=probe.model(), messages=[{"role": "user", "content": probe.prompt()}], stream=True
        )
        async for piece in stream:
            said += "".join(choice.delta.content or "" for choice in piece.choices)
            if said == SPOKEN:
                probe.go_on()
    except Exception as error:
        raised = isinstance(error, openai.APIError) or type(error).__module__.startswith(("httpx", "httpcore"))
        expect(raised, f"the client stumbles: {type(error).__name__}: {error}")
    expect_equal(said, SPOKEN, "what the client heard")
    expect(raised, "the client took it for the whole answer")
