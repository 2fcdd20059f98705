"""What every spending route does around its dialect: who calls, what they sent, the pipeline, and how it ended.

A plain ASGI endpoint. A `Door` brings the dialect; nothing here knows one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

import structlog

from billing.money import display
from gateway.admission.authenticate import Authenticator
from gateway.cache import controls
from gateway.cache.controls import Controls
from gateway.doors.heartbeat import Heartbeats
from gateway.errors import GateError, InternalError, InvalidRequest
from gateway.http import (
    JSON_TYPE,
    STREAM_TYPE,
    ClientGone,
    Headers,
    Receive,
    Scope,
    Send,
    header,
    names,
    read_body,
    request_id,
    retry_headers,
    send_bytes,
)
from gateway.ids import new_id
from gateway.pipeline.answer import Chunk, Reply
from gateway.pipeline.call import MAX_TAGS, Call
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.record import Record
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import conclude
from gateway.routing import difficulty
from gateway.texts import Slot
from guards.types import Scope as TextScope
from guards.types import Verdict

log = structlog.get_logger(__name__)

OVERRIDE_HEADER = difficulty.OVERRIDE_HEADER.encode()
TTL_HEADER = controls.TTL_HEADER.encode()
WATCH_SECONDS = 0.02  # how long a request runs before somebody looks whether its caller is still there
_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class StreamEncoder(Protocol):
    """Writes one stream in a dialect. One of `end` and `error` comes last."""

    def chunks(self, chunks: Sequence[Chunk]) -> bytes: ...

    def end(self, chunks: Sequence[Chunk]) -> bytes:
        """The last pieces, and what marks the stream as complete."""
        ...

    def error(self, error: GateError) -> bytes:
        """The one event that ends a stream which broke after its first byte. Nothing marks it as complete."""
        ...

    def heartbeat(self) -> bytes:
        """What clients read over: it keeps proxies from closing a silent connection."""
        ...


class Door(Protocol):
    """A dialect: what a module in `gateway.doors` offers."""

    ENDPOINT: str

    @staticmethod
    def parse(raw: bytes) -> Call:
        """Bytes to a Call. Raises InvalidRequest naming the field at fault."""
        ...

    @staticmethod
    def encode_reply(reply: Reply, call: Call) -> bytes: ...

    @staticmethod
    def open_stream(call: Call) -> StreamEncoder: ...

    @staticmethod
    def encode_error(error: GateError, request_id: str) -> bytes: ...


class SpendingEndpoint:
    """One route. Call it as an ASGI app. `pipeline` gives the one in force, which one request keeps to its end."""

    def __init__(
        self,
        door: Door,
        *,
        authenticator: Authenticator,
        pipeline: Callable[[], AbstractContextManager[Pipeline]],
        recorder: Recorder,
        heartbeats: Heartbeats,
        max_body: int,
        tells_guards: bool,
    ) -> None:
        self._door = door
        self._authenticator = authenticator
        self._pipeline = pipeline
        self._recorder = recorder
        self._heartbeats = heartbeats
        self._max_body = max_body
        self._tells_guards = tells_guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = _new_record(scope, self._door.ENDPOINT)
        writer = _Writer(self._door, record, send, self._tells_guards)
        with self._recorder.under_way(record):
            try:
                await self._serve(scope, receive, record, writer)
            except GateError as error:
                conclude(record, error)
                await writer.fail(error)
            except (ClientGone, asyncio.CancelledError) as error:
                conclude(record, error)
                if not isinstance(error, ClientGone) and not writer.caller_left:
                    raise
            except Exception as error:
                conclude(record, error)
                log.exception("request failed", request_id=record.request_id)
                await writer.fail(InternalError(f"The gate failed. Quote the request id {record.request_id}."))

    async def _serve(self, scope: Scope, receive: Receive, record: Record, writer: _Writer) -> None:
        record.principal = principal = await self._authenticator.authenticate(scope)
        writer.call = call = self._door.parse(await read_body(scope, receive, self._max_body))
        record.requested_model = call.model
        record.stream = call.stream
        sent = names(scope)
        if b"x-sluicegate-tags" in sent:
            call.tags = caller_tags = _tags(header(scope, b"x-sluicegate-tags"))
            call.slots.extend(Slot(caller_tags, name, TextScope.OTHER) for name in caller_tags)
        if OVERRIDE_HEADER in sent:
            call.difficulty = header(scope, OVERRIDE_HEADER)
        if b"cache-control" in sent or TTL_HEADER in sent:
            call.cache = Controls.parse(header(scope, b"cache-control"), header(scope, TTL_HEADER))
        with self._pipeline() as pipeline:
            serving = pipeline.serve(call, principal, record, writer)
            if not call.stream:
                await writer.while_connected(receive, serving)
                return
            with self._heartbeats.watching(writer):
                await writer.while_connected(receive, serving)


class _Writer:
    """Writes one answer, and knows whether the caller is still there."""

    def __init__(self, door: Door, record: Record, send: Send, tells_guards: bool) -> None:
        self._door = door
        self._record = record
        self._send = send
        self._tells_guards = tells_guards
        self._stream: StreamEncoder | None = None  # set once its first byte was sent
        self._ended = False
        self._at_work: asyncio.Task[Any] | None = None  # while it is
        self._watcher: asyncio.Task[None] | None = None
        self.written: float | None = None
        self.call: Call | None = None  # set once it is parsed
        self.caller_left = False

    async def while_connected(self, receive: Receive, work: Awaitable[None]) -> None:
        """Await `work`, cancelled as soon as the caller disconnects."""
        self._at_work = task = asyncio.current_task()
        assert task is not None
        # A task costs more than a quick answer should: those are over before it is made.
        later = task.get_loop().call_later(WATCH_SECONDS, self._watch, receive)
        try:
            await work
        finally:
            self._at_work = None
            later.cancel()
            if self._watcher is not None:
                self._watcher.cancel()
            if self.caller_left:
                task.uncancel()

    def _watch(self, receive: Receive) -> None:
        self._watcher = asyncio.create_task(_disconnected(receive))
        self._watcher.add_done_callback(self._leave)

    def _leave(self, done: asyncio.Task[None]) -> None:
        # Once the last byte is written uvicorn reports a disconnect too; that is no leaving.
        if self._at_work is not None and not self._ended and not done.cancelled():
            self.caller_left = True
            self._at_work.cancel()

    async def reply(self, reply: Reply) -> None:
        assert self.call is not None
        cost = (b"x-sluicegate-cost-usd", display(self._record.cost).encode())
        body = self._door.encode_reply(reply, self.call)
        self._ended = True
        await send_bytes(self._send, 200, body, [JSON_TYPE, *self._headers(), cost])

    async def chunks(self, chunks: list[Chunk]) -> None:
        stream = await self._opened()
        await self._body(stream.chunks(chunks), more=True)

    async def heartbeat(self) -> None:
        if self._stream is not None and not self._ended:
            await self._body(self._stream.heartbeat(), more=True)

    async def end(self, chunks: list[Chunk]) -> None:
        stream = await self._opened()
        body = stream.end(chunks)
        self._ended = True
        await self._body(body, more=False)

    async def fail(self, error: GateError) -> None:
        """Tell the caller of an error, in the way that is still open."""
        if self._ended:
            return
        self._ended = True
        if self._stream is not None:
            await self._body(self._stream.error(error), more=False)
            return
        body = self._door.encode_error(error, self._record.request_id)
        headers = [JSON_TYPE, *self._headers(), *error.headers, *retry_headers(error)]
        await send_bytes(self._send, error.status, body, headers)

    async def _opened(self) -> StreamEncoder:
        """The stream's encoder; the first call sends the head of the answer."""
        if self._stream is None:
            assert self.call is not None
            self._stream = self._door.open_stream(self.call)
            headers = [
                STREAM_TYPE,
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                *self._headers(),
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        return self._stream

    async def _body(self, body: bytes, *, more: bool) -> None:
        self.written = None
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self.written = monotonic()

    def _headers(self) -> Headers:
        record = self._record
        request_id = record.request_id.encode()
        headers = [(b"x-request-id", request_id), (b"request-id", request_id)]  # OpenAI's clients and Anthropic's
        if record.model is not None:
            headers.append((b"x-sluicegate-model", record.model.encode()))
        if record.target is not None:
            headers.append((b"x-sluicegate-target", record.target.encode()))
        if record.cache is not None:
            headers.append((b"x-sluicegate-cache", record.cache.encode()))
        if record.rates is not None:
            headers += record.rates.headers
        if self._tells_guards and (told := guards_header(record.verdicts)):
            headers.append((b"x-sluicegate-guards", told))
        return headers


def guards_header(verdicts: Sequence[Verdict]) -> bytes:
    """What guards did, as far as it is told to callers: `pii;stage=input;action=redact;email=2, ...`."""
    return ", ".join(
        f"{verdict.guard};stage={verdict.stage.value};action={verdict.action.value}"
        + "".join(f";{kind.lower()}={count}" for kind, count in verdict.findings.items())
        for verdict in verdicts
        if verdict.is_told
    ).encode()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _new_record(scope: Scope, endpoint: str) -> Record:
    return Record(
        id=new_id(),
        request_id=request_id(scope),
        traceparent=header(scope, b"traceparent") if b"traceparent" in names(scope) else None,
        endpoint=endpoint,
        started_at=datetime.now(UTC),
        started=monotonic(),
    )


def _tags(text: str | None) -> dict[str, str]:
    """`feature=search,customer=acme`. Raises InvalidRequest for anything else: a bill must not lose a tag."""
    if not text or not text.strip():
        return {}
    tags: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not separator or not _TAG_NAME.fullmatch(name) or not 0 < len(value) <= 256:
            raise InvalidRequest(
                "The header x-sluicegate-tags must look like 'feature=search,customer=acme' (names of letters, digits, "
                "'_', '.', '-', at most 64; values of at most 256 characters).",
                param="x-sluicegate-tags",
            )
        tags[name] = value
    if len(tags) > MAX_TAGS:
        raise InvalidRequest(f"At most {MAX_TAGS} tags are taken.", param="x-sluicegate-tags")
    return tags
