"""Guards that ask models, when what they ask is dead, slow, raises or answers junk: nothing passes unjudged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from gatekit import ScriptedUpstream, completion, run_gate

pytestmark = pytest.mark.slow  # rails in processes of their own

RAILS = Path(__file__).resolve().parents[2] / "examples/rails"
CONFIG = """
models:
  - name: assistant
    targets: [{{provider: openai, model: upstream-model, base_url: {url}, retries: 0}}]
  - name: checker
    targets: [{{provider: openai, model: checker-model, base_url: {url}, retries: 0, breaker: {{failures: 1000}}}}]
guards:
  - {{name: asks, stages: [{stages}], default: true, on_error: {on_error}, model: checker, timeout: {timeout}, {kind}}}
"""
KINDS = {
    "judge": ("kind: judge, policy: No moon.", '{"verdict": "allowed"}', '{"verdict": "violation"}'),
    "colang 1": (f"kind: nemo, rails: {RAILS / 'colang1'}", "no", "yes"),
    "colang 2": (f"kind: nemo, rails: {RAILS / 'colang2'}", "No.", "Yes"),
}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def dead(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def raising(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="secret of the provider")


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


def junk(text: str | None) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(completion(text))  # type: ignore[arg-type]

    return answer


FAULTS: dict[str, Answer] = {
    "dead": dead,
    "raising": raising,
    "nothing": junk(""),
    "null": junk(None),
    "rambling": junk("I think this is fine"),
    "not json": lambda request: _raw(b"<html>"),
}


async def _raw(body: bytes) -> web.StreamResponse:
    return web.Response(body=body)


def ask(content: str = "Hello.") -> dict[str, Any]:
    return {"model": "assistant", "messages": [{"role": "user", "content": content}]}


def script(upstream: ScriptedUpstream) -> dict[str, Any]:
    """An upstream whose checker does as the returned mapping's "does" says."""
    script: dict[str, Any] = {"does": dead}

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["model"] == "checker-model":
            found: web.StreamResponse = await script["does"](request)
            return found
        return web.json_response(completion("The sun is up."))

    upstream.answer = answer
    return script


def calls(upstream: ScriptedUpstream, model: str) -> int:
    return [body["model"] for body in upstream.requests].count(model)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_guard_that_gets_no_verdict_blocks_and_the_model_is_not_asked(
    tmp_path: Path, upstream: ScriptedUpstream, kind: str
) -> None:
    if kind != "judge":
        pytest.importorskip("nemoguardrails")
    options, fine, forbidden = KINDS[kind]
    does = script(upstream)
    text = CONFIG.format(url=upstream.url, stages="input", on_error="block", kind=options, timeout="20s")
    async with run_gate(tmp_path, text) as gate:
        for name, fault in FAULTS.items():
            does["does"] = fault
            status, headers, body = await gate.post(ask(f"Hello, {name}."))
            assert (name, status, body["error"]["code"]) == (name, 503, "guard_unavailable")
            assert "secret" not in str(body) and "retry-after" in headers
        assert calls(upstream, "upstream-model") == 0
        does["does"] = junk(forbidden)
        status, _, body = await gate.post(ask("Hello again."))
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "guard_blocked", "asks")
        assert calls(upstream, "upstream-model") == 0
        does["does"] = junk(fine)
        assert (await gate.post(ask("Hello at last.")))[0] == 200
        assert calls(upstream, "upstream-model") == 1
        verdicts = 'sluicegate_guard_verdicts_total{action="block",guard="asks",stage="input"}'
        assert (await gate.metrics())[verdicts] == len(FAULTS) + 1


async def test_a_guard_whose_model_is_slow_is_unavailable_in_time(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    script(upstream)["does"] = slow
    text = CONFIG.format(url=upstream.url, stages="input", on_error="block", kind=KINDS["judge"][0], timeout="400ms")
    async with run_gate(tmp_path, text) as gate:
        async with asyncio.timeout(5):
            status, _, body = await gate.post(ask())
        assert (status, body["error"]["code"]) == (503, "guard_unavailable")
        assert calls(upstream, "upstream-model") == 0
        async with asyncio.timeout(5):
            while not upstream.disconnects:  # the question is not left behind
                await asyncio.sleep(0.005)
        await gate.until_idle()
        (row,) = await gate.rows()
        assert row.endpoint == "guard"


async def test_an_unjudged_reply_is_not_given(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    does = script(upstream)
    text = CONFIG.format(url=upstream.url, stages="output", on_error="block", kind=KINDS["judge"][0], timeout="20s")
    async with run_gate(tmp_path, text) as gate:
        status, _, body = await gate.post(ask())
        assert (status, body["error"]["code"]) == (503, "guard_unavailable")
        assert "sun" not in str(body)
        does["does"] = junk(KINDS["judge"][2])
        status, _, body = await gate.post(ask())
        assert (status, body["choices"][0]["finish_reason"]) == (200, "content_filter")
        assert "sun" not in str(body)


async def test_errors_can_be_let_pass(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    script(upstream)
    text = CONFIG.format(url=upstream.url, stages="input", on_error="pass", kind=KINDS["judge"][0], timeout="20s")
    async with run_gate(tmp_path, text) as gate:
        assert (await gate.post(ask()))[0] == 200
        assert calls(upstream, "upstream-model") == 1
