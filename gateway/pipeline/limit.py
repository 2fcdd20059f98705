"""A time limit on what is awaited in a block: `asyncio.timeout` in a third of the steps. Every request has one."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Limit:
    """`with Limit(seconds):` cancels what the block awaits when the time is over, and raises TimeoutError then."""

    __slots__ = ("_before", "_expired", "_handle", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        if self._task is None:
            raise RuntimeError("a limit is for a task")
        self._expired = False
        self._before = self._task.cancelling()
        self._handle = self._task.get_loop().call_later(max(0.0, self._seconds), self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handle.cancel()
        task, self._task = self._task, None
        # Cancelled by somebody else as well: then it stays that.
        if self._expired and task is not None and task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        if self._task is not None:
            self._expired = True
            self._task.cancel()
