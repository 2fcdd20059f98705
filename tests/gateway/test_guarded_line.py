"""Guards on the line: what a block, a failing guard and odd chunks do to an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from gatekit import RunningGate, ScriptedUpstream, chunk, completion, events, run_gate, send_paused, send_stream

from gateway.pipeline import recorder
from gateway.pipeline.record import Record
from guards.spans.guard import SpanSession

CONFIG = """
models:
  - name: assistant
    targets: [{{provider: openai, model: upstream-model, base_url: {url}, retries: 0}}]
guards:
  - {{name: watch, kind: pii, stages: [{stages}], action: {action}, default: true, on_error: {on_error}}}
"""
ADDRESS = "bob@example.org"
SECRET = f"Write to {ADDRESS} today."


def config(
    upstream: ScriptedUpstream, stages: str = "input, output", action: str = "block", on_error: str = "block"
) -> str:
    return CONFIG.format(url=upstream.url, stages=stages, action=action, on_error=on_error)


def ask(content: str, **fields: Any) -> dict[str, Any]:
    return {"model": "assistant", "messages": [{"role": "user", "content": content}], **fields}


async def stream(gate: RunningGate, content: str = "Hi", **fields: Any) -> tuple[str, list[str | None], bytes]:
    """The text, the finish reasons and the raw bytes of a stream."""
    body = ask(content, stream=True, **fields)
    async with gate.http.post(gate.url + "/v1/chat/completions", json=body, headers=gate.headers) as response:
        raw = await response.read()
    bodies = [orjson.loads(line[6:]) for line in raw.split(b"\n\n") if line.startswith(b"data: {")]
    choices = [choice for body in bodies for choice in body.get("choices", [])]
    ended: set[int] = set()
    for choice in choices:
        assert choice["index"] not in ended, "a choice speaks after its end"
        if choice["finish_reason"]:
            ended.add(choice["index"])
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, [choice["finish_reason"] for choice in choices if choice["finish_reason"]], raw


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_blocked_input_never_leaves_and_costs_nothing(
    tmp_path: Path, upstream: ScriptedUpstream, streamed: bool
) -> None:
    async with run_gate(tmp_path, config(upstream)) as gate:
        status, _, body = await gate.post(ask(SECRET, stream=streamed))
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "guard_blocked", "watch")
        assert ADDRESS not in str(body)
        assert not upstream.requests
        assert await gate.rows() == []
        name = 'sluicegate_guard_verdicts_total{action="block",guard="watch",stage="input"}'
        assert (await gate.metrics())[name] == 1


async def test_numbers_and_names_of_fields_are_guarded_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    more = {"seed": 4111111111111111, "profile": {ADDRESS: "x", "cards": [4111111111111111], "size": 1000001}}
    async with run_gate(tmp_path, config(upstream, action="redact")) as gate:
        status, _, _ = await gate.post(ask(SECRET, **more))
        assert status == 200
        (sent,) = upstream.requests
        (address, card) = (f"[{kind}" for kind in ("EMAIL_1_", "CARD_1_"))
        assert sent["messages"][0]["content"].startswith(f"Write to {address}")
        assert [name[: len(address)] for name in sent["profile"]] == [address, "cards", "size"]
        assert sent["profile"]["cards"][0].startswith(card)
        assert (sent["seed"], sent["profile"]["size"]) == (4111111111111111, 1000001)
        (row,) = await gate.rows()
        assert row.outcome == "ok"


async def test_a_blocked_reply_is_200_with_content_filter_and_is_billed(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def answer(request: Any, body: dict[str, Any]) -> Any:
        from aiohttp import web

        return web.json_response(completion(SECRET))

    upstream.answer = answer
    async with run_gate(tmp_path, config(upstream, "output")) as gate:
        status, _, body = await gate.post(ask("Hi"))
        assert status == 200
        assert body["choices"][0]["finish_reason"] == "content_filter"
        assert ADDRESS not in str(body)
        (row,) = await gate.rows()
        assert (row.outcome, row.output_tokens) == ("blocked", 3)


async def test_a_blocked_stream_ends_with_content_filter_and_none_of_the_text(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.answer = lambda request, body: send_stream(request, [events(["Write", " to bob@", "example.org", " now"])])
    async with run_gate(tmp_path, config(upstream, "output")) as gate:
        text, finishes, raw = await stream(gate)
        assert finishes == ["content_filter"]
        assert "bob" not in text
        assert raw.endswith(b"data: [DONE]\n\n")
        (row,) = await gate.rows()
        assert row.outcome == "blocked"
        assert gate.idle()


async def raises(self: SpanSession, slots: Any) -> Any:
    raise RuntimeError(f"cannot read {slots[0].text}")


async def hangs(self: SpanSession, slots: Any) -> Any:
    await asyncio.Event().wait()


async def says_nothing(self: SpanSession, slots: Any) -> Any:
    return None


async def says_junk(self: SpanSession, slots: Any) -> Any:
    return "all fine"


FAILURES = {raises: "RuntimeError", hangs: "no answer in 0.05 s", says_nothing: "no verdict", says_junk: "no verdict"}


@pytest.mark.parametrize("failing", FAILURES)
@pytest.mark.parametrize("on_error", ["block", "pass"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_guard_that_fails_blocks_unless_told_to_pass(
    tmp_path: Path,
    upstream: ScriptedUpstream,
    monkeypatch: pytest.MonkeyPatch,
    on_error: str,
    streamed: bool,
    failing: Callable[..., Any],
) -> None:
    logged: list[Record] = []
    monkeypatch.setattr(recorder, "log_request", logged.append)
    monkeypatch.setattr(SpanSession, "check_input", failing)
    upstream.answer = (lambda request, body: send_stream(request, [events(["ok"])])) if streamed else None
    text = config(upstream, "input", "flag", on_error).replace("default: true", "default: true, timeout: 50ms")
    async with run_gate(tmp_path, text) as gate:
        body = ask(SECRET, stream=streamed)
        async with gate.http.post(gate.url + "/v1/chat/completions", json=body, headers=gate.headers) as response:
            answer = await response.read()
        if on_error == "pass":
            assert response.status == 200
            assert len(upstream.requests) == 1
        else:
            assert (response.status, orjson.loads(answer)["error"]["code"]) == (503, "guard_unavailable")
            assert int(response.headers["retry-after"]) >= 1
            assert ADDRESS.encode() not in answer
            assert not upstream.requests
        await gate.until_idle()
    [(verdict,)] = [record.verdicts for record in logged]
    assert verdict.error is not None
    assert FAILURES[failing] in verdict.error and ADDRESS not in verdict.error
    assert verdict.action.value == on_error


async def test_a_key_can_add_a_guard_and_not_drop_a_default_one(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    text = config(upstream, action="block").replace("default: true", "default: false")
    async with run_gate(tmp_path, text) as gate:
        assert (await gate.post(ask(SECRET)))[0] == 200
        _, _, made = await gate.post({"name": "careful", "guards": ["watch"]}, "/admin/keys")
        gate.headers = {"authorization": f"Bearer {made['key']}"}
        assert (await gate.post(ask(SECRET)))[0] == 400


async def test_text_in_the_last_chunk_of_a_choice_keeps_its_place(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    bodies = [
        chunk({"role": "assistant", "content": "Mail [EM"}),
        chunk({"content": "PTY] to bob@"}),
        chunk({"content": "b.co"}, "stop"),
    ]
    raw = b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies) + b"data: [DONE]\n\n"
    upstream.answer = lambda request, body: send_stream(request, [raw])
    text, finishes, _ = await stream(gate)
    assert text == "Mail [EMPTY] to [EMAIL]"
    assert finishes == ["stop"]


async def test_a_whole_answer_in_one_chunk_is_whole(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    body = chunk({"role": "assistant", "content": "All of it at once, to bob@b.co"}, "stop")
    raw = b"data: " + orjson.dumps(body) + b"\n\ndata: [DONE]\n\n"
    upstream.answer = lambda request, body: send_stream(request, [raw])
    text, finishes, _ = await stream(gate)
    assert (text, finishes) == ("All of it at once, to [EMAIL]", ["stop"])


async def test_interleaved_choices_are_guarded_each_for_itself(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    def part(index: int, text: str, finish: str | None = None) -> dict[str, Any]:
        body = chunk({"content": text} if text else {}, finish)
        body["choices"][0]["index"] = index
        return body

    bodies = [
        part(0, "a bob@"),
        part(1, "b carol@"),
        part(0, "x.co!"),
        part(0, "", "stop"),
        part(1, "y.co?"),
        part(1, "", "length"),
    ]
    raw = b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies) + b"data: [DONE]\n\n"
    upstream.answer = lambda request, body: send_stream(request, [raw])
    _, finishes, sent = await stream(gate, n=2)
    texts = {0: "", 1: ""}
    for line in sent.split(b"\n\n"):
        if line.startswith(b"data: {"):
            for choice in orjson.loads(line[6:])["choices"]:
                texts[choice["index"]] += choice["delta"].get("content") or ""
    assert texts == {0: "a [EMAIL]!", 1: "b [EMAIL]?"}
    assert finishes == ["stop", "length"]


async def test_words_held_back_come_before_the_calls_that_follow_and_calls_of_any_kind_are_guarded(
    gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    custom = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "mail", "input": "to ann@x"}}
    deltas: list[dict[str, Any]] = [
        {"content": "I ask bob@"},
        {"tool_calls": [custom]},
        {"tool_calls": [{"index": 0, "custom": {"input": ".co now"}}]},
        {"function_call": {"name": "f", "arguments": '{"to": "carol@y.co"}'}},
    ]
    bodies = [*(chunk(delta) for delta in deltas), chunk({}, "tool_calls")]
    raw = b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies) + b"data: [DONE]\n\n"
    upstream.answer = lambda request, body: send_stream(request, [raw])
    _, _, sent = await stream(gate)
    deltas = [
        choice["delta"]
        for line in sent.split(b"\n\n")
        if line.startswith(b"data: {")
        for choice in orjson.loads(line[6:])["choices"]
    ]
    kinds = [key for delta in deltas for key in ("content", "tool_calls", "function_call") if delta.get(key)]
    assert kinds == sorted(kinds, key=["content", "tool_calls", "function_call"].index)
    said = "".join(delta.get("content") or "" for delta in deltas)
    given = "".join(call["custom"].get("input", "") for delta in deltas for call in delta.get("tool_calls") or ())
    older = "".join((delta.get("function_call") or {}).get("arguments", "") for delta in deltas)
    assert (said, given, older) == ("I ask bob@", "to [EMAIL] now", '{"to": "[EMAIL]"}')


@pytest.mark.parametrize(
    ("first", "then", "joined"),
    [
        ("Mail ann@exam", "ple.com now", "Mail ann@exam[EMAIL] now"),
        ("Mail ann", " and bob.", "Mail ann and bob."),
        ("One", "", "One"),
    ],
)
async def test_a_text_that_goes_on_after_a_call_is_guarded_as_it_will_be_read(
    gate: RunningGate, upstream: ScriptedUpstream, first: str, then: str, joined: str
) -> None:
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    bodies = [chunk({"content": first}), chunk(call), chunk({"content": then}), chunk({}, "stop")]
    raw = b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies) + b"data: [DONE]\n\n"
    upstream.answer = lambda request, body: send_stream(request, [raw])
    text, _, sent = await stream(gate)
    assert text == joined
    assert b"example.com" not in sent and b"ple.com" not in sent


async def test_words_leave_before_the_stream_has_ended(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    seen = asyncio.Event()
    first = "These words leave at once "
    upstream.answer = lambda request, body: send_paused(request, first, seen, events(["end"]))
    chunks = await gate.client().chat.completions.create(**ask("Hi", stream=True))
    async with asyncio.timeout(5):
        async for part in chunks:
            if "leave at once" in (part.choices[0].delta.content or ""):
                seen.set()
    assert seen.is_set()


async def test_logprobs_are_refused_where_a_guard_looks_at_the_reply(
    tmp_path: Path, gate: RunningGate, upstream: ScriptedUpstream
) -> None:
    status, _, body = await gate.post(ask("Hi", logprobs=True))
    assert (status, body["error"]["param"]) == (400, "logprobs")
    assert not upstream.requests


TOLD = """
guards:
  - {name: mail, kind: pii, entities: [EMAIL], default: true}
  - {name: cards, kind: pii, entities: [CARD], action: flag, default: true}
  - {name: quiet, kind: pii, entities: [US_SSN], action: log, default: true}
  - {name: trial, kind: pii, entities: [IP], action: block, default: true, dry_run: true}
"""
EVERYTHING = "ada@example.org 4111 1111 1111 1111 078-05-1120 203.0.113.7"


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_guards_did_is_told_in_a_header_as_far_as_it_may_be(
    tmp_path: Path, upstream: ScriptedUpstream, streamed: bool
) -> None:
    upstream.answer = (lambda request, body: send_stream(request, [events(["ok"])])) if streamed else None
    text = config(upstream).split("guards:")[0] + TOLD.lstrip("\n")
    async with run_gate(tmp_path, text) as gate:
        body = ask(EVERYTHING, stream=streamed)
        async with gate.http.post(gate.url + "/v1/chat/completions", json=body, headers=gate.headers) as response:
            assert response.status == 200
            told = response.headers["x-sluicegate-guards"]
            await response.read()
        assert told == "mail;stage=input;action=redact;email=1, cards;stage=input;action=flag;card=1"
        counts = await gate.metrics()
        for guard, action in [("quiet", "log"), ("trial", "would_block"), ("mail", "redact")]:
            name = f'sluicegate_guard_verdicts_total{{action="{action}",guard="{guard}",stage="input"}}'
            assert counts[name] == 1
        assert "203.0.113.7" in upstream.requests[0]["messages"][0]["content"]
        async with gate.http.get(gate.url + "/v1/models", headers=gate.headers) as response:
            assert "x-sluicegate-guards" not in response.headers


async def test_an_operator_may_keep_it_from_callers(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async with run_gate(tmp_path, config(upstream, action="redact"), server="guards_header: false") as gate:
        status, headers, _ = await gate.post(ask(SECRET))
        assert status == 200 and "x-sluicegate-guards" not in headers


async def test_a_blocked_request_says_which_guard_found_what(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async with run_gate(tmp_path, config(upstream)) as gate:
        _, headers, _ = await gate.post(ask(SECRET))
        assert headers["x-sluicegate-guards"] == "watch;stage=input;action=block;email=1"
