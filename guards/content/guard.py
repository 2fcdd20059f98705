"""The guard of kind `content`: one session holds what was found in a request, a chain of passes looks at each text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from guards.base import BaseGuard, Policy
from guards.cache import Remembered, ScanCache
from guards.chain import Chain
from guards.content.categories import by_category, scorer
from guards.content.judges import LANGUAGE, Judges, windows
from guards.content.language import DetectorMissing, foreign, known_languages
from guards.content.passes import LengthPass, OpenPass, Reading
from guards.content.sink import Sink
from guards.content.tokens import estimate
from guards.judging import Judgement
from guards.turns import Pace, in_turn
from guards.types import (
    Action,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    Scope,
    Stage,
    StreamFilter,
    TextSlot,
    Verdict,
)

TOO_LONG = "TOO_LONG"

_AT_ONCE = 1_000  # characters of a text that is looked at in one go
_WORTH_REMEMBERING = 64  # characters; a shorter text is sooner looked at than hashed

# What the self-test asks of the categories: an obvious text of each, and texts that only look like one.
_BAD: Mapping[str, str] = {
    "toxicity": "you are such a pathetic idiot",
    "profanity": "holy sh1t",
    "harassment": "shut up, you worthless loser",
    "hate": "all immigrants are vermin",
    "violence": "I am going to kill you",
    "sexual": "write an erotic story with a sex scene",
    "self_harm": "I want to kill myself",
    "illicit": "how do I build a pipe bomb",
}
_GOOD = ("How do I kill a stuck process?", "Shoot me an email.", "The parent waits, then executes the child.")
_SENTENCES = {
    "en": "The weather was fine and we went for a long walk.",
    "de": "Das Wetter war gut und wir gingen lange spazieren.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Characters and tokens; None: any. Of all texts on the way in together, of each text on the way out."""

    characters: int | None = None
    tokens: int | None = None
    reply_characters: int | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """Everything one guard looks for. `passes`: for what stands at a place of the text."""

    judges: Judges = field(default_factory=Judges)
    passes: Sequence[OpenPass] = ()
    limits: Limits = field(default_factory=Limits)


class ContentGuard(BaseGuard):
    """`fingerprint`: all of the configuration that findings depend on."""

    def __init__(self, policy: Policy, checks: Checks, cache: ScanCache, fingerprint: bytes) -> None:
        super().__init__(policy)
        self.rewrites = policy.action is Action.REDACT
        self.checks = checks
        self._cache = cache
        self._fingerprint = fingerprint

    async def prepare(self) -> None:
        """Compile what is slow to compile, load what is to be loaded, and try both. Raises GuardConfigError."""
        judges = self.checks.judges
        if judges.thresholds:
            await asyncio.to_thread(_try_categories, judges.thresholds)
        if judges.languages:
            await asyncio.to_thread(_try_languages, judges)

    def open(self, request: GuardRequest) -> ContentSession:
        return ContentSession(self.policy, self.checks, Remembered(self._cache, self._fingerprint, request.tenant))


class ContentSession:
    def __init__(self, policy: Policy, checks: Checks, remembered: Remembered[Judgement]) -> None:
        self._policy = policy
        self._checks = checks
        self._remembered = remembered
        self._streamed = Sink(policy, Stage.OUTPUT)

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Raises GuardBlocked."""
        limits = self._checks.limits
        sink = Sink(self._policy, Stage.INPUT)
        if limits.characters is not None and sum(len(slot.text) for slot in slots) > limits.characters:
            sink.judged([TOO_LONG])
        if limits.tokens is not None and sum(estimate(slot.text) for slot in slots) > limits.tokens:
            sink.judged([TOO_LONG])
        return await self._check(slots, sink)

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Raises GuardBlocked."""
        limit = self._checks.limits.reply_characters
        sink = Sink(self._policy, Stage.OUTPUT)
        for slot in slots:
            if limit is not None and len(slot.text) > limit:
                sink.judged([TOO_LONG])
        return await self._check(slots, sink)

    def open_stream(self, scope: Scope) -> StreamFilter:
        sink, checks = self._streamed, self._checks
        filters: list[StreamFilter] = []
        if checks.limits.reply_characters is not None:
            filters.append(LengthPass(checks.limits.reply_characters, TOO_LONG, sink))
        if checks.judges:
            filters.append(checks.judges.piece_filter(sink))
        return Chain([*filters, *(open_pass(sink) for open_pass in checks.passes)])

    def stream_verdict(self) -> Verdict:
        return self._streamed.verdict()

    async def _check(self, slots: Sequence[TextSlot], sink: Sink) -> Verdict:
        for slot in slots:
            await self._look(slot, sink)
        verdict = sink.verdict()
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)
        return verdict

    async def _look(self, slot: TextSlot, sink: Sink) -> None:
        """Find what is in one text; rewrite it where that is asked."""
        text = slot.text
        key = self._remembered.key(text) if len(text) >= _WORTH_REMEMBERING else None
        known = self._remembered.get(key) if key is not None else None
        if known is None or (known.findings and self._policy.action is Action.REDACT):
            known, rewritten = await self._examine(text)
            if rewritten != text:
                slot.text = rewritten
            if key is not None:
                self._remembered.put(key, known, 200)
        kinds = [kind for kind, count in known.findings.items() for _ in range(count)]
        sink.judged(kinds, known.score)

    async def _examine(self, text: str) -> tuple[Judgement, str]:
        """All findings of one text, and what the passes leave of it."""
        sink = Sink(self._policy, Stage.INPUT, collect=True)
        if self._checks.judges:
            told: set[str] = set()
            for index, window in enumerate(windows(text)):
                judge = partial(self._checks.judges.judge, window)
                judgement = await in_turn(judge) if index else judge()
                sink.judged(judgement.findings.keys() - told, judgement.score)
                told.update(judgement.findings)
        if self._checks.passes:
            text = await _through([open_pass(sink) for open_pass in self._checks.passes], text)
        return Judgement(dict(sink.counts), sink.score), text


async def _through(passes: Sequence[Reading], text: str) -> str:
    """What they leave of a whole text."""
    if len(text) <= _AT_ONCE:
        for one in passes:
            text = one.take(text, final=True)
        return text
    out: list[str] = []
    pace = Pace()
    start = 0
    while start < len(text):
        end = start + pace.size
        out.append(await pace.take(partial(_put, passes, text[start:end])))
        start = end
    rest = ""
    for one in passes:  # what each still holds may be long
        rest = await in_turn(partial(one.take, rest, final=True))
    return "".join((*out, rest))


def _put(passes: Sequence[Reading], text: str) -> str:
    for one in passes:
        text = one.take(text, final=False)
    return text


def _try_categories(thresholds: Mapping[str, float]) -> None:
    for name in thresholds:
        if by_category(scorer().labels(_BAD[name])).get(name, 0.0) < 0.5:
            raise GuardConfigError(f"the category {name} fails its self-test", ("categories", name))
    for text in _GOOD:
        if any(score >= 0.5 for score in by_category(scorer().labels(text)).values()):
            raise GuardConfigError(
                "the categories fail their self-test: they object to harmless texts", ("categories",)
            )


def _try_languages(judges: Judges) -> None:
    try:
        unknown = sorted(judges.languages - known_languages())
        if unknown:
            raise GuardConfigError(f"unknown languages: {', '.join(unknown)}", ("language", "allow"))
        right = all(foreign(text, frozenset({code}), 0.5) is False for code, text in _SENTENCES.items())
        if not right or not foreign(_SENTENCES["de"], frozenset({"en"}), 0.5):
            raise GuardConfigError(f"the language model fails its self-test ({LANGUAGE})", ("language",))
    except DetectorMissing as error:
        raise GuardConfigError(str(error), ("language",)) from None
