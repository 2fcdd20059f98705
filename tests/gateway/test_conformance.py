"""The conformance suite: our gate passes all of it, and a gateway that takes its work lightly does not."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from gatekit import ADMIN_KEY, run_gate

from conformance.case import case, load_cases
from conformance.profile import ABILITIES, PROFILES, Profile, ProfileError, load_profile
from conformance.report import as_json, side_by_side
from conformance.runner import Result, Runner, Verdict
from conformance.upstream import run_upstream

GATE = Path(__file__).parents[2] / "conformance" / "gateways" / "sluicegate.yaml"
CASES = load_cases()


def profile(name: str, port: int) -> Profile:
    return load_profile(name, {"UPSTREAM": f"http://127.0.0.1:{port}/v1", "REFUSED": "http://127.0.0.1:64999/v1"})


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_our_gate_passes_every_case(tmp_path: Path) -> None:
    text = GATE.read_text()
    async with (
        run_upstream(CASES) as (upstream, port),
        run_gate(tmp_path, text[text.index("models:") :], {"UPSTREAM_PORT": str(port)}) as gate,
    ):
        results = await Runner(gate.url, ADMIN_KEY, profile("sluicegate", port), upstream).run(CASES)
    wrong = [f"{found.case.id}: {found.detail}" for found in results if found.verdict is not Verdict.PASS]
    assert not wrong, "\n".join(wrong)


@asynccontextmanager
async def careless_gateway(port: int) -> AsyncIterator[str]:
    """A gateway as one writes it in an afternoon: it forwards, retries, and ends every stream well."""
    async with aiohttp.ClientSession() as http:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            url = f"http://127.0.0.1:{port}{request.path}"
            async with http.post(url, json=body, headers={"authorization": request.headers["authorization"]}) as answer:
                if not body.get("stream"):
                    return web.json_response(await answer.json(content_type=None), status=answer.status)
                out = web.StreamResponse(headers={"content-type": "text/event-stream"})
                await out.prepare(request)
                try:
                    async for part in answer.content.iter_any():
                        await out.write(part.decode(errors="replace").encode())
                except aiohttp.ClientError:
                    await out.write(b"data: [DONE]\n\n")
                return out

        app = web.Application()
        app.router.add_post("/{path:.*}", forward)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def test_a_careless_gateway_is_found_out() -> None:
    caught = {
        "letters-cut-apart", "dies-after-words", "error-event-first", "two-done-marks", "no-done-mark", "empty-stream",
        "busy-without-retry-after", "not-a-completion", "key-in-error-text", "key-stays-here", "client-broken-stream",
        "leave-before-reply", "fallback-on-500", "redirect", "bad-body-not-json", "end-at-every-byte",
        "status-500",
    }  # fmt: skip
    passed = {"client-plain", "client-stream", "crlf", "several-choices", "unknown-fields-pass"}
    cases = [case for case in CASES if case.id in caught | passed]
    async with run_upstream(cases) as (upstream, port), careless_gateway(port) as url:
        results = await Runner(url, "sk-caller-0123456789", profile("openai", port), upstream).run(cases)
    assert {found.case.id for found in results if found.verdict is Verdict.FAIL} == caught


async def results_of(check: str) -> list[Result]:
    """What the runner makes of one case, against a gateway that is not there."""
    async with run_upstream(CASES) as (upstream, port):
        runner = Runner("http://127.0.0.1:64999", "none", profile("openai", port), upstream)
        return await runner.run([found for found in CASES if found.id == check])


async def test_a_gateway_that_is_not_there_fails_and_ends_nothing() -> None:
    (result,) = await results_of("status-500")
    assert result.verdict is Verdict.FAIL and "ClientConnectorError" in result.detail


async def test_what_a_profile_cannot_express_is_not_applicable() -> None:
    (result,) = await results_of("budget-holds-at-once")
    assert (result.verdict, result.detail) == (Verdict.NOT_APPLICABLE, "the profile names no budget")


async def test_a_case_that_does_not_end_is_cut_off() -> None:
    async def forever(probe: object) -> None:
        await asyncio.Event().wait()

    endless = replace(CASES[0], check=forever, limit=0.01, needs=frozenset())
    async with run_upstream([endless]) as (upstream, port):
        runner = Runner("http://127.0.0.1:64999", "none", profile("openai", port), upstream)
        (result,) = await runner.run([endless])
    assert (result.verdict, result.detail) == (Verdict.FAIL, "no end within 0.01 s")


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_profile_loads_and_names_the_models_its_abilities_need(name: str) -> None:
    loaded = profile(name, 1)
    assert "plain" in loaded.models
    for role in {"fallback", "refused", "refused-fallback", "breaker"} & loaded.can:
        assert role in loaded.models
    assert not loaded.can & set(loaded.cannot)


def test_every_need_is_an_ability_that_a_profile_can_name() -> None:
    assert {need for found in CASES for need in found.needs} == set(ABILITIES)


def test_our_profile_expresses_every_case() -> None:
    ours = profile("sluicegate", 1)
    assert [found.id for found in CASES if ours.missing(found.needs)] == []


def test_a_profile_with_an_unknown_ability_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('title = "Odd"\ncan = ["fly"]\n[models]\nplain = "m"\n')
    with pytest.raises(ProfileError, match="fly"):
        load_profile(str(path), {})


def test_a_case_id_is_taken_once() -> None:
    with pytest.raises(ValueError, match="status-500"):
        case("status-500", "again")


def test_runs_stand_side_by_side() -> None:
    runs = [
        json.loads(as_json(name, [Result(CASES[0], verdict, "so `it` is")]))
        for name, verdict in (("One", Verdict.PASS), ("Two", Verdict.FAIL))
    ]
    table = side_by_side(runs)
    assert "| One | Two |" in table and "| pass | **fail** |" in table
    assert f"- `{CASES[0].id}`: `so 'it' is`" in table and "**Two**: 0 pass, 1 fail, 0 n/a" in table


def test_the_suite_knows_no_gateway_from_inside() -> None:
    wings = {"gateway", "guards", "engine", "billing", "migrations"}
    imported = {
        name.split(".")[0]
        for path in GATE.parents[1].rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & wings
