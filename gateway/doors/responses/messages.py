"""The input items of a Responses request as chat messages.

Items are flat where chat nests: the calls of one turn are items of their own there, and parts of one assistant message
here. What only OpenAI's own store knows (references, encrypted reasoning) cannot reach another server.
"""

from __future__ import annotations

from typing import Any

from gateway.doors.responses.reading import objects_of, text_of, unsupported, wrong

_ROLES = ("user", "system", "developer", "assistant")
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def chat_messages(given: str | list[Any], instructions: str | None) -> list[dict[str, Any]]:
    """`input` and `instructions` as messages. Raises InvalidRequest naming the item at fault, Unsupported.

    Reasoning items are left out: chat models take no reasoning of an earlier turn back.
    """
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
        return messages
    for where, item in objects_of(given, "input"):
        _add(messages, item, where)
    if not messages:
        raise wrong("input", "it has no message")
    return messages


def _add(messages: list[dict[str, Any]], item: dict[str, Any], where: str) -> None:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    if kind == "message":
        _add_message(messages, item, where)
    elif kind in _CALLS:
        calls = _assistant(messages).setdefault("tool_calls", [])
        calls.append(_call(item, where))
    elif kind in _OUTPUTS:
        output = {"role": "tool", "tool_call_id": text_of(item, "call_id", where)}
        messages.append({**output, "content": _content(item.get("output"), f"{where}.output")})
    elif kind == "item_reference":
        raise unsupported(where, "No items are stored here: send the item itself in place of a reference.")
    elif kind != "reasoning":
        raise unsupported(f"{where}.type", f"Items of the type {kind!r} belong to tools that only OpenAI runs.")


def _add_message(messages: list[dict[str, Any]], item: dict[str, Any], where: str) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise wrong(f"{where}.role", f"it must be one of {', '.join(_ROLES)}")
    if role != "assistant":
        messages.append({"role": role, "content": _content(item.get("content"), f"{where}.content")})
        return
    said = _said(item.get("content"), f"{where}.content")
    last = _assistant(messages)
    if last.get("content") is None and "refusal" not in last:
        last.update(said)
    else:
        messages.append({"role": "assistant", **said})


def _assistant(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's message that items of its turn go into; a new one where another role spoke last."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _said(content: Any, where: str) -> dict[str, Any]:
    """What an assistant said, in one text: many chat servers take no list of parts from it."""
    if isinstance(content, str):
        return {"content": content}
    texts, refusals = [], []
    for place, part in objects_of(content, where):
        match part.get("type"):
            case "output_text":
                texts.append(text_of(part, "text", place))
            case "refusal":
                refusals.append(text_of(part, "refusal", place))
            case kind:
                raise wrong(f"{place}.type", f"an assistant's part is output_text or refusal, not {kind!r}")
    said: dict[str, Any] = {"content": "".join(texts) if texts or not refusals else None}
    return {**said, "refusal": "".join(refusals)} if refusals else said


def _content(content: Any, where: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    parts = [_part(part, place) for place, part in objects_of(content, where)]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]  # many chat servers know no list of parts where one text stands
        return text
    return parts


def _part(part: dict[str, Any], where: str) -> dict[str, Any]:
    """A part of a message; what it has beside the fields known here stays with it."""
    rest = {key: value for key, value in part.items() if key != "type" and value is not None}
    match part.get("type"):
        case "input_text":
            return {**rest, "type": "text", "text": text_of(part, "text", where)}
        case "input_image":
            if "file_id" in rest:
                raise unsupported(f"{where}.file_id", "Send the picture's address or a data URL as 'image_url'.")
            picture = {"url": text_of(part, "image_url", where)}
            del rest["image_url"]
            if "detail" in rest:
                picture["detail"] = rest.pop("detail")
            return {**rest, "type": "image_url", "image_url": picture}
        case "input_file":
            if "file_url" in rest:
                raise unsupported(f"{where}.file_url", "Send the file itself in 'file_data' as a data URL.")
            return {"type": "file", "file": rest}
        case "input_audio":
            if not isinstance(rest.get("input_audio"), dict):
                raise wrong(f"{where}.input_audio", "an object must stand here")
            return {**rest, "type": "input_audio"}
        case kind:
            raise wrong(f"{where}.type", f"{kind!r} is not a part that a message can have")


def _call(item: dict[str, Any], where: str) -> dict[str, Any]:
    name, call_id = text_of(item, "name", where), text_of(item, "call_id", where)
    if item["type"] == "function_call":
        function = {"name": name, "arguments": text_of(item, "arguments", where)}
        return {"id": call_id, "type": "function", "function": function}
    return {"id": call_id, "type": "custom", "custom": {"name": name, "input": text_of(item, "input", where)}}
