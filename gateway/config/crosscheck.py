"""Rules between parts of the file: names that must be unique, or must exist, or must not form a circle.

They read the plain data, not the typed `Config`, so that one wrong value elsewhere does not hide them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import Any

from gateway.config.faults import Path
from gateway.config.providers import NATIVE, PROVIDERS
from gateway.config.source import Document
from gateway.tokens import ENCODINGS

FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_filter_fallbacks")
_PROVIDER_KEYS = ("model", "base_url", "api_key", "proxy", "ca_file", "options")


def check_references(document: Document) -> None:
    """Note every fault that lies between parts of the file."""
    _unique(document, "models")
    _unique(document, "guards")
    for kind in FALLBACKS:
        _fallbacks(document, kind)
    _hedges(document)
    _difficulty(document)
    _guard_models(document)
    engines = _engine_models(document)
    names: dict[str, tuple[str, ...]] = {}
    prices: dict[str, Any] = {}
    watched: dict[str, Any] = {}
    for path, target in _targets(document):
        _target_kind(document, path, target)
        _target_provider(document, path, target)
        _target_engine(document, path, target, engines)
        _target_name(document, path, target, names)
        _target_price(document, path, target, prices)
        _target_health(document, path, target, watched)


def check_files(document: Document) -> None:
    """Note every local model, tokenizer and price list whose file is not on the disk."""
    named: list[tuple[Path, Any]] = [
        (("engine", "models", name, "path"), model.get("path") if isinstance(model, dict) else None)
        for name, model in _engine_models(document).items()
    ]
    for path, target in _targets(document):
        tokenizer = target.get("tokenizer")
        named.append(((*path, "tokenizer"), None if tokenizer in ENCODINGS else tokenizer))
    for index, model in _mappings(_section(document, "models")):
        if isinstance(difficulty := model.get("difficulty"), dict):
            named.append((("models", index, "difficulty", "model"), difficulty.get("model")))
    prices = _section(document, "prices")
    named.append((("prices", "file"), prices.get("file") if isinstance(prices, dict) else None))
    for path, file in named:
        if isinstance(file, str) and file and not _is_file(file):
            document.add(path, f"no such file (from {FilePath.cwd()})")


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean "…"?)` for a close match, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _unique(document: Document, section: str) -> None:
    first: dict[str, int] = {}
    for index, item in _mappings(_section(document, section)):
        name = item.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            document.add((section, index, "name"), f'"{name}" is already the name of {section}[{first[name]}]')
        else:
            first[name] = index


def _fallbacks(document: Document, kind: str) -> None:
    """Fallbacks of one kind. Kinds may go round in a circle together: no model is tried twice for a request."""
    graph: dict[str, list[tuple[Path, str]]] = {}
    for index, model in _mappings(_section(document, "models")):
        edges: list[tuple[Path, str]] = [
            (("models", index, kind, position), name)
            for position, name in enumerate(_list(model.get(kind)))
            if isinstance(name, str)
        ]
        if kind == "fallbacks":
            edges += _tiers(index, model)
        if isinstance(name := model.get("name"), str):
            graph.setdefault(name, edges)
    by_difficulty = {
        model.get("name")
        for _, model in _mappings(_section(document, "models"))
        if model.get("routing") == "difficulty"
    }
    for edges in graph.values():
        for path, name in edges:
            if name not in graph:
                document.add(path, f'no model is named "{name}"{suggestion(name, graph)}')
            elif name in by_difficulty:
                document.add(path, f'"{name}" routes by difficulty and has no targets; name one of its tiers')
    _circles(
        document, {name: [edge for edge in edges if edge[1] not in by_difficulty] for name, edges in graph.items()}
    )


def _tiers(index: int, model: dict[str, Any]) -> list[tuple[Path, str]]:
    """The models that a difficulty router sends to, each with its place."""
    section = model.get("difficulty")
    named = ((tier, section.get(tier)) for tier in ("simple", "medium", "hard")) if isinstance(section, dict) else ()
    return [(("models", index, "difficulty", tier), name) for tier, name in named if isinstance(name, str)]


def _difficulty(document: Document) -> None:
    """A model has tiers or targets of its own, as its routing says."""
    for index, model in _mappings(_section(document, "models")):
        path: Path = ("models", index)
        targets = model.get("targets")
        if model.get("routing") == "difficulty":
            if model.get("difficulty") is None:
                document.add(path, "routing: difficulty needs difficulty: {simple: MODEL, medium: MODEL, hard: MODEL}")
            if targets:
                document.add((*path, "targets"), "routing: difficulty has no targets of its own; its tiers have")
            continue
        if model.get("difficulty") is not None:
            document.add((*path, "difficulty"), "belongs to models with routing: difficulty")
        elif "targets" not in model:
            document.add((*path, "targets"), "this key is required")
        elif targets == []:
            document.add((*path, "targets"), "must have at least one element")


def _guard_models(document: Document) -> None:
    """A model that a guard asks is one of the gate's."""
    names = {model.get("name") for _, model in _mappings(_section(document, "models"))}
    for index, guard in _mappings(_section(document, "guards")):
        judge = guard.get("judge")
        asked: list[tuple[Path, Any]] = [(("guards", index, "model"), guard.get("model"))]
        if isinstance(judge, dict):
            asked.append((("guards", index, "judge", "model"), judge.get("model")))
        for path, name in asked:
            if isinstance(name, str) and name not in names:
                known = [known for known in names if isinstance(known, str)]
                document.add(path, f'no model is named "{name}"{suggestion(name, known)}')


def _hedges(document: Document) -> None:
    """A hedge asks a second target of the same model."""
    for index, model in _mappings(_section(document, "models")):
        if model.get("hedge") is not None and len(_list(model.get("targets"))) < 2:
            document.add(("models", index, "hedge"), "needs a second target to ask; this model has none")


def _circles(document: Document, graph: dict[str, list[tuple[Path, str]]]) -> None:
    """Note each edge that closes a circle (depth-first; without recursion, as a chain may be long)."""
    done: set[str] = set()
    for start in graph:
        trail: list[str] = []
        stack: list[tuple[str, Iterator[tuple[Path, str]]]] = []
        if start not in done:
            trail.append(start)
            stack.append((start, iter(graph[start])))
        while stack:
            name, edges = stack[-1]
            for path, following in edges:
                if following in trail:
                    circle = " → ".join([*trail[trail.index(following) :], following])
                    document.add(path, f"fallbacks go round in a circle: {circle}")
                elif following in graph and following not in done:
                    trail.append(following)
                    stack.append((following, iter(graph[following])))
                    break
            else:
                done.add(name)
                trail.pop()
                stack.pop()


def _target_kind(document: Document, path: Path, target: dict[str, Any]) -> None:
    engine, provider = target.get("engine"), target.get("provider")
    if engine is not None and provider is not None:
        document.add((*path, "provider"), "a target has an engine or a provider, not both")
    elif engine is None and provider is None:
        if not (document.has_fault((*path, "engine")) or document.has_fault((*path, "provider"))):
            document.add(path, "needs engine: NAME (a local model) or provider: NAME with model: NAME")
    elif provider is not None and target.get("model") is None:
        if not document.has_fault((*path, "model")):
            document.add(path, "a target with a provider needs model: NAME")
    elif engine is not None:
        for key in _PROVIDER_KEYS:
            if target.get(key) is not None:
                document.add((*path, key), "belongs to targets with a provider; this one has an engine")
    price = target.get("price")
    if (
        engine is None
        and provider is not None
        and isinstance(price, dict)
        and price.get("per_compute_second") is not None
    ):
        document.add((*path, "price", "per_compute_second"), "only a local engine's time is known; price tokens")


def _target_provider(document: Document, path: Path, target: dict[str, Any]) -> None:
    """A provider that there is, with all it needs and nothing that it would not use."""
    name = target.get("provider")
    if not isinstance(name, str):
        return
    provider = PROVIDERS.get(name)
    if provider is None:
        message = f'there is no provider "{name}"{suggestion(name, PROVIDERS)}; "openai" reaches any server that speaks'
        document.add((*path, "provider"), f"{message} the OpenAI API")
        return
    if provider.key and target.get("api_key") is None:
        document.add(path, f'a target with the provider "{name}" needs api_key: KEY')
    if provider.address and target.get("base_url") is None:
        document.add(path, f'a target with the provider "{name}" needs base_url: URL')
    for key in ("proxy", "ca_file"):
        if name != NATIVE and target.get(key) is not None:
            document.add((*path, key), f"is for provider: {NATIVE}; other providers are reached by their own clients")
    options = target.get("options")
    given = options if isinstance(options, dict) else {}
    for option in provider.required:
        if given.get(option) is None:
            document.add(path, f'a target with the provider "{name}" needs options: {{{option}: …}}')
    for option in given:
        if isinstance(option, str) and option not in provider.options:
            message = f'the provider "{name}" has no such option{suggestion(option, provider.options)}'
            document.add((*path, "options", option), message)


def _target_engine(document: Document, path: Path, target: dict[str, Any], engines: dict[str, Any]) -> None:
    engine = target.get("engine")
    if isinstance(engine, str) and engine not in engines:
        message = f'engine.models has no "{engine}"{suggestion(engine, engines)}'
        document.add((*path, "engine"), message)


def _target_name(document: Document, path: Path, target: dict[str, Any], names: dict[str, Any]) -> None:
    """A name given by hand stands for one upstream wherever it is used."""
    name = target.get("name")
    if not isinstance(name, str):
        return
    upstream = tuple(str(target.get(key)) for key in ("engine", "provider", *_PROVIDER_KEYS))
    if names.setdefault(name, upstream) != upstream:
        document.add((*path, "name"), f'"{name}" already names a target with another upstream')


def _target_price(document: Document, path: Path, target: dict[str, Any], prices: dict[str, Any]) -> None:
    """A target has one price wherever it is used: it is what the price book and the ledger know it by."""
    name = target.get("name")
    if isinstance(name, str) and prices.setdefault(name, target.get("price")) != target.get("price"):
        document.add(path, f'"{name}" has another price elsewhere; give one of the two a name of its own')


def _target_health(document: Document, path: Path, target: dict[str, Any], watched: dict[str, Any]) -> None:
    """A target is watched in one way wherever it is used, and a probe needs a server to ask and a breaker to open."""
    name, breaker, health = target.get("name"), target.get("breaker"), target.get("health")
    if isinstance(name, str) and watched.setdefault(name, (breaker, health)) != (breaker, health):
        document.add(path, f'"{name}" has another breaker or health elsewhere; give one of the two a name of its own')
    if health is None:
        return
    if target.get("provider") != "openai":
        document.add((*path, "health"), 'only targets with provider "openai" can be probed')
    elif breaker is False:
        document.add((*path, "health"), "has nothing to open: this target's breaker is off")


def _targets(document: Document) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, model in _mappings(_section(document, "models")):
        for position, target in _mappings(model.get("targets")):
            yield ("models", index, "targets", position), target


def _engine_models(document: Document) -> dict[str, Any]:
    engine = _section(document, "engine")
    models = engine.get("models") if isinstance(engine, dict) else None
    return models if isinstance(models, dict) else {}


def _section(document: Document, name: str) -> Any:
    return document.data.get(name) if isinstance(document.data, dict) else None


def _mappings(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((index, item) for index, item in enumerate(_list(value)) if isinstance(item, dict))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_file(path: str) -> bool:
    try:
        return FilePath(path).is_file()
    except OSError:  # such as a name too long to be a file's
        return False
