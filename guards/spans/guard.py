"""Guards built on values found in texts (kinds `pii` and `secrets`): they hide, block or flag what is found on both
ways, and restore the caller's own.

On the way in every value is found in every text; `redact` puts something in its place (`guards.spans.operators`). On
the way out
- what stands for a value of this request becomes that value (with `restore`), whatever the text's scope;
- the caller's own value, should the model write it out, stays: it is the caller's own;
- any other value was made up or learnt elsewhere by the model: it is masked (`[EMAIL]`), blocked or flagged.

`stages` and `scopes` say where values are looked for. A guard that restores also stands at the output, whatever
`stages` says; there it then only restores. Without `restore` placeholders reach the caller as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from guards.base import BaseGuard, Policy
from guards.cache import Remembered, ScanCache
from guards.spans.allow import Allow
from guards.spans.detector import KEPT
from guards.spans.finder import Finder
from guards.spans.judge import Judge
from guards.spans.names import NameFilter
from guards.spans.operators import Operator, Operators
from guards.spans.scanner import Scanner
from guards.spans.seek import Hit, Seeker, Sought, scan
from guards.spans.stream import SpanStreamFilter
from guards.spans.vault import Vault, lower
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

_AT_ONCE = 100  # values that are replaced before others get their turn

ACTIONS = frozenset({Action.REDACT, Action.BLOCK, Action.FLAG, Action.LOG})


@dataclass(frozen=True, slots=True, repr=False)
class Extras:
    """What a kind may ask beside the scanner.

    `finder_kinds`: what the finder is asked for; `finder_at`: the key of the configuration that it comes from. `cache`:
    where to remember what was found in a text; `fingerprint`: all of the configuration that this depends on. `probes`:
    texts in which a value of that kind must be found, to be tried when the guard is prepared.
    """

    operators: Operators = field(default_factory=Operators)
    allow: Allow | None = None
    finder: Finder | None = None
    finder_kinds: frozenset[str] = frozenset()
    finder_at: tuple[str, ...] = ()
    cache: ScanCache | None = None
    fingerprint: bytes = b""
    probes: Mapping[str, Sequence[str]] = field(default_factory=dict)


class SpanGuard(BaseGuard):
    """One configured guard; serves all requests at once and keeps nothing of any.

    `secret` keys placeholders, hashes and fakes. Replicas that share it give a conversation the same ones.
    """

    def __init__(
        self, policy: Policy, restore: bool, scanner: Scanner, secret: bytes, extras: Extras | None = None
    ) -> None:
        super().__init__(policy)
        self.rewrites = policy.action is Action.REDACT
        self._restore = restore
        self._secret = secret
        self._extras = extras or Extras()
        self._scanner = scanner
        self._seeker = Seeker(scanner, self._extras.allow, self._extras.finder, self._extras.finder_kinds)
        self._stages = policy.stages | {Stage.OUTPUT} if restore else policy.stages

    @property
    def stages(self) -> frozenset[Stage]:
        return self._stages

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        """All of them for a guard that restores: on the way in to know what it must not give out, on the way out to
        put back."""
        return ALL_SCOPES if self._restore else self.policy.scopes

    async def prepare(self) -> None:
        """Load the finder, and find values of the guard's own. Raises GuardConfigError."""
        if self._extras.finder is not None:
            try:
                await self._extras.finder.prepare()
            except GuardConfigError as error:
                raise GuardConfigError(str(error), (*self._extras.finder_at, *error.at)) from None
        for kind, texts in self._extras.probes.items():
            for text in texts:
                if kind not in {span.kind for span in self._scanner.find(text)}:
                    raise GuardConfigError(f"guard {self.name!r} does not find its own {kind}")

    async def close(self) -> None:
        if self._extras.finder is not None:
            await self._extras.finder.close()

    def open(self, request: GuardRequest) -> SpanSession:
        cache = self._extras.cache
        return SpanSession(
            self.policy,
            self._restore,
            self._scanner,
            self._seeker,
            self._extras,
            Vault(self._secret, request.tenant),
            Remembered(cache, self._extras.fingerprint, request.tenant) if cache is not None else None,
        )


class SpanSession:
    """One request: its vault, and what was found."""

    def __init__(
        self,
        policy: Policy,
        restore: bool,
        scanner: Scanner,
        seeker: Seeker,
        extras: Extras,
        vault: Vault,
        remembered: Remembered[Sought] | None,
    ) -> None:
        self._policy = policy
        self._restore = restore
        self._scanner = scanner
        self._seeker = seeker
        self._extras = extras
        self._vault = vault
        self._remembered = remembered
        self._streamed: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<SpanSession of {self._policy.name}>"

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Put something in the place of every value. Raises GuardBlocked.

        That includes a text in which new values keep turning up; see `guards.spans.seek`.
        """
        if Stage.INPUT not in self._policy.stages:
            return self._policy.verdict(Stage.INPUT, {})
        looked_at = [slot for slot in slots if slot.scope in self._policy.scopes]
        found = [await self._seeker.seek(slot.text, slot.context, self._remembered) for slot in looked_at]
        counts: dict[str, int] = {}
        for sought in found:
            for hit in sought.hits:
                counts[hit.kind] = counts.get(hit.kind, 0) + 1
        verdict = self._policy.verdict(Stage.INPUT, counts)
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)
        if self._policy.action is Action.REDACT and not all(sought.complete for sought in found):
            raise GuardBlocked(replace(verdict, action=Action.BLOCK))
        if self._extras.finder is not None:
            self._vault.learn_words(slot.text for slot in slots)
        if verdict.action is Action.REDACT:
            await self._redact(slots, [(slot, sought.hits) for slot, sought in zip(looked_at, found, strict=True)])
        else:
            for slot, sought in zip(looked_at, found, strict=True):
                self._learn(slot.text, sought.hits)
        return verdict

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Restore and mask each text as one whole. Raises GuardBlocked."""
        counts: dict[str, int] = {}
        for slot in slots:
            if await self._nothing_in(slot):
                continue
            text = slot.text
            stream = self._filter(slot.scope, counts, whole=True)
            if slot.context:
                stream.begin(slot.context)
            guarded = await stream.whole(text)
            if guarded != text:
                slot.text = guarded
        return self._policy.verdict(Stage.OUTPUT, counts)

    async def _nothing_in(self, slot: TextSlot) -> bool:
        """Whether a whole text of a reply certainly stays as it is: told sooner than by a filter."""
        if self._extras.finder is not None or not self._vault.stands_for_nothing:
            return False
        if not self._looks_at(slot.scope):
            return True
        before = slot.context[-KEPT:]
        return not await scan(self._scanner, before + slot.text, len(before))

    def open_stream(self, scope: Scope) -> SpanStreamFilter:
        return self._filter(scope, self._streamed, whole=False)

    def stream_verdict(self) -> Verdict:
        return self._policy.verdict(Stage.OUTPUT, self._streamed)

    def _learn(self, text: str, hits: Iterable[Hit]) -> None:
        for hit in hits:
            self._vault.learn(hit.canonical(text[hit.start : hit.end]))

    async def _redact(self, slots: Sequence[TextSlot], found: Sequence[tuple[TextSlot, Sequence[Hit]]]) -> None:
        texts = [slot.text for slot in slots]
        self._vault.avoid(texts)
        hider = _Hider(self._vault, self._extras.operators, texts)
        hidden = [(slot, await hider.hidden(slot.text, hits)) for slot, hits in found if hits]
        if not all(hider.comes_back(text, places) for _, (text, places) in hidden):
            self._vault.forget_fakes()
            hider.fakes = False
            hidden = [(slot, await hider.hidden(slot.text, hits)) for slot, hits in found if hits]
        for slot, (text, _) in hidden:
            slot.text = text

    def _looks_at(self, scope: Scope) -> bool:
        """Whether values are looked for in such texts of a reply."""
        return Stage.OUTPUT in self._policy.stages and scope in self._policy.scopes

    def _filter(self, scope: Scope, counts: dict[str, int], *, whole: bool) -> SpanStreamFilter:
        looks = self._looks_at(scope)
        extras = self._extras
        judge = Judge(self._policy.name, self._policy.action, self._vault, extras.operators, extras.allow, counts)
        names: NameFilter | None = None
        if looks and extras.finder is not None:
            names = NameFilter(judge, extras.finder, extras.finder_kinds, whole=whole)
        return SpanStreamFilter(judge, self._scanner if looks else None, self._restore, names)


class _Hider:
    """Puts something in the place of the values of one request's texts."""

    def __init__(self, vault: Vault, operators: Operators, texts: Sequence[str]) -> None:
        self._vault = vault
        self._operators = operators
        self._texts = texts
        self._lower: str | None = None
        self.fakes = True

    async def hidden(self, text: str, hits: Sequence[Hit]) -> tuple[str, list[tuple[int, int]]]:
        """The text, and the places in it of all that has to come back."""
        pieces: list[str] = []
        places: list[tuple[int, int]] = []
        position = size = 0
        for count, hit in enumerate(hits, start=1):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            pieces.append(text[position : hit.start])
            size += hit.start - position
            stands, comes_back = self._stand_in(hit.kind, text[hit.start : hit.end], hit)
            pieces.append(stands)
            if comes_back:
                places.append((size, size + len(stands)))
            size += len(stands)
            position = hit.end
        return "".join((*pieces, text[position:])), places

    def comes_back(self, hidden: str, places: Sequence[tuple[int, int]]) -> bool:
        """Whether what stands for values is found in the text again, and nothing else is taken for it: fakes may run
        into their neighbours."""
        if not self._vault.has_fakes:
            return True
        return [(start, end) for start, end, _ in self._vault.find(hidden, 0, len(hidden))] == places

    def _stand_in(self, kind: str, value: str, hit: Hit) -> tuple[str, bool]:
        vault = self._vault
        canonical = hit.canonical(value)
        treatment = self._operators.of(kind)
        match treatment.operator:
            case Operator.FAKE if self.fakes:
                made = vault.fake(kind, value, canonical, self._folded_texts())
                if made is not None:
                    vault.learn_fake(hit.canonical(made), value)
                    return made, True
            case Operator.MASK:
                vault.learn(canonical)
                return treatment.masked(value), False
            case Operator.HASH:
                vault.learn(canonical)
                return vault.hashed(kind, canonical), False
            case Operator.DROP:
                vault.learn(canonical)
                return "", False
        return vault.placeholder(kind, value, canonical), True

    def _folded_texts(self) -> str:
        if self._lower is None:
            self._lower = "\n".join(map(lower, self._texts))
        return self._lower
