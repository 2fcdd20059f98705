"""What is known of each configured target beside its address: its price, how much it may say, its tokenizer.

From the configuration where it tells, else from the price list. The list is read once, when a target first needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from billing.bundled import BundledList, ModelFacts
from billing.pricebook import PriceBook
from billing.prices import Price
from gateway.config import Config, schema
from gateway.config.providers import NATIVE
from gateway.tokens import ENCODINGS, Count, encoding, openai_encoding, tokenizer_file
from gateway.upstreams.base import ASSUMED_CAP, CapSource, OutputCap

PRICES_FILE = "prices.json"  # in the state directory: what `sluicegate prices update` puts there


class Catalogue:
    """`contexts`: how many tokens each local model can hold, by its name."""

    def __init__(self, config: Config, contexts: Mapping[str, int]) -> None:
        self._config = config
        self._contexts = contexts
        self._facts: dict[str, ModelFacts | None] = {}

    def price_book(self) -> PriceBook:
        """The configured prices and the list's, before any override."""
        configured: dict[str, Price] = {}
        models_of: dict[str, list[str]] = {}
        for model in self._config.models:
            for target in model.targets:
                models_of.setdefault(target.name, []).append(model.name)
                if target.price is not None:
                    configured[target.name] = target.price.to_price()
                elif target.engine is not None:
                    configured[target.name] = Price.free()  # our own: nobody sends a bill for it
        facts = {
            target.name: self.facts(target)
            for model in self._config.models
            for target in model.targets
            if target.name not in configured
        }
        return PriceBook(configured, {name: tuple(models) for name, models in models_of.items()}, facts, [])

    def facts(self, target: schema.Target) -> ModelFacts | None:
        """What the price list says of a target; None for what it does not know.

        An address of one's own says nothing of what stands behind it, whatever the model there is called.
        """
        if target.provider is None or target.model is None or _elsewhere(target):
            return None
        if target.name not in self._facts:
            self._facts[target.name] = self._find(target.provider, target.model, target.options.region)
        return self._facts[target.name]

    def _find(self, provider: str, model: str, region: str | None) -> ModelFacts | None:
        """A region's own price before the provider's: some cost more in some places."""
        regional = self._list.find(f"{provider}/{region}", model) if region else None
        return regional or self._list.find(provider, model)

    def output_cap(self, target: schema.Target) -> OutputCap:
        if target.max_output_tokens is not None:
            return OutputCap(target.max_output_tokens, CapSource.CONFIGURED)
        if target.engine is not None:
            return OutputCap(self._contexts[target.engine], CapSource.KNOWN)
        facts = self.facts(target)
        if facts is None or facts.max_output_tokens is None:
            return ASSUMED_CAP
        return OutputCap(facts.max_output_tokens, CapSource.KNOWN)

    def context(self, target: schema.Target) -> int | None:
        """How many tokens the target can hold; None where nothing says."""
        if target.engine is not None:
            return self._contexts[target.engine]
        facts = self.facts(target)
        return None if facts is None else facts.max_input_tokens

    def tokenizer(self, target: schema.Target) -> Callable[[], Count] | None:
        """A loader of the target's tokenizer; None where only its bytes can be counted."""
        name = target.tokenizer or openai_encoding(target.model or "")
        if name is None:
            return None
        return encoding(name) if name in ENCODINGS else tokenizer_file(Path(name))

    @cached_property
    def _list(self) -> BundledList:
        chosen = self._config.prices.file
        updated = self._config.server.state_dir / PRICES_FILE
        if chosen is None and updated.is_file():
            chosen = updated
        return BundledList(chosen)


def _elsewhere(target: schema.Target) -> bool:
    """Whether a target stands at another address than its provider's own."""
    if target.provider == NATIVE:
        return target.base_url is None or target.base_url.get_secret_value() != schema.OPENAI_BASE_URL
    return target.base_url is not None
