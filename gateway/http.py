"""ASGI by hand for the spending routes: read a bounded body, send JSON, send an event stream.

The admin API uses FastAPI. These routes do not, because a framework's route costs more than all we do in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from gateway.errors import BodyTooLarge, GateError
from gateway.ids import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
STREAM_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")


_HEADERS = "sluicegate.headers"  # where a scope keeps them by name, once somebody has asked
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)


class ClientGone(Exception):
    """The caller closed the connection before its request was complete."""


def names(scope: Scope) -> dict[bytes, bytes]:
    """The headers by their (lower-case) names."""
    found: dict[bytes, bytes] | None = scope.get(_HEADERS)
    if found is None:
        found = scope[_HEADERS] = dict(reversed(scope["headers"]))  # of several the first stays
    return found


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name, decoded as latin-1 as HTTP has it."""
    value = names(scope).get(name)
    return None if value is None else value.decode("latin-1")


def request_id(scope: Scope) -> str:
    """The id this request goes by: the caller's own, where it is a plain word, else a new one."""
    asked = header(scope, b"x-request-id")
    return asked if asked and _REQUEST_ID.fullmatch(asked) else f"req_{new_id()}"


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body, at most `limit` bytes. Raises BodyTooLarge, ClientGone.

    A body that is not read to its end, here or by a route that refuses early, is read and thrown away by the server,
    so a caller still sending gets to read why.
    """
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if not more and not parts:
            return bytes(part)
        parts.append(part)
        if not more:
            return b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than this gate accepts ({limit} bytes).")


async def send_bytes(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, body: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send_bytes(send, status, orjson.dumps(body), [JSON_TYPE, *headers])


async def send_error(send: Send, error: GateError, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send_json(send, error.status, error.body(), [*headers, *error.headers, *retry_headers(error)])


def retry_headers(error: GateError) -> Headers:
    """When to try again: `retry-after` in whole seconds, and `x-should-retry`, which the official clients obey."""
    found: Headers = []
    if error.retry_after is not None:
        found.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    if error.should_retry is not None:
        found.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return found
