"""From the configuration to its guards."""

from __future__ import annotations

from gateway.config import Config, ConfigError
from guards.build import install
from guards.resources import Resources
from guards.runner import GuardRunner, Installed
from guards.types import GuardConfigError


def build_guards(config: Config, resources: Resources | None = None) -> GuardRunner:
    """The configured guards. Raises ConfigError with the line of each that cannot be built."""
    shared = resources or Resources()
    installed: list[Installed] = []
    faults = []
    for index, spec in enumerate(config.guard_specs()):
        try:
            installed.append(install(spec, shared))
        except GuardConfigError as error:
            faults.append(config.fault(("guards", index, *error.at), str(error)))
    if faults:
        raise ConfigError("configuration", faults)
    return GuardRunner(installed)
