"""What the configuration may ask of any guard that hides values, and how it is read.

A kind's own options are a struct derived from `SpanOptions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from guards.base import Policy
from guards.spans.allow import Allow
from guards.spans.fold import fold
from guards.spans.patterns import DEFAULT_LONGEST, MOST, BadPattern, compiled_alone
from guards.spans.recognizers import Recognizer, pattern_recognizer, word_recognizer
from guards.spans.scanner import Scanner
from guards.types import Action, GuardConfigError, Stage

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_LONGEST_WORD = 200


class RecognizerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recognizer of the operator's own: `regex` (RE2) or `words`.

    `context`: a value counts only if one of these words stands shortly before it. `longest`: characters that a
    repetition without an end (`+`, `*`) may match. `examples`: texts in which it has to find something.
    """

    name: str
    regex: str | None = None
    words: tuple[str, ...] | None = None
    context: tuple[str, ...] = ()
    longest: int = DEFAULT_LONGEST
    examples: tuple[str, ...] = ()


class AllowOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values to leave alone: those that `regex` (RE2) matches as a whole, or those at `domain` and below it."""

    regex: str | None = None
    domain: str | None = None


class SpanOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`restore`: whether what was hidden on the way in comes back on the way out; by default wherever it can.
    `operator`: what is put in the place of values; `operators`: the same for single entities. `allow`: values to leave
    alone. `recognizers`: what else to look for."""

    restore: bool | None = None
    operator: Any = None
    operators: dict[str, Any] = {}
    allow: tuple[str | AllowOptions, ...] = ()
    recognizers: tuple[RecognizerOptions, ...] = ()


def restores(asked: bool | None, policy: Policy, reversible: bool) -> bool:
    """Whether the guard restores. Raises GuardConfigError if it is asked to and cannot."""
    possible = policy.action is Action.REDACT and Stage.INPUT in policy.stages
    if asked and not possible:
        raise GuardConfigError("restore needs action 'redact' and stage 'input'", ("restore",))
    if asked and not reversible:
        raise GuardConfigError("restore needs an operator that can be undone: placeholder or fake", ("restore",))
    return possible and reversible if asked is None else asked


def read_recognizers(asked: Sequence[RecognizerOptions]) -> tuple[Recognizer, ...]:
    """Raises GuardConfigError."""
    return tuple(_recognizer(one, ("recognizers", index)) for index, one in enumerate(asked))


def _recognizer(asked: RecognizerOptions, at: tuple[str | int, ...]) -> Recognizer:
    if not _NAME.fullmatch(asked.name):
        raise GuardConfigError("a name is of capitals, digits and _, from 2 to 40 of them", (*at, "name"))
    if not 1 <= asked.longest <= MOST:
        raise GuardConfigError(f"longest is from 1 to {MOST:,} characters", (*at, "longest"))
    for index, word in enumerate(asked.context):
        if not word.strip():
            raise GuardConfigError("an empty word", (*at, "context", index))
    if (asked.regex is None) == (asked.words is None):
        raise GuardConfigError("a recognizer needs either regex or words", at)
    if asked.words is not None:
        recognizer = _of_words(asked, asked.words, at)
    else:
        try:
            recognizer = pattern_recognizer(asked.name, asked.regex or "", asked.longest, asked.context)
        except BadPattern as error:
            raise GuardConfigError(f"the pattern cannot be used: {error}", (*at, "regex")) from None
    for index, example in enumerate(asked.examples):
        if not list(Scanner((), (recognizer,)).spans(fold(example), 0, None, example)):
            raise GuardConfigError("it finds nothing in this example", (*at, "examples", index))
    return recognizer


def _of_words(asked: RecognizerOptions, words: Sequence[str], at: tuple[str | int, ...]) -> Recognizer:
    if not words:
        raise GuardConfigError("no words", (*at, "words"))
    for index, word in enumerate(words):
        if not any(map(str.isalnum, word)):
            raise GuardConfigError("a word has letters or digits", (*at, "words", index))
        if len(word) > _LONGEST_WORD:
            raise GuardConfigError(f"a word has {_LONGEST_WORD} characters at most", (*at, "words", index))
    try:
        return word_recognizer(asked.name, words, asked.context)
    except BadPattern as error:
        raise GuardConfigError(f"the list cannot be used: {error}", (*at, "words")) from None


def read_allow(asked: Sequence[str | AllowOptions]) -> Allow | None:
    """Raises GuardConfigError."""
    values: list[str] = []
    patterns: list[Any] = []
    domains: list[str] = []
    for index, one in enumerate(asked):
        at = ("allow", index)
        if isinstance(one, str):
            if not one.strip():
                raise GuardConfigError("an empty value", at)
            values.append(one)
            continue
        if (one.regex is None) == (one.domain is None):
            raise GuardConfigError("expected a value, {regex: ...} or {domain: ...}", at)
        if one.domain is not None:
            if not one.domain.strip(".") or "@" in one.domain or "/" in one.domain:
                raise GuardConfigError("a domain looks like example.com", (*at, "domain"))
            domains.append(one.domain)
            continue
        try:
            patterns.append(compiled_alone(one.regex or ""))
        except BadPattern as error:
            raise GuardConfigError(f"the pattern cannot be used: {error}", (*at, "regex")) from None
    return Allow(values, patterns, domains) if asked else None


def fingerprint_of(kind: str, options: SpanOptions, extra: Mapping[str, Any] | None = None) -> bytes:
    """All that what is found depends on; for the memory of verdicts."""
    return kind.encode() + b"\0" + msgspec.json.encode([options, extra])
