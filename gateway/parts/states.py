"""From the configuration to what is known of the targets and what watches them: breakers, shared or not, and probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.admission.stores.address import StoreConfigError
from gateway.config import Config, schema
from gateway.routing.breaker import Breaker, BreakerRules
from gateway.routing.probes import HealthProbes, Probe
from gateway.routing.sharing import BreakerSharing
from gateway.routing.state import TargetState
from gateway.routing.valkey_breakers import ValkeyBreakers
from gateway.startup import StartupError

MEMORY = "memory://"
UPSTREAM = (
    "engine",
    "provider",
    "model",
    "base_url",
    "api_key",
    "proxy",
    "ca_file",
    "options",
)  # the fields that say who answers


@dataclass(frozen=True, slots=True)
class Standing:
    """A configured target, and what the process knows of it."""

    target: schema.Target
    state: TargetState


def standings(config: Config, before: Mapping[str, Standing]) -> dict[str, Standing]:
    """Every target by its name. One that was there `before`, with the same upstream and breaker, keeps its state."""
    found: dict[str, Standing] = {}
    for model in config.models:
        for target in model.targets:
            known = before.get(target.name)
            if known is not None and _same(known.target, target):
                state = known.state
            else:
                state = TargetState(_breaker(target))
            found[target.name] = Standing(target, state)
    return found


async def watch_targets(config: Config, known: Mapping[str, Standing]) -> AsyncExitStack:
    """Begin to probe targets and to share their breakers; it ends when the stack is closed. Raises StartupError.

    For the same states it must have ended before it begins anew.
    """
    async with AsyncExitStack() as stack:
        breakers = {name: one.state.breaker for name, one in known.items() if one.state.breaker is not None}
        url = config.shared_state.url.get_secret_value()
        if breakers and not url.startswith(MEMORY):
            try:
                sharing = BreakerSharing(breakers, ValkeyBreakers(url))
            except StoreConfigError as error:
                raise StartupError(str(error)) from None
            await sharing.start()
            stack.push_async_callback(sharing.close)
        for one in known.values():
            if one.target.health is None:
                one.state.healthy = None
        probes = list(_probes(known))
        if probes:
            health = HealthProbes(probes)
            await health.start()
            stack.push_async_callback(health.close)
        return stack.pop_all()


def _same(one: schema.Target, other: schema.Target) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in (*UPSTREAM, "breaker"))


def _breaker(target: schema.Target) -> Breaker | None:
    rules = target.breaker
    return None if rules is None else Breaker(BreakerRules(rules.failures, rules.window, rules.cooldown))


def _probes(known: Mapping[str, Standing]) -> Iterator[Probe]:
    for name, standing in known.items():
        target = standing.target
        if target.health is None or target.base_url is None:
            continue
        health, key = target.health, target.api_key
        yield Probe(
            target=name,
            state=standing.state,
            url=target.base_url.get_secret_value().rstrip("/") + health.path,
            headers={"authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            interval=health.interval,
            timeout=health.timeout,
        )
