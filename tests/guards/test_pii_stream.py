"""A streamed reply: the same however it is cut, nothing of a value early, plain words at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from guardkit import Slot, hurtful_texts, pii
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.types import Action, GuardBlocked, GuardRequest, GuardSession, Scope, StreamFilter

OWN = "own@x.org 078-05-1120"


async def open_with_own() -> tuple[GuardSession, list[str]]:
    session = pii().open(GuardRequest("t"))
    slot = Slot(OWN)
    await session.check_input([slot])
    return session, slot.text.split(" ")


async def feed_all(stream: StreamFilter, pieces: Iterable[str]) -> list[str]:
    return [await stream.feed(piece) for piece in pieces] + [await stream.finish()]


def cut(text: str, sizes: list[int]) -> list[str]:
    """`text` in pieces of the given sizes, over and over."""
    pieces, start = [], 0
    while start < len(text):
        for size in sizes:
            pieces.append(text[start : start + size])
            start += size
    return pieces


@settings(deadline=None, max_examples=80)
@given(
    parts=st.lists(st.one_of(hurtful_texts(), st.sampled_from(["{0}", "{1}", "{2}", "{3}", "{4}"])), max_size=4),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_any_cut_gives_the_whole_texts_answer_and_no_piece_comes_early(parts: list[str], sizes: list[int]) -> None:
    async def run() -> None:
        session, (mail, number) = await open_with_own()
        escaped = number.replace("[", "\\[").replace("_", "\\_").replace("]", "\\]")
        forms = {"{0}": mail, "{1}": number, "{2}": escaped, "{3}": mail.lower(), "{4}": mail[:7]}
        text = "".join(forms.get(part, part) for part in parts)
        slot = Slot(text)
        await session.check_output([slot])
        stream = session.open_stream(Scope.ASSISTANT)
        sent = ""
        for piece in cut(text, sizes):
            sent += await stream.feed(piece)
            assert slot.text.startswith(sent)
            assert len(stream.held) <= stream.look_back
        assert sent + await stream.finish() == slot.text

    asyncio.run(run())


@pytest.mark.parametrize(
    "text",
    [
        "Write to eve@example.com, or call +1 (415) 555-2671 now.",
        "Card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00.",
        "own@x.org0DE89own@x.org0DE890 stays, being the caller's own",
        "SSN 912-34-5678 from 203.0.113.7 and 2001:db8::1 end",
        "The address {mail} and \\{number} are yours; eve@example.com is not.",
    ],
)
async def test_a_reply_cut_at_every_position_is_the_same(text: str) -> None:
    session, (mail, number) = await open_with_own()
    text = text.format(mail=mail, number=number)
    slot = Slot(text)
    await session.check_output([slot])
    for position in range(len(text) + 1):
        parts = await feed_all(session.open_stream(Scope.ASSISTANT), [text[:position], text[position:]])
        assert "".join(parts) == slot.text


@pytest.mark.parametrize(
    ("value", "mask"),
    [
        ("eve@example.com", "[EMAIL]"),
        ("4111 1111 1111 1111", "[CARD]"),
        ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
        ("912-34-5678", "[US_SSN]"),
        ("+44 20 7946 0958", "[PHONE]"),
        ("203.0.113.7", "[IP]"),
        ("2001:db8::1", "[IP]"),
    ],
)
async def test_no_character_of_a_masked_value_is_ever_sent(value: str, mask: str) -> None:
    stream = pii().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    sent = await stream.feed("It is ")
    for char in value:
        sent += await stream.feed(char)
        assert "It is ".startswith(sent)
    sent += await stream.feed(", ok")
    assert (sent + await stream.finish()) == f"It is {mask}, ok"


async def test_plain_words_leave_as_soon_as_they_end() -> None:
    session, _ = await open_with_own()
    stream = session.open_stream(Scope.ASSISTANT)
    text = "Paris is the capital of France (since 987), see [the guide](x) & more; 12 people say so.\n"
    sent = ""
    for position, char in enumerate(text, start=1):
        sent += await stream.feed(char)
        last_word = len(text[:position]) - len(text[:position].rstrip("abcdefghijklmnopqrstuvwxyzFP0123456789 ,.()[-&"))
        assert position - len(sent) <= last_word
    assert sent == text[: len(sent)]
    assert len(text) - len(sent) <= 1


async def test_tokens_of_a_clean_reply_lag_by_one_word_at_most() -> None:
    stream = pii().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    tokens = ["The", " quick", " brown", " fox", " jumps", ".", " It", " is", " fast"]
    sent = [await stream.feed(token) for token in tokens]
    assert sent == ["", "The ", "quick ", "brown ", "fox ", "", "jumps. ", "It ", "is "]
    assert await stream.finish() == "fast"


@pytest.mark.parametrize("unit", ["7", "a", "1 ", "a.", "ab@", "x@y.", "DE89 ", "(", "+1 ", "[", "\\", "::", "é", "日"])
async def test_an_endless_run_is_held_no_longer_than_the_look_back(unit: str) -> None:
    session, _ = await open_with_own()
    stream = session.open_stream(Scope.ASSISTANT)
    text = unit * (4_000 // len(unit))
    sent = ""
    for piece in cut(text, [16]):
        sent += await stream.feed(piece)
        assert len(stream.held) <= stream.look_back
    assert sent + await stream.finish() == text


async def test_scripts_without_spaces_are_not_held_back() -> None:
    stream = pii().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    assert await stream.feed("会議は三月に開かれました") == "会議は三月に開かれました"


async def test_a_bracket_is_held_only_while_it_may_be_a_placeholder() -> None:
    session, (mail, _) = await open_with_own()
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed("see [") == "see "
    assert await stream.feed("1] ") == "[1] "
    assert await stream.feed(mail[:-1]) == ""
    assert await stream.feed("]!") == "own@x.org!"


async def test_two_choices_are_filtered_apart_and_counted_together() -> None:
    session = pii().open(GuardRequest("t"))
    one, two = session.open_stream(Scope.ASSISTANT), session.open_stream(Scope.ASSISTANT)
    assert await one.feed("eve@exam") == ""
    assert await two.feed("mallory@exam") == ""
    assert await one.feed("ple.com ") + await one.finish() == "[EMAIL] "
    assert await two.feed("ple.org ") + await two.finish() == "[EMAIL] "
    verdict = session.stream_verdict()
    assert (verdict.action, verdict.findings) == (Action.REDACT, {"EMAIL": 2})


async def test_block_stops_a_stream_before_the_first_character_of_the_value() -> None:
    stream = pii(action=Action.BLOCK, restore=False).open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    sent = await stream.feed("Write to eve@example")
    with pytest.raises(GuardBlocked) as caught:
        await feed_all(stream, [".com ", "now"])
    assert sent == "Write to "
    assert caught.value.verdict.findings == {"EMAIL": 1}


async def test_flag_lets_a_stream_through_and_counts() -> None:
    session = pii(action=Action.FLAG, restore=False).open(GuardRequest("t"))
    parts = await feed_all(session.open_stream(Scope.ASSISTANT), ["eve@exam", "ple.com a@b.co"])
    assert "".join(parts) == "eve@example.com a@b.co"
    assert session.stream_verdict().findings == {"EMAIL": 2}
