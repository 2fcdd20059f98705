"""What happens to a record when its request has ended: counted, traced, logged. The ledger has it already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import monotonic
from types import TracebackType

from gateway.pipeline.record import Record
from gateway.telemetry.logs import log_request
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracer


class Recorder:
    def __init__(self, metrics: Metrics, tracer: Tracer) -> None:
        self._metrics = metrics
        self._tracer = tracer

    def under_way(self, record: Record) -> AbstractContextManager[None]:
        """Around the whole of a request, whatever way it ends."""
        return _UnderWay(self, record)

    def begin(self) -> None:
        self._metrics.inflight.inc()

    def end(self, record: Record) -> None:
        self._metrics.inflight.dec()
        record.ended = monotonic()
        self._metrics.observe(record)
        log_request(record)
        self._tracer.trace(record, record.traceparent)


class _UnderWay(AbstractContextManager[None]):
    __slots__ = ("_record", "_recorder")

    def __init__(self, recorder: Recorder, record: Record) -> None:
        self._recorder, self._record = recorder, record

    def __enter__(self) -> None:
        self._recorder.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recorder.end(self._record)
