"""One parsed request, free of its dialect: what every stage of the pipeline works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.texts import Slot

MAX_TAGS = 32


@dataclass(slots=True)
class Call:
    """A request that may spend.

    `body` is the request in OpenAI's chat shape, as the caller sent it but for what guards rewrite through `slots`.
    `input_estimate` and `max_output_tokens` are tokens; the latter is None when the caller set no limit.
    """

    endpoint: str
    model: str
    stream: bool
    body: dict[str, Any]
    slots: list[Slot]
    input_estimate: int
    max_output_tokens: int | None = None
    tenant: str = ""  # whose caches and placeholders these are; set once the caller is known
    include_usage: bool = False  # the caller asked for a usage chunk at the end of the stream
    tags: dict[str, str] = field(default_factory=dict)  # from the header

    def attribution(self, own: dict[str, str]) -> tuple[str | None, dict[str, str]]:
        """The user and tags this call is booked to. Read after the input guards: what they hid stays hidden.

        A key's `own` tags win over the caller's, the header's over the body's metadata.
        """
        user = self.body.get("user")
        metadata = self.body.get("metadata") or {}
        tags = {name: str(value) for name, value in {**metadata, **self.tags, **own}.items()}
        return user or None, tags


def estimate_tokens(slots: list[Slot]) -> int:
    """Tokens of some texts without a tokenizer: a token is about four bytes of UTF-8, and no text is free."""
    return sum(len(slot.text.encode("utf-8", "replace")) // 4 + 1 for slot in slots)
