"""The way in: a file and an environment become a `Config`, or a `ConfigError` with every fault."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.config import faults
from gateway.config.crosscheck import check_files as check_files_exist
from gateway.config.crosscheck import check_references, suggestion
from gateway.config.faults import ConfigError, Fault
from gateway.config.schema import Config
from gateway.config.source import Document, parse
from gateway.config.unbuilt import refuse_unbuilt

_MESSAGES = {
    "missing": "this key is required",
    "model_type": "must be a mapping (key: value)",
    "mapping_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "tuple_type": "must be a list",
    "too_short": "must have at least one element",
    "string_too_short": "must not be empty",
    "string_type": "must be text; put a number in quotes",
    "secret_type": "must be text; put a number in quotes",
}


def load_config(path: Path, env: Mapping[str, str], *, check_files: bool = True) -> Config:
    """Read, expand and check the file at `path`. Relative paths in it are relative to the working directory.

    `check_files`: also look whether the local models' files exist (commands that serve nothing need not).
    Raises ConfigError with all faults.
    """
    source = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ConfigError(source, [Fault(None, None, "", f"cannot read the file: {reason}")]) from None
    except ValueError:  # a path with a null character
        raise ConfigError(source, [Fault(None, None, "", "cannot read the file: not a path")]) from None
    document = parse(raw, env)
    if document.data is None:
        raise ConfigError(source, document.faults)
    refuse_unbuilt(document)
    check_references(document)
    if check_files:
        check_files_exist(document)
    config = _validate(document)
    if config is None or document.faults:
        raise ConfigError(source, document.faults)
    config._document = document
    document.data = None  # the expanded text, secrets included, has served its purpose
    return config


def _validate(document: Document) -> Config | None:
    try:
        return Config.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    for detail in details:
        path = _path(detail["loc"])
        document.add(path, _message(detail["type"], detail["msg"], path))
    return None


def _path(location: tuple[int | str, ...]) -> faults.Path:
    """pydantic's location without the marker it puts behind a wrong mapping key."""
    return location[:-1] if location and location[-1] == "[key]" else location


def _message(kind: str, text: str, path: faults.Path) -> str:
    if kind == "extra_forbidden":
        return f"unknown key{suggestion(str(path[-1]), _known_keys(path[:-1]))}"
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    return re.sub(r"^(Value error, |(Input|String|Value) should )", _plainer, text)


def _plainer(prefix: re.Match[str]) -> str:
    return "" if prefix[0].startswith("Value error") else "must "


def _known_keys(path: faults.Path) -> list[str]:
    """The keys the schema has for the section at `path`."""
    model: Any = Config
    for step in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(step))
            model = field.annotation if field else None
        else:
            model = _section_within(model)
    model = _section_within(model)
    return list(model.model_fields) if model else []


def _section_within(annotation: Any) -> type[BaseModel] | None:
    """The section a list, mapping or optional of sections holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _section_within(argument):
            return found
    return None
