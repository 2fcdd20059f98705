"""What serves a request beside its target: the cache, a model chosen by difficulty, a message, the loser of a hedge."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest
from aiohttp import web
from gatekit import ADMIN_KEY, RunningGate, ScriptedUpstream, completion, events, run_gate, send_stream

TARGET = """
      - provider: openai
        model: {name}
        base_url: {url}
        name: {name}
        retries: 0
        breaker: false
        price: {{input: "{price}", output: "{price}"}}
"""
ASK: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "Name a sea."}]}


def model(name: str, *targets: tuple[str, str], url: str, more: str = "") -> str:
    lines = "".join(TARGET.format(name=target, url=url, price=price) for target, price in targets)
    return f"  - name: {name}\n{more}    targets:{lines}"


def one(url: str, more: str = "") -> str:
    return "models:\n" + model("assistant", ("only", "1"), url=url, more=more)


def said(upstream: ScriptedUpstream) -> None:
    """Answer with the number of the request."""

    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        text = f"Answer {len(upstream.requests)}."
        if asked.get("stream"):
            return await send_stream(request, [events([text])])
        return web.json_response(completion(text))

    upstream.answer = answer


def failing(upstream: ScriptedUpstream) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "down"}}, status=500)

    upstream.answer = answer


async def test_an_equal_request_is_answered_from_the_cache_and_costs_nothing(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    said(upstream)
    async with run_gate(tmp_path, one(upstream.url) + "cache: {exact: {ttl: 10m}}") as gate:
        for expected in ("miss", "hit"):
            status, headers, reply = await gate.post({**ASK, "user": expected})
            assert (status, headers["x-sluicegate-cache"]) == (200, expected)
            assert reply["choices"][0]["message"]["content"] == "Answer 1."
            assert reply["usage"]["completion_tokens"] == 3
        assert headers["x-sluicegate-cost-usd"] == "0"
        assert headers["x-sluicegate-target"] == "sluicegate/cache"
        stream = await gate.client().chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == "Answer 1."
        assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3
        status, headers, reply = await gate.post({**ASK, "temperature": 0.5})
        assert (headers["x-sluicegate-cache"], reply["choices"][0]["message"]["content"]) == ("miss", "Answer 2.")
        status, headers, reply = await gate.post(ASK, **{"cache-control": "no-store"})
        assert ("x-sluicegate-cache" in headers, reply["choices"][0]["message"]["content"]) == (False, "Answer 3.")
        rows = await gate.rows()
        assert [(row.target, row.cost_pico, row.output_tokens) for row in rows] == [
            ("only", 12_000_000, 3),
            ("sluicegate/cache", 0, 0),
            ("sluicegate/cache", 0, 0),
            ("only", 12_000_000, 3),
            ("only", 12_000_000, 3),
        ]


async def test_a_stream_fills_the_cache_and_tenants_share_nothing(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    said(upstream)
    async with run_gate(tmp_path, one(upstream.url) + "cache: {exact: {ttl: 10m}}") as gate:
        stream = await gate.client().chat.completions.create(**ASK, stream=True)
        assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"
        _, headers, reply = await gate.post(ASK)
        assert (headers["x-sluicegate-cache"], reply["choices"][0]["message"]["content"]) == ("hit", "Answer 1.")
        _, _, made = await gate.post({"name": "other", "team": "other"}, "/admin/keys")
        _, headers, reply = await gate.post(ASK, authorization=f"Bearer {made['key']}")
        assert (headers["x-sluicegate-cache"], reply["choices"][0]["message"]["content"]) == ("miss", "Answer 2.")


async def test_values_of_the_caller_come_back_from_the_cache(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def echo(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(completion(asked["messages"][0]["content"]))

    upstream.answer = echo
    guards = "guards: [{name: pii, kind: pii, default: true}]\n"
    async with run_gate(tmp_path, one(upstream.url) + guards + "cache: {exact: {ttl: 10m}}") as gate:
        body = {**ASK, "messages": [{"role": "user", "content": "Mail ann@example.com now."}]}
        for expected in ("miss", "hit"):
            _, headers, reply = await gate.post(body)
            assert headers["x-sluicegate-cache"] == expected
            assert reply["choices"][0]["message"]["content"] == "Mail ann@example.com now."
        assert len(upstream.requests) == 1 and "ann@" not in str(upstream.requests)


async def test_equal_requests_at_once_go_upstream_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response(completion("One."))

    upstream.answer = answer
    async with run_gate(tmp_path, one(upstream.url) + "cache: {exact: {ttl: 10m}}") as gate:
        posts = [asyncio.create_task(gate.post(ASK)) for _ in range(8)]
        while not upstream.requests or gate.parts.lines.current.admission.in_flight < 8:
            await asyncio.sleep(0.01)
        go_on.set()
        told = [headers["x-sluicegate-cache"] for _, headers, _ in await asyncio.gather(*posts)]
        assert (sorted(told), len(upstream.requests)) == (["hit"] * 7 + ["miss"], 1)


async def test_when_every_target_fails_a_kept_answer_comes_before_the_configured_message(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    text = one(upstream.url, '    last_resort: {message: "Please come back later."}\n')
    async with run_gate(tmp_path, text + "cache: {exact: {ttl: 1ms, stale_if_error: 1h}}") as gate:
        said(upstream)
        await gate.post(ASK)
        failing(upstream)
        await asyncio.sleep(0.01)  # past the answer's time
        status, headers, reply = await gate.post(ASK)
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "Answer 1.")
        assert headers["x-sluicegate-target"] == "sluicegate/cache"
        status, headers, reply = await gate.post({**ASK, "temperature": 1})
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "Please come back later.")
        assert headers["x-sluicegate-target"] == "sluicegate/message"
        stream = await gate.client().chat.completions.create(**ASK, temperature=1, stream=True)
        words = [c.delta.content or "" async for chunk in stream for c in chunk.choices]
        assert "".join(words) == "Please come back later."
        rows = await gate.rows()
        assert [(row.target, row.cost_pico, row.estimated) for row in rows[1:]] == [
            ("sluicegate/cache", 0, False),
            ("sluicegate/message", 0, False),
            ("sluicegate/message", 0, False),
        ]


async def test_a_kept_answer_is_given_in_place_of_an_error_but_not_to_a_request_at_fault(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with run_gate(tmp_path, one(upstream.url) + "cache: {exact: {ttl: 1ms, stale_if_error: 1h}}") as gate:
        said(upstream)
        await gate.post(ASK)
        failing(upstream)
        await asyncio.sleep(0.01)
        status, _, reply = await gate.post(ASK)
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "Answer 1.")
        stream = await gate.client().chat.completions.create(**ASK, stream=True)
        assert "".join([c.delta.content or "" async for part in stream for c in part.choices]) == "Answer 1."

        async def refuse(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
            return web.json_response({"error": {"message": "no such field"}}, status=400)

        upstream.answer = refuse
        assert (await gate.post(ASK))[0] == 400


DIFFICULTY = """
  - name: auto
    routing: difficulty
    difficulty: {{simple: small, medium: small, hard: large{more}}}
    fallbacks: [spare]
"""


def tiers(url: str, more: str = "") -> str:
    names = [("small", "1"), ("large", "10"), ("spare", "2")]
    models = "".join(model(name, (f"{name}-target", price), url=url) for name, price in names)
    return "models:\n" + models + DIFFICULTY.format(more=more)


async def test_difficulty_chooses_the_model_and_the_row_says_so(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    said(upstream)
    hard = "Prove that every planar graph can be coloured with six colours, then find the flaw in Kempe's proof."
    async with run_gate(tmp_path, tiers(upstream.url)) as gate:
        for words, header, expected in (
            ("Hi, how are you?", None, "small"),
            (hard, None, "large"),
            (hard, "simple", "small"),
        ):
            body = {"model": "auto", "messages": [{"role": "user", "content": words}]}
            more = {"x-sluicegate-difficulty": header} if header else {}
            status, headers, _ = await gate.post(body, **more, **{"x-sluicegate-tags": "sluicegate.difficulty=medium"})
            assert (status, headers["x-sluicegate-model"]) == (200, expected)
        status, _, told = await gate.post(body, **{"x-sluicegate-difficulty": "maybe"})
        assert (status, told["error"]["param"]) == (400, "x-sluicegate-difficulty")
        rows = await gate.rows()
        assert [(row.requested_model, row.model, row.tags["sluicegate.difficulty"]) for row in rows] == [
            ("auto", "small", "simple"),
            ("auto", "large", "hard"),
            ("auto", "small", "simple"),
        ]


async def test_in_shadow_the_hard_tier_serves_and_its_own_fallbacks_still_bind(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        if asked["model"] == "large-target":
            return web.json_response({"error": {"message": "down"}}, status=500)
        return web.json_response(completion("Spare."))

    upstream.answer = answer
    async with run_gate(tmp_path, tiers(upstream.url, ", shadow: true")) as gate:
        _, headers, _ = await gate.post({"model": "auto", "messages": [{"role": "user", "content": "Hi!"}]})
        assert headers["x-sluicegate-model"] == "spare"
        [row] = await gate.rows()
        assert row.tags == {"sluicegate.difficulty": "simple", "sluicegate.difficulty.shadow": "hard"}


async def test_what_the_difficulty_model_says_itself_binds_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    failing(upstream)
    text = tiers(upstream.url).replace(
        "    fallbacks: [spare]\n",
        "    limits: {requests_per_minute: 2}\n    last_resort: {message: Nobody is here.}\n",
    )
    async with run_gate(tmp_path, text) as gate:
        _, _, made = await gate.post(
            {"name": "k", "limits": {"models": {"auto": {"requests_per_minute": 1}}}}, "/admin/keys"
        )
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi!"}]}
        status, headers, reply = await gate.post(body, authorization=f"Bearer {made['key']}")
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "Nobody is here.")
        assert headers["x-sluicegate-target"] == "sluicegate/message"
        assert (await gate.post(body, authorization=f"Bearer {made['key']}"))[0] == 429
        assert [(await gate.post(body))[0] for _ in range(2)] == [200, 429]
        assert (await gate.get("/admin/models"))["data"][-1]["routing"] == "difficulty"


async def test_the_loser_of_a_hedge_is_billed_beside_the_answer(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        if asked["model"] == "slow":
            await asyncio.Event().wait()
        return web.json_response(completion("Quick.", prompt=10, completed=10))

    upstream.answer = answer
    text = "models:\n" + model(
        "assistant", ("slow", "3"), ("quick", "1"), url=upstream.url, more="    hedge: {after: 20ms}\n"
    )
    async with run_gate(tmp_path, text) as gate:
        _, _, made = await gate.post({"name": "k", "budgets": [{"limit_usd": "1", "window": "day"}]}, "/admin/keys")
        status, headers, _ = await gate.post({**ASK, "max_tokens": 10}, authorization=f"Bearer {made['key']}")
        assert (status, headers["x-sluicegate-target"]) == (200, "quick")
        rows = {row.target: row for row in await gate.rows()}
        assert (rows["quick"].outcome, rows["quick"].cost_pico) == ("ok", 20_000_000)
        assert (rows["slow"].outcome, rows["slow"].estimated, rows["slow"].output_tokens) == ("hedged", True, 0)
        assert rows["slow"].cost_pico > 0
        together = Decimal(rows["quick"].cost_pico + rows["slow"].cost_pico) / 10**12
        assert Decimal(headers["x-sluicegate-cost-usd"]) == together
        today = int(rows["quick"].at.timestamp()) // 86_400 * 86_400
        counted = await gate.parts.limits.budget(f"key:{made['id']}:day:UTC:{today}")
        assert counted == (int(together * 10**12), 0)


async def test_tokens_of_a_message_are_counted_without_asking_anyone(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    client = anthropic.AsyncAnthropic(base_url=gate.url, api_key=ADMIN_KEY, max_retries=0)
    short = await client.messages.count_tokens(model="assistant", messages=[{"role": "user", "content": "Hi"}])
    long = await client.messages.count_tokens(
        model="assistant", messages=[{"role": "user", "content": "Hi there " * 50}]
    )
    assert 0 < short.input_tokens < long.input_tokens
    assert not upstream.requests and await gate.rows() == []
    with pytest.raises(anthropic.NotFoundError) as refused:
        await client.messages.count_tokens(model="none", messages=[{"role": "user", "content": "Hi"}])
    assert refused.value.body == {
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "The model 'none' does not exist.",
            "details": {"error_code": "model_not_found", "param": "model"},
        },
        "request_id": refused.value.request_id,
    }
