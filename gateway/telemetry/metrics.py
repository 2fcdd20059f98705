"""Prometheus metrics, counted once per request when its `Record` is complete. Not a place for rules or rates.

Labels are bounded: names from the configuration, words from the code, else "other"; a team beyond the first
`MAX_TEAMS` is "other" too. Every label set met is kept as one object: a request costs a few look-ups.
The `gen_ai_*` metrics, their attributes and their buckets are those of OpenTelemetry's GenAI conventions
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/) under the names Prometheus gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from engine.types import EngineStats
from gateway.pipeline.record import Outcome, Record
from gateway.telemetry.engine_metrics import EngineCollector
from gateway.telemetry.tally import InFlight, Tally
from gateway.telemetry.worker_metrics import worker_registry
from guards.types import Action, Stage, Verdict

OTHER = "other"
NO_TEAM = "none"
MAX_TEAMS = 500
LOCAL_PROVIDER = "sluicegate"  # gen_ai_provider_name of what no remote provider answered

OPERATIONS = {
    "chat/completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "responses": "chat",
    "messages": "chat",
    "moderations": "moderation",
    "guard": "chat",  # what guards ask models
}
ATTEMPT_OUTCOMES = (
    "ok", "error", "timeout", "unreachable", "busy", "broken", "refused", "cancelled", "hedged", "content_filter",
)  # fmt: skip
LIMIT_KINDS = ("requests", "tokens", "concurrency", "budget", "upstream")  # `GateError.limit`
_ERROR_CODES = frozenset(
    (
        "admin_required",
        "body_too_large",
        "budget_exceeded",
        "context_length_exceeded",
        "guard_unavailable",
        "internal_error",
        "invalid_api_key",
        "model_not_allowed",
        "model_not_found",
        "overloaded",
        "rate_limit_exceeded",
        "storage_unavailable",
        "unsupported_parameter",
        "upstream_failed",
        "upstream_timeout",
    )
)

TOKEN_BUCKETS = [4**power for power in range(14)]  # 1 ... 67,108,864
DURATION_BUCKETS = [0.01 * 2**power for power in range(14)]  # 10 ms ... 81.92 s
FIRST_TOKEN_BUCKETS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
OUTPUT_TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]
OVERHEAD_BUCKETS = [0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.0125, 0.025, 0.05, 0.1, 0.25, 1]
GUARD_BUCKETS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1]

_NO_STATUS = -1  # stands for every number that is none
_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


class Metrics:
    """All metrics of one gate, in a registry of their own.

    `models` and `guards` are the configured names; `targets` maps each target's name to its provider.
    `engines` gives the statistics of each local model, `ledger_lag` the age in seconds of the oldest usage record not
    yet in the database, `ledger_rejected` how many it refused for good, `breakers` whether that of each target is open;
    all are read when metrics are rendered. `learn` adds what a changed configuration brings.
    `inflight` is raised and lowered by the caller.
    `shared`: where all workers of a gate keep their values; then a page is that of all of them, and each must `refresh`
    its own from time to time. See `gateway.telemetry.worker_metrics`.
    """

    def __init__(
        self,
        models: Iterable[str],
        targets: Mapping[str, str],
        guards: Iterable[str],
        *,
        engines: Mapping[str, Callable[[], EngineStats]],
        ledger_lag: Callable[[], float],
        ledger_rejected: Callable[[], float] = lambda: 0.0,
        breakers: Mapping[str, Callable[[], bool]] | None = None,
        shared: Path | None = None,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # doubles every counter, and nobody reads it
        self.registry = CollectorRegistry()
        self._shared = shared
        self._models: set[str] = set()
        self._targets: dict[str, str] = {}
        self._guards: set[str] = set()
        self._open: Mapping[str, Callable[[], bool]] = {}
        self._teams: set[str] = set()
        self._tallies: list[Tally] = []
        self._define_request_metrics()
        self._define_part_metrics()
        self._series: dict[tuple[str, str, str], _Series] = {}
        self._verdicts: dict[tuple[str, Stage, Action, bool], tuple[Tally, Tally]] = {}
        self._attempt_counters: dict[tuple[str, str], Tally] = {}
        self._cost_counters: dict[tuple[str, str], Tally] = {}
        self.registry.register(EngineCollector(engines))
        ProcessCollector(registry=self.registry)
        lag = Gauge(
            "sluicegate_ledger_lag_seconds",
            "Age of the oldest usage record that is not yet in the database.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        rejected = Gauge(
            "sluicegate_ledger_rejected_records",
            "Usage records of this process that the database refused for good; they are kept beside the journal.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._readings = ((lag, ledger_lag), (rejected, ledger_rejected))
        self.learn(models, targets, guards, breakers or {})

    def learn(
        self,
        models: Iterable[str],
        targets: Mapping[str, str],
        guards: Iterable[str],
        breakers: Mapping[str, Callable[[], bool]],
    ) -> None:
        """Know these names too, and show these breakers in place of those before.

        Names once known stay so: requests that began before may still end under them.
        """
        self._models.update(models)
        self._targets |= targets
        self._guards.update(guards)
        for target in self._open.keys() - breakers.keys():
            self._breakers.labels(target).set(0)  # workers' values outlive their removal
            self._breakers.remove(target)
        self._open = dict(breakers)
        self._start_at_zero()

    def refresh(self) -> None:
        """Read what is shown as it is now. Call it where requests are counted, in the event loop."""
        for tally in self._tallies:
            tally.hand_over()
        self._inflight.set(self.inflight.count)
        for gauge, read in self._readings:
            gauge.set(read())
        for target, is_open in self._open.items():
            self._breakers.labels(target).set(is_open())

    def observe(self, record: Record) -> None:
        """Count one request that has ended. Never raises for odd content: unknown names become "other"."""
        model = self._model(record)
        key = (record.endpoint, model, self._targets.get(record.target or "", LOCAL_PROVIDER))
        series = self._series.get(key) or self._new_series(key)
        series.observe(record)
        if record.cost:
            team = (record.principal and record.principal.team) or NO_TEAM
            self._cost(model, team).inc(float(record.cost))
        for verdict in record.verdicts:
            self._count_verdict(verdict)
        for attempt in record.attempts:
            self._attempt(attempt.target, attempt.outcome).inc()
        if record.cache is not None:
            self._cache[record.cache].inc()
        if (refused := self._limits.get(record.limit or "")) is not None:
            refused.inc()

    def threshold_passed(self, kind: str, percent: int) -> None:
        """A budget of a key, user, team or tag passed one of the configured percentages."""
        self._thresholds.labels(kind, str(percent)).inc()

    def render(self) -> tuple[bytes, str]:
        """The whole page in Prometheus' text format, and its content type."""
        self.refresh()
        return self.page()

    def page(self) -> tuple[bytes, str]:
        """The page as of the last `refresh`. May be called in a thread."""
        registry = self.registry if self._shared is None else worker_registry(self._shared)
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4

    def _define_request_metrics(self) -> None:
        self._requests = Counter(
            "sluicegate_requests",
            "Requests that ended, by HTTP status.",
            ("endpoint", "model", "status"),
            registry=self.registry,
        )
        self.inflight = InFlight()
        self._inflight = Gauge(
            "sluicegate_inflight_requests",
            "Requests being worked on.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Input and output tokens of a request.",
            (*_GEN_AI, "gen_ai_token_type"),
            buckets=TOKEN_BUCKETS,
            registry=self.registry,
        )
        self._duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from a request's first byte read to its last byte written.",
            (*_GEN_AI, "error_type"),
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time to the first content sent, of requests that succeeded.",
            _GEN_AI,
            buckets=FIRST_TOKEN_BUCKETS,
            registry=self.registry,
        )
        self._output_token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Time per output token after the first, of streams that succeeded.",
            _GEN_AI,
            buckets=OUTPUT_TOKEN_BUCKETS,
            registry=self.registry,
        )
        self._overhead = Histogram(
            "sluicegate_overhead_seconds",
            "A request's time less the time inside upstream attempts.",
            ("model",),
            buckets=OVERHEAD_BUCKETS,
            registry=self.registry,
        )

    def _define_part_metrics(self) -> None:
        self._costs = Counter(
            "sluicegate_cost_usd",
            "What requests cost, in US dollars.",
            ("model", "team"),
            registry=self.registry,
        )
        self._verdict_counts = Counter(
            "sluicegate_guard_verdicts",
            "What guards said.",
            ("guard", "stage", "action"),
            registry=self.registry,
        )
        self._guard_duration = Histogram(
            "sluicegate_guard_duration_seconds",
            "Time one guard took over one stage of a request.",
            ("guard", "stage"),
            buckets=GUARD_BUCKETS,
            registry=self.registry,
        )
        self._attempts = Counter(
            "sluicegate_upstream_attempts",
            "Tries at a target.",
            ("target", "outcome"),
            registry=self.registry,
        )
        cache = Counter(
            "sluicegate_cache_requests",
            "Requests for which the response cache was asked.",
            ("result",),
            registry=self.registry,
        )
        self._cache = {result: cache.labels(result) for result in ("hit", "miss")}
        self._breakers = Gauge(
            "sluicegate_breaker_open",
            "1 while the target's circuit breaker is open, until one request let through has succeeded.",
            ("target",),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        rejections = Counter(
            "sluicegate_limit_rejections",
            "Requests refused by a limit; upstream: by the load of every target.",
            ("kind",),
            registry=self.registry,
        )
        self._thresholds = Counter(
            "sluicegate_budget_thresholds",
            "Budgets whose spending passed a threshold, by whose budget it is and the percentage.",
            ("owner", "percent"),
            registry=self.registry,
        )
        self._limits = {kind: rejections.labels(kind) for kind in LIMIT_KINDS}

    def _start_at_zero(self) -> None:
        """Let what alerts watch exist from the start: then a first error is a rise, not a birth."""
        for model in (*self._models, OTHER):
            for status in ("200", "502"):
                self._requests.labels("chat/completions", model, status)
        for target in self._targets:
            for outcome in ATTEMPT_OUTCOMES:
                self._attempt(target, outcome)
        for guard in self._guards:
            for stage in Stage:
                self._verdict_counts.labels(guard, stage.value, Action.PASS.value)

    def tally(self, child: Any, bounds: Sequence[float] | None = None) -> Tally:
        """Counts for a Counter, or for a Histogram with those bounds."""
        made = Tally(child, bounds)
        self._tallies.append(made)
        return made

    def _model(self, record: Record) -> str:
        for name in (record.model, record.requested_model):
            if name in self._models:
                return str(name)
        return OTHER

    def _new_series(self, key: tuple[str, str, str]) -> _Series:
        endpoint, model, provider = key
        if endpoint not in OPERATIONS:
            endpoint = OTHER
            key = (OTHER, model, provider)
            if known := self._series.get(key):
                return known
        labels = (OPERATIONS.get(endpoint, OTHER), provider, model)
        series = self._series[key] = _Series(self, endpoint, model, labels)
        return series

    def _cost(self, model: str, team: str) -> Tally:
        if team not in self._teams:
            if len(self._teams) < MAX_TEAMS:
                self._teams.add(team)
            else:
                team = OTHER
        counter = self._cost_counters.get((model, team))
        if counter is None:
            counter = self._cost_counters[model, team] = self.tally(self._costs.labels(model, team))
        return counter

    def _attempt(self, target: str, outcome: str) -> Tally:
        if target not in self._targets:
            target = OTHER
        if outcome not in ATTEMPT_OUTCOMES:
            outcome = OTHER
        counter = self._attempt_counters.get((target, outcome))
        if counter is None:
            counter = self._attempt_counters[target, outcome] = self.tally(self._attempts.labels(target, outcome))
        return counter

    def _count_verdict(self, verdict: Verdict) -> None:
        guard = verdict.guard if verdict.guard in self._guards else OTHER
        key = guard, verdict.stage, verdict.action, verdict.dry_run
        kept = self._verdicts.get(key)
        if kept is None:
            stage = verdict.stage.value
            kept = (
                self.tally(self._verdict_counts.labels(guard, stage, verdict.label)),
                self.tally(self._guard_duration.labels(guard, stage), GUARD_BUCKETS),
            )
            self._verdicts[key] = kept
        kept[0].inc()
        kept[1].observe(verdict.duration)


class _Series:
    """The kept children of one (endpoint, model, provider): what nearly every request touches."""

    __slots__ = (
        "_by_status",
        "_durations",
        "_first_token",
        "_input",
        "_labels",
        "_metrics",
        "_names",
        "_output",
        "_output_token",
        "_overhead",
    )

    def __init__(self, metrics: Metrics, endpoint: str, model: str, labels: tuple[str, str, str]) -> None:
        self._metrics = metrics
        self._names = (endpoint, model)
        self._labels = labels
        self._by_status: dict[int, Tally] = {}
        self._durations: dict[str, Tally] = {}
        self._overhead = metrics.tally(metrics._overhead.labels(model), OVERHEAD_BUCKETS)
        self._input = metrics.tally(metrics._tokens.labels(*labels, "input"), TOKEN_BUCKETS)
        self._output = metrics.tally(metrics._tokens.labels(*labels, "output"), TOKEN_BUCKETS)
        self._first_token = metrics.tally(metrics._first_token.labels(*labels), FIRST_TOKEN_BUCKETS)
        self._output_token = metrics.tally(metrics._output_token.labels(*labels), OUTPUT_TOKEN_BUCKETS)

    def observe(self, record: Record) -> None:
        counter = self._by_status.get(record.status)
        (counter or self._count_status(record.status)).inc()
        error = error_type(record)
        duration = self._durations.get(error)
        if duration is None:
            child = self._metrics._duration.labels(*self._labels, error)
            duration = self._durations[error] = self._metrics.tally(child, DURATION_BUCKETS)
        duration.observe(record.duration)
        self._overhead.observe(record.overhead)
        usage = record.usage
        if usage is not None:
            if usage.input_tokens:
                self._input.observe(usage.input_tokens)
            if usage.output_tokens:
                self._output.observe(usage.output_tokens)
        if record.first_token is not None and record.outcome is Outcome.OK:
            self._first_token.observe(record.first_token - record.started)
            if record.stream and usage is not None and usage.output_tokens > 1:
                after_first = record.ended - record.first_token
                self._output_token.observe(after_first / (usage.output_tokens - 1))

    def _count_status(self, status: int) -> Tally:
        if not 100 <= status <= 599:
            status = _NO_STATUS
            if known := self._by_status.get(status):
                return known
        label = OTHER if status == _NO_STATUS else str(status)
        counter = self._by_status[status] = self._metrics.tally(self._metrics._requests.labels(*self._names, label))
        return counter


def error_type(record: Record) -> str:
    """A bounded word for how a request failed (`error.type` of the conventions); empty if it did not."""
    if record.outcome is Outcome.OK:
        return ""
    if record.outcome is Outcome.CLIENT_CLOSED:
        return "client_closed"
    if record.outcome is Outcome.BLOCKED:
        return "guard_blocked"
    if record.error_code in _ERROR_CODES:
        return str(record.error_code)
    return str(record.status) if 100 <= record.status <= 599 else OTHER
