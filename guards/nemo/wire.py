"""What the gate's process and a rails' process say to each other: msgpack in frames, over a pair of sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from guards.types import Question, Stage
from guards.worker import LENGTH, MAX_FRAME


class Load(msgspec.Struct, frozen=True, tag="load"):
    """The first message: the folder, and the gate's model that its rails ask."""

    folder: str
    model: str | None
    stages: list[Stage]


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The answer. `fault`: why these rails cannot be run; `at` is the key of the guard's configuration at fault."""

    fault: str | None = None
    at: tuple[str | int, ...] = ()


class Check(msgspec.Struct, frozen=True, tag="check"):
    id: int
    guard: str
    stage: Stage
    text: str


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody waits for that check any more. It is answered all the same."""

    id: int


class Ruled(msgspec.Struct, frozen=True, tag="ruled"):
    id: int
    findings: Mapping[str, int]
    text: str | None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """`reason` quotes no text."""

    id: int
    reason: str


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A question to a model, for a check. `id` is the question's."""

    id: int
    check: int
    question: Question


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """`words` None: there is no answer, for that reason."""

    id: int
    words: str | None = None
    reason: str = ""


ToChild: TypeAlias = Load | Check | Cancel | Answer
ToGate: TypeAlias = Loaded | Ruled | Failed | Ask

to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
to_gate: msgspec.msgpack.Decoder[ToGate] = msgspec.msgpack.Decoder(ToGate)


def framed(message: ToChild | ToGate) -> bytes:
    """Raises ValueError for what cannot be sent: too much, or a text that is no Unicode."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a message of {len(body)} bytes; {MAX_FRAME} can be sent")
    return LENGTH.pack(len(body)) + body


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """The next message; None when the other side has hung up."""
    try:
        (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        return await reader.readexactly(size) if size <= MAX_FRAME else None
    except (asyncio.IncompleteReadError, OSError):
        return None
