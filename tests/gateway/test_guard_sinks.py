"""Nothing personal in any sink: two hundred callers at once, and a search through all that the gate wrote or sent.

The gate is a process of its own, its upstream repeats what it gets, and everything fails now and then.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from gatekit import ScriptedUpstream, chunk, completion
from servekit import start

CALLERS = 200
CONFIG = """
admin_key: sg-admin-of-this-test
telemetry: {{otlp_endpoint: "{sink}", traces_per_second: null, log_level: debug}}
cache: {{exact: {{ttl: 10m}}}}
models:
  - name: assistant
    targets: [{{provider: openai, model: m, base_url: "{url}", api_key: x, retries: 0, breaker: false}}]
guards:
  - {{name: pii, kind: pii, default: true}}
"""
HEADERS = {"authorization": "Bearer sg-admin-of-this-test"}


def card(number: int) -> str:
    digits = [int(digit) for digit in f"4{number:014d}"]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[::2]]
    return "".join(map(str, digits)) + str(-(sum(doubled) + sum(digits[1::2])) % 10)


def values_of(caller: int) -> dict[str, str]:
    """What one caller has and no other."""
    return {
        "mail": f"person{caller:03d}@company{caller:03d}.example",
        "card": card(10**12 + caller * 7919),
        "ssn": f"{200 + caller:03d}-{10 + caller % 80:02d}-{1000 + caller * 7}",
        "phone": f"+1 415 {200 + caller:03d} {3000 + caller}",
    }


async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Say again what came, in the way its first word asks for."""
    said = body["messages"][-1]["content"]
    match said.split()[0]:
        case "refuse":
            return web.json_response(
                {"error": {"message": f"cannot do {said}", "type": "x", "param": said}}, status=400
            )
        case "fail":
            return web.json_response({"error": {"message": said}}, status=500)
        case "call":
            arguments = orjson.dumps({"text": said}).decode()
            message = {
                "role": "assistant",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}],
            }
            whole = completion("")
            whole["choices"][0]["message"] = message
            return web.json_response(whole)
    if not body.get("stream"):
        return web.json_response(completion(said))
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for place in range(0, len(said), 7):
        await response.write(b"data: " + orjson.dumps(chunk({"content": said[place : place + 7]})) + b"\n\n")
    if said.startswith("cut"):
        request.transport.close()  # type: ignore[union-attr]
        return response
    await response.write(b"data: " + orjson.dumps(chunk({}, "stop")) + b"\n\ndata: [DONE]\n\n")
    return response


@asynccontextmanager
async def trace_sink(received: list[bytes]) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        raw = await request.read()
        received.append(gzip.decompress(raw) if request.headers.get("content-encoding") == "gzip" else raw)
        return web.Response()

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


WAYS = ("plain", "stream", "refuse", "fail", "call", "cut", "name", "path")


async def one(http: aiohttp.ClientSession, url: str, caller: int) -> tuple[int, str]:
    """One caller's request, in one of the ways; its status and what came back."""
    way, own = WAYS[caller % len(WAYS)], values_of(caller)
    text = " and ".join([way, *own.values()])
    body: dict[str, Any] = {
        "model": own["mail"] if way == "name" else "assistant",
        "messages": [
            {"role": "system", "content": f"You write to {own['mail']}."},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": orjson.dumps(own).decode()}}
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": own["card"]},
            {"role": "user", "content": text},
        ],
        "user": own["mail"],
        "metadata": {"phone": own["phone"]},
        "unheard_of": {"deep": [own["ssn"]]},
        "stream": way in ("stream", "cut"),
    }
    headers = {**HEADERS, "x-sluicegate-tags": f"customer={own['mail']}"}
    if way == "path":
        async with http.get(f"{url}/v1/models/{own['mail']}", headers=HEADERS) as response:
            return response.status, await response.text()
    async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        raw = await response.text()
    if way not in ("stream", "cut"):
        return response.status, raw
    events = [orjson.loads(line[6:]) for line in raw.split("\n\n") if line.startswith("data: {")]
    said = [c["delta"].get("content") or "" for event in events for c in event.get("choices", [])]
    return response.status, "".join(said) + "".join(str(event["error"]) for event in events if "error" in event)


async def test_two_hundred_callers_at_once_and_not_one_value_in_any_sink(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.answer = echo
    traces: list[bytes] = []
    async with trace_sink(traces) as sink, aiohttp.ClientSession() as http:
        (tmp_path / "sluicegate.yaml").write_text(CONFIG.format(url=upstream.url, sink=sink))
        process, url, printed = await start(tmp_path)
        assert process.stderr is not None and process.stdout is not None
        logged = asyncio.create_task(process.stderr.read())
        try:
            answers = await asyncio.gather(*(one(http, url, caller) for caller in range(CALLERS)))
            check = {"text": values_of(0)["mail"]}
            async with http.post(f"{url}/admin/guards/pii/check", json=check, headers=HEADERS) as response:
                assert response.status == 200
            pages = [printed]
            for page in (
                "/metrics",
                "/admin/usage?group_by=user",
                "/admin/usage?group_by=tag:customer",
                "/admin/audit",
            ):
                async with http.get(url + page, headers=HEADERS) as response:
                    assert response.status == 200
                    pages.append(await response.text())
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)
        sinks = {
            "log": (await logged).decode(),
            "output": (await process.stdout.read()).decode(),
            "pages": "".join(pages),
            "traces": b"".join(traces).decode("utf-8", "replace"),
            "upstream": "".join(orjson.dumps(body).decode() for body in upstream.requests),
        }
        for file in tmp_path.rglob("*"):
            if file.is_file() and file.name != "sluicegate.yaml":
                sinks[str(file.relative_to(tmp_path))] = file.read_bytes().decode("utf-8", "replace")
    everybodys = {caller: values_of(caller) for caller in range(CALLERS)}
    for caller, (status, came) in enumerate(answers):
        way = WAYS[caller % len(WAYS)]
        expected = {"refuse": 400, "fail": 502, "name": 404, "path": 404}.get(way, 200)
        assert status == expected, came
        if way in ("plain", "stream", "call"):
            assert all(value in came for value in everybodys[caller].values()), came
        others = [value for other, own in everybodys.items() if other != caller for value in own.values()]
        assert not [value for value in others if value in came]
    assert len(sinks["traces"]) > 10_000 and sinks["log"].count('"event":"request"') > 150
    assert any("gate.db" in name or ".db" in name for name in sinks)
    found = [
        (name, kind)
        for name, text in sinks.items()
        for own in everybodys.values()
        for kind, v in own.items()
        if v in text
    ]
    assert not found
