"""The guard of kind `leak`: learns a request's system texts on the way in, and looks for them in the reply.

On a stream it holds the word that is being written, and what may be the beginning of a canary. So of a canary nothing
is sent before it is found, and of a repeated run all words but the last.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from guards.base import BaseGuard, Policy
from guards.cache import Remembered, ScanCache
from guards.leak.canaries import Canaries
from guards.leak.words import LONGEST_WORD, MORE, WORD, Known, RunFinder, runs, words
from guards.types import (
    ALL_SCOPES,
    Action,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    Scope,
    Stage,
    TextSlot,
    Verdict,
)

CANARY = "CANARY"
SYSTEM_PROMPT = "SYSTEM_PROMPT"

SHORTEST_PROMPT = 6  # words: a system text of fewer is anybody's sentence

_SHORT = 20_000  # characters; longer system texts are read in a thread
_PROBE = "Never tell a soul that the grey heron sleeps behind the third mill of the old town. "

Runs = tuple[int, frozenset[int]]  # words in a run, and the numbers of all runs of a text


class LeakGuard(BaseGuard):
    """`run`: words in a row; None: system texts are not looked for."""

    def __init__(self, policy: Policy, canaries: Canaries, run: int | None, cache: ScanCache) -> None:
        super().__init__(policy)
        self._canaries = canaries
        self._run = run
        self._cache = cache

    @property
    def stages(self) -> frozenset[Stage]:
        return frozenset(Stage)

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        return ALL_SCOPES if stage is Stage.INPUT else self.policy.scopes

    async def prepare(self) -> None:
        """Leak to itself. Raises GuardConfigError."""
        probes = [(CANARY, "-".join(letters.upper())) for letters in self._canaries.letters]
        if self._run is not None:
            probes.append((SYSTEM_PROMPT, (_PROBE * self._run).upper()))
        for finding, text in probes:
            session = self.open(GuardRequest("prepare"))
            await session.learn([_PROBE * (self._run or 1)], [])
            if finding not in await session.leaks(f"It says: {text}!"):
                raise GuardConfigError(f"guard {self.name!r} does not notice a leak of its own ({finding})")

    def open(self, request: GuardRequest) -> LeakSession:
        remembered: Remembered[Runs] | None = None
        if self._run is not None:
            remembered = Remembered(self._cache, b"leak%d" % self._run, request.tenant)
        return LeakSession(self.policy, self._canaries, self._run, remembered)


class LeakSession:
    """One request: which runs and canaries would be a leak in its reply."""

    def __init__(
        self, policy: Policy, canaries: Canaries, run: int | None, remembered: Remembered[Runs] | None
    ) -> None:
        self._policy = policy
        self._canaries = canaries
        self._run = run
        self._remembered = remembered
        self._known: Known = {}
        self._own_texts: Sequence[str] = ()
        self._own_runs: dict[int, set[int]] = {}
        self._streamed: Counter[str] = Counter()

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Nothing is found here; what is there is learnt."""
        system = [slot.text for slot in slots if slot.scope is Scope.SYSTEM]
        await self.learn(system, [slot.text for slot in slots if slot.scope is not Scope.SYSTEM])
        return self._policy.verdict(Stage.INPUT, {})

    async def learn(self, system: Sequence[str], own: Sequence[str]) -> None:
        """`own`: what else the caller sent; to hear it again is no leak."""
        self._own_texts = own
        self._canaries = self._canaries.without(own)
        if self._run is None:
            return
        known: dict[int, set[int]] = {}
        for text in system:
            length, numbers = await self._runs_of(text)
            known.setdefault(length, set()).update(numbers)
        self._known = known

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Raises GuardBlocked."""
        counts: Counter[str] = Counter()
        for slot in slots:
            counts.update(await self.leaks(slot.text))
        verdict = self._policy.verdict(Stage.OUTPUT, counts)
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)
        return verdict

    async def leaks(self, text: str) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        stream = self._filter(counts, None)
        await stream.feed(text)
        await stream.finish()
        return counts

    def open_stream(self, scope: Scope) -> LeakFilter:
        return self._filter(self._streamed, self._policy if self._policy.action is Action.BLOCK else None)

    def stream_verdict(self) -> Verdict:
        return self._policy.verdict(Stage.OUTPUT, self._streamed)

    def _filter(self, counts: Counter[str], blocks: Policy | None) -> LeakFilter:
        return LeakFilter(RunFinder(self._known, self._own), self._canaries, counts, blocks)

    def _own(self, length: int) -> set[int]:
        if length not in self._own_runs:
            self._own_runs[length] = runs(self._own_texts, length)
        return self._own_runs[length]

    async def _runs_of(self, text: str) -> Runs:
        key = self._remembered.key(text) if self._remembered is not None else b""
        known = self._remembered.get(key) if self._remembered is not None else None
        if known is None:
            length = self._run or 0
            known = _runs_of(text, length) if len(text) <= _SHORT else await asyncio.to_thread(_runs_of, text, length)
            if self._remembered is not None:
                self._remembered.put(key, known, 60 * len(known[1]))
        return known


def _runs_of(text: str, length: int) -> Runs:
    """A system text that is shorter than a run counts as a whole, if it is not too short for that."""
    length = min(length, len(words(text)))
    return (length, frozenset(runs([text], length))) if length >= SHORTEST_PROMPT else (length, frozenset())


class LeakFilter:
    """Looks at one growing text. `blocks`: raises GuardBlocked at the first leak; else it counts and passes all on."""

    def __init__(self, finder: RunFinder, canaries: Canaries, counts: Counter[str], blocks: Policy | None) -> None:
        self.held = ""
        self._finder = finder
        self._canaries = canaries
        self._counts = counts
        self._blocks = blocks
        self._searched = 0  # characters of what is held in which canaries have been found already
        self._done = 0  # characters of what is held whose words have been looked at
        self._in_word = False  # what comes next may go on with a word that is longer than counts

    async def feed(self, text: str) -> str:
        """Raises GuardBlocked."""
        self.held += text
        return self._process(final=False)

    async def finish(self) -> str:
        """Raises GuardBlocked."""
        return self._process(final=True)

    def _process(self, *, final: bool) -> str:
        self._find_canaries()
        self._find_runs(final)
        limit = self._done
        if not final and self._canaries.begun is not None:
            begun = self._canaries.begun.search(self.held, self._searched)
            limit = min(limit, begun.start() if begun else limit)
        out, self.held = self.held[:limit], self.held[limit:]
        self._searched = max(0, self._searched - limit)
        self._done -= limit
        return out

    def _find_canaries(self) -> None:
        while self._canaries.whole is not None and (match := self._canaries.whole.search(self.held, self._searched)):
            self._searched = match.end()
            self._found(CANARY)

    def _find_runs(self, final: bool) -> None:
        """Looks at every word that is over, or longer than counts."""
        size = len(self.held)
        if self._in_word:
            more = MORE.match(self.held, self._done)
            self._done = more.end() if more else self._done
            self._in_word = self._done == size
        for match in WORD.finditer(self.held, self._done):
            unfinished = match.end() == size and not final and match.lastgroup != "alone"
            if unfinished and match.end() - match.start() < LONGEST_WORD:
                self._done = match.start()
                return
            self._in_word = unfinished
            if self._finder.add(match.group()):
                self._found(SYSTEM_PROMPT)
        self._done = size

    def _found(self, finding: str) -> None:
        self._counts[finding] += 1
        if self._blocks is not None:
            raise GuardBlocked(self._blocks.verdict(Stage.OUTPUT, self._counts))
