"""Several worker processes on one port: they serve, count, change and stop as one gate."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from gatekit import ADMIN_KEY, ScriptedUpstream, events, send_paused
from servekit import start
from test_server import ASK, accepts, failure

pytestmark = pytest.mark.slow  # each test starts three processes

CONFIG = """
admin_key: {admin}
shared_state: {{url: "{state}"}}
models:
  - name: assistant
    targets: [{{provider: openai, model: {model}, base_url: "{upstream}", api_key: x, retries: 0}}]
"""


class Gate:
    """A gate with two workers."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    @property
    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @asynccontextmanager
    async def session(self, worker: int | None = None) -> AsyncIterator[aiohttp.ClientSession]:
        """A session on one connection, which this worker has taken; whichever has if None."""
        async with asyncio.timeout(20), AsyncExitStack() as stack:
            while True:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    address = free.getsockname()
                connector = aiohttp.TCPConnector(limit=1, local_addr=address)
                headers = {"authorization": f"Bearer {ADMIN_KEY}"}
                http = await stack.enter_async_context(
                    aiohttp.ClientSession(self.url, connector=connector, headers=headers)
                )
                async with http.get("/health/live") as response:
                    assert await response.json() == {"status": "live"}
                if worker is None or serves(worker, address[1]):
                    break
            yield http

    async def target(self, worker: int | None = None) -> str:
        async with self.session(worker) as http, http.post("/v1/chat/completions", json=ASK) as response:
            assert response.status == 200
            return response.headers["x-sluicegate-target"]

    async def metrics(self, worker: int) -> dict[str, float]:
        async with self.session(worker) as http, http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def serves(worker: int, client_port: int) -> bool:
    """Whether the process has the connection from this port of ours."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[2].endswith(f":{client_port:04X}")}
    links = {os.readlink(link) for link in Path(f"/proc/{worker}/fd").iterdir() if link.is_symlink()}
    return any(f"socket:[{inode}]" in links for inode in inodes)


def write(directory: Path, state: str, upstream: ScriptedUpstream, model: str = "first") -> None:
    text = CONFIG.format(admin=ADMIN_KEY, state=state, upstream=upstream.url, model=model)
    (directory / "sluicegate.yaml").write_text(text)


@asynccontextmanager
async def running(directory: Path, state: str, upstream: ScriptedUpstream) -> AsyncIterator[Gate]:
    write(directory, state, upstream)
    process, url, printed = await start(directory, "--workers", "2")
    gate = Gate(process, url)
    pids = gate.workers
    assert printed.count("is ready at") == 1 and len(pids) == 2
    try:
        yield gate
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 10)
        for pid in [process.pid, *pids]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def served(gate: Gate, worker: int, target: str) -> None:
    async with asyncio.timeout(10):
        while await gate.target(worker) != target:
            await asyncio.sleep(0.01)


async def counted(gate: Gate, worker: int, name: str, value: float) -> dict[str, float]:
    """The page on which `name` has that value: a request is counted a moment after its caller has the answer."""
    async with asyncio.timeout(5):
        while (page := await gate.metrics(worker)).get(name) != value:
            await asyncio.sleep(0.05)
    return page


async def test_metrics_are_those_of_all_workers_also_of_one_that_died(
    tmp_path: Path, upstream: ScriptedUpstream, valkey_url: str
) -> None:
    count = 'sluicegate_requests_total{endpoint="chat/completions",model="assistant",status="200"}'
    async with running(tmp_path, valkey_url, upstream) as gate:
        first, second = gate.workers
        for worker, calls in ((first, 3), (second, 4)):
            for _ in range(calls):
                await gate.target(worker)
        for worker in (first, second):
            page = await counted(gate, worker, count, 7)
            assert page['sluicegate_upstream_attempts_total{outcome="ok",target="openai/first"}'] == 7
            assert page["sluicegate_inflight_requests"] == 0
            assert page['sluicegate_breaker_open{target="openai/first"}'] == 0
            assert page["sluicegate_ledger_lag_seconds"] >= 0
            assert page["process_resident_memory_bytes"] > 150e6
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(20):
            while first in gate.workers or len(gate.workers) < 2:
                await asyncio.sleep(0.05)
        assert await gate.target() == "openai/first"  # meanwhile the other has every connection
        [third] = set(gate.workers) - {second}
        await gate.target(third)
        await counted(gate, second, count, 9)
        gate.process.terminate()
        assert await asyncio.wait_for(gate.process.wait(), 10) == 0


async def test_a_reload_asked_of_one_worker_or_of_the_parent_reaches_all(
    tmp_path: Path, upstream: ScriptedUpstream, valkey_url: str
) -> None:
    async with running(tmp_path, valkey_url, upstream) as gate:
        workers = gate.workers
        write(tmp_path, valkey_url, upstream, "second")
        async with gate.session(workers[1]) as http, http.post("/admin/config/reload") as response:
            assert await response.json() == {"changed": ["models[assistant].targets[0].model"]}
        assert await gate.target(workers[1]) == "openai/second"
        await served(gate, workers[0], "openai/second")
        write(tmp_path, valkey_url, upstream, "third")
        gate.process.send_signal(signal.SIGHUP)
        for worker in workers:
            await served(gate, worker, "openai/third")
        async with gate.session() as http, http.get("/admin/audit") as response:
            entries = (await response.json())["data"]
        assert [entry["actor_id"] for entry in entries] == ["signal", "admin"]
        assert gate.workers == workers


async def test_sigterm_lets_workers_finish_their_streams_and_exits_0(
    tmp_path: Path, upstream: ScriptedUpstream, valkey_url: str
) -> None:
    go_on = asyncio.Event()
    upstream.answer = lambda request, body: send_paused(request, "first ", go_on, events(["last"]))
    async with running(tmp_path, valkey_url, upstream) as gate, gate.session() as http:
        workers = gate.workers
        async with http.post("/v1/chat/completions", json={**ASK, "stream": True}) as response:
            read = await response.content.readany()
            gate.process.terminate()
            async with asyncio.timeout(10):
                while len(gate.workers) > 1 or await accepts(gate.url):  # who has nothing to do leaves at once
                    await asyncio.sleep(0.01)
            go_on.set()
            assert b"last" in (read := read + await response.read()) and read.endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(gate.process.wait(), 10) == 0
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


async def test_workers_end_with_a_parent_that_was_killed(
    tmp_path: Path, upstream: ScriptedUpstream, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    async with running(tmp_path, valkey_url, upstream) as gate:
        workers = gate.workers
        assert list(temporary.iterdir())
        gate.process.kill()
        await gate.process.wait()
        async with asyncio.timeout(10):
            while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):
                await asyncio.sleep(0.01)
        assert not list(temporary.iterdir())


async def test_workers_that_cannot_be_are_refused(tmp_path: Path, upstream: ScriptedUpstream, valkey_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:  # as another gate with workers does
        write(tmp_path, valkey_url, upstream)
        code, said = await failure(tmp_path, "serve", "--port", str(taken.getsockname()[1]), "--workers", "2")
    assert (code, said.count("\n")) == (1, 1) and "cannot listen" in said
    serve = ("serve", "--port", "0", "--workers", "2")
    write(tmp_path, "memory://", upstream)
    code, said = await failure(tmp_path, *serve)
    assert (code, said.count("\n")) == (2, 1) and "shared_state" in said
    write(tmp_path, valkey_url, upstream)
    path = tmp_path / "sluicegate.yaml"
    (tmp_path / "m.gguf").touch()
    path.write_text(path.read_text() + "engine: {models: {small: {path: m.gguf}}}\n")
    code, said = await failure(tmp_path, *serve)
    assert (code, said.count("\n")) == (2, 1) and "engine.models" in said
    write(tmp_path, valkey_url, upstream)
    (tmp_path / ".sluicegate").write_text("no directory")
    code, said = await failure(tmp_path, *serve)
    assert code == 1 and said.count("sluicegate: ") == 1 and "Traceback" not in said
