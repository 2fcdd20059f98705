"""One parsed request, free of its dialect: what every stage of the pipeline works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.texts import AnySlot
from gateway.tokens import MESSAGE_TOKENS, estimate

if TYPE_CHECKING:
    from gateway.cache.controls import Controls

MAX_TAGS = 32


class Operation(StrEnum):
    """What is asked of a model, whatever dialect it is asked in."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"


@dataclass(slots=True)
class Call:
    """A request that may spend.

    `body` is the request in OpenAI's shape of the operation, as the caller sent it (or its door translated it) but for
    what guards rewrite through `slots`. `input_estimate` and `max_output_tokens` are tokens; the latter is None when
    the caller set no limit. `source` is what the door keeps for writing the answer; nobody else reads it.
    """

    endpoint: str
    model: str
    stream: bool
    body: dict[str, Any]
    slots: list[AnySlot]
    input_estimate: int
    operation: Operation = Operation.CHAT
    source: Any = None
    difficulty: str | None = None  # the caller's own word for it, from the header
    cache: Controls | None = None  # what the caller wants of the cache, from the headers; None: whatever there is
    hints: frozenset[str] = (
        frozenset()
    )  # keys of messages and tools for providers that take them; no answer hangs on them
    opaque: str | None = None  # the field that holds token ids, which no guard can read
    token_ids: int = 0  # how many there are
    max_output_tokens: int | None = None  # over all choices
    choices: int = 1
    messages: int = 0
    surcharged: str | None = None  # the field that asks for what a price per token does not cover
    bind_output: bool = False  # what is held for this call rests on a cap that only we know: send it
    tenant: str = ""  # whose caches and placeholders these are; set once the caller is known
    include_usage: bool = False  # the caller asked for a usage chunk at the end of the stream
    tags: dict[str, str] = field(default_factory=dict)  # from the header

    @property
    def reply_schema(self) -> dict[str, Any] | None:
        """The JSON schema that the caller asks of the reply, if it asks for one."""
        asked = self.body.get("response_format")
        named = asked.get("json_schema") if isinstance(asked, dict) else None
        schema = named.get("schema") if isinstance(named, dict) else None
        return schema if isinstance(schema, dict) else None

    def attribution(self, own: dict[str, str]) -> tuple[str | None, dict[str, str]]:
        """The user and tags this call is booked to. Read after the input guards: what they hid stays hidden.

        A key's `own` tags win over the caller's, the header's over the body's metadata.
        """
        user = self.body.get("user")
        metadata = self.body.get("metadata") or {}
        tags = {name: str(value) for name, value in {**metadata, **self.tags, **own}.items()}
        return user or None, tags


def estimate_tokens(slots: list[AnySlot], messages: int = 0) -> int:
    """Tokens of some texts in so many chat messages, without a tokenizer: `gateway.tokens.estimate`."""
    return sum(estimate(slot.text) for slot in slots) + messages * MESSAGE_TOKENS
