"""`GET /admin/models`: how every target stands, on a gate that serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, completion, run_gate

CONFIG = """
models:
  - name: m
    routing: least_busy
    targets:
      - {{name: good, provider: openai, model: a, base_url: "{url}", api_key: sk-good-0123456789, retries: 0,
          breaker: false, price: {{input: "0.15", output: "0.60"}}}}
  - name: broken
    targets:
      - {{name: bad, provider: openai, model: b, base_url: "{url}", api_key: sk-bad-0123456789, retries: 0,
          breaker: {{failures: 2}}}}
    last_resort: {{message: Back soon.}}
"""


def ask(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}


async def targets(gate: RunningGate) -> dict[str, dict[str, Any]]:
    listed = await gate.get("/admin/models")
    return {
        target["target"]: {"routing": model["routing"], **target}
        for model in listed["data"]
        for target in model["targets"]
    }


async def test_the_page_shows_health_breaker_load_latency_and_price(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "b":
            return web.Response(status=500)
        return web.json_response(completion("Hello."))

    upstream.answer = answer
    async with run_gate(tmp_path, CONFIG.format(url=upstream.url)) as gate:
        before = await targets(gate)
        assert before["good"] == {
            "target": "good",
            "routing": "least_busy",
            "health": "unknown",
            "breaker": "off",
            "opens_in": 0,
            "in_flight": 0,
            "first_token": {"measures": 0, "p50": None, "p95": None},
            "whole": {"measures": 0, "p50": None, "p95": None},
            "price": {"input": "0.15", "output": "0.6"},
        }
        assert (before["bad"]["breaker"], before["bad"]["price"]) == ("closed", None)
        await gate.post(ask("m"))
        for _ in range(3):
            status, headers, body = await gate.post(ask("broken"))
            assert (status, headers["x-sluicegate-target"]) == (200, "sluicegate/message")
            assert body["choices"][0]["message"]["content"] == "Back soon."
        after = await targets(gate)
        assert after["good"]["whole"]["measures"] == 1
        assert 0 < after["good"]["whole"]["p50"] == after["good"]["whole"]["p95"]
        assert after["bad"]["breaker"] == "open"
        assert 0 < after["bad"]["opens_in"] <= 10
        assert [body["model"] for body in upstream.requests] == ["a", "b", "b"], "the open one is not asked again"
        page = str(await gate.get("/admin/models"))
        assert "sk-good" not in page and "sk-bad" not in page


async def test_only_those_who_may_read_see_it(gate: RunningGate) -> None:
    status, _, made = await gate.post({"name": "app"}, "/admin/keys")
    assert status == 201
    gate.headers = {"authorization": f"Bearer {made['key']}"}
    assert (await gate.get("/admin/models"))["error"]["code"] == "admin_required"
