"""A served gate as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


async def start(directory: Path, *arguments: str) -> tuple[Process, str, str]:
    """A served gate in `directory`: the process, its base URL and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--port", "0", *arguments,
        cwd=directory, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(60):
        while "  curl -s " not in printed:
            line = (await process.stdout.readline()).decode()
            if not line:
                assert process.stderr is not None
                raise AssertionError((await process.stderr.read()).decode())
            printed += line
    found = re.search(r"http://\S+", printed)
    assert found is not None
    return process, found[0], printed


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[Process, str, str]]:
    process, url, printed = await start(directory)
    try:
        yield process, url, printed
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
