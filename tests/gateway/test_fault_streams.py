"""Streams that break, at every byte and in every dialect: a caller never takes a part for the whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from faultkit import (
    CHUNKED,
    SAID,
    SECRET,
    STREAM,
    WHOLE,
    RawUpstream,
    framed,
    nothing_is_left,
    post,
    raw_upstream,
    read_events,
    refusal,
    rows_of,
    sends,
    text_of,
)
from faulttable import ERROR_EVENT
from gatekit import RunningGate, run_gate

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[RunningGate, RawUpstream]
MODEL = "assistant"
CONFIG = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: assistant, base_url: "http://127.0.0.1:{port}/v1", retries: 0, breaker: false,
          api_key: {secret}, price: {{input: "1", output: "10"}}}}
"""
CHAT = [{"role": "user", "content": "Hi"}]
ASKS: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": CHAT},
    "completions": {"prompt": "Hi"},
    "responses": {"input": "Hi"},
    "messages": {"messages": CHAT, "max_tokens": 9},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with raw_upstream() as upstream:
        text = CONFIG.format(port=upstream.port, secret=SECRET)
        async with run_gate(tmp_path_factory.mktemp("gate"), text) as gate:
            yield gate, upstream


async def ask(gate: RunningGate, path: str, *, stream: bool) -> tuple[int, Any, bytes]:
    return await post(gate, path, {"model": MODEL, "stream": stream, **ASKS[path]})


@pytest.mark.parametrize("framing", ["until-close", "chunked"])
async def test_a_stream_cut_after_any_byte_is_an_error_unless_its_end_was_told(house: House, framing: str) -> None:
    gate, upstream = house
    stream = b"".join(WHOLE)
    first_word, told, counted = (len(b"".join(WHOLE[:n])) for n in (1, 3, 4))
    for k in range(len(stream) + 1):
        upstream.scripts[MODEL] = sends(
            *([STREAM, stream[:k]] if framing == "until-close" else [CHUNKED, framed(stream[:k]) if k else b""])
        )
        status, _, raw = await ask(gate, "chat/completions", stream=True)
        whole = k == len(stream) or (k >= told and framing == "until-close")
        if k < first_word:
            assert (status, orjson.loads(raw)["error"]["code"]) == (502, "upstream_failed"), k
            continue
        events = read_events(raw)
        assert status == 200 and ("[DONE]" in events) is whole, k
        assert [body["error"]["code"] for body in events if "error" in body] == ([] if whole else ["upstream_failed"])
        assert "Hello there.".startswith(text_of(events)) and (text_of(events) == "Hello there.") >= whole, k
    await nothing_is_left(gate, upstream, MODEL)
    rows = (await rows_of(gate, MODEL))[-len(stream) - 1 :]
    assert len(rows) == len(stream) + 1
    for k, row in enumerate(rows):
        ok = k == len(stream) or (k >= told and framing == "until-close")
        assert (row.outcome, row.status) == (("ok", 200) if ok else ("failed", 502)), k
        assert row.estimated is (first_word <= k < counted), k
        assert bool(row.output_tokens) is (k >= first_word), k


ENDS = (b"[DONE]", b"message_stop", b"response.completed", b"response.incomplete")
BREAKS = {"error-event": [SAID[0], ERROR_EVENT], "cut": [SAID[0]], "no-json": [SAID[0], b"data: {oops\n\n"]}


def as_completion(stream: bytes) -> bytes:
    return stream.replace(b'"delta":{"content":"Hello"}', b'"text":"Hello"')


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("path", ASKS)
async def test_a_stream_that_breaks_ends_in_the_dialects_own_error(house: House, path: str, broken: str) -> None:
    gate, upstream = house
    parts = BREAKS[broken]
    upstream.scripts[MODEL] = sends(STREAM, *(map(as_completion, parts) if path == "completions" else parts))
    status, _, raw = await ask(gate, path, stream=True)
    assert status == 200 and raw.endswith(b"\n\n")
    blocks = raw[:-2].split(b"\n\n")
    last = orjson.loads(blocks[-1].partition(b"data: ")[2])
    assert b"Hello" in raw and raw.count(b"upstream_failed") == 1
    for word in (*ENDS, SECRET.encode(), b"provider"):
        assert word not in raw
    match path:
        case "completions" | "chat/completions":
            assert last["error"]["code"] == "upstream_failed"
        case "responses":
            assert blocks[-1].startswith(b"event: error\n")
            assert (last["type"], last["code"], last["sequence_number"]) == (
                "error",
                "upstream_failed",
                len(blocks) - 1,
            )
        case _:
            assert blocks[-1].startswith(b"event: error\n")
            assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    await nothing_is_left(gate, upstream, MODEL)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("path", ASKS)
async def test_a_failure_before_the_first_word_is_the_dialects_plain_error(
    house: House, path: str, stream: bool
) -> None:
    gate, upstream = house
    for script, status, kind in (
        (sends(refusal("500 Oops")), 502, "api_error"),
        (sends(refusal("429 Busy", "retry-after: 3")), 429, "rate_limit_error"),
        (sends(STREAM, ERROR_EVENT), 502, "api_error"),
    ):
        upstream.scripts[MODEL] = script
        got, headers, raw = await ask(gate, path, stream=stream)
        body = orjson.loads(raw)
        assert (got, headers["content-type"]) == (status, "application/json")
        assert headers.get("retry-after") == ("3" if status == 429 else None)
        assert SECRET.encode() not in raw and b"provider" not in raw
        if path == "messages":
            assert (body["type"], body["error"]["type"]) == ("error", kind)
        else:
            assert set(body["error"]) == {"message", "type", "param", "code"}
    await nothing_is_left(gate, upstream, MODEL)
