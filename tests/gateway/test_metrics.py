"""What /metrics says after a request: exact values, OpenTelemetry's names and buckets, bounded labels."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from sample_records import SECRET, STATS, all_outcomes, ended, new_metrics, refused

from gateway.admission.principals import Principal
from gateway.pipeline.record import Attempt, Outcome, Record
from gateway.telemetry.metrics import ATTEMPT_OUTCOMES, MAX_TEAMS, OPERATIONS, Metrics, error_type
from guards.types import Action, Stage, Verdict

GEN_AI = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "sluicegate",
    "gen_ai_request_model": "assistant",
}


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The rendered page, parsed."""
    page, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


def test_one_streamed_request_is_counted_exactly() -> None:
    metrics = new_metrics()
    metrics.observe(ended())
    chat = {"endpoint": "chat/completions", "model": "assistant"}
    assert value(metrics, "sluicegate_requests_total", **chat, status="200") == 1
    assert value(metrics, "gen_ai_server_request_duration_seconds_sum", **GEN_AI, error_type="") == 2.5
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_sum", **GEN_AI) == 0.5
    assert value(metrics, "gen_ai_server_time_per_output_token_seconds_sum", **GEN_AI) == 0.02
    assert value(metrics, "gen_ai_client_token_usage_sum", **GEN_AI, gen_ai_token_type="input") == 300
    assert value(metrics, "gen_ai_client_token_usage_sum", **GEN_AI, gen_ai_token_type="output") == 101
    assert value(metrics, "sluicegate_overhead_seconds_sum", model="assistant") == pytest.approx(0.1)
    assert value(metrics, "sluicegate_cost_usd_total", model="assistant", team="shop") == 0.000425
    verdict = {"guard": "pii", "stage": "input", "action": "redact"}
    assert value(metrics, "sluicegate_guard_verdicts_total", **verdict) == 1
    assert value(metrics, "sluicegate_guard_duration_seconds_sum", guard="pii", stage="output") == 0.0001
    assert value(metrics, "sluicegate_upstream_attempts_total", target="openai/gpt", outcome="timeout") == 1
    assert value(metrics, "sluicegate_upstream_attempts_total", target="engine/local", outcome="ok") == 1


def test_only_streams_that_succeeded_have_token_times() -> None:
    metrics = new_metrics()
    for record in all_outcomes()[1:]:
        metrics.observe(record)
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_count", **GEN_AI) == 1
    assert value(metrics, "gen_ai_server_time_per_output_token_seconds_count", **GEN_AI) == 0


def test_refusals_count_by_kind_and_cost_nothing() -> None:
    metrics = new_metrics()
    for limit in ("tokens", "budget", "budget"):
        metrics.observe(refused("budget_exceeded" if limit == "budget" else "rate_limit_exceeded", 429, limit=limit))
    assert value(metrics, "sluicegate_limit_rejections_total", kind="tokens") == 1
    assert value(metrics, "sluicegate_limit_rejections_total", kind="requests") == 0
    assert value(metrics, "sluicegate_limit_rejections_total", kind="budget") == 2
    assert not any(name == "sluicegate_cost_usd_total" for name, _ in samples(metrics))


def test_buckets_are_those_of_the_genai_conventions() -> None:
    metrics = new_metrics()
    metrics.observe(ended())
    bounds: dict[str, list[float]] = {}
    for name, labels in samples(metrics):
        if name.startswith("gen_ai") and name.endswith("_bucket"):
            bounds.setdefault(name.removesuffix("_bucket"), []).append(float(dict(labels)["le"]))
    inf = float("inf")
    seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, inf]
    first = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, inf]
    each = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, inf]
    tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, inf]
    assert sorted(set(bounds["gen_ai_server_request_duration_seconds"])) == seconds
    assert sorted(set(bounds["gen_ai_server_time_to_first_token_seconds"])) == first
    assert sorted(set(bounds["gen_ai_server_time_per_output_token_seconds"])) == each
    assert sorted(set(bounds["gen_ai_client_token_usage"])) == tokens


def test_every_name_of_the_contract_is_there_before_the_first_request() -> None:
    page = new_metrics().render()[0].decode()
    declared = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    assert declared >= {
        "gen_ai_client_token_usage",
        "gen_ai_server_request_duration_seconds",
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_per_output_token_seconds",
        "sluicegate_requests_total",
        "sluicegate_cost_usd_total",
        "sluicegate_guard_verdicts_total",
        "sluicegate_guard_duration_seconds",
        "sluicegate_overhead_seconds",
        "sluicegate_upstream_attempts_total",
        "sluicegate_breaker_open",
        "sluicegate_limit_rejections_total",
        "sluicegate_inflight_requests",
        "sluicegate_ledger_lag_seconds",
        "sluicegate_engine_running_sequences",
        "sluicegate_engine_waiting_sequences",
        "sluicegate_engine_batch_size_max",
        "sluicegate_engine_kv_blocks",
        "sluicegate_engine_kv_blocks_cached",
        "sluicegate_engine_prefix_hit_tokens_total",
        "sluicegate_engine_tokens_total",
    }
    assert "_created" not in page


def test_series_that_alerts_watch_begin_at_zero() -> None:
    metrics = new_metrics()
    assert value(metrics, "sluicegate_requests_total", endpoint="chat/completions", model="cloud", status="502") == 0
    assert value(metrics, "sluicegate_upstream_attempts_total", target="openai/gpt", outcome="error") == 0


def test_engine_and_ledger_are_read_at_each_scrape() -> None:
    now: dict[str, Any] = {"stats": STATS, "lag": 1.5}
    metrics = new_metrics(engines={"local": lambda: now["stats"]}, ledger_lag=lambda: now["lag"])
    assert value(metrics, "sluicegate_engine_kv_blocks_cached", engine="local") == 20
    now |= {"stats": msgspec.structs.replace(STATS, running=9, blocks_cached=0), "lag": 0.0}
    assert value(metrics, "sluicegate_engine_running_sequences", engine="local") == 9
    assert value(metrics, "sluicegate_engine_kv_blocks_cached", engine="local") == 0
    assert value(metrics, "sluicegate_engine_batch_size_max", engine="local") == 7
    assert value(metrics, "sluicegate_engine_tokens_total", engine="local", kind="prompt") == 1000
    assert value(metrics, "sluicegate_engine_prefix_hit_tokens_total", engine="local") == 128
    assert value(metrics, "sluicegate_ledger_lag_seconds") == 0


def test_what_the_cache_answered_is_counted() -> None:
    metrics = new_metrics()
    for result in ("hit", "hit", "miss", None):
        metrics.observe(ended(cache=result))
    assert value(metrics, "sluicegate_cache_requests_total", result="hit") == 2
    assert value(metrics, "sluicegate_cache_requests_total", result="miss") == 1


def test_inflight_rises_and_falls() -> None:
    metrics = new_metrics()
    metrics.inflight.inc()
    assert value(metrics, "sluicegate_inflight_requests") == 1
    metrics.inflight.dec()
    assert value(metrics, "sluicegate_inflight_requests") == 0


odd = st.text(max_size=12) | st.sampled_from(["assistant", "pii", "openai/gpt", "chat/completions", SECRET, "ok"])


@st.composite
def odd_records(draw: st.DrawFn) -> Record:
    """Records whose every text is anything at all."""
    return ended(
        endpoint=draw(odd),
        requested_model=draw(odd),
        model=draw(st.none() | odd),
        target=draw(st.none() | odd),
        principal=Principal(key_id=draw(odd), key_name=draw(odd), team=draw(st.none() | st.just("shop"))),
        attempts=[Attempt(draw(odd), 100.0, 101.0, draw(odd))],
        verdicts=[Verdict(draw(odd), draw(st.sampled_from(Stage)), draw(st.sampled_from(Action)))],
        status=draw(st.integers(-1, 2000)),
        error_code=draw(st.none() | odd),
        outcome=draw(st.sampled_from(Outcome)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(odd_records(), max_size=5))
def test_no_label_holds_anything_but_configured_names_and_words_of_the_code(records: list[Record]) -> None:
    metrics = new_metrics()
    for record in records:
        metrics.observe(record)
    allowed = {
        "endpoint": {*OPERATIONS, "other"},
        "model": {"assistant", "cloud", "other"},
        "gen_ai_request_model": {"assistant", "cloud", "other"},
        "gen_ai_provider_name": {"openai", "sluicegate"},
        "target": {"engine/local", "openai/gpt", "other"},
        "outcome": {*ATTEMPT_OUTCOMES, "other"},
        "guard": {"pii", "other"},
        "team": {"shop", "none"},
    }
    for _name, labels in samples(metrics):
        for label, text in labels:
            assert text in allowed.get(label, {text})
            assert label != "status" or text == "other" or 100 <= int(text) <= 599
            assert SECRET not in text


def test_teams_beyond_the_bound_share_one_label() -> None:
    metrics = new_metrics()
    for number in range(MAX_TEAMS + 3):
        principal = Principal(key_id="k", key_name="n", team=f"team-{number}")
        metrics.observe(ended(principal=principal, cost=Decimal(1)))
    assert value(metrics, "sluicegate_cost_usd_total", model="assistant", team="other") == 3
    assert value(metrics, "sluicegate_cost_usd_total", model="assistant", team="team-0") == 1


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ended(), ""),
        (ended(outcome=Outcome.CLIENT_CLOSED, status=499), "client_closed"),
        (ended(outcome=Outcome.BLOCKED, status=200), "guard_blocked"),
        (refused("model_not_found", 404), "model_not_found"),
        (refused("some new word", 418), "418"),
        (refused("some new word", 0), "other"),
    ],
)
def test_the_error_type_is_a_bounded_word(record: Record, expected: str) -> None:
    assert error_type(record) == expected


def test_an_amount_at_a_bound_is_in_the_bucket_of_that_bound() -> None:
    metrics = new_metrics()
    for seconds in (0.02, 0.0200001):
        metrics.observe(replace(ended(), started=0.0, first_token=0.01, ended=seconds))
        metrics.refresh()
    buckets = {
        bound: value(metrics, "gen_ai_server_request_duration_seconds_bucket", **GEN_AI, error_type="", le=bound)
        for bound in ("0.01", "0.02", "0.04", "+Inf")
    }
    assert buckets == {"0.01": 0, "0.02": 1, "0.04": 2, "+Inf": 2}
