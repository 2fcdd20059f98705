"""Usage is read as each provider means it: no token twice, none left out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import MAX_TOKENS, CachedTokens, Usage, UsageError

INSIDE, BESIDE = CachedTokens.INSIDE, CachedTokens.BESIDE
counts = st.integers(0, 10**6)
maybe = st.none() | counts


def chat(prompt: int, completion: int, total: int | None = None, **details: Any) -> dict[str, Any]:
    """OpenAI's usage; `given_*` goes into the prompt's details, `made_*` into the completion's."""
    given_details = {name[6:]: value for name, value in details.items() if name.startswith("given_")}
    made_details = {name[5:]: value for name, value in details.items() if name.startswith("made_")}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
        "prompt_tokens_details": given_details,
        "completion_tokens_details": made_details,
    }


def used(**counts: int) -> Usage:
    return Usage(requests=1, **counts)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (chat(8, 2), used(input_tokens=8, output_tokens=2)),
        (
            chat(
                100, 50, given_cached_tokens=60, given_audio_tokens=30, made_reasoning_tokens=20, made_audio_tokens=25
            ),
            used(
                input_tokens=100,
                cached_input_tokens=60,
                audio_input_tokens=30,
                output_tokens=50,
                reasoning_tokens=20,
                audio_output_tokens=25,
            ),
        ),
        (
            chat(100, 5, given_cached_tokens=60, given_cache_write_tokens=30),
            used(input_tokens=100, cached_input_tokens=60, cache_write_tokens=30, output_tokens=5),
        ),
        # Predicted outputs that were rejected are in completion_tokens already.
        (
            chat(10, 30, made_accepted_prediction_tokens=5, made_rejected_prediction_tokens=12),
            used(input_tokens=10, output_tokens=30),
        ),
    ],
)
def test_openai_counts_parts_inside_their_wholes(told: dict[str, Any], expected: Usage) -> None:
    assert Usage.from_openai(told, INSIDE) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, used(input_tokens=8)),
        ({"prompt_tokens": 8}, used(input_tokens=8)),
        ({"prompt_tokens": 8, "completion_tokens": None, "total_tokens": 10}, used(input_tokens=8, output_tokens=2)),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": None},
            used(input_tokens=8, output_tokens=2),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": None}},
            used(input_tokens=8, output_tokens=2),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 2}},
            used(input_tokens=8, output_tokens=2, reasoning_tokens=2),
        ),
    ],
)
def test_missing_parts_of_usage_are_nothing(told: dict[str, Any], expected: Usage) -> None:
    assert Usage.from_openai(told, INSIDE) == expected


def test_deepseek_tells_cache_hits_by_a_name_of_its_own() -> None:
    told = {
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "total_tokens": 1020,
        "prompt_cache_hit_tokens": 960,
        "prompt_cache_miss_tokens": 40,
    }
    assert Usage.from_openai(told, INSIDE) == used(input_tokens=1000, cached_input_tokens=960, output_tokens=20)


def test_moonshot_tells_cached_tokens_outside_the_details() -> None:
    told = {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, "cached_tokens": 10}
    assert Usage.from_openai(told, INSIDE).cached_input_tokens == 10


def test_reasoning_that_only_the_total_contains_is_added_to_the_output() -> None:
    # As xAI counts: 10,120 + 1,499 + 2,809 = 14,428.
    told = chat(10_120, 1_499, 14_428, given_cached_tokens=128, made_reasoning_tokens=2_809)
    expected = used(input_tokens=10_120, cached_input_tokens=128, output_tokens=4_308, reasoning_tokens=2_809)
    assert Usage.from_openai(told, INSIDE) == expected
    short = chat(32, 94, 135, made_reasoning_tokens=9)  # less than the completion, and still beside it
    assert Usage.from_openai(short, INSIDE) == used(input_tokens=32, output_tokens=103, reasoning_tokens=9)


def test_thoughts_that_nobody_lists_are_what_the_total_has_beyond_the_rest() -> None:
    # As Gemini's OpenAI endpoint counts: no details, only a total.
    told = {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81}
    assert Usage.from_openai(told, INSIDE) == used(input_tokens=21, output_tokens=60, reasoning_tokens=60)


def test_reasoning_larger_than_the_completion_lies_beside_it() -> None:
    told = {"prompt_tokens": 5, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}
    assert Usage.from_openai(told, INSIDE) == used(input_tokens=5, output_tokens=11, reasoning_tokens=6)


def test_a_total_below_its_parts_changes_nothing() -> None:
    assert Usage.from_openai(chat(8, 4, 9), INSIDE) == used(input_tokens=8, output_tokens=4)


def test_cached_tokens_beside_the_input_are_added_to_it() -> None:
    told = chat(10, 1, 11, given_cached_tokens=90, given_cache_write_tokens=7)
    expected = used(input_tokens=107, cached_input_tokens=90, cache_write_tokens=7, output_tokens=1)
    assert Usage.from_openai(told, BESIDE) == expected


def test_cached_tokens_that_do_not_fit_inside_lie_beside_the_input_whatever_was_declared() -> None:
    told = chat(5, 5, given_cached_tokens=6)
    assert Usage.from_openai(told, INSIDE) == used(input_tokens=11, cached_input_tokens=6, output_tokens=5)


def test_a_cached_audio_token_is_billed_as_audio() -> None:
    told = chat(100, 1, given_cached_tokens=60, given_audio_tokens=50)
    told["prompt_tokens_details"]["cached_tokens_details"] = {"text_tokens": 20, "audio_tokens": 40}
    expected = used(input_tokens=100, cached_input_tokens=20, audio_input_tokens=50, output_tokens=1)
    assert Usage.from_openai(told, INSIDE) == expected


def test_cached_and_audio_tokens_that_must_overlap_are_counted_once() -> None:
    told = chat(100, 1, given_cached_tokens=80, given_audio_tokens=50)
    expected = used(input_tokens=100, cached_input_tokens=50, audio_input_tokens=50, output_tokens=1)
    assert Usage.from_openai(told, INSIDE) == expected


def test_the_responses_api_names_the_same_things_otherwise() -> None:
    told = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 150,
    }
    assert Usage.from_openai_responses(told, INSIDE) == used(
        input_tokens=100, cached_input_tokens=60, cache_write_tokens=10, output_tokens=50, reasoning_tokens=20
    )


def test_anthropic_counts_cache_reads_and_writes_beside_the_input() -> None:
    told = {
        "input_tokens": 12,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 7,
    }
    expected = used(input_tokens=1312, cached_input_tokens=1000, cache_write_tokens=300, output_tokens=7)
    assert Usage.from_anthropic(told, BESIDE) == expected
    assert Usage.from_anthropic({**told, "input_tokens": 1312}, INSIDE) == expected
    plain = {"input_tokens": 12, "cache_read_input_tokens": None, "output_tokens": 7}
    assert Usage.from_anthropic(plain, BESIDE) == used(input_tokens=12, output_tokens=7)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 5, "completion_tokens": -1, "total_tokens": 9},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": 5.0, "completion_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 5},
        {"prompt_tokens": MAX_TOKENS + 1, "completion_tokens": 5},
        {"prompt_tokens": 5, "total_tokens": 4},
        {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": MAX_TOKENS + 20},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": [1]},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_cache_hit_tokens": "all"},
    ],
)
def test_usage_that_cannot_be_true_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Usage.from_openai(told, INSIDE)


@pytest.mark.parametrize("missing", ["input_tokens", "output_tokens"])
def test_a_reply_without_its_counts_is_refused(missing: str) -> None:
    told = {"input_tokens": 1, "output_tokens": 1}
    del told[missing]
    for reader in (Usage.from_openai_responses, Usage.from_anthropic):
        with pytest.raises(UsageError, match=f"{missing} is missing"):
            reader(told, INSIDE)


def test_usage_that_is_no_object_is_refused() -> None:
    for reader in (Usage.from_openai, Usage.from_openai_responses, Usage.from_anthropic):
        with pytest.raises(UsageError, match="not an object"):
            reader([1, 2], INSIDE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"input_tokens": 5, "cached_input_tokens": 3, "cache_write_tokens": 2, "audio_input_tokens": 1},
        {"output_tokens": 5, "reasoning_tokens": 3, "audio_output_tokens": 3},
        {"images": -1},
        {"compute_us": -1},
        {"requests": MAX_TOKENS + 1},
    ],
)
def test_parts_larger_than_their_whole_are_no_usage(fields: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Usage(**fields)


@given(
    prompt=counts,
    completion=counts,
    total=maybe,
    given_details=st.dictionaries(
        st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]), maybe
    ),
    made_details=st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), maybe),
    overlap=maybe,
    convention=st.sampled_from(CachedTokens),
)
def test_any_whole_numbers_give_a_usage_that_is_never_below_what_was_told(
    prompt: int,
    completion: int,
    total: int | None,
    given_details: dict[str, int | None],
    made_details: dict[str, int | None],
    overlap: int | None,
    convention: CachedTokens,
) -> None:
    told = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {**given_details, "cached_tokens_details": {"audio_tokens": overlap}},
        "completion_tokens_details": made_details,
    }
    usage = Usage.from_openai(told, convention)
    assert usage.input_tokens >= prompt
    assert usage.output_tokens >= completion
    assert usage.input_tokens + usage.output_tokens >= (total or 0)
    assert usage.cached_input_tokens <= (given_details.get("cached_tokens") or 0)  # what is cheap is never more
    assert usage.reasoning_tokens >= (made_details.get("reasoning_tokens") or 0)


def test_a_record_of_the_version_before_reads_as_it_was_written() -> None:
    old = b'{"input_tokens":120,"cached_input_tokens":20,"output_tokens":30,"reasoning_tokens":0,"compute_us":1500}'
    usage = Usage(input_tokens=120, cached_input_tokens=20, output_tokens=30, compute_us=1500)
    assert msgspec.json.decode(old, type=Usage) == usage
    assert msgspec.json.decode(msgspec.json.encode(usage), type=Usage) == usage
