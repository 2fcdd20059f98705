"""Values whose characters are escaped, as URLs, JSON and HTML do, are values all the same."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from guardkit import REQUEST, Slot, pii, streamed
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.build import build_guard
from guards.spans.reading import begun_escape, decoded, reading_of
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, Scope

GUARD = pii()
ADDRESS = "jane.roe@example.com"
WRITTEN = [
    "jane.roe%40example.com",
    "jane.roe\\u0040example.com",
    "jane.roe\\x40example.com",
    "jane.roe&#64;example.com",
    "jane.roe&#x40;example.com",
    "jane.roe&commat;example.com",
    "jane%2Eroe%40example%2ecom",
    "%6Aane.roe&#064;example&period;com",
]
NUMBERS = [quote("(415) 555-2671"), quote("+1 415 555 2671", safe=""), quote("4111 1111 1111 1111"), "078%2D05%2D1120"]


@pytest.mark.parametrize("value", [*WRITTEN, *NUMBERS])
async def test_an_escaped_value_is_hidden_and_comes_back_as_it_was_written(value: str) -> None:
    session = GUARD.open(REQUEST)
    slot = Slot(f"see https://a.example/?q={value}&r=1 there")
    text = slot.text
    await session.check_input([slot])
    assert slot.text.startswith("see https://a.example/?q=[") and slot.text.endswith("]&r=1 there"), slot.text
    reply = Slot(slot.text, Scope.ASSISTANT)
    await session.check_output([reply])
    assert reply.text == text


@pytest.mark.parametrize("value", [*WRITTEN, *NUMBERS])
async def test_an_escaped_value_of_the_models_own_is_masked_wherever_a_stream_is_cut(value: str) -> None:
    text = f"Reference record: {value}"
    for cut in range(len(text) + 1):
        stream = GUARD.open(REQUEST).open_stream(Scope.ASSISTANT)
        parts = [await stream.feed(text[:cut]), await stream.feed(text[cut:]), await stream.finish()]
        assert "".join(parts).startswith("Reference record: ["), (cut, parts)
        assert not any(piece in "".join(parts) for piece in (value[:6], value[-6:])), (cut, parts)


async def test_the_callers_own_value_stays_in_any_writing() -> None:
    session = GUARD.open(REQUEST)
    await session.check_input([Slot(ADDRESS)])
    reply = Slot("mailto:jane.roe%40example.com or eve%40example.com", Scope.ASSISTANT)
    await session.check_output([reply])
    assert reply.text == "mailto:jane.roe%40example.com or [EMAIL]"


async def test_a_block_comes_before_any_of_it() -> None:
    stream = pii(action=Action.BLOCK, restore=False).open(REQUEST).open_stream(Scope.ASSISTANT)
    assert await stream.feed("at eve%") == "at "
    with pytest.raises(GuardBlocked):
        await stream.feed("40example.com now")


PIECES = st.sampled_from(
    [*WRITTEN, *NUMBERS, ADDRESS, "%", "%4", "40", "\\", "\\u00", "&", "&#", "&#6", "4;", "&amp;", "a", " ", "@",
     "x.io", "%25", "%2", "ssn ", "call ", "4111", "\\u0031", "é", "[EMAIL_1_k7]"]
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=10).map("".join), st.lists(st.integers(0, 500), max_size=5))
async def test_no_cut_changes_what_is_sent(text: str, places: list[int]) -> None:
    at = sorted({place % (len(text) + 1) for place in places})
    parts = [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]
    whole = Slot(text, Scope.ASSISTANT)
    await GUARD.open(REQUEST).check_output([whole])
    assert await streamed(GUARD.open(REQUEST).open_stream(Scope.ASSISTANT), parts) == whole.text, (text, parts)


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=10).map("".join))
async def test_what_was_hidden_comes_back(text: str) -> None:
    session = GUARD.open(REQUEST)
    slot = Slot(text)
    await session.check_input([slot])
    reply = Slot(slot.text, Scope.ASSISTANT)
    await session.check_output([reply])
    assert reply.text == text


@given(st.lists(PIECES, max_size=10).map("".join))
def test_places_go_there_and_back(text: str) -> None:
    reading = reading_of(text)
    if reading is None:
        assert decoded(text) == text
        return
    assert reading.text == decoded(text)
    for place in range(len(reading.text) + 1):
        assert reading.read(reading.written(place)) == place
    assert reading.written(len(reading.text)) == len(text)


def test_an_escape_that_may_go_on_is_known_by_its_beginning() -> None:
    for escape in ("%40", "\\u0040", "\\x40", "&#64;", "&#x40;", "&commat;"):
        for size in range(1, len(escape)):
            assert begun_escape("ab" + escape[:size]) == 2, escape[:size]
        assert begun_escape("ab" + escape) == 2 + len(escape)
    assert begun_escape("50 % of") == 7


async def test_no_cut_parts_an_escape_where_only_numbers_are_looked_for() -> None:
    only = build_guard(GuardSpec(name="pii", kind="pii", options={"entities": ["PHONE", "CARD"]}))
    for text in ("at %2B1%20415%20555%202671.", "x %34111 1111 1111 1111 now", "a %28415%29%20555-2671 b"):
        whole = Slot(text, Scope.ASSISTANT)
        await only.open(REQUEST).check_output([whole])
        assert "[" in whole.text
        for cut in range(len(text)):
            parts = [text[:cut], text[cut:]]
            assert await streamed(only.open(REQUEST).open_stream(Scope.ASSISTANT), parts) == whole.text, (text, cut)
