"""The one text layer: every text of a request, a reply and a stream, as slots that guards read and rewrite.

Doors translate their dialect to OpenAI's shape, so there is one shape to look through. Guards see slots, never a
dialect.
"""

from __future__ import annotations

from gateway.texts.reply import TextId, chunk_slots, holds_json, reply_slots, reply_texts
from gateway.texts.request import CONTROL_KEYS, MAX_SLOTS, request_slots
from gateway.texts.slots import JsonSlot, Slot, write_back

__all__ = [
    "CONTROL_KEYS",
    "MAX_SLOTS",
    "JsonSlot",
    "Slot",
    "TextId",
    "chunk_slots",
    "holds_json",
    "reply_slots",
    "reply_texts",
    "request_slots",
    "write_back",
]
