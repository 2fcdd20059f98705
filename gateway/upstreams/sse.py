"""Server-sent events from bytes cut anywhere. https://html.spec.whatwg.org/multipage/server-sent-events.html

Only `data` fields matter to a model's stream; event names, ids, retry hints and comments are read and left.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_EVENT = 16 * 2**20  # bytes


class EventTooLarge(Exception):
    """An event grew past `MAX_EVENT` without an end."""


class EventParser:
    """Feed bytes as they come; complete events' data come out as bytes, so a character is never cut."""

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._pending = bytearray()  # an unfinished line
        self._data: list[bytes] = []  # the finished data lines of an unfinished event
        self._size = 0
        self._max_event = max_event
        self._skip_line_feed = False  # the last byte was CR: a LF right after it belongs to it

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield the data of each event that these bytes complete. Raises EventTooLarge."""
        if self._skip_line_feed and received:
            received = received.removeprefix(b"\n")
            self._skip_line_feed = False
        self._skip_line_feed = received.endswith(b"\r")
        self._pending += received
        if b"\n" not in received and b"\r" not in received:
            if self._size + len(self._pending) > self._max_event:
                raise EventTooLarge
            return
        lines = bytes(self._pending).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._pending = bytearray(lines.pop())
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            if not self._data:
                return None
            event = b"\n".join(self._data)
            self._data = []
            self._size = 0
            return event
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > self._max_event:
                raise EventTooLarge
        return None
