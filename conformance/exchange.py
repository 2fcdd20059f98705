"""One request as it reached the scripted upstream, and the means to answer it byte by byte.

HTTP/1.1 by hand: a web framework would not break off in the middle of a chunk, or lie about a length.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

_POLL = 0.01  # seconds between looks at whether the gateway is still there
_MAX_HOLD = 30.0  # seconds after which a silent answer is given up, whoever waits for it


class GatewayGone(Exception):
    """The gateway closed the connection before the answer was complete."""


@dataclass
class Exchange:
    """`left` is when the gateway was seen to have closed the connection early, on the clock of `time.monotonic`."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    raw: bytes
    argument: str  # what the case's mark carried after a slash
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    told: asyncio.Event = field(default_factory=asyncio.Event, repr=False)  # set by the case: go on
    left: float | None = None
    keep_alive: bool = True
    _chunked: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON object; empty where a gateway passed on something else."""
        try:
            found = json.loads(self.raw)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    @property
    def streamed(self) -> bool:
        return self.body.get("stream") is True

    async def reply(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        fields = {"content-type": "application/json", "content-length": str(len(raw)), **(headers or {})}
        await self._write(_head(status, fields) + raw)

    async def head(self, headers: Mapping[str, str] | None = None) -> None:
        """Open an event stream."""
        self._chunked = True
        fields = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
        await self._write(_head(200, {**fields, **(headers or {})}))

    async def send(self, data: bytes) -> None:
        """A piece of the stream, in a chunk and a write of its own. Raises GatewayGone."""
        await self._write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """The end of the stream as HTTP has it."""
        await self._write(b"0\r\n\r\n")

    async def stream(self, data: bytes) -> None:
        """A whole stream at once."""
        await self.head()
        await self.send(data)
        await self.end()

    async def bytes_one_by_one(self, data: bytes) -> None:
        """A whole stream, each byte in a chunk and a write of its own."""
        await self.head()
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(0)
        await self.end()

    async def pause(self, seconds: float) -> None:
        """Raises GatewayGone if the gateway closes the connection meanwhile."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            self._look()
            await asyncio.sleep(min(_POLL, left))

    async def until_told(self) -> None:
        """Wait for the case to tell this upstream to go on."""
        until = monotonic() + _MAX_HOLD
        while not self.told.is_set() and monotonic() < until:
            await self.pause(_POLL)

    async def hold(self) -> None:
        """Say nothing until the gateway goes."""
        await self.pause(_MAX_HOLD)
        self.cut()

    def cut(self) -> None:
        """Break the connection off, as a server that dies does."""
        self.keep_alive = False
        self.writer.transport.abort()

    def hang_up(self) -> None:
        """Close the connection once what was written is out, whatever the length that was told."""
        self.keep_alive = False
        self.writer.close()

    async def _write(self, data: bytes) -> None:
        self._look()
        self.writer.write(data)
        try:
            await self.writer.drain()
        except OSError:
            self._gone()

    def _look(self) -> None:
        if self.reader.at_eof() or self.reader.exception() is not None or self.writer.is_closing():
            self._gone()

    def _gone(self) -> None:
        self.left = self.left or monotonic()
        self.keep_alive = False
        raise GatewayGone


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
