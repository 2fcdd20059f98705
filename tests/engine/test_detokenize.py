"""The stream's pieces are always the whole text, and never half a character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_kit import NASTY, real_tokenizer, tiny_tokenizer

from engine.text.tokenizer import Tokenizer

TINY = tiny_tokenizer()


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = tokenizer.stream()
    return [*(stream.feed(id_) for id_ in ids), stream.finish()]


@settings(deadline=None)
@given(st.lists(st.integers(-1, TINY.vocab_size), max_size=40))
def test_pieces_of_any_ids_are_the_whole_text(ids: list[int]) -> None:
    assert "".join(streamed(TINY, ids)) == TINY.decode(ids)


@pytest.mark.model
@settings(deadline=None)
@given(st.lists(st.integers(0, 49151), max_size=40))
def test_pieces_of_any_real_ids_are_the_whole_text(ids: list[int]) -> None:
    tokenizer = real_tokenizer()
    assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids)


@pytest.mark.parametrize("text", NASTY)
def test_no_piece_of_valid_text_holds_a_broken_character(text: str) -> None:
    pieces = streamed(TINY, TINY.encode(text))
    assert "".join(pieces) == text
    assert not any("�" in piece for piece in pieces)


def test_character_comes_with_its_last_byte() -> None:
    ids = TINY.encode("\U0001f600")
    assert len(ids) == 4
    assert streamed(TINY, ids) == ["", "", "", "\U0001f600", ""]


def test_unfinished_character_comes_out_at_the_end() -> None:
    ids = TINY.encode("a\U0001f600")[:-1]
    assert streamed(TINY, ids) == ["a", "", "", "", "�"]


def test_special_tokens_are_silent_unless_asked_for() -> None:
    ids = [1, *TINY.encode("hello"), 2]
    assert "".join(streamed(TINY, ids)) == "hello"
    loud = TINY.stream(skip_special=False)
    assert "".join(map(loud.feed, ids)) == "<|im_start|>hello<|im_end|>"


def test_special_token_does_not_break_a_character() -> None:
    first, *rest = TINY.encode("\u00e9")
    assert "".join(streamed(TINY, [first, 1, *rest])) == "\u00e9"
