"""Targets of providers other than OpenAI in the configuration: what each needs, and what the price list knows of it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, load_config
from gateway.config.providers import NATIVE, PROVIDERS
from gateway.routing.catalogue import Catalogue

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def load(directory: Path, *targets: str) -> Config:
    path = directory / "sluicegate.yaml"
    lines = "".join(f"      - {target}\n" for target in targets)
    path.write_text(f"models:\n  - name: assistant\n    targets:\n{lines}")
    return load_config(path, {})


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("{provider: antropic, model: m, api_key: k}", 'there is no provider "antropic" (did you mean "anthropic"?)'),
        ("{provider: anthropic, model: m}", 'a target with the provider "anthropic" needs api_key: KEY'),
        ("{provider: bedrock, model: m}", 'a target with the provider "bedrock" needs options: {region: …}'),
        ("{provider: azure, model: m, api_key: k, options: {api_version: v}}", "needs base_url: URL"),
        (
            "{provider: bedrock, model: m, options: {region: r, acess_key_id: k}}",
            'no such option (did you mean "access_key_id"?)',
        ),
        ("{provider: anthropic, model: m, api_key: k, options: {region: eu}}", "has no such option"),
        ("{provider: anthropic, api_key: k}", "a target with a provider needs model: NAME"),
    ],
)
def test_a_target_that_cannot_work_is_refused_with_the_reason(tmp_path: Path, target: str, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, target)
    assert fault in str(raised.value)


def test_secrets_among_the_options_are_not_printed(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "{provider: bedrock, model: m, "
        "options: {region: eu-west-1, access_key_id: AKIA1, secret_access_key: TOPSECRET}}",
    )
    printed = str(config.redacted())
    assert "TOPSECRET" not in printed
    assert "AKIA1" not in printed
    assert "eu-west-1" in printed


def test_two_regions_are_two_targets(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "{provider: bedrock, model: m, options: {region: eu-west-1}}",
        "{provider: bedrock, model: m, options: {region: us-east-1}}",
    )
    assert [target.name for target in config.models[0].targets] == ["bedrock/m", "bedrock/m#2"]


@pytest.mark.parametrize(
    ("target", "name", "prices"),
    [
        ("{provider: anthropic, model: claude-haiku-4-5, api_key: k}", "anthropic/claude-haiku-4-5", ("1", "5")),
        ("{provider: gemini, model: gemini-2.5-flash, api_key: k}", "gemini/gemini-2.5-flash", ("0.3", "2.5")),
        (
            "{provider: vertex_ai, model: gemini-2.5-flash, options: {project: p, region: r}}",
            "vertex_ai/gemini-2.5-flash",
            ("0.3", "2.5"),
        ),
        (
            "{provider: cohere, model: command-r7b-12-2024, api_key: k}",
            "cohere/command-r7b-12-2024",
            ("0.0375", "0.15"),
        ),
        (
            "{provider: bedrock, model: amazon.nova-lite-v1:0, name: nova, options: {region: us-east-1}}",
            "nova",
            ("0.06", "0.24"),
        ),
    ],
)
def test_the_price_list_knows_each_providers_models(
    tmp_path: Path, target: str, name: str, prices: tuple[str, str]
) -> None:
    price = Catalogue(load(tmp_path, target), {}).price_book().price(name, NOW)
    assert price is not None
    assert (price.input, price.output) == tuple(map(Decimal, prices))


def test_a_regions_own_price_wins_and_an_address_of_ones_own_has_none(tmp_path: Path) -> None:
    model = "mistral.mistral-7b-instruct-v0:2"
    config = load(
        tmp_path,
        f"{{provider: bedrock, model: '{model}', name: usual, options: {{region: us-east-1}}}}",
        f"{{provider: bedrock, model: '{model}', name: dear, options: {{region: eu-west-3}}}}",
        "{provider: anthropic, model: claude-haiku-4-5, name: own, api_key: k, base_url: 'http://localhost:1'}",
    )
    book = Catalogue(config, {}).price_book()
    usual, dear = book.price("usual", NOW), book.price("dear", NOW)
    assert usual is not None
    assert dear is not None
    assert (usual.input, dear.input) == (Decimal("0.15"), Decimal("0.2"))
    assert book.price("own", NOW) is None


LOADING = """
import os, socket, sys
from pathlib import Path

os.chdir(sys.argv[1])
Path(".env").write_text("LOADED_FROM_DOTENV=1")

def refused(*args, **options):
    raise AssertionError(f"the network was used: {args}")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refused
import gateway.parts.models
from gateway.config.providers import PROVIDERS
assert "litellm" not in sys.modules
from gateway.upstreams.litellm import sdk
loaded = sdk.load()
assert "LOADED_FROM_DOTENV" not in os.environ
assert not loaded.success_callback and not loaded.callbacks and loaded.drop_params is False
print(sorted(set(PROVIDERS) - {provider.value for provider in loaded.LlmProviders}))
"""


@pytest.mark.slow
@pytest.mark.timeout(120)  # seconds of work, more on a busy machine
def test_the_sdk_is_loaded_only_when_needed_and_then_without_the_network_or_a_dotenv_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path)], capture_output=True, text=True, timeout=110, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")  # every provider is one the SDK knows


def test_the_native_provider_is_in_the_table() -> None:
    assert NATIVE in PROVIDERS
