"""The answer that needs no target: a configured message, as a whole reply or as a stream. It costs nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

from billing.usage import Usage
from gateway.pipeline.answer import Chunk, Reply, usage_body
from gateway.pipeline.call import Operation
from gateway.pipeline.trial import OpenStream

TARGET = "sluicegate/message"  # what stands for it in headers, metrics and the ledger
ANSWERS = frozenset({Operation.CHAT, Operation.COMPLETIONS})  # what a message can be an answer to


def message_reply(model: str, text: str) -> Reply:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_frame("chat.completion", model), "choices": [choice], "usage": usage_body(Usage())}
    return Reply(body, Usage())


def message_stream(model: str, text: str) -> OpenStream:
    frame = _frame("chat.completion.chunk", model)

    def chunk(delta: dict[str, Any], finish_reason: str | None) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return Chunk({**frame, "choices": [choice]}, Usage())

    return OpenStream([chunk({"role": "assistant", "content": text}, None), chunk({}, "stop")], nothing())


async def nothing() -> AsyncGenerator[Chunk, None]:
    """The rest of a stream that is at its end."""
    none: tuple[Chunk, ...] = ()
    for chunk in none:
        yield chunk


def _frame(kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": model}
