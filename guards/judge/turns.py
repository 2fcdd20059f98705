"""Which texts of a conversation are put before a judge together.

A sentence may be spread over the parts of a message, and over messages in a row, so what a person said between two
answers is one text. An answer of the model is one by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from guards.types import Scope, TextSlot


def in_turns(slots: Iterable[TextSlot], scopes: Set[Scope]) -> list[list[TextSlot]]:
    """The slots of `scopes`, in order, in groups that an answer of the model lies between. No group is empty."""
    turns: list[list[TextSlot]] = [[]]
    for slot in slots:
        if slot.scope is Scope.ASSISTANT:
            turns += [[slot], []] if slot.scope in scopes else [[]]
        elif slot.scope in scopes:
            turns[-1].append(slot)
    return [turn for turn in turns if any(slot.text.strip() for slot in turn)]


def text_of(turn: Sequence[TextSlot]) -> str:
    return "\n\n".join(slot.text for slot in turn)
