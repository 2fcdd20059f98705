"""Scripts that many cases share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.case import Script
from conformance.exchange import Exchange
from conformance.shapes import (
    DONE,
    USAGE,
    chunk,
    completion,
    event,
    legacy_chunks,
    legacy_completion,
    text_chunks,
    wants_usage,
)

SECOND = "second"  # the model name of the second target
SPOKEN = "One two three."


def streams(data: bytes) -> Script:
    """Answers with these bytes as an event stream."""

    async def script(exchange: Exchange) -> None:
        await exchange.stream(data)

    return script


def replies(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    """Answers with one whole body."""

    async def script(exchange: Exchange) -> None:
        await exchange.reply(body, status, headers)

    return script


async def dies_after_words(exchange: Exchange) -> None:
    """Says `SPOKEN`, then breaks the connection off when it is told to: a reset overtakes what is not read yet."""
    await exchange.head()
    for word in ("One ", "two ", "three."):
        await exchange.send(event(_piece(exchange, word)))
    await exchange.until_told()
    exchange.cut()


def _piece(exchange: Exchange, text: str) -> dict[str, Any]:
    return chunk({"content": text}) if exchange.path.endswith("/chat/completions") else legacy_chunks([text])[0]


async def silent(exchange: Exchange) -> None:
    """Never answers."""
    await exchange.hold()


async def talks_on(exchange: Exchange) -> None:
    """A stream that goes on, a word every 50 ms, until the gateway leaves or half a minute has passed."""
    await exchange.head()
    for _ in range(600):
        await exchange.send(event(chunk({"content": "word "})))
        await exchange.pause(0.05)


def or_second(first: Script, second: Script) -> Script:
    """What the first target answers, and the second."""

    async def script(exchange: Exchange) -> None:
        await (second if exchange.model == SECOND else first)(exchange)

    return script


def says(*pieces: str, usage: dict[str, int] = USAGE, waits: bool = False) -> Script:
    """Says these pieces in the form asked for. A stream that `waits` does so before the last, until it is told."""

    async def script(exchange: Exchange) -> None:
        legacy = not exchange.path.endswith("/chat/completions")
        if not exchange.streamed:
            whole = legacy_completion("".join(pieces)) if legacy else completion("".join(pieces))
            await exchange.reply({**whole, "usage": usage})
            return
        bodies = legacy_chunks(pieces) if legacy else text_chunks(pieces)
        if wants_usage(exchange.body):
            bodies.append({**bodies[0], "choices": [], "usage": usage})
        last = next(number for number, body in enumerate(bodies) if pieces[-1] in str(body))
        await exchange.head()
        for number, body in enumerate(bodies):
            if waits and number == last:
                await exchange.until_told()
            await exchange.send(event(body))
        await exchange.send(DONE)
        await exchange.end()

    return script
