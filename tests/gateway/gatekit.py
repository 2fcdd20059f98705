"""A real gate on a real port, and an upstream whose answers a test writes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import openai
import orjson
import pytest
import uvicorn
from aiohttp import web

from gateway.app import App
from gateway.config import load_config
from gateway.listening import bind
from gateway.parts import Parts, open_parts
from gateway.storage.database import migrate, open_database

ADMIN_KEY = "sg-test-admin-key"


@dataclass
class RunningGate:
    """A gate under test."""

    url: str
    parts: Parts
    http: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {ADMIN_KEY}"})

    def client(self, key: str = ADMIN_KEY, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, **{"max_retries": 0, **options})

    async def post(self, body: Any, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any, Any]:
        """Status, headers and parsed body of one POST."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.http.post(
            self.url + path, data=raw, headers={"content-type": "application/json", **self.headers, **headers}
        ) as response:
            return response.status, response.headers, orjson.loads(await response.read())

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path, headers=self.headers) as response:
            return orjson.loads(await response.read())

    async def metrics(self) -> dict[str, float]:
        """Every sample on the metrics page by its name and labels as written there."""
        async with self.http.get(self.url + "/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def idle(self) -> bool:
        """Whether nothing is under way or held."""
        return self.parts.lines.current.admission.in_flight == 0

    async def until_idle(self) -> None:
        """Wait for what is under way to end; at most a second, the contract's limit for a caller that left."""
        async with asyncio.timeout(1.0):
            while not self.idle():
                await asyncio.sleep(0.005)

    async def rows(self) -> list[Any]:
        """The ledger, as it stands in the database."""
        from billing.tables import usage_records

        await self.parts.ledger.flush()
        async with self.parts.database.connect() as connection:
            return list(await connection.execute(usage_records.select().order_by(usage_records.c.at)))


class _Server(uvicorn.Server):
    """Ends when it is told to. uvicorn itself looks ten times a second, and waits as long again: too long for tests."""

    def __init__(self, app: App) -> None:
        super().__init__(uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, access_log=False))
        self._told = asyncio.Event()

    def stop(self) -> None:
        self._told.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # the date of all answers
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            _, late = await asyncio.wait(set(self.server_state.tasks), timeout=2)
            for task in late:
                task.cancel()


_migrated: bytes | None = None  # an empty SQLite database of the newest schema


async def _new_database(path: Path) -> None:
    """What a gate would make itself where no file is; copied, it is there in a tenth of the time."""
    global _migrated
    if _migrated is None:
        with TemporaryDirectory() as made:
            first = Path(made) / "first.db"
            database = open_database(f"sqlite+aiosqlite:///{first}")
            await migrate(database)
            await database.dispose()
            _migrated = first.read_bytes()
    if not path.exists():
        path.write_bytes(_migrated)


@asynccontextmanager
async def run_gate(
    directory: Path, text: str, env: dict[str, str] | None = None, *, state_dir: Path | None = None, server: str = ""
) -> AsyncIterator[RunningGate]:
    """Serve the configuration `text`, with its state in `directory`, until the block is left.

    `server`: more of that section, such as "max_body: 1MiB".
    """
    path = directory / "sluicegate.yaml"
    head = f"server: {{port: 0, state_dir: {state_dir or directory / 'state'}, {server}}}\nadmin_key: {ADMIN_KEY}\n"
    if "storage:" not in text:
        head += f"storage: {{url: 'sqlite+aiosqlite:///{directory / 'test.db'}'}}\n"
        await _new_database(directory / "test.db")
    path.write_text(head + text)
    config = load_config(path, env or {})
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(config, lambda: load_config(path, env or {})))
        sock = bind("127.0.0.1", 0)
        server = _Server(App(parts))
        serving = asyncio.create_task(server._serve([sock]))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        while not server.started:
            await asyncio.sleep(0.001)
        try:
            yield RunningGate(f"http://127.0.0.1:{sock.getsockname()[1]}", parts, http)
        finally:
            server.stop()
            await http.close()
            await serving


@dataclass
class ScriptedUpstream:
    """An OpenAI-compatible server. `answer` is called for each request, in place of a model."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]] | None = None
    disconnects: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if self.answer is None:
            return web.json_response(completion("Hello there."))
        try:
            return await self.answer(request, body)
        except (ConnectionResetError, asyncio.CancelledError):
            self.disconnects += 1
            raise


def completion(text: str, *, prompt: int = 9, completed: int = 3, **extra: Any) -> dict[str, Any]:
    """A whole reply as OpenAI sends it."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "upstream-model-2026",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed},
        **extra,
    }


def chunk(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "upstream-model-2026"}
    return {**base, "choices": [choice], **extra}


def events(pieces: list[str], *, usage: bool = True, done: bool = True) -> bytes:
    """A whole stream as OpenAI sends it, the text in these pieces."""
    chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
    chunks.append(chunk({}, "stop"))
    if usage:
        counted = {"prompt_tokens": 9, "completion_tokens": len(pieces), "total_tokens": 9 + len(pieces)}
        chunks.append({**chunk({}), "choices": [], "usage": counted})
    raw = b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in chunks)
    return raw + (b"data: [DONE]\n\n" if done else b"")


async def send_stream(request: web.Request, parts: list[bytes]) -> web.StreamResponse:
    """Write a stream in exactly these pieces."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for part in parts:
        await response.write(part)
        await asyncio.sleep(0)
    return response


async def send_paused(request: web.Request, first: str, go_on: asyncio.Event, rest: bytes = b"") -> web.StreamResponse:
    """Write a first piece of text, wait for the test, then write the rest."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: " + orjson.dumps(chunk({"content": first})) + b"\n\n")
    await go_on.wait()
    await response.write(rest)
    return response


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    scripted = ScriptedUpstream()
    app = web.Application(client_max_size=64 * 2**20)
    for path in ("chat/completions", "completions", "embeddings", "moderations"):
        app.router.add_post(f"/v1/{path}", scripted.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield scripted
    await runner.cleanup()


REMOTE = """
models:
  - name: assistant
    targets:
      - provider: openai
        model: upstream-model
        base_url: {url}
        api_key: sk-upstream-secret-0123456789
        retries: 0
        price: {{input: "0.15", cached_input: "0.075", output: "0.60"}}
guards:
  - {{name: pii, kind: pii, stages: [input, output], action: redact, restore: true, default: true}}
"""


@pytest.fixture
async def gate(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    """A gate in front of the scripted upstream, the PII guard on."""
    async with run_gate(tmp_path, REMOTE.format(url=upstream.url)) as running:
        yield running
