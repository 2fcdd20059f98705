"""Callers that hang up: the upstream's work must stop with them, and nothing may stay held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from conformance.case import case, expect, expect_equal
from conformance.exchange import Exchange
from conformance.probe import Caller, Probe
from conformance.scripts import silent, talks_on
from conformance.shapes import error, text_stream

TURNS = 10
DEAR = 8  # output tokens, at a dollar for a thousand nearly all of the ceiling of 0.01 USD
WORDS_READ = 10
PATIENCE = 2.0  # seconds
POLL = 0.02


async def _until(holds: Callable[[], bool]) -> None:
    until = monotonic() + PATIENCE
    while not holds():
        expect(monotonic() < until, f"the upstream was not asked within {PATIENCE:g} s")
        await asyncio.sleep(POLL)


async def _until_served(probe: Probe, caller: Caller, argument: str, **fields: Any) -> None:
    """Ask again and again until a limit lets the caller through. Raises Mismatch if it does not."""
    until = monotonic() + PATIENCE
    while (await probe.stream(argument=argument, caller=caller, **fields)).status == 429:
        expect(monotonic() < until, f"refused {PATIENCE:g} s after the other request was left")
        await asyncio.sleep(POLL)


async def _read_words(probe: Probe, count: int, caller: Caller | None = None) -> None:
    """Read so many words of a stream, then hang up."""
    async with probe.open(probe.body(stream=True), caller=caller) as response:
        raw = b""
        async with asyncio.timeout(5):
            while raw.count(b"word ") < count:
                part = await response.content.readany()
                expect(part, "the stream ended")
                raw += part


@case(
    "leave-mid-stream",
    "a caller that leaves a stream closes the upstream's within a second",
    script=talks_on,
    seen=["LiteLLM #13245"],
    alone=True,
)
async def leave_mid_stream(probe: Probe) -> None:
    await _read_words(probe, 3)
    await probe.upstream_sees_close()


async def _leave_while_waiting(probe: Probe, *, stream: bool) -> None:
    asking = asyncio.create_task(probe.stream() if stream else probe.ask())
    await _until(lambda: bool(probe.exchanges))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await probe.upstream_sees_close()


@case("leave-before-reply", "so does one that leaves before a whole reply is there", script=silent, alone=True)
async def leave_before_reply(probe: Probe) -> None:
    await _leave_while_waiting(probe, stream=False)


@case("leave-before-stream", "so does one that leaves before a stream has begun", script=silent, alone=True)
async def leave_before_stream(probe: Probe) -> None:
    await _leave_while_waiting(probe, stream=True)


@case(
    "leave-is-billed",
    "a stream that its caller left is billed for what was said until then",
    script=talks_on,
    seen=["LiteLLM #13245", "LiteLLM #33736", "LiteLLM #35958"],
    needs=["usage"],
    alone=True,
)
async def leave_is_billed(probe: Probe) -> None:
    caller = await probe.caller("usage")
    await _read_words(probe, WORDS_READ, caller=caller)
    used = await probe.used(caller)
    expect_equal(used.requests, 1, "the number of requests told")
    expect(WORDS_READ <= used.output_tokens <= 4 * WORDS_READ, f"{used.output_tokens} output tokens for 10 words")
    expect(used.cost > 0, "the cost is 0")


async def talks_or_ends(exchange: Exchange) -> None:
    await (talks_on(exchange) if exchange.argument == "on" else exchange.stream(text_stream(["Done."])))


@case(
    "leave-frees-the-slot",
    "a caller that left no longer counts against its limit of requests at once",
    script=talks_or_ends,
    needs=["concurrency"],
)
async def leave_frees_the_slot(probe: Probe) -> None:
    caller = await probe.caller("concurrency")
    async with probe.open(probe.body(argument="on", stream=True), caller=caller) as response:
        expect_equal(response.status, 200, "the status")
        await response.content.readany()
        (await probe.ask(argument="end", caller=caller)).failed(429)
    await _until_served(probe, caller, "end")


async def silent_or_fails(exchange: Exchange) -> None:
    if exchange.argument == "silent":
        await exchange.hold()
    elif exchange.argument == "fail":
        await exchange.reply(error("boom"), 500)
    else:
        await exchange.stream(text_stream(["Done."]))


@case(
    "left-and-failed-hold-nothing",
    "what was reserved for callers that left, and for failed requests, is free again",
    script=silent_or_fails,
    seen=["LiteLLM #30522", "otari #128"],
    needs=["budget"],
    limit=30,
)
async def left_and_failed(probe: Probe) -> None:
    caller = await probe.caller("budget")
    for _ in range(TURNS):
        (await probe.stream(argument="fail", caller=caller, max_tokens=DEAR)).whole.failed(500, 502, 503)
        before = len(probe.exchanges)
        asking = asyncio.create_task(probe.stream(argument="silent", caller=caller, max_tokens=DEAR))
        await _until(lambda before=before: len(probe.exchanges) > before)  # type: ignore[misc]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await _until_served(probe, caller, "fail", max_tokens=DEAR)
    (await probe.stream(argument="end", caller=caller, max_tokens=DEAR)).completed()
