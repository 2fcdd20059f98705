"""The queue in front of the engine: first come first served within a tenant, tenants take turns."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.sequence import Sequence


class WaitingQueue:
    """Sequences that never ran. One tenant's flood delays another's next request by one request only.

    A tenant is a request's `salt`. All operations are O(1).
    """

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, Sequence]] = {}  # both in order: whose turn, who came first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sequence]:
        for queue in self._tenants.values():
            yield from queue.values()

    def push(self, sequence: Sequence) -> None:
        self._tenants.setdefault(sequence.salt, {})[sequence.id] = sequence
        self._length += 1

    def peek(self) -> Sequence | None:
        """Who is next, or None."""
        for queue in self._tenants.values():
            return next(iter(queue.values()))
        return None

    def pop(self) -> Sequence:
        """Take who is next; its tenant goes to the end of the line. Raises IndexError when empty."""
        sequence = self.peek()
        if sequence is None:
            raise IndexError("nobody waits")
        self.remove(sequence)
        queue = self._tenants.pop(sequence.salt, None)
        if queue is not None:
            self._tenants[sequence.salt] = queue
        return sequence

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out wherever it stands. Raises KeyError if it does not wait."""
        queue = self._tenants[sequence.salt]
        del queue[sequence.id]
        if not queue:
            del self._tenants[sequence.salt]
        self._length -= 1
