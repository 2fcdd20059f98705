"""Values that are left alone wherever they are found: exact ones, those of a pattern, those at a domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from guards.spans.detector import plain


class Allow:
    """`patterns` (RE2) must match the whole value. A domain stands for itself and everything below it."""

    def __init__(self, values: Sequence[str], patterns: Sequence[Any], domains: Sequence[str]) -> None:
        self._values = tuple(values)
        self._written = frozenset(map(plain, values))
        self._patterns = tuple(patterns)
        self._domains = tuple(domain.casefold().strip(".") for domain in domains)
        self._canonical: dict[Callable[[str], str], frozenset[str]] = {}

    def covers(self, value: str, canonical: Callable[[str], str]) -> bool:
        """Whether this value, in any writing (`canonical`: see `Detector`), is left alone."""
        if self._written and (plain(value) in self._written or canonical(value) in self._known(canonical)):
            return True
        encoded = value.encode("utf-8", "replace")
        if any(pattern.fullmatch(encoded) for pattern in self._patterns):
            return True
        if not self._domains:
            return False
        host = _host_of(value)
        return any(host == domain or host.endswith(f".{domain}") for domain in self._domains)

    def _known(self, canonical: Callable[[str], str]) -> frozenset[str]:
        known = self._canonical.get(canonical)
        if known is None:
            known = self._canonical[canonical] = frozenset(map(canonical, self._values)) - {""}
        return known


def _host_of(value: str) -> str:
    """Of an e-mail address or a URL; empty for anything else."""
    host = ""
    if "://" in value:
        try:
            host = urlsplit(value).hostname or ""
        except ValueError:
            host = ""
    elif "@" in value:
        host = value.rpartition("@")[2]
    return host.casefold().strip(".")
