"""Personal data: masked on its way out to the upstream and in what comes back, on streams too, and given back whole.

The keys used here have guards on; what a gateway calls them stands in its profile.
"""

from __future__ import annotations

import asyncio
import json

from conformance.case import case, expect, expect_equal, short
from conformance.dialects import DIALECTS, Dialect
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import or_second, replies, says, streams
from conformance.shapes import chunk, error, events, more_arguments, tool_call

MAIL = "jane.roe@example.com"
CARD = "4111 1111 1111 1111"
AT_ONCE = 40
SENTENCES = [f"This is sentence number {number}. " for number in range(5)]
REFUSED = (400, 403, 422, 446)  # 446 is Portkey's own for a guard that refuses
CODE = "Our public policy m2 covers S3 and EKS; see C4 in section 7."


def _echo(text: str) -> list[str]:
    """A text in pieces of three letters."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


async def echoes(exchange: Exchange) -> None:
    """Says what the last message said."""
    said = exchange.body["messages"][-1]["content"]
    await says(*_echo(said if isinstance(said, str) else said[-1]["text"]))(exchange)


def _absent(value: str, raw: bytes, where: str) -> None:
    expect(value.encode() not in raw, f"{value} is in {where}")


@case(
    "pii-never-leaves",
    "a mail address and a card number never reach the upstream, in whatever place they stand",
    needs=["pii"],
)
async def never_leaves(probe: Probe) -> None:
    caller = await probe.caller("pii")
    call = tool_call("call_1", "send", json.dumps({"to": MAIL, "card": CARD}))
    messages = [
        {"role": "system", "content": f"You work for {MAIL}."},
        {"role": "user", "content": probe.prompt(f"Write to {MAIL}.")},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": f'{{"sent": "{MAIL}"}}'},
        {"role": "user", "content": [{"type": "text", "text": f"And pay with {CARD}."}]},
    ]
    (await probe.ask(caller=caller, messages=messages)).completed()
    (await probe.stream(caller=caller, messages=messages)).completed()
    for exchange in probe.exchanges:
        _absent(MAIL, exchange.raw, "what the upstream got")
        _absent(CARD, exchange.raw, "what the upstream got")


@case(
    "pii-in-tool-history",
    "tool calls and results of earlier turns are masked as JSON: the arguments still parse",
    seen=["LiteLLM #41265", "NeMo Guardrails #2096"],
    needs=["pii"],
)
async def in_tool_history(probe: Probe) -> None:
    call = tool_call("call_1", "send", json.dumps({"to": MAIL, "n": 1}))
    messages = [
        {"role": "user", "content": probe.prompt()},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sent"},
    ]
    (await probe.ask(caller=await probe.caller("pii"), messages=messages)).completed()
    _absent(MAIL, probe.sent.raw, "what the upstream got")
    told = probe.sent.body["messages"][1]["tool_calls"][0]["function"]["arguments"]
    expect_equal(json.loads(told).get("n"), 1, "the other argument")


@case(
    "pii-restored",
    "the caller's own values come back to it, whole and streamed",
    script=echoes,
    needs=["pii", "restore"],
)
async def restored(probe: Probe) -> None:
    caller = await probe.caller("pii")
    text = f"Mail {MAIL}, card {CARD}."
    wanted = probe.prompt(text)
    expect_equal((await probe.ask(text, caller=caller)).text, wanted, "the whole reply")
    expect_equal((await probe.stream(text, caller=caller)).completed().text(), wanted, "the stream")
    for exchange in probe.exchanges:
        _absent(MAIL, exchange.raw, "what the upstream got")


@case(
    "pii-not-mixed-up",
    "forty callers at once, each with another address: each gets its own back",
    script=echoes,
    seen=["LiteLLM #14516"],
    needs=["pii", "restore"],
    limit=20,
)
async def not_mixed_up(probe: Probe) -> None:
    caller = await probe.caller("pii")

    async def one(number: int) -> None:
        text = f"Write to person{number}@mail{number}.example.org now."
        expect_equal((await probe.stream(text, caller=caller)).completed().text(), probe.prompt(text), "the stream")

    await asyncio.gather(*map(one, range(AT_ONCE)))


@case("pii-code-untouched", "short codes are no personal data", script=echoes, seen=["Presidio #1063"], needs=["pii"])
async def code_untouched(probe: Probe) -> None:
    expect_equal((await probe.ask(CODE, caller=await probe.caller("pii"))).text, probe.prompt(CODE), "the reply")
    expect_equal(probe.sent.body["messages"][0]["content"], probe.prompt(CODE), "what the upstream got")


@case(
    "pii-cut-across-chunks",
    "a value that comes in pieces is masked in the stream, and the text around it is not",
    script=says("Ask jane.roe@exa", "mple.com", " or pay ", *CARD, " today."),
    seen=["LiteLLM #41611", "agentgateway #2956", "AISIX #204"],
    needs=["pii"],
)
async def cut_across_chunks(probe: Probe) -> None:
    text = (await probe.stream(caller=await probe.caller("pii"))).completed().text()
    _absent(MAIL, text.encode(), "the stream")
    _absent(CARD, text.encode(), "the stream")
    expect(text.startswith("Ask ") and text.endswith(" today."), f"the text around is changed: {short(text)}")
    expect("jane" not in text and "1111" not in text, f"a part of a value is in the stream: {short(text)}")


@case(
    "pii-in-streamed-arguments",
    "a value in a streamed tool call's arguments is masked, and they still parse",
    script=streams(
        events(
            [
                chunk({"role": "assistant", "content": None}),
                chunk({"tool_calls": [tool_call("call_1", "send", "", 0)]}),
                *(
                    chunk({"tool_calls": [more_arguments(0, part)]})
                    for part in ('{"to": "jane.roe@ex', "ample.co", 'm"}')
                ),
                chunk({}, "tool_calls"),
            ]
        )
    ),
    needs=["pii"],
)
async def in_streamed_arguments(probe: Probe) -> None:
    choices = (await probe.stream(caller=await probe.caller("pii"))).completed().choices
    calls = [call for choice in choices for call in (choice["delta"] or {}).get("tool_calls") or ()]
    arguments = "".join((call.get("function") or {}).get("arguments") or "" for call in calls)
    _absent(MAIL, arguments.encode(), "the arguments")
    expect("to" in json.loads(arguments), f"the arguments are {short(arguments)}")


@case(
    "guarded-words-come-early",
    "with a guard on the reply, words are passed on long before it ends",
    script=says(*SENTENCES, waits=True),
    seen=["LiteLLM PR #31503", "Portkey #1119"],
    needs=["pii"],
)
async def words_come_early(probe: Probe) -> None:
    answer = await probe.stream_told_to_go_on("sentence", caller=await probe.caller("pii"))
    expect_equal(answer.completed().text(), "".join(SENTENCES), "the text")


@case(
    "pii-text-unchanged",
    "a reply without personal data comes through a guard letter by letter",
    script=says(*_echo(CODE)),
    needs=["pii"],
)
async def text_unchanged(probe: Probe) -> None:
    expect_equal((await probe.stream(caller=await probe.caller("pii"))).completed().text(), CODE, "the text")


@case(
    "blocked-input",
    "a blocked request is a 4xx and never reaches the upstream, whole or streamed",
    seen=["LiteLLM #18261", "LiteLLM PR #29194"],
    needs=["pii-block"],
)
async def blocked_input(probe: Probe) -> None:
    caller = await probe.caller("pii-block")
    (await probe.ask(f"Write to {MAIL}.", caller=caller)).failed(*REFUSED)
    (await probe.stream(f"Write to {MAIL}.", caller=caller)).whole.failed(*REFUSED)
    expect(not probe.exchanges, "the upstream was asked all the same")


@case(
    "blocked-input-costs-nothing",
    "a blocked request is not billed",
    seen=["LiteLLM #18261"],
    needs=["pii-block", "usage"],
)
async def blocked_input_costs_nothing(probe: Probe) -> None:
    caller = await probe.caller("pii-block")
    (await probe.ask(f"Write to {MAIL}.", caller=caller)).failed(*REFUSED)
    (await probe.ask("Hello.", caller=caller)).completed()
    used = await probe.used(caller)
    expect_equal((used.requests, used.output_tokens), (1, 4), "requests and tokens told")


@case(
    "guards-hold-on-fallback",
    "what the second target is sent is masked like what the first was, and restored",
    script=or_second(replies(error("boom"), 500), echoes),
    seen=["LiteLLM #17200"],
    needs=["pii", "restore", "fallback"],
)
async def guards_on_fallback(probe: Probe) -> None:
    text = f"Write to {MAIL}."
    answer = await probe.stream(text, role="fallback", caller=await probe.caller("pii"))
    expect_equal(answer.completed().text(), probe.prompt(text), "the text")
    for exchange in probe.exchanges:
        _absent(MAIL, exchange.raw, "what the upstream got")


def _blocked_reply(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        caller = await probe.caller("pii-block")
        for streamed in (False, True):
            answer = await probe.stream_of(dialect.body(probe, stream=streamed), path=dialect.path, caller=caller)
            begun = streamed and answer.status == 200
            said = dialect.streamed(answer.bodies) if begun else answer.raw.decode()
            _absent(MAIL, said.encode(), "the stream" if streamed else "the whole reply")
            _absent("jane", answer.raw, "the answer's bytes")

    case(
        f"blocked-reply-{dialect.name}",
        f"what a guard blocks never comes out of {dialect.path}, whole or streamed",
        script=says("Her address: jane", ".roe@exa", "mple.com. ", "Goodbye."),
        seen=["LiteLLM #35257", "LiteLLM #41611"],
        needs=dialect.needs | {"pii-block"},
    )(check)


def _masked_input(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        caller = await probe.caller("pii")
        for streamed in (False, True):
            body = dialect.ask(probe.model(), probe.prompt(f"Write to {MAIL}."), 8)
            answer = await probe.stream_of({**body, "stream": streamed}, path=dialect.path, caller=caller)
            expect_equal(answer.status, 200, f"the status with stream={streamed}")
        for exchange in probe.exchanges:
            _absent(MAIL, exchange.raw, "what the upstream got")

    case(
        f"masked-input-{dialect.name}",
        f"what {dialect.path} is sent is masked before it leaves, whole and streamed",
        seen=["LiteLLM #35257", "LiteLLM PR #41787"],
        needs=dialect.needs | {"pii"},
    )(check)


for _dialect in DIALECTS:
    _blocked_reply(_dialect)
    _masked_input(_dialect)
