"""Every way an upstream can fail, as a table: what it does, plain and streamed, and what the call must come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from faultkit import (
    CHUNKED,
    DONE,
    END,
    HEAD,
    JSON,
    SAID,
    SECRET,
    STREAM,
    WHOLE,
    WORDS,
    Script,
    event,
    framed,
    only_comments,
    piece,
    refusal,
    reply,
    sends,
    stalls,
)
from gatekit import completion

MIB = 2**20
SHORT = "{first_token: 150ms, idle: 150ms}"


@dataclass(frozen=True)
class Ending:
    """How one call must end. `status` is the row's, `opens` is of the breaker.

    `broken`: the caller has the first words with a 200, then one error event.
    """

    status: int
    code: str | None = None
    attempt: str = "ok"
    opens: bool = False
    broken: bool = False
    retry_after: str | None = None


@dataclass(frozen=True)
class Fault:
    """`url` where it is not the scripted upstream; `settings` are more of the target's."""

    name: str
    plain: tuple[Script, Ending] | None
    stream: tuple[Script, Ending] | None
    url: str = "http://127.0.0.1:{upstream}"
    settings: str = ""


OK = Ending(200)
FAILED = Ending(502, "upstream_failed", "error", opens=True)
BROKEN = Ending(502, "upstream_failed", "broken", opens=True)
BROKE_LATER = Ending(502, "upstream_failed", "broken", opens=True, broken=True)
UNREACHABLE = Ending(502, "upstream_failed", "unreachable", opens=True)
LATE = Ending(504, "upstream_timeout", "timeout", opens=True)
STALLED = Ending(504, "upstream_timeout", "timeout", opens=True, broken=True)


def busy(retry_after: str, *, opens: bool = False) -> Ending:
    return Ending(429, "rate_limit_exceeded", "busy", opens=opens, retry_after=retry_after)


def both(name: str, script: Script, ending: Ending, **more: Any) -> Fault:
    return Fault(name, (script, ending), (script, ending), **more)


def streamed(name: str, script: Script, ending: Ending, **more: Any) -> Fault:
    return Fault(name, None, (script, ending), **more)


NEVER = sends()
BODY = orjson.dumps(completion("Hello there.", completed=2))
GOOD = reply(BODY)
HUGE = piece("x" * 17 * MIB)  # whole, and good but for its size
ERROR_EVENT = event({"error": {"message": WORDS, "type": "server_error"}})
PAGE = b"<html>" + WORDS.encode() + b"</html>"

SLOW_BODY = JSON + b"content-length: 99\r\n\r\n{"
BAD_GZIP = HEAD + b"text/event-stream\r\ncontent-encoding: gzip\r\n\r\n" + PAGE
FAR_DATE = "retry-after: Fri, 31 Dec 2100 23:59:59 GMT"
COUNTED_END = event({**orjson.loads(END[6:]), "usage": {"prompt_tokens": 9, "completion_tokens": 2}})

FAULTS = [
    both("refused", NEVER, UNREACHABLE, url="http://127.0.0.1:{closed}"),
    both("no-such-name", NEVER, UNREACHABLE, url="http://name.invalid", settings="timeouts: {connect: 20s}"),
    both("no-name-at-all", NEVER, UNREACHABLE, url="http://a..b"),
    both("tls-to-a-plain-port", NEVER, UNREACHABLE, url="https://127.0.0.1:{plain}"),
    both("self-signed", NEVER, UNREACHABLE, url="https://127.0.0.1:{secured}"),
    both("mute-tls", NEVER, LATE, url="https://127.0.0.1:{mute}", settings="timeouts: {connect: 150ms}"),
    both("hangs-up", sends(), FAILED),
    both("no-http", sends(b"220 mail.example.com ESMTP\r\n\r\n"), FAILED),
    both("endless-header", sends(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"), FAILED),
    Fault("slow-headers", (stalls(), LATE), None, settings="timeouts: {total: 150ms}"),
    Fault("slow-body", (stalls(SLOW_BODY), LATE), None, settings="timeouts: {total: 150ms}"),
    streamed("slow-stream-headers", stalls(), LATE, settings=f"timeouts: {SHORT}"),
    streamed("slow-first-token", stalls(STREAM, piece("")), LATE, settings=f"timeouts: {SHORT}"),
    streamed("comments-only", only_comments(STREAM), LATE, settings=f"timeouts: {SHORT}"),
    streamed("stall", stalls(STREAM, SAID[0]), STALLED, settings=f"timeouts: {SHORT}"),
    streamed("comments-after-content", only_comments(STREAM, SAID[0]), STALLED, settings=f"timeouts: {SHORT}"),
    both("429", sends(refusal("429 Busy")), busy("1")),
    both("429-seconds", sends(refusal("429 Busy", "retry-after: 3")), busy("3")),
    both("429-an-hour", sends(refusal("429 Busy", "retry-after: 3600")), busy("3600", opens=True)),
    both("429-date", sends(refusal("429 Busy", FAR_DATE)), busy("86400", opens=True)),
    both("429-past-date", sends(refusal("429 Busy", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT")), busy("1")),
    both("429-nonsense", sends(refusal("429 Busy", "retry-after: soon")), busy("1")),
    both("400", sends(refusal("400 Bad")), Ending(400, None, "refused")),
    both("400-without-words", sends(reply(PAGE, "400 Bad")), Ending(400, "invalid_request", "refused")),
    both("401", sends(refusal("401 Unauthorized")), FAILED),
    both("404", sends(refusal("404 Not Found")), FAILED),
    both("500", sends(refusal("500 Oops")), FAILED),
    both("503", sends(refusal("503 Down", "retry-after: 9")), FAILED),
    both("redirect", sends(refusal("307 Elsewhere", "location: /v1/elsewhere")), FAILED),
    both("204", sends(b"HTTP/1.1 204 Nothing\r\nconnection: close\r\n\r\n"), FAILED),
    both("a-page", sends(HEAD + b"text/html\r\n\r\n", PAGE), FAILED),
    Fault("bad-gzip", (sends(BAD_GZIP), FAILED), (sends(BAD_GZIP), BROKEN)),
    Fault("empty", (sends(reply(b"")), FAILED), (sends(STREAM), BROKEN)),
    Fault("no-json", (sends(reply(WORDS.encode())), FAILED), (sends(STREAM, b"data: {oops\n\n"), BROKEN)),
    Fault("no-utf-8", (sends(reply(b'{"choices": "\xff"}')), FAILED), (sends(STREAM, b'data: "\xff"\n\n'), BROKEN)),
    Fault("a-list", (sends(reply(b"[1]")), FAILED), (sends(STREAM, b"data: [1]\n\n"), BROKEN)),
    Fault("odd-shape", (sends(reply(b'{"choices": 7}')), FAILED), (sends(STREAM, event({"choices": [7]})), BROKEN)),
    Fault("error-in-a-200", (sends(refusal("200 OK")), FAILED), (sends(STREAM, ERROR_EVENT), BROKEN)),
    Fault("json-for-a-stream", None, (sends(GOOD), FAILED)),
    Fault("cut-reply", (sends(GOOD[:-9]), FAILED), None),
    Fault("huge", (sends(JSON + b"\r\n", *[b" " * MIB] * 65, BODY), FAILED), (sends(STREAM, HUGE, END, DONE), BROKEN)),
    streamed("huge-later", sends(STREAM, SAID[0], HUGE, END, DONE), BROKE_LATER),
    streamed("error-later", sends(STREAM, SAID[0], ERROR_EVENT, END, DONE), BROKE_LATER),
    streamed("no-json-later", sends(STREAM, SAID[0], b"data: {oops\n\n"), BROKE_LATER),
    streamed("odd-shape-later", sends(STREAM, SAID[0], event({"choices": 7})), BROKE_LATER),
    streamed("done-first", sends(STREAM, DONE), BROKEN),
    streamed("cut", sends(STREAM, SAID[0]), BROKE_LATER),
    streamed("cut-in-a-chunk", sends(CHUNKED, framed(SAID[0]), framed(SAID[1])[:-9]), BROKE_LATER),
    # aiohttp (3.14) tells nobody of a chunk that it cannot read, so the idle limit has to end it.
    streamed("bad-chunk", sends(CHUNKED, framed(SAID[0]), b"zz\r\n"), STALLED, settings=f"timeouts: {SHORT}"),
    streamed("no-done", sends(STREAM, *WHOLE[:-1]), OK),
    streamed("two-dones", sends(STREAM, *WHOLE, DONE), OK),
    streamed("words-after-done", sends(STREAM, *WHOLE, *SAID, ERROR_EVENT), OK),
    streamed("crlf", sends(STREAM, b"".join(WHOLE).replace(b"\n", b"\r\n")), OK),
    streamed("cr", sends(STREAM, b"".join(WHOLE).replace(b"\n", b"\r")), OK),
    streamed("byte-by-byte", sends(STREAM, *(bytes([byte]) for byte in b"".join(WHOLE))), OK),
    streamed("usage-in-the-last-chunk", sends(STREAM, *SAID, COUNTED_END, DONE), OK),
]  # fmt: skip


FAULTLESS = "good"


def config(places: dict[str, int]) -> str:
    """A model for each fault and kind; its target has the same name."""
    lines = ["models:"]
    for name, url, more in [
        *((f"{fault.name}/{kind}", fault.url, fault.settings) for fault in FAULTS for kind in ("plain", "stream")),
        (FAULTLESS, "http://127.0.0.1:{upstream}", ""),
    ]:
        target = f"name: {name}, provider: openai, model: {name}, base_url: '{url.format(**places)}/v1'"
        rest = (
            "retries: 0, breaker: {failures: 1, cooldown: 60s}, price: {input: '1', output: '10'}, api_key: " + SECRET
        )
        lines.append(f"  - {{name: {name}, targets: [{{{', '.join(filter(None, (target, rest, more)))}}}]}}")
    return "\n".join(lines) + "\n"
