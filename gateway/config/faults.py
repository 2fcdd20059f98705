"""What is wrong with a configuration file, all of it at once and each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.telemetry.scrub import scrub

Path = tuple[str | int, ...]  # ("models", 0, "name")


def format_path(path: Path) -> str:
    """`("models", 0, "name")` as `models[0].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to correct. `line` and `column` count from 1; None where the file as a whole is meant."""

    line: int | None
    column: int | None
    path: str
    message: str

    def describe(self, source: str) -> str:
        """`source:12: models[0].name: message`, safe to print: no secrets, nothing a terminal cannot take."""
        place = source if self.line is None else f"{source}:{self.line}"
        text = ": ".join(part for part in (place, self.path, self.message) if part)
        return scrub(text).encode("utf-8", "backslashreplace").decode().replace("\n", " ")


class ConfigError(Exception):
    """The configuration cannot be used. `faults` are in the order of the file; never holds a secret."""

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0)))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One printable line for each fault."""
        return [fault.describe(self.source) for fault in self.faults]
