"""Servers that speak the providers' own APIs: Anthropic, Gemini, Bedrock (Converse) and Cohere.

Each is scripted by what it should answer. It keeps the requests it got, as JSON, and can fail in the ways its provider
does.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

KEY = "provider-key-SENTINEL-0123456789"


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]
    port: int  # the caller's: the same for the same connection


@dataclass
class Failing:
    """A refusal: sent in place of an answer."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Streamed:
    """A stream as encoded events. `cut`: hang up after them. `hold`: send no more until the caller is gone."""

    events: list[bytes]
    content_type: str = "text/event-stream"
    cut: bool = False
    hold: bool = False


Answer = dict[str, Any] | Failing | Streamed


@dataclass
class Provider:
    """A provider's server. `answer` is what it sends next, and again until it is changed."""

    url: str = ""
    answer: Answer = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # a caller hung up in the middle of a stream

    @property
    def sent(self) -> dict[str, Any]:
        """The last request's body."""
        return self.requests[-1].body

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        peer = request.transport.get_extra_info("peername") if request.transport is not None else ("", 0)
        self.requests.append(Request(request.path, dict(request.query), dict(request.headers), body, peer[1]))
        answer = self.answer
        if isinstance(answer, Failing):
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        if isinstance(answer, Streamed):
            return await self._stream(request, answer)
        return web.json_response(answer)

    async def _stream(self, request: web.Request, answer: Streamed) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": answer.content_type})
        await response.prepare(request)
        try:
            for event in answer.events:
                await response.write(event)
                await asyncio.sleep(0)
            if answer.hold:
                await asyncio.Event().wait()
        except (ConnectionResetError, asyncio.CancelledError):
            self.gone.set()
            raise
        if answer.cut and request.transport is not None:
            request.transport.abort()
        return response


@asynccontextmanager
async def run_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/{path:.*}", provider.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Dialect:
    """What the tests need to know of one provider.

    `reply` and `stream` say the same words: a text, or two tool calls. `counts` are what its usage says: the whole
    prompt, of it cached, of it written to the cache, the completion.
    """

    name: str
    model: str
    config: str  # more of the target's configuration
    reply: Callable[[str], dict[str, Any]]
    tools_reply: Callable[[], dict[str, Any]]
    stream: Callable[[list[str]], list[bytes]]
    tools_stream: Callable[[], list[bytes]]
    stream_error: Callable[[], bytes]
    refusal: Callable[[str], dict[str, Any]]
    too_long: str
    counts: tuple[int, int, int, int]
    content_type: str = "text/event-stream"


# --- Anthropic: https://docs.anthropic.com/en/api/messages, .../messages-streaming


def sse(name: str, **data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **data}) + b"\n\n"


ANTHROPIC_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 30,
    "output_tokens": 7,
}
TOOL_CALLS = (("weather", {"city": "Paris"}), ("time", {"zone": "CET"}))


def anthropic_message(content: list[dict[str, Any]], stop: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE,
    }


def anthropic_start() -> bytes:
    message = {**anthropic_message([]), "stop_reason": None, "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}
    return sse("message_start", message=message) + sse("ping")


def anthropic_block(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> list[bytes]:
    return [
        sse("content_block_start", index=index, content_block=block),
        *(sse("content_block_delta", index=index, delta=delta) for delta in deltas),
        sse("content_block_stop", index=index),
    ]


def anthropic_end(stop: str = "end_turn") -> list[bytes]:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [sse("message_delta", delta=delta, usage={"output_tokens": 7}), sse("message_stop")]


def anthropic_text(pieces: list[str], index: int = 0) -> list[bytes]:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return anthropic_block(index, {"type": "text", "text": ""}, deltas)


def anthropic_tool(index: int, number: int) -> list[bytes]:
    name, given = TOOL_CALLS[number]
    text = orjson.dumps(given).decode()
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", text[:5], text[5:])]
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}
    return anthropic_block(index, block, deltas)


ANTHROPIC = Dialect(
    name="anthropic",
    model="claude-haiku-4-5",
    config="",
    reply=lambda text: anthropic_message([{"type": "text", "text": text}]),
    tools_reply=lambda: anthropic_message(
        [
            {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
            for number, (name, given) in enumerate(TOOL_CALLS)
        ],
        "tool_use",
    ),
    stream=lambda pieces: [anthropic_start(), *anthropic_text(pieces), *anthropic_end()],
    tools_stream=lambda: [
        anthropic_start(),
        *anthropic_tool(0, 0),
        *anthropic_tool(1, 1),
        *anthropic_end("tool_use"),
    ],
    stream_error=lambda: sse("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    refusal=lambda message: {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
    too_long="prompt is too long: 210000 tokens > 200000 maximum",
    counts=(60, 30, 20, 7),
)


# --- Gemini: https://ai.google.dev/api/generate-content

GEMINI_USAGE = {
    "promptTokenCount": 60,
    "cachedContentTokenCount": 30,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 67,
}


def gemini_answer(parts: list[dict[str, Any]], *, last: bool = True) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1"}
    if last:
        candidate["finishReason"] = "STOP"
        body["usageMetadata"] = GEMINI_USAGE
    return body


def gemini_event(body: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\r\n\r\n"


def gemini_calls() -> list[dict[str, Any]]:
    return [{"functionCall": {"name": name, "args": given}} for name, given in TOOL_CALLS]


GEMINI = Dialect(
    name="gemini",
    model="gemini-2.5-flash",
    config="",
    reply=lambda text: gemini_answer([{"text": text}]),
    tools_reply=lambda: gemini_answer(gemini_calls()),
    stream=lambda pieces: [
        gemini_event(gemini_answer([{"text": piece}], last=number == len(pieces) - 1))
        for number, piece in enumerate(pieces)
    ],
    tools_stream=lambda: [gemini_event(gemini_answer(gemini_calls()))],
    stream_error=lambda: gemini_event({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}),
    refusal=lambda message: {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}},
    too_long="The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    counts=(60, 30, 0, 7),
)


# --- Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html

BEDROCK_USAGE = {
    "inputTokens": 10,
    "outputTokens": 7,
    "totalTokens": 67,
    "cacheReadInputTokens": 30,
    "cacheWriteInputTokens": 20,
}


def event_stream(kind: str, body: dict[str, Any], *, exception: bool = False) -> bytes:
    """One binary frame: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html

    Lengths and a CRC of them, headers, the payload, and a CRC of all before it.
    """
    named = {
        ":exception-type" if exception else ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception" if exception else "event",
    }
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in named.items()
    )
    payload = orjson.dumps(body)
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def bedrock_reply(content: list[dict[str, Any]], stop: str = "end_turn") -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": BEDROCK_USAGE,
        "metrics": {"latencyMs": 5},
    }


def bedrock_end(stop: str) -> list[bytes]:
    return [
        event_stream("messageStop", {"stopReason": stop}),
        event_stream("metadata", {"usage": BEDROCK_USAGE, "metrics": {"latencyMs": 5}}),
    ]


def bedrock_text(pieces: list[str]) -> list[bytes]:
    deltas = [event_stream("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": p}}) for p in pieces]
    return [
        event_stream("messageStart", {"role": "assistant"}),
        *deltas,
        event_stream("contentBlockStop", {"contentBlockIndex": 0}),
        *bedrock_end("end_turn"),
    ]


def bedrock_tools() -> list[bytes]:
    frames = [event_stream("messageStart", {"role": "assistant"})]
    for number, (name, given) in enumerate(TOOL_CALLS):
        start = {"toolUse": {"toolUseId": f"tooluse_{number}", "name": name}}
        text = orjson.dumps(given).decode()
        frames.append(event_stream("contentBlockStart", {"contentBlockIndex": number, "start": start}))
        frames += [
            event_stream("contentBlockDelta", {"contentBlockIndex": number, "delta": {"toolUse": {"input": part}}})
            for part in (text[:5], text[5:])
        ]
        frames.append(event_stream("contentBlockStop", {"contentBlockIndex": number}))
    return [*frames, *bedrock_end("tool_use")]


BEDROCK = Dialect(
    name="bedrock",
    model="anthropic.claude-haiku-4-5-20251001-v1:0",
    config=f", options: {{region: eu-west-1, access_key_id: AKIATEST, secret_access_key: {KEY}}}",
    reply=lambda text: bedrock_reply([{"text": text}]),
    tools_reply=lambda: bedrock_reply(
        [
            {"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": given}}
            for number, (name, given) in enumerate(TOOL_CALLS)
        ],
        "tool_use",
    ),
    stream=bedrock_text,
    tools_stream=bedrock_tools,
    stream_error=lambda: event_stream("serviceUnavailableException", {"message": "overloaded"}, exception=True),
    refusal=lambda message: {"message": message},
    too_long="Input is too long for requested model.",
    counts=(60, 30, 20, 7),
    content_type="application/vnd.amazon.eventstream",
)


# --- Cohere: https://docs.cohere.com/reference/chat, https://docs.cohere.com/docs/streaming

COHERE_USAGE = {
    "billed_units": {"input_tokens": 60.0, "output_tokens": 7.0},
    "tokens": {"input_tokens": 560, "output_tokens": 9},
}


def cohere_calls() -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": orjson.dumps(given).decode()},
        }
        for number, (name, given) in enumerate(TOOL_CALLS)
    ]


def cohere_reply(message: dict[str, Any], finish: str = "COMPLETE") -> dict[str, Any]:
    return {"id": "c1", "finish_reason": finish, "message": {"role": "assistant", **message}, "usage": COHERE_USAGE}


def cohere_event(kind: str, **more: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **more}) + b"\n\n"


def cohere_end(finish: str) -> bytes:
    return cohere_event("message-end", delta={"finish_reason": finish, "usage": COHERE_USAGE})


def cohere_text(pieces: list[str]) -> list[bytes]:
    start = {"message": {"content": {"type": "text", "text": ""}}}
    return [
        cohere_event("message-start", id="c1", delta={"message": {"role": "assistant", "content": []}}),
        cohere_event("content-start", index=0, delta=start),
        *(cohere_event("content-delta", index=0, delta={"message": {"content": {"text": p}}}) for p in pieces),
        cohere_event("content-end", index=0),
        cohere_end("COMPLETE"),
    ]


def cohere_tools() -> list[bytes]:
    events = [cohere_event("message-start", id="c1", delta={"message": {"role": "assistant", "content": []}})]
    for number, call in enumerate(cohere_calls()):
        text = call["function"]["arguments"]
        start = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        events.append(cohere_event("tool-call-start", index=number, delta={"message": {"tool_calls": start}}))
        events += [
            cohere_event(
                "tool-call-delta",
                index=number,
                delta={"message": {"tool_calls": {"function": {"arguments": part}}}},
            )
            for part in (text[:5], text[5:])
        ]
        events.append(cohere_event("tool-call-end", index=number))
    return [*events, cohere_end("TOOL_CALL")]


COHERE = Dialect(
    name="cohere",
    model="command-a-03-2025",
    config="",
    reply=lambda text: cohere_reply({"content": [{"type": "text", "text": text}]}),
    tools_reply=lambda: cohere_reply({"tool_calls": cohere_calls()}, "TOOL_CALL"),
    stream=cohere_text,
    tools_stream=cohere_tools,
    stream_error=lambda: cohere_event("message-end", delta={"finish_reason": "ERROR", "error": "overloaded"}),
    refusal=lambda message: {"message": message},
    too_long="too many tokens: total number of tokens in the prompt cannot exceed 256000",
    counts=(60, 0, 0, 7),
)

DIALECTS = (ANTHROPIC, GEMINI, BEDROCK, COHERE)
