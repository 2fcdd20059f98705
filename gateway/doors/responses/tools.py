"""Tools, the choice of a tool, and output formats: flat in a Responses request, nested in a chat request."""

from __future__ import annotations

from typing import Any

from gateway.doors.responses.reading import objects_of, text_of, unsupported, wrong

_OWN_KINDS = ("function", "custom")
_CHOICES = ("none", "auto", "required")
_BUILT_IN = "Only the tools 'function' and 'custom' can be used: no tool runs on the server's side here."


def chat_tools(tools: list[Any]) -> list[dict[str, Any]]:
    """Raises InvalidRequest naming the tool at fault, Unsupported for tools that run on OpenAI's side."""
    return [_tool(tool, where) for where, tool in objects_of(tools, "tools")]


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    kind = tool.get("type")
    if kind not in _OWN_KINDS:
        raise unsupported(f"{where}.type", _BUILT_IN)
    text_of(tool, "name", where)
    told = {key: value for key, value in tool.items() if key != "type" and value is not None}
    shape = told.get("format")
    if isinstance(shape, dict) and shape.get("type") == "grammar":
        told["format"] = {"type": "grammar", "grammar": {key: shape[key] for key in shape if key != "type"}}
    return {"type": kind, kind: told}


def chat_tool_choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    """Raises InvalidRequest, and Unsupported for tools that run on OpenAI's side."""
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise wrong("tool_choice", f"it must be one of {', '.join(_CHOICES)}, or an object")
        return choice
    if choice.get("type") != "allowed_tools":
        return _named(choice, "tool_choice")
    allowed = [_named(tool, where) for where, tool in objects_of(choice.get("tools"), "tool_choice.tools")]
    mode = text_of(choice, "mode", "tool_choice")
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}


def _named(tool: dict[str, Any], where: str) -> dict[str, Any]:
    kind = tool.get("type")
    if kind not in _OWN_KINDS:
        raise unsupported(f"{where}.type", _BUILT_IN)
    return {"type": kind, kind: {"name": text_of(tool, "name", where)}}


def response_format(given: dict[str, Any]) -> dict[str, Any] | None:
    """`text.format` as chat's `response_format`; None for plain text, which is what chat does anyway."""
    match given.get("type"):
        case "text":
            return None
        case "json_object":
            return given
        case "json_schema":
            text_of(given, "name", "text.format")
            if not isinstance(given.get("schema"), dict):
                raise wrong("text.format.schema", "an object must stand here")
            told = {key: value for key, value in given.items() if key != "type" and value is not None}
            return {"type": "json_schema", "json_schema": told}
        case _:
            raise wrong("text.format.type", "it must be one of text, json_object, json_schema")
