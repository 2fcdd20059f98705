"""Reading the loosely shaped parts of a Responses request, with errors that name the place: `input.2.content`."""

from __future__ import annotations

from typing import Any

from gateway.errors import InvalidRequest, Unsupported


def text_of(node: dict[str, Any], key: str, where: str) -> str:
    """`node[key]`, which must be a string. `where` is the path of `node`. Raises InvalidRequest."""
    value = node.get(key)
    if isinstance(value, str):
        return value
    raise wrong(f"{where}.{key}", "a text must stand here")


def objects_of(value: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with its path. Raises InvalidRequest for anything else."""
    if not isinstance(value, list):
        raise wrong(where, "a list must stand here")
    found = []
    for position, node in enumerate(value):
        if not isinstance(node, dict):
            raise wrong(f"{where}.{position}", "an object must stand here")
        found.append((f"{where}.{position}", node))
    return found


def wrong(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{param}': {why}.", param=param, code="invalid_value")


def unsupported(param: str, advice: str) -> Unsupported:
    return Unsupported(f"'{param}' is not supported here. {advice}", param=param)
