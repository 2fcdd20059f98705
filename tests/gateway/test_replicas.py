"""Four gates that share a PostgreSQL and a Valkey keep one key's limits together, to the call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gatekit import ADMIN_KEY, ScriptedUpstream, completion
from servekit import serving

pytestmark = pytest.mark.slow  # four processes at once

CONFIG = """
admin_key: {admin}
storage: {{url: "{database}"}}
shared_state: {{url: "{state}"}}
models:
  - name: assistant
    targets:
      - provider: openai
        model: upstream-model
        base_url: {upstream}
        retries: 0
        price: {{input: "0", output: "1000"}}
"""
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
TOKENS = 1 + 4 + 10
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}


@dataclass
class Replicas:
    urls: list[str]
    http: aiohttp.ClientSession

    async def post(self, replica: int, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        async with self.http.post(self.urls[replica % 4] + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def key(self, **fields: Any) -> tuple[str, dict[str, str]]:
        """A new key's id, and its headers."""
        status, made = await self.post(0, "/admin/keys", {"name": "shared", **fields}, ADMIN)
        assert status == 201, made
        return made["id"], {"authorization": f"Bearer {made['key']}"}


@pytest.fixture
async def replicas(
    tmp_path: Path, upstream: ScriptedUpstream, postgres_url: str, valkey_url: str
) -> AsyncIterator[Replicas]:
    text = CONFIG.format(admin=ADMIN_KEY, database=postgres_url, state=valkey_url, upstream=upstream.url)
    async with AsyncExitStack() as stack:

        async def start(number: int) -> str:
            directory = tmp_path / str(number)
            directory.mkdir()
            (directory / "sluicegate.yaml").write_text(text)
            _, url, _ = await stack.enter_async_context(serving(directory))
            return url

        urls = await asyncio.gather(*(start(number) for number in range(4)))
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Replicas(urls, http)


async def test_four_processes_keep_the_limits_of_one_key_together(
    replicas: Replicas, upstream: ScriptedUpstream
) -> None:
    for fields, code in (
        ({"budgets": [{"limit_usd": "0.375", "window": "day"}]}, "budget_exceeded"),
        ({"limits": {"requests_per_minute": 37}}, "rate_limit_exceeded"),
        ({"limits": {"tokens_per_minute": 37 * TOKENS + 14}}, "rate_limit_exceeded"),
        ({"limits": {"concurrent_requests": 37}}, "rate_limit_exceeded"),
    ):
        key_id, caller = await replicas.key(**fields)
        answers = await two_hundred(replicas, upstream, caller, code)
        assert answers == {(200, None): 37, (429, code): 163}, fields
        assert len(upstream.requests) == 37, fields
        upstream.requests.clear()
        async with asyncio.timeout(10):  # each replica stores its own rows, at most a moment later
            while await requests_of(replicas, key_id) < 37:
                await asyncio.sleep(0.05)
        assert await requests_of(replicas, key_id) == 37


async def two_hundred(
    replicas: Replicas, upstream: ScriptedUpstream, caller: dict[str, str], code: str
) -> Counter[tuple[int, str | None]]:
    """Ask 200 times at once, over all replicas; nothing is answered before all others are refused."""
    all_refused = asyncio.Event()
    answers: Counter[tuple[int, str | None]] = Counter()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await all_refused.wait()
        return web.json_response(completion("Hello.", completed=10))

    async def ask(number: int) -> None:
        status, body = await replicas.post(number, "/v1/chat/completions", CALL, caller)
        answers[status, body.get("error", {}).get("code")] += 1
        if answers[429, code] == 163:
            all_refused.set()

    upstream.answer = answer
    async with asyncio.timeout(60):
        await asyncio.gather(*(ask(number) for number in range(200)))
    return answers


async def requests_of(replicas: Replicas, key_id: str) -> int:
    async with replicas.http.get(f"{replicas.urls[1]}/admin/usage?group_by=key", headers=ADMIN) as response:
        rows = (await response.json())["rows"]
    return next((int(row["requests"]) for row in rows if row["key"] == key_id), 0)


async def test_a_revoked_and_a_changed_key_bind_on_every_replica_within_a_second(
    replicas: Replicas, upstream: ScriptedUpstream
) -> None:
    key_id, caller = await replicas.key()
    for replica in range(4):  # every replica has looked the key up
        assert (await replicas.post(replica, "/v1/chat/completions", CALL, caller))[0] == 200
    address = f"{replicas.urls[0]}/admin/keys/{key_id}"
    async with replicas.http.patch(address, json={"models": ["assist*"]}, headers=ADMIN) as response:
        assert response.status == 200
    async with replicas.http.delete(address, headers=ADMIN) as response:
        assert response.status == 200
    await asyncio.sleep(1.0)  # the contract's second
    statuses = [(await replicas.post(replica, "/v1/chat/completions", CALL, caller))[0] for replica in range(4)]
    assert statuses == [401] * 4
