"""What keys, teams and users take alike in a request, and how a PATCH is merged into what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from billing.budgets import Budget, Window, check_distinct, zone
from billing.money import display
from gateway.admin.deps import AdminContext
from gateway.admin.pages import NO_CONTROLS
from gateway.admission.limits import MAX_LIMIT, Limits
from gateway.admission.principals import matches
from gateway.errors import InvalidRequest
from gateway.storage.policies import Policy

T = TypeVar("T", bound=BaseModel)

_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)


def _dollars(value: object) -> Decimal:
    if isinstance(value, float):
        raise ValueError('write the amount as a string, like "5.00": a number with a fraction is not exact')
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal) or not _USD.fullmatch(str(value)):
        raise ValueError('must be US dollars as a string, like "5.00", or a whole number')
    return Decimal(value)


def _zone_name(name: str) -> str:
    return zone(name).key


Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROLS)]
Names = Annotated[list[Label], Field(max_length=200)]
Tags = Annotated[dict[Label, Label], Field(max_length=32)]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)]
Dollars = Annotated[
    Decimal,
    BeforeValidator(_dollars),
    PlainSerializer(display, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{_USD.pattern}$"}, {"type": "integer", "minimum": 0}]}),
]
Zone = Annotated[str, Field(max_length=64), AfterValidator(_zone_name)]


class Body(BaseModel):
    """A part of a request. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class RatesBody(Body):
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = Field(default=None, description="Input and output together.")
    input_tokens_per_minute: Count | None = None
    output_tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None


class LimitsBody(RatesBody):
    models: dict[Label, RatesBody] = Field(default={}, max_length=200, description="For single models, by name.")


class LimitsPatch(RatesBody):
    models: dict[Label, RatesBody | None] | None = None


class BudgetBody(Body):
    limit_usd: Dollars = Field(examples=["5.00"])
    window: Window
    timezone: Zone = Field(default="UTC", examples=["Europe/Berlin"])


Budgets = Annotated[list[BudgetBody], Field(max_length=20)]


class PolicyBody(Body):
    models: Names | None = Field(
        default=None, description="Models that may be used: names, or patterns like `gpt-*`. All of them if left out."
    )
    guards: Names = Field(default=[], description="Guards beside the default ones.")
    tags: Tags = {}
    limits: LimitsBody | None = None
    budgets: Budgets | None = Field(default=None, description="Hard ceilings, one for each window.")

    def policy(self) -> Policy:
        """Raises InvalidRequest."""
        limits = {} if self.limits is None else self.limits.model_dump(exclude_none=True)
        return Policy(
            models=None if self.models is None else tuple(self.models),
            guards=tuple(self.guards),
            tags=self.tags,
            limits=msgspec.convert(limits, Limits),
            budgets=_budgets(self.budgets or []),
        )


class PolicyPatch(Body):
    """Given fields change, `null` clears, absent ones stay; so do the parts of `limits` and `tags` (RFC 7396)."""

    name: Label | None = None
    models: Names | None = None
    guards: Names | None = None
    tags: dict[Label, Label | None] | None = None
    limits: LimitsPatch | None = None
    budgets: Budgets | None = None


class PolicyAnswer(BaseModel):
    models: list[str] | None
    guards: list[str]
    tags: dict[str, str]
    limits: LimitsBody | None
    budgets: list[BudgetBody] | None


def _budgets(bodies: Iterable[BudgetBody]) -> tuple[Budget, ...]:
    try:
        budgets = tuple(Budget(limit=body.limit_usd, window=body.window, timezone=body.timezone) for body in bodies)
        check_distinct(budgets)
    except ValueError as error:
        raise InvalidRequest(f"'budgets': {error}.", param="budgets", code="invalid_value") from None
    return budgets


def check_known(asked: PolicyBody, given: Iterable[str], admin: AdminContext) -> None:
    """Whether the models and guards in the `given` fields are configured. Raises InvalidRequest."""
    given = set(given)
    models, guards = admin.model_names, admin.guard_names
    if "models" in given:
        for pattern in asked.models or []:
            if not any(matches(pattern, name) for name in models):
                raise _unknown("models", pattern, models)
    if "limits" in given and asked.limits is not None:
        for name in asked.limits.models:
            if name not in models:
                raise _unknown("limits.models", name, models)
    if "guards" in given:
        for name in asked.guards:
            if name not in guards:
                raise _unknown("guards", name, guards)


def _unknown(param: str, name: str, known: frozenset[str]) -> InvalidRequest:
    return InvalidRequest(
        f"'{param}' names {name!r}, which is not configured; known: {', '.join(sorted(known)) or 'none'}.",
        param=param,
        code="invalid_value",
    )


def patched(current: Mapping[str, Any], patch: BaseModel, model: type[T]) -> T:
    """`current` (JSON) with the patch merged into it, as a request again. Raises RequestValidationError."""
    changed = _merge(dict(current), patch.model_dump(mode="json", exclude_unset=True))
    try:
        return model.model_validate(changed)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def _merge(current: object, patch: object) -> object:
    """RFC 7396, JSON Merge Patch."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
