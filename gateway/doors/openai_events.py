"""How OpenAI's chat and completions endpoints write streams and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from gateway.errors import GateError
from gateway.pipeline.answer import Chunk

DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": keep-alive\n\n"


class EventEncoder:
    """Each chunk one `data` event, `[DONE]` at the end. `shape` turns a chat chunk's body into the endpoint's."""

    def __init__(self, shape: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
        self._shape = shape

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        shape = self._shape
        if shape is None:
            return b"".join([b"data: " + orjson.dumps(chunk.body) + b"\n\n" for chunk in chunks])
        return b"".join([b"data: " + orjson.dumps(shape(chunk.body)) + b"\n\n" for chunk in chunks])

    def end(self, chunks: Sequence[Chunk]) -> bytes:
        return self.chunks(chunks) + DONE

    def error(self, error: GateError) -> bytes:
        return b"data: " + orjson.dumps(error.body()) + b"\n\n"

    def heartbeat(self) -> bytes:
        return HEARTBEAT


def encode_error(error: GateError, request_id: str) -> bytes:
    return orjson.dumps(error.body())
