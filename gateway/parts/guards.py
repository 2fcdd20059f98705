"""From the configuration to its guards."""

from __future__ import annotations

import asyncio

from gateway.config import Config, ConfigError
from guards.build import install
from guards.resources import Resources
from guards.runner import GuardRunner, Installed
from guards.types import GuardConfigError


def build_guards(config: Config, resources: Resources) -> GuardRunner:
    """The configured guards, nothing loaded yet. Raises ConfigError with the line of each that cannot be built."""
    installed: list[Installed] = []
    faults = []
    for index, spec in enumerate(config.guard_specs()):
        try:
            installed.append(install(spec, resources))
        except GuardConfigError as error:
            faults.append(config.fault(("guards", index, *error.at), str(error)))
    if faults:
        raise ConfigError("configuration", faults)
    return GuardRunner(installed)


async def prepare_guards(config: Config, guards: GuardRunner) -> None:
    """Load and try every guard, side by side. Raises ConfigError with the line of each that cannot do its work."""
    ready = [entry.guard.prepare() for name in guards.names if (entry := guards.installed(name))]
    faults = []
    for index, outcome in enumerate(await asyncio.gather(*ready, return_exceptions=True)):
        if isinstance(outcome, GuardConfigError):
            faults.append(config.fault(("guards", index, *outcome.at), str(outcome)))
        elif isinstance(outcome, BaseException):
            raise outcome
    if faults:
        raise ConfigError("configuration", faults)


async def try_guards(config: Config) -> None:
    """Build and try every guard, and let go of it again. Raises ConfigError."""
    resources = Resources()
    try:
        guards = build_guards(config, resources)
        try:
            await prepare_guards(config, guards)
        finally:
            await guards.close()
    finally:
        await resources.close()
