"""What the configuration's contract names and this version does not build: refused when asked, never ignored.

Building a feature means: take its line out here, give it a place in `schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config.faults import Path
from gateway.config.source import Document


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A value at `pattern` ("*" is every element) for which `asks` holds is refused with `message`.

    It is then treated as `instead`, so that one cause gives one fault.
    """

    pattern: Path
    asks: Callable[[Any], bool]
    message: str
    instead: Any = None


def _given(value: Any) -> bool:
    return value not in (None, False, [], {})


def _one_of(*names: str) -> Callable[[Any], bool]:
    return lambda value: value in names


UNBUILT: tuple[Unbuilt, ...] = (
    Unbuilt(
        ("telemetry", "log_bodies"),
        _one_of("redacted"),
        'logging of request bodies is not built yet; only "none" works',
        "none",
    ),
)


def refuse_unbuilt(document: Document) -> None:
    """Note a fault for everything asked that is not built, and put what is built in its place."""
    for feature in UNBUILT:
        *parents, key = feature.pattern
        for path, holder in list(_matches(document.data, tuple(parents), ())):
            if not isinstance(holder, dict) or key not in holder:
                continue
            if feature.asks(holder[key]):
                document.add((*path, key), feature.message)
                holder[key] = feature.instead
            if holder[key] is None:
                del holder[key]


def _matches(value: Any, pattern: Path, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every part of `value` that `pattern` reaches, with its path."""
    if not pattern:
        yield path, value
    elif pattern[0] == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _matches(item, pattern[1:], (*path, index))
    elif isinstance(value, dict) and pattern[0] in value:
        yield from _matches(value[pattern[0]], pattern[1:], (*path, pattern[0]))
