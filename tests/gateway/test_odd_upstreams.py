"""Upstreams and callers that do odd things: no 500, no lost row, nothing used that is not paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, completion, run_gate

CONFIG = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: m, base_url: "{url}", retries: 0, price: {{input: "1", output: "10"}}}}
"""
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}


@pytest.fixture
async def gate(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, CONFIG.format(url=upstream.url)) as running:
        yield running


async def limited(gate: RunningGate, **fields: Any) -> dict[str, str]:
    status, _, made = await gate.post({"name": "test", **fields}, "/admin/keys")
    assert status == 201, made
    return {"authorization": f"Bearer {made['key']}"}


async def test_a_caller_that_hangs_up_before_the_answer_pays_for_the_prompt(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    at_work = asyncio.Event()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        at_work.set()
        await asyncio.Event().wait()
        raise AssertionError

    upstream.answer = answer
    asking = asyncio.create_task(gate.post(CALL))
    await at_work.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await gate.until_idle()
    (row,) = await gate.rows()
    assert (row.status, row.outcome, row.estimated, row.model, row.target) == (
        499, "client_closed", True, "assistant", "openai/m",
    )  # fmt: skip
    assert row.input_tokens > 0 and row.output_tokens == 0 and row.cost_pico == row.input_tokens * 10**6


async def test_a_reply_whose_model_is_no_text_is_billed(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**completion("Hello."), "model": 7})

    upstream.answer = answer
    assert (await gate.post(CALL))[0] == 200
    assert [(row.served_model, row.output_tokens) for row in await gate.rows()] == [(None, 3)]


async def test_usage_of_nothing_beside_a_text_is_no_usage(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**completion("Hello."), "usage": {"prompt_tokens": 0, "completion_tokens": 0}})

    upstream.answer = answer
    assert (await gate.post(CALL))[0] == 200
    (row,) = await gate.rows()
    assert row.estimated and row.output_tokens > 0


@pytest.mark.parametrize(
    ("told", "seconds"), [("inf", "86400"), ("1e999", "86400"), ("nan", "1"), ("-3", "1"), ("7", "7")]
)
async def test_any_retry_after_is_passed_on_as_whole_seconds(
    gate: RunningGate, upstream: ScriptedUpstream, told: str, seconds: str
) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "busy"}}, status=429, headers={"retry-after": told})

    upstream.answer = answer
    status, headers, _ = await gate.post(CALL)
    assert (status, headers["retry-after"]) == (429, seconds)


async def test_an_upstream_that_is_busy_costs_no_request(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def busy(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "busy"}}, status=429)

    caller = await limited(gate, limits={"requests_per_minute": 1})
    upstream.answer = busy
    assert [(await gate.post(CALL, **caller))[0] for _ in range(3)] == [429] * 3
    upstream.answer = None
    assert (await gate.post(CALL, **caller))[0] == 200
    assert [(row.status, row.cost_pico > 0) for row in await gate.rows()] == [(429, False)] * 3 + [(200, True)]


@pytest.mark.parametrize("asked", [{"service_tier": "priority"}, {"web_search_options": {}}])
async def test_what_no_price_covers_is_refused_under_a_budget(
    gate: RunningGate, upstream: ScriptedUpstream, asked: dict[str, Any]
) -> None:
    caller = await limited(gate, budgets=[{"limit_usd": "5", "window": "day"}])
    status, _, body = await gate.post({**CALL, **asked}, **caller)
    assert (status, body["error"]["param"]) == (400, next(iter(asked))) and not upstream.requests
    assert (await gate.post({**CALL, **asked}))[0] == 200
    assert (await gate.post({**CALL, "service_tier": "flex", "web_search_options": None}, **caller))[0] == 200


async def test_what_is_no_text_is_held_for_too(gate: RunningGate) -> None:
    """Schemas and pictures count on the way in, so that a ceiling is no way round by them."""
    caller = await limited(gate, limits={"input_tokens_per_minute": 1_000})
    picture = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    parts = [{"type": "text", "text": "hi"}, picture]
    schema = {"type": "function", "function": {"name": "f", "parameters": {"enum": list(range(2_000))}}}
    for change in ({"messages": [{"role": "user", "content": parts}]}, {"tools": [schema]}):
        assert (await gate.post({**CALL, **change}, **caller))[0] == 429
    assert (await gate.post(CALL, **caller))[0] == 200


async def test_a_limit_on_output_beyond_reason_and_a_flood_of_texts_are_400(gate: RunningGate) -> None:
    assert (await gate.post({**CALL, "n": 128, "max_tokens": 2**62}))[0] == 400
    status, _, body = await gate.post({**CALL, "junk": ["x"] * 60_000})
    assert status == 400 and "texts" in body["error"]["message"]
