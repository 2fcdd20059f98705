"""What one guard is asked to do, before any kind has looked at it. No guard is built here.

What only one kind knows is in `options`; the kind says what they may be by a struct of its own (`read_options`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from guards.types import Action, GuardConfigError, Scope, Stage

_Options = TypeVar("_Options", bound=msgspec.Struct)

_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")


class OnError(StrEnum):
    """What happens to a request when its guard fails or runs out of time."""

    BLOCK = "block"
    PASS = "pass"  # noqa: S105


class GuardSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One guard of the configuration. Where a value is None the kind decides.

    `stages`: where it looks. `scopes`: at which texts. `action`: what it does with a finding (`pass` is not a
    choice). `default`: it runs for every key. `dry_run`: it says what it would do, and nothing is done.
    `timeout`: seconds one call may wait.
    """

    name: str
    kind: str
    stages: tuple[Stage, ...] | None = None
    scopes: tuple[Scope, ...] | None = None
    action: Action | None = None
    default: bool = False
    on_error: OnError = OnError.BLOCK
    dry_run: bool = False
    timeout: float | None = None
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)


def read_options(spec: GuardSpec, options: type[_Options]) -> _Options:
    """The options of a guard as its kind knows them. Raises GuardConfigError for what the kind does not know."""
    try:
        return msgspec.convert(dict(spec.options), options)
    except msgspec.ValidationError as error:
        raise _config_error(spec, options, str(error)) from None


def _config_error(spec: GuardSpec, options: type[msgspec.Struct], message: str) -> GuardConfigError:
    place = _AT.search(message)
    at: list[str | int] = []
    for name, index in _STEP.findall(place.group(1)) if place else ():
        if index == "...":  # which of a mapping's values it is, msgspec does not say
            break
        at.append(int(index) if index else name)
    message = _AT.sub("", message)
    if unknown := _UNKNOWN.fullmatch(message):
        name = unknown.group(1)
        known = [field.encode_name for field in msgspec.structs.fields(options)] if not at else []
        close = difflib.get_close_matches(name, known, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else f"; it knows {', '.join(known)}" if known else ""
        return GuardConfigError(f'kind "{spec.kind}" has no key "{name}" here{hint}', (*at, name))
    if missing := _MISSING.fullmatch(message):
        return GuardConfigError(f'kind "{spec.kind}" needs the key "{missing.group(1)}" here', tuple(at))
    return GuardConfigError(message[:1].lower() + message[1:], tuple(at))
