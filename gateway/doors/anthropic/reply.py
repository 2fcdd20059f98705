"""A chat reply as an Anthropic message: its content blocks, why it stopped, what it used."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from billing.usage import CachedTokens, Usage, UsageError

Object = dict[str, Any]

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

# Where servers tell which stop sequence it was: vLLM, SGLang. OpenAI does not.
_MATCHED = ("stop_reason", "matched_stop")


def message(body: Object, usage: Usage | None, stops: list[str]) -> Object:
    """The whole reply. `stops` are the stop sequences that were asked for."""
    choice = (body.get("choices") or [{}])[0]
    said = choice.get("message") or {}
    content = [*_thinking(said)]
    if text := said.get("content"):
        content.append({"type": "text", "text": text})
    if refusal := said.get("refusal"):
        content.append({"type": "text", "text": refusal})
    frame_id = message_id(body)
    calls = said.get("tool_calls") or []
    content += [_tool_use(call, f"{frame_id}_{index}") for index, call in enumerate(calls)]
    finish = choice.get("finish_reason")
    return {
        **frame(frame_id, body["model"]),
        "content": content,
        **stop(finish, matched(choice, stops), refused=bool(refusal), called=bool(calls)),
        "usage": usage_object(usage),
    }


def frame(frame_id: str, model: str) -> Object:
    return {"id": frame_id, "type": "message", "role": "assistant", "model": model}


def message_id(body: Object) -> str:
    """The upstream's own id, so that a reply can be found at both ends."""
    told = str(body.get("id") or "")
    return told if told.startswith("msg_") else f"msg_{told.removeprefix('chatcmpl-')}"


def stop(finish: str | None, sequence: str | None, *, refused: bool, called: bool) -> Object:
    """`stop_reason` and `stop_sequence`. Servers that end a tool call with a plain "stop" are read as meant."""
    reason = _STOP_REASONS.get(finish or "stop", "end_turn")
    if refused:
        reason = "refusal"
    elif reason == "end_turn" and called:
        reason = "tool_use"
    elif reason == "end_turn" and sequence is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": reason, "stop_sequence": None}


def matched(choice: Object, stops: list[str]) -> str | None:
    """The stop sequence that ended the choice, where the server tells."""
    told = [choice.get(name) for name in _MATCHED]
    return next((value for value in told if isinstance(value, str) and value in stops), None)


def usage_object(usage: Usage | None) -> Object:
    """Anthropic counts cached tokens beside `input_tokens`. What nobody told is 0."""
    usage = usage or Usage()
    beside = usage.cached_input_tokens + usage.cache_write_tokens
    counts: Object = {
        "input_tokens": usage.input_tokens - beside,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def read_usage(body: Object) -> Usage | None:
    """What a chat body tells in `usage`, if anything."""
    told = body.get("usage")
    if told is None:
        return None
    try:
        return Usage.from_openai(told, CachedTokens.INSIDE)
    except (UsageError, msgspec.ValidationError):
        return None


def reasoning(said: Object) -> str:
    """The text of a message's or a delta's thinking, by either of the names it goes by."""
    text = said.get("reasoning_content") or said.get("reasoning")
    return text if isinstance(text, str) else ""


def thinking_blocks(said: Object) -> list[Object]:
    blocks = said.get("thinking_blocks")
    return [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []


def _thinking(said: Object) -> list[Object]:
    """Thinking blocks, their text from where guards have looked at it: the blocks only lend signature and order."""
    text = reasoning(said)
    blocks = thinking_blocks(said)
    texts = [str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking"]
    if len(texts) > 1 and "".join(texts) != text:
        blocks = []  # a guard rewrote them, and nobody can tell any more which part was whose
    if text and not any(block.get("type") == "thinking" for block in blocks):
        blocks = [{"type": "thinking", "thinking": text}, *blocks]
    out: list[Object] = []
    for block in blocks:
        if block.get("type") == "redacted_thinking":
            out.append({"type": "redacted_thinking", "data": str(block.get("data") or "")})
        elif block.get("type") == "thinking":
            thought = str(block.get("thinking") or "") if len(texts) > 1 else text
            out.append({"type": "thinking", "thinking": thought, "signature": str(block.get("signature") or "")})
    return out


def _tool_use(call: Object, fallback_id: str) -> Object:
    function = call.get("function") or {}
    return {
        "type": "tool_use",
        "id": call.get("id") or f"toolu_{fallback_id}",
        "name": function.get("name") or "",
        "input": tool_input(function.get("arguments") or ""),
    }


def tool_input(arguments: str) -> Object:
    """The arguments as an object. Those cut off by a token limit are none: they go under the key Anthropic names
    for that (docs, "Fine-grained tool streaming")."""
    try:
        parsed = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"INVALID_JSON": arguments}
