"""Which model is tried next, by how the one before it failed. Knows nothing of attempts.

A model that failed in one way hands over to the models it names for that way, in their order, and each of those to its
own, depth first; what is left of an earlier list comes after. No model is tried twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import ContentFiltered, ContextTooLong, GateError
from gateway.pipeline.call import Call
from gateway.routing.router import Candidate, Model, Reason

# An estimate takes digits, signs and foreign letters for more tokens than most tokenizers make of them: only what is
# this many times too long is surely too long.
SURELY = 4


def reason_of(error: GateError) -> Reason | None:
    """What kind of fallback may do better with a request that was refused so; None if none may."""
    if isinstance(error, ContextTooLong):
        return Reason.CONTEXT_WINDOW
    if isinstance(error, ContentFiltered):
        return Reason.CONTENT_FILTER
    return None


class Chain:
    """The models of one request, each with its candidates in their order."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._groups: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            self._groups.setdefault(candidate.model.name, []).append(candidate)
        self._waiting = list(self._groups)[:1]  # the next to try is the last of the list
        self._seen: set[str] = set()

    def next(self) -> list[Candidate] | None:
        """The candidates of the next model; None when no model is left."""
        while self._waiting:
            name = self._waiting.pop()
            if name in self._groups and name not in self._seen:
                self._seen.add(name)
                return self._groups[name]
        return None

    def failed(self, model: Model, reason: Reason) -> None:
        """`model` failed in that way: its fallbacks for it come next."""
        self._waiting.extend(reversed(model.fallbacks_for(reason)))

    def has_fallback(self, model: Model, reason: Reason) -> bool:
        """Whether a model that failed in that way has anyone to hand over to that has not been tried."""
        names = model.fallbacks_for(reason)
        return bool(names) and any(name in self._groups and name not in self._seen for name in names)


def surely_too_long(call: Call, candidate: Candidate) -> bool:
    """Whether the prompt cannot fit the target's context, whatever its tokenizer makes of it."""
    context = candidate.target.context
    return context is not None and call.input_estimate > context * SURELY
