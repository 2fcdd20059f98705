"""What a caller may ask of the cache for one request, by headers. It can only ask for less than is configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from gateway.config.values import parse_duration
from gateway.errors import InvalidRequest

__all__ = ["TTL_HEADER", "Controls"]

TTL_HEADER = "x-sluicegate-cache-ttl"


@dataclass(frozen=True, slots=True)
class Controls:
    """`reads`: it may be answered from the cache. `writes`: its answer may be kept.

    `max_age`: seconds an answer may be old. `ttl`: seconds its own answer is fresh, if that is less than configured.
    """

    reads: bool = True
    writes: bool = True
    max_age: float | None = None
    ttl: float | None = None

    @classmethod
    def parse(cls, cache_control: str | None, ttl: str | None) -> Self:
        """Read the headers `cache-control` (RFC 9111, 5.2.1) and `x-sluicegate-cache-ttl` ("60s").

        `no-store`, `no-cache` and `max-age` are obeyed; other directives say nothing to this cache, and RFC 9111 has
        them ignored. A `max-age` that cannot be read counts as 0. Raises InvalidRequest for a ttl that is no duration.
        """
        reads = writes = True
        max_age: float | None = None
        for directive in (cache_control or "").lower().split(","):
            name, _, value = directive.strip().partition("=")
            if name in ("no-store", "no-cache"):
                reads = False
                writes = writes and name == "no-cache"
            elif name == "max-age":
                seconds = value.strip('" ')
                age = float(seconds[:12]) if seconds.isascii() and seconds.isdecimal() else 0.0
                max_age = age if max_age is None else min(age, max_age)
        return cls(reads and max_age != 0.0, writes, max_age, _ttl(ttl))


def _ttl(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidRequest(
            f"Invalid value for '{TTL_HEADER}': {error}.", param=TTL_HEADER, code="invalid_value"
        ) from None
