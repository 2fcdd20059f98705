"""The texts that the bundled weights are made of, written for this project: templates, and what they expand to.

A file of templates has sections, `= LABEL FAMILY LANGUAGE`, with one template a line. `[one|two|]` is one of its
alternatives (the last one here is nothing), `{name}` the same for a list that `@name = ...` names; either may hold
lists. `\\[` is a bracket. A line that begins with `# ` is for the reader of the file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from zlib import crc32

import msgspec

FOLDS = 5
_PART = re.compile(r"\\(.)|\[((?:[^\[\]\\]|\\.)*)\]|\{(\w+)\}")


class Label(StrEnum):
    ATTACK = "attack"
    BENIGN = "benign"


class Row(msgspec.Struct, frozen=True):
    """One labelled text. `template` groups what must not be split between training and holding out."""

    text: str
    label: Label
    family: str = ""
    language: str = ""
    template: str = ""

    @property
    def fold(self) -> int:
        """0 to FOLDS - 1, by a hash of the template: the same for ever."""
        return crc32((self.template or self.text).encode("utf-8", "surrogatepass"), 0xF01D) % FOLDS

    @property
    def held_out(self) -> bool:
        """Whether this row is for evaluation and not for the weights that are evaluated."""
        return self.fold == 0


def expand_file(name: str, each: int, seed: int = 1729) -> list[Row]:
    """`each` different texts of each template of a bundled file, fewer where a template has not so many."""
    lists: dict[str, list[str]] = {}
    templates: list[tuple[str, str, str, str]] = []
    section = ("", "", "")
    for line in _lines(name):
        if line.startswith("@"):
            key, _, values = line[1:].partition(" = ")
            lists[key.strip()] = values.split("|")
        elif line.startswith("= "):
            label, family, language = line[2:].split()
            section = (label, family, language)
        else:
            templates.append((*section, line))
    rows = []
    for label, family, language, template in templates:
        rng = random.Random(crc32(template.encode(), seed))
        texts = dict.fromkeys(_filled(template, lists, rng).strip() for _ in range(3 * each))
        rows += [Row(text, Label(label), family, language, template) for text in list(texts)[:each]]
    return rows


def plain_file(name: str, label: Label, family: str) -> list[Row]:
    """The rows of a bundled file with one text a line."""
    return [Row(line.replace("\\n", "\n"), label, family) for line in _lines(name)]


def _lines(name: str) -> Iterator[str]:
    for line in (files(__package__) / name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("# "):
            yield line


def _filled(template: str, lists: dict[str, list[str]], rng: random.Random, depth: int = 0) -> str:
    def fill(part: re.Match[str]) -> str:
        if part[1] is not None:
            return part[1]
        choices = _alternatives(part[2]) if part[3] is None else lists[part[3]]
        return _filled(rng.choice(choices), lists, rng, depth + 1)

    if depth > 5:
        raise ValueError(f"lists that hold each other: {template}")
    return _PART.sub(fill, template)


def _alternatives(inside: str) -> list[str]:
    return inside.split("|")
