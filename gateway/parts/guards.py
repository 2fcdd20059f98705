"""From the configuration to its guards."""

from __future__ import annotations

from gateway.config import Config, ConfigError
from guards.build import install
from guards.runner import GuardRunner, Installed
from guards.types import GuardConfigError


def build_guards(config: Config) -> GuardRunner:
    """The configured guards. Raises ConfigError with the line of each that cannot be built."""
    installed: list[Installed] = []
    faults = []
    for index, spec in enumerate(config.guard_specs()):
        try:
            installed.append(install(spec))
        except GuardConfigError as error:
            faults.append(config.fault(("guards", index), str(error)))
    if faults:
        raise ConfigError("configuration", faults)
    return GuardRunner(installed)
