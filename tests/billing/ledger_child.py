"""A process with a ledger that dies by SIGKILL: `ledger_child.py MODE URL JOURNAL COUNT`. Not a test.

It writes the id of every record to its output as soon as `record` has returned.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from billkit import entry
from sqlalchemy.ext.asyncio import create_async_engine

from billing.journal import Journal
from billing.ledger import Ledger


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(mode: str, url: str, directory: str, count: int) -> None:
    journal = Journal(Path(directory), segment_bytes=4_000)
    ledger = Ledger(journal, create_async_engine(url), batch_rows=20, batch_seconds=0.001)
    await ledger.start()
    if mode == "before-deletion":
        journal.settle = die  # type: ignore[method-assign]
    for number in range(count):
        made = entry()
        ledger.record(made)
        os.write(1, f"{made.id}\n".encode())
        if mode == "half-written" and number == count // 2:
            await ledger.flush()
        elif mode == "under-load":
            await asyncio.sleep(0)
    if mode == "before-deletion":
        await ledger.flush()
    die()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
