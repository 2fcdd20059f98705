"""Room in budgets, and in limits of no other kind, for what is a part of a request that holds its own already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import msgspec

from gateway.admission.admission import Admission, Hold
from gateway.admission.limits import Limits
from gateway.admission.principals import Principal
from gateway.pipeline.call import Call
from gateway.routing.router import Candidate

_UNLIMITED = "\0"  # before a model's name: no configured name has it, so no limit is found by it


@asynccontextmanager
async def hold_budgets(
    admission: Admission, payer: Principal, call: Call, candidates: Sequence[Candidate], at: datetime
) -> AsyncIterator[Hold]:
    """Hold what `call` may cost at most in the budgets of `payer` and of its tags, until the block is left.

    Raises BudgetExceeded, StorageUnavailable.
    """
    bindings = tuple(msgspec.structs.replace(own, limits=Limits()) for own in payer.bindings if own.budgets)
    unlimited = replace(call, model=_UNLIMITED + call.model)
    renamed = [
        replace(candidate, model=replace(candidate.model, name=_UNLIMITED + candidate.model.name))
        for candidate in candidates
    ]
    async with admission.admit(msgspec.structs.replace(payer, bindings=bindings), unlimited, renamed, at) as hold:
        call.bind_output = unlimited.bind_output
        yield hold


def budgeted_tags(hold: Hold) -> dict[str, str]:
    """The tags whose budgets are held: names and values of the configuration, and so nobody's secret."""
    pairs = (need.binding.id.partition("=") for need in hold.needs if need.binding.kind == "tag")
    return {name: value for name, _, value in pairs}
