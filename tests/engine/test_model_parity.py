"""The real model against transformers, which loads the same file by its own reader."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from model_files import engine_config, real_model_path, row
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from engine.config import KVCacheConfig, KVDtype, Weights
from engine.gguf import read_header
from engine.runner import TorchRunner

pytestmark = pytest.mark.model

CHUNK = 256
BLOCK = 16
TEXT_SEED = 7


def prompt(length: int, seed: int = TEXT_SEED) -> list[int]:
    """Token ids without meaning but without special tokens; logits must agree on any input."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(300, 20_000, (length,), generator=generator).tolist()


def table(tokens: int, first: int = 1) -> list[int]:
    """Enough blocks for `tokens`, every second one, so that slots are not contiguous."""
    return list(range(first, first + 2 * (-(-tokens // BLOCK)), 2))


TEXT = (
    "The water cycle describes how water moves on, above and below the surface of the Earth. Water evaporates from "
    "the oceans, rises as vapour, cools, and condenses into clouds. It falls back as rain or snow, runs through "
    "rivers and soaks into the ground, and in time returns to the sea. Plants take part of it up through their roots "
    "and give it back to the air through their leaves. The sun drives all of this: without its heat nothing would "
    "evaporate, and without gravity nothing would fall. Over a year about half a million cubic kilometres of water "
    "make this journey, most of it over the oceans themselves."
)


@pytest.fixture(scope="module")
def text_tokens() -> list[int]:
    """TEXT in the model's own vocabulary."""
    metadata = read_header(real_model_path()).metadata
    vocab = {token: index for index, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ids: list[int] = tokenizer.encode(TEXT).ids
    return ids


@pytest.fixture(scope="module")
def reference() -> Iterator[LlamaForCausalLM]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    path = real_model_path()
    model: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    model.eval()
    yield model
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runner() -> TorchRunner:
    return TorchRunner(engine_config(real_model_path(), kv_cache=KVCacheConfig(memory=512 * 2**20)))


@torch.inference_mode()
def reference_logits(model: LlamaForCausalLM, tokens: list[int]) -> torch.Tensor:
    logits: torch.Tensor = model(torch.tensor([tokens])).logits[0]
    return logits


@pytest.mark.slow
@pytest.mark.parametrize("length", [5, 200])
def test_logits_of_every_position_equal_those_of_transformers(
    runner: TorchRunner, reference: LlamaForCausalLM, length: int
) -> None:
    tokens = prompt(length)
    ours = runner.logits([row(tokens, 0, table(length))], every_token=True)
    assert ours.shape == (length, runner.info.vocab_size)
    difference = (ours - reference_logits(reference, tokens)).abs().max().item()
    print("DIFF", length, difference)
    assert difference < 1e-3, difference


@pytest.mark.slow
def test_logits_of_a_long_text_in_chunks_equal_those_of_transformers(
    runner: TorchRunner, reference: LlamaForCausalLM, text_tokens: list[int]
) -> None:
    tokens = (text_tokens * 12)[:1_500]
    hidden = reference_hidden(reference, tokens)
    for start in range(0, len(tokens), CHUNK):
        chunk = tokens[start : start + CHUNK]
        ours = runner.logits([row(chunk, start, table(len(tokens)))], every_token=True)
        with torch.inference_mode():
            theirs = reference.lm_head(hidden[start : start + len(chunk)])
        difference = (ours - theirs).abs().max().item()
        assert difference < 1e-3, (start, difference)


@torch.inference_mode()
def reference_hidden(model: LlamaForCausalLM, tokens: list[int]) -> torch.Tensor:
    hidden: torch.Tensor = model.model(torch.tensor([tokens])).last_hidden_state[0]
    return hidden


def continue_alone(runner: TorchRunner, tokens: list[int], count: int, blocks: list[int]) -> list[int]:
    """`count` greedy tokens after `tokens`, computed as the only sequence."""
    found: list[int] = []
    piece, start = tokens, 0
    for _ in range(count):
        token = runner.execute([row(piece, start, blocks)])[0].token
        assert token is not None
        found.append(token)
        start += len(piece)
        piece = [token]
    return found


@pytest.mark.slow
def test_greedy_continuation_equals_that_of_transformers(runner: TorchRunner, reference: LlamaForCausalLM) -> None:
    tokens = prompt(40)
    with torch.inference_mode():
        output = reference.generate(
            torch.tensor([tokens]), max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0
        )
    assert continue_alone(runner, tokens, 16, table(64)) == output[0, len(tokens) :].tolist()


def test_logits_are_bit_equal_alone_and_in_a_batch_of_eight_prefills_and_decodes(runner: TorchRunner) -> None:
    lengths = [1, 2, 3, 17, 40, 64, 100, 130]
    prompts = [prompt(length, seed=length) for length in lengths]
    tables = [list(range(1 + 20 * i, 21 + 20 * i)) for i in range(8)]
    steps = 6

    def logits_alone(index: int) -> list[torch.Tensor]:
        found, piece, start = [], prompts[index], 0
        for _ in range(steps):
            found.append(runner.logits([row(piece, start, tables[index])])[0])
            start += len(piece)
            piece = [int(found[-1].argmax())]
        return found

    alone = [logits_alone(index) for index in range(8)]
    # Sequence i joins the batch at step i // 2, so that prefills and decodes run together.
    starts, pieces, seen = [0] * 8, list(prompts), [0] * 8
    for step in range(steps + 4):
        active = [i for i in range(8) if i // 2 <= step and seen[i] < steps]
        if not active:
            break
        batch = runner.logits([row(pieces[i], starts[i], tables[i]) for i in active])
        for found, i in zip(batch, active, strict=True):
            assert torch.equal(found, alone[i][seen[i]]), (i, seen[i])
            seen[i] += 1
            starts[i] += len(pieces[i])
            pieces[i] = [int(found.argmax())]
    assert seen == [steps] * 8


@cache
def small_runner(weights: Weights, kv_dtype: KVDtype) -> TorchRunner:
    """The model with room for TEXT, loaded once for each kind."""
    kv_cache = KVCacheConfig(memory=64 * 2**20, dtype=kv_dtype)
    return TorchRunner(engine_config(real_model_path(), weights=weights, kv_cache=kv_cache))


@pytest.mark.parametrize(
    ("weights", "kv_dtype", "least_agreement", "largest_kl"),
    [("int8", "f32", 0.85, 0.04), ("f32", "int8", 0.94, 0.002), ("int8", "int8", 0.85, 0.04)],
)
def test_int8_stays_close_to_float32_on_plain_text(
    runner: TorchRunner,
    text_tokens: list[int],
    weights: Weights,
    kv_dtype: KVDtype,
    least_agreement: float,
    largest_kl: float,
) -> None:
    blocks = table(len(text_tokens))
    exact = runner.logits([row(text_tokens, 0, blocks)], every_token=True).log_softmax(-1)
    eight_bit = small_runner(weights, kv_dtype)
    pieces = [
        eight_bit.logits([row(text_tokens[start : start + CHUNK // 4], start, blocks)], every_token=True)
        for start in range(0, len(text_tokens), CHUNK // 4)
    ]
    close = torch.cat(pieces).log_softmax(-1)
    agreement = (close.argmax(-1) == exact.argmax(-1)).float().mean().item()
    kl = (exact.exp() * (exact - close)).sum(-1).mean().item()
    assert agreement >= least_agreement, (agreement, kl)
    assert kl <= largest_kl, (agreement, kl)


def test_int8_shrinks_weights_and_cache(runner: TorchRunner) -> None:
    eight_bit = small_runner("int8", "int8")
    # float16 would take 2 bytes a parameter; the tied vocabulary is held twice, as a table and as packed rows.
    assert eight_bit.info.weight_bytes < 0.62 * 2 * eight_bit.info.parameters
    assert runner.info.weight_bytes / eight_bit.info.weight_bytes > 3.9
    assert runner.info.kv_bytes_per_token == 2 * 30 * 3 * 64 * 4
    assert eight_bit.info.kv_bytes_per_token == 2 * 30 * 3 * (64 + 2)
