"""Where the texts are in a request of OpenAI's shape, whatever dialect it came in.

Guards must see every text that leaves. So a request is walked whole: each string in it is a slot unless it stands where
OpenAI's API has a word that steers the call. A field we have never heard of is therefore guarded too, and so are a
number long enough to be somebody's, and the name of a field that no program would give it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from gateway.errors import InvalidRequest
from gateway.texts.slots import AnySlot, KeySlot, NumberSlot, Slot, inner_slots
from guards.types import Scope

# Keys whose strings steer a call, not speak: at the top, and inside the fields below. Anywhere else they may hold
# a person's words as any key may.
CONTROL_KEYS = frozenset(
    {
        "model", "role", "type", "id", "object", "tool_call_id", "service_tier", "reasoning_effort", "verbosity",
        "detail", "format", "voice", "encoding_format", "tool_choice", "$schema", "$ref",
    }
)  # fmt: skip
_STRUCTURED = frozenset(
    {"messages", "tools", "functions", "tool_choice", "function_call", "response_format", "audio", "input"}
)
MAX_SLOTS = 50_000

# Numbers that steer a call, however long.
_NUMBERS = frozenset({"seed", "created", "created_at", "expires_at", "max_tokens", "max_completion_tokens"})
_LONG = 10**6  # a number from which on it may be a phone's, a card's or an account's
_SHORT_NAME = 6  # characters of a field's name that say nothing of anybody: ids of tokens in `logit_bias`

# What a text is, by the field of the request it stands in, by its message's role, and by its own key.
_TOP = {
    "messages": Scope.USER,
    "prompt": Scope.USER,
    "suffix": Scope.USER,
    "input": Scope.USER,
    "tools": Scope.TOOL_DEFINITION,
    "functions": Scope.TOOL_DEFINITION,
    "response_format": Scope.TOOL_DEFINITION,
}
_ROLES = {
    "system": Scope.SYSTEM,
    "developer": Scope.SYSTEM,
    "user": Scope.USER,
    "assistant": Scope.ASSISTANT,
    "tool": Scope.TOOL,
    "function": Scope.TOOL,
}
_PARTS = {
    "tool_calls": Scope.TOOL_CALL,
    "function_call": Scope.TOOL_CALL,
    "reasoning_content": Scope.REASONING,
    "reasoning": Scope.REASONING,
}
_MAX_DEPTH = 64

# Pictures, sound and files in base64: no text, and a digit changed in one would break it.
_BINARY_KEYS = frozenset({"url", "data", "file_data", "signature"})
_BASE64 = re.compile(r"(data:[a-z]+/[\w.+-]+;base64,)?[A-Za-z0-9+/]{512,}={0,2}", re.ASCII)


def request_slots(body: dict[str, Any]) -> list[AnySlot]:
    """Every text of a request, in the order it is read.

    Raises InvalidRequest when the body is nested too deeply, or has too many texts, to be looked through.
    """
    slots: list[AnySlot] = []
    for key, value in body.items():
        scope = _TOP.get(key, Scope.OTHER)
        name = None if key.isidentifier() else _name_slot(body, key, scope)
        if name is not None:
            slots.append(name)
        if isinstance(value, str):
            if value and key not in CONTROL_KEYS:
                slots.append(_value_slot(Slot(body, key, scope), name))
        elif isinstance(value, dict | list):
            found = _walk(value, scope, 1, CONTROL_KEYS if key in _STRUCTURED else frozenset(), key)
            slots.extend(islice(found, MAX_SLOTS + 1))
        elif _may_be_somebodys(key, value, scope):
            slots.append(_value_slot(NumberSlot(body, key, scope, key), name))
        if len(slots) > MAX_SLOTS:  # or one request could hold everybody up for seconds
            raise InvalidRequest(f"The request has more than {MAX_SLOTS:,} texts.")
    return slots


def _walk(node: Any, scope: Scope, depth: int, control: frozenset[str], field: str) -> Iterator[AnySlot]:
    """The texts below a node. `field`: the name of the one that it is the value of."""
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"The request is nested deeper than {_MAX_DEPTH} levels.")
    items: Iterator[tuple[Any, Any]]
    named = isinstance(node, dict)
    if named:
        role = node.get("role")
        scope = _ROLES.get(role, Scope.OTHER) if isinstance(role, str) else scope
        items = iter(node.items())
    else:
        items = iter(enumerate(node))
    for key, value in items:
        name = None
        if named and not key.isidentifier() and (name := _name_slot(node, key, scope)) is not None:
            yield name
        if isinstance(value, str):
            if value and key not in control and not (key in _BINARY_KEYS and _BASE64.fullmatch(value)):
                slot = _value_slot(Slot(node, key, _PARTS.get(key, scope)), name)
                if _is_written_json(key, slot):
                    yield from inner_slots(slot)
                else:
                    yield slot
        elif isinstance(value, dict | list):
            yield from _walk(value, _PARTS.get(key, scope), depth + 1, control, key if named else field)
        elif _may_be_somebodys(key if named else field, value, scope):
            yield _value_slot(NumberSlot(node, key, scope, key if named else field), name)


def _may_be_somebodys(field: str, value: Any, scope: Scope) -> bool:
    """Whether a number has to be seen."""
    return type(value) is int and abs(value) >= _LONG and scope is not Scope.TOOL_DEFINITION and field not in _NUMBERS


def _name_slot(container: dict[str, Any], name: str, scope: Scope) -> KeySlot | None:
    return KeySlot(container, name, scope) if len(name) > _SHORT_NAME else None


def _value_slot(slot: Slot, name: KeySlot | None) -> Slot:
    """The slot, which its field's name will take along should it change."""
    if name is not None:
        name.value = slot
    return slot


def _is_written_json(key: str | int, slot: Slot) -> bool:
    """Whether a text is JSON in a string whose strings have to be seen one by one.

    A tool's answer may be large; unless it has escapes that hide what they say, it is one text.
    """
    if slot.scope is Scope.TOOL_CALL:
        return key == "arguments"
    return slot.scope is Scope.TOOL and "\\u" in slot.text
