"""Turns of phrase that attacks are made of, each with the points it is worth: in log-odds, added to the model's.

The rules stand in `rulebook/*.toml`. `direct` points count in what people say to a model, `indirect` in texts that were
fetched, where an order to whoever reads it is itself suspicious. Of rules of one family only the strongest counts, so
that saying a thing twice adds nothing; points below 0 are for texts that speak about attacks. A rule is `over` the
flattened words (`normalise.flatten`; sentences end in ` .`) or over the text as it looks, for marks, addresses and
languages without spaces. All are RE2: linear in the text, whatever it holds. A pattern may use the file's `[lists]` as
`{NAME}`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import msgspec
import re2

from guards.injection.anchors import keys_of, needs
from guards.injection.normalise import fold_letters

FILES = ("english.toml", "marks.toml", "languages.toml")
_MEMORY = 16 * 2**20  # bytes that one pattern's automaton may take
_NAME = re.compile(r"\{([A-Z]+)\}")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`pattern`: with its lists put in, and spelt as texts are read."""

    id: str
    family: str
    direct: float
    indirect: float
    pattern: str
    over: Literal["words", "text"] = "words"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rule: list[Rule]
    lists: dict[str, str] = {}


class _Search(NamedTuple):
    words: tuple[frozenset[tuple[str]], ...]
    pattern: Any
    rule: Rule


class RuleSet:
    """Rules compiled together. Safe to share between threads; keeps no text."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        options = re2.Options()
        options.max_mem = _MEMORY
        self._by_key: dict[tuple[str, ...], list[_Search]] = {}
        self._marks = re2.Set.SearchSet(options)
        self._mark_rules = []
        for rule in self.rules:
            if rule.over == "text":
                self._marks.Add(rule.pattern)
                self._mark_rules.append(rule)
                continue
            compiled = re2.compile(rule.pattern, options)
            for keys, groups in needs(rule.pattern):
                search = _Search(tuple(frozenset(zip(words, strict=False)) for words in groups), compiled, rule)
                for key in keys:
                    self._by_key.setdefault(key, []).append(search)
        self._marks.Compile()

    def match(self, flat: str, clean_text: str) -> list[Rule]:
        """The rules that are found in a text, flattened and as it looks."""
        keys = keys_of(flat.split())
        absent = keys.isdisjoint
        searches = {
            search.rule.id: search
            for key in self._by_key.keys() & keys
            for search in self._by_key[key]
            if not any(map(absent, search.words))
        }
        raw = flat.encode("utf-8", "replace")
        found = [search.rule for search in searches.values() if search.pattern.search(raw)]
        marks = self._marks.Match(clean_text.encode("utf-8", "replace")) or ()
        return found + [self._mark_rules[index] for index in marks]


@cache
def rule_set() -> RuleSet:
    """All rules, read and compiled once."""
    return RuleSet(
        rule for name in FILES for rule in read_rules((files(__package__) / "rulebook" / name).read_text("utf-8"))
    )


def read_rules(text: str) -> list[Rule]:
    """The rules of one file. Raises ValueError for what is none."""
    data = msgspec.convert(tomllib.loads(text), _File)
    return [
        msgspec.structs.replace(rule, pattern=fold_letters(_NAME.sub(lambda name: data.lists[name[1]], rule.pattern)))
        for rule in data.rule
    ]
