"""One POST over a connection of aiohttp's pool, without what its session does anew for every request.

A session builds URL, headers, cookies, a request and a task for each; here that is done once for each URL. Names,
proxies, TLS, the pool and the parser are aiohttp's. There are no redirects and no cookies.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

COPIED = 65_536  # bytes of a body that are copied behind the head, to be sent in one call


class Answer:
    """What a server answered; `content` is still coming.

    On leaving, the connection goes back to the pool if all of it was received, else it ends.
    """

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, status: int, headers: CIMultiDictProxy[str], content: aiohttp.StreamReader, connection: Connection
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection = connection

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self, limit: int) -> bytes | None:
        """The whole body; None if it is larger than `limit` bytes. Raises ClientError, OSError."""
        content = self.content
        part = await content.readany()
        if content.at_eof() and len(part) <= limit:
            return part
        parts = bytearray(part)
        while len(parts) <= limit:
            if content.at_eof():
                return bytes(parts)
            parts += await content.readany()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.release()


class Exchange:
    """POSTs to one URL with fixed headers. Make it in the event loop that uses it."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        connector: aiohttp.BaseConnector,
        timeout: aiohttp.ClientTimeout,
        proxy: str | None = None,
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        # Says where to connect to, and is never sent.
        self._place = aiohttp.ClientRequest(
            "POST",
            URL(url),
            headers=headers,
            loop=asyncio.get_running_loop(),
            proxy=None if proxy is None else URL(proxy),
        )
        self._head: bytes | None = None

    async def post(self, body: bytes) -> Answer:
        """Send `body`; the answer once its head is here. Raises ClientError, OSError, TimeoutError (no connection)."""
        connection = await self._connector.connect(self._place, [], self._timeout)
        try:
            protocol = connection.protocol
            if protocol is None or protocol.transport is None:
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(read_until_eof=True)
            head = b"%b%d\r\n\r\n" % (self._head or self._made_head(), len(body))
            if len(body) <= COPIED:
                protocol.transport.write(head + body)
            else:
                protocol.transport.writelines((head, body))
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    return Answer(message.code, message.headers, content, connection)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(error.message) from None
        except BaseException:
            connection.close()
            raise

    def _made_head(self) -> bytes:
        """All but the length. Made once the first connection is: only then it is known what a proxy is to be told."""
        place = self._place
        path = str(place.url) if place.proxy and not place.is_ssl() else place.url.raw_path_qs
        lines = [f"POST {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in place.headers.items() if name.lower() != "content-length"]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header has a line break")
        self._head = "\r\n".join([*lines, "content-length: "]).encode()
        return self._head
