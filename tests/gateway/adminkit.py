"""The admin API of a running gate, as tests ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from gatekit import RunningGate
from sqlalchemy import func, select

from gateway.storage.tables import audit_log

ASK = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}

# A gate with three models and a guard that is asked for; no test here calls an upstream.
HOUSE = """
models:
  - {name: assistant, targets: [{provider: openai, model: m, base_url: "http://127.0.0.1:9/v1", api_key: x}]}
  - {name: gpt-small, targets: [{provider: openai, model: m, base_url: "http://127.0.0.1:9/v1", api_key: x}]}
  - {name: gpt-large, targets: [{provider: openai, model: m, base_url: "http://127.0.0.1:9/v1", api_key: x}]}
guards:
  - {name: pii, kind: pii, stages: [input], action: redact, default: false}
"""


async def call(
    gate: RunningGate, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
) -> tuple[int, Mapping[str, str], Any]:
    """Status, headers and body of one request to `/admin` + path, as the admin key or with `key`."""
    sent = {**gate.headers, **({"authorization": f"Bearer {key}"} if key else {}), **headers}
    if body is not None:
        sent["content-type"] = "application/json"
    raw = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
    async with gate.http.request(method, f"{gate.url}/admin{path}", data=raw, headers=sent) as response:
        return response.status, response.headers, orjson.loads(await response.read())


async def ok(gate: RunningGate, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """The body of a request that must succeed."""
    status, _, answer = await call(gate, method, path, body, **headers)
    assert status in (200, 201), answer
    return answer


async def refused(gate: RunningGate, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, Any]:
    """Status, code and param of a request that must not succeed."""
    status, _, answer = await call(gate, method, path, body, **headers)
    assert status >= 400, answer
    return status, answer["error"]["code"], answer["error"]["param"]


async def models_of(gate: RunningGate, key: str) -> list[str] | int:
    """What a key may use, or the status it is refused with."""
    async with gate.http.get(gate.url + "/v1/models", headers={"authorization": f"Bearer {key}"}) as response:
        body = orjson.loads(await response.read())
        return [model["id"] for model in body["data"]] if response.status == 200 else response.status


async def entries(gate: RunningGate) -> int:
    """How many entries the audit log has."""
    async with gate.parts.database.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(audit_log))).scalar_one()
