"""The scripted upstream: answers each request by the script of the case that its prompt names.

A gateway strips headers and may rewrite paths, so a case is named in the prompt's text: `[[case:stall]]`, with an
argument `[[case:cut-every-byte/17]]`. What reached it is kept by case and argument.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

from conformance import shapes
from conformance.case import Case, Script
from conformance.exchange import Exchange, GatewayGone
from conformance.scripts import says

_MARK = re.compile(rb"\[\[case:([a-z0-9-]+)(?:/([A-Za-z0-9-]+))?\]\]")
_MAX_HEAD = 64 * 2**10
_HELLO = says("Hello", " there.")


class Upstream:
    """`exchanges` are by case id, as is what tells a waiting script to go on."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._scripts: Mapping[str, Script | None] = {case.id: case.script for case in cases}
        self.exchanges: defaultdict[str, list[Exchange]] = defaultdict(list)
        self.go_on: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def forget(self, case_id: str) -> None:
        """Start a case anew."""
        self.exchanges.pop(case_id, None)
        self.go_on.pop(case_id, None)

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (exchange := await _read_request(reader, writer)) is not None:
                with suppress(GatewayGone):
                    await self._answer(exchange)
                if not exchange.keep_alive:
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # a connection that does not carry a request is of no interest
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.path.endswith("/models"):
            await exchange.reply({"object": "list", "data": [{"id": "primary", "object": "model"}]})
            return
        mark = _MARK.search(exchange.raw)
        if mark is None:
            await answer_by_kind(exchange)
            return
        case_id = mark[1].decode()
        exchange.argument = (mark[2] or b"").decode()
        exchange.told = self.go_on[case_id]
        self.exchanges[case_id].append(exchange)
        await (self._scripts.get(case_id) or answer_by_kind)(exchange)


async def answer_by_kind(exchange: Exchange) -> None:
    """A sound answer to whatever is asked: what cases without a script get, and what names no case."""
    if exchange.method != "POST":
        await exchange.reply(shapes.error("This path takes POST.", "invalid_request_error"), 405)
    elif not _sound(exchange):
        await exchange.reply(shapes.error("The request is not right.", "invalid_request_error"), 400)
    elif exchange.path.endswith("/embeddings"):
        await exchange.reply(shapes.embeddings(exchange.body))
    elif exchange.path.endswith("/completions"):
        await _HELLO(exchange)
    else:
        await exchange.reply(shapes.error("There is no such path.", "invalid_request_error", "not_found"), 404)


def _sound(exchange: Exchange) -> bool:
    """Whether a provider would take this request: some gateways leave that to it."""
    asked = exchange.body
    if exchange.path.endswith("/chat/completions"):
        messages = asked.get("messages")
        listed = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
        return bool(listed and messages) and isinstance(asked.get("model"), str)
    return isinstance(asked.get("model"), str)


@asynccontextmanager
async def run_upstream(
    cases: Iterable[Case], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[Upstream, int]]:
    """Serve until the block is left. Yields the upstream and the port it listens on."""
    upstream = Upstream(cases)
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(upstream.serve_connection(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, host, port, limit=_MAX_HEAD)
    try:
        yield upstream, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    """The next request of a connection; None when there is none. Raises ValueError for what is not HTTP."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = request.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        raw = b"".join([part async for part in _chunks(reader)])
    else:
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
    keep_alive = headers.get("connection", "").lower() != "close"
    return Exchange(method, path.partition("?")[0], headers, raw, "", reader, writer, keep_alive=keep_alive)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).partition(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass
