"""The guard of kind `pii`: redacts, blocks or flags personal data on both ways, and restores the caller's
own.

On the way in every value is found in every slot; `redact` puts placeholders in their place. On the way out
- a placeholder of this request becomes the value it stands for (with `restore`);
- the caller's own value, should the model write it out, stays: it is the caller's own;
- any other value was made up or learnt elsewhere by the model: it is masked (`[EMAIL]`), blocked or flagged.

`stages` says where values are looked for. A guard that restores also stands at the output, whatever
`stages` says; there it then only restores. Without `restore` placeholders reach the caller as they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from guards.base import BaseGuard, Policy
from guards.spans.detector import Span
from guards.spans.fold import fold
from guards.spans.scanner import Scanner
from guards.spans.stream import PiiStreamFilter
from guards.spans.vault import Vault
from guards.types import Action, GuardBlocked, GuardRequest, Scope, Stage, TextSlot, Verdict

_LONG_TEXT = 10_000  # characters; longer texts are scanned in a thread, so that the loop goes on
_MOST_PASSES = 16  # over one text; more are only needed by one that was made to need them

ACTIONS = frozenset({Action.REDACT, Action.BLOCK, Action.FLAG, Action.LOG})

_Result = TypeVar("_Result")


class PiiGuard(BaseGuard):
    """One configured guard; serves all requests at once and keeps nothing of any.

    `secret` keys the nonces of placeholders. Replicas that share it give a conversation the same
    placeholders.
    """

    def __init__(self, policy: Policy, restore: bool, scanner: Scanner, secret: bytes) -> None:
        super().__init__(policy)
        self.rewrites = policy.action is Action.REDACT
        self._restore = restore
        self._scanner = scanner
        self._secret = secret

    @property
    def stages(self) -> frozenset[Stage]:
        return self.policy.stages | ({Stage.OUTPUT} if self._restore else frozenset())

    def open(self, request: GuardRequest) -> PiiSession:
        return PiiSession(self.policy, self._restore, self._scanner, Vault(self._secret, request.tenant))


class PiiSession:
    """One request: its vault, and what was found."""

    def __init__(self, policy: Policy, restore: bool, scanner: Scanner, vault: Vault) -> None:
        self._policy = policy
        self._restore = restore
        self._scanner = scanner
        self._vault = vault
        self._streamed: Counter[str] = Counter()

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        """Replace every value by its placeholder. Raises GuardBlocked.

        That includes a text in which new values keep turning up; see `_redact`.
        """
        if Stage.INPUT not in self._policy.stages:
            return self._policy.verdict(Stage.INPUT, {})
        texts = [slot.text for slot in slots]
        found = [await self._scan(text) for text in texts]
        counts = Counter(span.kind for spans in found for span in spans)
        verdict = self._policy.verdict(Stage.INPUT, counts)
        if verdict.action is Action.BLOCK:
            raise GuardBlocked(verdict)
        if verdict.action is Action.REDACT:
            self._vault.avoid(texts)
            for slot, text, spans in zip(slots, texts, found, strict=True):
                if spans:
                    slot.text = await self._redact(text, spans, counts)
            return self._policy.verdict(Stage.INPUT, counts)
        for text, spans in zip(texts, found, strict=True):
            for span in spans:
                self._vault.learn(span.detector.canonical(text[span.start : span.end]))
        return verdict

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        """Restore and mask each text as one whole. Raises GuardBlocked."""
        counts: Counter[str] = Counter()
        for slot in slots:
            text = slot.text
            stream = self._filter(counts)
            guarded = await _in_thread_if_long(text, stream.process_whole)
            if guarded != text:
                slot.text = guarded
        return self._policy.verdict(Stage.OUTPUT, counts)

    def open_stream(self, scope: Scope) -> PiiStreamFilter:
        return self._filter(self._streamed)

    def stream_verdict(self) -> Verdict:
        return self._policy.verdict(Stage.OUTPUT, self._streamed)

    async def _scan(self, text: str) -> list[Span]:
        return await _in_thread_if_long(text, lambda whole: list(self._scanner.spans(fold(whole))))

    async def _redact(self, text: str, spans: Sequence[Span], counts: Counter[str]) -> str:
        """`text` with placeholders, until nothing more is found in it.

        A placeholder may lay bare what was glued to its value. Looking again also makes sure that a reply
        which repeats the redacted text is restored to the very text: nothing in it is left to be masked.
        """
        for _ in range(_MOST_PASSES):
            text = self._replace(text, spans)
            spans = await self._scan(text)
            if not spans:
                return text
            counts.update(span.kind for span in spans)
        raise GuardBlocked(replace(self._policy.verdict(Stage.INPUT, counts), action=Action.BLOCK))

    def _replace(self, text: str, spans: Sequence[Span]) -> str:
        pieces: list[str] = []
        position = 0
        for span in spans:
            value = text[span.start : span.end]
            placeholder = self._vault.placeholder(span.kind, value, span.detector.canonical(value))
            pieces += (text[position : span.start], placeholder)
            position = span.end
        return "".join((*pieces, text[position:]))

    def _filter(self, counts: Counter[str]) -> PiiStreamFilter:
        return PiiStreamFilter(
            name=self._policy.name,
            action=self._policy.action,
            scanner=self._scanner if Stage.OUTPUT in self._policy.stages else None,
            vault=self._vault,
            restore=self._restore,
            counts=counts,
        )


async def _in_thread_if_long(text: str, work: Callable[[str], _Result]) -> _Result:
    if len(text) > _LONG_TEXT:
        return await asyncio.to_thread(work, text)
    return work(text)
