"""Limits and budgets through the whole gate, in one process: exact under concurrency, settled once on every way out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, chunk, completion, events, run_gate, send_paused, send_stream

CONFIG = """
models:
  - name: assistant
    targets:
      - provider: openai
        model: upstream-model
        base_url: {url}
        api_key: sk-upstream-secret-0123456789
        retries: 0
        timeouts: {{total: 5s}}
        price: {{input: "0", output: "1000"}}
  - name: unpriced
    targets: [{{provider: openai, model: nobody-knows-it, base_url: {url}, retries: 0}}]
guards:
  - {{name: pii, kind: pii, stages: [input, output], action: block, default: true}}
{more}
"""
# A call costs at most 10 tokens of output at 1,000 USD a million: 0.01 USD.
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
TOKENS = 1 + 4 + 10  # "hi" by our estimate, what a message adds, and max_tokens

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@pytest.fixture
async def gate(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, CONFIG.format(url=upstream.url, more="")) as running:
        yield running


async def key(gate: RunningGate, **fields: Any) -> dict[str, str]:
    """Headers with a new key."""
    status, _, made = await gate.post({"name": "test", **fields}, "/admin/keys")
    assert status == 201, made
    return {"authorization": f"Bearer {made['key']}", "id": made["id"]}


def budget(usd: str, window: str = "day") -> dict[str, Any]:
    return {"budgets": [{"limit_usd": usd, "window": window}]}


async def nothing_held(gate: RunningGate) -> None:
    await gate.until_idle()
    assert await gate.parts.limits.holds() == 0


def usage(prompt: int, completed: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (budget("0.375"), "budget_exceeded"),
        ({"limits": {"requests_per_minute": 37}}, "rate_limit_exceeded"),
        ({"limits": {"tokens_per_minute": 37 * TOKENS + 14}}, "rate_limit_exceeded"),
        ({"limits": {"output_tokens_per_minute": 379}}, "rate_limit_exceeded"),
        ({"limits": {"concurrent_requests": 37}}, "rate_limit_exceeded"),
        ({"limits": {"models": {"assistant": {"requests_per_minute": 37}}}}, "rate_limit_exceeded"),
    ],
    ids=["budget", "requests", "tokens", "output tokens", "concurrency", "requests of one model"],
)
async def test_of_200_calls_at_once_exactly_those_pass_that_there_is_room_for(
    gate: RunningGate, upstream: ScriptedUpstream, fields: dict[str, Any], code: str
) -> None:
    caller = await key(gate, **fields)
    all_refused = asyncio.Event()
    answers: Counter[tuple[int, str | None]] = Counter()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await all_refused.wait()  # so that none is settled before the last one was asked
        return web.json_response(completion("Hello.", completed=10))

    async def ask() -> None:
        status, headers, body = await gate.post(CALL, **caller)
        answers[status, body.get("error", {}).get("code")] += 1
        assert status == 200 or int(headers["retry-after"]) >= 1
        if answers[429, code] == 163:
            all_refused.set()

    upstream.answer = answer
    async with asyncio.timeout(30):
        await asyncio.gather(*(ask() for _ in range(200)))
    assert answers == {(200, None): 37, (429, code): 163}
    assert len(upstream.requests) == 37
    await nothing_held(gate)
    assert len(await gate.rows()) == 37


async def test_what_is_not_used_is_given_back(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    caller = await key(gate, limits={"tokens_per_minute": TOKENS + 5})

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**completion("Hello."), "usage": usage(1, 2)})

    upstream.answer = answer
    statuses = [(await gate.post(CALL, **caller))[0] for _ in range(4)]
    # Each holds 15 tokens and comes to 3: a third one finds 14 of the 20 left.
    assert statuses == [200, 200, 429, 429]
    other = await key(gate, **budget("0.013"))
    # Each holds 0.01 USD and comes to 0.002.
    assert [(await gate.post(CALL, **other))[0] for _ in range(4)] == [200, 200, 429, 429]


async def test_a_call_refused_for_concurrency_costs_no_request(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    caller = await key(gate, limits={"requests_per_minute": 2, "concurrent_requests": 1})
    go_on, at_work = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        at_work.set()
        await go_on.wait()
        return web.json_response(completion("Hello."))

    upstream.answer = answer
    first = asyncio.create_task(gate.post(CALL, **caller))
    await at_work.wait()
    status, headers, refused = await gate.post(CALL, **caller)
    assert (status, refused["error"]["code"], headers["retry-after"]) == (429, "rate_limit_exceeded", "1")
    go_on.set()
    assert (await first)[0] == 200
    assert (await gate.post(CALL, **caller))[0] == 200
    assert (await gate.post(CALL, **caller))[0] == 429


async def test_a_stream_holds_its_place_until_its_last_byte(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    caller = await key(gate, limits={"concurrent_requests": 1})
    go_on = asyncio.Event()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if not body["stream"]:
            return web.json_response(completion("Hello."))
        return await send_paused(request, "One ", go_on, events(["two"]))

    upstream.answer = answer
    client = gate.client(caller["authorization"].removeprefix("Bearer "))
    stream = await client.chat.completions.create(**CALL, stream=True)  # type: ignore[call-overload]
    pieces = aiter(stream)
    await anext(pieces)
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(**CALL)  # type: ignore[call-overload]
    go_on.set()
    async for _ in pieces:
        pass
    assert (await gate.post(CALL, **caller))[0] == 200


async def plain(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({**completion("Hello."), "usage": usage(7, 4)})


async def failing(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"error": {"message": "broken"}}, status=500)


async def invalid(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"error": {"message": "no"}}, status=400)


async def breaking(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return await send_stream(request, [events(["One ", "two"], usage=False, done=False)[:-200]])


async def leaking(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({**completion("Write to ann@example.com."), "usage": usage(7, 4)})


@pytest.mark.parametrize(
    ("answer", "change", "status", "spent", "requests"),
    [
        (plain, {}, 200, "0.004", 1),
        (failing, {}, 502, "0", 1),
        (invalid, {}, 400, "0", 0),
        (leaking, {}, 200, "0.004", 1),
        (plain, {"messages": [{"role": "user", "content": "ann@example.com"}]}, 400, "0", 0),
        (breaking, {"stream": True}, 200, None, 1),
        (plain, {"model": "nobody"}, 404, "0", 0),
        (plain, {"max_tokens": 0}, 400, "0", 0),
    ],
    ids=[
        "reply", "upstream 500", "upstream 400", "guard on the way out", "guard on the way in", "broken stream",
        "no model", "bad request",
    ],
)  # fmt: skip
async def test_every_way_out_settles_once(
    gate: RunningGate,
    upstream: ScriptedUpstream,
    answer: Answer,
    change: dict[str, Any],
    status: int,
    spent: str | None,
    requests: int,
) -> None:
    caller = await key(gate, **budget("1"), limits={"requests_per_minute": 10, "concurrent_requests": 1})
    upstream.answer = answer
    async with gate.http.post(
        gate.url + "/v1/chat/completions", json={**CALL, **change}, headers={"authorization": caller["authorization"]}
    ) as response:
        assert response.status == status
        await response.read()
    await nothing_held(gate)
    rows = await gate.rows()
    assert len(rows) == requests
    counted = await counters(gate, caller["id"])
    assert counted["spent"] == sum(row.cost_pico for row in rows)
    if spent is not None:
        assert counted["spent"] == int(float(spent) * 10**12)
    # One call more, to see from its headers how many of the limit were left.
    upstream.answer = plain
    _, headers, _ = await gate.post(CALL, **caller)
    assert int(headers["x-ratelimit-remaining-requests"]) == 10 - requests - 1


async def counters(gate: RunningGate, key_id: str) -> dict[str, int]:
    """What the day's budget of a key has spent and held."""
    from datetime import UTC, datetime
    from decimal import Decimal

    from billing.budgets import Budget, Window

    start = int(Budget(limit=Decimal(1), window=Window.DAY).span(datetime.now(UTC)).start.timestamp())
    spent, held = await gate.parts.limits.budget(f"key:{key_id}:day:UTC:{start}")
    return {"spent": spent, "held": held}


async def test_a_timeout_settles(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def never(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    upstream.answer = never
    text = CONFIG.format(url=upstream.url, more="").replace("total: 5s", "total: 50ms")
    async with run_gate(tmp_path, text) as gate:
        caller = await key(gate, **budget("1"))
        status, _, _ = await gate.post(CALL, **caller)
        assert status == 504
        await nothing_held(gate)
        assert await counters(gate, caller["id"]) == {"spent": 0, "held": 0}
        assert [row.cost_pico for row in await gate.rows()] == [0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_leaves_gives_its_hold_back_and_pays_for_what_was_made(
    gate: RunningGate, upstream: ScriptedUpstream, stream: bool
) -> None:
    caller = await key(gate, **budget("1"), limits={"concurrent_requests": 1})
    at_work, never = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        at_work.set()
        if stream:
            return await send_paused(request, "One two three ", never)
        await never.wait()
        raise AssertionError

    upstream.answer = answer
    asking = asyncio.create_task(_read_first(gate, caller, stream))
    await at_work.wait()
    if stream:
        await asking  # the connection is closed with the first piece read
    else:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await nothing_held(gate)
    (row,) = await gate.rows()
    counted = await counters(gate, caller["id"])
    assert counted == {"spent": row.cost_pico, "held": 0}
    assert (row.cost_pico > 0) == stream
    upstream.answer = plain
    assert (await gate.post(CALL, **caller))[0] == 200


async def _read_first(gate: RunningGate, caller: dict[str, str], stream: bool) -> None:
    async with gate.http.post(
        gate.url + "/v1/chat/completions",
        json={**CALL, "stream": stream},
        headers={"authorization": caller["authorization"]},
    ) as response:
        await response.content.readany()
        response.close()


async def test_a_stream_and_a_plain_call_with_the_same_usage_have_the_same_row(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        told = {**usage(70, 9), "prompt_tokens_details": {"cached_tokens": 50}}
        if not body["stream"]:
            return web.json_response({**completion("Hello there."), "usage": told})
        last = {**chunk({}), "choices": [], "usage": told}
        import orjson

        return await send_stream(
            request,
            [
                events(["Hello ", "there."], usage=False, done=False),
                b"data: " + orjson.dumps(last) + b"\n\ndata: [DONE]\n\n",
            ],
        )

    upstream.answer = answer
    caller = await key(gate, **budget("1"))
    client = gate.client(caller["authorization"].removeprefix("Bearer "))
    await client.chat.completions.create(**CALL)  # type: ignore[call-overload]
    async for _ in await client.chat.completions.create(**CALL, stream=True):  # type: ignore[call-overload]
        pass
    plain_row, stream_row = (row._asdict() for row in await gate.rows())
    differing = {name for name in plain_row if plain_row[name] != stream_row[name]}
    assert differing <= {"id", "request_id", "at", "stream", "duration_ms", "first_token_ms"}
    assert plain_row["cached_input_tokens"] == 50 and plain_row["cost_pico"] == 9 * 10**9


async def test_a_model_without_a_price_is_refused_under_a_budget(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    caller = await key(gate, **budget("1"))
    status, headers, body = await gate.post({**CALL, "model": "unpriced"}, **caller)
    assert (status, body["error"]["code"], headers["x-should-retry"]) == (429, "budget_exceeded", "false")
    assert "no price" in body["error"]["message"] and not upstream.requests
    free = await key(gate)
    assert (await gate.post({**CALL, "model": "unpriced"}, **free))[0] == 200


async def test_unpriced_models_are_served_under_a_budget_where_the_config_allows(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    more = "budgets: {unpriced: allow}"
    async with run_gate(tmp_path, CONFIG.format(url=upstream.url, more=more)) as gate:
        caller = await key(gate, **budget("0.001"))
        assert (await gate.post({**CALL, "model": "unpriced"}, **caller))[0] == 200


async def test_an_answer_without_a_limit_is_bound_where_a_budget_rests_on_it(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    unlimited = {key: value for key, value in CALL.items() if key != "max_tokens"}
    free, bound = await key(gate), await key(gate, **budget("5"))
    await gate.post(unlimited, **free)
    await gate.post(unlimited, **bound)
    await gate.post(CALL, **bound)
    assert [body.get("max_tokens") for body in upstream.requests] == [None, 4096, 10]


async def test_the_tightest_of_key_user_and_team_wins(gate: RunningGate) -> None:
    await gate.post({"name": "search", "limits": {"requests_per_minute": 3}}, "/admin/teams")
    await gate.post({"name": "ann", "limits": {"requests_per_minute": 2}}, "/admin/users")
    of_ann = await key(gate, team="search", user="ann", limits={"requests_per_minute": 9})
    of_bob = await key(gate, team="search", user="bob", limits={"requests_per_minute": 9})
    assert [(await gate.post(CALL, **of_ann))[0] for _ in range(3)] == [200, 200, 429]
    assert [(await gate.post(CALL, **of_bob))[0] for _ in range(2)] == [200, 429]


async def test_limits_of_a_model_and_budgets_of_a_tag_bind_every_key(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    more = 'budgets: {tags: [{tag: "customer=acme", limit_usd: "0.015", window: total}]}'
    text = CONFIG.format(url=upstream.url, more=more).replace(
        "  - name: unpriced", "    limits: {requests_per_minute: 4}\n  - name: unpriced"
    )

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**completion("Hello."), "usage": usage(1, 10)})

    upstream.answer = answer
    async with run_gate(tmp_path, text) as gate:
        one, other = await key(gate), await key(gate, tags={"customer": "acme"})
        acme = {"x-sluicegate-tags": "customer=acme"}
        assert (await gate.post(CALL, **one, **acme))[0] == 200
        status, _, body = await gate.post(CALL, **other)
        assert (status, body["error"]["code"]) == (429, "budget_exceeded")
        assert "The tag 'customer=acme'" in body["error"]["message"]
        assert [(await gate.post(CALL, **one))[0] for _ in range(4)] == [200, 200, 200, 429]


async def test_a_budget_counts_on_after_a_restart(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**completion("Hello."), "usage": usage(1, 10)})

    upstream.answer = answer
    text = CONFIG.format(url=upstream.url, more="")
    async with run_gate(tmp_path, text) as gate:
        caller = await key(gate, **budget("0.025"))
        assert (await gate.post(CALL, **caller))[0] == 200
    async with run_gate(tmp_path, text) as gate:
        assert (await gate.post(CALL, **caller))[0] == 200
        assert (await gate.post(CALL, **caller))[0] == 429


async def test_a_ceiling_lowered_below_what_is_spent_refuses_and_raised_again_serves(gate: RunningGate) -> None:
    caller = await key(gate, **budget("1"))
    assert (await gate.post(CALL, **caller))[0] == 200
    for limit, expected in (("0.001", 429), ("1", 200)):
        async with gate.http.patch(
            f"{gate.url}/admin/keys/{caller['id']}", json=budget(limit), headers=gate.headers
        ) as response:
            assert response.status == 200
        assert (await gate.post(CALL, **caller))[0] == expected


async def test_rate_limit_headers_are_openais(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    caller = await key(gate, limits={"requests_per_minute": 2, "tokens_per_minute": 100})
    client = gate.client(caller["authorization"].removeprefix("Bearer "))
    raw = await client.chat.completions.with_raw_response.create(**CALL)  # type: ignore[call-overload]
    assert {name: value for name, value in raw.headers.items() if name.startswith("x-ratelimit")} == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": str(100 - TOKENS),
        "x-ratelimit-reset-tokens": "1m0s",
    }
    await client.chat.completions.create(**CALL)  # type: ignore[call-overload]
    with pytest.raises(openai.RateLimitError) as refused:
        await client.chat.completions.create(**CALL)  # type: ignore[call-overload]
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


async def test_refusals_are_counted_by_kind(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    poor, slow = await key(gate, **budget("0.012")), await key(gate, limits={"tokens_per_minute": 1})

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**completion("Hello."), "usage": usage(1, 10)})

    upstream.answer = answer
    for caller in (poor, poor, poor, slow):
        await gate.post(CALL, **caller)
    metrics = await gate.metrics()
    assert metrics['sluicegate_limit_rejections_total{kind="budget"}'] == 2
    assert metrics['sluicegate_limit_rejections_total{kind="tokens"}'] == 1
    assert metrics['sluicegate_budget_thresholds_total{owner="key",percent="100"}'] == 1
