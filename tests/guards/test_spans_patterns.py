"""Patterns of the configuration: how long a match can be, and what may still become one."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.spans.patterns import BadPattern, compiled, parse


@pytest.mark.parametrize(
    ("source", "shortest", "longest"),
    [
        (r"E-\d{6}", 8, 8),
        (r"E-\d{6,}", 8, 102),
        (r"[A-Z]{2}\d+", 3, 102),
        (r"(?i)proj(?:ect)? *\d", 5, 108),
        (r"a|bcd", 1, 3),
        (r"\bword\b", 4, 4),
        (r"[\]\\x-]", 1, 1),
        (r"[^]a]", 1, 1),
        (r"[[:alpha:]_]{3}", 3, 3),
        (r"\p{Lu}\pN\x{1F600}\x41\.", 5, 5),
        (r"(?P<year>\d{4})-(\d\d)", 7, 7),
        (r"(?:ab)+?c", 3, 101),
        (r"a{,3}", 5, 5),
        (r"x{", 2, 2),
        (r"(?:a+)+", 1, 100),
        (r"grün", 4, 4),
    ],
)
def test_the_size_of_a_match_is_known(source: str, shortest: int, longest: int) -> None:
    node = parse(source)
    assert (node.shortest, node.longest) == (shortest, longest)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "nothing at all"),
        ("a*", "nothing at all"),
        ("^a", r"anchor \^"),
        ("a$", r"anchor \$"),
        (r"\Aa", r"anchor \\A"),
        (r"a\z", r"anchor \\z"),
        (r"(?:a|b$)", "anchor"),
        (r"\Qa\E", "may not hold"),
        (r"\C", "may not hold"),
        ("(?U)a+", "flag U"),
        ("(a", "missing"),
        ("a(?=b)", "RE2"),
        (r"(a)\1", "RE2"),
        ("a{1001}", "RE2"),
        (r"\d{600}\d{600}", "1,200 characters"),
        ("\ud800", "half a character"),
    ],
)
def test_what_cannot_be_used_is_refused(source: str, reason: str) -> None:
    with pytest.raises(BadPattern, match=reason):
        parse(source)


_ATOMS = st.sampled_from(["a", "b", "[ab]", ".", r"\d", r"\b", "é", "(?i:a)", "1", r"\x{e9}", "(?i)B"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    times = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "{0,2}?"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, times).map(lambda pair: f"({pair[0]}){pair[1]}"),
    )


SOURCES = st.recursive(_ATOMS, _grown, max_leaves=6)
TEXTS = st.text(alphabet="abAB1é \n", max_size=9)


@settings(deadline=None, max_examples=200)
@given(source=SOURCES, text=TEXTS)
def test_what_is_read_means_what_was_written(source: str, text: str) -> None:
    """Up to the length that ends endless repetitions: these texts do not reach it, but where one lies in another."""
    if sum(map(source.count, ("*", "+", ",}"))) > 1:
        return
    try:
        node = parse(source)
    except BadPattern:
        return
    data = text.encode()
    mine, theirs = compiled(node).whole, re2.compile(source.encode())
    assert [m.span() for m in mine.finditer(data)] == [m.span() for m in theirs.finditer(data)]


@settings(deadline=None, max_examples=200)
@given(source=SOURCES, text=TEXTS, before=TEXTS)
def test_every_beginning_of_a_match_is_known_as_one(source: str, text: str, before: str) -> None:
    try:
        ready = compiled(parse(source))
    except BadPattern:
        return
    data = (before + text).encode()
    match = ready.whole.search(data, len(before.encode()))
    if match is None:
        return
    found = data[match.start() : match.end()].decode()
    for size in range(1, len(found) + 1):
        begun = ready.begun.search(data[: match.start()] + found[:size].encode(), match.start())
        assert begun is not None
        assert begun.start() == match.start()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"(?:ab){3}", "ababab"),
        (r"(?:a|bc){2,3}d", "bcabcd"),
        (r"x(?:yz)+?w", "xyzyzw"),
        (r"(?i)a(?:b(?:cd)?)*e", "ABCDbcdE"),
        (r"\ba\b-\bb", "a-b"),
    ],
)
def test_a_beginning_may_end_inside_any_round_of_a_repetition(source: str, text: str) -> None:
    begun = compiled(parse(source)).begun
    for size in range(1, len(text) + 1):
        assert begun.search(text[:size].encode()).start() == 0


def test_words_far_from_a_pattern_are_no_beginning_of_it() -> None:
    ready = compiled(parse(r"E-\d{6}"))
    assert [ready.begun.search(text).start() for text in (b"x E", b"x E-1", b"x E-12", b"x E-123456")] == [2] * 4
    for text in (b"x E-1x", b"x F", b"x E-1234567", b"x E- "):
        assert ready.begun.search(text).start() == len(text)


def test_no_pattern_is_slow_in_a_hostile_text() -> None:
    ready = compiled(parse(r"(?:a+)+b|(?:a|aa)+c"))
    assert ready.whole.search(b"a" * 50_000) is None
