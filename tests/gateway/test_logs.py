"""Log lines: one of JSON for each request, no texts, and no secret whatever way it came in."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from gatekit import run_gate
from hypothesis import given
from hypothesis import strategies as st
from sample_records import SECRET, all_outcomes, ended, refused

from gateway.telemetry import logs
from gateway.telemetry.scrub import MASK, scrub

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged at level info and above, parsed; the process's logging is put back afterwards."""
    stream = io.BytesIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    logs.configure("info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


async def test_lines_of_quick_requests_are_written_together_and_a_warning_at_once(lines: Lines) -> None:
    logs.log_request(ended())
    assert lines() == []
    logs.log_request(refused("upstream_failed", 502))
    assert [line["level"] for line in lines()] == ["info", "warning"]
    for _ in range(logs.MAX_LINES):
        logs.log_request(ended())
    assert len(lines()) == 2 + logs.MAX_LINES
    logs.log_request(ended())
    async with asyncio.timeout(10):
        while len(lines()) < 3 + logs.MAX_LINES:
            await asyncio.sleep(0.01)


async def test_what_waits_is_written_when_a_gate_closes(tmp_path: Path, lines: Lines) -> None:
    async with run_gate(tmp_path, "models: [{name: m, targets: [{provider: openai, model: m}]}]\n"):
        logs.log_request(ended())
        assert lines() == []
    assert [line["event"] for line in lines()] == ["request"]


def test_a_request_is_one_line_with_what_an_operator_asks_for(lines: Lines) -> None:
    logs.log_request(ended())
    (line,) = lines()
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "info",
        "event": "request",
        "id": "0197-ours",
        "request_id": "req-1",
        "endpoint": "chat/completions",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "model": "assistant",
        "target": "engine/local",
        "duration_ms": 2500.0,
        "overhead_ms": pytest.approx(100.0),
        "first_token_ms": 500.0,
        "cost_usd": "0.000425",
        "key_id": "key_1",
        "team": "shop",
        "input_tokens": 300,
        "cached_input_tokens": 128,
        "output_tokens": 101,
        "attempts": [
            {"target": "openai/gpt", "outcome": "timeout"},
            {"target": "engine/local", "outcome": "ok"},
        ],
        "verdicts": [
            {"guard": "pii", "stage": "input", "action": "redact", "findings": {"EMAIL": 2}, "error": None},
            {"guard": "pii", "stage": "output", "action": "pass", "findings": {}, "error": None},
        ],
    }


def test_no_outcome_logs_a_text_a_person_or_a_secret(lines: Lines) -> None:
    for record in all_outcomes():
        logs.log_request(record)
    assert len(lines()) == len(all_outcomes())
    told = json.dumps(lines())
    assert "jane" not in told
    assert SECRET not in told
    assert "prompt" not in told


def test_failures_of_ours_are_warnings_and_an_unknown_model_is_named(lines: Lines) -> None:
    logs.log_request(refused("upstream_failed", 502))
    logs.log_request(refused("model_not_found", 404, requested_model="gpt-9"))
    logs.log_request(refused("model_not_found", 404, requested_model="write to jane@example.com"))
    assert [(line["level"], line["requested_model"]) for line in lines()] == [
        ("warning", "assistant"),
        ("info", "gpt-9"),
        ("info", "other"),
    ]


SECRETS = [
    ("key sg-0123456789abcdef!", f"key {MASK}!"),
    ("OPENAI sk-proj-A_b-C123456.", f"OPENAI {MASK}."),
    ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {MASK}"),
    ("{'Authorization': 'Basic dXNlcjpwYXNz'}", f"{{'Authorization': 'Basic {MASK}'}}"),
    ("got bearer eyJhbGciOi.J9 here", f"got bearer {MASK} here"),
    ("x-api-key: hunter2", f"x-api-key: {MASK}"),
    ('"api-key": "hunter2", "a": 1', f'"api-key": "{MASK}", "a": 1'),
    ("postgresql+asyncpg://me:p@ss/w?rd@db/x", f"postgresql+asyncpg://{MASK}@db/x"),
    ("GET https://h/v1?a=1&key=hunter2&b=2", f"GET https://h/v1?a=1&key={MASK}&b=2"),
]


@pytest.mark.parametrize(("text", "safe"), SECRETS)
def test_what_looks_like_a_credential_is_masked(text: str, safe: str) -> None:
    assert scrub(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "task-force",
        "disk-usage",
        "https://api.openai.com/v1",
        "a=b",
        "the bearer of news",
        "skip sg-1",
        "jane@example.com",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(("text", "safe"), SECRETS)
def test_secrets_leave_every_kind_of_value_and_exceptions_too(lines: Lines, text: str, safe: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        structlog.get_logger().warning(text, a=text, b=[{"c": (text,)}], d=error, exc_info=True)
        logging.getLogger("library").error("%s", text, exc_info=True)
    ours, library = lines()
    assert (ours["event"], ours["a"], ours["b"], ours["d"]) == (safe, safe, [{"c": [safe]}], safe)
    assert ours["exception"].endswith(f"RuntimeError: {safe}")
    assert (library["event"], library["logger"], library["level"]) == (safe, "library", "error")
    assert library["exception"].endswith(f"RuntimeError: {safe}")
    assert text not in json.dumps(lines(), ensure_ascii=False)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just("\ud800"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(anything)
def test_any_value_makes_exactly_one_line(value: Any) -> None:
    event = logs.scrub_values(None, "", {"event": "e", "value": value})
    line = logs.render(None, "", event)
    assert b"\n" not in line
    assert json.loads(line)["event"] == "e"


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("quiet")
    logging.getLogger("library").info("quiet")
    assert lines() == []
