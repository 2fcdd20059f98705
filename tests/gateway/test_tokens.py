"""Tokens are counted by the model's own tokenizer where it is at hand, without the network, and estimated where not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens import (
    MAX_COUNTED,
    TokenCounter,
    TokenizerError,
    encoding,
    estimate,
    openai_encoding,
    tokenizer_file,
)

PROSE = "The gate stands in front of every model. It counts what goes in, and what comes out; it asks who pays. " * 20


async def ready(counter: TokenCounter) -> TokenCounter:
    await counter.ready()
    return counter


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        # As tiktoken's own documentation counts them.
        ("cl100k_base", "tiktoken is great!", 6),
        ("o200k_base", "tiktoken is great!", 6),
        ("cl100k_base", "antidisestablishmentarianism", 6),
        ("cl100k_base", "2 + 2 = 4", 7),
        ("cl100k_base", "お誕生日おめでとう", 9),
        ("o200k_base", "お誕生日おめでとう", 8),
        ("cl100k_base", "<|endoftext|>", 7),  # a text is never a special token
    ],
)
async def test_openai_encodings_count_as_openai_does(name: str, text: str, tokens: int) -> None:
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    counter = await ready(TokenCounter(encoding(name)))
    assert counter.count([text]) == tokens
    assert os.environ.get("TIKTOKEN_CACHE_DIR") == before


def test_which_encoding_a_model_has() -> None:
    assert openai_encoding("gpt-4o-mini") == "o200k_base"
    assert openai_encoding("gpt-4") == "cl100k_base"
    assert openai_encoding("llama-3") is None
    assert openai_encoding("davinci") is None  # an encoding whose file is not carried


def test_litellm_is_not_imported_for_its_files() -> None:
    script = (
        "import sys; from gateway.tokens import encoding; "
        "print(encoding('o200k_base')()('hello world'), 'litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


async def test_a_tokenizer_file_counts(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    counter = await ready(TokenCounter(tokenizer_file(tmp_path / "tokenizer.json")))
    assert counter.count(["one two", "three"]) == 3


@pytest.mark.parametrize("content", [None, b"{}", b"not json"])
async def test_a_tokenizer_that_cannot_be_had_leaves_the_estimate(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenizerError, match="no tokenizer"):
        tokenizer_file(path)()
    counter = await ready(TokenCounter(tokenizer_file(path)))
    assert counter.count(["hello there"]) == estimate("hello there")


async def test_a_long_text_is_reckoned_from_its_beginning() -> None:
    counter = await ready(TokenCounter(encoding("cl100k_base")))
    text = PROSE * 100
    assert len(text) > 3 * MAX_COUNTED
    whole = encoding("cl100k_base")()(text)
    assert counter.count([text[:1000], text[1000:], ""]) == pytest.approx(whole, rel=0.01)
    assert counter.count([]) == 0


@given(st.text(max_size=400))
def test_an_estimate_is_never_nothing_and_longer_texts_have_no_fewer(text: str) -> None:
    assert estimate(text) >= 1
    assert estimate(text + text) >= estimate(text)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "def f(x: int) -> int:\n    return {'a': x ** 2, 'b': [1, 2, 3]}['a'] + 17\n" * 20,
        '{"customer": "acme", "items": [{"sku": 10023, "price": "12.50"}], "paid": true}\n' * 20,
        "3141592653589793238462643383279502884197169399375105820974944592307816406286\n" * 20,
        "El veloz murciélago hindú comía feliz cardillo y kiwi. " * 20,
        "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 20,
        "我们在模型前面设一道门。" * 40,
        "🙂🚀🎉" * 50,
    ],
)
@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
async def test_an_estimate_holds_enough_for_texts_of_every_kind(name: str, text: str) -> None:
    tokens = (await ready(TokenCounter(encoding(name)))).count([text])
    assert 0.9 * tokens <= estimate(text) <= 6 * tokens
