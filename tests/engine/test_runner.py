"""The runner on small models: what it refuses, what it computes, and that rows keep to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_files import TinyModel, engine_config, row

from engine.config import KVCacheConfig, KVDtype, Weights
from engine.errors import EngineConfigError
from engine.runner import TorchRunner
from engine.types import SamplingParams

SEEDED = SamplingParams(max_tokens=1, temperature=1.0, seed=5)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyModel().write(tmp_path_factory.mktemp("tiny") / "m.gguf")


@pytest.fixture(scope="module")
def runners(path: Path) -> dict[tuple[str, str], TorchRunner]:
    kinds: list[tuple[Weights, KVDtype]] = [("f32", "f32"), ("int8", "f32"), ("int8", "int8")]
    return {
        (weights, dtype): TorchRunner(
            engine_config(path, weights=weights, kv_cache=KVCacheConfig(memory=2**20, dtype=dtype))
        )
        for weights, dtype in kinds
    }


def test_info_states_what_was_loaded(path: Path) -> None:
    tiny = TinyModel()
    runner = TorchRunner(engine_config(path, kv_cache=KVCacheConfig(memory=1_000_000)))
    info = runner.info
    assert (info.architecture, info.context, info.vocab_size) == ("llama", 128, 100)
    assert info.parameters == sum(torch.Size(shape).numel() for shape in tiny.shapes().values())
    assert info.kv_bytes_per_token == 2 * tiny.layers * tiny.kv_heads * tiny.head_dim * 4
    assert info.blocks == runner.blocks == 1_000_000 // (info.kv_bytes_per_token * 16)
    assert runner.eos_token_ids == {2}


def test_int8_cache_counts_its_scales(path: Path) -> None:
    runner = TorchRunner(engine_config(path, kv_cache=KVCacheConfig(memory=2**20, dtype="int8")))
    assert runner.info.kv_bytes_per_token == 2 * 2 * 2 * (16 + 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_context": 129}, "129.*128"),
        ({"kv_cache": KVCacheConfig(memory=0)}, "0 blocks"),
        ({"kv_cache": KVCacheConfig(memory=512 * 16)}, "holds 0 tokens"),
        ({"kv_cache": KVCacheConfig(memory=512 * 16 * 5), "max_context": 65}, "holds 64 tokens.*needs 65.*49152"),
        ({"kv_cache": KVCacheConfig(block_size=0)}, "block_size"),
        ({"weights": "int4"}, "int4.*f32, int8"),
        ({"kv_cache": KVCacheConfig(dtype="fp8")}, "fp8"),  # type: ignore[arg-type]
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_numbers(
    path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(EngineConfigError, match=words):
        TorchRunner(engine_config(path, **changes))


def test_a_context_that_just_fits_is_accepted(path: Path) -> None:
    config = engine_config(path, kv_cache=KVCacheConfig(memory=512 * 16 * 5), max_context=64)
    assert TorchRunner(config).info.context == 64


def test_the_models_own_context_is_cut_to_what_fits(path: Path) -> None:
    assert TorchRunner(engine_config(path, kv_cache=KVCacheConfig(memory=512 * 16 * 5))).info.context == 64


def test_a_row_that_does_not_sample_gives_no_token(runners: dict[tuple[str, str], TorchRunner]) -> None:
    runner = runners["f32", "f32"]
    both = runner.execute([row([1, 2, 3], 0, [1], sample=False), row([4, 5], 0, [2])])
    assert both[0].token is None
    assert both[0].error is None
    assert both[1].token == runner.logits([row([4, 5], 0, [2])])[0].argmax().item()
    assert runner.execute([row([1], 0, [1], sample=False)])[0].token is None


@pytest.mark.parametrize("kind", [("f32", "f32"), ("int8", "f32"), ("int8", "int8")], ids="-".join)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8), seed=st.integers(0, 100))
def test_logits_are_bit_equal_alone_and_in_any_batch(
    runners: dict[tuple[str, str], TorchRunner], kind: tuple[str, str], lengths: list[int], seed: int
) -> None:
    runner = runners[kind]
    generator = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(100, (length,), generator=generator).tolist() for length in lengths]
    prefills = [row(prompt, 0, [1 + 2 * i, 2 + 2 * i]) for i, prompt in enumerate(prompts)]
    decodes = [row([7], len(prompt), [1 + 2 * i, 2 + 2 * i]) for i, prompt in enumerate(prompts)]
    alone = [(runner.logits([prefills[i]])[0], runner.logits([decodes[i]])[0]) for i in range(len(prompts))]
    together = runner.logits(prefills), runner.logits(decodes)
    for i, (prefill, decode) in enumerate(alone):
        assert torch.equal(together[0][i], prefill)
        assert torch.equal(together[1][i], decode)


@pytest.mark.parametrize("cut", [1, 5, 15, 16, 17, 31])
def test_a_prompt_in_two_chunks_gives_the_logits_of_one(runners: dict[tuple[str, str], TorchRunner], cut: int) -> None:
    runner = runners["f32", "f32"]
    tokens = torch.randint(100, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    whole = runner.logits([row(tokens, 0, [1, 2, 3])])[0]
    runner.execute([row(tokens[:cut], 0, [9, 4, 7], sample=False)])
    rest = runner.logits([row(tokens[cut:], cut, [9, 4, 7])])[0]
    assert torch.allclose(rest, whole, atol=1e-5)


def test_a_seeded_sequence_gets_the_same_token_in_any_company(
    runners: dict[tuple[str, str], TorchRunner],
) -> None:
    runner = runners["f32", "f32"]
    ours = row([1, 2, 3], 0, [1], params=SEEDED, output_index=4)
    unseeded = row([1, 2, 3], 0, [2], params=SamplingParams(max_tokens=1))
    alone = runner.execute([ours])[0].token
    assert runner.execute([unseeded, unseeded, ours])[2].token == alone
    others = {runner.execute([row([1, 2, 3], 0, [1], params=SEEDED, output_index=i)])[0].token for i in range(20)}
    assert len(others) > 3


@pytest.mark.parametrize("weights", ["f32", "int8"])
def test_a_row_whose_output_is_not_a_number_fails_alone(
    runners: dict[tuple[str, str], TorchRunner], weights: str
) -> None:
    runner = runners[weights, "f32"]
    healthy, sick = row([5, 6], 0, [2]), row([9], 1, [1])
    runner.execute([row([8], 0, [1], sample=False)])
    expected = runner.execute([healthy])[0]
    with torch.inference_mode():
        runner._cache.layers[0].write(torch.tensor([16]), torch.full((2, 1, 2, 16), float("nan")))
    found = runner.execute([sick, healthy])
    assert found[0].token is None
    assert found[0].error is not None
    assert found[1] == expected
    # The block's next owner is not harmed by what is left in it.
    assert runner.execute([row([5, 6], 0, [1])])[0] == expected


def test_threads_follow_the_configuration(path: Path) -> None:
    before = torch.get_num_threads()
    try:
        TorchRunner(engine_config(path, threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
