"""`routing: difficulty` in the configuration: tiers that exist, no circle, no targets of its own, usable weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, load_config
from gateway.routing.difficulty import DifficultyModel, Tier, build_difficulty_routers

TEXT = """\
models:
  - name: smart
    routing: difficulty
    difficulty: {simple: small, medium: middle, hard: large}
  - {name: small, targets: [&target {provider: openai, model: m, base_url: "http://127.0.0.1:9/v1"}]}
  - {name: middle, targets: [*target]}
  - {name: large, targets: [*target]}
"""
TIERS = "{simple: small, medium: middle, hard: large}"

Load = Callable[[str, str], Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads `TEXT` with one piece of it replaced."""
    monkeypatch.chdir(tmp_path)

    def load_text(old: str = "", new: str = "") -> Config:
        assert old in TEXT
        Path("file.yaml").write_text(TEXT.replace(old, new, 1))
        return load_config(Path("file.yaml"), {})

    return load_text


def with_keys(keys: str) -> tuple[str, str]:
    return TIERS, f"{TIERS[:-1]}, {keys}}}"


def test_three_models_are_enough(load: Load) -> None:
    config = load("", "")
    section = config.models[0].difficulty
    assert section is not None
    assert (config.models[0].routing, config.models[0].targets) == ("difficulty", ())
    assert (section.thresholds, section.model, section.shadow) == ((0.35, 0.7), None, False)
    routers = build_difficulty_routers(config)
    assert list(routers) == ["smart"]
    assert routers["smart"].models == {Tier.SIMPLE: "small", Tier.MEDIUM: "middle", Tier.HARD: "large"}


def test_thresholds_and_shadow_are_the_routers(load: Load) -> None:
    router = build_difficulty_routers(load(*with_keys("thresholds: [0, 0], shadow: medium")))["smart"]
    decision = router.decide([("user", "hi")], None)
    assert (decision.tier, decision.serving) == (Tier.HARD, Tier.MEDIUM)


@pytest.mark.parametrize(("written", "read"), [("true", "hard"), ("false", False), ("simple", "simple")])
def test_shadow_is_a_tier_and_true_means_hard(load: Load, written: str, read: object) -> None:
    section = load(*with_keys(f"shadow: {written}")).models[0].difficulty
    assert section is not None
    assert section.shadow == read


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("hard: large", "hard: larg", '4: models[0].difficulty.hard: no model is named "larg" (did you mean "large"?)'),
        ("hard: large", "hard: smart", '4: models[0].difficulty.hard: "smart" routes by difficulty'),
        (
            "{name: large,",
            "{name: large, fallbacks: [smart],",
            '7: models[3].fallbacks[0]: "smart" routes by difficulty',
        ),
        ("simple: small, ", "", "4: models[0].difficulty.simple: this key is required"),
        ("    difficulty: " + TIERS + "\n", "", "2: models[0]: routing: difficulty needs difficulty:"),
        ("routing: difficulty", "routing: ordered", "4: models[0].difficulty: belongs to models with routing: diff"),
        (
            "routing: difficulty",
            "routing: difficulty\n    targets: [{engine: x}]",
            "4: models[0].targets: routing: diff",
        ),
        (", targets: [*target]}", "}", "6: models[2].targets: this key is required"),
        (", targets: [*target]}", ", targets: []}", "6: models[2].targets: must have at least one element"),
        (*with_keys("thresholds: [0.7, 0.3]"), "4: models[0].difficulty: the first of thresholds must not be above"),
        (
            *with_keys("thresholds: [0.7, 1.3]"),
            "4: models[0].difficulty.thresholds[1]: must be less than or equal to 1",
        ),
        (*with_keys("shadow: easy"), "4: models[0].difficulty.shadow: must be"),
        (*with_keys("model: none.json"), "4: models[0].difficulty.model: no such file"),
    ],
)
def test_a_fault_is_told_with_its_line(load: Load, old: str, new: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(old, new)
    assert caught.value.lines()[0].startswith(f"file.yaml:{fault}")


def test_weights_that_cannot_be_used_are_told_with_their_line(load: Load) -> None:
    Path("weights.json").write_text("{}")
    config = load(*with_keys("model: weights.json"))
    with pytest.raises(ConfigError) as caught:
        build_difficulty_routers(config)
    (line,) = caught.value.lines()
    assert ":4: models[0].difficulty.model: the weights file" in line
    assert "sluicegate difficulty train" in line
    Path("weights.json").write_bytes(DifficultyModel.load().to_json())
    assert list(build_difficulty_routers(config)) == ["smart"]


@pytest.mark.parametrize("place", ["difficulty: {simple: smart, medium: middle, hard: large}", "fallbacks: [smart]"])
def test_a_model_without_targets_of_its_own_is_nobodys_tier_or_fallback(load: Load, place: str) -> None:
    routing = "routing: difficulty, " if place.startswith("difficulty") else "targets: [*target], "
    added = f"  - {{name: large, targets: [*target]}}\n  - {{name: other, {routing}{place}}}\n"
    with pytest.raises(ConfigError, match='"smart" routes by difficulty and has no targets; name one of its tiers'):
        load("  - {name: large, targets: [*target]}\n", added)
