"""Every kind in a text that is still being written: no cut changes the answer, no part of a value leaves early, and no
text, however made, takes more than its length to scan."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from guardkit import Slot, pii
from hypothesis import given, settings
from hypothesis import strategies as st
from pii_numbers import ENTRIES, NAMES, first_word, right

from guards.pii.detectors import DETECTORS, KINDS
from guards.pii.detectors.numbers import latin1
from guards.spans.detector import CONTEXT
from guards.spans.fold import fold
from guards.spans.scanner import Scanner
from guards.types import GuardRequest, Scope

SCANNER = Scanner(DETECTORS)
GATES = [latin1(detector.gate) for detector in DETECTORS]
GUARD = pii()

OTHERS = [
    "mail eve@example.com now",
    "card 4111 1111 1111 1111 now",
    "SSN 912-34-5678, ITIN 912-74-5678 now",
    "from 203.0.113.7 or 2001:db8::1 now",
    "IBAN DE89 3704 0044 0532 0130 00 now",
    "call +44 20 7946 0958, or 020 7946 0958 (home), or (415) 555-2671 now",
    "416 60 039 office\n+46 (0)8 928 571 38 fax\n",
    "born on 2/8/1935 in Rome",
    "born on the 5th of March 1990, and",
    "née le 5 février 1980 à Lyon",
    "birthday: March 5, 1990.",
    "pay 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa now",
    "pay bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4, or 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed!",
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10\n",
    '{"mrz":"I<UTOD231458907<<<<<<<<<<<<<<<\\n7408122F1204159UTO<<<<<<<<<<<6"}',
    "postgres://u:p@ss@db.example.com:5432/x",
    "see https://ada:s3cret@example.com/x, or https://example.com:8080/y",
    "mac 00:1a:2b:3c:4d:5e or 001a.2b3c.4d5e now",
]
TEXTS = [
    *(
        f"x {first_word(entry)} {right(index, 1)[-1]}, and so on" if entry.words else f"x {right(index, 1)[-1]}, and"
        for index, entry in enumerate(ENTRIES)
    ),
    *OTHERS,
]


def whole(text: str) -> str:
    slot = Slot(text, scope=Scope.ASSISTANT)
    asyncio.run(GUARD.open(GuardRequest("t")).check_output([slot]))
    return slot.text


async def streamed(pieces: list[str]) -> Iterator[str]:
    stream = GUARD.open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    return iter([*[await stream.feed(piece) for piece in pieces], await stream.finish()])


@pytest.mark.parametrize("text", TEXTS, ids=[*NAMES, *(f"other-{n}" for n in range(len(OTHERS)))])
def test_a_text_cut_anywhere_or_fed_by_the_character_gives_the_whole_texts_answer(text: str) -> None:
    expected = whole(text)
    assert expected != text

    async def run() -> None:
        for cut in range(len(text) + 1):
            assert "".join(await streamed([text[:cut], text[cut:]])) == expected
        sent = ""
        for piece in await streamed(list(text)):
            sent += piece
            assert expected.startswith(sent)
        assert sent == expected

    asyncio.run(run())


def test_the_tail_holds_every_beginning_of_a_value() -> None:
    for text in TEXTS:
        for span in SCANNER.spans(fold(text)):
            for cut in range(span.start + 1, span.end + 1):
                folded = fold(text[:cut])
                lowest = max(len(folded.rstrip(span.detector.tail_bytes)), cut - span.detector.longest_tail)
                held = span.detector.tail.search(folded, lowest)
                assert held is not None, text
                assert held.start() <= span.start, text


# fmt: off
PIECES = (
    "nhs ", "NHS", "passport ", "Passport no. ", "dni", "account ", "tax id ", "sort code ", "born ", "dob: ", "card ",
    "iban", "medicare ", "id card ", "943 476 5919", "9434765919", "12345678Z", "12345678", "Z", "AB", " 12 34 56 C",
    "RSSMRA85T10A562S", "RSS MRA ", "85T10 A562S", "529.982.247-25", "529.982.", "247", "-25", "850709-9805", "-9805",
    "756.", "1234.5678.97", "20-00-00", "-00", "55779911", "A123456(3)", "(3)", "A123456", "S1234567D", "1EG4-TE5-",
    "MK73", "00:1a:2b:3c:4d:5e", "00:1a:", "001a.2b3c.4d5e", "0x", "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "bc1q",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "<<", "<", "\\n", "\n",
    "https://", "ada:s3cret@", "a:b", "@", "/", "host", "2/8/1935", "5 March 1990", "March ", "5th of ", "1990", " de ",
    " ", "  ", ".", "-", ",", "(", ")", "+", "1", "12", "123", "1234", "x", "é", "日", "😀", "_", "_1", "office",
    " fax",
    "call me at ", "phone: ", "4111 1111 1111 1111", "078-05-1120", "020 7946 0958", "DE89 3704 0044 0532 0130 00",
)
# fmt: on


@settings(deadline=None, max_examples=150)
@given(
    parts=st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=16),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_no_cut_of_any_text_changes_what_is_sent(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    pieces, start = [], 0
    while start < len(text):
        for size in sizes:
            pieces.append(text[start : start + size])
            start += size
    expected, sent = whole(text), ""
    for piece in asyncio.run(streamed(pieces)):
        sent += piece
        assert expected.startswith(sent)
    assert sent == expected


@settings(deadline=None, max_examples=60)
@given(parts=st.lists(st.sampled_from(PIECES), min_size=4, max_size=30), before=st.sampled_from(["", "x ", "7 "]))
def test_a_gate_is_open_wherever_its_detector_finds_something(parts: list[str], before: str) -> None:
    """Else a value would be found only where the rest of the text happens to open the gate."""
    folded = fold(before + "".join(parts))
    for detector, gate in zip(DETECTORS, GATES, strict=True):
        for begin in detector.starts(folded, 0):
            end = detector.end(folded, begin)
            assert end is None or gate.search(folded[max(0, begin - CONTEXT - 2) : end + 2]), detector.kind


def test_a_gate_is_open_for_a_value_alone() -> None:
    for text in TEXTS:
        for span in SCANNER.spans(fold(text)):
            gate = GATES[DETECTORS.index(span.detector)]
            assert gate.search(fold(text)[max(0, span.start - CONTEXT - 2) : span.end + 2]), text


# fmt: off
HOSTILE = (
    "7", "1 ", "12-", "a1", "A1 ", "AB 12 ", "nhs 943 476 591", "passport A1", "passport ", "card 4111 ", "+1 ",
    "+1 4155552671 ", "<<", "<", "P<A", "://a:b@", "://a:", "://", "x:", "1.", "(", ") ", "born 1/2/1990 ", "born ",
    "1 Jan 19", "12:34:", "00:11:22:33:44:55:", "call me at 1 2 3 4 5 6 7 8 9 ", "tel 01 23 45 67 ", "0171 1234567 ",
    "4111 1111 1111 1112 ", "12.345.678-", "@", "a@", "a.", "DE89 ", "DE8937040044", "é", "日", "account 1-2", "::",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb ", "bc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq ", "12345678 9 ", "AAAAAA99",
    "RSS MRA ", ":a", "\\n", "555-0199 home ", "1 office ", "_1", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed ",
)
# fmt: on


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_text_made_to_hurt_is_scanned_in_time_that_grows_with_its_length(unit: str) -> None:
    def taken(size: int) -> float:
        folded = fold((unit * (size // len(unit) + 1))[:size])
        started = time.process_time()
        for _ in SCANNER.spans(folded):
            pass
        SCANNER.undecided(folded, 0)
        return time.process_time() - started

    taken(1_000)  # the automata are built as texts need them
    short, long = taken(2_000), min(taken(8_000), taken(8_000))
    assert long < max(0.1, 10 * short)  # four times the length: a square would be 16


def test_there_are_many_kinds_and_none_is_held_for_long() -> None:
    assert len(KINDS) > 100
    assert max(detector.longest_tail for detector in DETECTORS) <= 320
