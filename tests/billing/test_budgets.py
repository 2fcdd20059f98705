"""A budget's window is the one its own zone's calendar shows, on days when the clocks change too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.budgets import Budget, BudgetError, Window

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour off
    "Asia/Kathmandu",  # three quarters
    "Asia/Beirut",  # the clocks change at midnight: some days begin at 1:00
    "America/Havana",  # and midnight comes twice
    "Australia/Lord_Howe",  # the clocks change by half an hour
    "Pacific/Kiritimati",
]
instants = st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(window: Window, zone: str, at: str) -> tuple[datetime, datetime | None]:
    found = Budget(limit=Decimal(1), window=window, timezone=zone).span(utc(at))
    return found.start, found.end


@pytest.mark.parametrize(
    ("window", "zone", "at", "start", "end"),
    [
        (Window.HOUR, "UTC", "2026-03-01T10:59:59.999999", "2026-03-01T10:00", "2026-03-01T11:00"),
        (Window.HOUR, "Asia/Kathmandu", "2026-03-01T10:00", "2026-03-01T09:15", "2026-03-01T10:15"),
        (Window.DAY, "UTC", "2026-03-01T00:00", "2026-03-01T00:00", "2026-03-02T00:00"),
        (Window.DAY, "Europe/Berlin", "2026-03-01T22:59", "2026-02-28T23:00", "2026-03-01T23:00"),
        (Window.DAY, "Europe/Berlin", "2026-03-01T23:00", "2026-03-01T23:00", "2026-03-02T23:00"),
        # The clocks go forward: 23 hours. Back: 25.
        (Window.DAY, "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        (Window.DAY, "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        # In Beirut they go forward at midnight: the day begins at 1:00.
        (Window.DAY, "Asia/Beirut", "2026-03-29T12:00", "2026-03-28T22:00", "2026-03-29T21:00"),
        # In Havana they go back at 1:00 to midnight: the day begins with the first of the two.
        (Window.DAY, "America/Havana", "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00"),
        (Window.WEEK, "UTC", "2026-03-01T10:00", "2026-02-23T00:00", "2026-03-02T00:00"),  # a Sunday
        (Window.WEEK, "America/New_York", "2026-03-09T03:59", "2026-03-02T05:00", "2026-03-09T04:00"),
        (Window.MONTH, "UTC", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Window.MONTH, "UTC", "2028-02-29T10:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (Window.MONTH, "Europe/Berlin", "2026-10-31T23:00", "2026-10-31T23:00", "2026-11-30T23:00"),
        (Window.MONTH, "Pacific/Kiritimati", "2026-01-31T10:00", "2026-01-31T10:00", "2026-02-28T10:00"),
    ],
)
def test_windows_of_the_calendar(window: Window, zone: str, at: str, start: str, end: str) -> None:
    assert span(window, zone, at) == (utc(start), utc(end))


def test_a_total_budget_has_one_window_without_an_end() -> None:
    assert span(Window.TOTAL, "Europe/Berlin", "2026-03-01T10:00") == (utc("1970-01-01T00:00"), None)


def test_an_hour_that_the_clocks_show_twice_is_two_windows() -> None:
    first = span(Window.HOUR, "Europe/Berlin", "2026-10-25T00:30")  # 02:30 summer time
    second = span(Window.HOUR, "Europe/Berlin", "2026-10-25T01:30")  # 02:30 again
    assert first == (utc("2026-10-25T00:00"), utc("2026-10-25T01:00"))
    assert second == (utc("2026-10-25T01:00"), utc("2026-10-25T02:00"))


@given(at=instants, zone=st.sampled_from(ZONES), window=st.sampled_from([Window.DAY, Window.WEEK, Window.MONTH]))
def test_an_instant_lies_in_one_window_which_the_next_one_follows(at: datetime, zone: str, window: Window) -> None:
    budget = Budget(limit=Decimal(1), window=window, timezone=zone)
    found = budget.span(at)
    assert found.end is not None and found.start <= at < found.end
    assert budget.span(found.start) == found
    assert budget.span(found.end - timedelta(microseconds=1)) == found
    assert budget.span(found.end).start == found.end
    before = budget.span(found.start - timedelta(microseconds=1))
    assert before.end == found.start


@given(at=instants, zone=st.sampled_from(ZONES))
def test_a_day_is_the_local_date(at: datetime, zone: str) -> None:
    tz = ZoneInfo(zone)
    found = Budget(limit=Decimal(1), window=Window.DAY, timezone=zone).span(at)
    assert found.end is not None
    assert found.start.astimezone(tz).date() == at.astimezone(tz).date()
    assert (found.end - timedelta(microseconds=1)).astimezone(tz).date() == at.astimezone(tz).date()
    assert (found.start - timedelta(microseconds=1)).astimezone(tz).date() < at.astimezone(tz).date()


@given(at=instants, zone=st.sampled_from(ZONES))
def test_an_hour_holds_its_instant(at: datetime, zone: str) -> None:
    found = Budget(limit=Decimal(1), window=Window.HOUR, timezone=zone).span(at)
    assert found.end is not None and found.start <= at < found.end
    assert found.end - found.start == timedelta(hours=1)
    assert found.start.astimezone(ZoneInfo(zone)).minute == 0 or zone == "Australia/Lord_Howe"


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 5000])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(BudgetError, match="time zone"):
        Budget(limit=Decimal(1), window=Window.DAY, timezone=zone)


@pytest.mark.parametrize("limit", ["-1", "NaN", "1e20", "0.0000000000001"])
def test_a_limit_that_no_counter_can_hold_is_refused(limit: str) -> None:
    with pytest.raises(BudgetError):
        Budget(limit=Decimal(limit), window=Window.DAY)
