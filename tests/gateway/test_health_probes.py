"""A probe that fails opens a target's breaker, one that succeeds lets requests through again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, run_gate
from routekit import Clock

from gateway.routing.breaker import Breaker, BreakerRules, State
from gateway.routing.probes import HealthProbes, Probe
from gateway.routing.state import TargetState

RULES = BreakerRules(failures=1, cooldown=5)
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def probe(clock: Clock) -> tuple[Probe, Breaker]:
    breaker = Breaker(RULES, clock)
    return Probe("t", TargetState(breaker, clock), "http://127.0.0.1:9/", {}, 10.0, 2.0), breaker


def test_a_failing_probe_keeps_the_breaker_open_until_after_the_next_one() -> None:
    clock = Clock()
    made, breaker = probe(clock)
    probes = HealthProbes([made])
    probes.note(made, "status 500")
    assert (breaker.state, made.state.healthy) == (State.OPEN, False)
    clock.now += made.interval + made.timeout
    assert breaker.state is State.OPEN
    probes.note(made, None)
    assert (breaker.state, made.state.healthy) == (State.CLOSED, True)


def test_a_good_probe_does_not_close_what_requests_have_opened() -> None:
    clock = Clock()
    made, breaker = probe(clock)
    permit = breaker.begin()
    assert permit is not None
    breaker.failed(permit)
    HealthProbes([made]).note(made, None)
    assert breaker.state is State.HALF_OPEN
    assert breaker.begin() is not None


def test_a_probe_does_not_disturb_the_one_request_of_a_half_open_breaker() -> None:
    clock = Clock()
    made, breaker = probe(clock)
    breaker.open()
    clock.now += 5
    permit = breaker.begin()
    assert permit is not None
    HealthProbes([made]).note(made, None)
    assert breaker.begin() is None
    breaker.succeeded(permit)
    assert breaker.state is State.CLOSED


CONFIG = """
models:
  - name: m
    targets:
      - provider: openai
        model: x
        base_url: {url}
        api_key: sk-probe-0123456789
        retries: 0
        health: {{path: /models, interval: 20ms, timeout: 5s}}
"""


async def state_is(gate: RunningGate, healthy: bool) -> None:
    state = gate.parts.lines.current.router.models[0].targets[0].state
    async with asyncio.timeout(10):
        while state.healthy is not healthy:
            await asyncio.sleep(0.005)


async def test_a_gate_probes_its_targets_and_stops_with_it(tmp_path: Path) -> None:
    status, seen = 500, []

    async def models(request: web.Request) -> web.Response:
        seen.append(request.headers.get("authorization"))
        return web.json_response({"data": []}, status=status)

    upstream = ScriptedUpstream()
    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", upstream.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        config = CONFIG.format(url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        async with run_gate(tmp_path, config) as gate:
            await state_is(gate, False)
            refused, headers, body = await gate.post(ASK)
            assert (refused, body["error"]["code"], upstream.requests) == (503, "overloaded", [])
            assert int(headers["retry-after"]) >= 1
            assert (await gate.metrics())['sluicegate_breaker_open{target="openai/x"}'] == 1
            status = 200
            await state_is(gate, True)
            assert (await gate.post(ASK))[0] == 200
            assert (await gate.metrics())['sluicegate_breaker_open{target="openai/x"}'] == 0
        assert set(seen) == {"Bearer sk-probe-0123456789"}
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "probe"]
    finally:
        await runner.cleanup()
