"""What the suite must be told of a gateway: its model names, headers, keys, and what it cannot do.

A profile is a TOML file. In its texts `${UPSTREAM}` and `${REFUSED}` become base URLs: the scripted upstream's, and one
of a port where nobody listens.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROFILES = Path(__file__).parent / "profiles"

ABILITIES: Mapping[str, str] = {
    "fallback": "a model with a second target, for when the first fails",
    "refused": "a model whose target cannot be connected to",
    "refused-fallback": "a model whose first target cannot be connected to, and that has a second",
    "breaker": "a model whose one target is left alone for about two seconds after 3 failures",
    "first-token-limit": "a limit on the wait for an answer's beginning, set to at most 3 s",
    "idle-limit": "a limit on the silence within a stream, set to at most 3 s",
    "max-body": "a limit on the size of a request, set to at most 10 MiB",
    "auth": "a key of its own, without which nobody is served",
    "keys": "more than one such key",
    "models": "models of its own, which it lists",
    "completions": "POST /v1/completions",
    "embeddings": "POST /v1/embeddings",
    "responses": "POST /v1/responses",
    "messages": "POST /v1/messages, Anthropic's shape",
    "usage": "what a key has used, over HTTP",
    "budget": "a key with a ceiling of 0.01 USD",
    "requests-limit": "a key with 2 requests a minute, one at a time",
    "tokens-limit": "a key with 100 tokens a minute",
    "concurrency": "a key with one request at a time",
    "pii": "a caller whose e-mail addresses and card numbers are masked on the way in, and such values on the way out",
    "restore": "a caller's masked values are put back into the reply",
    "pii-block": "a caller whose requests and replies are blocked if they hold such a value",
}


class ProfileError(Exception):
    """A profile that cannot be used; the message is for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Model:
    """How a request names a model: by "model", and for some gateways by headers."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keys:
    """How a key is made: POST a body, read the key and its id from the answer. `bodies` are by ability."""

    path: str
    secret: str
    id: str
    bodies: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Extras:
    """What a request carries to have an ability, where a gateway is not told by the key."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageRoute:
    """Where a key's usage is told: a list of rows, and what its fields are called."""

    path: str
    rows: str
    key: str
    requests: str
    input_tokens: str
    output_tokens: str
    cost: str


@dataclass(frozen=True, slots=True)
class Profile:
    """`models` are by role: plain, fallback, refused, refused-fallback, breaker; `cannot` and `callers` by ability."""

    title: str
    models: Mapping[str, Model]
    headers: Mapping[str, str]
    can: frozenset[str]
    cannot: Mapping[str, str]
    keys: Keys | None
    callers: Mapping[str, Extras]
    usage: UsageRoute | None

    def missing(self, needs: frozenset[str]) -> str | None:
        """Why a case with these needs cannot be put to the gateway; None if it can."""
        for ability in sorted(needs - self.can):
            return self.cannot.get(ability, f"the profile names no {ability}")
        return None


def load_profile(name: str, values: Mapping[str, str]) -> Profile:
    """A profile by its name in `PROFILES`, or by its path. Raises ProfileError."""
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    try:
        data = _filled(tomllib.loads(path.read_text()), values)
        models = {
            role: Model(told) if isinstance(told, str) else Model(**told) for role, told in data["models"].items()
        }
        profile = Profile(
            title=data["title"],
            models=models,
            headers=data.get("headers", {}),
            can=frozenset(data.get("can", ())),
            cannot=data.get("cannot", {}),
            keys=Keys(**data["keys"]) if "keys" in data else None,
            callers={ability: Extras(**extras) for ability, extras in data.get("callers", {}).items()},
            usage=UsageRoute(**data["usage"]) if "usage" in data else None,
        )
    except OSError as error:
        raise ProfileError(f"the profile {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ProfileError(f"the profile {path} is not right: {error}") from None
    unknown = (profile.can | set(profile.cannot)) - set(ABILITIES)
    if unknown:
        raise ProfileError(f"the profile {path} names abilities that no case knows: {', '.join(sorted(unknown))}")
    return profile


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"${{{name}}}", text)
    return value
