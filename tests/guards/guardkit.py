"""What the guard tests share: a slot as a door would give, and texts made to hurt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from guards.base import Policy
from guards.build import build_guard
from guards.pii.detectors import DETECTORS
from guards.resources import Resources
from guards.spans.detector import Detector
from guards.spans.finder import Found
from guards.spans.guard import ACTIONS, Extras, SpanGuard
from guards.spans.recognizers import Recognizer
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec
from guards.types import Action, Guard, GuardRequest, GuardSession, Scope, Stage, StreamFilter

SECRET = b"a secret that only these tests know"
REQUEST = GuardRequest("t")


@dataclass
class Slot:
    text: str
    scope: Scope = Scope.USER
    context: str = ""


def pii(
    *,
    stages: tuple[Stage, ...] = (Stage.INPUT, Stage.OUTPUT),
    action: Action = Action.REDACT,
    restore: bool = True,
    secret: bytes = SECRET,
) -> Guard:
    """A pii guard; by default one that redacts and restores on both ways."""
    spec = GuardSpec(name="pii", kind="pii", stages=stages, action=action, options={"restore": restore})
    return build_guard(spec, Resources(secret=secret))


# fmt: off
_PIECES = (
    "ada@example.com", "b@c.de", "own@x.org", "@", ".", "-", "+", "'", "_", " ", "  ", "\n", "(", ")",
    "/", "[", "]", "\\", "\\\\", ":", ",", "4111 1111 1111 1111", "4111111111111111", "4111-1111",
    "1234", "12", "0", "00", "1", "+1", "415", "555", "2671", "(415)", "0171", "020", "7946", "0958",
    "DE89", "3704 0044 0532 0130 00", "call ", "ssn ", "DE89 3704 0044 0532 0130 00",
    "gb82west12345698765432", "078-05-1120", "version ", "1.2.3.4", "203.0.113.7", "192.168",
    "2001:db8::1", "fe80", "::", "e", "ab", "hello", "\xe9", "\u65e5\u672c", "\U0001f600", "\u0301",
    "example.com", "xn--p1ai", "[EMAIL_1_k7]", "[email_1_", "\\[PHONE\\_2\\_", "[US_SSN_1_",
    "+44 20 7946 0958", "415-555-2671", "020 7946 0958", "4155552671",
)
# fmt: on


def hurtful_texts() -> st.SearchStrategy[str]:
    """Pieces of values, separators, look-alikes of placeholders and any other text, in any order."""
    long_runs = st.sampled_from(["a" * 70, "7" * 25, "1 " * 15, "a." * 30, "x@" + "b." * 130, "DE89" + "A" * 40])
    piece = st.one_of(st.sampled_from(_PIECES), st.sampled_from(_PIECES), long_runs, st.text(max_size=6))
    return st.lists(piece, max_size=14).map("".join)


class FakeFinder:
    """Finds the words it is given, whole and in this case; remembers what it was asked."""

    def __init__(self, **words: str) -> None:
        """`words`: for each kind its names, with commas between them."""
        self.kinds = frozenset(words)
        self.asked: list[str] = []
        self.prepared = self.closed = False
        self._pattern = {kind: re.compile(rf"\b(?:{'|'.join(names.split(','))})\b") for kind, names in words.items()}

    async def prepare(self) -> None:
        self.prepared = True

    async def close(self) -> None:
        self.closed = True

    async def find(self, text: str) -> Sequence[Found]:
        self.asked.append(text)
        found = [
            Found(match.start(), match.end(), kind)
            for kind, pattern in self._pattern.items()
            for match in pattern.finditer(text)
        ]
        return sorted(found, key=lambda one: one.start)


def span_guard(
    *,
    detectors: Sequence[Detector] | None = None,
    recognizers: Sequence[Recognizer] = (),
    stages: tuple[Stage, ...] = (Stage.INPUT, Stage.OUTPUT),
    scopes: tuple[Scope, ...] | None = None,
    action: Action = Action.REDACT,
    restore: bool = True,
    secret: bytes = SECRET,
    **extras: Any,
) -> SpanGuard:
    """A guard put together by hand, with parts that no configuration gives."""
    spec = GuardSpec(name="spans", kind="pii", stages=stages, scopes=scopes, action=action)
    policy = Policy.of(spec, actions=ACTIONS, action=Action.REDACT)
    scanner = Scanner(DETECTORS if detectors is None else detectors, recognizers)
    if "finder" in extras:
        extras.setdefault("finder_kinds", extras["finder"].kinds)
    return SpanGuard(policy, restore, scanner, secret, Extras(**extras))


async def hidden(session: GuardSession, *texts: str) -> list[str]:
    """The texts as they leave for the model."""
    slots = [Slot(text) for text in texts]
    await session.check_input(slots)
    return [slot.text for slot in slots]


async def answered(session: GuardSession, text: str, scope: Scope = Scope.ASSISTANT) -> str:
    """A whole reply as the caller gets it."""
    slot = Slot(text, scope)
    await session.check_output([slot])
    return slot.text


async def streamed(stream: StreamFilter, pieces: Iterable[str]) -> str:
    """A reply in pieces as the caller gets it."""
    return "".join([await stream.feed(piece) for piece in pieces]) + await stream.finish()
