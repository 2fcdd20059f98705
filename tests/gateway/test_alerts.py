"""Budgets tell when a threshold is passed: once, to the metric and the webhook, without holding up a request."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from aiohttp import web

from billing.budgets import Budget, Window
from gateway.admission import alerts
from gateway.admission.alerts import Alerts, Webhook
from gateway.admission.claims import Demand, Need, needs
from gateway.admission.limits import Binding
from gateway.admission.stores.base import Spending

AT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
USD = 10**12


@dataclass
class Receiver:
    """A real HTTP server; `statuses` are answered in turn, then 204."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@asynccontextmanager
async def sending(webhook: Webhook) -> AsyncIterator[Webhook]:
    await webhook.start()
    yield webhook
    await webhook.close()


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def need(limit: str = "10") -> Need:
    budget = Budget(limit=Decimal(limit), window=Window.MONTH, timezone="Europe/Berlin")
    demand = Demand(AT, ("assistant",), 1, 1, True, USD)
    return needs([Binding(kind="team", id="search", budgets=(budget,))], demand)[0]


def passed(steps: Sequence[int], thresholds: Sequence[int] = (50, 80, 100)) -> list[int]:
    """The percentages told while a budget of 10 USD goes through these amounts spent (in cents)."""
    told: list[int] = []
    watcher = Alerts(thresholds, lambda kind, percent: told.append(percent))
    cent = USD // 100
    for before, after in pairwise(steps):
        watcher.spent(need(), Spending(before * cent, after * cent))
    return told


def test_each_threshold_is_told_by_the_settlement_that_passes_it() -> None:
    assert passed([0, 499]) == []
    assert passed([0, 499, 500, 500, 501]) == [50]
    assert passed([0, 499, 799, 800, 999, 1000, 1100]) == [50, 80, 100]
    assert passed([0, 1000]) == [50, 80, 100]
    assert passed([600, 700, 900]) == [80]
    assert passed([0, 333, 334], thresholds=[33]) == [33]


def test_a_refusal_for_a_spent_budget_tells_that_it_is_full() -> None:
    told: list[tuple[str, int]] = []
    Alerts((50, 100), lambda kind, percent: told.append((kind, percent))).exhausted(need(), 9 * USD)
    assert told == [("team", 100)]
    Alerts((50, 80), lambda kind, percent: told.append((kind, percent))).exhausted(need(), 9 * USD)
    assert told == [("team", 100)]


async def test_the_webhook_gets_a_signed_event(receiver: Receiver) -> None:
    async with sending(Webhook(receiver.url, "hush")) as webhook:
        watcher = Alerts((50,), lambda kind, percent: None, webhook, now=lambda: AT)
        watcher.spent(need(), Spending(0, 5 * USD + 1))
    (body,), (headers,) = receiver.bodies, receiver.headers
    event = json.loads(body)
    assert headers["x-sluicegate-signature"] == "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()
    assert event.pop("id").startswith("evt_")
    assert event == {
        "type": "budget.threshold",
        "at": "2026-03-01T22:30:00+00:00",
        "threshold_percent": 50,
        "owner": {"kind": "team", "id": "search"},
        "budget": {
            "limit_usd": "10",
            "window": "month",
            "timezone": "Europe/Berlin",
            "starts_at": "2026-02-28T23:00:00+00:00",
            "ends_at": "2026-03-31T22:00:00+00:00",
        },
        "spent_usd": "5.000000000001",
    }


async def test_the_same_threshold_of_a_window_has_the_same_event_id(receiver: Receiver) -> None:
    async with sending(Webhook(receiver.url, None)) as webhook:
        watcher = Alerts((50, 80), lambda kind, percent: None, webhook)
        watcher.spent(need(), Spending(0, 5 * USD))
        watcher.spent(need(), Spending(0, 9 * USD))
    ids = [(event["threshold_percent"], event["id"]) for event in map(json.loads, receiver.bodies)]
    assert len(ids) == 3 and len(set(ids)) == 2
    assert "x-sluicegate-signature" not in receiver.headers[0]


async def test_an_event_is_sent_again_until_it_is_taken(receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 429]
    async with sending(Webhook(receiver.url, None, sleep=at_once)) as webhook:
        webhook.send({"type": "one"})
        webhook.send({"type": "two"})
    assert [json.loads(body)["type"] for body in receiver.bodies] == ["one"] * 4 + ["two"]


async def test_a_webhook_that_takes_nothing_loses_the_event_and_is_asked_no_more(receiver: Receiver) -> None:
    receiver.statuses = [500] * alerts.ATTEMPTS
    async with sending(Webhook(receiver.url, None, sleep=at_once)) as webhook:
        webhook.send({"type": "one"})
        webhook.send({"type": "two"})
    assert [json.loads(body)["type"] for body in receiver.bodies] == ["one"] * alerts.ATTEMPTS + ["two"]


async def test_a_slow_webhook_never_holds_up_who_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "CLOSE_SECONDS", 0.01)
    async with sending(Webhook("http://127.0.0.1:9/hook", None)) as webhook:
        for number in range(alerts.MAX_QUEUED + 5):
            webhook.send({"type": str(number)})
