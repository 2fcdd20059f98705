"""One guard for every door: what is hidden on one is hidden on all, whole and streamed, and each says what ran."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, chunk, completion, run_gate, send_stream

CONFIG = """
models:
  - {{name: assistant, targets: [{{provider: openai, model: m, base_url: "{url}", api_key: x, retries: 0}}]}}
guards:
  - {{name: pii, kind: pii, default: true}}
"""
OWN, OTHER = "ada@example.org", "eve@leak.example"
SAY = f"Write to {OWN}."
TOOL = {"type": "object", "properties": {"to": {"type": "string", "description": SAY}}}
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": SAY}]}

ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", CHAT),
    "chat parts": (
        "chat/completions",
        {**CHAT, "messages": [{"role": "user", "content": [{"type": "text", "text": SAY}]}]},
    ),
    "chat tools": (
        "chat/completions",
        {**CHAT, "tools": [{"type": "function", "function": {"name": "f", "description": SAY, "parameters": TOOL}}]},
    ),
    "completions": ("completions", {"model": "assistant", "prompt": SAY}),
    "completions list": ("completions", {"model": "assistant", "prompt": [SAY, SAY]}),
    "embeddings": ("embeddings", {"model": "assistant", "input": [SAY, SAY]}),
    "moderations": ("moderations", {"model": "assistant", "input": [{"type": "text", "text": SAY}]}),
    "responses": ("responses", {"model": "assistant", "input": SAY, "instructions": SAY}),
    "responses items": (
        "responses",
        {
            "model": "assistant",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": SAY}]},
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": orjson.dumps({"to": OWN}).decode()},
                {"type": "function_call_output", "call_id": "1", "output": SAY},
            ],
        },
    ),
    "messages": ("messages", {"model": "assistant", "max_tokens": 9, "system": SAY, "messages": CHAT["messages"]}),
    "messages blocks": (
        "messages",
        {
            "model": "assistant",
            "max_tokens": 9,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": SAY}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"to": OWN}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": SAY}]}
                    ],
                },
            ],
            "tools": [{"name": "f", "description": SAY, "input_schema": TOOL}],
        },
    ),
}
STREAMED = [name for name, (path, _) in ASKS.items() if path not in ("embeddings", "moderations")]


async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Say the first placeholder again, and a value of one's own; in pieces of four if asked."""
    placeholder = re.search(r"\[EMAIL_1_\w+\]", orjson.dumps(body).decode())
    said = f"{placeholder[0] if placeholder else '?'} and {OTHER} too"
    path = request.path.removeprefix("/v1/")
    if path == "embeddings":
        return web.json_response(
            {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        )
    if path == "moderations":
        return web.json_response({"id": "x", "model": "m", "results": []})
    pieces = [said[at : at + 4] for at in range(0, len(said), 4)]
    if path == "completions":
        choice = {"index": 0, "logprobs": None, "finish_reason": None}
        if not body.get("stream"):
            return web.json_response(
                {
                    "id": "x",
                    "object": "text_completion",
                    "created": 1,
                    "model": "m",
                    "choices": [{**choice, "text": said}],
                }
            )
        events: list[Any] = [
            {"id": "x", "object": "text_completion", "choices": [{**choice, "text": p}]} for p in pieces
        ]
        events.append({"id": "x", "choices": [{**choice, "text": "", "finish_reason": "stop"}]})
    else:
        if not body.get("stream"):
            return web.json_response(completion(said))
        events = [*(chunk({"content": piece}) for piece in pieces), chunk({}, "stop")]
    return await send_stream(request, [*(b"data: " + orjson.dumps(e) + b"\n\n" for e in events), b"data: [DONE]\n\n"])


@pytest.fixture
async def gate(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    upstream.answer = answer
    async with run_gate(tmp_path, CONFIG.format(url=upstream.url)) as running:
        yield running


def said_in(raw: str) -> str:
    """All text of a reply or of a stream's deltas, in order, whatever the dialect."""
    bodies = [orjson.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")] or [orjson.loads(raw)]
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("content", "text", "delta") and isinstance(value, str):
                    found.append(value)
                else:
                    walk(value)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    for body in bodies:
        if body.get("type", "").endswith((".done", ".completed")):
            continue  # the whole said once more
        walk(body)
    return "".join(found)


@pytest.mark.parametrize(("name", "streamed"), [*((n, False) for n in ASKS), *((n, True) for n in STREAMED)])
async def test_a_value_is_hidden_and_restored_and_others_are_masked_at_every_door(
    gate: RunningGate, upstream: ScriptedUpstream, name: str, streamed: bool
) -> None:
    path, ask = ASKS[name]
    body = {**ask, "stream": True} if streamed else ask
    async with gate.http.post(f"{gate.url}/v1/{path}", json=body, headers=gate.headers) as response:
        raw = await response.text()
        assert response.status == 200, raw
        told = response.headers["x-sluicegate-guards"]
    assert told.startswith("pii;stage=input;action=redact;email=")
    sent = orjson.dumps(upstream.requests).decode()
    assert OWN not in sent and "[EMAIL_1_" in sent
    assert OTHER not in raw
    if path not in ("embeddings", "moderations"):
        assert said_in(raw).startswith(f"{OWN} and [EMAIL] too"), raw
    counts = await gate.metrics()
    assert counts['sluicegate_guard_verdicts_total{action="redact",guard="pii",stage="input"}'] == 1
