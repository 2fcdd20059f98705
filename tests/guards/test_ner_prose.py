"""Which parts of a text are read for names, and that windows leave nothing out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.ner.prose import OVERLAP, WINDOW, stretches, windows


def prose(text: str) -> str:
    return "|".join(text[begin:end] for begin, end in stretches(text))


def test_a_text_without_code_is_one_stretch() -> None:
    assert prose("Hello Maria") == "Hello Maria"
    assert prose("") == ""


def test_code_between_fences_is_left_out() -> None:
    text = "before\n```python\nMaria = Lopez()\n```\nafter ~~~ x\n~~~~js\n```\nlet y\n~~~~\nend"
    assert prose(text) == "before\n|\nafter ~~~ x\n|\nend"


@pytest.mark.parametrize(
    "block",
    [
        "def hello(name):\n    return greet(name)\n\nprint(hello('x'))",
        "const x = 1;\nif (x) {\n  run(x);\n}",
        "SELECT a FROM b;\nUPDATE c SET d = 1;",
        "for item in items:\n    item.total = item.a + item.b\n    save(item)",
    ],
)
def test_code_is_known_by_its_look_when_no_language_is_told(block: str) -> None:
    assert prose(f"a\n```\n{block}\n```\nb") == "a\n|\nb"


@pytest.mark.parametrize(
    ("language", "block"),
    [
        ("", "Dear Maria,\nthe parcel for Mr Lopez has arrived.\nRegards, Tom"),
        ("text", "x = 1;\ny = 2;"),
        ("json", '{"name": "Maria Lopez"}'),
        ("csv", "name,city\nMaria,Lyon"),
        ("LOG", "user Maria logged in"),
    ],
)
def test_what_people_paste_between_fences_is_read(language: str, block: str) -> None:
    text = f"a\n```{language}\n{block}\n```\nb"
    assert prose(text) == text


def test_after_a_block_that_is_read_the_next_one_is_judged_by_itself() -> None:
    middle = "call(a) or call(b);\nfor (c) x = y;\n"
    text = f"```text\nMaria\n```\n{middle}```python\nx\n```\nb"
    assert prose(text) == f"```text\nMaria\n```\n{middle}|\nb"


def test_a_fence_that_is_not_closed_holds_the_rest() -> None:
    assert prose("a\n```python\nb\nc") == "a\n"
    assert prose("a\n```text\nb\nc") == "a\n```text\nb\nc"


@given(
    st.lists(st.sampled_from(["```", "~~~", "````", "\n", "python", "text", "x = y;", "Maria", " ", "`", ">"])).map(
        "".join
    )
)
def test_stretches_are_parts_of_the_text_in_order(text: str) -> None:
    position = 0
    for begin, end in stretches(text):
        assert position <= begin < end <= len(text) or text == ""
        position = end


_WORDS = st.lists(st.sampled_from(["Maria ", "a", "\n", " ", "x" * 90, "y" * 900, "z" * 2500]), max_size=60)


@given(_WORDS.map("".join), st.integers(0, 50), st.integers(0, 50))
def test_windows_cover_every_place_once_with_words_around_it(text: str, skip: int, drop: int) -> None:
    begin, end = min(skip, len(text)), max(min(skip, len(text)), len(text) - drop)
    place = begin
    all_windows = list(windows(text, begin, end))
    for number, window in enumerate(all_windows):
        assert begin <= window.start <= window.first <= window.limit <= window.end <= end
        assert window.end - window.start <= WINDOW
        assert window.first == place, "what begins anywhere is taken from one window"
        if number:
            assert window.first - window.start >= OVERLAP // 5, "something is read before it"
        if number < len(all_windows) - 1:
            assert window.end - window.limit >= OVERLAP // 5, "and after it"
        place = window.limit
    assert place == end


def test_windows_are_cut_between_words() -> None:
    text = "windows " * 2000
    for window in windows(text, 0, len(text)):
        assert window.first == 0 or text[window.first - 1] == " "
        assert window.start == 0 or text[window.start - 1] == " "
        assert window.end == len(text) or text[window.end - 1] == " "


@pytest.mark.parametrize("piece", ["```\n", "~~~a\n", "`", "```x\na(a(", " ", "; ", "a = ", "```" + "x" * 50 + "\n"])
def test_hostile_texts_are_cut_up_in_linear_time(piece: str) -> None:
    text = (piece * 200_000)[:200_000]
    started = time.process_time()
    list(windows(text, 0, len(text)))
    list(stretches(text))
    assert time.process_time() - started < 1
