"""A price list in litellm's format: the file that the litellm package carries, or an operator's own.

The package is never imported, only its file is read, when something is first looked for. An entry counts only if all it
charges for an ordinary request can be written as a `Price`; otherwise it has a reason in place of a price, because half
a price is worse than none. What is charged only if a caller asks for it (batches, other service tiers, web search,
caching for an hour) is no part of an ordinary request.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from billing.prices import MAX_DECIMALS, Price, PriceError

PACKAGE = "litellm"
FILE = "model_prices_and_context_window_backup.json"
EXAMPLE = "sample_spec"
MAX_ALIASES = 5
NO_PRICE = "the list has no price for it"

_MILLION = Decimal(1_000_000)
_FINEST = Decimal(1).scaleb(-MAX_DECIMALS)
_PARTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "input_cost_per_token_cache_hit": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
_TEXT_MODES = ("chat", "completion", "responses")
_IMAGE_MODES = ("image_generation", "image_edit")
# Tokens that are counted among those of another kind: no trouble where they cost the same.
_AMONG = {
    "input_cost_per_image_token": "input",
    "input_cost_per_video_token": "input",
    "output_cost_per_image_token": "output",
    "output_cost_per_video_token": "output",
    "cache_read_input_image_token_cost": "cached_input",
    "cache_creation_input_audio_token_cost": "cache_write",
}
# Charged only for what an ordinary request does not ask for, or the same price in another currency.
_ON_REQUEST = re.compile(
    r".*_(batches|flex|priority|ultrafast|balanced|decisions)"  # other queues and endpoints
    r"|cache_creation_input_token_cost_above_\d+hr.*"
    r"|cache_read_input_audio_token_cost.*"  # `Usage` counts a cached audio token as audio, which costs more
    r"|explicit_cache_read_input_token_cost"
    r"|.*_multiplier(_eu|_us)?"  # regions and certified hosts
    r"|search_context_cost_per_query|google_maps_grounding_cost_per_query|computer_use_.*_cost_per_1k_tokens"
    r"|code_interpreter_cost_per_session|file_search_cost_.*|vector_store_cost_.*"
    r"|(in|out)put_dbu_cost_per_token"
)
_TIER = re.compile(r"(\w+)_above_(\d+)k_tokens")
_MONEY = re.compile("cost|pric|multiplier")
_SEARCHES = re.compile(r"sonar|search-preview|search-api")  # they search for every request, and that is charged


class PriceListError(Exception):
    """A file that is no price list; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What the list says of a model. `reason` tells why `price` is None. Tokens are None where the list is silent."""

    name: str  # as the list has it
    price: Price | None
    reason: str | None
    mode: str | None
    max_input_tokens: int | None
    max_output_tokens: int | None


class BundledList:
    """The list at `path`, or without one the list that litellm carries, or nothing where that is not installed."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path if path is not None else _installed()

    @property
    def message(self) -> str:
        """Where the prices are from, for an operator."""
        if self.path is None:
            return "no price list: install 'sluicegate[providers]', or run `sluicegate prices update FILE`"
        return f"the price list {self.path}"

    def find(self, provider: str, model: str) -> ModelFacts | None:
        """What the list says of a provider's model, under "provider/model" or "model"; None if it does not have it.

        A model under its bare name counts only if the list gives it to this provider: another one's price is not this
        one's. Raises PriceListError if the file cannot be read.
        """
        prefixed = f"{provider}/{model}"
        if prefixed in self._entries:
            return self._facts(prefixed)
        if model in self._entries:
            owner = self._entry(model)[1].get("litellm_provider", provider)
            return self._facts(model) if _is_of(owner, provider) else None
        return None

    def every(self) -> Iterator[ModelFacts]:
        """All models of the list. Raises PriceListError, also for a single bad entry."""
        for name in self._entries:
            facts = self._facts(name)
            if name != EXAMPLE and (facts.mode is not None or facts.price is not None):  # else it is a note
                yield facts

    @cached_property
    def _entries(self) -> dict[str, msgspec.Raw]:
        # Each entry stays as bytes until it is asked for: a gate uses a handful of some thousand.
        if self.path is None:
            return {}
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, msgspec.Raw])
        except OSError as error:
            raise PriceListError(f"{self.path}: {error.strerror or error}") from None
        except msgspec.MsgspecError as error:
            raise PriceListError(f"{self.path} is no JSON object of models: {error}") from None

    def _entry(self, name: str) -> tuple[str, dict[str, Any]]:
        """The entry and its own name, where `name` is an alias the one it stands for."""
        for _ in range(MAX_ALIASES):
            try:
                # Numbers as they are written: 7.5e-08 is exact as a decimal, and not as a float.
                fields = json.loads(bytes(self._entries[name]), parse_float=Decimal, parse_int=Decimal)
            except ValueError as error:
                raise PriceListError(f"{self.path}: {name}: {error}") from None
            if not isinstance(fields, dict):
                raise PriceListError(f"{self.path}: {name} is no object")
            alias = fields.get("alias_of")
            if not isinstance(alias, str) or alias not in self._entries:
                return name, fields
            name = alias
        raise PriceListError(f"{self.path}: {name} is an alias of an alias of an alias")

    def _facts(self, asked: str) -> ModelFacts:
        name, fields = self._entry(asked)
        price, reason = None, None
        try:
            price = _Reading(name, fields).price()
        except PriceError as error:
            reason = str(error)
        mode = fields.get("mode")
        return ModelFacts(
            name=name,
            price=price,
            reason=reason,
            mode=mode if isinstance(mode, str) else None,
            max_input_tokens=_tokens(fields.get("max_input_tokens")),
            max_output_tokens=_tokens(fields.get("max_output_tokens")),
        )


def _installed() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)  # of a top-level package: finds it without running it
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (path := Path(place) / FILE).is_file():
            return path
    return None


def _is_of(owner: object, provider: str) -> bool:
    """Whether the list's provider is the one asked for: it splits some by interface ("vertex_ai-language-models")."""
    if not isinstance(owner, str):
        return False
    alike = (provider, f"{provider}_chat", f"{provider}_converse", f"text-completion-{provider}")
    return owner in alike or owner.startswith(f"{provider}-")


class _Reading:
    """The price in one entry, put together field by field. Every method raises PriceError for what has no place."""

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self._name = name
        self._fields = fields
        self._mode = fields.get("mode")
        self._base: dict[str, Decimal] = {}
        self._tiers: dict[int, dict[str, Decimal]] = {}
        self._others: dict[str, Decimal] = {}

    def price(self) -> Price:
        if "off_peak_pricing" in self._fields:
            raise PriceError("it depends on the time of day")
        if "search_context_cost_per_query" in self._fields and _SEARCHES.search(self._name):
            raise PriceError("it charges for the search that each request makes")
        for field, value in self._fields.items():
            if value is not None and _MONEY.search(field) and not _ON_REQUEST.fullmatch(field):
                self._take(field, value)
        if (ranges := self._fields.get("tiered_pricing")) is not None:
            self._take_ranges(ranges)
        self._check()
        tiers = [{"above": above, **parts} for above, parts in self._tiers.items()]
        return Price.parse({**self._base, **self._others, "tiers": tiers})

    def _take(self, field: str, value: object) -> None:
        tier = _TIER.fullmatch(field)
        if field in _PARTS:
            self._base[_PARTS[field]] = _per_million(field, value)
        elif tier is not None and tier[1] in _PARTS:
            self._tiers.setdefault(int(tier[2]) * 1000, {})[_PARTS[tier[1]]] = _per_million(field, value)
        elif field == "input_cost_per_request":
            self._others["per_request"] = _amount(field, value)
        elif field == "output_cost_per_image" and self._mode in _IMAGE_MODES:
            self._others["per_image"] = _amount(field, value)
        elif field not in _AMONG and field != "tiered_pricing" and value not in (0, {}, []):
            raise PriceError("a price has no such part", field=field)

    def _take_ranges(self, ranges: object) -> None:
        """Read the other way to write tiers: a whole set of prices for each range of input tokens."""
        if not isinstance(ranges, list) or not ranges:
            raise PriceError("is no list of ranges", field="tiered_pricing")
        end = Decimal(0)
        for fields in ranges:
            limits = fields.get("range") if isinstance(fields, dict) else None
            if not isinstance(limits, list) or len(limits) != 2 or limits[0] != end or not _is_whole(limits[1]):
                raise PriceError("its ranges do not follow one another", field="tiered_pricing")
            parts = self._base if end == 0 else self._tiers.setdefault(int(end), {})
            for field, value in fields.items():
                if field in _PARTS:
                    parts[_PARTS[field]] = _per_million(field, value)
                elif field != "range":
                    raise PriceError("a price has no such part", field=f"tiered_pricing.{field}")
            end = limits[1]
        # A range stands for itself: a kind of token it does not name costs what the others do, not what it cost below.
        for parts in self._tiers.values():
            for part in self._base.keys() - parts.keys():
                parts[part] = parts["output" if part in ("reasoning", "audio_output") else "input"]

    def _check(self) -> None:
        base = self._base
        for field, part in _AMONG.items():
            if (value := self._fields.get(field)) and _per_million(field, value) != base.get(part, base.get("input")):
                raise PriceError("tokens of that kind are not counted apart", field=field)
        if base:
            if "input" not in base:
                raise PriceError("has no price per input token")
            if not base.setdefault("output", Decimal(0)) and base["input"] and self._mode in _TEXT_MODES:
                raise PriceError("has no price per output token")
        amounts = [
            *base.values(),
            *self._others.values(),
            *(v for parts in self._tiers.values() for v in parts.values()),
        ]
        if not amounts:
            raise PriceError(NO_PRICE)
        if not any(amounts) and self._mode != "moderation":  # OpenAI's is free
            raise PriceError("has only zeros, which the list also writes for what it does not know")


def _per_million(field: str, value: object) -> Decimal:
    return _amount(field, value, _MILLION)


def _amount(field: str, value: object, times: Decimal = Decimal(1)) -> Decimal:
    """A number of the file. The list is made by programs that compute in floats: 9.499999999999999e-07 means 0.95."""
    if not isinstance(value, Decimal) or not value.is_finite() or abs(value) > _MILLION:
        raise PriceError("is no amount of money", field=field)
    return (value * times).quantize(_FINEST)


def _is_whole(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and 0 < value < 10**9 and value == int(value)


def _tokens(value: object) -> int | None:
    return int(value) if isinstance(value, Decimal) and _is_whole(value) else None
