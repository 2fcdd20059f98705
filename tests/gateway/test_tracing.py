"""Traces: one for each request, made from recorded times, in OpenTelemetry's terms, and holding no texts."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sample_records import SECRET, STARTED_AT, TARGETS, all_outcomes, ended, refused

from gateway.pipeline.record import Outcome, Record
from gateway.telemetry.otel import OtelTracer
from gateway.telemetry.tracing import NoTracer, open_tracer

ROOT = Path(__file__).resolve().parents[2]
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECOND = 10**9


def spans_of(*records: Record, traceparent: str | None = None) -> list[ReadableSpan]:
    """The finished spans, in the order of their start."""
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(exporter, "gate", TARGETS)
    for record in records:
        tracer.trace(record, traceparent)
    tracer.close()
    return sorted(exporter.get_finished_spans(), key=lambda span: (span.start_time, span.name))


def test_a_request_is_a_server_span_with_a_client_span_for_each_attempt() -> None:
    root, first, second = spans_of(ended())
    start = int(STARTED_AT.timestamp()) * SECOND
    assert (root.name, root.kind, root.parent) == ("chat assistant", SpanKind.SERVER, None)
    assert (root.start_time, root.end_time) == (start, start + 2.5 * SECOND)
    assert [(s.name, s.kind) for s in (first, second)] == [
        ("chat openai/gpt", SpanKind.CLIENT),
        ("chat engine/local", SpanKind.CLIENT),
    ]
    for attempt, began, length in ((first, 0.1, 0.2), (second, 0.3, 2.2)):
        assert attempt.parent is not None
        assert root.context is not None
        assert attempt.parent.span_id == root.context.span_id
        assert attempt.start_time == pytest.approx(start + began * SECOND, abs=1000)
        assert attempt.end_time == pytest.approx(start + (began + length) * SECOND, abs=1000)
    assert first.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "sluicegate.target": "openai/gpt",
        "sluicegate.attempt.outcome": "timeout",
        "error.type": "timeout",
    }
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)


def test_the_root_span_speaks_the_genai_conventions() -> None:
    root = spans_of(ended())[0]
    assert root.attributes is not None
    attributes = dict(root.attributes)
    assert attributes.pop("sluicegate.overhead_seconds") == pytest.approx(0.1)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sluicegate",
        "gen_ai.request.model": "assistant",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "smollm2",
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 300,
        "gen_ai.usage.output_tokens": 101,
        "gen_ai.usage.cache_read.input_tokens": 128,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "http.response.status_code": 200,
        "sluicegate.id": "0197-ours",
        "sluicegate.request_id": "req-1",
        "sluicegate.outcome": "ok",
        "sluicegate.cost_usd": "0.000425",
        "sluicegate.target": "engine/local",
        "sluicegate.key_id": "key_1",
        "sluicegate.team": "shop",
    }
    redacted, passed = root.events
    assert redacted.attributes == {
        "sluicegate.guard.name": "pii",
        "sluicegate.guard.stage": "input",
        "sluicegate.guard.action": "redact",
        "sluicegate.guard.duration_seconds": 0.0002,
        "sluicegate.guard.failed": False,
        "sluicegate.guard.findings.EMAIL": 2,
    }
    assert passed.attributes is not None
    assert passed.attributes["sluicegate.guard.action"] == "pass"


def test_only_our_failures_are_errors_and_all_have_a_type() -> None:
    failed = spans_of(ended(outcome=Outcome.FAILED, status=502, error_code="upstream_failed", attempts=[]))[0]
    limited = spans_of(refused("rate_limit_exceeded", 429))[0]
    assert (failed.status.status_code, limited.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert failed.attributes is not None
    assert limited.attributes is not None
    assert failed.attributes["error.type"] == "upstream_failed"
    assert limited.attributes["error.type"] == "rate_limit_exceeded"


def test_the_callers_trace_is_continued() -> None:
    root, *attempts = spans_of(ended(), traceparent=f"00-{TRACE_ID}-{PARENT_ID}-01")
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT_ID
    assert {f"{span.context.trace_id:032x}" for span in (root, *attempts) if span.context} == {TRACE_ID}


def test_of_requests_that_went_well_only_so_many_are_traced_in_a_second() -> None:
    exporter, now = InMemorySpanExporter(), 0.0
    tracer = OtelTracer(exporter, "gate", TARGETS, per_second=2, clock=lambda: now)
    for _ in range(5):
        tracer.trace(ended())
    now = 0.5
    for _ in range(5):
        tracer.trace(ended())
    tracer.trace(refused("upstream_failed", 502, outcome=Outcome.FAILED))
    tracer.trace(ended(), f"00-{TRACE_ID}-{PARENT_ID}-01")
    tracer.close()
    roots = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert [root.attributes["sluicegate.outcome"] for root in roots if root.attributes] == ["ok"] * 3 + ["failed", "ok"]


def test_a_caller_who_does_not_sample_gets_no_trace() -> None:
    assert spans_of(ended(), traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00") == []


@pytest.mark.parametrize("traceparent", ["", "00-zz-1-01", "x" * 1000, f"00-{'0' * 32}-{PARENT_ID}-01", "\ud800"])
def test_a_malformed_traceparent_counts_as_none(traceparent: str) -> None:
    root = spans_of(ended(), traceparent=traceparent)[0]
    assert root.parent is None


def test_no_outcome_puts_a_text_a_person_or_a_secret_in_a_span() -> None:
    records = [*all_outcomes(), ended(request_id=SECRET, served_model=f"{SECRET} and the prompt")]
    told = "".join(span.to_json() for span in spans_of(*records))
    assert "jane" not in told
    assert SECRET not in told
    assert "prompt" not in told


class Sink:
    """A collector: takes OTLP over HTTP and keeps what it decoded."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.requests: list[ExportTraceServiceRequest] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.requests.append(ExportTraceServiceRequest.FromString(body))
                sink.paths.append(self.path)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_spans_reach_a_collector_over_otlp(sink: Sink, path: str) -> None:
    tracer = open_tracer(sink.address + path, "gate", TARGETS)
    tracer.trace(ended())
    tracer.close()
    assert sink.paths == ["/v1/traces"]
    (resource_spans,) = sink.requests[0].resource_spans
    service = {a.key: a.value.string_value for a in resource_spans.resource.attributes}
    assert service["service.name"] == "gate"
    spans = {span.name: span for scope in resource_spans.scope_spans for span in scope.spans}
    assert set(spans) == {"chat assistant", "chat openai/gpt", "chat engine/local"}
    root = spans["chat assistant"]
    assert spans["chat engine/local"].parent_span_id == root.span_id
    cost = {a.key: a.value.string_value for a in root.attributes}["sluicegate.cost_usd"]
    assert cost == "0.000425"


def test_closing_does_not_wait_for_a_collector_that_never_answers() -> None:
    entered, release, sent = threading.Event(), threading.Event(), threading.Event()

    class Stuck(InMemorySpanExporter):
        def export(self, spans: object) -> object:  # type: ignore[override]
            entered.set()
            release.wait(10)
            sent.set()
            return super().export(spans)  # type: ignore[arg-type]

    tracer = OtelTracer(Stuck(), "gate", TARGETS)
    tracer.trace(ended())
    tracer.close(timeout=0.05)
    assert entered.wait(10)
    assert not sent.is_set()  # close came back while the export still hung
    release.set()


def test_without_an_endpoint_the_sdk_is_not_even_imported() -> None:
    assert isinstance(open_tracer(None, "gate", {}), NoTracer)
    code = (
        "import sys; from gateway.telemetry.tracing import open_tracer; open_tracer(None, 'g', {}).close();"
        "print(' '.join(sys.modules))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stdout
    assert "opentelemetry" not in loaded
