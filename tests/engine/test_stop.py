"""A stop string is found however the text is cut, nothing of it is shown, and no more than needed is held back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.stop import StopFinder

# Two letters, so that partial and overlapping matches are common.
texts = st.text("ab", max_size=12)
stop_lists = st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=4)


def run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    finder = StopFinder(stops)
    shown = ""
    for piece in pieces:
        shown += finder.feed(piece)
        if finder.found:
            return shown, True
    return shown + finder.finish(), False


def expected(stops: list[str], text: str) -> tuple[str, bool]:
    """By definition: the first stop string to be completed, the longest of those completed there."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


@given(stop_lists, texts)
def test_result_is_the_definition_for_every_way_to_cut_the_text(stops: list[str], text: str) -> None:
    wanted = expected(stops, text)
    for cuts in itertools.product((False, True), repeat=min(max(len(text) - 1, 0), 8)):
        pieces, start = [], 0
        for position, cut in enumerate(cuts, start=1):
            if cut:
                pieces.append(text[start:position])
                start = position
        assert run(stops, [*pieces, text[start:]]) == wanted


@given(stop_lists, texts)
def test_exactly_what_may_still_become_a_match_is_held_back(stops: list[str], text: str) -> None:
    finder = StopFinder(stops)
    shown = ""
    for end, character in enumerate(text, start=1):
        shown += finder.feed(character)
        if finder.found:
            return
        partial = (n for stop in stops for n in range(len(stop)) if text[:end].endswith(stop[:n]))
        assert len(shown) == end - max(partial)


@pytest.mark.parametrize("pieces", [["DEF", "G", "HI", "J"], ["ab DEFGH", "IJ tail"], ["DEFGHIJ"]])
def test_no_part_of_the_stop_string_is_shown(pieces: list[str]) -> None:
    assert run(["DEFGHIJ"], pieces) == ("".join(pieces).split("DEFGHIJ")[0], True)


def test_text_that_cannot_match_passes_at_once() -> None:
    assert StopFinder(["xyz"]).feed("hello") == "hello"
    assert StopFinder(["<|im_end|>"]).feed("a < b") == "a < b"
    assert StopFinder([]).feed("anything") == "anything"


def test_held_text_comes_out_when_the_match_fails_or_the_text_ends() -> None:
    finder = StopFinder(["abc"])
    assert finder.feed("xab") == "x"
    assert finder.feed("d") == "abd"
    assert finder.feed("ab") == ""
    assert finder.finish() == "ab"


def test_nothing_follows_a_match() -> None:
    finder = StopFinder(["\n\n"])
    assert finder.feed("one\n\ntwo") == "one"
    assert finder.found
    assert finder.feed("three") == finder.finish() == ""


def test_long_stop_string_costs_no_more_per_character() -> None:
    stop = "a" * 100_000 + "b"
    finder = StopFinder([stop])
    assert "".join(finder.feed("a" * 1000) for _ in range(200)) == "a" * 100_000
