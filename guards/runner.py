"""Runs the guards of one request, and answers for each of them: none is skipped in silence.

Guards lie around a request like envelopes. On the way in they run in the configured order, on the way out
in the reverse order: what the first guard hid, it restores last, so no other guard ever sees it. Neighbours that only
look run side by side.

A guard that raises, or waits longer than its time limit, is recorded with its error. Then its `on_error`
decides: `block` raises GuardUnavailable; `pass` goes on with the texts as they were before it. The limit is
on waiting: work that never gives the loop a turn cannot be cut short, and when it ends its answer counts.

A guard in a dry run looks at copies, and nothing follows from what it says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePath
from typing import TypeVar

from guards.chain import Chain
from guards.spec import OnError
from guards.types import (
    ALL_SCOPES,
    Action,
    Guard,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    GuardSession,
    GuardUnavailable,
    ReadsContext,
    Scope,
    Stage,
    StreamFilter,
    TextSlot,
    Verdict,
)
from guards.waiting import TooSlow, within

Clock = Callable[[], float]
MAX_LINEUPS = 1_000  # ways to combine guards that are kept ready; more are put together anew for each request
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Installed:
    """A guard and how it is run. `default`: for every request. `timeout`: seconds one call may wait."""

    guard: Guard
    default: bool = False
    on_error: OnError = OnError.BLOCK
    timeout: float = 2.0
    dry_run: bool = False

    @property
    def changes_texts(self) -> bool:
        return self.guard.rewrites and not self.dry_run


class GuardRunner:
    """All configured guards. One instance serves all requests; `clock` counts seconds."""

    def __init__(self, installed: Sequence[Installed], *, clock: Clock = time.perf_counter) -> None:
        self._installed = {entry.guard.name: entry for entry in installed}
        self._clock = clock
        self._lineups: dict[tuple[str, ...], _Lineup] = {}  # by the guards that are asked beside the default ones
        if len(self._installed) != len(installed):
            raise GuardConfigError("two guards have the same name")

    @property
    def names(self) -> tuple[str, ...]:
        """Every configured guard, in order."""
        return tuple(self._installed)

    def installed(self, name: str) -> Installed | None:
        """The guard of that name and how it is run, if there is one."""
        return self._installed.get(name)

    async def close(self) -> None:
        """Close every guard. What they share stays open."""
        for entry in self._installed.values():
            await entry.guard.close()

    def open(self, request: GuardRequest, extra: Sequence[str] = ()) -> RunnerSession:
        """Begin one request: the default guards and those named in `extra`, in the configured order.

        Raises GuardUnavailable for a name that is not configured (any more): to go on without it would be
        silence.
        """
        asked = tuple(extra)
        lineup = self._lineups.get(asked)
        if lineup is None:
            lineup = self._line_up(asked)
            if len(self._lineups) < MAX_LINEUPS:
                self._lineups[asked] = lineup
        return RunnerSession(lineup, request, self._clock)

    def _line_up(self, extra: tuple[str, ...]) -> _Lineup:
        for name in sorted(set(extra) - self._installed.keys()):
            raise GuardUnavailable(Verdict(guard=name, stage=Stage.INPUT, action=Action.BLOCK, error="not configured"))
        return _Lineup([entry for name, entry in self._installed.items() if entry.default or name in extra])


class _Lineup:
    """Guards that look at a request together, and how they stand to each other at each stage.

    Groups are of places in `entries`: members of one run at once.
    """

    def __init__(self, entries: Sequence[Installed]) -> None:
        self.entries = entries
        at_input, at_output = (
            [place for place, entry in enumerate(entries) if stage in entry.guard.stages]
            for stage in (Stage.INPUT, Stage.OUTPUT)
        )
        self.output = at_output[::-1]
        self.input_groups = _side_by_side(entries, at_input)
        self.output_groups = _side_by_side(entries, self.output)


class RunnerSession:
    """The guards of one request."""

    def __init__(self, lineup: _Lineup, request: GuardRequest, clock: Clock) -> None:
        self._lineup = lineup
        self._members = [_Member(entry, request, clock) for entry in lineup.entries]
        self._checked: list[Verdict] = []
        self._streaming: list[_Member] = []

    @property
    def verdicts(self) -> list[Verdict]:
        """What every guard that ran has said, in the order they ran; streams with what they found so far."""
        return self._checked + [member.stream_verdict() for member in self._streaming]

    @property
    def guards_input(self) -> bool:
        """Whether any guard of this request looks at what the caller sent."""
        return bool(self._lineup.input_groups)

    @property
    def guards_output(self) -> bool:
        """Whether any guard of this request looks at the reply."""
        return bool(self._lineup.output_groups)

    async def check_input(self, slots: Sequence[TextSlot]) -> None:
        """Guard the texts on the way in, all slots of the request at once. Raises GuardBlocked,
        GuardUnavailable."""
        for group in self._lineup.input_groups:
            await self._check([self._members[place] for place in group], Stage.INPUT, slots)

    async def check_output(self, slots: Sequence[TextSlot]) -> None:
        """Guard a whole reply. Raises GuardBlocked, GuardUnavailable."""
        for group in self._lineup.output_groups:
            await self._check([self._members[place] for place in group], Stage.OUTPUT, slots)

    def open_stream(self, scope: Scope, context: str = "") -> StreamFilter:
        """One filter for one streamed text of the reply; all output guards that look at such texts are in it.

        `context`: what stands right before the text.
        """
        members = [self._members[place] for place in self._lineup.output]
        members = [member for member in members if scope in member.guard.scopes(Stage.OUTPUT)]
        self._streaming += [member for member in members if member not in self._streaming]
        return Chain([_GuardedFilter(member, scope, context) for member in members])

    async def _check(self, members: Sequence[_Member], stage: Stage, slots: Sequence[TextSlot]) -> None:
        """Ask guards that do not get in each other's way. Of several that block, the first in order is told."""
        if len(members) == 1:  # without a task of its own
            verdicts = [await members[0].check(stage, slots)]
        else:
            verdicts = await asyncio.gather(*(member.check(stage, slots) for member in members))
        self._checked += verdicts
        for member, verdict in zip(members, verdicts, strict=True):
            member.enforce(verdict)


def _side_by_side(entries: Sequence[Installed], places: Sequence[int]) -> list[list[int]]:
    """The places in order, in groups that may run at once: those that change no text, between those that do."""
    groups: list[list[int]] = []
    for changes, group in groupby(places, key=lambda place: entries[place].changes_texts):
        together = list(group)
        groups += [[place] for place in together] if changes else [together]
    return groups


class _Member:
    """One guard in one request: its session, the time it took, and how its streams ended."""

    def __init__(self, entry: Installed, request: GuardRequest, clock: Clock) -> None:
        self.guard = entry.guard
        self.dry_run = entry.dry_run
        self._entry = entry
        self._request = request
        self._clock = clock
        self._session: GuardSession | None = None
        self._stream_seconds = 0.0
        self._stream_end: Verdict | None = None  # set when a stream was blocked or failed

    @property
    def session(self) -> GuardSession:
        if self._session is None:
            self._session = self.guard.open(self._request)
        return self._session

    async def check(self, stage: Stage, slots: Sequence[TextSlot]) -> Verdict:
        """The guard's verdict, whatever it is; see `enforce`. If it failed, the texts are what they were."""
        scopes = self.guard.scopes(stage)
        shown = slots if scopes is ALL_SCOPES else [slot for slot in slots if slot.scope in scopes]
        if self.dry_run:
            shown = [_Copy(slot) for slot in shown]

        def call() -> Awaitable[Verdict]:
            session = self.session
            return session.check_input(shown) if stage is Stage.INPUT else session.check_output(shown)

        before = [slot.text for slot in shown] if self._entry.changes_texts else []
        started = self._clock()
        answer: object = await self._ask(stage, call)  # whatever a guard of somebody else's may say
        verdict = answer if isinstance(answer, Verdict) else self._failure(stage, "it gave no verdict")
        if verdict.error is not None:
            for slot, text in zip(shown, before, strict=False):  # none were kept where nothing is changed
                slot.text = text
        return self._timed(verdict, self._clock() - started)

    def _timed(self, verdict: Verdict, seconds: float) -> Verdict:
        """The verdict with what only the runner knows; by hand, as `replace` takes ten times as long."""
        return Verdict(
            guard=verdict.guard,
            stage=verdict.stage,
            action=verdict.action,
            findings=verdict.findings,
            duration=seconds,
            error=verdict.error,
            score=verdict.score,
            dry_run=self.dry_run,
        )

    async def stream_step(self, call: Callable[[], Awaitable[str]]) -> str | None:
        """One step of a stream; None if the guard failed and lets pass. Raises GuardBlocked,
        GuardUnavailable."""
        started = self._clock()
        answer: object = await self._ask(Stage.OUTPUT, call)
        self._stream_seconds += self._clock() - started
        if isinstance(answer, str):
            return answer
        self._stream_end = answer if isinstance(answer, Verdict) else self._failure(Stage.OUTPUT, "it gave no text")
        self.enforce(self._stream_end)
        return None

    def stream_verdict(self) -> Verdict:
        """What the streams came to so far."""
        verdict = self._stream_end
        if verdict is None:
            try:
                verdict = self.session.stream_verdict()
            except Exception as error:
                verdict = self._failure(Stage.OUTPUT, _describe(error))
        return self._timed(verdict, self._stream_seconds)

    def enforce(self, verdict: Verdict) -> None:
        """Raise what a verdict demands: GuardBlocked, GuardUnavailable, or nothing."""
        if verdict.action is not Action.BLOCK or self.dry_run:
            return
        if verdict.error is None:
            raise GuardBlocked(verdict)
        raise GuardUnavailable(verdict)

    async def _ask(self, stage: Stage, call: Callable[[], Awaitable[_Answer]]) -> _Answer | Verdict:
        """The guard's answer, or a verdict if it blocked, raised or was too slow.

        What the guard raised is not chained to anything: its text may quote a value.
        """
        try:
            return await within(self._entry.timeout, call())
        except GuardBlocked as blocked:
            return replace(blocked.verdict, action=Action.BLOCK)
        except TooSlow:
            return self._failure(stage, f"no answer in {self._entry.timeout:g} s")
        except Exception as error:
            return self._failure(stage, _describe(error))

    def _failure(self, stage: Stage, error: str) -> Verdict:
        action = Action.BLOCK if self._entry.on_error is OnError.BLOCK else Action.PASS
        return Verdict(guard=self.guard.name, stage=stage, action=action, error=error)


@dataclass(slots=True)
class _Copy:
    """A slot that a dry run may rewrite."""

    scope: Scope
    context: str
    text: str

    def __init__(self, slot: TextSlot) -> None:
        self.scope = slot.scope
        self.context = slot.context
        self.text = slot.text


class _GuardedFilter:
    """One guard's filter, opened at its first text. Once it failed and lets pass, text goes by it.

    In a dry run text goes by it from the beginning, and the filter sees a copy.
    """

    def __init__(self, member: _Member, scope: Scope, context: str) -> None:
        self._member = member
        self._scope = scope
        self._context = context
        self._filter: StreamFilter | None = None
        self._passing = False
        self.held = ""

    async def feed(self, text: str) -> str:
        return await self._step(text, lambda stream: stream.feed(text))

    async def finish(self) -> str:
        return await self._step("", lambda stream: stream.finish())

    async def _step(self, text: str, call: Callable[[StreamFilter], Awaitable[str]]) -> str:
        if self._passing:
            return text

        async def step() -> str:
            if self._filter is None:
                self._filter = self._member.session.open_stream(self._scope)
                if self._context and isinstance(self._filter, ReadsContext):
                    self._filter.begin(self._context)
            return await call(self._filter)

        answer = await self._member.stream_step(step)
        if self._member.dry_run:
            self._passing = answer is None
            return text
        if answer is None or self._filter is None:
            self._passing = True
            answer, self.held = self.held + text, ""
        else:
            self.held = self._filter.held
        return answer


def _describe(error: Exception) -> str:
    """What kind of error it was and where it came up, without its message."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" at {PurePath(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
    return f"{type(error).__name__}{place}"
