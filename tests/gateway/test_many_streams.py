"""A thousand streams at once, and a caller who does not read: nothing lost, nothing mixed up, memory flat.

The gate is a process of its own, so that its memory can be read. `bench/streams.py` takes longer over it.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from faultkit import DONE, END, STREAM, RawUpstream, Wire, event, piece, raw_upstream, reply
from gatekit import completion
from servekit import serving

pytestmark = pytest.mark.slow  # hundreds of streams

STREAMS = 1_000
BEATS = 10  # events of text that each of them has
WARM = 3  # of these are over when memory is first read
FILES = 8_192
USAGE = {"prompt_tokens": 5, "completion_tokens": BEATS}
KEY = "sg-many-streams"
MIB = 2**20
CONFIG = """
admin_key: {key}
models:
  - name: assistant
    targets: [{{provider: openai, model: slow, base_url: "http://127.0.0.1:{port}/v1", price: {{input: "1", output: "10"}}}}]
telemetry: {{log_level: error}}
"""  # noqa: E501


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Room for as many connections, here and in the gate, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(FILES, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def served(directory: Path, upstream: RawUpstream) -> AsyncIterator[tuple[Process, str, aiohttp.ClientSession]]:
    """The gate's process, its base URL, and a client with as many connections as it wants."""
    (directory / "sluicegate.yaml").write_text(CONFIG.format(key=KEY, port=upstream.port))
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        serving(directory) as (process, url, _),
        aiohttp.ClientSession(connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as http,
    ):
        yield process, url, http


def resident(process: Process) -> int:
    """Bytes of the process's memory that are in use."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


async def read_json(http: aiohttp.ClientSession, url: str, **request: Any) -> Any:
    async with http.request("POST" if request else "GET", url, **request) as response:
        return orjson.loads(await response.read())


async def until_idle(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until no target has a request under way; at most two seconds."""
    async with asyncio.timeout(2.0):
        while (await read_json(http, f"{url}/admin/models"))["data"][0]["targets"][0]["in_flight"]:
            await asyncio.sleep(0.01)


async def words(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """What each event says, as it comes; `[DONE]` last if it is there."""
    async for line in response.content:
        data = line.removeprefix(b"data: ").strip()
        if data == b"[DONE]":
            yield "[DONE]"
        elif line.startswith(b"data: "):
            (choice,) = orjson.loads(data)["choices"]
            if text := choice["delta"].get("content"):
                yield text


class Conductor:
    """All streams send an event at each beat, and the next beat comes when every caller has that event."""

    def __init__(self) -> None:
        self.beats = [asyncio.Event() for _ in range(BEATS)]
        self.heard = [asyncio.Semaphore(0) for _ in range(BEATS)]

    async def send(self, wire: Wire) -> None:
        """The upstream's side: names itself by the caller's own words in every event."""
        messages: Any = wire.body["messages"]
        await wire.send(STREAM)
        for number, beat in enumerate(self.beats):
            await beat.wait()
            await wire.send(piece(f"{messages[0]['content']}.{number} "))
        await wire.send(END + event({"choices": [], "usage": USAGE}) + DONE)

    async def listen(self, http: aiohttp.ClientSession, url: str, name: str) -> list[str]:
        """A caller's side."""
        heard: list[str] = []
        body = chat(name, stream=True)
        async with http.post(f"{url}/v1/chat/completions", json=body) as response, aclosing(words(response)) as said:
            assert response.status == 200, await response.read()
            async for word in said:
                heard.append(word)
                if len(heard) <= BEATS:
                    self.heard[len(heard) - 1].release()
        return heard

    async def beat(self, number: int) -> None:
        """Let everyone send one event, and wait until every caller has it."""
        self.beats[number].set()
        for _ in range(STREAMS):
            await self.heard[number].acquire()


def chat(name: str, *, stream: bool) -> dict[str, Any]:
    return {"model": "assistant", "stream": stream, "messages": [{"role": "user", "content": name}]}


@pytest.mark.slow
async def test_a_thousand_streams_at_once_lose_nothing_and_memory_stays_flat(tmp_path: Path) -> None:
    conductor = Conductor()
    async with raw_upstream() as upstream, served(tmp_path, upstream) as (process, url, http):
        upstream.scripts["slow"] = conductor.send
        limit = {"name": "many", "limits": {"concurrent_requests": STREAMS}}
        http.headers["authorization"] = f"Bearer {(await read_json(http, f'{url}/admin/keys', json=limit))['key']}"
        async with asyncio.timeout(60), asyncio.TaskGroup() as callers:
            listening = [callers.create_task(conductor.listen(http, url, f"s{name}")) for name in range(STREAMS)]
            for number in range(WARM):
                await conductor.beat(number)
            warm = resident(process)
            refused = await read_json(http, f"{url}/v1/chat/completions", json=chat("one more", stream=False))
            assert refused["error"]["code"] == "rate_limit_exceeded"
            for number in range(WARM, BEATS):
                await conductor.beat(number)
            grown = resident(process) - warm
        heard = [caller.result() for caller in listening]
        assert heard == [[*(f"s{name}.{number} " for number in range(BEATS)), "[DONE]"] for name in range(STREAMS)]
        assert grown < 8 * MIB, grown
        await all_slots_are_free(http, url, upstream)
        assert resident(process) - warm < 16 * MIB
        http.headers["authorization"] = f"Bearer {KEY}"
        await until_idle(http, url)
        await upstream.until_quiet()
        total = (await read_json(http, f"{url}/admin/usage?group_by=key"))["total"]
        told = [total[name] for name in ("requests", "input_tokens", "output_tokens")]
        assert told == [2 * STREAMS, 2 * 5 * STREAMS, 2 * BEATS * STREAMS]


async def all_slots_are_free(http: aiohttp.ClientSession, url: str, upstream: RawUpstream) -> None:
    """As many calls as the key may have at once are all let through to the upstream before any is answered."""
    arrived = asyncio.Barrier(STREAMS)

    async def answer(wire: Wire) -> None:
        await arrived.wait()
        await wire.send(reply(orjson.dumps({**completion("Yes."), "usage": USAGE})))

    async def one() -> int:
        async with http.post(f"{url}/v1/chat/completions", json=chat("again", stream=False)) as response:
            return response.status

    upstream.scripts["slow"] = answer
    async with asyncio.timeout(30):
        assert await asyncio.gather(*(one() for _ in range(STREAMS))) == [200] * STREAMS


PIECE = piece("x" * 2**16)
PIECES = 1_000  # 62 MiB: some four times what sockets on the way may hold
STUCK_SECONDS = 1.0  # without room for another byte the upstream is taken to be held back


class Flood:
    """An upstream that sends as fast as it may. `stuck` is set once the gate takes nothing more."""

    def __init__(self) -> None:
        self.sent = 0
        self.stuck = asyncio.Event()

    async def send(self, wire: Wire) -> None:
        await wire.send(STREAM)
        for _ in range(PIECES):
            wire.writer.write(PIECE)
            drained = asyncio.create_task(wire.writer.drain())
            await asyncio.wait((drained,), timeout=STUCK_SECONDS)
            if not drained.done():
                self.stuck.set()
            await drained
            self.sent += 1
        self.stuck.set()
        await wire.send(END + DONE)


@pytest.mark.parametrize("then", ["reads on", "leaves"])
async def test_a_caller_that_does_not_read_holds_the_upstream_back(tmp_path: Path, then: str) -> None:
    flood = Flood()
    async with raw_upstream() as upstream, served(tmp_path, upstream) as (process, url, http):
        upstream.scripts["slow"] = flood.send
        await until_idle(http, url)
        before = resident(process)
        reader, writer = await slow_reader(url)
        async with asyncio.timeout(30):
            assert b" 200 " in await reader.readline()
            await flood.stuck.wait()
        assert flood.sent < PIECES
        assert resident(process) - before < 16 * MIB
        if then == "leaves":
            writer.close()
        else:
            async with asyncio.timeout(30):
                said = await reader.read()
            assert said.count(b"x") >= PIECES * 2**16 and said.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await until_idle(http, url)
        await upstream.until_quiet()
        (row,) = (await read_json(http, f"{url}/admin/usage/records"))["data"]
        assert row["outcome"] == ("client_closed" if then == "leaves" else "ok")


async def slow_reader(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A caller whose socket holds little; it has asked, and reads when the test does."""
    host, port = url.removeprefix("http://").split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2**16)
    body = orjson.dumps(chat("flood", stream=True))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer
