"""Streams that go wrong on the way: a caller must never take a part for the whole."""

from __future__ import annotations

import asyncio

from conformance.answers import StreamAnswer
from conformance.case import case, expect, expect_equal, short
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import SPOKEN, dies_after_words, streams
from conformance.shapes import DONE, chunk, error, event

FAILED = (500, 502, 503, 504)
WORDS = b"".join(event(chunk({"content": word})) for word in ("One ", "two ", "three."))
# Short, because it is cut at every byte of it; still all that a strict gateway reads.
FRAME = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
FIRST = FRAME + b'"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
LAST = FRAME + b'"delta":{},"finish_reason":"stop"}]}\n\n'
SHORT = FIRST + LAST + DONE
TOLD = len(FIRST + LAST) - 2  # from here on the end of the reply itself has been told, if not the stream's
AT_ONCE = 8


async def cut_off(exchange: Exchange) -> None:
    await exchange.head()
    if at := int(exchange.argument):
        await exchange.send(SHORT[:at])
        await exchange.pause(0.01)  # so that the gateway has the bytes before the reset
    exchange.cut()


async def end_early(exchange: Exchange) -> None:
    await exchange.head()
    if at := int(exchange.argument):
        await exchange.send(SHORT[:at])
    await exchange.end()


async def _cut_everywhere(probe: Probe) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(at: int) -> str | None:
        async with limit:
            answer = await probe.stream(argument=str(at))
        wrong = await _wrong_after_cut(answer, at)
        return wrong and f"cut after {at} of {len(SHORT)} bytes: {wrong}"

    found = [wrong for wrong in await asyncio.gather(*(one(at) for at in range(len(SHORT)))) if wrong]
    expect(not found, f"{len(found)} of {len(SHORT)} cuts; first {short(found[0]) if found else ''}")


async def _wrong_after_cut(answer: StreamAnswer, at: int) -> str | None:
    if answer.status != 200:
        return None if answer.status >= 500 else f"status {answer.status}"
    if answer.fault is not None:
        return "a [DONE] mark beside the fault" if answer.done_marks else None
    if at < TOLD:
        return f"ends as if whole: {answer.raw[-80:]!r}"
    return None if answer.text() == "Hi" and answer.finish_reasons() == ["stop"] else f"text {answer.text()!r}"


@case(
    "cut-at-every-byte",
    "a connection that breaks after any byte of a stream is an error, unless the reply's end was told",
    script=cut_off,
    seen=["Bifrost #5546"],
    limit=90,
    alone=True,
)
async def cut_at_every_byte(probe: Probe) -> None:
    await _cut_everywhere(probe)


@case(
    "end-at-every-byte",
    "so is a stream that ends in good HTTP order after any byte",
    script=end_early,
    seen=["Bifrost #5546"],
    limit=90,
    alone=True,
)
async def end_at_every_byte(probe: Probe) -> None:
    await _cut_everywhere(probe)


@case(
    "dies-after-words",
    "an upstream that dies after some words: the words, then an error event, no [DONE]",
    script=dies_after_words,
    seen=["Bifrost #5546"],
)
async def dies(probe: Probe) -> None:
    answer = await probe.stream_told_to_go_on("three.")
    expect_equal(answer.text(), SPOKEN, "the text")
    answer.failed_honestly()
    expect_equal(answer.fault, "error event", "how the caller is told")


async def stalls(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(WORDS)
    await exchange.hold()


@case(
    "stall",
    "a stream that falls silent after some words is ended in time, with an error",
    script=stalls,
    needs=["idle-limit"],
)
async def stall(probe: Probe) -> None:
    answer = await probe.stream()
    expect_equal(answer.text(), SPOKEN, "the text")
    answer.failed_honestly()


CRASH = event(error("The model crashed."))


@case(
    "error-event-first",
    "an error as a stream's first event is an error status, not a stream",
    script=streams(CRASH),
    seen=["LiteLLM #6629"],
)
async def error_event_first(probe: Probe) -> None:
    (await probe.stream()).whole.failed(*FAILED)


@case(
    "error-event-first-then-done",
    "so it is when [DONE] follows",
    script=streams(CRASH + DONE),
    seen=["LiteLLM #6629"],
)
async def error_event_first_then_done(probe: Probe) -> None:
    (await probe.stream()).whole.failed(*FAILED)


@case("error-event-later", "an error event after some words ends the stream as one", script=streams(WORDS + CRASH))
async def error_event_later(probe: Probe) -> None:
    answer = await probe.stream()
    expect_equal(answer.text(), SPOKEN, "the text")
    answer.failed_honestly()


@case(
    "error-event-later-then-done",
    "so it does when the upstream ends with [DONE] all the same",
    script=streams(WORDS + CRASH + DONE),
)
async def error_event_later_then_done(probe: Probe) -> None:
    answer = await probe.stream()
    expect_equal(answer.text(), SPOKEN, "the text")
    answer.failed_honestly()


@case(
    "junk-event",
    "an event that is not JSON ends the stream with an error",
    script=streams(WORDS + b"data: {oops\n\n" + DONE),
)
async def junk_event(probe: Probe) -> None:
    (await probe.stream()).failed_honestly()


@case("empty-stream", "a stream of nothing but [DONE] is an error", script=streams(DONE))
async def empty_stream(probe: Probe) -> None:
    (await probe.stream()).whole.failed(*FAILED)


@case(
    "one-choice-unfinished",
    "a stream in which one of two choices never ends is not whole",
    script=streams(
        event(chunk({"content": "One."})) + event(chunk({"content": "Tw"}, index=1)) + event(chunk({}, "stop"))
    ),
)
async def one_choice_unfinished(probe: Probe) -> None:
    answer = await probe.stream(n=2)
    expect(answer.status != 200 or answer.fault is not None, f"ends as if whole: {short(answer.raw[-100:])}")
    expect(not answer.done_marks, "a [DONE] mark although the answer is not whole")
