"""Builds a `schema` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from guards.base import Policy
from guards.resources import Resources
from guards.schema.guard import SchemaGuard, Settings
from guards.schema.limits import BadSchema
from guards.schema.validator import Validator
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError, Scope, Stage

LEAST_REPAIR_TIMEOUT = 5.0  # seconds
_MOST_BYTES = 1_000_000


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`schema`: a JSON schema, or the path of a file that holds one. `from_request`: the one that each caller asks for;
    who asks for none gets any reply. `fences`: a reply in a code fence is freed of it (`strip`) or no JSON (`refuse`).
    `repair`: a model may put a broken reply right, once. `model`: which; None: the one that the caller asked."""

    schema: str | dict[str, Any] | None = None
    from_request: bool = False
    fences: Literal["strip", "refuse"] = "strip"
    repair: bool = False
    model: str | None = None


def build(spec: GuardSpec, resources: Resources) -> SchemaGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(
        spec,
        actions=frozenset({Action.BLOCK, Action.FLAG, Action.LOG}),
        action=Action.BLOCK,
        stages=frozenset({Stage.OUTPUT}),
        possible=frozenset({Stage.OUTPUT}),
        scopes=frozenset({Scope.ASSISTANT}),
    )
    if (options.schema is None) == (not options.from_request):
        raise GuardConfigError("say either schema or from_request: true", ("schema",))
    if options.repair and policy.action is not Action.BLOCK:
        raise GuardConfigError("repair needs action 'block': other actions leave texts alone", ("repair",))
    if options.repair and spec.timeout is not None and spec.timeout < LEAST_REPAIR_TIMEOUT:
        said = f"repair asks a model: give the guard a timeout of {LEAST_REPAIR_TIMEOUT:g} s or more"
        raise GuardConfigError(said, ("timeout",))
    if options.model is not None and not options.repair:
        raise GuardConfigError("model says who repairs; without repair: true nobody does", ("model",))
    validator = None if options.schema is None else _validator(options.schema)
    return SchemaGuard(policy, Settings(validator, options.fences == "strip", options.repair, options.model))


def _validator(asked: str | dict[str, Any]) -> Validator:
    """Raises GuardConfigError, with the place in the schema if it stands in the configuration."""
    schema: Mapping[str, Any] = _from_file(Path(asked)) if isinstance(asked, str) else asked
    try:
        return Validator(schema)
    except BadSchema as error:
        if isinstance(asked, str):
            place = "/".join(map(str, error.at))
            raise GuardConfigError(f"{asked}: at /{place}: {error}", ("schema",)) from None
        raise GuardConfigError(str(error), ("schema", *error.at)) from None


def _from_file(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise GuardConfigError(f"{path} is larger than {_MOST_BYTES:,} bytes", ("schema",))
        schema = orjson.loads(path.read_bytes())
    except OSError as error:
        raise GuardConfigError(f"{path} cannot be read: {error.strerror}", ("schema",)) from None
    except ValueError:
        raise GuardConfigError(f"{path} is not JSON", ("schema",)) from None
    if not isinstance(schema, dict):
        raise GuardConfigError(f"{path} holds no JSON schema: an object is needed", ("schema",))
    return schema
