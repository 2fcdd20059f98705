"""One connection to Valkey or Redis, shared by all that this process asks at once. Knows scripts, not what they do.

Commands leave in the order they are given and are answered in it, so none overtakes another. A client library takes
a connection from a pool for each command instead: that keeps no order and adds tens of microseconds to each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from gateway.admission.stores.address import Address
from gateway.admission.stores.base import StoreUnavailable
from gateway.admission.stores.scripts import SCRIPTS, Script

__all__ = ["Link", "ScriptError", "connect"]

Answer = Callable[[bytes | StoreUnavailable], None]

BULK, SIMPLE, INTEGER, ERROR = b"$+:-"
# What a server says that cannot serve now: another try, or another server, may help.
AWAY = frozenset(
    b"BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF MOVED NOAUTH NOPERM NOREPLICAS OOM READONLY WRONGPASS".split()
)


class ScriptError(StoreUnavailable):
    """The server is there but refused a script for what it found. Another try will not help."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A command that waits for its reply."""

    answer: Answer
    by_text: tuple[bytes, bytes, bytes] | None = None  # a script's command, in case the server does not know it
    sent_at: float = 0.0


class Link(asyncio.Protocol):
    """An open connection. A server that leaves a command unanswered for `patience` seconds ends it.

    When it ends, every command without an answer gets StoreUnavailable, and then `lost` is called, once.
    """

    def __init__(self, patience: float, lost: Callable[[Link], None]) -> None:
        self._patience = patience
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._asked: deque[_Asked] = deque()
        self._unread = b""
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._ended: StoreUnavailable | None = None

    @property
    def open(self) -> bool:
        return self._ended is None

    def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes], answer: Answer) -> None:
        """Send a script. `answer` is called once, with the reply or with why there is none."""
        head = b"*%d\r\n" % (3 + len(keys) + len(arguments))
        rest = _strings((b"%d" % len(keys), *keys, *arguments))
        self._send(b"".join((head, script.by_digest, rest)), _Asked(answer, (head, script.by_text, rest)))

    def send(self, *command: bytes) -> asyncio.Future[bytes]:
        """Send any command whose reply is one string or number."""
        reply: asyncio.Future[bytes] = self._loop.create_future()
        self._send(b"*%d\r\n%b" % (len(command), _strings(command)), _Asked(into(reply)))
        return reply

    def close(self) -> None:
        self._end(StoreUnavailable("the connection to the store was closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, error: Exception | None) -> None:
        self._end(StoreUnavailable(f"the store closed the connection{f': {error}' if error else ''}"))

    def data_received(self, data: bytes) -> None:
        if self._unread:
            data = self._unread + data
        at = 0
        while self._ended is None and (stop := data.find(b"\r\n", at)) >= 0:
            kind, reply, after = data[at], data[at + 1 : stop], stop + 2
            if kind == BULK:
                end = after + int(reply)
                if len(data) < end + 2:
                    break
                reply, after = data[after:end], end + 2
            at = after
            self._received(kind, reply)
        self._unread = data[at:]

    def _send(self, command: bytes, asked: _Asked) -> None:
        if self._ended is not None or self._transport is None:
            asked.answer(self._ended or StoreUnavailable("the store is not connected"))
            return
        asked.sent_at = self._loop.time()
        self._asked.append(asked)
        self._transport.write(command)
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)

    def _received(self, kind: int, reply: bytes) -> None:
        if not self._asked or kind not in (BULK, SIMPLE, INTEGER, ERROR):
            self._end(StoreUnavailable("the store's answer cannot be understood"))
            return
        asked = self._asked.popleft()
        if kind != ERROR:
            asked.answer(reply)
            return
        word = reply.split(b" ", 1)[0]
        text = reply.decode("utf-8", "replace")
        if word == b"NOSCRIPT" and asked.by_text is not None:
            self._send(b"".join(asked.by_text), _Asked(asked.answer))
        elif word in AWAY:
            error = StoreUnavailable(f"the store cannot serve now: {text}")
            asked.answer(error)
            self._end(error)
        else:
            asked.answer(ScriptError(f"the store refused a command: {text}"))

    def _look(self) -> None:
        """End the connection if its oldest command has waited too long; else look again when it would have."""
        self._watch = None
        if not self._asked:
            return
        due = self._asked[0].sent_at + self._patience
        if self._loop.time() >= due:
            self._end(StoreUnavailable(f"the store did not answer within {self._patience:g} s"))
        else:
            self._watch = self._loop.call_at(due, self._look)

    def _end(self, error: StoreUnavailable) -> None:
        if self._ended is not None:
            return
        self._ended = error
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._asked:
            self._asked.popleft().answer(StoreUnavailable(*error.args))
        self._lost(self)


def into(future: asyncio.Future[bytes]) -> Answer:
    """An Answer that fulfils a future, unless its waiter has gone."""

    def answer(reply: bytes | StoreUnavailable) -> None:
        if future.done():
            return
        if isinstance(reply, StoreUnavailable):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    return answer


async def connect(address: Address, patience: float, lost: Callable[[Link], None]) -> Link:
    """Open a connection that knows the scripts, within `patience` seconds. Raises StoreUnavailable."""
    link = Link(patience, lost)
    try:
        async with asyncio.timeout(patience):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: link, address.host, address.port, ssl=address.tls)
            if address.password is not None:
                user = [address.username.encode()] if address.username else []
                await link.send(b"AUTH", *user, address.password.encode())
            if address.database:
                await link.send(b"SELECT", b"%d" % address.database)
            for script in SCRIPTS:
                await link.send(b"SCRIPT", b"LOAD", script.text)
    except BaseException as error:
        link.close()
        if isinstance(error, OSError | UnicodeError):  # a TimeoutError is the first, a bad host name the second
            raise StoreUnavailable(f"the store cannot be reached: {str(error) or 'it does not answer'}") from None
        raise
    return link


def _strings(values: Iterable[bytes]) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(value), value) for value in values])
