"""YAML text to plain data, with the place of every key and with `${ENV}` expanded. Knows no schema.

Only plain data comes out: mappings with text keys, lists, text, numbers, booleans, null. No tag constructs an
object, aliases cannot multiply without bound, and a key given twice is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.config.faults import Fault, Path, format_path

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_NODES = 50_000

# `{` means something to YAML, so `{key: ${NAME}}` would not parse: before parsing, the braces of a variable
# become two private-use characters (as wide, so that columns stay true), and are known by them afterwards.
_WRITTEN = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*(?::-[^{}\n]*)?)\}", re.ASCII)
_OPEN, _CLOSE = "\ue000", "\ue001"
_VARIABLE = re.compile(rf"\$\$\{{|\$\{{|\${_OPEN}(\w+)(?::-([^{_CLOSE}]*))?{_CLOSE}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = (_TAG + "str", _TAG + "timestamp", _TAG + "value")
# Where an unset variable means "not given" and is no fault.
OPTIONAL_VARIABLES: frozenset[Path] = frozenset({("admin_key",)})


@dataclass(slots=True)
class Document:
    """A parsed file: its data, the place of every path in it, and the faults found so far."""

    data: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)  # line and column, from 1
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, message: str) -> Fault:
        """A fault at `path`, placed at the nearest part of the path that the file has."""
        for length in range(len(path), -1, -1):
            if place := self.places.get(path[:length]):
                return Fault(*place, format_path(path), message)
        return Fault(None, None, format_path(path), message)

    def add(self, path: Path, message: str) -> None:
        """Note a fault, unless this very path has one: the first is the cause, the rest follow from it."""
        fault = self.fault(path, message)
        if all(known.path != fault.path for known in self.faults):
            self.faults.append(fault)

    def has_fault(self, path: Path) -> bool:
        """Whether a fault was noted at this very path."""
        return any(fault.path == format_path(path) for fault in self.faults)


class _TooMuch(Exception):
    """The file unfolds beyond its bounds; reading stops."""


def parse(raw: bytes, env: Mapping[str, str]) -> Document:
    """Read YAML from `raw`. All faults are in the result; nothing is raised for a bad file."""
    document = Document()
    node = _compose(raw, document)
    if node is not None:
        walker = _Walker(document, env)
        try:
            document.data = walker.walk(node, (), 0)
        except _TooMuch as error:
            document.faults.append(Fault(node.start_mark.line + 1, 1, "", str(error)))
            document.data = None
    if document.data is None and not document.faults:
        document.faults.append(Fault(None, None, "", "the file is empty; it needs at least models:"))
    return document


def _compose(raw: bytes, document: Document) -> yaml.Node | None:
    """The node graph of the file's one document, or None with the reason noted."""
    if len(raw) > MAX_BYTES:
        document.faults.append(Fault(None, None, "", f"the file is larger than {MAX_BYTES} bytes"))
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        document.faults.append(Fault(line, None, "", "the file is not UTF-8 text"))
        return None
    try:
        node: yaml.Node | None = yaml.compose(_WRITTEN.sub(rf"${_OPEN}\1{_CLOSE}", text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"not valid YAML: {error.problem or error.context}"
        document.faults.append(
            Fault(mark.line + 1, mark.column + 1, "", problem) if mark else Fault(None, None, "", problem)
        )
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.faults.append(Fault(line, None, "", "holds a control character that YAML does not allow"))
    except RecursionError:
        document.faults.append(Fault(None, None, "", f"nested deeper than {MAX_DEPTH} levels"))
    else:
        return node
    return None


class _Walker:
    """Turns nodes into data once, noting places and faults."""

    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document = document
        self._env = env
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()
        self._resolver = yaml.resolver.Resolver()

    def walk(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _TooMuch(f"unfolds to more than {MAX_NODES} values (aliases included)")
        if depth > MAX_DEPTH:  # an alias inside its own anchor ends here too
            raise _TooMuch(f"nested deeper than {MAX_DEPTH} levels")
        mark = node.start_mark
        self._document.places.setdefault(path, (mark.line + 1, mark.column + 1))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.walk(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._document.add(path, "has a YAML tag; only plain values are read")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if key_node.tag == _TAG + "merge":
                base = self.walk(value_node, (*path, "<<"), depth + 1)
                if isinstance(base, dict):
                    merged |= base
                    for name in base:
                        self._document.places.setdefault((*path, name), (line, column))
                else:
                    self._document.add((*path, "<<"), "must name one mapping to merge")
                continue
            key = key_node.value
            if not isinstance(key, str) or _SURROGATE.search(key):
                self._document.faults.append(Fault(line, column, format_path(path), "a key must be plain text"))
                continue
            key = key.replace(_OPEN, "{").replace(_CLOSE, "}")
            if key in result:
                first = self._document.places[(*path, key)][0]
                self._document.faults.append(
                    Fault(line, column, format_path((*path, key)), f"given twice (first on line {first})")
                )
                continue
            self._document.places[(*path, key)] = (line, column)
            result[key] = self.walk(value_node, (*path, key), depth + 1)
        return merged | result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        if _SURROGATE.search(text):
            self._document.add(path, "holds half a character (a lone surrogate)")
            return None
        expanded = self._expand(text, path)
        if expanded is None or (expanded == "" and text and node.style is None):
            return None  # a plain `${NAME}` that comes to nothing is what an empty value is in YAML: null
        if expanded != text or node.tag in _TEXT_TAGS:
            return expanded  # what the environment gives is text; the schema makes numbers of it
        try:
            match node.tag.removeprefix(_TAG):
                case "null":
                    return None
                case "bool":
                    return self._scalars.construct_yaml_bool(node)
                case "int":
                    return self._scalars.construct_yaml_int(node)
                case "float":
                    return self._scalars.construct_yaml_float(node)
        except (ValueError, KeyError, OverflowError):
            self._document.add(path, "is not a value YAML can read; put it in quotes if it is text")
            return None
        self._document.add(path, "has a YAML tag; only plain values are read")
        return None

    def _expand(self, text: str, path: Path) -> str | None:
        """`text` with its variables replaced and `$${` as a literal `${`; None with the reason noted."""
        if "$" not in text:
            return text
        missing: list[str] = []

        def replace(match: re.Match[str]) -> str:
            name, default = match[1], match[2]
            if match[0] == "$${":
                return "${"
            if name is None:
                missing.append("")
                return ""
            value = self._env.get(name)
            if default is not None and not value:
                return str(default)
            if value is None:
                missing.append(name)
                return ""
            return value

        expanded = _VARIABLE.sub(replace, text)
        if not missing:
            if _SURROGATE.search(expanded):
                self._document.add(path, "the environment's value is not UTF-8 text")
                return None
            return expanded
        if "" in missing:
            self._document.add(path, "has a ${ that is not ${NAME} or ${NAME:-default}; write $${ for a literal ${")
        elif path not in OPTIONAL_VARIABLES:
            names = ", ".join(dict.fromkeys(missing))
            self._document.add(path, f"environment variable {names} is not set")
        return None
