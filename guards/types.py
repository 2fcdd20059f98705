"""What a guard is, what it sees (text slots) and what it says (verdicts).

A guard never sees a request's dialect: the caller hands it *slots*, places that hold one text each and can
be rewritten. One `GuardSession` lives as long as one request, so anything learnt from the way in (a map of
placeholders) is at hand on the way out and dies with the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Stage(StrEnum):
    INPUT = "input"
    OUTPUT = "output"


class Action(StrEnum):
    """What a guard did. PASS: nothing found. FLAG: found, left alone, recorded."""

    PASS = "pass"  # noqa: S105
    REDACT = "redact"
    BLOCK = "block"
    FLAG = "flag"


class TextSlot(Protocol):
    """One place that holds one text. Setting `text` rewrites it where it stands."""

    @property
    def role(self) -> str:
        """Whose text it is: system, user, assistant, tool."""
        ...

    @property
    def text(self) -> str: ...

    @text.setter
    def text(self, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard said of one stage. Never holds the texts or values themselves.

    `findings` counts what was found by kind (`{"EMAIL": 2}`). `duration` is in seconds. `error` is set when
    the guard failed; what happened then was the guard's `on_error` (`action` says which).
    """

    guard: str
    stage: Stage
    action: Action
    findings: Mapping[str, int] = field(default_factory=dict)
    duration: float = 0.0
    error: str | None = None


class StreamFilter(Protocol):
    """Guards one growing text (one choice of a streamed reply). Not shared between texts.

    What is returned may be sent at once; the rest is held back, never longer than the guard's look-back. The
    concatenation of all that is returned does not depend on how the text was cut into pieces.
    """

    @property
    def held(self) -> str:
        """The text taken and not yet answered for, as it came: what is passed on if this filter fails."""
        ...

    async def feed(self, text: str) -> str:
        """Take the next piece; return what may be sent now. Raises GuardBlocked."""
        ...

    async def finish(self) -> str:
        """The text has ended; return what was held back. Raises GuardBlocked."""
        ...


class GuardSession(Protocol):
    """One guard during one request."""

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Look at the texts on the way in; rewrite slots where the guard redacts."""
        ...

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Look at a whole reply; rewrite slots where the guard redacts or restores."""
        ...

    def open_stream(self) -> StreamFilter:
        """A filter for one streamed text of the reply."""
        ...

    def stream_verdict(self) -> Verdict:
        """What all filters of this session found together, once they have finished."""
        ...


class Guard(Protocol):
    """A configured guard; one instance serves all requests at once and keeps nothing of any."""

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> frozenset[Stage]: ...

    def open(self, tenant: str) -> GuardSession:
        """Begin one request of `tenant` (an opaque id; nothing is shared between tenants)."""
        ...


class GuardBlocked(Exception):
    """A guard forbids the text. Carries the verdict, never the text."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"blocked by guard {verdict.guard!r}")
        self.verdict = verdict


class GuardUnavailable(Exception):
    """A guard failed and its `on_error` is to block."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"guard {verdict.guard!r} is unavailable")
        self.verdict = verdict


class GuardConfigError(Exception):
    """A guard cannot be built, or cannot enforce what is asked; the message says what to change."""
