"""Limits and ceilings that hold when many ask at once, on every endpoint, and that a refusal does not use up."""

from __future__ import annotations

import asyncio

from conformance.answers import Answer
from conformance.case import case, expect, expect_equal
from conformance.dialects import DIALECTS, Dialect
from conformance.exchange import Exchange
from conformance.probe import Caller, Probe
from conformance.scripts import says

AT_ONCE = 20


def _used(output: int, prompt: int = 9) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


async def _all_at_once(probe: Probe, caller: Caller, count: int, max_tokens: int) -> list[Answer]:
    return await asyncio.gather(*(probe.ask(caller=caller, max_tokens=max_tokens) for _ in range(count)))


def _one_passes(answers: list[Answer]) -> None:
    statuses = sorted(answer.status for answer in answers)
    expect_equal(statuses, [200] + [429] * (len(answers) - 1), "the statuses")
    for answer in answers:
        if answer.status == 429:
            answer.failed(429)
            expect(answer.headers.get("retry-after", "").isdecimal(), "a 429 without retry-after")


@case(
    "budget-holds-at-once",
    "a cent left, 20 calls at once of 0.8 cents each: exactly one passes",
    script=says("Hello.", usage=_used(8)),
    seen=["LiteLLM #34732", "membrane/api-gateway #3210"],
    needs=["budget"],
)
async def budget_holds(probe: Probe) -> None:
    _one_passes(await _all_at_once(probe, await probe.caller("budget"), AT_ONCE, 8))


@case(
    "tokens-hold-at-once",
    "100 tokens a minute, five calls at once of 80 each: exactly one passes",
    script=says("Hello.", usage=_used(60, 20)),
    seen=["LiteLLM #18730"],
    needs=["tokens-limit"],
)
async def tokens_hold(probe: Probe) -> None:
    _one_passes(await _all_at_once(probe, await probe.caller("tokens-limit"), 5, 60))


async def waits_or_answers(exchange: Exchange) -> None:
    await (_LONG if exchange.argument == "long" else _SHORT)(exchange)


_LONG = says("Still ", "talking.", waits=True)
_SHORT = says("Done.")


@case(
    "refusal-uses-nothing",
    "a call refused for one limit uses up nothing of another",
    script=waits_or_answers,
    seen=["LiteLLM #39309", "AISIX #450"],
    needs=["requests-limit"],
)
async def refusal_uses_nothing(probe: Probe) -> None:
    caller = await probe.caller("requests-limit")
    async with probe.open(probe.body(argument="long", stream=True), caller=caller) as response:
        await response.content.readany()
        (await probe.ask(argument="short", caller=caller)).failed(429)
        probe.go_on()
        await response.read()
    expect_equal((await probe.ask(argument="short", caller=caller)).text, "Done.", "the second call the limit allows")
    (await probe.ask(argument="short", caller=caller)).failed(429)


def _slot_held(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        caller = await probe.caller("concurrency")
        body = dialect.body(probe, "long", stream=True)
        async with probe.open(body, path=dialect.path, caller=caller) as response:
            expect_equal(response.status, 200, "the stream's status")
            await response.content.readany()
            (await probe.ask(argument="short", caller=caller)).failed(429)
            probe.go_on()
            await response.read()
        expect_equal((await probe.ask(argument="short", caller=caller)).text, "Done.", "the call after the stream")

    case(
        f"slot-held-{dialect.name}",
        f"a stream of {dialect.path} counts as a request under way until its last byte",
        script=waits_or_answers,
        seen=["AISIX #688"],
        needs=dialect.needs | {"concurrency"},
    )(check)


_DEAR = says("Hello.", usage=_used(10))


def _ceiling(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        caller = await probe.caller("budget")
        (await probe.ask(caller=caller, max_tokens=8)).completed()
        for streamed in (False, True):
            body = dialect.body(probe, stream=streamed)
            answer = await probe.post(body, path=dialect.path, caller=caller)
            expect_equal(answer.status, 429, f"the status with stream={streamed}")
        expect_equal(len(probe.exchanges), 1, "the number of requests the upstream got")

    case(
        f"ceiling-{dialect.name}",
        f"a key that has spent all it may is refused by {dialect.path}",
        script=_DEAR,
        seen=["Bifrost #2873"],
        needs=dialect.needs | {"budget"},
    )(check)


def _same_usage(dialect: Dialect) -> None:
    async def check(probe: Probe) -> None:
        found = []
        for streamed in (False, True):
            caller = await probe.caller("usage")
            answer = await probe.stream_of(dialect.body(probe, stream=streamed), path=dialect.path, caller=caller)
            expect_equal(answer.status, 200, "the status")
            found.append(await probe.used(caller))
        expect_equal(found[1], found[0], "what the stream is billed, against the whole reply,")
        expect_equal((found[0].input_tokens, found[0].output_tokens), (9, 4), "the tokens")
        expect(found[0].cost > 0, "the cost is 0")

    case(
        f"same-bill-{dialect.name}",
        f"{dialect.path} bills a stream as it bills the same whole reply",
        script=says("Hello ", "there."),
        seen=["LiteLLM #11789", "otari #256"],
        needs=dialect.needs | {"usage"},
    )(check)


for _dialect in DIALECTS:
    _slot_held(_dialect)
    _ceiling(_dialect)
    _same_usage(_dialect)


@case(
    "ceiling-embeddings",
    "a key that has spent all it may is refused by /v1/embeddings",
    script=_DEAR,
    seen=["Bifrost #2873"],
    needs=["budget", "embeddings"],
)
async def ceiling_embeddings(probe: Probe) -> None:
    caller = await probe.caller("budget")
    (await probe.ask(caller=caller, max_tokens=8)).completed()
    asked = {"model": probe.model(), "input": probe.prompt()}
    expect_equal((await probe.post(asked, path="/v1/embeddings", caller=caller)).status, 429, "the status")
