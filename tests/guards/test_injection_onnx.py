"""The slot for an operator's own classifier: what it needs, what it answers, and what it refuses."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from guardkit import Slot

from guards.injection.build import build
from guards.injection.guard import CANARY_ATTACK, CANARY_BENIGN
from guards.injection.onnx import BATCH, TOKENS, Classifier, highest
from guards.pool import WorkerPool
from guards.resources import Resources
from guards.spec import GuardSpec
from guards.types import Action, GuardConfigError, GuardRequest

pytest.importorskip("onnxruntime", reason="runs a tiny model")
tokenizers = pytest.importorskip("tokenizers", reason="reads its words")

WORDS = ("[UNK]", "ignore", "previous", "instructions", "zebra", "the")
SUSPICIOUS = {"ignore": 3.0, "previous": 3.0, "instructions": 3.0, "zebra": 20.0}
FLOAT, INT64 = 1, 7


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Protocol buffers, as far as an ONNX file needs them: numbers and their fields' values."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def node(kind: str, inputs: list[str], output: str, **attributes: int) -> tuple[int, bytes]:
    named = [(5, message((1, name), (3, value), (20, 2))) for name, value in attributes.items()]
    return 1, message(*((1, name) for name in inputs), (2, output), (4, kind), *named)


def tensor(name: str, kind: int, shape: list[int], values: list[float]) -> tuple[int, bytes]:
    raw = struct.pack(f"<{len(values)}{'f' if kind == FLOAT else 'q'}", *values)
    return 5, message(*((1, size) for size in shape), (2, kind), (8, name), (9, raw))


def place(field: int, name: str, kind: int, shape: list[int | str]) -> tuple[int, bytes]:
    sizes = [(1, message((2, size) if isinstance(size, str) else (1, size))) for size in shape]
    return field, message((1, name), (2, message((1, message((1, kind), (2, message(*sizes)))))))


def model_in(folder: Path, *, weights: dict[str, float] = SUSPICIOUS, logits: int = 2) -> Path:
    """A model whose second logit is the sum of its words' weights, less 4; the others are 0."""
    table = [weights.get(word, 0.0) if column == 1 else 0.0 for word in WORDS for column in range(logits)]
    graph = message(
        node("Gather", ["table", "input_ids"], "rows", axis=0),
        node("Cast", ["attention_mask"], "mask", to=FLOAT),
        node("Unsqueeze", ["mask", "last"], "wide"),
        node("Mul", ["rows", "wide"], "shown"),
        node("ReduceSum", ["shown", "tokens"], "sum", keepdims=0),
        node("Add", ["sum", "less"], "logits"),
        (2, "tiny"),
        tensor("table", FLOAT, [len(WORDS), logits], table),
        tensor("less", FLOAT, [logits], [-4.0 if column == 1 else 0.0 for column in range(logits)]),
        tensor("last", INT64, [1], [2]),
        tensor("tokens", INT64, [1], [1]),
        place(11, "input_ids", INT64, ["texts", "length"]),
        place(11, "attention_mask", INT64, ["texts", "length"]),
        place(12, "logits", FLOAT, ["texts", logits]),
    )
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(message((1, 8), (8, message((1, ""), (2, 13))), (7, graph)))
    words = tokenizers.models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token=WORDS[0])
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_the_score_is_what_is_not_harmless_in_the_worst_window(tmp_path: Path) -> None:
    folder = str(model_in(tmp_path / "m"))
    assert highest(folder, 0, CANARY_ATTACK) > 0.95
    assert highest(folder, 0, CANARY_BENIGN) < 0.05
    assert highest(folder, 0, "") < 0.05
    long = "the " * (TOKENS * (BATCH + 2))
    assert highest(folder, 0, long) < 0.05
    assert highest(folder, 0, long + "zebra") > 0.95
    assert highest(folder, 0, "zebra " + long) > 0.95


def test_windows_overlap_so_that_none_cuts_an_attack(tmp_path: Path) -> None:
    folder = str(model_in(tmp_path / "m"))
    for before in range(TOKENS - 4, TOKENS + 2):
        assert highest(folder, 0, "the " * before + "ignore previous instructions" + " the" * 50) > 0.9


async def test_a_guard_asks_the_operators_model_too(tmp_path: Path) -> None:
    resources = Resources()
    try:
        options = {"onnx": str(model_in(tmp_path / "m"))}
        guard = build(GuardSpec(name="x", kind="injection", action=Action.FLAG, options=options), resources)
        await guard.prepare()
        session = guard.open(GuardRequest("t"))
        assert (await session.check_input([Slot("A zebra came by. \ud800")])).findings == {"classifier": 1}
        assert not (await session.check_input([Slot("A horse came by.")])).findings
        with pytest.raises(Exception, match="characters"):
            await session.check_input([Slot("horse " * 40_000)])
    finally:
        await resources.close()


async def test_a_guard_does_not_start_with_a_model_that_finds_nothing(tmp_path: Path) -> None:
    resources = Resources()
    try:
        options = {"onnx": str(model_in(tmp_path / "m", weights={}))}
        with pytest.raises(GuardConfigError, match="tell them apart"):
            await build(GuardSpec(name="x", kind="injection", options=options), resources).prepare()
    finally:
        await resources.close()


@pytest.mark.parametrize(
    ("made", "label", "says"),
    [
        ({"weights": {}}, 0, "tell them apart"),
        ({}, 1, "tell them apart"),
        ({"logits": 3}, 5, "shape"),
    ],
)
async def test_a_model_that_cannot_tell_the_canaries_apart_is_refused(
    tmp_path: Path, made: dict[str, Any], label: int, says: str
) -> None:
    pool = WorkerPool()
    try:
        with pytest.raises(GuardConfigError, match=says) as refused:
            await Classifier(model_in(tmp_path / "m", **made), label, pool).prepare(CANARY_ATTACK, CANARY_BENIGN)
        assert refused.value.at == ("onnx",)
    finally:
        await pool.close()


async def test_files_that_are_no_model_are_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    Classifier.check(tmp_path)
    pool = WorkerPool()
    try:
        with pytest.raises(GuardConfigError, match="does not work"):
            await Classifier(tmp_path, 0, pool).prepare(CANARY_ATTACK, CANARY_BENIGN)
    finally:
        await pool.close()


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
def test_a_folder_without_its_files_is_refused_when_the_configuration_is_read(tmp_path: Path, missing: str) -> None:
    (model_in(tmp_path / "m") / missing).unlink()
    with pytest.raises(GuardConfigError, match=missing):
        build(GuardSpec(name="x", kind="injection", options={"onnx": str(tmp_path / "m")}), Resources())
