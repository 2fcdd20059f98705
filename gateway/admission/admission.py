"""What a request holds while it is under way: taken in one place on the way in, given back once on every way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from billing.usage import Usage
from gateway.admission.principals import Principal
from gateway.pipeline.call import Call


@dataclass(slots=True, eq=False)
class Hold:
    """One admitted request. `tokens` is what it may use at most, as far as the request itself tells."""

    principal: Principal
    tokens: int
    used: Usage | None = None

    def settle(self, usage: Usage) -> None:
        """What it really used. The first call counts."""
        if self.used is None:
            self.used = usage


class Admission:
    """Counts what is under way in this process. Where limits and budgets are reserved, once there are any."""

    def __init__(self) -> None:
        self._holds: set[Hold] = set()

    @property
    def in_flight(self) -> int:
        return len(self._holds)

    @asynccontextmanager
    async def admit(self, principal: Principal, call: Call) -> AsyncIterator[Hold]:
        hold = Hold(principal, call.input_estimate + (call.max_output_tokens or 0))
        self._holds.add(hold)
        try:
            yield hold
        finally:
            self._holds.discard(hold)
