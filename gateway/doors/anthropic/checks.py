"""Faults of an Anthropic request, named by the path Anthropic names them by: `messages.0.content.1.text`."""

from __future__ import annotations

from typing import Any

from gateway.errors import InvalidRequest, Unsupported

Object = dict[str, Any]


def invalid(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {what}.", param=path, code="invalid_value")


def unsupported(path: str, what: str) -> Unsupported:
    return Unsupported(f"{path}: {what}.", param=path)


def as_object(value: Any, path: str) -> Object:
    if not isinstance(value, dict):
        raise invalid(path, "an object is expected")
    return value


def as_list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise invalid(path, "a list is expected")
    return value


def text_of(holder: Object, key: str, path: str) -> str:
    """The required string at `key`."""
    value = holder.get(key)
    if not isinstance(value, str):
        raise invalid(f"{path}.{key}", "a string is required")
    return value


def object_of(holder: Object, key: str, path: str) -> Object:
    """The required object at `key`."""
    return as_object(holder.get(key), f"{path}.{key}")


def without(holder: Object, *keys: str) -> Object:
    return {key: value for key, value in holder.items() if key not in keys}
