"""Taking over a changed configuration file while the gate serves. All of it or nothing: a bad file changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import Config, ConfigError, Fault
from gateway.config.changes import differences, restart_faults
from gateway.parts.guards import build_guards
from gateway.parts.line import Base, Line, Lines, open_line
from gateway.startup import StartupError
from gateway.storage.audit import Actor, Change, write_audit
from gateway.telemetry import logs
from guards.runner import GuardRunner

log = structlog.get_logger(__name__)

STORAGE_SECONDS = 8.0  # longer than SQLite waits for another writer
SIGNAL = Actor(id="signal", name="SIGHUP")


class Reloader:
    """`read` gives the configuration anew. `applied` is called after a change that nobody else was told of."""

    def __init__(
        self, read: Callable[[], Config], base: Base, lines: Lines, database: AsyncEngine, applied: Callable[[], None]
    ) -> None:
        self._read = read
        self._base = base
        self._lines = lines
        self._database = database
        self._applied = applied
        self._one = asyncio.Lock()

    async def reload(self, actor: Actor | None) -> list[str]:
        """Put the file in force, and say what differs from what was; the audit log names the `actor`.

        None: this process follows another that has written it there already. Raises ConfigError with every fault, and
        what the database's driver raises; then all is as it was.
        """
        async with self._one:
            try:
                changed = await self._reload(actor)
            except ConfigError as error:
                log.error("the configuration is refused; the one before keeps serving", faults=error.lines())
                raise
        log.info("the configuration is loaded anew", changed=changed)
        if actor is not None:
            self._applied()
        return changed

    async def try_reload(self, actor: Actor | None) -> None:
        """The same where nobody waits for the outcome: it is in the log."""
        try:
            await self.reload(actor)
        except ConfigError:
            return
        except Exception as error:
            log.error("the configuration cannot be loaded anew; the one before keeps serving", error=repr(error))

    async def _reload(self, actor: Actor | None) -> list[str]:
        old = self._lines.current
        config = await asyncio.to_thread(self._read)
        found = differences(old.config, config)
        faults = restart_faults(config, found)
        try:
            guards = await asyncio.to_thread(build_guards, config, self._base.guard_resources)
        except ConfigError as error:
            raise ConfigError(error.source, [*faults, *error.faults]) from None
        if faults:
            raise ConfigError("configuration", faults)
        line = await self._open(config, guards, old)
        changed = [difference.label for difference in found]
        try:
            if actor is not None and changed:
                await self._audit(actor, changed)
            await self._lines.put(line)
        except BaseException:
            await line.close()
            raise
        if config.telemetry.log_level != old.config.telemetry.log_level:
            logs.configure(config.telemetry.log_level)
        return changed

    async def _open(self, config: Config, guards: GuardRunner, old: Line) -> Line:
        try:
            return await open_line(config, guards, self._base, old)
        except StartupError as error:
            raise ConfigError("configuration", [Fault(None, None, "", str(error))]) from None

    async def _audit(self, actor: Actor, changed: list[str]) -> None:
        change = Change("config.reload", "config", None, {"changed": changed})
        async with asyncio.timeout(STORAGE_SECONDS), self._database.begin() as connection:
            await write_audit(connection, actor, change, datetime.now(UTC))
