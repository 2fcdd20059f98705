"""What a key, a user, a team or a model may use at most: rates, concurrency, budgets. Data only."""

from __future__ import annotations

from typing import Annotated

import msgspec

from billing.budgets import Budget

MAX_LIMIT = 10**12
Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits of one scope. A minute is any 60 seconds, not a minute of the clock. None: no limit."""

    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None  # input and output together
    input_tokens_per_minute: Positive | None = None
    output_tokens_per_minute: Positive | None = None
    concurrent_requests: Positive | None = None


class Limits(Rates, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits over all models, and for single ones beside them (by the model's configured name)."""

    models: dict[str, Rates] = {}


class Binding(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What binds everything one key, user, team, model or tag does. `kind` is one of those words.

    What `claims` works out of one is kept in its `__dict__`, and is no part of it.
    """

    kind: str
    id: str
    limits: Limits = Limits()
    budgets: tuple[Budget, ...] = ()
