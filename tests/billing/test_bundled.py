"""The price list is read without litellm, and an entry is a whole price or none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from billing.bundled import NO_PRICE, BundledList, ModelFacts, PriceListError
from billing.prices import Price

CHAT = {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}


@pytest.fixture(scope="module")
def bundled() -> BundledList:
    return BundledList()


def listed(directory: Path, **entries: Any) -> BundledList:
    path = directory / "list.json"
    path.write_text(json.dumps(entries))
    return BundledList(path)


def only(directory: Path, **fields: Any) -> ModelFacts:
    """What a list with a single chat model of these fields says of it."""
    found = listed(directory, m={**CHAT, **fields}).find("acme", "m")
    assert found is not None
    return found


def test_the_list_is_read_without_importing_litellm() -> None:
    script = (
        "import sys; from billing.bundled import BundledList; found = BundledList().find('openai', 'gpt-4o-mini');"
        "print(found.price.input); print('litellm' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    amount, imported = ran.stdout.split()
    assert (float(amount), imported) == (0.15, "False")


# Numbers as the file has them, times a million.
KNOWN = [
    ("openai", "gpt-4o", {"input": "2.5", "cached_input": "1.25", "output": "10"}),
    ("openai", "gpt-4o-mini", {"input": "0.15", "cached_input": "0.075", "output": "0.6"}),
    ("azure", "gpt-4o-mini", {"input": "0.15", "cached_input": "0.075", "output": "0.6"}),
    ("openai", "text-embedding-3-small", {"input": "0.02", "output": "0"}),
    ("openai", "gpt-audio", {"input": "2.5", "output": "10", "audio_input": "32", "audio_output": "64"}),
    (
        "openai",
        "gpt-6-luna",
        {
            "input": "0.1",
            "cached_input": "0.01",
            "cache_write": "0.125",
            "output": "0.5",
            "tiers": [
                {"above": 272_000, "input": "0.2", "cached_input": "0.02", "cache_write": "0.25", "output": "0.75"}
            ],
        },
    ),
    ("anthropic", "claude-haiku-4-5", {"input": "1", "cached_input": "0.1", "cache_write": "1.25", "output": "5"}),
    ("anthropic", "claude-sonnet-4-5", {"input": "3", "cached_input": "0.3", "cache_write": "3.75", "output": "15"}),
    (
        "gemini",
        "gemini-2.5-pro",
        {
            "input": "1.25",
            "cached_input": "0.125",
            "output": "10",
            "tiers": [{"above": 200_000, "input": "2.5", "cached_input": "0.25", "output": "15"}],
        },
    ),
    (
        "dashscope",
        "qwen-flash",
        {"input": "0.05", "output": "0.4", "tiers": [{"above": 256_000, "input": "0.25", "output": "2"}]},
    ),
    (
        "qwencloud",
        "qwen-plus-2025-09-11",
        {
            "input": "0.4",
            "output": "1.2",
            "reasoning": "4",
            "tiers": [{"above": 256_000, "input": "1.2", "output": "3.6", "reasoning": "12"}],
        },
    ),
    ("perplexity", "pplx-70b-online", {"input": "0", "output": "2.8", "per_request": "0.005"}),
    ("fal_ai", "bria/text-to-image/3.2", {"input": "0", "output": "0", "per_image": "0.0398"}),
    # written by a program that computes in floats: 9.499999999999999e-07 a token
    ("novita", "moonshotai/kimi-k2.7-code", {"input": "0.95", "cached_input": "0.19", "output": "4"}),
    ("morph", "morph-dsv4flash", {"input": "0.141953125", "cached_input": "0.0359375", "output": "0.399625"}),
]


@pytest.mark.parametrize(("provider", "model", "price"), KNOWN, ids=[model for _, model, _ in KNOWN])
def test_known_entries_have_their_whole_price(
    bundled: BundledList, provider: str, model: str, price: dict[str, Any]
) -> None:
    found = bundled.find(provider, model)
    assert found is not None
    assert found.price == Price.parse(price)
    assert found.reason is None


def test_most_of_the_bundled_list_can_be_used(bundled: BundledList) -> None:
    every = list(bundled.every())
    chats = [facts for facts in every if facts.mode == "chat"]
    assert sum(facts.price is not None for facts in every) >= 3_900
    assert sum(facts.price is not None for facts in chats) >= 0.9 * len(chats)
    assert all((facts.price is None) == (facts.reason is not None) for facts in every)
    assert "sample_spec" not in {facts.name for facts in every}


def test_what_a_model_may_read_and_say_is_known(bundled: BundledList) -> None:
    found = bundled.find("openai", "gpt-4o")
    assert found is not None
    assert (found.mode, found.max_input_tokens, found.max_output_tokens) == ("chat", 128_000, 16_384)


def test_a_model_of_another_provider_has_no_price_here(bundled: BundledList) -> None:
    assert bundled.find("openai", "claude-sonnet-4-5") is None
    assert bundled.find("openai", "my-own-model") is None
    assert bundled.find("vertex_ai", "gemini-2.5-flash") is not None  # listed for "vertex_ai-language-models"


def test_the_providers_own_name_goes_before_the_bare_one(tmp_path: Path) -> None:
    prices = listed(tmp_path, **{"m": CHAT, "acme/m": {**CHAT, "input_cost_per_token": 5e-06}})
    found = prices.find("acme", "m")
    assert found is not None and found.price is not None
    assert (found.name, found.price.input) == ("acme/m", 5)


def test_an_alias_has_the_facts_of_what_it_stands_for(bundled: BundledList, tmp_path: Path) -> None:
    found = bundled.find("bedrock", "claude-fable-latest")
    assert found is not None
    assert (found.name, found.price is not None) == ("global.anthropic.claude-fable-5-1", True)
    circle = listed(tmp_path, a={"alias_of": "b"}, b={"alias_of": "a"})
    with pytest.raises(PriceListError, match="alias"):
        circle.find("acme", "a")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_cost_per_second": 0.0001}, "input_cost_per_second"),
        ({"input_cost_per_character": 1e-06}, "input_cost_per_character"),
        ({"output_cost_per_image": 0.04}, "output_cost_per_image"),  # of a chat: beside tokens that may be the same
        ({"ocr_cost_per_page": 0.002}, "ocr_cost_per_page"),
        ({"a_new_cost_of_theirs": 1}, "a_new_cost_of_theirs"),
        ({"a_new_price": {"low": 1}}, "a_new_price"),
        ({"output_cost_per_token_above_a_lot": 1}, "output_cost_per_token_above_a_lot"),
        ({"input_cost_per_image_token": 5e-06}, "not counted apart"),
        ({"off_peak_pricing": {"input_cost_per_token": 1e-07}}, "time of day"),
        ({"input_cost_per_token": "cheap"}, "no amount of money"),
        ({"input_cost_per_token": -1e-06}, "negative"),
        ({"input_cost_per_token": 5}, "above"),
        ({"output_cost_per_token": 0}, "no price per output token"),
        ({"input_cost_per_token": None}, "no price per input token"),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0}, "only zeros"),
        ({"input_cost_per_token": None, "output_cost_per_token": None}, NO_PRICE),
        ({"tiered_pricing": []}, "no list of ranges"),
        ({"tiered_pricing": [{"range": [5, 9], "input_cost_per_token": 1}]}, "do not follow"),
        ({"tiered_pricing": [{"range": [0, 9], "input_cost_per_query": 1}]}, "input_cost_per_query"),
    ],
)
def test_an_entry_that_no_price_can_hold_has_a_reason_in_place_of_half_a_price(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    found = only(tmp_path, **fields)
    assert found.price is None
    assert found.reason is not None and reason in found.reason


@pytest.mark.parametrize("model", ["sonar-pro", "gpt-4o-search-preview"])
def test_a_model_that_searches_for_every_request_has_no_price_by_tokens_alone(tmp_path: Path, model: str) -> None:
    fees = {"search_context_cost_per_query": {"search_context_size_low": 0.01}}
    prices = listed(tmp_path, **{model: {**CHAT, **fees}, "m": {**CHAT, **fees}})
    searching, plain = prices.find("acme", model), prices.find("acme", "m")
    assert searching is not None and searching.price is None
    assert plain is not None and plain.price is not None


def test_what_is_charged_on_request_only_is_no_part_of_the_price(tmp_path: Path) -> None:
    found = only(
        tmp_path,
        input_cost_per_token_batches=5e-07,
        output_cost_per_token_above_272k_tokens_priority=9e-06,
        cache_creation_input_token_cost_above_1hr=3e-06,
        regional_processing_uplift_multiplier_eu=1.1,
        input_cost_per_image_token=1e-06,  # the same as text
        input_cost_per_second=0,
    )
    assert found.price == Price.parse({"input": "1", "output": "2"})


def test_a_range_of_tokens_stands_for_itself(tmp_path: Path) -> None:
    """A kind of token that only the first range prices costs in the next what other tokens do there."""
    ranges = [
        {"range": [0, 1000], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
        | {"cache_read_input_token_cost": 1e-07},
        {"range": [1000, 2000], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06},
    ]
    found = only(tmp_path, tiered_pricing=ranges)
    tier = {"above": 1000, "input": "3", "cached_input": "3", "output": "4"}
    assert found.price == Price.parse({"input": "1", "cached_input": "0.1", "output": "2", "tiers": [tier]})


@pytest.mark.parametrize("content", ["", "[]", "{", '{"m": {"mode": }}', "\xff"])
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(PriceListError, match=r"bad\.json"):
        BundledList(path).find("acme", "m")


def test_an_entry_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceListError, match="no object"):
        list(listed(tmp_path, m=5).every())


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceListError, match="No such file"):
        BundledList(tmp_path / "none.json").find("acme", "m")


def test_without_litellm_the_list_is_empty_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.bundled.PACKAGE", "a_package_that_is_not_installed")
    empty = BundledList()
    assert empty.find("openai", "gpt-4o") is None
    assert list(empty.every()) == []
    assert "prices update FILE" in empty.message
