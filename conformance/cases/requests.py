"""Requests that are wrong: each is a 4xx in OpenAI's shape, whoever finds the fault, the gateway or its upstream."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from conformance.answers import error_object
from conformance.case import case, expect, expect_equal, short
from conformance.probe import Probe

REFUSED = (400, 404, 413, 415, 422)
UNAUTHORIZED = (401, 403)

BAD_BODIES: dict[str, bytes] = {
    "not-json": b'{"model": "plain", "messages": [',
    "empty-request": b"",
    "json-array": b"[1, 2, 3]",
    "json-string": b'"hello"',
    "json-null": b"null",
    "not-utf8": b'{"model": "plain", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "deeply-nested": b'{"model": "plain", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


def _bad_body(id: str, raw: bytes) -> None:
    async def check(probe: Probe) -> None:
        (await probe.post(raw)).failed(*REFUSED)

    case(f"bad-body-{id}", f"a body that is {id.replace('-', ' ')} is a 4xx, in the error shape", limit=20)(check)


for _id, _raw in BAD_BODIES.items():
    _bad_body(_id, _raw)

BAD_FIELDS: dict[str, dict[str, Any]] = {
    "no-messages": {"messages": None},
    "messages-text": {"messages": "hello"},
    "messages-of-numbers": {"messages": [1, 2]},
    "no-model": {"model": None},
    "model-number": {"model": 7},
    "model-object": {"model": {"name": "plain"}},
}


def _bad_field(id: str, fields: dict[str, Any]) -> None:
    async def check(probe: Probe) -> None:
        body = {key: value for key, value in probe.body(**fields).items() if value is not None}
        (await probe.post(body)).failed(*REFUSED)

    case(f"bad-field-{id}", f"a request with {id.replace('-', ' ')} is a 4xx")(check)


for _id, _fields in BAD_FIELDS.items():
    _bad_field(_id, _fields)


@case("bad-field-stream", "'stream' that is no boolean is a 4xx, or goes to the upstream to judge; never a 5xx")
async def bad_stream_field(probe: Probe) -> None:
    wrongs: tuple[Any, ...] = ("yes", 1, {}, [])
    for wrong in wrongs:
        answer = await probe.ask(stream=wrong)
        expect(answer.status < 500, f"stream={wrong!r}: status {answer.status}: {short(answer.raw)}")


@case("no-key", "no key is 401, in the error shape", needs=["auth"])
async def no_key(probe: Probe) -> None:
    async with probe.http.post(probe.url + "/v1/chat/completions", json=probe.body()) as response:
        expect(response.status in UNAUTHORIZED, f"status {response.status}")
        error_object(await response.json(content_type=None))
    expect(not probe.exchanges, "the upstream was asked all the same")


ODD_KEYS = (
    "Bearer ' OR '1'='1",
    "Bearer ",
    "Basic YTpi",
    "Bearer " + "x" * 8_000,
    "Bearer sg-\xe4\xf6\xfc",
    "Bearer null",
)


@case(
    "odd-keys",
    "keys that are no keys are 401, whatever they hold",
    seen=["CVE-2026-42208"],
    needs=["keys"],
)
async def odd_keys(probe: Probe) -> None:
    for key in ODD_KEYS:
        answer = await probe.post(probe.body(), authorization=key)
        expect(answer.status in UNAUTHORIZED, f"status {answer.status} for {short(key)}: {short(answer.raw)}")
    expect(not probe.exchanges, "the upstream was asked all the same")


@case("odd-host", "an odd Host header opens no door", seen=["CVE-2026-49468"], needs=["auth"])
async def odd_host(probe: Probe) -> None:
    place = urlsplit(probe.url)
    for host in ("x/#@y", "x/?y=/health", "127.0.0.1/v1/models#"):
        body = json.dumps(probe.body()).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(head.encode() + body)
        status = (await reader.readline()).split(b" ")
        writer.close()
        expect(len(status) > 1 and status[1][:1] == b"4", f"Host {host!r}: {b' '.join(status)!r}")
    expect(not probe.exchanges, "the upstream was asked all the same")


@case(
    "huge-body",
    "a body over the limit is 413, and the caller can read that",
    needs=["max-body"],
    limit=20,
)
async def huge_body(probe: Probe) -> None:
    (await probe.ask("x" * (12 * 2**20))).failed(413)
    expect(not probe.exchanges, "the upstream was asked all the same")


@case("unknown-path", "an unknown path is 404 in JSON")
async def unknown_path(probe: Probe) -> None:
    answer = await probe.post({"model": probe.model()}, path="/v1/no/such/path")
    expect_equal(answer.status, 404, "the status")
    expect(bool(answer.body), "the body is empty")


@case("wrong-method", "GET where a POST belongs is 405 or 404 in JSON")
async def wrong_method(probe: Probe) -> None:
    answer = await probe.get("/v1/chat/completions")
    expect(answer.status in (404, 405), f"status {answer.status}")
    expect(bool(answer.body), "the body is empty")


@case("models-list", "GET /v1/models lists the models by the names a request takes", needs=["models"])
async def models_list(probe: Probe) -> None:
    body = (await probe.get("/v1/models")).completed()
    expect_equal(body.get("object"), "list", "object")
    names = [model["id"] for model in body["data"]]
    expect(probe.model() in names, f"{probe.model()!r} is not among {short(names)}")
