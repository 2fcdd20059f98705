"""`/v1/moderations` answered by the gate itself, from the rules of the content guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, run_gate

from gateway.doors import openai_moderations
from gateway.errors import InvalidRequest
from gateway.moderation import TARGET, GuardModerations, moderation_candidate
from gateway.pipeline.call import Operation
from guards.build import Build
from guards.content.build import build
from guards.resources import Resources
from guards.runner import GuardRunner, Installed
from guards.spec import GuardSpec

BAD = "I am going to kill you."
CATEGORIES = {
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
}


async def results(given: Any, **thresholds: float) -> list[dict[str, Any]]:
    import orjson

    call = openai_moderations.parse(orjson.dumps({"input": given}))
    reply = await GuardModerations(thresholds).complete(call)
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (0, 0)
    answer = openai.types.ModerationCreateResponse.model_validate(reply.body)  # the official client can read it
    assert len(answer.results) == len(reply.body["results"])
    found: list[dict[str, Any]] = reply.body["results"]
    return found


async def test_a_text_is_answered_in_openais_shape() -> None:
    [result] = await results(BAD)
    assert result["flagged"] is True
    assert set(result["categories"]) == set(result["category_scores"]) == CATEGORIES
    assert result["categories"]["violence"] and result["categories"]["harassment/threatening"]
    assert not result["categories"]["sexual"] and result["category_scores"]["sexual"] == 0.0
    assert result["category_applied_input_types"]["violence"] == ["text"]


async def test_every_text_of_a_list_has_a_result_of_its_own() -> None:
    answered = await results([BAD, "Shoot me an email.", "Hello."])
    assert [result["flagged"] for result in answered] == [True, False, False]


async def test_parts_are_one_input_together() -> None:
    answered = await results([{"type": "text", "text": "Hello."}, {"type": "text", "text": BAD}])
    assert [result["flagged"] for result in answered] == [True]


async def test_a_picture_is_refused_rather_than_passed_unseen() -> None:
    with pytest.raises(InvalidRequest) as refused:
        await results([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}])
    assert (refused.value.param, refused.value.code) == ("input[1]", "unsupported_parameter")


async def test_the_lowest_threshold_of_the_configured_guards_counts() -> None:
    def installed(name: str, **categories: float) -> Installed:
        kind: Build = build
        spec = GuardSpec(name=name, kind="content", options={"categories": categories})
        return Installed(kind(spec, Resources()))

    runner = GuardRunner([installed("strict", violence=0.5), installed("lax", violence=0.999, self_harm=0.1)])
    candidate = moderation_candidate(runner)
    assert candidate.target.name == TARGET
    assert candidate.target.upstream.operations == {Operation.MODERATIONS}
    call = openai_moderations.parse(b'{"input": ["I will hit you.", "suicide note"]}')
    reply = await candidate.target.upstream.complete(call)
    first, second = reply.body["results"]
    assert 0.5 < first["category_scores"]["violence"] < 0.999
    assert first["categories"]["violence"] is True
    runner = GuardRunner([installed("lax", violence=0.999)])
    reply = await moderation_candidate(runner).target.upstream.complete(call)
    assert reply.body["results"][0]["categories"]["violence"] is False
    assert second["categories"]["self-harm"] is True


GATE = """
models:
  - name: assistant
    targets: [{{provider: openai, model: upstream-model, base_url: "{url}", retries: 0}}]
  - name: omni-moderation-latest
    targets: [{{provider: openai, model: upstream-moderation, base_url: "{url}", price: {{input: "0", output: "0"}}}}]
guards:
  - {{name: pii, kind: pii, default: true}}
  - {{name: manners, kind: content, categories: [violence], default: true}}
"""


@pytest.fixture
async def guarded(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, GATE.format(url=upstream.url)) as running:
        yield running


async def test_a_gate_moderates_by_itself_what_a_guard_would_block(
    guarded: RunningGate, upstream: ScriptedUpstream
) -> None:
    answer = await guarded.client().moderations.create(model="guards", input=BAD)
    assert answer.results[0].flagged and answer.results[0].categories.violence
    assert not upstream.requests
    [row] = await guarded.rows()
    assert (row.endpoint, row.model, row.target, row.cost_pico) == ("moderations", "guards", TARGET, 0)
    status, _, _ = await guarded.post({"model": "assistant", "messages": [{"role": "user", "content": BAD}]})
    assert status == 400


async def test_a_model_that_serves_moderations_is_asked_itself(
    guarded: RunningGate, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"id": "m", "model": "x", "results": [{"flagged": False}]})

    upstream.answer = answer
    status, _, told = await guarded.post({"input": "Hello."}, "/v1/moderations")
    assert (status, told["results"], len(upstream.requests)) == (200, [{"flagged": False}], 1)


async def test_a_key_without_models_may_moderate_and_is_limited_as_anywhere(guarded: RunningGate) -> None:
    made = {"name": "one", "models": ["assistant"], "limits": {"requests_per_minute": 1}}
    _, _, key = await guarded.post(made, "/admin/keys")
    client = guarded.client(key["key"])
    assert not (await client.moderations.create(model="guards", input="Hello.")).results[0].flagged
    with pytest.raises(openai.RateLimitError):
        await client.moderations.create(model="guards", input="Hello.")


async def test_what_it_is_booked_to_is_guarded_as_anywhere(guarded: RunningGate) -> None:
    headers = {**guarded.headers, "x-sluicegate-tags": "customer=ada@example.com"}
    body = {"model": "guards", "input": BAD}
    async with guarded.http.post(guarded.url + "/v1/moderations", json=body, headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["results"][0]["flagged"] is True
    [row] = await guarded.rows()
    assert "ada" not in str(row.tags) and "EMAIL_1" in str(row.tags)
