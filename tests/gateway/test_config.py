"""The configuration file: what it means; every fault told at once, at its line, without secrets."""

from __future__ import annotations

import os
import random
import re
import string
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config import Config, ConfigError, load_config
from gateway.config.changes import differences
from gateway.config.schema import ENGINE_FIRST_TOKEN, OPENAI_BASE_URL
from gateway.config.unbuilt import UNBUILT
from guards.types import Scope

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-correct-horse"
MINIMAL = """\
models:
  - name: assistant
    targets: [{engine: local}]
engine:
  models:
    local: {path: model.gguf}
"""
FULL = """\
server: {host: 127.0.0.1, port: 8080, max_body: 10MiB, state_dir: state}
admin_key: ${ADMIN}
storage: {url: "sqlite+aiosqlite:///x.db", journal: {fsync: always}}
shared_state: {url: "memory://"}
models:
  - name: assistant
    routing: ordered
    targets:
      - {engine: local, price: {per_compute_second: "0.0001"}}
    fallbacks: [cloud]
  - name: cloud
    routing: weighted
    targets:
      - provider: openai
        model: gpt-4o-mini
        api_key: ${KEY}
        weight: 2
        retries: 1
        timeouts: {connect: 1s, total: 1m}
        breaker: false
        price: {input: "0.15", cached_input: 0.075, output: "0.60"}
      - {provider: openai, model: other, base_url: "http://localhost:9/v1", api_key: ${KEY:-none}}
engine:
  models:
    local:
      path: model.gguf
      kv_cache: {memory: 64MiB}
      max_context: 2048
      max_sequences: 8
      token_budget: 512
      threads: 1
      prefix_caching: false
      input_log: log.jsonl
guards:
  - {name: pii, kind: pii, stages: [input, output], action: redact, restore: true, default: true}
telemetry: {otlp_endpoint: null, log_bodies: none, service_name: gate}
"""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a text as `file.yaml` in a folder where `model.gguf` exists."""
    monkeypatch.chdir(tmp_path)
    Path("model.gguf").touch()

    def load_text(text: str | bytes, env: Mapping[str, str] | None = None, *, check_files: bool = True) -> Config:
        Path("file.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load_config(Path("file.yaml"), env or {"KEY": SECRET}, check_files=check_files)

    return load_text


@pytest.fixture
def faults(load: Load) -> Callable[..., list[str]]:
    """The printed faults of a text, none of them holding the secret."""

    def collect(text: str | bytes, env: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, env)
        assert SECRET not in str(caught.value) + repr(caught.value)
        assert str(caught.value).splitlines() == caught.value.lines()
        return caught.value.lines()

    return collect


def test_a_file_of_models_and_engine_is_enough(load: Load) -> None:
    config = load(MINIMAL)
    assert (config.server.host, config.server.port, config.server.max_body) == ("127.0.0.1", 8080, 10 * 2**20)
    assert config.storage.url.get_secret_value() == "sqlite+aiosqlite:///sluicegate.db"
    assert (config.admin_key, config.guards, config.storage.journal.fsync) == (None, (), "interval")
    target = config.models[0].targets[0]
    assert (target.name, target.timeouts.first_token) == ("engine/local", ENGINE_FIRST_TOKEN)


def test_every_key_is_read(load: Load) -> None:
    config = load(FULL, {"KEY": SECRET, "ADMIN": "a-long-admin-key"})
    cloud, other = config.models[1].targets
    assert config.admin_key is not None
    assert config.admin_key.get_secret_value() == "a-long-admin-key"
    assert cloud.api_key is not None
    assert cloud.api_key.get_secret_value() == SECRET
    assert (cloud.weight, cloud.retries, cloud.timeouts.connect, cloud.timeouts.total) == (2, 1, 1, 60)
    assert cloud.base_url is not None
    assert cloud.base_url.get_secret_value() == OPENAI_BASE_URL
    assert cloud.price is not None
    assert cloud.price.to_price().cached_input == Decimal("0.075")
    assert (cloud.name, other.name) == ("openai/gpt-4o-mini", "openai/other")
    assert config.target_providers()["engine/local"] == "sluicegate"
    engine = config.engine_configs()["local"]
    assert (engine.name, engine.kv_cache.memory, engine.max_context) == ("local", 64 * 2**20, 2048)
    assert (engine.threads, engine.prefix_caching, engine.input_log) == (1, False, "log.jsonl")
    assert engine.prefill_chunk == 256  # not in the file: the engine's own default


def test_what_only_a_kind_knows_is_handed_to_it_and_the_rest_is_left_to_it(load: Load) -> None:
    (spec,) = load(MINIMAL + "guards: [{name: a, kind: pii, scopes: [user, tool], restore: false}]").guard_specs()
    assert (spec.stages, spec.action, spec.scopes) == (None, None, (Scope.USER, Scope.TOOL))
    assert spec.options == {"restore": False}


@pytest.mark.parametrize(
    "path", [ROOT / "sluicegate.yaml", *sorted((ROOT / "examples").glob("*.yaml"))], ids=lambda p: p.name
)
def test_the_shipped_files_are_valid(path: Path) -> None:
    assert load_config(path, {"OPENAI_API_KEY": "x"}, check_files=False).models[0].name == "assistant"


def test_a_tag_has_one_budget_for_a_window_of_any_size(load: Load, faults: Callable[..., list[str]]) -> None:
    budgets = """\
budgets:
  tags:
    - {tag: customer=acme, limit_usd: 4000000, window: total}
    - {tag: customer=acme, limit_usd: 10, window: day}
    - {tag: customer=other, limit_usd: 10, window: day}
"""
    assert [tag.to_budget().limit for tag in load(MINIMAL + budgets).budgets.tags] == [4_000_000, 10, 10]
    told = faults(MINIMAL + budgets.replace("other", "acme"))
    assert told == ["file.yaml:8: budgets.tags: customer=acme: two are for the window 'day' in UTC; give the lower one"]


def test_a_config_cannot_be_changed(load: Load) -> None:
    with pytest.raises(ValidationError):
        load(MINIMAL).server.port = 1  # type: ignore[misc]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(faults: Callable[..., list[str]]) -> None:
    text = FULL.replace("weight: 2", "weigth: 2").replace("port: 8080", "port: high").replace("[cloud]", "[clout]")
    assert faults(text.replace("  - name: cloud", "  - name: cloud\n    name: again")) == [
        "file.yaml:1: server.port: must be a valid integer, unable to parse string as an integer",
        'file.yaml:10: models[0].fallbacks[0]: no model is named "clout" (did you mean "cloud"?)',
        "file.yaml:12: models[1].name: given twice (first on line 11)",
        'file.yaml:18: models[1].targets[0].weigth: unknown key (did you mean "weight"?)',
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "[cloud]\n  - name: cloud",
            "[]\n  - name: assistant",
            '11: models[1].name: "assistant" is already the name of models[0]',
        ),
        (
            "    routing: weighted",
            "    fallbacks: [assistant]",
            "12: models[1].fallbacks[0]: fallbacks go round in a circle",
        ),
        (
            "{engine: local,",
            "{engine: locl,",
            '9: models[0].targets[0].engine: engine.models has no "locl" (did you mean',
        ),
        ("{engine: local,", "{", "9: models[0].targets[0]: needs engine: NAME"),
        (
            "{engine: local,",
            "{engine: local, provider: openai,",
            "9: models[0].targets[0].provider: a target has an engine or",
        ),
        (
            "{engine: local,",
            "{engine: local, model: x,",
            "9: models[0].targets[0].model: belongs to targets with a provider",
        ),
        (
            "        model: gpt-4o-mini\n",
            "",
            "14: models[1].targets[0]: a target with a provider needs model: NAME",
        ),
        ("breaker: false", "breaker: true", "20: models[1].targets[0].breaker: must be false, or a mapping"),
        (
            "breaker: false",
            "breaker: {failures: 0}",
            "20: models[1].targets[0].breaker.failures: must be greater than or equal to 1",
        ),
        (
            "breaker: false",
            "breaker: {}\n        health: {path: models}",
            "21: models[1].targets[0].health.path: must",
        ),
        (
            "breaker: false",
            "breaker: false\n        health: {}",
            "21: models[1].targets[0].health: has nothing to open",
        ),
        (
            "{engine: local,",
            "{engine: local, health: {},",
            "9: models[0].targets[0].health: only targets with provider",
        ),
        ("    fallbacks: [cloud]", "    hedge: {after: p95}", "10: models[0].hedge: needs a second target"),
        (
            "    fallbacks: [cloud]",
            "    context_window_fallbacks: [clod]",
            "10: models[0].context_window_fallbacks[0]: no m",
        ),
        ("    fallbacks: [cloud]", "    last_resort: {message: ''}", "10: models[0].last_resort.message: must"),
        ("weight: 2", "weight: 0", "17: models[1].targets[0].weight: must be greater than 0"),
        ("weight: 2", "weight: true", "17: models[1].targets[0].weight: must be a number"),
        ("weight: 2", "weight: .inf", "17: models[1].targets[0].weight: must be a finite number"),
        ("retries: 1", "retries: 11", "18: models[1].targets[0].retries: must be less than or equal to 10"),
        ("connect: 1s", "connect: 1x", "19: models[1].targets[0].timeouts.connect: must be a duration"),
        ('"0.15"', '"1000001"', "21: models[1].targets[0].price.input: must be between 0 and 1000000"),
        ('"0.15"', '"0.1500000000001"', "21: models[1].targets[0].price.input: has more than 12 decimals"),
        (', output: "0.60"', "", "21: models[1].targets[0].price: output: is missing"),
        (
            '{input: "0.15"',
            '{per_compute_second: 1, input: "0.15"',
            "21: models[1].targets[0].price.per_compute_second: only",
        ),
        (
            '"http://localhost:9/v1"',
            "ftp://x",
            "22: models[1].targets[1].base_url: must be an http:// or https://",
        ),
        (
            '"http://localhost:9/v1"',
            '"http://[::1"',
            "22: models[1].targets[1].base_url: must be an http:// or https://",
        ),
        (
            "model: other",
            "model: other, name: spare}\n      - {provider: openai, model: third, name: spare",
            '23: models[1].targets[2].name: "spare" already names',
        ),
        ("path: model.gguf", "path: gone.gguf", "26: engine.models.local.path: no such file"),
        ("memory: 64MiB", "memory: 64KiB", "27: engine.models.local.kv_cache.memory: must be greater than"),
        (
            "token_budget: 512",
            "token_budget: 8",
            "25: engine.models.local: token_budget (8) must hold one prefill chunk",
        ),
        ("threads: 1", "threads: 0", "31: engine.models.local.threads: must be greater than or equal to 1"),
        ("kind: pii", "kind: magic", "35: guards[0].kind: must be 'pii'"),
        ("kind: pii,", "", "35: guards[0].kind: this key is required"),
        ("[input, output]", "[]", "35: guards[0].stages: must have at least one element"),
        (
            "guards:",
            "guards:\n  - {name: pii, kind: pii}",
            '36: guards[1].name: "pii" is already the name of guards[0]',
        ),
        (
            "sqlite+aiosqlite",
            "mysql",
            "3: storage.url: must begin with sqlite+aiosqlite:// or postgresql+asyncpg://",
        ),
        ("max_body: 10MiB", "max_body: lots", "1: server.max_body: must be a size"),
        ("server: {", "server: [", "1: not valid YAML"),
        ("port: 8080", "port: !!python/object/apply:os.getcwd []", "1: server.port: has a YAML tag"),
        ("port: 8080", "port: !!binary aGk=", "1: server.port: has a YAML tag"),
        ("port: 8080", "? {a: 1} : 2", "1: server: a key must be plain text"),
        ("threads: 1", "threads: 0x_", "31: engine.models.local.threads: is not a value YAML can read"),
        ("gate}", '"\\ud800"}', "36: telemetry.service_name: holds half a character"),
        ("${KEY}", "${KEY", "16: models[1].targets[0].api_key: has a ${ that is not"),
        (
            "${KEY}",
            "x${NONE}${GONE}",
            "16: models[1].targets[0].api_key: environment variable NONE, GONE is not set",
        ),
    ],
)
def test_a_fault_is_told_with_its_line(faults: Callable[..., list[str]], old: str, new: str, fault: str) -> None:
    assert old in FULL
    lines = faults(FULL.replace(old, new, 1))
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"file.yaml:{fault}")


ASKS_UNBUILT: dict[tuple[str | int, ...], object] = {
    ("shared_state", "url"): "redis://localhost",
    ("models", "*", "routing"): "least_busy",
    ("models", "*", "context_window_fallbacks"): ["cloud"],
    ("models", "*", "content_filter_fallbacks"): ["cloud"],
    ("models", "*", "targets", "*", "breaker"): {"failures": 5},
    ("guards", "*", "kind"): "nemo",
    ("guards", "*", "threshold"): 0.5,
    ("telemetry", "log_bodies"): "redacted",
}


@pytest.mark.parametrize("feature", UNBUILT, ids=lambda f: ".".join(map(str, f.pattern)))
def test_what_is_not_built_is_refused_once_and_never_ignored(faults: Callable[..., list[str]], feature: object) -> None:
    pattern = feature.pattern  # type: ignore[attr-defined]
    tree = yaml.safe_load(FULL.replace("${KEY}", "k").replace("${KEY:-none}", "k").replace("${ADMIN}", "k"))
    holder = tree
    for step in pattern[:-1]:
        holder = holder[1 if step == "*" and len(holder) > 1 else 0] if step == "*" else holder[step]
    holder[pattern[-1]] = ASKS_UNBUILT[pattern]
    lines = faults(yaml.safe_dump(tree))
    assert len(lines) == 1
    assert "this version builds" in lines[0] or "not built yet" in lines[0]


def test_environment_variables_expand_in_place(load: Load) -> None:
    text = FULL.replace("port: 8080", "port: ${PORT}").replace("host: 127.0.0.1", 'host: "${A}.${B:-b}.$${C}"')
    config = load(text, {"KEY": "0123", "PORT": "9000", "A": "a", "B": ""})
    assert (config.server.port, config.server.host) == (9000, "a.b.${C}")
    key = config.models[1].targets[0].api_key
    assert key is not None
    assert key.get_secret_value() == "0123"  # text stays text, leading zero and all


def test_a_variable_is_no_way_to_write_structure(load: Load) -> None:
    config = load(MINIMAL + "telemetry: {service_name: ${X}}", {"X": "a, log_bodies: redacted} # ${KEY}"})
    assert config.telemetry.service_name == "a, log_bodies: redacted} # ${KEY}"


def test_an_unset_admin_key_is_none_and_an_empty_variable_is_null(load: Load) -> None:
    config = load(FULL.replace("otlp_endpoint: null", "otlp_endpoint: ${OTLP:-}"), {"KEY": "k"})
    assert config.admin_key is None
    assert config.telemetry.otlp_endpoint is None


def test_secrets_show_nowhere(load: Load) -> None:
    text = FULL.replace("sqlite+aiosqlite:///x.db", "postgresql+asyncpg://me:${KEY}@db/x").replace(
        "http://localhost:9/v1", "http://u:${KEY}@localhost:9/v1?key=${KEY}"
    )
    config = load(text.replace("null", "http://t:${KEY}@otel:4318"), {"KEY": SECRET, "ADMIN": SECRET})
    assert SECRET not in f"{config!r} {config} {config.redacted()} {vars(config)} {config._document!r}"
    assert config.redacted()["models"][1]["targets"][1]["base_url"].startswith("http://localhost:9/v1 ")
    assert config.storage.url.get_secret_value() == f"postgresql+asyncpg://me:{SECRET}@db/x"


@pytest.mark.parametrize(
    "place", ["port: 8080", "[input, output]", "connect: 1s", "weight: 2", "engine: local", '"0.15"']
)
def test_a_secret_in_the_wrong_place_is_not_told(faults: Callable[..., list[str]], place: str) -> None:
    key = place.partition(":")[0] + ": " if ":" in place else ""
    text = FULL.replace(place, key + "${OOPS}", 1)
    assert not any("sk-0123456789" in line for line in faults(text, {"KEY": "k", "OOPS": "sk-0123456789"}))


def test_a_later_finding_gets_the_line_of_its_path(load: Load) -> None:
    fault = load(FULL).fault(("guards", 0, "entities", 3), "unknown entity")
    assert fault.describe("file.yaml") == "file.yaml:35: guards[0].entities[3]: unknown entity"


def test_one_upstream_at_one_price_has_one_name_and_others_have_others(
    load: Load, faults: Callable[..., list[str]]
) -> None:
    price = 'price: {input: "0.15", cached_input: 0.075, output: "0.60"}'
    again = f"      - {{provider: openai, model: gpt-4o-mini, api_key: ${{KEY}}, breaker: false, {price}}}"
    text = FULL.replace("model: other", "model: gpt-4o-mini").replace("    fallbacks: [cloud]", again)
    assert [t.name for m in load(text).models for t in m.targets] == [
        "engine/local", "openai/gpt-4o-mini", "openai/gpt-4o-mini", "openai/gpt-4o-mini#2",
    ]  # fmt: skip
    dearer = text.replace('"0.60"', '"0.70"', 1)
    assert [t.name for m in load(dearer).models for t in m.targets][1:] == [
        "openai/gpt-4o-mini", "openai/gpt-4o-mini#2", "openai/gpt-4o-mini#3",
    ]  # fmt: skip
    named = dearer.replace("model: gpt-4o-mini", "name: mini, model: gpt-4o-mini", 1).replace(
        "        model: gpt-4o-mini", "        name: mini\n        model: gpt-4o-mini", 1
    )
    (fault,) = faults(named)
    assert '"mini" has another price elsewhere' in fault


def test_merged_mappings_work_and_their_faults_have_a_line(load: Load, faults: Callable[..., list[str]]) -> None:
    text = FULL.replace("model: gpt-4o-mini", "model: gpt-4o-mini\n        <<: &shared {retries: 5}", 1).replace(
        "model: other,", "model: other, <<: *shared,"
    )
    assert [t.retries for t in load(text).models[1].targets] == [1, 5]
    assert faults(text.replace("retries: 5", "retries: -1"))[0].startswith("file.yaml:23: models[1].targets[1].retries")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "file.yaml: the file is empty"),
        ("null", "file.yaml: the file is empty"),
        ("[]", "file.yaml:1: must be a mapping"),
        ("a: *b", "file.yaml:1: not valid YAML"),
        ("a: &x [*x]", "file.yaml:1: nested deeper than 32 levels"),
        ("[" * 5000, "file.yaml: nested deeper than 32 levels"),
        ("a: 1\n---\nb: 1", "file.yaml:2: not valid YAML"),
        ("a: 1\nb: \x00", "file.yaml:2: holds a control character"),
        (b"a: 1\nb: \xff", "file.yaml:2: the file is not UTF-8"),
        ("#" * (2**20 + 1), "file.yaml: the file is larger than"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_config_is_told_as_such(
    faults: Callable[..., list[str]], text: str | bytes, fault: str
) -> None:
    assert faults(text)[0].startswith(fault)


def test_aliases_cannot_multiply_without_bound(faults: Callable[..., list[str]]) -> None:
    laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert "unfolds to more than" in faults(laughs)[0]


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml", {})


def test_commands_that_serve_nothing_need_no_model_file(load: Load) -> None:
    assert (
        load(MINIMAL.replace("model.gguf", "gone.gguf"), check_files=False).engine.models["local"].path == "gone.gguf"
    )


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_mutation_of_a_good_file_raises_anything_but_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = random.Random(seed)
    text = list(FULL)
    pieces = [
        "\n",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "&a ",
        "*a",
        "${",
        "}",
        "!!int ",
        "null",
        "1e400",
        "\\ud800",
        "<<: ",
    ]
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text))
        match rng.randrange(4):
            case 0:
                del text[at : at + rng.randint(1, 40)]
            case 1:
                text[at:at] = rng.choice(pieces)
            case 2:
                text[at] = chr(rng.choice([*range(0x250), 0xE000, 0x1F600]))
            case 3:
                other = rng.randrange(len(text))
                text[at : at + 20] = text[other : other + rng.randint(1, 30)]
        if len(text) < 10:
            text += list(string.printable)
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_bytes("".join(text).encode())
    try:
        config = load_config(path, {"KEY": SECRET, "ADMIN": SECRET}, check_files=False)
        # A secret that the mutation moved into a name is shown as the name.
        in_place = re.sub(r"(api|admin)_key: \$\{(KEY|ADMIN)", "", "".join(text))
        assert "${" in in_place or SECRET not in repr(config.redacted())
    except ConfigError as error:
        assert SECRET not in str(error)
        assert error.lines()
        str(error).encode()


def test_reading_a_config_imports_no_heavy_part() -> None:
    code = "import sys, gateway.config; print(' '.join(sys.modules))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    ).stdout.split()
    heavy = {
        "torch",
        "numpy",
        "sqlalchemy",
        "fastapi",
        "aiohttp",
        "opentelemetry",
        "prometheus_client",
        "re2",
        "litellm",
    }
    assert not heavy & set(loaded)


def test_a_model_that_a_guard_asks_is_one_of_the_gates(faults: Callable[..., list[str]]) -> None:
    guards = """\
guards:
  - {name: house, kind: judge, policy: "Be kind.", model: asistant}
  - {name: injection, kind: injection, judge: {model: nobody}}
  - {name: fine, kind: judge, policy: "Be kind.", model: assistant}
"""
    assert faults(MINIMAL + guards) == [
        'file.yaml:8: guards[0].model: no model is named "asistant" (did you mean "assistant"?)',
        'file.yaml:9: guards[1].judge.model: no model is named "nobody"',
    ]


def test_a_changed_option_of_a_guards_kind_is_a_difference(load: Load) -> None:
    old = load(MINIMAL + "guards: [{name: a, kind: pii, entities: [EMAIL]}]")
    new = load(MINIMAL + "guards: [{name: a, kind: pii, entities: [CARD]}]")
    assert [difference.label for difference in differences(old, new)] == ["guards[a].entities"]
