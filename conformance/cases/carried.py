"""What must arrive at the other side as it was sent: a gateway adds and takes nothing that nobody asked for."""

from __future__ import annotations

from typing import Any

from conformance.case import case, expect, expect_equal
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import replies, streams
from conformance.shapes import chunk, completion, completions, events, text_chunks, tool_call

TOKEN = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}
LOGPROBS = {"content": [TOKEN], "refusal": None}
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


@case("big-numbers-pass", "a whole number over 2^53 reaches the upstream to the last digit")
async def big_numbers(probe: Probe) -> None:
    (await probe.ask(seed=2**53 + 1)).completed()
    expect_equal(probe.sent.body.get("seed"), 2**53 + 1, "the seed as the upstream got it")


async def thinks(exchange: Exchange) -> None:
    thought = "Let me think."
    if exchange.streamed:
        said = [chunk({"role": "assistant", "reasoning_content": thought}), *text_chunks(["Hi."])[1:]]
        await exchange.stream(events(said))
    else:
        await exchange.reply(completion("Hi.", reasoning_content=thought))


@case("unknown-fields-pass", "request fields the gateway does not know reach the upstream unchanged")
async def unknown_fields(probe: Probe) -> None:
    extra: dict[str, Any] = {
        "min_p": 0.05,
        "chat_template_kwargs": {"enable_thinking": False},
        "guided_choice": ["yes", "no"],
    }
    (await probe.ask(**extra)).completed()
    expect_equal({name: probe.sent.body.get(name) for name in extra}, extra, "what the upstream got")


@case("known-fields-pass", "sampling and tool fields reach the upstream unchanged")
async def known_fields(probe: Probe) -> None:
    extra: dict[str, Any] = {
        "temperature": 0.0,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["\n\n", "END"],
        "presence_penalty": -0.5,
        "logit_bias": {"50256": -100},
        "parallel_tool_calls": False,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    (await probe.ask(**extra)).completed()
    expect_equal({name: probe.sent.body.get(name) for name in extra}, extra, "what the upstream got")


@case(
    "reply-fields-pass", "message fields the gateway may not know reach the caller, whole and streamed", script=thinks
)
async def reply_fields(probe: Probe) -> None:
    message = (await probe.ask()).completed()["choices"][0]["message"]
    expect_equal(message.get("reasoning_content"), "Let me think.", "reasoning_content")
    choices = (await probe.stream()).completed().choices
    told = "".join((choice["delta"] or {}).get("reasoning_content") or "" for choice in choices)
    expect_equal(told, "Let me think.", "streamed reasoning_content")


@case("pictures-pass", "a picture in a message reaches the upstream unchanged")
async def pictures(probe: Probe) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": probe.prompt("What is this?")},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
    ]
    (await probe.ask(messages=[{"role": "user", "content": parts}])).completed()
    expect_equal(probe.sent.body["messages"][0]["content"], parts, "the message")


@case("conversation-passes", "every role and form of message reaches the upstream unchanged and in order")
async def conversation(probe: Probe) -> None:
    call = tool_call("call_1", "f", '{"a": [1, 2.50, "ü"]}')
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief. 🙂"},
        {"role": "user", "content": probe.prompt("Zeile eins\nline two\ttabbed")},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"ok":true}'},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": [{"type": "text", "text": "Thanks"}]},
    ]
    (await probe.ask(messages=messages)).completed()
    found = probe.sent.body["messages"]
    expect_equal([message["role"] for message in found], [message["role"] for message in messages], "the roles")
    for got, given in zip(found, messages, strict=True):
        expect_equal({name: got.get(name) for name in given}, given, f"the {given['role']} message")


@case("structured-output-passes", "a JSON schema reaches the upstream as it was", script=replies(completion("{}")))
async def structured(probe: Probe) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"z": {"type": "number"}, "a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {}},
    }
    asked = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    (await probe.ask(response_format=asked)).completed()
    expect_equal(probe.sent.body["response_format"], asked, "response_format")
    names = list(probe.sent.body["response_format"]["json_schema"]["schema"]["properties"])
    expect_equal(names, ["z", "a"], "the properties' order, which is the order they are answered in,")


@case(
    "several-choices",
    "n=2 gives two choices with their own texts",
    script=replies(completions([{"role": "assistant", "content": text} for text in ("One.", "Two.")])),
)
async def several_choices(probe: Probe) -> None:
    choices = (await probe.ask(n=2)).completed()["choices"]
    expect_equal(
        [(choice["index"], choice["message"]["content"]) for choice in choices],
        [(0, "One."), (1, "Two.")],
        "the choices",
    )
    expect_equal(probe.sent.body.get("n"), 2, "n as the upstream got it")


async def spells(exchange: Exchange) -> None:
    if exchange.streamed:
        said = chunk({"role": "assistant", "content": "Hi"}, logprobs=LOGPROBS)
        await exchange.stream(events([said, chunk({}, "stop")]))
    else:
        reply = completion("Hi")
        reply["choices"][0]["logprobs"] = LOGPROBS
        await exchange.reply(reply)


@case("logprobs-pass", "log probabilities reach the caller, whole and streamed", script=spells)
async def logprobs(probe: Probe) -> None:
    whole = (await probe.ask(logprobs=True)).completed()["choices"][0].get("logprobs") or {}
    expect_equal((whole.get("content") or [{}])[0].get("logprob"), -0.25, "the whole reply's logprob")
    choices = (await probe.stream(logprobs=True)).completed().choices
    told = [choice["logprobs"]["content"][0]["logprob"] for choice in choices if choice.get("logprobs")]
    expect_equal(told, [-0.25], "the streamed logprobs")


@case("refusal-passes", "a model's refusal reaches the caller as one", script=replies(completion(None, refusal="No.")))
async def refusal(probe: Probe) -> None:
    message = (await probe.ask()).completed()["choices"][0]["message"]
    expect_equal((message.get("content"), message.get("refusal")), (None, "No."), "content and refusal")


@case("finish-length", "a reply cut for length says so", script=replies(completion("Once upon", finish="length")))
async def finish_length(probe: Probe) -> None:
    expect_equal((await probe.ask()).completed()["choices"][0]["finish_reason"], "length", "finish_reason")


@case("empty-text", "a reply of no text is no error", script=replies(completion("")))
async def empty_text(probe: Probe) -> None:
    expect_equal((await probe.ask()).text, "", "the text")


@case("key-stays-here", "the caller's key never reaches the upstream", seen=["LiteLLM #38114"], needs=["auth"])
async def key_stays(probe: Probe) -> None:
    (await probe.ask()).completed()
    (await probe.stream()).completed()
    for exchange in probe.exchanges:
        seen = " ".join(exchange.headers.values()) + exchange.raw.decode()
        expect(probe.admin.key not in seen, "the caller's key is in what the upstream got")


@case("headers-stay-here", "cookies and private headers of the caller do not reach the upstream")
async def headers_stay(probe: Probe) -> None:
    private = "private-0123456789"
    sent: dict[str, Any] = {"cookie": f"session={private}", "x-internal-note": private}
    (await probe.post(probe.body(), **sent)).completed()
    leaked = [name for name, value in probe.sent.headers.items() if private in value]
    expect(not leaked, f"the upstream got {', '.join(leaked)}")


LONG = "All work and no play makes a dull line. " * 25_000  # 1 MB


@case("long-prompt", "a prompt of 1 MB reaches the upstream whole", limit=20)
async def long_prompt(probe: Probe) -> None:
    (await probe.ask(LONG)).completed()
    expect(probe.sent.body["messages"][0]["content"].endswith(LONG), "the prompt was changed")


@case("long-reply", "a reply of 1 MB reaches the caller whole", script=replies(completion(LONG)), limit=20)
async def long_reply(probe: Probe) -> None:
    expect((await probe.ask()).text == LONG, "the reply was changed")


@case(
    "first-chunk-without-choices",
    "a stream whose first chunk has no choices is no fault",
    script=streams(
        events(
            [
                {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []},
                *text_chunks(["Hi."]),
            ]
        )
    ),
)
async def azure_first_chunk(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), "Hi.", "the text")
