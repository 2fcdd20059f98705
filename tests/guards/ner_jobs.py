"""What the tests of the name finder have workers do."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

_attempts: list[str] = []


def cut_the_network() -> None:
    """From now on each attempt to reach anything is refused and counted."""

    def refuse(_socket: object, address: object) -> None:
        _attempts.append(str(address))
        raise OSError("no network here")

    def no_address(host: object, *_: object, **__: object) -> None:
        _attempts.append(str(host))
        raise OSError("no network here")

    socket.socket.connect = refuse  # type: ignore[assignment,method-assign]
    socket.getaddrinfo = no_address  # type: ignore[assignment]


def network_attempts() -> list[str]:
    return _attempts


def loaded_modules() -> list[str]:
    return [name for name, module in sys.modules.items() if module is not None]


def remembers(word: str) -> bool:
    """Whether any model keeps a word of a text that it read."""
    from guards.ner import models

    return any(word in nlp.vocab.strings for nlp in models._loaded.values())


def write_german_model(folder: str) -> None:
    """A package `de_trial` with a pipeline that knows two names, one of them in no list of ours."""
    import spacy

    nlp = spacy.blank("de")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": "Zwetajewna"}, {"label": "LOC", "pattern": "Quedlingen"}])
    package = Path(folder) / "de_trial"
    nlp.to_disk(package)
    (package / "__init__.py").write_text("raise RuntimeError('the code of a model is not run')\n")


def write_nameless_model(folder: str) -> None:
    import spacy

    package = Path(folder) / "xx_nameless"
    spacy.blank("xx").to_disk(package)
    (package / "__init__.py").touch()
