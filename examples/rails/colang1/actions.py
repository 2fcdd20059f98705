"""Actions of these rails. They run in a thread of the rails' own; a text is never logged by them."""

from __future__ import annotations

import re

from nemoguardrails.actions import action

RIVALS = re.compile(r"\b(acme|globex|initech)\b", re.IGNORECASE)
SIGNATURE = re.compile(r"\n-- \n.*\Z", re.DOTALL)


@action(name="names_a_rival")
async def names_a_rival(text: str) -> bool:
    return RIVALS.search(text) is not None


@action(name="without_signature")
async def without_signature(text: str) -> str:
    """The text without the signature that mail programs put below it."""
    return SIGNATURE.sub("", text)
