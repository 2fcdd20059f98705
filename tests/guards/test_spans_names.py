"""Names that take a finder: beside values found by pattern, in whole texts and in streams."""

from __future__ import annotations

import asyncio
import re

import pytest
from guardkit import REQUEST, FakeFinder, Slot, answered, hidden, hurtful_texts, span_guard, streamed
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.pii.detectors.card import CARD
from guards.pii.detectors.email import EMAIL
from guards.resources import Resources
from guards.spans.finder import Found
from guards.spans.guard import SpanGuard
from guards.spans.names import MOST_HELD
from guards.types import Action, GuardBlocked, GuardConfigError, Scope

PEOPLE = "Ada Lovelace,Ada,Charles Babbage,Babbage,Grace,O'Neil"
PLACES = "London,New York"


def named(**how: object) -> tuple[SpanGuard, FakeFinder]:
    finder = FakeFinder(PERSON=PEOPLE, LOCATION=PLACES)
    return span_guard(finder=finder, detectors=[EMAIL, CARD], **how), finder  # type: ignore[arg-type]


async def test_names_are_hidden_beside_values_and_come_back() -> None:
    guard, _ = named()
    session = guard.open(REQUEST)
    text = "Ada Lovelace (ada@example.com) met Charles Babbage in London."
    (sent,) = await hidden(session, text)
    assert re.sub(r"_[a-z]\d\]", "_nn]", sent) == ("[PERSON_1_nn] ([EMAIL_1_nn]) met [PERSON_2_nn] in [LOCATION_1_nn].")
    assert await answered(session, sent) == text
    assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == text


async def test_a_name_has_one_placeholder_in_a_conversation_and_its_other_writings_share_the_nonce() -> None:
    finder = FakeFinder(PERSON="Ada Lovelace,ADA  LOVELACE")
    session = span_guard(finder=finder, detectors=()).open(REQUEST)
    one, two = await hidden(session, "Ada Lovelace met Ada Lovelace", "ADA  LOVELACE, Ada Lovelace")
    (ada,) = set(one.split(" met "))
    other, same = two.split(", ")
    assert same == ada
    assert other.rpartition("_")[2] == ada.rpartition("_")[2]
    assert await answered(session, f"{ada} {other}") == "Ada Lovelace ADA  LOVELACE"


class Overreaching:
    """Finds what no finder should: spans over values, blanks and one another."""

    kinds = frozenset({"PERSON"})

    async def prepare(self) -> None: ...

    async def close(self) -> None: ...

    async def find(self, text: str) -> list[Found]:
        return [Found(0, len(text), "PERSON"), Found(2, 5, "PERSON"), Found(0, 1, "SHOE_SIZE")] if text else []


async def test_a_name_never_reaches_into_a_value_or_what_stands_for_one() -> None:
    guard = span_guard(finder=Overreaching())
    session = guard.open(REQUEST)
    text = "  Ada ada@example.com, Grace! 4111 1111 1111 1111 ..."
    (sent,) = await hidden(session, text)
    assert re.sub(r"_[a-z]\d\]", "_nn]", sent) == "  [PERSON_1_nn] [EMAIL_1_nn], [PERSON_2_nn]! [CARD_1_nn] ..."
    assert await answered(session, sent) == text
    assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == text


@settings(deadline=None, max_examples=50)
@given(text=hurtful_texts())
def test_hiding_ends_and_all_comes_back_whatever_a_finder_finds(text: str) -> None:
    async def run() -> None:
        session = span_guard(finder=Overreaching()).open(REQUEST)
        (sent,) = await hidden(session, text)
        assert await answered(session, sent) == text
        assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == text

    asyncio.run(run())


async def test_names_the_model_made_up_are_masked_and_the_callers_own_are_not() -> None:
    guard, finder = named()
    session = guard.open(REQUEST)
    (sent,) = await hidden(session, "I am Ada from London, grace period")
    finder.asked.clear()
    reply = f"{sent[5:18]} knows Ada, Babbage and Grace of New York"
    assert await answered(session, reply) == "Ada knows Ada, [PERSON] and Grace of [LOCATION]"
    assert finder.asked == ["… knows Ada, Babbage and Grace of New York"]
    verdict = await session.check_output([Slot("Charles Babbage", Scope.ASSISTANT)])
    assert verdict.findings == {"PERSON": 1}


async def test_only_the_asked_names_are_looked_for_and_allowed_ones_are_left() -> None:
    finder = FakeFinder(PERSON=PEOPLE, LOCATION=PLACES)
    guard = span_guard(finder=finder, finder_kinds=frozenset({"LOCATION"}))
    (sent,) = await hidden(guard.open(REQUEST), "Ada in London")
    assert sent.startswith("Ada in [LOCATION_1_")
    assert await answered(guard.open(REQUEST), "Ada in London") == "Ada in [LOCATION]"
    assert await streamed(guard.open(REQUEST).open_stream(Scope.ASSISTANT), "Ada in London") == "Ada in [LOCATION]"


_WORDS = st.sampled_from(
    ["Ada", "Lovelace", "Ada Lovelace", "Charles", "Babbage", "New", "York", "London", "Grace", "a", "word", "and",
     "\n", ",", ".", " ", "  ", "eve@example.com", "{0}", "{1}", "word" * 60, "\ufdd0", "日本", "'s", "O'Neil",
     "the", "of"]
)  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(
    parts=st.lists(st.tuples(_WORDS, st.sampled_from(["", " ", " ", " "])), max_size=40),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_no_cut_changes_what_leaves_and_no_name_leaves_early(parts: list[tuple[str, str]], sizes: list[int]) -> None:
    async def run() -> None:
        guard, _ = named()
        session = guard.open(REQUEST)
        own = (await hidden(session, "I am O'Neil, own@x.org"))[0].removeprefix("I am ").split(", ")
        text = "".join(word + space for word, space in parts).replace("{0}", own[0]).replace("{1}", own[1])
        stream = session.open_stream(Scope.ASSISTANT)
        at_once = await streamed(session.open_stream(Scope.ASSISTANT), [text])
        out, start = "", 0
        while start < len(text):
            for size in sizes:
                out += await stream.feed(text[start : start + size])
                start += size
                assert at_once.startswith(out)
                assert len(stream.held) <= stream.look_back
        assert out + await stream.finish() == at_once
        for name in ("Ada", "Babbage", "London", "Grace", "New York"):
            assert not re.search(rf"\b{name}\b", at_once)
        assert "eve@" not in at_once

    asyncio.run(run())


async def test_a_name_across_the_edge_of_windows_is_masked_as_one() -> None:
    for words in range(30):
        guard, _ = named()
        stream = guard.open(REQUEST).open_stream(Scope.ASSISTANT)
        text = "we say " * words + "that Ada Lovelace lives in New York and writes to us all of the time about it"
        assert await streamed(stream, [f"{word} " for word in text.split(" ")]) == (
            "we say " * words + "that [PERSON] lives in [LOCATION] and writes to us all of the time about it "
        )


async def test_the_first_words_leave_early_and_little_is_held() -> None:
    guard, finder = named()
    stream = guard.open(REQUEST).open_stream(Scope.ASSISTANT)
    words = [f"{word} " for word in ("it is a long and winding road to the end of this reply " * 20).split()]
    first, longest, sent = None, 0, ""
    for number, word in enumerate(words, start=1):
        sent += await stream.feed(word)
        first = first or (number if sent else None)
        longest = max(longest, len(stream.held))
    sent += await stream.finish()
    assert sent == "".join(words)
    assert first is not None
    assert first <= 7
    assert longest <= 80
    assert len(finder.asked) <= len(words) / 9
    assert max(map(len, finder.asked)) <= 200 + MOST_HELD
    assert min(map(len, finder.asked[9:])) >= 200  # with words that have left


async def test_a_name_longer_than_a_window_is_masked_as_one() -> None:
    guard = span_guard(
        detectors=[EMAIL], finder=FakeFinder(ORGANIZATION="A B C D E F G H I,A B C D E F G H,A B C D E F")
    )
    stream = guard.open(REQUEST).open_stream(Scope.ASSISTANT)
    out, held = "", 0
    for word in re.findall(
        r"\w+ ", "A B C D E F G H I is the name of it and nothing else that we know of is so called "
    ):
        out += await stream.feed(word)
        held = max(held, len(stream.held))
    assert held < 60
    assert (out + await stream.finish()).startswith("[ORGANIZATION] is the name of it and nothing else that ")


@pytest.mark.parametrize("unit", ["日本", "word-", "ab " * 3, "x\n"])
async def test_no_more_is_held_than_said(unit: str) -> None:
    guard, _ = named()
    stream = guard.open(REQUEST).open_stream(Scope.ASSISTANT)
    out = ""
    for _ in range(200):
        out += await stream.feed(unit)
        assert stream._names is not None
        assert len(stream._names.held) < MOST_HELD
    assert out + await stream.finish() == unit * 200


async def test_a_text_without_letters_asks_nobody() -> None:
    guard, finder = named()
    session = guard.open(REQUEST)
    assert (
        await streamed(session.open_stream(Scope.ASSISTANT), ["1, 2, 3\n", "4 5 6 7 8 9 "]) == "1, 2, 3\n4 5 6 7 8 9 "
    )
    assert finder.asked == []


async def test_block_stops_a_stream_before_the_name_and_flag_lets_it_pass() -> None:
    guard, _ = named(action=Action.BLOCK, restore=False)
    session = guard.open(REQUEST)
    stream = session.open_stream(Scope.ASSISTANT)
    sent = await stream.feed("yes of course and there it is again: ")
    with pytest.raises(GuardBlocked) as caught:
        await streamed(stream, ["Ada ", "said"])
    assert "Ada" not in sent
    assert caught.value.verdict.findings == {"PERSON": 1}
    guard, _ = named(action=Action.FLAG, restore=False)
    session = guard.open(REQUEST)
    assert await streamed(session.open_stream(Scope.ASSISTANT), ["Ada ", "said"]) == "Ada said"
    assert session.stream_verdict().findings == {"PERSON": 1}


async def test_what_is_held_is_told_as_it_came() -> None:
    guard, _ = named()
    session = guard.open(REQUEST)
    (own,) = await hidden(session, "own@x.org")
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed(f"write {own} and eve@example.com or ") == ""
    assert stream.held == f"write {own} and eve@example.com or "
    assert "own@x.org" not in repr(stream)


async def test_the_finder_is_prepared_and_closed_with_its_guard() -> None:
    guard, finder = named()
    await guard.prepare()
    assert finder.prepared
    await guard.close()
    assert finder.closed


async def test_a_guard_that_does_not_find_its_own_value_is_refused() -> None:
    with pytest.raises(GuardConfigError, match="does not find its own EMAIL"):
        await span_guard(detectors=(), probes={"EMAIL": ["a@b.co"]}).prepare()


async def test_asking_for_names_takes_a_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    from guards.pii import build as pii_build
    from guards.spec import GuardSpec

    monkeypatch.setattr(pii_build, "_FINDER", "guards.no_such_thing")
    for options in ({"ner": True}, {"entities": ["PERSON", "EMAIL"]}, {"ner": {"max_characters": 9}}):
        with pytest.raises(GuardConfigError, match="no finder") as caught:
            pii_build.build(GuardSpec(name="pii", kind="pii", options=options), Resources())
        assert caught.value.at == ("ner",)
