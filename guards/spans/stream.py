"""Guards a text that is still being written.

The rule of the safe cut: text may leave as soon as no value and no placeholder can begin in it any more.
The buffer is cut at the first place where one could still begin (`undecided`); all that starts before it is
final, because detectors are local (see `guards.spans.detector`). So every piece is decided exactly as the
whole text would be, however it was cut.

What is held: a word is held until it ends, since an address may begin with it; a number and the separators
after it, until something else follows; `[` only while this request's placeholders begin like that. Never
more than `LOOK_BACK` characters. Characters already sent stay in the buffer as context, nothing else does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from guards.pii.detectors import DETECTORS
from guards.spans.detector import CONTEXT, Detector
from guards.spans.fold import fold
from guards.spans.scanner import Scanner
from guards.spans.vault import Vault
from guards.types import Action, GuardBlocked, Stage, Verdict

LOOK_BACK = max(detector.longest_tail for detector in DETECTORS)
_KEPT = CONTEXT + 2  # a start also looks at the two characters before it


class PiiStreamFilter:
    """Restores and masks one growing text.

    `scanner` None: values are not looked for. `counts` receives what was found, by kind.
    """

    def __init__(
        self,
        *,
        name: str,
        action: Action,
        scanner: Scanner | None,
        vault: Vault,
        restore: bool,
        counts: Counter[str],
    ) -> None:
        self._name = name
        self._action = action
        self._scanner = scanner
        self._vault = vault
        self._restore = restore
        self._counts = counts
        self._buffer = ""
        self._sent = 0  # characters of the buffer that have left and are context now

    @property
    def held(self) -> str:
        return self._buffer[self._sent :]

    async def feed(self, text: str) -> str:
        """Take the next piece; return what is decided. Raises GuardBlocked."""
        self._buffer += text
        return self._process(final=False)

    async def finish(self) -> str:
        """Return what was held back. Raises GuardBlocked."""
        return self._process(final=True)

    def process_whole(self, text: str) -> str:
        """Guard a text that is complete, without waiting. Raises GuardBlocked."""
        self._buffer += text
        return self._process(final=True)

    def _process(self, *, final: bool) -> str:
        text, begin = self._buffer, self._sent
        folded = fold(text) if self._scanner else b""
        limit = len(text)
        if not final:
            if self._scanner:
                limit = self._scanner.undecided(folded, begin)
            if self._restore:
                limit = min(limit, self._vault.undecided(text, begin))
        pieces: list[str] = []
        position = begin
        for start, end, replacement in self._replacements(text, folded, begin, limit):
            pieces += (text[position:start], replacement)
            position = end
        if position < limit:
            pieces.append(text[position:limit])
            position = limit
        dropped = max(0, position - _KEPT)
        self._buffer, self._sent = text[dropped:], position - dropped
        return "".join(pieces)

    def _replacements(self, text: str, folded: bytes, begin: int, limit: int) -> Iterator[tuple[int, int, str]]:
        """The values and placeholders in the text, in order: start, end, what stands there from now on.

        A value that stays is among them: the next one may begin only after it.

        A value never reaches into a placeholder: no value holds a bracket, and none begins inside of one.
        """
        found: list[tuple[int, int, Detector | str]] = []
        if self._restore:
            found += self._vault.find(text, begin, limit)
        if self._scanner:
            found += ((span.start, span.end, span.detector) for span in self._scanner.spans(folded, begin, limit))
        found.sort(key=lambda item: item[0])
        for start, end, what in found:
            if isinstance(what, str):
                yield start, end, what
            else:
                yield start, end, self._judge(what, text[start:end])

    def _judge(self, detector: Detector, value: str) -> str:
        """What stands in the place of a value. Raises GuardBlocked."""
        if self._vault.owns(detector.canonical(value)):
            return value
        self._counts[detector.kind] += 1
        if self._action is Action.BLOCK:
            raise GuardBlocked(self._verdict())
        return f"[{detector.kind}]" if self._action is Action.REDACT else value

    def _verdict(self) -> Verdict:
        return Verdict(guard=self._name, stage=Stage.OUTPUT, action=self._action, findings=dict(self._counts))
