"""An upstream that tells no usage is billed all the same: by the model's tokenizer, and the row says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, completion, events, run_gate, send_paused, send_stream

CONFIG = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: {model}, base_url: "{url}", retries: 0, price: {{input: "1", output: "10"}}}}
"""
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "Say something about the weather, please."}]}
ASKED = 8 + 4  # the prompt in o200k_base, and what a message adds
REPLY = "It rains antidisestablishmentarianism."  # 9 in o200k_base
TOLD = 9


async def rows(gate: RunningGate) -> list[tuple[int, int, bool, int]]:
    return [(row.input_tokens, row.output_tokens, row.estimated, row.cost_pico) for row in await gate.rows()]


async def without_usage(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    if body["stream"]:
        return await send_stream(request, [events(["It rains anti", "disestablishmentarianism."], usage=False)])
    reply = completion(REPLY)
    del reply["usage"]
    return web.json_response(reply)


async def nonsense(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({**completion(REPLY), "usage": {"prompt_tokens": -5, "completion_tokens": "many"}})


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_usage_is_counted_by_the_models_tokenizer(
    tmp_path: Path, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.answer = without_usage
    async with run_gate(tmp_path, CONFIG.format(model="gpt-4o-mini", url=upstream.url)) as gate:
        async with gate.http.post(
            gate.url + "/v1/chat/completions", json={**CALL, "stream": stream}, headers=gate.headers
        ) as response:
            assert response.status == 200
            await response.read()
        assert await rows(gate) == [(ASKED, TOLD, True, (ASKED + 10 * TOLD) * 10**6)]


async def test_nonsense_for_usage_is_no_usage(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answer = nonsense
    async with run_gate(tmp_path, CONFIG.format(model="gpt-4o-mini", url=upstream.url)) as gate:
        assert (await gate.post(CALL))[0] == 200
        assert await rows(gate) == [(ASKED, TOLD, True, (ASKED + 10 * TOLD) * 10**6)]


async def test_a_model_whose_tokenizer_nobody_has_is_estimated_by_bytes(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.answer = without_usage
    async with run_gate(tmp_path, CONFIG.format(model="house-model", url=upstream.url)) as gate:
        assert (await gate.post(CALL))[0] == 200
        ((asked, told, estimated, _),) = await rows(gate)
        assert estimated and asked >= 10 and told >= 9


async def test_a_caller_that_leaves_pays_for_what_was_said(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answer = lambda request, body: send_paused(request, REPLY, asyncio.Event())
    async with run_gate(tmp_path, CONFIG.format(model="gpt-4o-mini", url=upstream.url)) as gate:
        async with gate.http.post(
            gate.url + "/v1/chat/completions", json={**CALL, "stream": True}, headers=gate.headers
        ) as response:
            await response.content.readany()
            response.close()
        await gate.until_idle()
        ((asked, told, estimated, cost),) = await rows(gate)
        assert estimated and asked > 0 and told > 0 and cost > 0
