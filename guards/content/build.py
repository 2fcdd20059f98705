"""Builds a `content` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from guards.base import Policy
from guards.content.addresses import Hosts
from guards.content.categories import CATEGORIES
from guards.content.guard import Checks, ContentGuard, Limits
from guards.content.judges import Judges
from guards.content.language import INSTALL, missing
from guards.content.links import LinkPass
from guards.content.markup import MarkupPass
from guards.content.passes import OpenPass, SpanPass
from guards.content.programs import LANGUAGES
from guards.content.statements import StatementPass
from guards.resources import Resources
from guards.spans.patterns import DEFAULT_LONGEST, MOST, BadPattern
from guards.spans.recognizers import Recognizer, pattern_recognizer, word_recognizer
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError, Scope, Stage

ACTIONS = frozenset({Action.REDACT, Action.BLOCK, Action.FLAG, Action.LOG})
SCOPES = frozenset({Scope.USER, Scope.ASSISTANT, Scope.REASONING, Scope.TOOL_CALL})

DEFAULT_THRESHOLD = 0.5
# What has a place in the text, so that it can be taken out; the rest can only be objected to.
REDACTABLE = ("words", "regex", "html", "sql", "images", "links")
_ONLY_IN = {"max_characters": Stage.INPUT, "max_tokens": Stage.INPUT, "max_reply_characters": Stage.OUTPUT}
_OF_REPLIES = ("html", "images", "links", "max_reply_characters")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_HOST = re.compile(r"(?:\*\.)?[^\s/:@*?#\\]+")


class Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of words under a name of its own."""

    name: str
    words: tuple[str, ...]
    replacement: str | None = None


class Pattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern (RE2) under a name of its own. `longest`: characters that a repetition without an end may match."""

    name: str
    regex: str
    longest: int = DEFAULT_LONGEST
    replacement: str | None = None


class Language(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`allow`: codes of languages (ISO 639-1). `min_confidence`: how sure it must be that a text is in another one."""

    allow: tuple[str, ...]
    min_confidence: float = 0.6


class Addresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`allow_hosts`: `example.com` is that host alone, `*.example.com` every host under it."""

    allow_hosts: tuple[str, ...] = ()


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`categories`: with the score from which a text is one of them, or a list of names for 0.5 each. `words`, `regex`:
    what must not be said. `language`: what texts may be written in. `code`: languages of programs. `sql`, `html`: what
    does damage. `images`, `links`: addresses, by their host. `max_characters`, `max_tokens`: of a prompt;
    `max_reply_characters`: of a reply. `replacement`: what stands for anything redacted, by default its name in
    brackets."""

    categories: Mapping[str, float] | tuple[str, ...] = ()
    words: tuple[str | Listed, ...] = ()
    regex: tuple[str | Pattern, ...] = ()
    language: Language | None = None
    code: tuple[str, ...] = ()
    sql: bool = False
    html: bool = False
    images: Addresses | None = None
    links: Addresses | None = None
    max_characters: int | None = None
    max_tokens: int | None = None
    max_reply_characters: int | None = None
    replacement: str | None = None


def build(spec: GuardSpec, resources: Resources) -> ContentGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    asked = [name for name in Options.__struct_fields__ if name != "replacement" and getattr(options, name)]
    asked += [name for name in _ONLY_IN if getattr(options, name) == 0]
    if not asked:
        names = ", ".join(name for name in Options.__struct_fields__ if name != "replacement")
        raise GuardConfigError(f'kind "content" has nothing to look for; say one of {names}')
    policy = Policy.of(spec, actions=ACTIONS, action=Action.BLOCK, stages=_stages(asked), scopes=SCOPES)
    _check_stages(policy, asked)
    if policy.action is Action.REDACT:
        for name in asked:
            if name not in REDACTABLE:
                raise GuardConfigError(
                    f'"{name}" has no place that could be redacted; give it a guard of its own that blocks or flags',
                    (name,),
                )
    checks = Checks(_judges(options), _passes(options), _limits(options))
    return ContentGuard(policy, checks, resources.cache, b"content\0" + msgspec.json.encode(options))


def _limits(options: Options) -> Limits:
    for name in _ONLY_IN:
        if (limit := getattr(options, name)) is not None and limit < 1:
            raise GuardConfigError(f"{name} must be at least 1", (name,))
    return Limits(options.max_characters, options.max_tokens, options.max_reply_characters)


def _stages(asked: Sequence[str]) -> frozenset[Stage]:
    """Where the guard stands by default: links and the like are only looked for in replies."""
    if all(name in _OF_REPLIES for name in asked):
        return frozenset({Stage.OUTPUT})
    if all(_ONLY_IN.get(name) is Stage.INPUT for name in asked):
        return frozenset({Stage.INPUT})
    return frozenset(Stage)


def _check_stages(policy: Policy, asked: Sequence[str]) -> None:
    for name in asked:
        if (stage := _ONLY_IN.get(name)) is not None and stage not in policy.stages:
            raise GuardConfigError(
                f'"{name}" is looked at on the {stage.value}, where this guard does not stand', (name,)
            )


def _judges(options: Options) -> Judges:
    for index, name in enumerate(options.code):
        if name not in LANGUAGES:
            raise GuardConfigError(f'unknown language "{name}"; known: {", ".join(LANGUAGES)}', ("code", index))
    return Judges(
        thresholds=_thresholds(options.categories),
        languages=_languages(options.language),
        min_confidence=options.language.min_confidence if options.language else 0.0,
        code=options.code,
    )


def _thresholds(asked: Mapping[str, float] | tuple[str, ...]) -> dict[str, float]:
    thresholds = dict(asked) if isinstance(asked, Mapping) else dict.fromkeys(asked, DEFAULT_THRESHOLD)
    for index, (name, threshold) in enumerate(thresholds.items()):
        at = ("categories", name if isinstance(asked, Mapping) else index)
        if name not in CATEGORIES:
            raise GuardConfigError(f'unknown category "{name}"; known: {", ".join(CATEGORIES)}', at)
        if not 0 < threshold <= 1:
            raise GuardConfigError(f"the threshold is {threshold:g}; it is more than 0 and at most 1", at)
    return thresholds


def _languages(asked: Language | None) -> frozenset[str]:
    if asked is None:
        return frozenset()
    if not asked.allow:
        raise GuardConfigError("no languages are allowed; name some", ("language", "allow"))
    for index, code in enumerate(asked.allow):
        if not re.fullmatch(r"[a-z]{2,3}", code):
            raise GuardConfigError(f'"{code}" is no language code; they look like "en"', ("language", "allow", index))
    if not 0 < asked.min_confidence <= 1:
        raise GuardConfigError("min_confidence is more than 0 and at most 1", ("language", "min_confidence"))
    if absent := missing():
        raise GuardConfigError(f"languages cannot be told without {', '.join(absent)}: {INSTALL}", ("language",))
    return frozenset(asked.allow)


def _passes(options: Options) -> list[OpenPass]:
    passes: list[OpenPass] = []
    replacement = options.replacement
    recognizers, replacements = _recognizers(options)
    if recognizers:
        scanner = Scanner((), recognizers)
        passes.append(lambda sink: SpanPass(scanner, replacements, sink))
    if options.html:
        passes.append(lambda sink: MarkupPass(replacement, sink))
    if options.sql:
        passes.append(lambda sink: StatementPass(replacement, sink))
    images, links = _hosts(options.images, "images"), _hosts(options.links, "links")
    if images or links:
        passes.append(lambda sink: LinkPass(images, links, replacement, sink))
    return passes


def _hosts(asked: Addresses | None, key: str) -> Hosts | None:
    if asked is None:
        return None
    for index, host in enumerate(asked.allow_hosts):
        if not _HOST.fullmatch(host):
            message = f'"{host}" is no host; it looks like example.com or *.example.com'
            raise GuardConfigError(message, (key, "allow_hosts", index))
    return Hosts(asked.allow_hosts)


def _recognizers(options: Options) -> tuple[list[Recognizer], dict[str, str]]:
    """For words and patterns, and what stands for each."""
    recognizers: list[Recognizer] = []
    replacements: dict[str, str] = {}
    plain_words = [entry for entry in options.words if isinstance(entry, str)]
    listed: list[tuple[Listed | Pattern, tuple[Any, ...]]] = []
    if plain_words:
        listed.append((Listed(name="WORD", words=tuple(plain_words)), ("words",)))
    listed += [(entry, ("words", i)) for i, entry in enumerate(options.words) if isinstance(entry, Listed)]
    for index, one in enumerate(options.regex):
        pattern = Pattern(name="PATTERN", regex=one) if isinstance(one, str) else one
        listed.append((pattern, ("regex", index)))
    for entry, at in listed:
        if not _NAME.fullmatch(entry.name):
            raise GuardConfigError("a name is of letters, digits, - and _, at most 40 of them", (*at, "name"))
        recognizers.append(_of_words(entry, at) if isinstance(entry, Listed) else _of_pattern(entry, at))
        own = options.replacement if entry.replacement is None else entry.replacement
        replacements[entry.name] = f"[{entry.name}]" if own is None else own
    return recognizers, replacements


def _of_words(entry: Listed, at: tuple[Any, ...]) -> Recognizer:
    if not entry.words or not all(any(map(str.isalnum, word)) for word in entry.words):
        raise GuardConfigError("a list needs words, each with a letter or digit", at)
    try:
        return word_recognizer(entry.name, entry.words)
    except BadPattern as error:
        raise GuardConfigError(f"the list cannot be used: {error}", at) from None


def _of_pattern(entry: Pattern, at: tuple[Any, ...]) -> Recognizer:
    if not 1 <= entry.longest <= MOST:
        raise GuardConfigError(f"longest is from 1 to {MOST:,} characters", (*at, "longest"))
    try:
        return pattern_recognizer(entry.name, entry.regex, entry.longest)
    except BadPattern as error:
        raise GuardConfigError(f"the pattern cannot be used: {error}", at) from None
