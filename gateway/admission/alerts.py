"""Soft thresholds of budgets: counted, and told to a webhook, once per budget and window.

A settlement that takes a budget's spending past a threshold tells it, and so does the first call that is refused
because the budget is spent. The webhook never delays a request: events wait in a bounded queue and are sent by a task.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp
import orjson
import structlog

from billing.money import display, from_pico
from gateway.admission.claims import Need
from gateway.admission.stores.base import Spending

log = structlog.get_logger(__name__)

FULL = 100  # percent
MAX_QUEUED = 1_000
ATTEMPTS = 4
FIRST_WAIT = 1.0  # seconds before the second try; doubled for each further one
SEND_SECONDS = 5.0
CLOSE_SECONDS = 2.0


class Counter(Protocol):
    """Counts a threshold that was passed: the budget's kind of owner ("key", "team") and the percentage."""

    def __call__(self, kind: str, percent: int) -> None: ...


class Alerts:
    """`thresholds` are percentages of a budget's limit. `webhook` None: they are only counted."""

    def __init__(
        self,
        thresholds: Sequence[int],
        count: Counter,
        webhook: Webhook | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._thresholds = sorted(thresholds)
        self._count = count
        self._webhook = webhook
        self._now = now

    def spent(self, need: Need, spending: Spending) -> None:
        """A settlement took a budget from one amount to another."""
        if spending.before == spending.after:
            return
        limit = need.claim.limit
        for percent in self._thresholds:
            if spending.before * FULL < limit * percent <= spending.after * FULL:
                self._passed(need, percent, spending.after)

    def exhausted(self, need: Need, spent_pico: int) -> None:
        """The first call of a window was refused because the budget is spent."""
        if FULL in self._thresholds:
            self._passed(need, FULL, spent_pico)

    def _passed(self, need: Need, percent: int, spent_pico: int) -> None:
        binding, budget, span = need.binding, need.budget, need.span
        assert budget is not None and span is not None
        self._count(binding.kind, percent)
        log.warning("budget threshold passed", owner=f"{binding.kind}:{binding.id}", percent=percent)
        if self._webhook is not None:
            self._webhook.send(
                {
                    # The same for the same threshold of a window, whoever tells it: a receiver may drop the second.
                    "id": "evt_" + hashlib.sha256(f"{need.claim.counter}:{percent}".encode()).hexdigest()[:24],
                    "type": "budget.threshold",
                    "at": self._now().isoformat(),
                    "threshold_percent": percent,
                    "owner": {"kind": binding.kind, "id": binding.id},
                    "budget": {
                        "limit_usd": display(budget.limit),
                        "window": budget.window.value,
                        "timezone": budget.timezone,
                        "starts_at": span.start.isoformat(),
                        "ends_at": None if span.end is None else span.end.isoformat(),
                    },
                    "spent_usd": display(from_pico(spent_pico)),
                }
            )


class Webhook:
    """Posts events as JSON, in order, a few times each.

    With a `secret` a request carries `x-sluicegate-signature: sha256=HEX`, the HMAC of its body.
    """

    def __init__(self, url: str, secret: str | None, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._url = url
        self._secret = secret.encode() if secret else None
        self._sleep = sleep
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_QUEUED)
        self._task: asyncio.Task[None] | None = None

    def send(self, event: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait(orjson.dumps(event))
        except asyncio.QueueFull:
            log.error("the webhook is too slow: an event is dropped", kind=event["type"])

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="webhook")

    async def close(self) -> None:
        """Send what waits, for a moment, then stop."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._queue.join()
        except TimeoutError:
            log.error("events for the webhook are dropped", count=self._queue.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=SEND_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                body = await self._queue.get()
                try:
                    await self._deliver(session, body)
                finally:
                    self._queue.task_done()

    async def _deliver(self, session: aiohttp.ClientSession, body: bytes) -> None:
        headers = {"content-type": "application/json", "user-agent": "sluicegate"}
        if self._secret is not None:
            headers["x-sluicegate-signature"] = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._sleep(FIRST_WAIT * 2 ** (attempt - 1))
            try:
                async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                    if response.status < 300:
                        return
                    failure = f"status {response.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = type(error).__name__
            log.warning("the webhook did not take an event", attempt=attempt + 1, failure=failure)
        log.error("the webhook took an event at no attempt; it is dropped")
