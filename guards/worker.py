"""A worker process: calls functions for `guards.pool`, one at a time, and ends with the process that started it.

    python -m guards.worker FD

Frames go over the inherited socket: a 4-byte big-endian length and that many bytes of msgpack. Nothing is pickled, and
functions are called by their name. What a function raises is told by its type and place only: its message may quote a
text. Libraries that would take seconds to load and that no work here needs (torch above all) cannot be imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec

MAX_FRAME = 32 * 2**20  # bytes
GRACE = 1.0  # seconds after its time that an orphan at work is ended in
LENGTH = struct.Struct(">I")
NICENESS = 5  # the event loop comes first where processors are short

_UNWANTED = ("torch", "tensorflow", "transformers", "cupy", "mxnet", "jax")


class Job(msgspec.Struct, frozen=True, tag="job", forbid_unknown_fields=True):
    """Call `function` (`module:name`) with `arguments`, in `limit` seconds. `loading`: no text is among the arguments,
    so what goes wrong may be told in full."""

    function: str
    arguments: list[Any]
    limit: float
    loading: bool = False


class Done(msgspec.Struct, frozen=True, tag="done", forbid_unknown_fields=True):
    result: Any


class Raised(msgspec.Struct, frozen=True, tag="raised", forbid_unknown_fields=True):
    """`error`: type and place. `message`: what it said, if it may be told."""

    error: str
    message: str | None = None


_job = msgspec.msgpack.Decoder(Job)
answer_of: msgspec.msgpack.Decoder[Done | Raised] = msgspec.msgpack.Decoder(Done | Raised)


class FrameTooLong(Exception):
    """A message does not fit a frame."""


def frame(message: Job | Done | Raised) -> bytes:
    """Raises FrameTooLong, and TypeError or ValueError for values that msgpack does not know."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameTooLong(f"a message of {len(body)} bytes; {MAX_FRAME} can be sent")
    return LENGTH.pack(len(body)) + body


def call(job: Job) -> bytes:
    """The frame that answers a job."""
    try:
        return frame(Done(_function(job.function)(*job.arguments)))
    except Exception as error:
        return frame(Raised(describe(error), str(error) if job.loading else None))


def describe(error: BaseException) -> str:
    """What kind of error it was and where it came up, without its message."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" at {PurePath(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
    return f"{type(error).__name__}{place}"


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def ready() -> None:
    """The first job of every worker."""


def serve(sock: socket.socket) -> None:
    """Answer jobs until the other side hangs up."""
    with sock.makefile("rb") as stream:
        while len(head := stream.read(LENGTH.size)) == LENGTH.size:
            size = LENGTH.unpack(head)[0]
            body = stream.read(size)
            if len(body) < size:
                return
            job = _job.decode(body)
            # The kernel ends the process when this runs out, whatever it is at: should nobody be left to do so.
            signal.setitimer(signal.ITIMER_REAL, job.limit + GRACE)
            answer = call(job)
            signal.setitimer(signal.ITIMER_REAL, 0)
            sock.sendall(answer)


def _end_with_parent(fd: int) -> None:
    """End the process at once when the other side is gone, also while a function runs."""
    poll = select.poll()
    poll.register(fd, 0)  # that it hung up is always reported
    poll.poll()
    os._exit(0)


def main(arguments: list[str]) -> int:
    """Serve on the inherited socket whose file descriptor is the one argument. Returns the exit status."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        print("usage: python -m guards.worker SOCKET_FD (started by guards.pool)", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it hangs up
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    for name in _UNWANTED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # importing it is an ImportError from now on
    with socket.socket(fileno=int(arguments[0])) as sock:
        threading.Thread(target=_end_with_parent, args=(sock.fileno(),), daemon=True).start()
        with contextlib.suppress(OSError):  # hung up while being answered
            serve(sock)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
