"""Ended requests for the telemetry tests, one of each outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.usage import Usage
from engine.types import EngineStats
from gateway.admission.principals import Principal
from gateway.pipeline.record import Attempt, Outcome, Record
from gateway.telemetry.metrics import Metrics
from guards.types import Action, Stage, Verdict

TARGETS = {"engine/local": "sluicegate", "openai/gpt": "openai"}
STARTED_AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SECRET = "sk-very-secret-value"
STATS = EngineStats(
    running=3,
    waiting=2,
    blocks_total=60,
    blocks_free=10,
    blocks_cached=20,
    blocks_used=30,
    max_running_seen=7,
    prompt_tokens=1000,
    generated_tokens=500,
    prefix_hit_tokens=128,
)


def ended(**changes: Any) -> Record:
    """A streamed request that went well: 2.5 s, first token after 0.5 s, 0.1 s of it ours."""
    record = Record(
        id="0197-ours",
        request_id="req-1",
        endpoint="chat/completions",
        started_at=STARTED_AT,
        started=100.0,
        stream=True,
        principal=Principal(key_id="key_1", key_name="search", team="shop", user="jane@example.com"),
        requested_model="assistant",
        model="assistant",
        target="engine/local",
        served_model="smollm2",
        user="jane@example.com",
        tags={"feature": "jane@example.com"},
        verdicts=[
            Verdict("pii", Stage.INPUT, Action.REDACT, {"EMAIL": 2}, duration=0.0002),
            Verdict("pii", Stage.OUTPUT, Action.PASS, duration=0.0001),
        ],
        attempts=[Attempt("openai/gpt", 100.1, 100.3, "timeout"), Attempt("engine/local", 100.3, 102.5)],
        usage=Usage(input_tokens=300, cached_input_tokens=128, output_tokens=101),
        cost=Decimal("0.000425"),
        status=200,
        first_token=100.5,
        ended=102.5,
    )
    return replace(record, **changes)


def refused(code: str, status: int, **changes: Any) -> Record:
    """A request that never left the gate."""
    nothing: dict[str, Any] = {"model": None, "target": None, "served_model": None, "first_token": None}
    nothing |= {"attempts": [], "verdicts": [], "usage": None, "cost": Decimal(0), "ended": 100.001}
    return ended(**(nothing | {"status": status, "error_code": code, "outcome": Outcome.REFUSED} | changes))


def all_outcomes() -> list[Record]:
    """One record of everything that can happen to a request."""
    return [
        ended(),
        ended(stream=False, principal=None),
        refused("invalid_api_key", 401, principal=None, requested_model=f"{SECRET} text of a prompt"),
        refused("rate_limit_exceeded", 429, limit="requests"),
        refused("budget_exceeded", 429, limit="budget"),
        ended(outcome=Outcome.BLOCKED, status=400, error_code="guard_blocked"),
        ended(outcome=Outcome.CLIENT_CLOSED, status=499),
        ended(outcome=Outcome.FAILED, status=502, error_code="upstream_failed", first_token=None, usage=None),
    ]


def new_metrics(**changes: Any) -> Metrics:
    """Metrics of a gate with two models, two targets, one guard and one engine."""
    given: dict[str, Any] = {"engines": {"local": lambda: STATS}, "ledger_lag": lambda: 1.5}
    return Metrics(["assistant", "cloud"], TARGETS, ["pii"], **(given | changes))
