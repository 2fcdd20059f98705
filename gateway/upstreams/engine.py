"""The local engine as an upstream: OpenAI's chat fields to the engine's, its text to OpenAI's reply shape."""

from __future__ import annotations

import secrets
import time
from contextlib import aclosing
from typing import Any

from billing.usage import Usage
from engine.chat import ChatChunk, ChatRequest, LocalModel
from engine.errors import EngineUnavailable, PromptTooLong, QueueFull, UnsupportedParameter
from engine.errors import InvalidRequest as EngineInvalidRequest
from gateway.errors import ContextTooLong, GateError, InvalidRequest, Unsupported
from gateway.pipeline.answer import Chunk, ChunkStream, Reply, usage_body
from gateway.pipeline.call import Call, Operation
from gateway.upstreams.base import Failure, UpstreamError
from gateway.upstreams.neutral import asks_for_nothing

_HONOURED = frozenset(
    {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p",
        "top_k", "seed", "stop", "user", "metadata", "safety_identifier", "prompt_cache_key", "store",
        "parallel_tool_calls",  # of tools, of which it takes none
    }
)  # fmt: skip


class EngineUpstream:
    """One local model."""

    operations = frozenset({Operation.CHAT})

    def __init__(self, model: LocalModel) -> None:
        self._model = model

    async def complete(self, call: Call) -> Reply:
        texts: list[str] = []
        last: ChatChunk | None = None
        try:
            async with aclosing(self._model.chat(_request(call))) as chunks:
                async for chunk in chunks:
                    texts.append(chunk.text)
                    last = chunk
        except Exception as error:
            raise _translated(error) from error
        if last is None or last.finish_reason is None:
            raise UpstreamError(Failure.BROKEN, "the engine ended without a finish reason")
        message = {"role": "assistant", "content": "".join(texts), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": last.finish_reason}
        usage = _usage(last)
        body = {**_frame("chat.completion", call), "choices": [choice], "usage": usage_body(usage)}
        return Reply(body, usage, call.model)

    async def stream(self, call: Call) -> ChunkStream:
        frame = _frame("chat.completion.chunk", call)
        yield Chunk({**frame, "choices": [_delta({"role": "assistant", "content": ""}, None)]})
        try:
            async with aclosing(self._model.chat(_request(call))) as chunks:
                async for chunk in chunks:
                    usage = _usage(chunk)
                    if chunk.text:
                        yield Chunk({**frame, "choices": [_delta({"content": chunk.text}, None)]}, usage)
                    if chunk.finish_reason is not None:
                        yield Chunk({**frame, "choices": [_delta({}, chunk.finish_reason)]}, usage)
        except Exception as error:
            raise _translated(error) from error

    async def close(self) -> None:
        """The model belongs to the app, which closes it."""


def _frame(kind: str, call: Call) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": call.model,
    }


def _delta(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _request(call: Call) -> ChatRequest:
    """Raises Unsupported for what the engine cannot honour: it is never dropped."""
    body = call.body
    for name, value in body.items():
        if name in _HONOURED or asks_for_nothing(name, value):
            continue
        raise Unsupported(f"The local engine does not support '{name}'.", param=name)
    stop = body.get("stop")
    temperature, top_p, top_k = body.get("temperature"), body.get("top_p"), body.get("top_k")
    limits = [n for n in (body.get("max_completion_tokens"), body.get("max_tokens")) if n is not None]
    return ChatRequest(
        request_id=secrets.token_hex(8),
        messages=body["messages"],
        max_tokens=min(limits) if limits else None,
        temperature=1.0 if temperature is None else temperature,
        top_p=1.0 if top_p is None else top_p,
        top_k=0 if top_k is None else top_k,
        seed=body.get("seed"),
        stop=[stop] if isinstance(stop, str) else (stop or []),
        salt=call.tenant,
    )


def _usage(chunk: ChatChunk) -> Usage:
    return Usage(
        input_tokens=chunk.prompt_tokens,
        cached_input_tokens=chunk.cached_tokens,
        output_tokens=chunk.completion_tokens,
        compute_us=chunk.compute_us,
        requests=1,
    )


def _translated(error: Exception) -> Exception:
    """The engine's errors as the gate's: the caller's faults are final, the engine's own may fall back."""
    match error:
        case GateError() | UpstreamError():
            return error
        case PromptTooLong():
            return ContextTooLong(str(error), param=error.param)
        case UnsupportedParameter():
            return Unsupported(str(error), param=error.param)
        case EngineInvalidRequest():
            return InvalidRequest(str(error), param=error.param, code="invalid_value")
        case QueueFull():
            return UpstreamError(Failure.BUSY, "the engine's queue is full", retry_after=error.retry_after)
        case EngineUnavailable():
            return UpstreamError(Failure.UNREACHABLE, str(error))
        case _:
            return error
