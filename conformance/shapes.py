"""Bodies and streams as an OpenAI-compatible provider writes them. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Sequence
from typing import Any

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
_FRAME = {"id": "chatcmpl-conformance", "created": 1_700_000_000, "model": "scripted-1"}


def completion(text: str | None, *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A whole reply; `message` adds to the message."""
    return completions([{"role": "assistant", "content": text, **message}], finish=finish)


def completions(messages: Iterable[dict[str, Any]], *, finish: str = "stop") -> dict[str, Any]:
    """A whole reply with a choice for each message."""
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
        for index, message in enumerate(messages)
    ]
    return {**_FRAME, "object": "chat.completion", "choices": choices, "usage": USAGE}


def chunk(delta: dict[str, Any], finish: str | None = None, *, index: int = 0, **extra: Any) -> dict[str, Any]:
    """A piece of a stream; `extra` adds to its choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, **extra}
    return {**_FRAME, "object": "chat.completion.chunk", "choices": [choice]}


def usage_chunk(usage: dict[str, Any] | None = None) -> dict[str, Any]:
    return {**_FRAME, "object": "chat.completion.chunk", "choices": [], "usage": usage or USAGE}


def event(body: Any) -> bytes:
    """A body as one event of a stream."""
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def events(bodies: Iterable[dict[str, Any]]) -> bytes:
    """A whole stream of these chunks, its end mark included."""
    return b"".join(map(event, bodies)) + DONE


def text_chunks(pieces: Sequence[str], *, usage: bool = False) -> list[dict[str, Any]]:
    """The chunks of a reply whose text comes in these pieces."""
    chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
    return [*chunks, chunk({}, "stop"), *([usage_chunk()] if usage else [])]


def text_stream(pieces: Sequence[str], *, usage: bool = False) -> bytes:
    """A whole stream whose text comes in these pieces."""
    return events(text_chunks(pieces, usage=usage))


def wants_usage(body: dict[str, Any]) -> bool:
    """Whether a request asks for the usage at the end of its stream."""
    return bool((body.get("stream_options") or {}).get("include_usage"))


def tool_call(id: str, name: str, arguments: str, index: int | None = None) -> dict[str, Any]:
    """A tool call of a message, or with an `index` the first delta of one."""
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return call if index is None else {"index": index, **call}


def more_arguments(index: int, arguments: str) -> dict[str, Any]:
    """A later delta of a tool call."""
    return {"index": index, "function": {"arguments": arguments}}


def error(message: str, type: str = "server_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def legacy_completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    return {**_FRAME, "object": "text_completion", "choices": [choice], "usage": USAGE}


def legacy_chunks(pieces: Sequence[str]) -> list[dict[str, Any]]:
    """The chunks of a completion whose text comes in these pieces."""
    ends = [*(None for _ in pieces), "stop"]
    choices = [
        {"index": 0, "text": piece, "logprobs": None, "finish_reason": end}
        for piece, end in zip([*pieces, ""], ends, strict=True)
    ]
    return [{**_FRAME, "object": "text_completion", "choices": [choice]} for choice in choices]


VECTOR = (0.5, -0.25, 0.125)


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """`VECTOR` for each input, in the encoding that was asked for."""
    asked = body.get("input")
    count = len(asked) if isinstance(asked, list) and asked and not isinstance(asked[0], int) else 1
    packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    vector: Any = packed if body.get("encoding_format") == "base64" else list(VECTOR)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return {"object": "list", "model": "scripted-1", "data": data, "usage": usage}
