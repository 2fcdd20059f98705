"""What happens to a record when its request has ended: counted, traced, logged. The ledger has it already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from gateway.pipeline.record import Record
from gateway.telemetry.logs import log_request
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracer


class Recorder:
    def __init__(self, metrics: Metrics, tracer: Tracer) -> None:
        self._metrics = metrics
        self._tracer = tracer

    @contextmanager
    def under_way(self, record: Record) -> Iterator[None]:
        """Around the whole of a request, whatever way it ends."""
        self._metrics.inflight.inc()
        try:
            yield
        finally:
            self._metrics.inflight.dec()
            record.ended = monotonic()
            self._metrics.observe(record)
            log_request(record)
            self._tracer.trace(record, record.traceparent)
