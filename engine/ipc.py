"""Frames between the engine process and its client: what may be said, and how it is written on a byte stream.

A frame is a 4-byte big-endian length and that many bytes of msgpack holding one tagged message. Both sides
check every message against its type on arrival; nothing is ever unpickled. No sockets are opened here and
no torch is imported.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Generic, TypeVar

import msgspec

from engine.config import EngineConfig
from engine.errors import (
    EngineConfigError,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    ModelFileError,
    PromptTooLong,
    QueueFull,
)
from engine.types import Delta, EngineStats, ModelInfo, Request

MAX_FRAME = 16 * 2**20  # bytes; a prompt of a million tokens takes five
_LENGTH = struct.Struct(">I")


class ProtocolError(EngineError):
    """The peer sent something that is not a frame, or a frame would be too large to send."""


class Hello(msgspec.Struct, frozen=True, tag="hello", forbid_unknown_fields=True):
    """First frame of a client: what to serve."""

    config: EngineConfig


class Submit(msgspec.Struct, frozen=True, tag="submit", forbid_unknown_fields=True):
    """Answered by `Rejected`, or by deltas of which the last has `finish`."""

    request: Request


class Abort(msgspec.Struct, frozen=True, tag="abort", forbid_unknown_fields=True):
    """Answered by a last delta with `finish` ABORT, unless the request has ended already."""

    id: str


class StatsRequest(msgspec.Struct, frozen=True, tag="stats_request", forbid_unknown_fields=True):
    """Answered by one `Stats`, in order; also the heartbeat."""


class Ready(msgspec.Struct, frozen=True, tag="ready", forbid_unknown_fields=True):
    """The model is loaded; requests may come."""

    info: ModelInfo


class Failed(msgspec.Struct, frozen=True, tag="failed", forbid_unknown_fields=True):
    """The model cannot be served; the process ends."""

    kind: str
    message: str


class Deltas(msgspec.Struct, frozen=True, tag="deltas", forbid_unknown_fields=True):
    """All that one step brought, for all sequences, and the statistics after it."""

    deltas: list[Delta]
    stats: EngineStats


class Rejected(msgspec.Struct, frozen=True, tag="rejected", forbid_unknown_fields=True):
    """A submitted request was not taken; `kind` and `fields` rebuild the error (see `request_error`)."""

    id: str
    kind: str
    fields: dict[str, int | float | str | None]


class Stats(msgspec.Struct, frozen=True, tag="stats", forbid_unknown_fields=True):
    stats: EngineStats


ToEngine = Hello | Submit | Abort | StatsRequest
FromEngine = Ready | Failed | Deltas | Rejected | Stats
Message = ToEngine | FromEngine

_encoder = msgspec.msgpack.Encoder()
to_engine: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
from_engine: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)

M = TypeVar("M")


def encode(message: Message) -> bytes:
    """One frame. Raises ProtocolError if it is larger than MAX_FRAME."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a frame of {len(body)} bytes exceeds {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


class FrameReader(Generic[M]):
    """Cuts a byte stream into messages, however the bytes arrive. Buffers at most one frame and one piece."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[M]:
        """The messages that are complete now.

        Raises ProtocolError for a length over MAX_FRAME, as soon as the length is seen, and for contents of
        the wrong shape. The stream is unusable afterwards.
        """
        self._buffer += data
        messages: list[M] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes was announced, {MAX_FRAME} are allowed")
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(self._decode(bytes(self._buffer[start + _LENGTH.size : end])))
            start = end
        del self._buffer[:start]
        return messages

    def _decode(self, body: bytes) -> M:
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"a frame could not be read: {error}") from error


def receive(sock: socket.socket, reader: FrameReader[M], *, wait: bool = True) -> list[M] | None:
    """Take some bytes from a blocking socket and return the messages they complete, maybe none yet.

    None when the peer has closed. Without `wait`, nothing to read is no message. Raises ProtocolError.
    """
    try:
        data = sock.recv(2**18, 0 if wait else socket.MSG_DONTWAIT)
    except BlockingIOError:
        return []
    except ConnectionResetError:
        return None
    return reader.feed(data) if data else None


def rejection(request_id: str, error: InvalidRequest | QueueFull) -> Rejected:
    """The frame that carries an error of `submit`."""
    if isinstance(error, QueueFull):
        return Rejected(request_id, "QueueFull", {"retry_after": error.retry_after})
    if isinstance(error, PromptTooLong):
        numbers = ("prompt_tokens", "max_tokens", "context")
        return Rejected(request_id, "PromptTooLong", {name: getattr(error, name) for name in numbers})
    return Rejected(request_id, "InvalidRequest", {"message": str(error), "param": error.param})


_REQUEST_ERRORS: dict[str, type[EngineError]] = {
    error.__name__: error for error in (QueueFull, PromptTooLong, InvalidRequest)
}
_START_ERRORS: dict[str, type[EngineError]] = {error.__name__: error for error in (EngineConfigError, ModelFileError)}


def request_error(rejected: Rejected) -> EngineError:
    """The error a `Rejected` frame stands for, of the same type as in the engine."""
    kind = _REQUEST_ERRORS.get(rejected.kind)
    if kind is None:
        return EngineUnavailable(f"the engine refused the request ({rejected.kind})")
    fields: dict[str, Any] = dict(rejected.fields)
    return kind(**fields)


def failure(error: BaseException) -> Failed:
    """The frame that says why a model could not be loaded."""
    return Failed(type(error).__name__, str(error))


def start_error(failed: Failed) -> EngineError:
    """The error a `Failed` frame stands for; EngineUnavailable unless configuration or file are at fault."""
    kind = _START_ERRORS.get(failed.kind)
    return kind(failed.message) if kind else EngineUnavailable(f"{failed.kind}: {failed.message}")
