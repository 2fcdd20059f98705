"""JSON log lines on standard error: one for each request, and whatever the code has to say between.

Every value of every line, the standard library's loggers and exception texts included, passes `scrub` here. A
line never holds a prompt, a reply, a user's name or a tag.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import orjson
import structlog

from billing.money import display
from gateway.pipeline.record import Record
from gateway.telemetry.scrub import scrub

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._:/-]{1,64}", re.ASCII)
_UNTOUCHED = (bool, int, float, type(None))

LINE_SECONDS = 0.1
MAX_LINES = 200


def configure(level: str = "info", stream: BinaryIO | None = None) -> None:
    """Send all logging of the process to `stream` (default: standard error) as JSON lines from `level` up."""
    global _sink
    threshold = logging.getLevelNamesMapping()[level.upper()]
    _sink.flush()
    target = _sink = LineSink(stream or sys.stderr.buffer, threshold)
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            scrub_values,
            structlog.processors.add_log_level,
            _add_time,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, target)),
        cache_logger_on_first_use=False,
    )
    handler = _LibraryHandler(target)
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)


def log_request(record: Record) -> None:
    """Write the line of one request that has ended; a warning if it failed on our side.

    The line of one that went well may wait `LINE_SECONDS` for others to be written with.
    """
    level = logging.WARNING if record.status >= 500 else logging.INFO
    if level < _sink.threshold:
        return
    fields = request_fields(record)
    fields["event"] = "request"
    fields["level"] = "info" if level == logging.INFO else "warning"
    line = render(None, "", _add_time(None, "", fields)) + b"\n"
    if level == logging.INFO:
        _sink.write_soon(line)
    else:
        _sink.write(line)
        _sink.flush()


def request_fields(record: Record) -> dict[str, Any]:
    """What the log says of a request. Times in milliseconds, money as a decimal text; absent: unknown."""
    fields: dict[str, Any] = {
        "id": record.id,
        "request_id": scrub(record.request_id),
        "endpoint": record.endpoint,
        "stream": record.stream,
        "status": record.status,
        "outcome": record.outcome.value,
        "model": record.model,
        "target": record.target,
        "duration_ms": _milliseconds(record.duration),
        "overhead_ms": _milliseconds(record.overhead),
        "cost_usd": display(record.cost),
    }
    if record.model is None:
        fields["requested_model"] = plain_name(record.requested_model)
    if record.error_code is not None:
        fields["error_code"] = record.error_code
    if record.first_token is not None:
        fields["first_token_ms"] = _milliseconds(record.first_token - record.started)
    if record.principal is not None:
        fields["key_id"] = record.principal.key_id
        fields["team"] = scrub(record.principal.team) if record.principal.team else None
    if record.usage is not None:
        fields["input_tokens"] = record.usage.input_tokens
        fields["cached_input_tokens"] = record.usage.cached_input_tokens
        fields["output_tokens"] = record.usage.output_tokens
    if record.attempts:
        fields["attempts"] = [{"target": a.target, "outcome": a.outcome} for a in record.attempts]
    if record.verdicts:
        fields["verdicts"] = [
            {
                "guard": verdict.guard,
                "stage": verdict.stage.value,
                "action": verdict.label,
                "findings": dict(verdict.findings),
                "error": verdict.error,
                **({} if verdict.score is None else {"score": round(verdict.score, 4)}),
            }
            for verdict in record.verdicts
        ]
    return fields


def plain_name(text: str) -> str:
    """`text` if it looks like a model's name and like nothing else, scrubbed; else "other"."""
    return scrub(text) if _PLAIN_NAME.fullmatch(text) else "other"


def scrub_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that takes secrets out of every value, at any depth."""
    for key, value in event.items():
        event[key] = _scrubbed(value)
    return event


def render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    """One line of JSON; never raises, whatever the values are."""
    try:
        return orjson.dumps(event)
    except TypeError:  # lone surrogates, integers beyond 64 bits, keys that are no text
        return json.dumps(event, default=str, skipkeys=True).encode()


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, _UNTOUCHED):
        return value
    if isinstance(value, Mapping):
        return {key: _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrubbed(item) for item in value]
    return scrub(str(value))


def _add_time(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return event


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def flush_lines() -> None:
    """Write what waits to be written."""
    _sink.flush()


class LineSink:
    """Where lines go. `write` keeps them until `flush`; `write_soon` sees to that itself, a moment later."""

    def __init__(self, stream: BinaryIO, threshold: int) -> None:
        self.threshold = threshold
        self._stream = stream
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._flushing = False  # somebody will

    def write(self, line: bytes) -> int:
        with self._lock:
            self._lines.append(line)
        return len(line)

    def flush(self) -> None:
        with self._lock:
            lines, self._lines, self._flushing = self._lines, [], False
            if lines:
                self._stream.write(b"".join(lines))
                self._stream.flush()

    def write_soon(self, line: bytes) -> None:
        self.write(line)
        if self._flushing and len(self._lines) < MAX_LINES:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._flushing:
            self.flush()
        else:
            self._flushing = True
            loop.call_later(LINE_SECONDS, self.flush)


class _LibraryHandler(logging.Handler):
    """Writes what libraries log through the standard library in the same form, with the same scrubbing."""

    def __init__(self, stream: LineSink) -> None:
        super().__init__()
        self._stream = stream
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: dict[str, Any] = {
                "event": record.getMessage(),
                "logger": record.name,
                "level": record.levelname.lower(),
            }
            if record.exc_info:
                event["exception"] = self._formatter.formatException(record.exc_info)
            line = render(None, "", scrub_values(None, "", _add_time(None, "", event)))
            self._stream.write(line + b"\n")
            self._stream.flush()
        except Exception:
            self.handleError(record)


_sink = LineSink(sys.stderr.buffer, logging.INFO)
atexit.register(flush_lines)
