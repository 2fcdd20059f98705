"""What a schema may not do before it is used: reach out, hang, or mean nothing.

Patterns must be ones that RE2 takes (linear time, no look-around), references must lead to places in the schema itself,
and its size is bounded: a caller may have written it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import re2

Place = tuple[str | int, ...]

MOST_PARTS = 20_000
DEEPEST = 100

_SCHEMAS_BY_NAME = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_DATA = frozenset({"const", "enum", "default", "examples", "required", "dependentRequired"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class BadSchema(Exception):
    """A schema that cannot be used. `at`: where in it, as a path."""

    def __init__(self, message: str, at: Place = ()) -> None:
        super().__init__(message)
        self.at = at


def compiled_pattern(pattern: str, at: Place = ()) -> Any:
    """Raises BadSchema."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise BadSchema(
            "the pattern cannot be used: RE2 does not take it (no look-around, no references)", at
        ) from None


def check_limits(schema: Mapping[str, Any]) -> None:
    """Raises BadSchema."""
    anchors: set[str] = set()
    references: list[tuple[str, Place]] = []
    for parts, (part, at) in enumerate(_parts(schema, ())):
        if parts >= MOST_PARTS:
            raise BadSchema(f"the schema has more than {MOST_PARTS:,} parts")
        if "$id" in part and at:
            raise BadSchema("only the whole schema may have an $id", (*at, "$id"))
        anchors.update(name for key in ("$anchor", "$dynamicAnchor") if isinstance(name := part.get(key), str))
        references += [(to, (*at, key)) for key in _REFERENCES if isinstance(to := part.get(key), str)]
        if isinstance(pattern := part.get("pattern"), str):
            compiled_pattern(pattern, (*at, "pattern"))
        if isinstance(patterns := part.get("patternProperties"), Mapping):
            for pattern in patterns:
                compiled_pattern(pattern, (*at, "patternProperties", pattern))
            if "unevaluatedProperties" in part:
                raise BadSchema("unevaluatedProperties cannot stand beside patternProperties here", at)
    for reference, at in references:
        if not reference.startswith("#"):
            raise BadSchema("references may only lead to places in the same schema (`#/...`)", at)
        if not _leads_somewhere(schema, unquote(reference[1:]), anchors):
            raise BadSchema("the reference leads nowhere", at)


def _parts(part: Any, at: Place) -> Iterator[tuple[Mapping[str, Any], Place]]:
    """Every schema in a schema, itself first."""
    if not isinstance(part, Mapping):
        return
    if len(at) > 2 * DEEPEST:
        raise BadSchema(f"the schema is more than {DEEPEST} levels deep", at[:6])
    yield part, at
    for key, value in part.items():
        if key in _DATA:
            continue
        if isinstance(value, list):
            for index, one in enumerate(value):
                yield from _parts(one, (*at, key, index))
        elif key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            for name, one in value.items():
                yield from _parts(one, (*at, key, name))
        else:
            yield from _parts(value, (*at, key))


def _leads_somewhere(schema: Any, fragment: str, anchors: set[str]) -> bool:
    if not fragment.startswith("/"):
        return not fragment or fragment in anchors
    place = schema
    for step in fragment[1:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping) and step in place:
            place = place[step]
        elif isinstance(place, list) and step.isdecimal() and int(step) < len(place):
            place = place[int(step)]
        else:
            return False
    return isinstance(place, Mapping | bool)
