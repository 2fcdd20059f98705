"""Traces: one for each request, made once from its `Record` when it has ended.

Without an endpoint nothing of the OpenTelemetry SDK is imported; with one, `otel` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.pipeline.record import Record


class Tracer(Protocol):
    """Where ended requests go to become traces."""

    def trace(self, record: Record, traceparent: str | None = None) -> None:
        """Make the trace of one ended request, below the caller's span if `traceparent` (W3C) names one."""
        ...

    def configure(self, providers: Mapping[str, str], per_second: float | None) -> None:
        """Go by these from now on; providers of targets that are gone are still known. See `open_tracer`."""
        ...

    def close(self, timeout: float = 5.0) -> None:
        """Send what is waiting, for at most `timeout` seconds. Blocks; call it from a thread."""
        ...


class NoTracer:
    """Makes no traces."""

    def trace(self, record: Record, traceparent: str | None = None) -> None:
        return None

    def configure(self, providers: Mapping[str, str], per_second: float | None) -> None:
        return None

    def close(self, timeout: float = 5.0) -> None:
        return None


def open_tracer(
    otlp_endpoint: str | None, service_name: str, providers: Mapping[str, str], per_second: float | None = None
) -> Tracer:
    """A tracer that sends to `otlp_endpoint` over OTLP/HTTP, or one that does nothing if there is none.

    `otlp_endpoint` is a collector's base address ("http://localhost:4318") or the full address that ends in
    "/v1/traces". `providers` maps each target's name to its provider. `per_second`: see `OtelTracer`.
    """
    if otlp_endpoint is None:
        return NoTracer()
    from gateway.telemetry.otel import OtelTracer, otlp_exporter

    return OtelTracer(otlp_exporter(otlp_endpoint), service_name, providers, per_second=per_second)
