"""Builds a request's spans with the OpenTelemetry SDK. Imported only when an endpoint is configured.

A root SERVER span for the request and a CLIENT span for each attempt, from recorded times, so that the hot
path pays for them once and at the end. Attributes follow OpenTelemetry's GenAI conventions
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/); ours begin with `sluicegate.`. No span
holds a text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from billing.money import display
from gateway.pipeline.record import Attempt, Outcome, Record
from gateway.telemetry.logs import plain_name
from gateway.telemetry.metrics import LOCAL_PROVIDER, OPERATIONS, OTHER, error_type
from gateway.telemetry.scrub import scrub
from guards.types import Verdict

EXPORT_TIMEOUT = 10.0  # seconds for one batch, its retries included
SEND_EVERY = 1.0  # seconds a span waits at most for others to be sent with
_PATH = "/v1/traces"

_COMMON = frozenset({Outcome.OK, Outcome.REFUSED, Outcome.CLIENT_CLOSED})

Attributes = dict[str, AttributeValue]


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans to the collector at `endpoint`; headers and certificates come from OTEL_EXPORTER_OTLP_*."""
    address = endpoint.rstrip("/")
    return OTLPSpanExporter(endpoint=address if address.endswith(_PATH) else address + _PATH, timeout=EXPORT_TIMEOUT)


class OtelTracer:
    """Turns records into spans and hands them to `exporter` in batches, from a thread of its own.

    `per_second`: at most so many traces of requests that went well and that no trace of a caller waits for. None: all.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        service_name: str,
        providers: Mapping[str, str],
        *,
        per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = dict(providers)
        self._clock = clock
        self._sampler = Sampler(per_second, clock)
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service_name}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=SEND_EVERY * 1000))
        self._tracer = self._provider.get_tracer("sluicegate")
        self._incoming = TraceContextTextMapPropagator()

    def trace(self, record: Record, traceparent: str | None = None) -> None:
        """See `Tracer.trace`. A malformed `traceparent` counts as none; an unsampled one makes no trace."""
        context = self._incoming.extract({"traceparent": traceparent}) if traceparent else Context()
        if not context and record.outcome in _COMMON and not self._sampler.take():
            return
        operation = OPERATIONS.get(record.endpoint, OTHER)
        clock = _Clock(record)
        root = self._tracer.start_span(
            f"{operation} {_model(record)}",
            context=context,
            kind=SpanKind.SERVER,
            attributes=self._root_attributes(record, operation),
            start_time=clock.at(record.started),
        )
        if root.is_recording():
            for attempt in record.attempts:
                self._attempt(root, attempt, operation, clock)
            for verdict in record.verdicts:
                root.add_event("sluicegate.guard", _verdict_attributes(verdict), clock.at(record.ended))
            if record.outcome is Outcome.FAILED:
                root.set_status(StatusCode.ERROR)
        root.end(clock.at(record.ended))

    def configure(self, providers: Mapping[str, str], per_second: float | None) -> None:
        """See `Tracer.configure`."""
        self._providers |= providers
        self._sampler = Sampler(per_second, self._clock)

    def close(self, timeout: float = 5.0) -> None:
        """See `Tracer.close`. The SDK's own limits do not bind during a retry; a thread's join does."""
        shutdown = threading.Thread(target=self._provider.shutdown, name="trace-shutdown", daemon=True)
        shutdown.start()
        shutdown.join(timeout)

    def _attempt(self, root: Span, attempt: Attempt, operation: str, clock: _Clock) -> None:
        attributes: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": self._providers.get(attempt.target, OTHER),
            "sluicegate.target": attempt.target,
            "sluicegate.attempt.outcome": attempt.outcome,
        }
        if attempt.outcome != "ok":
            attributes["error.type"] = attempt.outcome
        span = self._tracer.start_span(
            f"{operation} {attempt.target}",
            context=set_span_in_context(root, Context()),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=clock.at(attempt.started),
        )
        if attempt.outcome in ("error", "timeout"):
            span.set_status(StatusCode.ERROR)
        span.end(clock.at(attempt.ended))

    def _root_attributes(self, record: Record, operation: str) -> Attributes:
        attributes: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": self._providers.get(record.target or "", LOCAL_PROVIDER),
            "gen_ai.request.model": _model(record),
            "gen_ai.request.stream": record.stream,
            "http.response.status_code": record.status,
            "sluicegate.id": record.id,
            "sluicegate.request_id": scrub(record.request_id),
            "sluicegate.outcome": record.outcome.value,
            "sluicegate.cost_usd": display(record.cost),
            "sluicegate.overhead_seconds": record.overhead,
        }
        if record.target is not None:
            attributes["sluicegate.target"] = record.target
        if record.served_model is not None:
            attributes["gen_ai.response.model"] = plain_name(record.served_model)
        if error := error_type(record):
            attributes["error.type"] = error
        if record.first_token is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = record.first_token - record.started
        if record.principal is not None:
            attributes["sluicegate.key_id"] = record.principal.key_id
            if record.principal.team is not None:
                attributes["sluicegate.team"] = record.principal.team
        if record.usage is not None:
            attributes["gen_ai.usage.input_tokens"] = record.usage.input_tokens
            attributes["gen_ai.usage.output_tokens"] = record.usage.output_tokens
            attributes["gen_ai.usage.cache_read.input_tokens"] = record.usage.cached_input_tokens
            attributes["gen_ai.usage.reasoning.output_tokens"] = record.usage.reasoning_tokens
        return attributes


class Sampler:
    """A token bucket that holds one second's tokens. `per_second` None: it is never empty."""

    def __init__(self, per_second: float | None, clock: Callable[[], float]) -> None:
        self._rate = per_second
        self._clock = clock
        self._left = per_second or 0.0
        self._at = clock()

    def take(self) -> bool:
        if self._rate is None:
            return True
        now = self._clock()
        self._left = min(max(self._rate, 1.0), self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class _Clock:
    """Turns a request's monotonic seconds into the wall clock's nanoseconds."""

    def __init__(self, record: Record) -> None:
        self._wall = int(record.started_at.timestamp() * 1e9)
        self._started = record.started

    def at(self, monotonic: float) -> int:
        return self._wall + int((monotonic - self._started) * 1e9)


def _model(record: Record) -> str:
    return record.model or plain_name(record.requested_model)


def _verdict_attributes(verdict: Verdict) -> Attributes:
    attributes: Attributes = {
        "sluicegate.guard.name": verdict.guard,
        "sluicegate.guard.stage": verdict.stage.value,
        "sluicegate.guard.action": verdict.label,
        "sluicegate.guard.duration_seconds": verdict.duration,
        "sluicegate.guard.failed": verdict.error is not None,
    }
    for kind, count in verdict.findings.items():
        attributes[f"sluicegate.guard.findings.{kind}"] = count
    if verdict.score is not None:
        attributes["sluicegate.guard.score"] = verdict.score
    return attributes
