"""One line of the bill, as the journal keeps it and as SQL gets it. No I/O.

Whatever an entry holds can be stored in both databases: texts are cleaned when it is made, amounts and counts
are checked. So a caller's odd model name can never stop the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from billing.money import to_pico
from billing.prices import Price
from billing.tables import TEXT_LENGTH
from billing.usage import Usage

_TEXTS = (
    "request_id",
    "key_id",
    "key_name",
    "team",
    "user",
    "key_user",
    "model",
    "requested_model",
    "target",
    "served_model",
    "endpoint",
)
_texts: Callable[[UsageEntry], tuple[str | None, ...]] = attrgetter(*_TEXTS)
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL takes no NUL; UTF-8 has no lone surrogates


class EntryError(ValueError):
    """A record that is no bill, or bytes that are no record."""


class UsageEntry(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What one request used and cost; the fields of `billing.tables.usage_records`.

    `id` is ours and unique (1 to 32 characters); writing an id twice makes one row. `at` is aware.
    `duration_ms` and `first_token_ms` are milliseconds. Texts longer than `TEXT_LENGTH` are cut, and
    characters that no database takes become U+FFFD.
    Raises EntryError for a bad `id` or a naive `at`, MoneyError for a cost that one row cannot hold.
    """

    id: str
    request_id: str
    at: datetime
    key_id: str
    key_name: str
    endpoint: str
    status: int
    outcome: str
    usage: Usage
    cost: Decimal
    team: str | None = None
    user: str | None = None
    key_user: str | None = None
    model: str | None = None
    requested_model: str = ""
    target: str | None = None
    served_model: str | None = None
    stream: bool = False
    price: Price | None = None
    tags: dict[str, str] = {}
    duration_ms: float = 0.0
    first_token_ms: float | None = None
    attempts: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= 32:
            raise EntryError("an id has 1 to 32 characters")
        if self.at.tzinfo is None:
            raise EntryError("`at` must be an aware datetime")
        self.__dict__["cost_pico"] = to_pico(self.cost)
        together = "".join(filter(None, _texts(self)))
        if len(together) > TEXT_LENGTH or not together.isprintable():  # else each of them is well
            for field in _TEXTS:
                text = getattr(self, field)
                if text is not None and not _is_clean(text):
                    force_setattr(self, field, _clean(text))
        if self.tags and not all(_is_clean(name) and _is_clean(value) for name, value in self.tags.items()):
            force_setattr(self, "tags", {_clean(name): _clean(value) for name, value in self.tags.items()})

    @property
    def cost_pico(self) -> int:
        """The cost in pico-dollars."""
        return int(self.__dict__["cost_pico"])

    def row(self) -> dict[str, Any]:
        """The values of `usage_records`, by column."""
        usage = self.usage
        return {
            "id": self.id,
            "request_id": self.request_id,
            "at": self.at,
            "key_id": self.key_id,
            "key_name": self.key_name,
            "team": self.team,
            "user": self.user,
            "key_user": self.key_user,
            "model": self.model,
            "requested_model": self.requested_model,
            "target": self.target,
            "served_model": self.served_model,
            "endpoint": self.endpoint,
            "stream": self.stream,
            "status": self.status,
            "outcome": self.outcome,
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_input_tokens": usage.audio_input_tokens,
            "audio_output_tokens": usage.audio_output_tokens,
            "images": usage.images,
            "requests": usage.requests,
            "compute_us": usage.compute_us,
            "estimated": usage.estimated,
            "cost_pico": self.__dict__["cost_pico"],
            "price": None if self.price is None else self.price.snapshot_json,
            "tags": self.tags,
            "duration_ms": self.duration_ms,
            "first_token_ms": self.first_token_ms,
            "attempts": self.attempts,
        }


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(UsageEntry)


def encode(entry: UsageEntry) -> bytes:
    """JSON in UTF-8, so that a journal can be read with plain tools."""
    return _encoder.encode(entry)


def decode(payload: bytes) -> UsageEntry:
    """The entry of `encode`. Fields it does not know are ignored. Raises EntryError."""
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise EntryError(f"a journal record is no usage entry: {error}") from error


def _is_clean(text: str) -> bool:
    # isprintable() is one pass in C and false for every surrogate and NUL.
    return len(text) <= TEXT_LENGTH and (text.isprintable() or not UNSTORABLE.search(text))


def _clean(text: str) -> str:
    return UNSTORABLE.sub("\ufffd", text[:TEXT_LENGTH])
