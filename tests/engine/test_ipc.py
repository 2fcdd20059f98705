"""Frames survive any cut of the byte stream; everything else is refused with a typed error."""

from __future__ import annotations

import socket
import struct

import msgspec
import pytest
from fake_runner import fake_config, fake_request, model_info
from hypothesis import given
from hypothesis import strategies as st

from engine import ipc
from engine.errors import (
    EngineConfigError,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    ModelFileError,
    PromptTooLong,
    QueueFull,
    UnsupportedParameter,
)
from engine.types import Delta, EngineStats, FinishReason

TO_ENGINE: list[ipc.ToEngine] = [
    ipc.Hello(fake_config()),
    ipc.Submit(fake_request("a", list(range(300)), 5, "tenant", seed=2**63, stop_token_ids=(1, 2))),
    ipc.Abort("a"),
    ipc.StatsRequest(),
]
FROM_ENGINE: list[ipc.FromEngine] = [
    ipc.Ready(model_info(blocks=3, block_size=4)),
    ipc.Failed("ModelFileError", "no such file"),
    ipc.Deltas(
        [
            Delta(id="a", tokens=[1, 2]),
            Delta(id="b", tokens=[], finish=FinishReason.STOP, completion_tokens=7),
        ],
        EngineStats(running=1),
    ),
    ipc.Rejected("a", "QueueFull", {"retry_after": 1.5}),
    ipc.Stats(EngineStats(waiting=2)),
]


@given(st.lists(st.integers(1, 400), max_size=12))
def test_messages_survive_any_cut_of_the_stream(cuts: list[int]) -> None:
    for messages, decoder in ((TO_ENGINE, ipc.to_engine), (FROM_ENGINE, ipc.from_engine)):
        reader = ipc.FrameReader(decoder)
        stream = b"".join(ipc.encode(message) for message in messages)
        received = []
        for cut in cuts:
            received += reader.feed(stream[:cut])
            stream = stream[cut:]
        assert received + reader.feed(stream) == messages


def test_every_single_byte_alone() -> None:
    reader = ipc.FrameReader(ipc.from_engine)
    received = [m for message in FROM_ENGINE for byte in ipc.encode(message) for m in reader.feed(bytes([byte]))]
    assert received == FROM_ENGINE


def test_an_oversized_frame_is_refused_at_its_length_and_never_buffered() -> None:
    reader = ipc.FrameReader(ipc.to_engine)
    with pytest.raises(ipc.ProtocolError, match="allowed"):
        reader.feed(struct.pack(">I", ipc.MAX_FRAME + 1))


def test_an_oversized_message_is_not_sent() -> None:
    with pytest.raises(ipc.ProtocolError, match="exceeds"):
        ipc.encode(ipc.Abort("x" * (ipc.MAX_FRAME + 1)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"hello",
        b"\x80\x04\x95",  # the beginning of a pickle
        msgspec.msgpack.encode({"type": "quit"}),
        msgspec.msgpack.encode({"type": "abort"}),
        msgspec.msgpack.encode({"type": "abort", "id": 3}),
        msgspec.msgpack.encode({"type": "abort", "id": "a", "more": 1}),
        msgspec.msgpack.encode({"type": "abort", "id": "a"})[:-1],
        msgspec.msgpack.encode({"type": "ready"}),
        b"\x82\xa4type\xa5abort\xa2id\xa1\xff",  # not UTF-8
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    reader = ipc.FrameReader(ipc.to_engine)
    with pytest.raises(ipc.ProtocolError):
        reader.feed(struct.pack(">I", len(body)) + body)


@given(st.binary(max_size=200))
def test_garbage_gives_a_typed_error_or_waits_for_more(data: bytes) -> None:
    reader = ipc.FrameReader(ipc.to_engine)
    try:
        assert reader.feed(data) == []
    except ipc.ProtocolError:
        return


@pytest.mark.parametrize(
    "error",
    [QueueFull(2.5), PromptTooLong(10, 20, 16), InvalidRequest("no", param="top_p"), InvalidRequest("no")],
)
def test_a_rejection_is_the_same_error_on_the_other_side(error: InvalidRequest | QueueFull) -> None:
    reader = ipc.FrameReader(ipc.from_engine)
    (frame,) = reader.feed(ipc.encode(ipc.rejection("a", error)))
    assert isinstance(frame, ipc.Rejected)
    rebuilt = ipc.request_error(frame)
    assert type(rebuilt) is type(error)
    assert (str(rebuilt), vars(rebuilt)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EngineConfigError("a"), EngineConfigError),
        (ModelFileError("b"), ModelFileError),
        (ValueError("c"), EngineUnavailable),
    ],
)
def test_a_failed_start_is_told_by_kind(error: Exception, expected: type[EngineError]) -> None:
    rebuilt = ipc.start_error(ipc.failure(error))
    assert type(rebuilt) is expected
    assert str(error) in str(rebuilt)


def test_a_subclass_of_a_request_error_arrives_as_its_base() -> None:
    rebuilt = ipc.request_error(ipc.rejection("a", UnsupportedParameter("no tools", param="tools")))
    assert isinstance(rebuilt, InvalidRequest)
    assert rebuilt.param == "tools"


def test_receive_tells_a_closed_peer_from_an_unfinished_frame() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        reader = ipc.FrameReader(ipc.to_engine)
        frame = ipc.encode(ipc.Abort("a"))
        with theirs:
            theirs.sendall(frame[:5])
            assert ipc.receive(ours, reader) == []
            theirs.sendall(frame[5:])
            assert ipc.receive(ours, reader) == [ipc.Abort("a")]
        assert ipc.receive(ours, reader) is None
