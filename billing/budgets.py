"""Budgets: a ceiling in US dollars for a window of the calendar, in a time zone of its own. No counters here.

Windows begin with the local hour, day, Monday or first of the month, as the zone's clocks show it: a day on which the
clocks change has 23 or 25 hours, and no instant belongs to two windows or to none.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import msgspec

from billing.money import MoneyError, to_pico

__all__ = ["Budget", "BudgetError", "Span", "Window", "check_distinct", "zone"]


class BudgetError(ValueError):
    """A budget that cannot be kept; the message says what to change."""


class Window(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Span(msgspec.Struct, frozen=True):
    """From `start` (included) to `end` (not included), both aware UTC. `end` None: it never ends."""

    start: datetime
    end: datetime | None


BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Budget(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """At most `limit` USD in each window. Raises BudgetError for an unknown zone or a limit no counter can hold."""

    limit: Decimal
    window: Window
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            to_pico(self.limit)
        except MoneyError as error:
            raise BudgetError(str(error)) from None
        zone(self.timezone)

    @cached_property
    def limit_pico(self) -> int:
        return to_pico(self.limit)

    def span(self, at: datetime) -> Span:
        """The window that `at` (aware) lies in."""
        known = _latest.get((self.window, self.timezone))
        if known is None or not (known.start <= at and (known.end is None or at < known.end)):
            known = _latest[self.window, self.timezone] = _span(self.window, zone(self.timezone), at)
        return known


# The window last asked for, of each kind in each zone: the one that nearly every request lies in.
_latest: dict[tuple[Window, str], Span] = {}


def check_distinct(budgets: Iterable[Budget]) -> None:
    """Raises BudgetError if two are for the same window in the same zone: only the lower one could ever bind."""
    seen: set[tuple[Window, str]] = set()
    for budget in budgets:
        place = budget.window, budget.timezone
        if place in seen:
            raise BudgetError(
                f"two are for the window {budget.window.value!r} in {budget.timezone}; give the lower one"
            )
        seen.add(place)


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """An IANA time zone. Raises BudgetError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, or no name at all ("../x", a folder)
        raise BudgetError(f"{name[:64]!r} is no IANA time zone like Europe/Berlin") from None


def _span(window: Window, tz: ZoneInfo, at: datetime) -> Span:
    if window is Window.TOTAL:
        return Span(BEGINNING, None)
    local = at.astimezone(tz)
    if window is Window.HOUR:
        return _hour(local)
    first = local.date()
    if window is Window.WEEK:
        first -= timedelta(days=first.weekday())
    elif window is Window.MONTH:
        first = first.replace(day=1)
    days = {Window.DAY: 1, Window.WEEK: 7, Window.MONTH: 32}[window]
    following = first + timedelta(days=days)
    if window is Window.MONTH:
        following = following.replace(day=1)
    return Span(
        _midnight(first.year, first.month, first.day, tz), _midnight(following.year, following.month, following.day, tz)
    )


def _midnight(year: int, month: int, day: int, tz: ZoneInfo) -> datetime:
    # fold=0: of a midnight that comes twice the first; one that the clocks skip becomes the instant of the change.
    return datetime(year, month, day, tzinfo=tz).astimezone(UTC)


def _hour(local: datetime) -> Span:
    """The local hour, by the offset that holds now: an hour that the clocks show twice is two windows."""
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = local.astimezone(UTC) - into
    return Span(start, start + timedelta(hours=1))
