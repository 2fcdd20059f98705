"""Streams stay alive under guards: the first words leave while the rest is still being written, and nothing changes
where there is nothing to hide."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from gatekit import ScriptedUpstream, chunk, run_gate

CONFIG = """
models:
  - name: assistant
    targets: [{{provider: openai, model: m, base_url: "{url}", api_key: x, retries: 0}}]
guards:
  - {{name: pii, kind: pii, default: true}}
"""
PROSE = (
    "The tide comes in twice a day, and on this coast it comes in fast. Walk out to the island only with someone who "
    "knows the path; at 4.30 the water is back. Ask at the harbour (the blue door, not the green one) for a table: "
    "| port | depth |\n|---|---|\n| north | 12 m |\n\n"
    "```python\nfor x in range(10): print(x, 'a@b')\n```\nThat is all. "
)


@pytest.mark.parametrize("size", [3, 8, 20])
async def test_the_first_words_leave_within_five_chunks_and_the_text_is_the_same(
    tmp_path: Path, upstream: ScriptedUpstream, size: int
) -> None:
    """At 50 ms between chunks that is 250 ms. The upstream waits for the caller to hear something, chunk by chunk."""
    pieces = [PROSE[at : at + size] for at in range(0, len(PROSE), size)]
    sent = 0
    go_on = asyncio.Event()
    heard = False

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(b"data: " + orjson.dumps(chunk({"content": piece})) + b"\n\n")
            if not heard:
                sent += 1
                try:
                    await asyncio.wait_for(go_on.wait(), 0.2)
                except TimeoutError:
                    continue
        await response.write(b"data: " + orjson.dumps(chunk({}, "stop")) + b"\n\ndata: [DONE]\n\n")
        return response

    upstream.answer = answer
    async with run_gate(tmp_path, CONFIG.format(url=upstream.url)) as gate:
        ask = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "Mail ada@example.com"}]}
        said = ""
        async with gate.http.post(gate.url + "/v1/chat/completions", json=ask, headers=gate.headers) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    for choice in orjson.loads(line[6:])["choices"]:
                        said += choice["delta"].get("content") or ""
                    if said:
                        heard = True
                        go_on.set()
    assert said == PROSE
    assert sent <= 5
