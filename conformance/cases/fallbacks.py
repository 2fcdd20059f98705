"""A second target for when the first fails: taken before the first word, never after it."""

from __future__ import annotations

import asyncio
from time import monotonic

from conformance.case import Script, case, expect, expect_equal
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import SECOND, SPOKEN, dies_after_words, or_second, replies, silent, streams
from conformance.shapes import DONE, chunk, completion, error, event, text_stream

FAILED = (500, 502, 503, 504)


async def answers(exchange: Exchange) -> None:
    """What the second target says."""
    if exchange.streamed:
        await exchange.stream(text_stream(["From ", "second."]))
    else:
        await exchange.reply(completion("From second."))


def _role_then(data: bytes) -> bytes:
    return event(chunk({"role": "assistant", "content": ""})) + data


async def dies_after_role(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(_role_then(b""))
    await exchange.pause(0.02)
    exchange.cut()


async def _second_answers(probe: Probe, *, role: str = "fallback", whole: bool = True, streamed: bool = True) -> None:
    if whole:
        expect_equal((await probe.ask(role=role)).text, "From second.", "the whole reply")
    if streamed:
        expect_equal((await probe.stream(role=role)).completed().text(), "From second.", "the stream")


def _fallback(
    id: str, title: str, first: Script, *, whole: bool = True, limit: float = 10, seen: tuple[str, ...] = ()
) -> None:
    """A case in which the first target fails in some way, and the second must answer as if nothing had been."""

    async def check(probe: Probe) -> None:
        await _second_answers(probe, whole=whole)

    case(id, title, script=or_second(first, answers), needs=["fallback"], limit=limit, seen=seen)(check)


BUSY = error("Rate limit reached", "rate_limit_error")
CRASH = event(error("The model crashed."))

_fallback("fallback-on-500", "a 500 falls back", replies(error("boom"), 500))
_fallback("fallback-on-429", "a 429 falls back", replies(BUSY, 429, {"retry-after": "30"}))
_fallback("fallback-on-junk", "a 200 that is not JSON falls back", replies(b"<html>"))
_fallback(
    "fallback-on-error-first",
    "a stream whose first event is an error falls back",
    streams(CRASH),
    whole=False,
    seen=("LiteLLM #6629",),
)
_fallback(
    "fallback-after-role",
    "an error after the role, before any word, falls back, and the caller sees the second's text alone",
    streams(_role_then(CRASH)),
    whole=False,
    seen=("Bifrost #5395", "LiteLLM #40404", "LiteLLM #28216", "LiteLLM #18229"),
)
_fallback(
    "fallback-after-role-cut",
    "so does a connection that breaks after the role",
    dies_after_role,
    whole=False,
    seen=("Bifrost #5395",),
)
_fallback("fallback-on-empty-stream", "a stream of nothing but [DONE] falls back", streams(DONE), whole=False)


@case(
    "fallback-on-silence",
    "an upstream that never answers falls back",
    script=or_second(silent, answers),
    needs=["fallback", "first-token-limit"],
    limit=16,
)
async def on_silence(probe: Probe) -> None:
    await _second_answers(probe, whole=False)


@case(
    "fallback-on-refused",
    "an upstream that cannot be connected to falls back",
    script=answers,
    needs=["refused-fallback"],
)
async def on_refused(probe: Probe) -> None:
    await _second_answers(probe, role="refused-fallback")


@case(
    "no-fallback-after-words",
    "after the first words no other target's text follows: the stream ends with an error",
    script=or_second(dies_after_words, answers),
    seen=["Bifrost #5395", "LiteLLM #40404", "LiteLLM #28216", "LiteLLM #18229"],
    needs=["fallback"],
)
async def not_after_words(probe: Probe) -> None:
    answer = await probe.stream_told_to_go_on("three.", role="fallback")
    expect_equal(answer.text(), SPOKEN, "the text")
    answer.failed_honestly()


@case(
    "no-hidden-prompt",
    "what the second target is asked is what the caller asked, word for word",
    script=or_second(replies(error("boom"), 500), answers),
    seen=["LiteLLM #40404"],
    needs=["fallback"],
)
async def no_hidden_prompt(probe: Probe) -> None:
    (await probe.stream(role="fallback")).completed()
    asked = [exchange.body["messages"] for exchange in probe.exchanges if exchange.model == SECOND]
    expect_equal(asked, [probe.body()["messages"]], "what the second target was asked")


@case(
    "all-targets-fail",
    "when every target fails the caller gets an error",
    script=replies(error("boom"), 500),
    needs=["fallback"],
)
async def all_fail(probe: Probe) -> None:
    (await probe.ask(role="fallback")).failed(*FAILED)
    (await probe.stream(role="fallback")).whole.failed(*FAILED)
    expect(any(exchange.model == SECOND for exchange in probe.exchanges), "the second target was not tried")


@case(
    "late-answer-is-not-asked-twice",
    "an upstream that is only late is not asked a second time, since both answers would be paid for",
    script=silent,
    seen=["pleaseai/shunt #126"],
    needs=["first-token-limit"],
    limit=16,
)
async def late_is_not_asked_twice(probe: Probe) -> None:
    await probe.stream()
    expect_equal(len(probe.exchanges), 1, "the number of requests the upstream got")


@case(
    "fallback-is-priced-as-itself",
    "an answer from the second target is billed at that target's price",
    script=or_second(replies(error("boom"), 500), answers),
    seen=["LiteLLM #8810", "LiteLLM #38107"],
    needs=["fallback", "usage"],
)
async def fallback_price(probe: Probe) -> None:
    caller = await probe.caller("usage")
    (await probe.ask(role="fallback", caller=caller)).completed()
    used = await probe.used(caller)
    expect_equal(used.output_tokens, 4, "the output tokens")
    expect(0.0119 < used.cost < 0.0121, f"the cost is {used.cost}, not 4 tokens at 0.003")


FAILURES = 3
COOLED = 6.0  # seconds within which a target must be tried again


async def fails_or_answers(exchange: Exchange) -> None:
    await (exchange.reply(error("boom"), 500) if exchange.argument == "fail" else answers(exchange))


@case(
    "breaker",
    "an upstream that fails again and again is left alone, the caller told at once, and it is tried again later",
    script=fails_or_answers,
    seen=["LiteLLM PR #34836"],
    needs=["breaker"],
)
async def breaker(probe: Probe) -> None:
    for _ in range(2 * FAILURES):
        (await probe.ask(role="breaker", argument="fail")).failed(429, *FAILED)
    expect_equal(len(probe.exchanges), FAILURES, "the number of requests the failing upstream got")
    until = monotonic() + COOLED
    while (answer := await probe.ask(role="breaker", argument="well")).status != 200:
        expect(monotonic() < until, f"not tried again within {COOLED:g} s")
        expect("retry-after" in answer.headers, f"status {answer.status} without retry-after")
        await asyncio.sleep(0.05)
    expect_equal(answer.text, "From second.", "the text")
