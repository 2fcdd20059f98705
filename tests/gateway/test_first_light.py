"""The whole line on real input: the official client, the gate, the PII guard, the engine, a real model, the ledger."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from gatekit import RunningGate, run_gate

from engine.gguf import read_header
from engine.text.tokenizer import Tokenizer

pytestmark = pytest.mark.model

MODEL = Path(os.environ.get("SLUICEGATE_TEST_MODEL", "models/smollm2-135m.gguf"))
ADDRESS = "jane.doe+orders@example.com"
CONTEXT = 1024
CONFIG = """
models:
  - name: assistant
    targets:
      - engine: smollm2-135m
        retries: 0
        price: {{input: "0.05", cached_input: "0.01", output: "0.2", per_compute_second: "0.0003"}}
engine:
  models:
    smollm2-135m:
      path: {model}
      max_context: {context}
      kv_cache: {{memory: 256MiB}}
      threads: 1
      input_log: {log}
guards:
  - {{name: pii, kind: pii, stages: [input, output], action: redact, restore: true, default: true}}
"""

# A model of 135 million parameters copies reliably when it has been shown how.
COPY = [
    {"role": "user", "content": "Repeat: x1"},
    {"role": "assistant", "content": "x1"},
    {"role": "user", "content": "Repeat: abc-7"},
    {"role": "assistant", "content": "abc-7"},
    {"role": "user", "content": f"Repeat: {ADDRESS}"},
]


# Answered with hundreds of tokens: time enough to leave, or to kill, in the middle.
LONG = [{"role": "user", "content": "Write the numbers from 1 to 200, one a line."}]


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[RunningGate]:
    assert MODEL.exists(), f"{MODEL} is missing: `make test` fetches it, or set SLUICEGATE_TEST_MODEL"
    text = CONFIG.format(model=MODEL.resolve(), context=CONTEXT, log=tmp_path / "input.jsonl")
    async with run_gate(tmp_path, text) as running:
        yield running


async def used_blocks(gate: RunningGate) -> int:
    stats = await gate.parts.engines["smollm2-135m"].refresh_stats()
    assert stats.blocks_free + stats.blocks_cached + stats.blocks_used == stats.blocks_total
    return stats.blocks_used


async def ask(gate: RunningGate, messages: list[dict[str, str]], stream: bool, **fields: Any) -> str:
    client = gate.client()
    options: dict[str, Any] = {"model": "assistant", "messages": messages, "temperature": 0, "max_tokens": 40, **fields}
    if not stream:
        answer = await client.chat.completions.create(**options)
        return answer.choices[0].message.content or ""
    chunks = await client.chat.completions.create(**options, stream=True)
    texts, finishes = [], []
    async for chunk in chunks:
        texts.append(chunk.choices[0].delta.content or "")
        finishes.append(chunk.choices[0].finish_reason)
    assert [finish for finish in finishes if finish] in (["stop"], ["length"])
    return "".join(texts)


async def test_the_address_comes_back_to_the_caller_and_never_reaches_the_engine(gate: RunningGate) -> None:
    assert await ask(gate, COPY, stream=False) == ADDRESS
    assert await ask(gate, COPY, stream=True) == ADDRESS
    tokenizer = Tokenizer.from_header(read_header(MODEL))
    log = (Path(gate.parts.config.server.state_dir).parent / "input.jsonl").read_text()
    prompts = [tokenizer.decode(orjson.loads(line)["tokens"], skip_special=False) for line in log.splitlines()]
    assert len(prompts) == 2
    for prompt in prompts:
        assert "Repeat: [EMAIL_1_" in prompt
        assert ADDRESS not in prompt and "jane" not in prompt
    assert ADDRESS not in str(await gate.rows())


@pytest.mark.slow
async def test_eight_requests_at_once_share_batches_and_leave_no_block(gate: RunningGate) -> None:
    questions = [f"Count from {n} to {n + 5}." for n in range(8)]
    alone = [await ask(gate, [{"role": "user", "content": q}], stream=False) for q in questions]
    together = await asyncio.gather(
        *(ask(gate, [{"role": "user", "content": q}], stream=bool(n % 2)) for n, q in enumerate(questions))
    )
    assert together == alone
    assert all(alone)
    metrics = await gate.metrics()
    assert metrics['sluicegate_engine_batch_size_max{engine="smollm2-135m"}'] > 1
    assert metrics['sluicegate_engine_kv_blocks{engine="smollm2-135m",state="used"}'] == 0
    assert metrics['sluicegate_engine_running_sequences{engine="smollm2-135m"}'] == 0
    assert await used_blocks(gate) == 0
    rows = await gate.rows()
    assert len(rows) == 16
    for row in rows:
        tokens = (
            Decimal("0.05") * (row.input_tokens - row.cached_input_tokens)
            + Decimal("0.01") * row.cached_input_tokens
            + Decimal("0.2") * row.output_tokens
        ) / 10**6
        compute = Decimal("0.0003") * row.compute_us / 10**6
        assert row.compute_us > 0
        assert Decimal(row.cost_pico) / 10**12 == tokens + compute


async def test_usage_counts_what_the_engine_computed(gate: RunningGate) -> None:
    answer = await gate.client().chat.completions.create(
        model="assistant", messages=[{"role": "user", "content": "Hello"}], max_tokens=5, temperature=0
    )
    assert answer.usage is not None
    model = gate.parts.engines["smollm2-135m"]
    assert answer.usage.prompt_tokens == model.count_tokens([{"role": "user", "content": "Hello"}])
    assert answer.usage.completion_tokens == 5
    assert answer.choices[0].finish_reason == "length"


async def test_a_caller_that_leaves_stops_the_engine_and_pays_its_part(gate: RunningGate) -> None:
    body = {"model": "assistant", "messages": LONG, "stream": True, "max_tokens": 400, "temperature": 0}
    async with gate.http.post(gate.url + "/v1/chat/completions", json=body, headers=gate.headers) as response:
        await response.content.readany()
        response.close()
    await gate.until_idle()
    assert await used_blocks(gate) == 0
    (row,) = await gate.rows()
    assert row.outcome == "client_closed"
    assert 0 < row.output_tokens < 400
    assert not row.estimated


async def test_a_seed_makes_a_sampled_answer_repeatable(gate: RunningGate) -> None:
    messages = [{"role": "user", "content": "Tell me a story."}]
    first = await ask(gate, messages, stream=False, temperature=1.2, seed=7, max_tokens=24)
    others = await asyncio.gather(
        *(ask(gate, messages, stream=True, temperature=1.2, seed=seed, max_tokens=24) for seed in (7, 8, 9))
    )
    assert others[0] == first
    assert len(set(others)) == 3


async def test_a_stop_string_ends_the_answer_before_it(gate: RunningGate) -> None:
    messages = [{"role": "user", "content": "Count from 1 to 9."}]
    whole = await ask(gate, messages, stream=False)
    stop = whole[len(whole) // 2 :][:3]
    for stream in (False, True):
        assert await ask(gate, messages, stream=stream, stop=[stop]) == whole[: whole.index(stop)]
    assert await used_blocks(gate) == 0


REFUSED: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("unknown field", {"best_of": 2}, "unsupported_parameter", "best_of"),
    ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "unsupported_parameter", "tools"),
    ("n", {"n": 2}, "unsupported_parameter", "n"),
    ("json mode", {"response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
    ("penalty", {"frequency_penalty": 0.5}, "unsupported_parameter", "frequency_penalty"),
    ("logprobs", {"logprobs": True}, "unsupported_parameter", "logprobs"),
    ("max_tokens 0", {"max_tokens": 0}, "invalid_value", "max_tokens"),
    ("negative temperature", {"temperature": -1}, "invalid_value", "temperature"),
    ("top_p 0", {"top_p": 0}, "invalid_value", "top_p"),
    ("top_k negative", {"top_k": -1}, "invalid_value", "top_k"),
    ("top_k is text", {"top_k": "many"}, "invalid_value", "top_k"),
    ("seed is text", {"seed": "x"}, "invalid_value", "seed"),
    ("five stops", {"stop": ["a", "b", "c", "d", "e"]}, "invalid_value", "stop"),
    ("stop is a number", {"stop": 3}, "invalid_value", "stop"),
    ("too many max_tokens", {"max_tokens": 5000}, "context_length_exceeded", "messages"),
    ("image", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
     "unsupported_parameter", None),
]  # fmt: skip


async def test_what_the_engine_cannot_honour_is_refused_and_nothing_stays_allocated(gate: RunningGate) -> None:
    good = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    for name, fields, code, param in REFUSED:
        status, _, body = await gate.post({**good, **fields})
        assert (status, body["error"]["code"]) == (400, code), name
        if param is not None:
            assert body["error"]["param"] == param, name
    assert (await gate.post({**good, "n": 1, "tools": [], "presence_penalty": 0, "logprobs": False}))[0] == 200
    assert [row.status for row in await gate.rows()] == [200]
    assert await used_blocks(gate) == 0
    assert gate.idle()


async def test_a_prompt_longer_than_the_context_is_400_with_both_numbers(gate: RunningGate) -> None:
    content = "word " * 3000
    for stream in (False, True):
        body = {"model": "assistant", "messages": [{"role": "user", "content": content}], "stream": stream}
        status, _, answer = await gate.post(body)
        assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
        prompt = gate.parts.engines["smollm2-135m"].count_tokens([{"role": "user", "content": content}])
        assert str(prompt) in answer["error"]["message"]
        assert str(CONTEXT) in answer["error"]["message"]
    assert await used_blocks(gate) == 0
    assert (await gate.post({"model": "assistant", "messages": COPY[:1], "max_tokens": 2}))[0] == 200


async def test_an_engine_that_dies_is_a_502_and_comes_back(gate: RunningGate) -> None:
    model = gate.parts.engines["smollm2-135m"]
    pid = model._client.pid
    assert pid is not None
    body = {"model": "assistant", "messages": LONG, "max_tokens": 400, "temperature": 0}
    asking = asyncio.create_task(gate.post(body))
    while not (await model.refresh_stats()).running:
        await asyncio.sleep(0.01)
    os.kill(pid, 9)
    status, _, answer = await asking
    assert (status, answer["error"]["type"]) == (502, "upstream_error")
    assert (await gate.get("/health/ready"))["status"] == "not ready"
    async with asyncio.timeout(30):
        while not model.healthy:
            await asyncio.sleep(0.05)
    assert (await gate.get("/health/ready"))["status"] == "ready"
    assert await ask(gate, COPY, stream=False) == ADDRESS
