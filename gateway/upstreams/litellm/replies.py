"""The SDK's replies and chunks in OpenAI's exact shape, as plain data, without the SDK's own fields.

Guards look at `content`, `refusal`, `reasoning_content` and tool arguments. So a thought's text is in
`reasoning_content` alone; `thinking_blocks` carry what a later request must bring back beside it: signatures, and
thoughts that the provider encrypted.
"""

from __future__ import annotations

import base64
from array import array
from typing import Any

import msgspec

from billing.usage import CachedTokens, Usage, UsageError
from gateway.pipeline.answer import usage_body

_TEXTS = ("content", "refusal", "reasoning_content")
_KEPT = ("annotations", "audio", "images")
_FRAME = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


def reply_body(reply: dict[str, Any], usage: Usage | None) -> dict[str, Any]:
    """A `chat.completion` from a dumped ModelResponse."""
    choices = [
        {
            "index": choice.get("index", 0),
            "message": _message(choice.get("message") or {}),
            "logprobs": choice.get("logprobs"),
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in reply["choices"]
    ]
    return {**_frame(reply), "choices": choices, "usage": usage_body(usage) if usage is not None else None}


def chunk_body(chunk: dict[str, Any], usage: Usage | None) -> dict[str, Any]:
    """A `chat.completion.chunk` from a dumped ModelResponseStream. Its list of choices is empty if it says nothing."""
    choices = []
    for choice in chunk.get("choices") or ():
        delta, finish_reason = _delta(choice.get("delta") or {}), choice.get("finish_reason")
        if delta or finish_reason:
            logprobs, index = choice.get("logprobs"), choice.get("index", 0)
            choices.append({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason})
    body = {**_frame(chunk), "choices": choices}
    if usage is not None:
        body["usage"] = usage_body(usage)
    return body


def embeddings_body(reply: dict[str, Any], usage: Usage | None, *, as_base64: bool) -> dict[str, Any]:
    """A `list` of embeddings from a dumped EmbeddingResponse; base64 is of little-endian 32-bit floats."""
    data = [
        {"object": "embedding", "index": entry.get("index", position), "embedding": entry["embedding"]}
        for position, entry in enumerate(reply["data"])
    ]
    if as_base64:
        for entry in data:
            entry["embedding"] = base64.b64encode(array("f", entry["embedding"]).tobytes()).decode()
    tokens = usage.input_tokens if usage is not None else 0
    counted = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": reply.get("model"), "usage": counted}


def read_usage(told: Any) -> Usage | None:
    """The SDK counts cached and written tokens inside `prompt_tokens` for all providers; None where it told nothing.

    Anthropic and Bedrock count them beside their input tokens, and the SDK adds them; Gemini counts them inside, and
    thoughts beside the candidates, which it adds too. Anthropic does not tell thoughts apart: the SDK estimates them
    from their text, inside the true number of output tokens.
    """
    if told is None:
        return None
    try:
        usage = Usage.from_openai(told, CachedTokens.INSIDE)
    except (UsageError, msgspec.ValidationError):
        return None  # the bill is then estimated and says so; a nonsense count must not become one
    return usage if usage.input_tokens or usage.output_tokens else None  # the SDK writes 0 for what nobody told


def _frame(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _FRAME if body.get(name) is not None}


def _message(said: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.get("content"), "refusal": said.get("refusal")}
    message.update({name: said[name] for name in ("reasoning_content", *_KEPT) if said.get(name)})
    if calls := said.get("tool_calls"):
        message["content"] = message["content"] or None
        message["tool_calls"] = [
            {"id": call.get("id"), "type": "function", "function": _function(call)} for call in calls
        ]
    if blocks := _signatures(said):
        message["thinking_blocks"] = blocks
    return message


def _delta(said: dict[str, Any]) -> dict[str, Any]:
    """What a piece says. The SDK fills every field of every piece, most of them with nothing."""
    delta: dict[str, Any] = {name: said[name] for name in ("role", *_TEXTS, *_KEPT) if said.get(name)}
    if "role" in delta:
        delta.setdefault("content", "")
    if calls := said.get("tool_calls"):
        delta["tool_calls"] = [_call_delta(call) for call in calls]
    if blocks := _signatures(said):
        delta["thinking_blocks"] = blocks
    return delta


def _call_delta(call: dict[str, Any]) -> dict[str, Any]:
    piece: dict[str, Any] = {"index": call.get("index", 0), "function": _function(call)}
    return {**piece, "id": call["id"], "type": "function"} if call.get("id") else piece


def _function(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    named = {"name": function["name"]} if function.get("name") else {}
    return {**named, "arguments": function.get("arguments") or ""}


def _signatures(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Thinking blocks without their text. A piece of text alone leaves none."""
    blocks = []
    for block in said.get("thinking_blocks") or ():
        if block.get("type") == "redacted_thinking":
            blocks.append({"type": "redacted_thinking", "data": block.get("data")})
        elif block.get("signature"):
            blocks.append({"type": "thinking", "thinking": "", "signature": block["signature"]})
    return blocks
