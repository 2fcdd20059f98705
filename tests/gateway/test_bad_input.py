"""Bad input: each fault has its error from the contract, and the next request does not notice."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest
from gatekit import RunningGate, ScriptedUpstream

GOOD = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


BODIES: list[tuple[str, Any, int, str, str | None]] = [
    ("broken json", b'{"model": "assistant", ', 400, "invalid_json", None),
    ("not utf-8", b'{"model": "\xff\xfe"}', 400, "invalid_json", None),
    (
        "lone surrogate",
        b'{"model": "assistant", "messages": [{"role": "user", "content": "\\ud800"}]}',
        400,
        "invalid_json",
        None,
    ),
    ("a list", b"[1]", 400, "invalid_json", None),
    ("empty", b"", 400, "invalid_json", None),
    ("NaN", b'{"model": "assistant", "messages": [], "temperature": NaN}', 400, "invalid_json", None),
    ("no model", without("model"), 400, "invalid_value", "model"),
    ("no messages", without("messages"), 400, "invalid_value", "messages"),
    ("empty messages", {**GOOD, "messages": []}, 400, "invalid_value", "messages"),
    ("message without role", {**GOOD, "messages": [{"content": "x"}]}, 400, "invalid_value", "messages[0]"),
    ("model is a number", {**GOOD, "model": 3}, 400, "invalid_value", "model"),
    ("unknown model", {**GOOD, "model": "gpt-none"}, 404, "model_not_found", "model"),
    ("max_tokens 0", {**GOOD, "max_tokens": 0}, 400, "invalid_value", "max_tokens"),
    ("max_completion_tokens 0", {**GOOD, "max_completion_tokens": 0}, 400, "invalid_value", "max_completion_tokens"),
    ("max_tokens is text", {**GOOD, "max_tokens": "5"}, 400, "invalid_value", "max_tokens"),
    ("negative temperature", {**GOOD, "temperature": -0.1}, 400, "invalid_value", "temperature"),
    ("temperature 2.1", {**GOOD, "temperature": 2.1}, 400, "invalid_value", "temperature"),
    ("n 0", {**GOOD, "n": 0}, 400, "invalid_value", "n"),
    ("stream is text", {**GOOD, "stream": "yes"}, 400, "invalid_value", "stream"),
    ("metadata is not flat", {**GOOD, "metadata": {"a": {}}}, 400, "invalid_value", "metadata[...]"),
]


@pytest.mark.parametrize(("name", "body", "status", "code", "param"), BODIES, ids=[case[0] for case in BODIES])
async def test_a_bad_body_has_its_error(
    gate: RunningGate, upstream: ScriptedUpstream, name: str, body: Any, status: int, code: str, param: str | None
) -> None:
    got, headers, answer = await gate.post(body)
    assert (got, answer["error"]["code"], answer["error"]["param"]) == (status, code, param)
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["message"]
    assert headers["x-request-id"]
    assert not upstream.requests
    assert gate.idle()
    assert (await gate.post(GOOD))[0] == 200
    assert len(await gate.rows()) == 1


async def test_a_body_of_20_mb_is_413_and_the_client_can_read_it(gate: RunningGate) -> None:
    big = orjson.dumps({**GOOD, "messages": [{"role": "user", "content": "x" * (20 * 2**20)}]})
    status, _, answer = await gate.post(big)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")
    assert (await gate.post(GOOD))[0] == 200


@pytest.mark.parametrize(
    ("key", "error"), [("sg-test-admin-key", openai.APIStatusError), ("sg-wrong", openai.AuthenticationError)]
)
async def test_the_official_client_reads_the_answer_to_a_body_of_20_mb(
    gate: RunningGate, key: str, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as refused:
        await gate.client(key).chat.completions.create(
            model="assistant", messages=[{"role": "user", "content": "x" * (20 * 2**20)}]
        )
    assert refused.value.status_code == (401 if key == "sg-wrong" else 413)


async def test_a_chunked_body_of_20_mb_is_413_too(gate: RunningGate) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 2**20

    async with gate.http.post(gate.url + "/v1/chat/completions", data=pieces(), headers=gate.headers) as response:
        assert response.status == 413


async def test_a_body_nested_ten_thousand_deep_is_400(gate: RunningGate) -> None:
    deep = (
        b'{"model":"assistant","messages":[{"role":"user","content":"x"}],"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    )
    assert (await gate.post(deep))[0] == 400
    nested = b'{"model":"assistant","messages":[{"role":"user","content":"x"}],"a":' + b"[" * 200 + b"]" * 200 + b"}"
    assert (await gate.post(nested))[0] == 400


CREDENTIALS: list[dict[str, str]] = [
    {},
    {"authorization": "Bearer sg-wrong"},
    {"authorization": "Bearer "},
    {"authorization": "Basic dXNlcjpwYXNz"},
    {"authorization": "Bearer ' OR '1'='1"},
    {"authorization": "Bearer " + "x" * 10_000},
    {"x-api-key": "sg-wrong"},
    {"api-key": "nothing"},
]


@pytest.mark.parametrize("headers", CREDENTIALS, ids=range(len(CREDENTIALS)))
async def test_a_wrong_key_or_none_is_401(
    gate: RunningGate, upstream: ScriptedUpstream, headers: dict[str, str]
) -> None:
    gate.headers = headers
    status, _, answer = await gate.post(GOOD)
    assert (status, answer["error"]["type"], answer["error"]["code"]) == (
        401,
        "authentication_error",
        "invalid_api_key",
    )
    assert "wrong" not in answer["error"]["message"]
    assert not upstream.requests


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
async def test_other_key_headers_are_taken(gate: RunningGate, name: str) -> None:
    key = gate.headers["authorization"].removeprefix("Bearer ")
    gate.headers = {name: key}
    assert (await gate.post(GOOD))[0] == 200


async def test_a_strange_host_header_opens_nothing(gate: RunningGate) -> None:
    gate.headers = {"host": "x/#@y"}
    assert (await gate.post(GOOD))[0] in (400, 401)


@pytest.mark.parametrize(
    "tags", ["feature", "=x", "a b=c", "a=", ",,", "a=" + "x" * 300, ",".join(f"t{i}=1" for i in range(40))]
)
async def test_tags_that_cannot_be_booked_are_refused(gate: RunningGate, upstream: ScriptedUpstream, tags: str) -> None:
    status, _, answer = await gate.post(GOOD, **{"x-sluicegate-tags": tags})
    assert (status, answer["error"]["param"]) == (400, "x-sluicegate-tags")
    assert not upstream.requests


async def test_a_request_id_that_could_carry_anything_is_replaced(gate: RunningGate) -> None:
    for asked in ("jane@example.com", "a b", "x" * 200):
        _, headers, _ = await gate.post(GOOD, **{"x-request-id": asked})
        assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/chat/completions", 405),
    ("POST", "/v1/models", 405),
    ("GET", "/nowhere", 404),
    ("DELETE", "/admin/usage", 405),
    ("GET", "/v1/models/none", 404),
])  # fmt: skip
async def test_a_wrong_path_or_method_has_our_error(gate: RunningGate, method: str, path: str, status: int) -> None:
    async with gate.http.request(method, gate.url + path, headers=gate.headers) as response:
        answer = orjson.loads(await response.read())
        assert response.status == status
        assert answer["error"]["type"] == "invalid_request_error"
