"""The state of the configuration behind a model, as a short word: another state, another key.

It takes in too much rather than too little. A changed time limit makes a model's entries unreachable too; it costs
one answer each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from gateway.config import Config

__all__ = ["revisions"]


def revisions(config: Config) -> dict[str, str]:
    """For each configured model a digest of it, of every model and engine it names, and of all guards.

    Credentials are in the digest: another account may have another model under the same name.
    """
    guards = _plain([guard.model_dump() for guard in config.guards])
    models = {model.name: _plain(model.model_dump()) for model in config.models}
    engines = {name: _plain(engine.model_dump()) for name, engine in config.engine.models.items()}
    found = {}
    for name in models:
        named = _reached(name, models)
        words = {word for reached in named for word in _words(models[reached])}
        parts = [guards, {n: models[n] for n in named}, {n: engines[n] for n in engines if n in words}]
        found[name] = hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    return found


def _reached(name: str, models: Mapping[str, Any]) -> set[str]:
    """This model and all that may answer for it. Any word in a model that is a model's name counts as naming it."""
    reached, open_ends = {name}, [name]
    while open_ends:
        for word in _words(models[open_ends.pop()]):
            if word in models and word not in reached:
                reached.add(word)
                open_ends.append(word)
    return reached


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _words(item)


def _plain(value: Any) -> Any:
    """JSON-able, secrets and all."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Decimal | Path) else value
