"""Checks values against a schema by the `jsonschema` library, in bounded time and without a network.

Where the library would match by `re` or compare all with all, own keywords stand in: patterns run by RE2, and equal
items are found by their canonical form.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from itertools import islice
from typing import Any

import jsonschema
import orjson
from referencing import Registry

from guards.schema.limits import BadSchema, check_limits, compiled_pattern

MOST_SECONDS = 1.0  # of one check, on its own thread's clock
_MOST_ERRORS = 20

_DRAFTS: Mapping[str, Any] = {
    validator.META_SCHEMA["$schema"].rstrip("#"): validator
    for validator in (
        jsonschema.Draft202012Validator,
        jsonschema.Draft201909Validator,
        jsonschema.Draft7Validator,
        jsonschema.Draft6Validator,
        jsonschema.Draft4Validator,
    )
}
_DEFAULT = "https://json-schema.org/draft/2020-12/schema"

_deadline: ContextVar[float] = ContextVar("_deadline")

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any]]


class CheckTooLong(Exception):
    """A value took longer to check than is allowed, or led in a circle."""


class Validator:
    """A schema, ready to check. Raises BadSchema for one that cannot be used."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        check_limits(schema)
        name = schema.get("$schema", _DEFAULT)
        draft = _DRAFTS.get(name.rstrip("#")) if isinstance(name, str) else None
        if draft is None:
            raise BadSchema(f"unknown $schema; known are {', '.join(_DRAFTS)}", ("$schema",))
        try:
            draft.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
        except jsonschema.SchemaError as error:
            raise BadSchema(f"not a JSON schema: {error.message[:200]}", tuple(error.absolute_path)) from None
        own = jsonschema.validators.extend(draft, {name: _timed(word) for name, word in _keywords(draft).items()})
        # An empty registry: a reference that leads out is an error, not a request.
        self._validator = own(schema, registry=Registry())
        self.schema = schema

    def broken(self, value: Any) -> Mapping[str, int]:
        """How often each keyword is broken, as far as it is counted; empty: the value follows the schema.

        Raises CheckTooLong.
        """
        started = _deadline.set(time.thread_time() + MOST_SECONDS)
        try:
            errors = islice(self._validator.iter_errors(value), _MOST_ERRORS)
            return Counter(error.validator or "false" for error in errors)
        except RecursionError:
            raise CheckTooLong from None
        finally:
            _deadline.reset(started)


def _keywords(draft: Any) -> dict[str, Keyword]:
    patterns = _Patterns()
    own: dict[str, Keyword] = {
        "pattern": patterns.pattern,
        "patternProperties": patterns.pattern_properties,
        "additionalProperties": patterns.additional_properties,
        "uniqueItems": _unique_items,
    }
    return {name: own.get(name, word) for name, word in draft.VALIDATORS.items()}


def _timed(word: Keyword) -> Keyword:
    def timed(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if time.thread_time() > _deadline.get():
            raise CheckTooLong
        yield from word(validator, value, instance, schema) or ()

    return timed


class _Patterns:
    """The keywords that match patterns, and the patterns compiled so far: one schema's."""

    def __init__(self) -> None:
        self._compiled: dict[str, Any] = {}

    def _found(self, pattern: str, text: str) -> bool:
        compiled = self._compiled.get(pattern)
        if compiled is None:
            compiled = self._compiled[pattern] = compiled_pattern(pattern)
        return compiled.search(text) is not None

    def pattern(self, validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not self._found(pattern, instance):
            yield jsonschema.ValidationError("a text does not match its pattern")

    def pattern_properties(self, validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, dict):
            for pattern, part in patterns.items():
                for name, value in instance.items():
                    if self._found(pattern, name):
                        yield from validator.descend(value, part, path=name, schema_path=pattern)

    def additional_properties(self, validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not isinstance(instance, dict):
            return
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name in instance:
            if name in known or any(self._found(pattern, name) for pattern in patterns):
                continue
            if isinstance(allowed, dict):
                yield from validator.descend(instance[name], allowed, path=name)
            elif not allowed:
                yield jsonschema.ValidationError("a property that is not allowed")


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if unique and isinstance(instance, list) and len({_canonical(item) for item in instance}) < len(instance):
        yield jsonschema.ValidationError("items that are equal")


def _canonical(value: Any) -> bytes:
    """Equal for equal values: 1 and 1.0 are, 1 and true are not."""
    return orjson.dumps(_whole_numbers(value), option=orjson.OPT_SORT_KEYS)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _whole_numbers(item) for name, item in value.items()}
    return value
