"""The other endpoints of OpenAI's API, through the official client, a real gate and a scripted upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from aiohttp import web
from gatekit import ADMIN_KEY, RunningGate, ScriptedUpstream, run_gate, send_stream

PLAIN = """
models:
  - name: assistant
    targets:
      - provider: openai
        model: upstream-model
        base_url: {url}
        retries: 0
        price: {{input: "1", output: "2"}}
  - name: omni-moderation-latest
    targets: [{{provider: openai, model: upstream-moderation, base_url: "{url}", price: {{input: "0", output: "0"}}}}]
"""
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


@pytest.fixture
async def plain(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    """A gate without guards."""
    async with run_gate(tmp_path, PLAIN.format(url=upstream.url)) as running:
        yield running


def answering(upstream: ScriptedUpstream, body: dict[str, Any]) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(body)

    upstream.answer = answer


def text(said: str, index: int = 0, finish: str | None = "stop") -> dict[str, Any]:
    return {"index": index, "text": said, "logprobs": None, "finish_reason": finish}


def completion(*choices: dict[str, Any], **extra: Any) -> dict[str, Any]:
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "upstream-model"}
    return {**base, "choices": list(choices), **extra}


async def test_a_completion_comes_as_the_client_knows_it(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, completion(text("one"), text("two", 1, "length"), usage=USAGE))
    answer = await plain.client().completions.create(model="assistant", prompt="Count.", n=2, max_tokens=9, suffix="!")
    assert (answer.object, answer.model) == ("text_completion", "assistant")
    assert [(choice.text, choice.finish_reason) for choice in answer.choices] == [("one", "stop"), ("two", "length")]
    assert upstream.requests == [
        {"model": "upstream-model", "prompt": "Count.", "n": 2, "max_tokens": 9, "suffix": "!", "stream": False}
    ]
    [row] = await plain.rows()
    assert (row.endpoint, row.input_tokens, row.output_tokens) == ("completions", 5, 7)


async def test_a_streamed_completion_comes_in_pieces_with_usage_only_if_asked(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        assert asked["stream_options"]["include_usage"] is True
        chunks = [completion(text("on", finish=None)), completion(text("e", finish=None)), completion(text(""))]
        events = [*chunks, completion(usage=USAGE)]
        return await send_stream(
            request, [b"data: " + orjson.dumps(c) + b"\n\n" for c in events] + [b"data: [DONE]\n\n"]
        )

    upstream.answer = answer
    for asked in (False, True):
        stream = await plain.client().completions.create(
            model="assistant", prompt="x", stream=True, stream_options={"include_usage": asked}
        )
        chunks = [chunk async for chunk in stream]
        said = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        assert (said, chunks[0].object) == ("one", "text_completion")
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
        assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([7] if asked else [])
    assert {(row.stream, row.output_tokens) for row in await plain.rows()} == {(True, 7)}


async def test_embeddings_come_as_the_provider_made_them(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    data = [{"object": "embedding", "index": n, "embedding": [0.25, -1.5]} for n in range(2)]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    answering(upstream, {"object": "list", "model": "upstream-model", "data": data, "usage": usage})
    answer = await plain.client().embeddings.create(
        model="assistant", input=["a", "b"], encoding_format="float", dimensions=2
    )
    assert [item.embedding for item in answer.data] == [[0.25, -1.5], [0.25, -1.5]]
    assert answer.model == "assistant"
    assert upstream.requests[0] == {
        "model": "upstream-model", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2,
    }  # fmt: skip
    [row] = await plain.rows()
    assert (row.endpoint, row.input_tokens, row.output_tokens, row.cost_pico) == ("embeddings", 8, 0, 8_000_000)


async def test_moderations_go_to_the_model_of_that_name(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    result = {"flagged": True, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    answering(upstream, {"id": "modr-1", "model": "upstream-moderation", "results": [result]})
    answer = await plain.client().moderations.create(input="Some words.")
    assert answer.results[0].flagged
    assert upstream.requests == [{"model": "upstream-moderation", "input": "Some words."}]
    [row] = await plain.rows()
    assert (row.endpoint, row.output_tokens, row.model) == ("moderations", 0, "omni-moderation-latest")


@pytest.mark.parametrize(("path", "field"), [("completions", "prompt"), ("embeddings", "input")])
async def test_personal_data_is_hidden_and_token_ids_are_refused_under_a_guard(
    gate: RunningGate, upstream: ScriptedUpstream, path: str, field: str
) -> None:
    data = {"data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]} if path == "embeddings" else {}
    answering(upstream, completion(text("Hi."), usage=USAGE, **data))
    status, _, _ = await gate.post({"model": "assistant", field: ["Mail ann@example.com"]}, f"/v1/{path}")
    assert status == 200
    assert "ann@example.com" not in str(upstream.requests)
    status, _, told = await gate.post({"model": "assistant", field: [[1, 2, 3]]}, f"/v1/{path}")
    assert (status, told["error"]["param"], told["error"]["code"]) == (400, field, "unsupported_parameter")
    assert len(upstream.requests) == 1


async def test_values_are_restored_in_a_completion(gate: RunningGate, upstream: ScriptedUpstream) -> None:
    async def echo(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(completion(text(asked["prompt"]), usage=USAGE))

    upstream.answer = echo
    answer = await gate.client().completions.create(model="assistant", prompt="Mail ann@example.com")
    assert answer.choices[0].text == "Mail ann@example.com"


async def test_token_ids_are_counted_and_sent_on_without_a_guard(
    plain: RunningGate, upstream: ScriptedUpstream
) -> None:
    answering(upstream, completion(text("Hi.")))
    await plain.client().completions.create(model="assistant", prompt=[[1, 2, 3], [4, 5]])
    assert upstream.requests[0]["prompt"] == [[1, 2, 3], [4, 5]]
    [row] = await plain.rows()
    assert (row.estimated, row.input_tokens) == (True, 5)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("completions", {"prompt": []}, "prompt"),
        ("completions", {"prompt": [1, "a"]}, "prompt"),
        ("completions", {"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ("completions", {}, "prompt"),
        ("embeddings", {"input": [[]]}, "input"),
        ("embeddings", {"input": [-1]}, "input"),
        ("embeddings", {"input": {"text": "a"}}, "input"),
        ("moderations", {"input": 7}, "input"),
        ("moderations", {}, "input"),
        ("completions", {"prompt": "x", "metadata": True}, "metadata"),
        ("embeddings", {"input": "x", "metadata": ["a"]}, "metadata"),
        ("moderations", {"input": "x", "user": 7}, "user"),
    ],
)
async def test_what_is_wrong_is_named(
    plain: RunningGate, upstream: ScriptedUpstream, path: str, body: Any, param: str
) -> None:
    status, _, told = await plain.post({"model": "assistant", **body}, f"/v1/{path}")
    assert (status, told["error"]["param"], told["error"]["code"]) == (400, param, "invalid_value")
    assert not upstream.requests


async def test_limits_bind_every_endpoint_alike(plain: RunningGate, upstream: ScriptedUpstream) -> None:
    answering(upstream, completion(text("Hi."), usage=USAGE, data=[], results=[]))
    status, _, made = await plain.post({"name": "two", "limits": {"requests_per_minute": 3}}, "/admin/keys")
    assert status == 201
    client = plain.client(made["key"])
    await client.completions.create(model="assistant", prompt="x")
    await client.embeddings.create(model="assistant", input="x", encoding_format="float")
    await client.moderations.create(input="x")
    for ask in (
        lambda: client.completions.create(model="assistant", prompt="x"),
        lambda: client.embeddings.create(model="assistant", input="x"),
        lambda: client.moderations.create(input="x"),
        lambda: client.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "x"}]),
    ):
        with pytest.raises(openai.RateLimitError):
            await ask()
    assert len(upstream.requests) == 3


async def test_every_endpoint_wants_a_key(plain: RunningGate) -> None:
    client = plain.client("sg-none")
    with pytest.raises(openai.AuthenticationError):
        await client.embeddings.create(model="assistant", input="x")
    assert ADMIN_KEY not in str(await plain.get("/v1/models"))
