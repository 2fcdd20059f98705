"""Anthropic's messages as OpenAI's: one message may become several, since OpenAI gives each tool result its own.

Thinking blocks stay on their assistant message as `thinking_blocks`, unchanged, as litellm reads them: a provider that
signed its thinking wants it back to the letter before it goes on after a tool call. Unsigned thinking is left out;
nobody can check it, so nobody wants it.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.doors.anthropic.checks import Object, as_list, as_object, invalid, object_of, text_of
from gateway.doors.anthropic.content import block_parts, read_parts, simplest

SEE_NEXT = "The result is in the next message."


def read_conversation(messages: Any) -> list[Object]:
    """Raises InvalidRequest, Unsupported."""
    turns = as_list(messages, "messages")
    if not turns:
        raise invalid("messages", "at least one message is required")
    return [
        message
        for index, turn in enumerate(turns)
        for message in _turn(as_object(turn, f"messages.{index}"), f"messages.{index}")
    ]


def _turn(turn: Object, path: str) -> list[Object]:
    content = turn.get("content")
    here = f"{path}.content"
    match text_of(turn, "role", path):
        case "user":
            return _user(content, here)
        case "assistant":
            return [_assistant(content, here)]
        case "system":
            return [{"role": "system", "content": simplest(read_parts(content, here))}]
        case _:
            raise invalid(f"{path}.role", "'user' or 'assistant' is expected")


def _user(content: Any, path: str) -> list[Object]:
    """Tool results first, whatever stands between them: OpenAI wants them right after the call."""
    if not isinstance(content, list):
        return [{"role": "user", "content": simplest(read_parts(content, path))}]
    results: list[Object] = []
    parts: list[Object] = []
    for index, item in enumerate(content):
        here = f"{path}.{index}"
        block = as_object(item, here)
        if block.get("type") == "tool_result":
            result, shown = _tool_result(block, here)
            results.append(result)
            parts += shown
        else:
            parts += block_parts(block, here)
    if parts or not results:
        results.append({"role": "user", "content": simplest(parts)})
    return results


def _tool_result(block: Object, path: str) -> tuple[Object, list[Object]]:
    """The tool message, and what it shows: a tool message holds text only, so the user's message carries the rest.

    `is_error` becomes a word in the text, which every model can read; OpenAI has no field for it.
    """
    call = text_of(block, "tool_use_id", path)
    content = block.get("content")
    parts = [] if content is None else read_parts(content, f"{path}.content")
    texts = [part for part in parts if part["type"] == "text"]
    shown = [part for part in parts if part["type"] != "text"]
    if shown and not texts:
        texts.append({"type": "text", "text": SEE_NEXT})
    if block.get("is_error"):
        texts.insert(0, {"type": "text", "text": "Error:"})
        if len(texts) > 1 and texts[1].keys() == {"type", "text"}:
            texts[:2] = [{"type": "text", "text": f"Error: {texts[1]['text']}"}]
    message: Object = {"role": "tool", "tool_call_id": call, "content": simplest(texts)}
    if block.get("cache_control") is not None:
        message["cache_control"] = block["cache_control"]
    if shown:
        shown.insert(0, {"type": "text", "text": f"Result of the tool call {call}:"})
    return message, shown


def _assistant(content: Any, path: str) -> Object:
    if not isinstance(content, list):
        return {"role": "assistant", "content": simplest(read_parts(content, path))}
    parts: list[Object] = []
    calls: list[Object] = []
    thinking: list[Object] = []
    for index, item in enumerate(content):
        here = f"{path}.{index}"
        block = as_object(item, here)
        match block.get("type"):
            case "tool_use":
                calls.append(_tool_call(block, here))
            case "thinking":
                text_of(block, "thinking", here)
                if text_of(block, "signature", here):
                    thinking.append(block)
            case "redacted_thinking":
                text_of(block, "data", here)
                thinking.append(block)
            case _:
                parts += block_parts(block, here)
    message: Object = {"role": "assistant", "content": simplest(parts) or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    if thinking:
        message["thinking_blocks"] = thinking
    return message


def _tool_call(block: Object, path: str) -> Object:
    arguments = orjson.dumps(object_of(block, "input", path)).decode()
    function = {"name": text_of(block, "name", path), "arguments": arguments}
    call: Object = {"id": text_of(block, "id", path), "type": "function", "function": function}
    if block.get("cache_control") is not None:
        call["cache_control"] = block["cache_control"]
    return call
