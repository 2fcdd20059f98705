"""A response as a stream of server-sent events, numbered in their order. No `[DONE]`: the last event tells the end.

Shapes: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from gateway.doors.openai_events import HEARTBEAT
from gateway.doors.responses.items import Event
from gateway.doors.responses.output import Output
from gateway.doors.responses.reply import response
from gateway.doors.responses.request import Source
from gateway.errors import GateError
from gateway.pipeline.answer import Chunk


class ResponseStream:
    """Writes one stream. `clock` tells Unix time in seconds."""

    def __init__(self, source: Source, *, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._output = Output(source.id)
        self._frame: dict[str, Any] | None = None  # the first chunk's, once there was one
        self._usage: dict[str, Any] | None = None
        self._sequence = 0

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        return self._encode(self._events(chunks))

    def end(self, chunks: Sequence[Chunk]) -> bytes:
        return self._encode(self._events(chunks)) + self._encode(self._ending())

    def error(self, error: GateError) -> bytes:
        return self._encode([("error", {"code": error.code, "message": error.message, "param": error.param})])

    def heartbeat(self) -> bytes:
        return HEARTBEAT

    def _events(self, chunks: Sequence[Chunk]) -> Iterator[Event]:
        for chunk in chunks:
            body = chunk.body
            if self._frame is None:
                self._frame = body
                begun = response(self._source, body)
                yield "response.created", {"response": begun}
                yield "response.in_progress", {"response": begun}
            self._usage = body.get("usage") or self._usage
            for choice in body.get("choices") or ():
                if choice.get("index", 0) == 0:
                    yield from self._output.take(choice)

    def _ending(self) -> Iterator[Event]:
        yield from self._output.close()
        ended = response(
            self._source,
            self._frame or {},
            output=self._output,
            usage=self._usage,
            completed_at=int(self._clock()),
        )
        yield f"response.{self._output.status}", {"response": ended}

    def _encode(self, events: Iterator[Event] | Sequence[Event]) -> bytes:
        written = []
        for name, fields in events:
            body = orjson.dumps({"type": name, "sequence_number": self._sequence, **fields})
            self._sequence += 1
            written.append(b"event: " + name.encode() + b"\ndata: " + body + b"\n\n")
        return b"".join(written)
