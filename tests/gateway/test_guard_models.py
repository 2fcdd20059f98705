"""What guards ask of models: past guards, caches and rates, not past budgets, and billed to whoever is guarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from adminkit import ok
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, completion, events, run_gate, send_stream

from gateway.guarding import models as guarding

CONFIG = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: upstream-model, base_url: {url}, retries: 0, price: {{input: "0", output: "1000"}}}}
  - name: checker
    limits: {{requests_per_minute: 1, concurrent_requests: 1}}
    fallbacks: {fallbacks}
    targets:
      - {{provider: openai, model: checker-model, base_url: {url}, retries: 0, price: {{input: "0", output: "1000"}}}}
  - name: spare
    targets:
      - {{provider: openai, model: spare-model, base_url: {url}, retries: 0, price: {{input: "0", output: "1000"}}}}
  - {{name: sorry, last_resort: {{message: '{{"verdict": "allowed"}}'}},
     targets: [{{provider: openai, model: dead-model, base_url: {url}, retries: 0}}]}}
guards:
{guards}
{more}
"""
JUDGE = (
    "  - {{name: moon, kind: judge, policy: No moon., model: {model}, stages: [{stages}], default: true, timeout: 20s, "
    "max_tokens: 10, {more}}}"
)
ALLOWED, VIOLATION = '{"verdict": "allowed"}', '{"verdict": "violation"}'
# A question costs at most 10 tokens of output at 1,000 USD a million, and 3 when it is answered.
QUESTION = Decimal("0.003")


def config(
    upstream: ScriptedUpstream,
    stages: str = "input",
    model: str = "checker",
    judge: str = "",
    guards: str = "",
    more: str = "",
    fallbacks: str = "[]",
) -> str:
    judged = JUDGE.format(stages=stages, model=model, more=judge)
    return CONFIG.format(url=upstream.url, guards=f"{guards}\n{judged}", more=more, fallbacks=fallbacks)


def question(body: dict[str, Any]) -> str | None:
    """The text that is judged; None if the request is no question of a guard."""
    if not body["messages"][0]["content"].startswith("You check texts"):
        return None
    asked: str = body["messages"][1]["content"]
    return asked


@pytest.fixture
def judging(upstream: ScriptedUpstream) -> ScriptedUpstream:
    """An upstream that knows the policy."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        asked = question(body)
        if asked is not None:
            return web.json_response(completion(VIOLATION if "moon" in asked else ALLOWED))
        if body.get("stream"):
            return await send_stream(request, [events(["The sun ", "is up. "] * 40)])
        return web.json_response(completion("The sun is up."))

    upstream.answer = answer
    return upstream


@pytest.fixture
async def gate(tmp_path: Path, judging: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, config(judging)) as running:
        yield running


def ask(content: str = "Hello.", **fields: Any) -> dict[str, Any]:
    return {"model": "assistant", "messages": [{"role": "user", "content": content}], "max_tokens": 10, **fields}


async def key(gate: RunningGate, **fields: Any) -> dict[str, str]:
    status, _, made = await gate.post({"name": "test", **fields}, "/admin/keys")
    assert status == 201, made
    return {"authorization": f"Bearer {made['key']}"}


def asked_models(upstream: ScriptedUpstream) -> list[str]:
    return [body["model"] for body in upstream.requests]


async def test_a_question_has_a_row_of_its_own_that_names_its_guard(gate: RunningGate) -> None:
    await ok(gate, "POST", "/teams", {"name": "search"})
    await ok(gate, "POST", "/users", {"name": "ann"})
    caller = await key(gate, team="search", user="ann", tags={"unit": "eu"})
    tags = {"x-sluicegate-tags": "feature=chat,guard=mine", "x-request-id": "req-7"}
    status, headers, _ = await gate.post(ask(metadata={"customer": "acme"}), **caller, **tags)
    assert status == 200
    asked, answered = sorted(await gate.rows(), key=lambda row: row.endpoint != "guard")
    same = ("key_id", "team", "user", "key_user", "request_id")
    assert [getattr(asked, name) for name in same] == [getattr(answered, name) for name in same]
    assert asked.request_id == "req-7" and asked.id != answered.id
    assert (asked.endpoint, asked.model, asked.outcome, asked.status) == ("guard", "checker", "ok", 200)
    assert (answered.endpoint, answered.model) == ("chat/completions", "assistant")
    assert asked.tags == {"unit": "eu", "feature": "chat", "customer": "acme", "guard": "moon"}
    assert answered.tags == {"unit": "eu", "feature": "chat", "customer": "acme", "guard": "mine"}
    assert (asked.output_tokens, asked.cost_pico) == (3, 3 * 10**9)
    assert headers["x-sluicegate-cost-usd"] == "0.003"  # of the answer
    told = await ok(gate, "GET", "/usage?group_by=endpoint")
    costs = {row["endpoint"]: Decimal(row["cost_usd"]) for row in told["rows"]}
    assert costs == {"guard": QUESTION, "chat/completions": QUESTION}


async def test_the_model_is_the_operators_choice_and_no_rate_is_asked(gate: RunningGate) -> None:
    """`checker` has a limit of one a minute, the key one of one at a time, and leave to use `assistant` only."""
    caller = await key(
        gate,
        models=["assistant"],
        limits={"concurrent_requests": 1, "models": {"checker": {"requests_per_minute": 1}, "assistant": {}}},
    )
    for number in range(3):
        assert (await gate.post(ask(f"Hello {number}."), **caller))[0] == 200
    assert gate.idle() and await gate.parts.limits.holds() == 0


@pytest.mark.parametrize("stages", ["input", "output"])
async def test_a_key_of_one_request_at_a_time_and_one_a_minute_does_not_wait_for_itself(
    tmp_path: Path, judging: ScriptedUpstream, stages: str
) -> None:
    text = config(judging, stages, "null")  # the model that the caller asked, which the key's limits are for
    async with run_gate(tmp_path, text) as gate:
        rates = {"requests_per_minute": 1, "concurrent_requests": 1, "tokens_per_minute": 60}
        budgets = [{"limit_usd": "1", "window": "day"}]
        caller = await key(gate, limits={**rates, "models": {"assistant": rates}}, budgets=budgets)
        async with asyncio.timeout(20):
            assert (await gate.post(ask(), **caller))[0] == 200
            assert asked_models(judging) == ["upstream-model"] * 2
            assert (await gate.post(ask(), **caller))[0] == 429


async def test_a_question_is_no_request_that_guards_look_at_nor_one_that_the_cache_answers(
    tmp_path: Path, judging: ScriptedUpstream
) -> None:
    text = config(judging, "input, output", judge="remember: false", more="cache: {exact: {}}")
    async with run_gate(tmp_path, text) as gate:
        for _ in range(2):
            assert (await gate.post(ask()))[0] == 200
        assert asked_models(judging) == [
            "checker-model", "upstream-model", "checker-model",
            "checker-model", "checker-model",  # the answer came from the cache, and was judged again
        ]  # fmt: skip


async def test_what_is_spent_with_questions_never_passes_a_budget(gate: RunningGate, judging: ScriptedUpstream) -> None:
    limit = Decimal("0.1")
    caller = await key(gate, budgets=[{"limit_usd": str(limit), "window": "day"}])

    async def one(number: int) -> tuple[int, Any]:
        status, _, body = await gate.post(ask(f"Hello {number}."), **caller)
        return status, body.get("error", {}).get("code")

    answers = await asyncio.gather(*(one(number) for number in range(60)))
    assert {200, 429} <= {status for status, _ in answers}
    assert {code for status, code in answers if status != 200} <= {"budget_exceeded", "guard_unavailable"}
    for number in range(60):
        await one(100 + number)
    spent = sum(Decimal(row.cost_pico) / 10**12 for row in await gate.rows())
    assert limit - 2 * Decimal("0.01") < spent <= limit
    assert await gate.parts.limits.holds() == 0


async def test_a_budget_that_has_no_room_for_the_question_fails_the_guard(
    gate: RunningGate, judging: ScriptedUpstream
) -> None:
    caller = await key(gate, budgets=[{"limit_usd": "0.015", "window": "day"}])  # room for one answer, not for two
    status, _, body = await gate.post(ask(), **caller)
    assert (status, body["error"]["code"]) == (503, "guard_unavailable")
    assert judging.requests == [] and await gate.rows() == []


async def test_a_tags_budget_binds_questions_too_and_one_can_be_set_for_a_guard(
    tmp_path: Path, judging: ScriptedUpstream
) -> None:
    more = """budgets:
  tags:
    - {tag: "customer=acme", limit_usd: "1", window: day}
    - {tag: "guard=moon", limit_usd: "0.02", window: day}"""
    async with run_gate(tmp_path, config(judging, more=more)) as gate:
        tags = {"x-sluicegate-tags": "customer=acme,note=private"}
        for number, expected in enumerate((200, 200, 200, 200, 503)):
            assert (await gate.post(ask(f"Hello {number}."), **tags))[0] == expected
        status, _, _ = await gate.post({**ask("the moon"), "user": "bob"}, **tags)
        assert status == 503
        assert asked_models(judging).count("checker-model") == 4


async def test_a_request_that_is_blocked_pays_for_its_question_and_tells_nothing_of_itself(
    tmp_path: Path, judging: ScriptedUpstream
) -> None:
    """What it is booked to has not been looked at by all guards then."""
    more = 'budgets: {tags: [{tag: "customer=acme", limit_usd: "1", window: day}]}'
    async with run_gate(tmp_path, config(judging, more=more)) as gate:
        caller = await key(gate, tags={"unit": "eu"})
        body = ask("the moon", user="bob@example.org", metadata={"mail": "bob@example.org"})
        status, _, answer = await gate.post(body, **caller, **{"x-sluicegate-tags": "customer=acme,who=bob"})
        assert (status, answer["error"]["code"]) == (400, "guard_blocked")
        assert asked_models(judging) == ["checker-model"]
        (row,) = await gate.rows()
        assert (row.endpoint, row.user, row.tags) == (
            "guard",
            None,
            {"unit": "eu", "customer": "acme", "guard": "moon"},
        )


async def test_rows_of_questions_carry_what_the_guards_left_of_the_request(
    tmp_path: Path, judging: ScriptedUpstream
) -> None:
    pii = "  - {name: pii, kind: pii, stages: [input], action: redact, default: true}"
    text = config(judging, guards="").replace("max_tokens: 10, }", "max_tokens: 10}\n" + pii)
    async with run_gate(tmp_path, text) as gate:
        assert gate.parts.lines.current.guards.names == ("moon", "pii")  # asked before it was hidden
        status, _, _ = await gate.post(ask(user="bob@example.org", metadata={"mail": "bob@example.org"}))
        assert status == 200
        for row in await gate.rows():
            assert "bob@" not in f"{row.user} {row.tags}" and "EMAIL" in row.user and "EMAIL" in row.tags["mail"]


async def test_a_caller_that_leaves_takes_the_question_along_and_pays_for_it(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    at_work = asyncio.Event()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        at_work.set()
        await asyncio.Event().wait()
        raise AssertionError

    upstream.answer = answer
    request = asyncio.create_task(gate.post(ask()))
    await at_work.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await gate.until_idle()
    async with asyncio.timeout(2):
        while not upstream.disconnects:
            await asyncio.sleep(0.005)
    (row,) = await gate.rows()
    assert (row.endpoint, row.estimated, row.tags) == ("guard", True, {"guard": "moon"})
    assert row.input_tokens > 0 and await gate.parts.limits.holds() == 0


async def test_a_model_that_refuses_a_schema_is_asked_without_and_remembered(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if "response_format" in body:
            return web.json_response({"error": {"message": "no response_format here"}}, status=400)
        return web.json_response(completion(ALLOWED if question(body) else "Hi."))

    upstream.answer = answer
    for number in range(2):
        assert (await gate.post(ask(f"Hello {number}.")))[0] == 200
    schemas = ["response_format" in body for body in upstream.requests]
    assert schemas == [True, False, False, False, False]
    first, second = upstream.requests[:2]
    assert first["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert (first["temperature"], "temperature" in second, second["max_tokens"]) == (0.0, False, 10)
    assert [row.endpoint for row in await gate.rows()].count("guard") == 2  # what was refused costs nothing


async def test_questions_fall_back_as_other_calls_do(tmp_path: Path, judging: ScriptedUpstream) -> None:
    answer = judging.answer
    assert answer is not None

    async def broken(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=500) if body["model"] == "checker-model" else await answer(request, body)

    judging.answer = broken
    async with run_gate(tmp_path, config(judging, fallbacks="[spare]")) as gate:
        assert (await gate.post(ask()))[0] == 200
        assert asked_models(judging) == ["checker-model", "spare-model", "upstream-model"]
        assert {row.model for row in await gate.rows() if row.endpoint == "guard"} == {"spare"}


async def test_a_message_for_when_nobody_answers_is_no_verdict(tmp_path: Path, judging: ScriptedUpstream) -> None:
    async def dead(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=500)

    judging.answer = dead
    async with run_gate(tmp_path, config(judging, model="sorry")) as gate:
        status, _, body = await gate.post(ask())
        assert (status, body["error"]["code"]) == (503, "guard_unavailable")
        assert asked_models(judging) == ["dead-model"]


@pytest.mark.parametrize("finish", ["length", "content_filter", "tool_calls", "odd"])
async def test_a_part_of_an_answer_is_none(gate: RunningGate, upstream: ScriptedUpstream, finish: str) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        reply = completion(ALLOWED)
        reply["choices"][0]["finish_reason"] = finish
        return web.json_response(reply)

    upstream.answer = answer
    status, _, body = await gate.post(ask())
    assert (status, body["error"]["code"]) == (503, "guard_unavailable")
    assert asked_models(upstream) == ["checker-model"]
    assert [row.endpoint for row in await gate.rows()] == ["guard"]


async def test_a_request_has_a_number_of_questions_and_no_more(
    tmp_path: Path, judging: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding, "MAX_QUESTIONS", 2)
    async with run_gate(tmp_path, config(judging, "input, output", judge="remember: false")) as gate:
        assert (await gate.post(ask()))[0] == 200
        chat = [{"role": role, "content": role + " speaks"} for role in ("user", "assistant", "user")]
        status, _, body = await gate.post({"model": "assistant", "messages": chat})
        assert (status, body["error"]["code"]) == (503, "guard_unavailable")


async def test_a_stream_is_judged_while_it_goes_and_each_question_is_billed(
    tmp_path: Path, judging: ScriptedUpstream
) -> None:
    async with run_gate(tmp_path, config(judging, "output", judge="piece: 100")) as gate:
        body = ask(stream=True)
        async with gate.http.post(gate.url + "/v1/chat/completions", json=body, headers=gate.headers) as response:
            raw = await response.read()
        text = "".join(
            choice["delta"].get("content") or ""
            for line in raw.split(b"\n\n")
            if line.startswith(b"data: {")
            for choice in orjson.loads(line[6:])["choices"]
        )
        assert text == "The sun is up. " * 40 and raw.endswith(b"data: [DONE]\n\n")
        rows = [row.endpoint for row in await gate.rows()]
        assert rows.count("guard") == asked_models(judging).count("checker-model") == 3
        assert rows.count("chat/completions") == 1


async def test_the_model_that_is_asked_by_default_is_the_one_the_caller_asked(
    tmp_path: Path, judging: ScriptedUpstream
) -> None:
    async with run_gate(tmp_path, config(judging, model="null")) as gate:
        assert (await gate.post({**ask(), "model": "spare"}))[0] == 200
        assert asked_models(judging) == ["spare-model"] * 2
