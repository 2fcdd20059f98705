"""POSTs over pooled connections: what leaves, what comes back, and when a connection is used again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.upstreams.exchange import COPIED, Exchange

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello"
Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request by a script; keeps the heads and bodies it got, and counts connections."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0])))
                await self._script(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def says(*parts: bytes) -> Script:
    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)

    return script


@asynccontextmanager
async def talking(script: Script, **headers: str) -> AsyncIterator[tuple[Server, Exchange]]:
    server = Server(script)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/chat?a=b"
    connector = aiohttp.TCPConnector(limit=0)
    yield server, Exchange(url, {"authorization": "Bearer k", **headers}, connector, aiohttp.ClientTimeout(connect=1))
    await connector.close()
    listening.close()


async def ask(exchange: Exchange, body: bytes = b"{}", limit: int = 100) -> bytes | None:
    with await exchange.post(body) as answer:
        return await answer.read(limit)


async def test_what_leaves_is_the_fixed_headers_and_the_body() -> None:
    async with talking(says(OK)) as (server, exchange):
        assert await ask(exchange, b"one") == b"Hello"
    lines = server.heads[0].lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat?a=b http/1.1"
    assert {line.split(b":")[0] for line in lines[1:] if line} == {
        b"host", b"authorization", b"accept", b"accept-encoding", b"user-agent", b"content-length",
    }  # fmt: skip
    assert server.bodies == [b"one"] and lines.count(b"content-length: 3") == 1


@pytest.mark.parametrize("size", [0, COPIED, COPIED + 1, 3 * 2**20])
async def test_a_body_of_any_size_arrives_whole(size: int) -> None:
    async with talking(says(OK)) as (server, exchange):
        assert await ask(exchange, bytes(range(256)) * (size // 256) + b"x" * (size % 256)) == b"Hello"
    assert [len(body) for body in server.bodies] == [size]


async def test_a_connection_is_used_again_once_its_answer_was_read() -> None:
    async with talking(says(OK)) as (server, exchange):
        for _ in range(3):
            assert await ask(exchange) == b"Hello"
        assert server.connections == 1


async def test_a_connection_whose_answer_was_left_is_not() -> None:
    async with talking(says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nHel")) as (server, exchange):
        for _ in range(2):
            with await exchange.post(b"{}") as answer:
                assert answer.status == 200
        assert server.connections == 2


async def test_who_is_cancelled_leaves_no_connection_behind() -> None:
    async with talking(says(b"HTTP/1.1 200 OK\r\n")) as (server, exchange):
        task = asyncio.create_task(ask(exchange))
        while not server.heads:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        server._script = says(OK)
        assert await ask(exchange) == b"Hello" and server.connections == 2


async def test_early_hints_are_read_over() -> None:
    async with talking(says(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK)) as (_, exchange):
        assert await ask(exchange) == b"Hello"


async def test_an_answer_in_chunks_or_until_the_end_is_read_whole() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with talking(says(chunked + b"3\r\nHel\r\n", b"2\r\nlo\r\n", b"0\r\n\r\n")) as (_, exchange):
        assert await ask(exchange) == b"Hello"

    async def until_closed(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nHello")
        writer.close()

    async with talking(until_closed) as (_, exchange):
        assert await ask(exchange) == b"Hello"


@pytest.mark.parametrize("parts", [[OK], [OK[:-2], OK[-2:]]])
async def test_more_than_the_limit_is_no_answer(parts: list[bytes]) -> None:
    async with talking(says(*parts)) as (_, exchange):
        assert await ask(exchange, limit=4) is None
        assert await ask(exchange, limit=5) == b"Hello"


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 9000 + b"\r\n\r\n"])
async def test_what_is_not_http_is_a_client_error(raw: bytes) -> None:
    async with talking(says(raw)) as (_, exchange):
        with pytest.raises(aiohttp.ClientError):
            await ask(exchange)


async def test_a_server_that_hangs_up_is_a_client_error() -> None:
    async def hang_up(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with talking(hang_up) as (_, exchange):
        with pytest.raises(aiohttp.ClientError):
            await ask(exchange)


async def test_no_cookie_comes_back_with_another_request() -> None:
    async with talking(says(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\n" + OK.split(b"\r\n", 1)[1])) as (server, exchange):
        await ask(exchange)
        await ask(exchange)
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_a_header_with_a_line_break_is_never_sent() -> None:
    async with talking(says(OK), **{"x-key": "a\r\nx-more: b"}) as (server, exchange):
        with pytest.raises(ValueError):
            await ask(exchange)
    assert server.heads == []
