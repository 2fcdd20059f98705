"""Training on labelled prompts, the split that keeps it honest, and the commands for both."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from gateway.cli.common import CommandError, UsageError
from gateway.cli.difficulty import app
from gateway.routing.difficulty import DifficultyModel, Tier
from gateway.routing.difficulty.evaluation import _auc, evaluate
from gateway.routing.difficulty.features import extract
from gateway.routing.difficulty.rows import Row, TrainingDataError, read_rows
from gateway.routing.difficulty.training import digest, train

SEED_FILE = Path(str(files("gateway.routing.difficulty") / "data" / "seed.jsonl"))
SEED = read_rows(SEED_FILE.read_bytes().splitlines())
WORDS = {Tier.SIMPLE: "apple", Tier.MEDIUM: "bridge", Tier.HARD: "cathedral"}


def toy(size: int = 8) -> list[Row]:
    """Rows that one word tells apart."""
    return [Row(f"{word} number {'x' * n}", tier) for tier, word in WORDS.items() for n in range(size)]


def jsonl(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows))
    return path


def run(*words: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(app, list(words), input=stdin)


def test_the_seed_set_is_large_balanced_and_without_repetition() -> None:
    assert len(SEED) >= 450
    assert len(SEED) == len(SEED_FILE.read_bytes().splitlines())
    assert min(Counter(row.label for row in SEED).values()) > len(SEED) / 4
    assert len({" ".join(row.text.casefold().split()) for row in SEED}) == len(SEED)
    assert all(row.family for row in SEED)


def test_the_bundled_weights_do_well_on_what_they_were_not_trained_on() -> None:
    found = evaluate(DifficultyModel.load(), [row for row in SEED if row.held_out])
    assert found.rows > 100
    assert found.accuracy > 0.7
    assert found.auc is not None
    assert found.auc > 0.97
    assert found.confusion[Tier.HARD.rank][Tier.SIMPLE.rank] == 0


def test_the_bundled_weights_are_those_of_the_seed_set() -> None:
    assert DifficultyModel.load().trained["data"] == digest([row for row in SEED if not row.held_out])


def test_a_family_lies_on_one_side_of_the_split() -> None:
    sides = {(row.family, row.held_out) for row in SEED}
    assert len(sides) == len({row.family for row in SEED})
    assert len({Row(f"What is {n} times  {n + 1}?", Tier.SIMPLE).fold(1000) for n in range(20)}) == 1
    assert len({Row(f"{word}?", Tier.SIMPLE).fold(1000) for word in WORDS.values()}) == 3


def test_what_tells_tiers_apart_is_learnt_and_learnt_alike_each_time() -> None:
    model = train(toy())
    assert model.to_json() == train(toy()).to_json() != train(toy(), seed=5).to_json()
    easy, middle, hard = (model.score(extract(Row(f"{word} of new", tier).prompt)) for tier, word in WORDS.items())
    assert easy < middle < hard


def test_turns_tools_and_format_can_be_learnt() -> None:
    rows = [
        Row(f"do {'y' * n}", tier, tools=tools)
        for tier, tools in ((Tier.SIMPLE, 0), (Tier.MEDIUM, 2), (Tier.HARD, 30))
        for n in range(6)
    ]
    model = train(rows)
    assert model.score(extract(Row("go", Tier.HARD, tools=30).prompt)) > model.score(
        extract(Row("go", Tier.HARD).prompt)
    )


def test_rows_without_a_tier_cannot_be_trained_on() -> None:
    with pytest.raises(TrainingDataError, match="no row labelled hard"):
        train([row for row in toy() if row.label is not Tier.HARD])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b'{"text": "a", "label": "simple"}', b"{"], "line 2"),
        ([b"", b'{"text": "a", "label": "easy"}'], "line 2.*easy"),
        ([b'{"label": "hard"}'], "line 1.*text"),
        ([b'{"text": "\xff", "label": "hard"}'], "line 1"),
        (
            [b'{"text": "a", "label": "hard"}', b'{"text": "a", "label": "simple"}'],
            "line 2.*hard further up and simple",
        ),
    ],
)
def test_a_bad_row_is_told_by_its_line(lines: list[bytes], message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        read_rows(lines)


def test_a_text_given_twice_is_taken_once_and_other_fields_are_let_be() -> None:
    line = b'{"text": "a", "label": "hard", "key": "search", "family": "f"}'
    assert read_rows([line, b"\n", line]) == [Row("a", Tier.HARD, "f")]


@given(st.lists(st.integers(0, 6), max_size=8), st.lists(st.integers(0, 6), max_size=8))
def test_the_auc_is_the_share_of_pairs_in_order(lower: list[float], upper: list[float]) -> None:
    pairs = [(low, high) for low in lower for high in upper]
    won = sum((high > low) + (high == low) / 2 for low, high in pairs)
    assert _auc(lower, upper) == (pytest.approx(won / len(pairs)) if pairs else None)


def test_the_confusion_counts_labels_by_decisions() -> None:
    texts = {Tier.SIMPLE: "hi", Tier.HARD: "Prove the central limit theorem and derive the rate of convergence."}
    shown = evaluate(DifficultyModel.load(), [Row(text, Tier.HARD) for text in texts.values()]).shown()
    assert shown["label_to_decision"]["hard"] == {"simple": 1, "medium": 0, "hard": 1}
    assert (shown["rows"], shown["accuracy"], shown["auc_simple_vs_hard"]) == (2, 0.5, None)
    with pytest.raises(TrainingDataError, match="no rows"):
        evaluate(DifficultyModel.load(), [])


def test_train_evaluate_and_try_work_on_an_operators_own_rows(tmp_path: Path) -> None:
    data, weights = jsonl(tmp_path / "rows.jsonl", toy(12)), tmp_path / "model.json"
    trained = run("train", "--data", str(data), "--out", str(weights))
    held_out = sum(row.held_out for row in toy(12))
    assert json.loads(trained.stdout)["trained_on"] == 36 - held_out
    told = json.loads(run("evaluate", "--data", str(data), "--model", str(weights)).stdout)
    assert told == json.loads(trained.stdout)["held_out"]
    assert told["rows"] == held_out > 0
    everything = run("evaluate", "--data", str(data), "--model", str(weights), "--all", "--thresholds", "0,0")
    assert json.loads(everything.stdout)["label_to_decision"]["simple"]["hard"] == 12
    tried = [json.loads(run("try", "--model", str(weights), stdin=f"{word} number").stdout) for word in WORDS.values()]
    assert tried[0]["score"] < tried[1]["score"] < tried[2]["score"]


def test_train_may_take_every_row(tmp_path: Path) -> None:
    data, weights = jsonl(tmp_path / "rows.jsonl", toy(12)), tmp_path / "model.json"
    told = json.loads(run("train", "--data", str(data), "--out", str(weights), "--all").stdout)
    assert told == {"trained_on": 36, "held_out": None}


def test_try_reads_a_prompt_in_any_bytes() -> None:
    assert json.loads(run("try", stdin="What is the capital of Chad?").stdout)["tier"] == "simple"
    assert json.loads(run("try", stdin=b"\xff\xfe\x00").stdout)["tier"] in list(Tier)


def test_what_commands_cannot_use_is_one_line(tmp_path: Path) -> None:
    data, bad = jsonl(tmp_path / "rows.jsonl", toy(2)), tmp_path / "bad.json"
    bad.write_text("{")
    for words, message in (
        (("train", "--data", str(bad), "--out", str(tmp_path / "x")), "line 1"),
        (("train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "x")), "cannot be read"),
        (("train", "--data", str(data), "--out", str(tmp_path)), "cannot be written"),
        (("evaluate", "--data", str(data), "--model", str(bad)), "sluicegate difficulty train"),
    ):
        error = run(*words).exception
        assert isinstance(error, CommandError)
        assert message in str(error)
    for thresholds in ("0.7,0.3", "0.5", "a,b", "0,2", "nan,nan"):
        assert isinstance(run("try", "--thresholds", thresholds).exception, UsageError)
