"""Events from bytes, whatever the cuts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.sse import EventParser, EventTooLarge

STREAM = (
    ": a comment\r\n\r\n"
    "data: one\n\n"
    "event: chunk\ndata: two\ndata: lines\n\n"
    "data:no space\r\n\r\n"
    "id: 7\nretry: 10\n\n"
    'data: {"text": "안녕 👋🏽 é"}\r\r'
    "data: \n\n"
    "data: last\n\n"
    "data: never finished"
).encode()
EVENTS = [b"one", b"two\nlines", b"no space", '{"text": "안녕 👋🏽 é"}'.encode(), b"", b"last"]


def parse(parts: list[bytes]) -> list[bytes]:
    parser = EventParser()
    return [event for part in parts for event in parser.feed(part)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cuts_give_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in pairwise(edges)]) == EVENTS


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    assert parse([bytes([byte]) for byte in STREAM]) == EVENTS


@pytest.mark.parametrize("line_end", [b"", b"\n"])
def test_an_event_without_end_is_cut_off(line_end: bytes) -> None:
    parser = EventParser(max_event=1000)
    with pytest.raises(EventTooLarge):
        for _ in range(1000):
            list(parser.feed(b"data: " + b"x" * 100 + line_end))
