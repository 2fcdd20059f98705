"""An upstream that goes wrong on the wire: below HTTP where it must, so that every byte and every end is a test's own.

Its scripts are chosen by the `model` of the request. The faults themselves are in `faulttable`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import trustme
from gatekit import RunningGate

from billing.tables import usage_records
from gateway.routing.state import TargetState

SECRET = "sk-upstream-secret-0123456789"
WORDS = f"the provider's own words, with {SECRET} and /srv/provider/app.py"


HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: "
STREAM = HEAD + b"text/event-stream\r\n\r\n"
CHUNKED = HEAD + b"text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = HEAD + b"application/json\r\n"


def event(body: object) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def piece(text: str | None = None, finish: str | None = None) -> bytes:
    """The shortest chunk there is, as an event: streams of them are cut after every byte."""
    delta = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


SAID = [piece("Hello"), piece(" there.")]
END = piece(finish="stop")
USAGE = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}})
DONE = b"data: [DONE]\n\n"
WHOLE = [*SAID, END, USAGE, DONE]


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer with a JSON body, or one that says so."""
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"{head}{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def refusal(status: str, *headers: str) -> bytes:
    """An error as providers send it, with words and a key that no caller may see."""
    return reply(orjson.dumps({"error": {"message": WORDS, "type": "server_error", "code": SECRET}}), status, *headers)


def framed(data: bytes) -> bytes:
    """As one chunk of the chunked transfer coding."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@dataclass
class Wire:
    """One request that has been read, and the connection to answer it on."""

    path: str
    body: dict[str, object]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def silence(self) -> None:
        """Say nothing more until the gate has hung up."""
        await self.reader.read()


Script = Callable[[Wire], Awaitable[None]]


def sends(*parts: bytes) -> Script:
    async def script(wire: Wire) -> None:
        for part in parts:
            await wire.send(part)
            await asyncio.sleep(0)

    return script


def stalls(*parts: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await sends(*parts)(wire)
        await wire.silence()

    return script


def only_comments(*parts: bytes) -> Script:
    """A connection that is kept open, on which nothing more is said."""

    async def script(wire: Wire) -> None:
        await sends(*parts)(wire)
        hung_up = asyncio.create_task(wire.silence())
        while not hung_up.done():
            wire.writer.write(b": ping\n\n")
            await asyncio.wait((hung_up,), timeout=0.02)

    return script


@dataclass
class RawUpstream:
    """`scripts` by the model that is asked for. Of its connections, `taken` counts all, `open` those not ended."""

    port: int
    scripts: dict[str, Script] = field(default_factory=dict)
    taken: int = 0
    open: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = orjson.loads(await reader.readexactly(int(length[1]) if length else 0))
            path = head.split(b" ", 2)[1].decode()
            await self.scripts[body["model"]](Wire(path, body, reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the gate hung up, which is what most faults make it do
        finally:
            writer.close()
            self.open -= 1

    async def until_quiet(self) -> None:
        """Wait for the gate to let go of every connection; at most a second."""
        async with asyncio.timeout(1.0):
            while self.open:
                await asyncio.sleep(0.002)


@asynccontextmanager
async def raw_upstream() -> AsyncIterator[RawUpstream]:
    upstream = RawUpstream(0)
    server = await asyncio.start_server(upstream.handle, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with server:
        yield upstream


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that treats every connection so."""
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and never say a word, not even a TLS greeting."""
    await reader.read()
    writer.close()


async def answer_in_the_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a plain HTTP server says to a TLS greeting."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
    writer.close()


def self_signed() -> ssl.SSLContext:
    """Shows a certificate which nobody has reason to believe."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def post(gate: RunningGate, path: str, body: dict[str, Any]) -> tuple[int, Any, bytes]:
    """Status, headers and raw body of one call."""
    async with gate.http.post(f"{gate.url}/v1/{path}", json=body, headers=gate.headers) as response:
        return response.status, response.headers, await response.read()


def read_events(raw: bytes) -> list[Any]:
    """Each event's data as an object, `[DONE]` as that text. A stream that ends in mid event is a failure."""
    assert raw.endswith(b"\n\n"), raw[-200:]
    data = [block[6:] for block in raw[:-2].split(b"\n\n") if not block.startswith(b":")]
    return ["[DONE]" if item == b"[DONE]" else orjson.loads(item) for item in data]


def text_of(events: list[Any]) -> str:
    chunks = [body for body in events if body != "[DONE]" and "error" not in body]
    return "".join(choice["delta"].get("content") or "" for body in chunks for choice in body["choices"])


async def rows_of(gate: RunningGate, model: str) -> list[Any]:
    await gate.parts.ledger.flush()
    mine = usage_records.select().where(usage_records.c.requested_model == model).order_by(usage_records.c.at)
    async with gate.parts.database.connect() as connection:
        return list(await connection.execute(mine))


def state_of(gate: RunningGate, model: str) -> TargetState:
    return gate.parts.lines.current.router.find(model, None).targets[0].state


async def nothing_is_left(gate: RunningGate, upstream: RawUpstream, model: str) -> None:
    """No slot, no connection and no request in flight is held any more."""
    await gate.until_idle()
    await upstream.until_quiet()
    assert state_of(gate, model).in_flight == 0
