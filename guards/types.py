"""What a guard is, what it sees (text slots) and what it says (verdicts).

A guard never sees a request's dialect: the caller hands it *slots*, places that hold one text each and can
be rewritten. One `GuardSession` lives as long as one request, so anything learnt from the way in (a map of
placeholders) is at hand on the way out and dies with the request. `guards.base` has what most guards share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class Stage(StrEnum):
    INPUT = "input"
    OUTPUT = "output"


class Scope(StrEnum):
    """What a text is in its conversation, whatever dialect it came in.

    TOOL: what a tool answered, and other text that was fetched rather than said. TOOL_CALL: arguments that a model
    gave a tool. TOOL_DEFINITION: names, descriptions and schemas of tools. OTHER: metadata and fields unknown to us.
    """

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    REASONING = "reasoning"
    TOOL = "tool"
    TOOL_CALL = "tool_call"
    TOOL_DEFINITION = "tool_definition"
    OTHER = "other"


ALL_SCOPES = frozenset(Scope)


class Action(StrEnum):
    """What a guard did. PASS: nothing found. FLAG: found, left alone, told to the caller. LOG: the same, but
    told to nobody outside: in the log, traces and metrics only."""

    PASS = "pass"  # noqa: S105
    REDACT = "redact"
    BLOCK = "block"
    FLAG = "flag"
    LOG = "log"


class TextSlot(Protocol):
    """One place that holds one text. Setting `text` rewrites it where it stands."""

    @property
    def scope(self) -> Scope: ...

    @property
    def context(self) -> str:
        """What stands right before the text, to be read and never rewritten: the key of a value, or nothing."""
        ...

    @property
    def text(self) -> str: ...

    @text.setter
    def text(self, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard said of one stage. Never holds the texts or values themselves.

    `findings` counts what was found by kind (`{"EMAIL": 2}`). `score` is the highest of a guard that scores, 0
    to 1. `duration` is in seconds. `error` is set when the guard failed; what happened then was the guard's
    `on_error` (`action` says which). `dry_run`: `action` is what would have been done; nothing was.
    """

    guard: str
    stage: Stage
    action: Action
    findings: Mapping[str, int] = field(default_factory=dict)
    duration: float = 0.0
    error: str | None = None
    score: float | None = None
    dry_run: bool = False

    @property
    def label(self) -> str:
        """A bounded word for what was done, or in a dry run would have been: `redact`, `would_redact`."""
        return f"would_{self.action.value}" if self.dry_run and self.action is not Action.PASS else self.action.value

    @property
    def is_told(self) -> bool:
        """Whether the caller may hear of it."""
        return not self.dry_run and self.action not in (Action.PASS, Action.LOG)


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


@runtime_checkable
class ReadsContext(Protocol):
    """What a filter is that also reads what stands before its text. See `TextSlot.context`."""

    def begin(self, context: str) -> None:
        """Called once, before the first `feed`."""
        ...


class GuardSession(Protocol):
    """One guard during one request."""

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Look at the texts on the way in; rewrite slots where the guard redacts."""
        ...

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Look at a whole reply; rewrite slots where the guard redacts or restores."""
        ...

    def open_stream(self, scope: Scope) -> StreamFilter:
        """A filter for one streamed text of the reply."""
        ...

    def stream_verdict(self) -> Verdict:
        """What all filters of this session found together, once they have finished."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a guard asks a language model. `model` None: the one that the caller asked. `schema`: the JSON schema that
    the answer has to follow, where the model can be held to one."""

    messages: Sequence[Mapping[str, str]]
    model: str | None = None
    max_tokens: int | None = None
    temperature: float = 0.0
    stop: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None


class ModelCaller(Protocol):
    """Asks language models on behalf of one request, at its caller's cost and past all guards."""

    async def ask(self, guard: str, question: Question) -> str:
        """The model's words. `guard` names who asks, for the bill. Raises ModelUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class GuardRequest:
    """What guards may know of the request they look at, beside its texts.

    `tenant`: an opaque id; nothing is shared between tenants. `reply_schema`: the JSON schema that the caller asked of
    the reply. `models` None: no model can be asked here.
    """

    tenant: str
    models: ModelCaller | None = None
    reply_schema: Mapping[str, Any] | None = None


class Guard(Protocol):
    """A configured guard; one instance serves all requests at once and keeps nothing of any."""

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> frozenset[Stage]: ...

    @property
    def rewrites(self) -> bool:
        """Whether it may change texts. Guards that do not are run side by side."""
        ...

    @property
    def asks_models(self) -> bool:
        """Whether it asks language models, which takes seconds."""
        ...

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        """The texts it is shown at a stage; the others it never sees."""
        ...

    async def prepare(self) -> None:
        """Load what it works with and try it once on texts of its own. Raises GuardConfigError if it cannot do
        what its configuration asks."""
        ...

    async def close(self) -> None: ...

    def open(self, request: GuardRequest) -> GuardSession:
        """Begin one request."""
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


class ModelUnavailable(Exception):
    """A model that a guard wanted to ask gave no answer; the message is free of what was asked."""


class GuardConfigError(Exception):
    """A guard cannot be built, or cannot enforce what is asked; the message says what to change.

    `at` is the key of the guard's configuration that is at fault, as a path: `("words", 2)`.
    """

    def __init__(self, message: str, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.at = at
