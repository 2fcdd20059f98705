"""An operator's own Presidio recognizers, in a worker process. Imported by workers only.

They get the words of a text as they are written, without lemmas and without a model's entities: so context words have
to be given in the forms in which they occur. Nothing is fetched from anywhere.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,39}")

_loaded: dict[str, _Analyzer] = {}


class NoSuchRecognizer(Exception):
    """A recognizer cannot be used; the message says why."""


def load(key: str, classes: list[str], registry: str | None, threshold: float, languages: list[str]) -> list[str]:
    """Have recognizers at hand under `key`; returns the entities they find. Raises NoSuchRecognizer."""
    if key not in _loaded:
        _loaded[key] = _Analyzer(classes, registry, threshold, languages)
    return _loaded[key].entities


def find(key: str, text: str) -> list[tuple[int, int, str]]:
    """Start, end and entity of all that the recognizers find, as they come."""
    return _loaded[key].find(text)


class _Analyzer:
    def __init__(self, classes: list[str], registry: str | None, threshold: float, languages: list[str]) -> None:
        import spacy

        self._languages = languages
        self._engine = _open(classes, registry, threshold, languages)
        self._tokenizers = {language: spacy.blank(language) for language in languages}
        self.entities = sorted(
            {entity for language in languages for entity in self._engine.get_supported_entities(language)}
        )
        for entity in self.entities:
            if not _NAME.fullmatch(entity):
                raise NoSuchRecognizer(f"entity {entity!r}: a name is of capitals, digits and _, from 2 to 40 of them")

    def find(self, text: str) -> list[tuple[int, int, str]]:
        found: set[tuple[int, int, str]] = set()
        for language in self._languages:
            tokenizer = self._tokenizers[language]
            with tokenizer.memory_zone():
                artifacts = self._artifacts(tokenizer(text), language)
                for result in self._engine.analyze(text, language, nlp_artifacts=artifacts):
                    found.add((int(result.start), int(result.end), str(result.entity_type)))
        return sorted(found)

    def _artifacts(self, words: Any, language: str) -> Any:
        from presidio_analyzer.nlp_engine import NlpArtifacts

        return NlpArtifacts(
            entities=[],
            tokens=words,
            tokens_indices=[word.idx for word in words],
            lemmas=[word.lower_ for word in words],
            nlp_engine=self._engine.nlp_engine,
            language=language,
        )


def _open(classes: list[str], registry_file: str | None, threshold: float, languages: list[str]) -> AnalyzerEngine:
    _stay_offline()
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine
    from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

    words_only = NoOpNlpEngine([{"lang_code": language, "model_name": ""} for language in languages])
    words_only.load()
    registry = RecognizerRegistry(recognizers=[], supported_languages=languages)
    if registry_file is not None:
        registry = RecognizerRegistryProvider(
            conf_file=registry_file, nlp_engine=words_only
        ).create_recognizer_registry()
    for name in classes:
        registry.add_recognizer(_recognizer(name))
    if not registry.recognizers:
        raise NoSuchRecognizer(f"{registry_file} names no recognizer")
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=words_only,
        default_score_threshold=threshold,
        supported_languages=registry.supported_languages,
    )


def _recognizer(name: str) -> Any:
    from presidio_analyzer import EntityRecognizer

    module, _, attribute = name.partition(":")
    recognizer = getattr(importlib.import_module(module), attribute)()
    if not isinstance(recognizer, EntityRecognizer):
        raise NoSuchRecognizer(f"{name} is no presidio_analyzer.EntityRecognizer")
    return recognizer


def _stay_offline() -> None:
    """Presidio's recognizers of addresses ask tldextract, which would fetch the list of all domains."""
    import tldextract

    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
