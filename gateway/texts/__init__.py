"""The one text layer: every text of a request, a reply and a stream, as slots that guards read and rewrite.

Doors translate their dialect to OpenAI's shape, so there is one shape to look through. Guards see slots, never a
dialect.
"""

from __future__ import annotations

from gateway.texts.reply import (
    OTHER,
    TextId,
    chunk_slots,
    delta_of,
    holds_json,
    reply_slots,
    reply_texts,
    without_texts,
)
from gateway.texts.request import CONTROL_KEYS, MAX_SLOTS, request_slots
from gateway.texts.slots import AnySlot, JsonSlot, Slot, write_back

__all__ = [
    "CONTROL_KEYS",
    "MAX_SLOTS",
    "OTHER",
    "AnySlot",
    "JsonSlot",
    "Slot",
    "TextId",
    "chunk_slots",
    "delta_of",
    "holds_json",
    "reply_slots",
    "reply_texts",
    "request_slots",
    "without_texts",
    "write_back",
]
