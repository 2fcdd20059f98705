"""Ids are those of the published tokenizer, and a caller's text never becomes a special token."""

from __future__ import annotations

import json
import threading

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from text_kit import MERGES, NASTY, real_header, real_tokenizer, tiny_tokenizer, tiny_tokens, tiny_types

from engine.errors import InvalidRequest, ModelFileError
from engine.gguf import Header
from engine.text.tokenizer import Tokenizer

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def published() -> tokenizers.Tokenizer:
    """The file's vocabulary in the pipeline of SmolLM2's published tokenizer.json, loaded from JSON."""
    metadata = real_header().metadata
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": t, **flags} for i, t in enumerate(tokens) if types[i] == 3],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": metadata["tokenizer.ggml.merges"],
        },
    }
    return tokenizers.Tokenizer.from_str(json.dumps(document))


@pytest.mark.model
@pytest.mark.parametrize("text", NASTY)
def test_ids_equal_the_published_tokenizers(published: tokenizers.Tokenizer, text: str) -> None:
    assert real_tokenizer().encode_with_specials(text) == published.encode(text).ids
    published.encode_special_tokens = True
    try:
        assert real_tokenizer().encode(text) == published.encode(text).ids
    finally:
        published.encode_special_tokens = False


@pytest.mark.model
@settings(max_examples=200, deadline=None)
@given(text=any_text)
def test_any_texts_ids_equal_the_published_tokenizers(published: tokenizers.Tokenizer, text: str) -> None:
    assert real_tokenizer().encode_with_specials(text) == published.encode(text).ids


@pytest.mark.model
@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 49151), max_size=30), skip=st.booleans())
def test_any_ids_text_equals_the_published_tokenizers(
    published: tokenizers.Tokenizer, ids: list[int], skip: bool
) -> None:
    assert real_tokenizer().decode(ids, skip_special=skip) == published.decode(ids, skip_special_tokens=skip)


@pytest.mark.model
def test_real_file_names_its_special_tokens() -> None:
    tokenizer = real_tokenizer()
    assert tokenizer.vocab_size == 49152
    assert (tokenizer.bos, tokenizer.eos, tokenizer.add_bos) == (1, 2, False)
    assert tokenizer.special_ids == frozenset(range(17))
    assert tokenizer.eos_token_ids == {0, 2}  # <|endoftext|> ends an answer as <|im_end|> does


@pytest.mark.parametrize("text", NASTY)
def test_plain_text_survives_the_way_there_and_back(text: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer.encode(text)
    assert not tokenizer.special_ids & set(ids)
    assert tokenizer.decode(ids) == text


def test_digits_are_single_in_smollm_and_not_in_gpt2() -> None:
    tokens, types, merges = [*tiny_tokens(), "12"], [*tiny_types(), 1], [*MERGES, "1 2"]
    smollm = Tokenizer(tokens, types, merges, pre_tokenizer="smollm")
    gpt2 = Tokenizer(tokens, types, merges, pre_tokenizer="gpt-2")
    assert [smollm.token(i) for i in smollm.encode("12")] == ["1", "2"]
    assert [gpt2.token(i) for i in gpt2.encode("12")] == ["12"]


def test_special_text_is_a_token_only_where_asked() -> None:
    tokenizer = tiny_tokenizer()
    assert 1 in tokenizer.encode_with_specials("a<|im_start|>b")
    assert 1 not in tokenizer.encode("a<|im_start|>b")
    parts = [("<|im_", True), ("start|>", False), ("<|im_end|>", True), ("<|im_end|>", False)]
    ids = tokenizer.encode_parts(parts)
    assert [i for i in ids if i in tokenizer.special_ids] == [2]
    assert tokenizer.decode(ids, skip_special=False) == "<|im_start|><|im_end|><|im_end|>"


def test_plain_parts_are_encoded_as_one_text() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.encode_parts([("he", False), ("l", True), ("lo", False)]) == tokenizer.encode("hello")
    assert len(tokenizer.encode("hello")) == 1


def test_longest_special_token_wins() -> None:
    tokens = [*tiny_tokens(), "<|im_start|>x"]
    tokenizer = Tokenizer(tokens, [*tiny_types(), 3], MERGES, pre_tokenizer="smollm")
    assert tokenizer.encode_with_specials("<|im_start|>x") == [len(tokens) - 1]


def test_user_defined_tokens_are_text_and_stay_whole() -> None:
    tokens = [*tiny_tokens(), "é<x>"]
    tokenizer = Tokenizer(tokens, [*tiny_types(), 4], MERGES, pre_tokenizer="smollm")
    ids = tokenizer.encode("a é<x>b")
    assert len(tokens) - 1 in ids
    assert tokenizer.decode(ids) == "a é<x>b"


def test_ids_outside_the_vocabulary_have_no_text() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode([-1, *tokenizer.encode("hi"), tokenizer.vocab_size, 2**40]) == "hi"


def test_lone_surrogate_is_the_callers_fault() -> None:
    with pytest.raises(InvalidRequest):
        tiny_tokenizer().encode("a\ud800b")


def test_threads_share_one_tokenizer() -> None:
    tokenizer = tiny_tokenizer()
    texts = [f"{text} {n} hello" for n, text in enumerate(NASTY * 3)]
    expected = [tokenizer.encode(text) for text in texts]
    results: list[list[list[int]]] = [[] for _ in range(4)]

    def work(result: list[list[int]]) -> None:
        result += [tokenizer.encode(text) for text in texts]

    threads = [threading.Thread(target=work, args=(result,)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


BROKEN = {
    "model": ("llama", "'llama'"),
    "pre": ("made-up", "'made-up'"),
    "tokens": ([*tiny_tokens()[:-1], "a"], "twice"),
    "token_type": ([1, 2], "token types"),
    "merges": (["h e", "q zz"], "merges"),
    "bos_token_id": (10**6, "names token"),
    "eos_token_id": ("2", "not of type int"),
}


def header_with(**changes: object) -> Header:
    fields = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": tiny_tokens(),
        "token_type": tiny_types(),
        "merges": MERGES,
        "bos_token_id": 1,
        "eos_token_id": 2,
    } | changes
    return Header(3, {f"tokenizer.ggml.{k}": v for k, v in fields.items() if v is not None}, {})


@pytest.mark.parametrize("field", BROKEN)
def test_file_of_another_kind_is_a_typed_error(field: str) -> None:
    value, says = BROKEN[field]
    with pytest.raises(ModelFileError, match=says):
        Tokenizer.from_header(header_with(**{field: value}))


@pytest.mark.parametrize("field", ["model", "pre", "tokens", "token_type", "merges"])
def test_missing_field_is_a_typed_error(field: str) -> None:
    with pytest.raises(ModelFileError, match=f"tokenizer.ggml.{field} is missing"):
        Tokenizer.from_header(header_with(**{field: None}))


@pytest.mark.parametrize("merges", [["hello"], ["a b c"], [1]])
def test_merge_that_is_no_pair_is_a_typed_error(merges: list[object]) -> None:
    with pytest.raises(ModelFileError):
        Tokenizer.from_header(header_with(merges=merges))


def test_add_bos_without_a_bos_is_a_typed_error() -> None:
    with pytest.raises(ModelFileError, match="beginning-of-sequence"):
        Tokenizer.from_header(header_with(bos_token_id=None, add_bos_token=True))
