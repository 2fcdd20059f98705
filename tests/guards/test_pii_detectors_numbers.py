"""Identity, tax, bank and device numbers of all tables: found in any writing, left alone when wrong or unnamed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pii_numbers import ENTRIES, NAMES, STRONG, first_word, has_check, right, wrong

from guards.pii.detectors import DETECTORS
from guards.spans.fold import fold
from guards.spans.scanner import Scanner

SCANNER = Scanner(DETECTORS)
ALONE_TOO = {entry.kind for entry in ENTRIES if entry.words is None}


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in SCANNER.spans(fold(text))]


def camel(word: str) -> str:
    first, *rest = word.split(" ")
    return first.lower() + "".join(each.capitalize() for each in rest)


WITH_WORD: tuple[Callable[[str, str], str], ...] = (
    lambda word, value: f"{word}: {value}",
    lambda word, value: f"{word} {value}",
    lambda word, value: f"The {word} is {value}.",
    lambda word, value: f"My {word} number is {value}, thanks",
    lambda word, value: f"{word} no. {value}",
    lambda word, value: f'{{"{word.replace(" ", "_")}": "{value}", "n": 1}}',
    lambda word, value: f'{{"{camel(word)}":"{value}"}}',
    lambda word, value: f'{{"{camel(word)}Number":"{value}"}}',
    lambda word, value: f"{word.upper()} {value}",
    lambda word, value: f"- **{word}:** {value}\n- next",
    lambda word, value: f"({word} {value})",
    lambda word, value: f"{word}\n{value}\n",
    lambda word, value: f"{word} = '{value}'",
    lambda word, value: f"| {word} | {value} |",
    lambda word, value: f"{word}:\t{value};",
    lambda word, value: f"我的{word}：{value}。",
    lambda word, value: f"<td>{word}</td>{value}".replace("</td>", " "),
)
ALONE: tuple[Callable[[str], str], ...] = (
    lambda value: value,
    lambda value: f"It is {value}.",
    lambda value: f"It is {value}, thanks",
    lambda value: f"({value})",
    lambda value: f"'{value}'",
    lambda value: f'{{"id": "{value}", "n": 1}}',
    lambda value: f"id={value}&x=y",
    lambda value: f"- {value}\n- next",
    lambda value: f"**{value}**",
    lambda value: f"`{value}`",
    lambda value: f"| a | {value} |",
    lambda value: f"Is it {value}?",
    lambda value: f"<td>{value}</td>",
    lambda value: f"我的号码是{value}。",
    lambda value: f"😀{value}😀",
    lambda value: f"see {value}; more",
)


@pytest.mark.parametrize("index", range(len(ENTRIES)), ids=NAMES)
def test_a_right_number_is_found_in_every_writing(index: int) -> None:
    entry = ENTRIES[index]
    kinds = set()
    for value in right(index):
        texts = [write(value) for write in ALONE]
        if entry.words:
            texts = [write(first_word(entry), value) for write in WITH_WORD]
        for text in texts:
            spans = found(text)
            assert [written for _, written in spans] == [value], text
            kinds.add(spans[0][0])
    assert entry.kind in kinds  # some numbers are right in two countries


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("EMAIL", "ada.lovelace@example.co.uk"),
        ("CARD", "4111 1111 1111 1111"),
        ("CARD", "5555555555554444"),
        ("IBAN", "DE89 3704 0044 0532 0130 00"),
        ("IBAN", "GB82WEST12345698765432"),
        ("US_SSN", "078-05-1120"),
        ("US_ITIN", "912-74-5678"),
        ("IP", "203.0.113.7"),
        ("IP", "2001:db8::8a2e:370:7334"),
        ("PHONE", "+14155552671"),
        ("PHONE", "(415) 555-2671"),
        ("MAC", "00:1a:2b:3c:4d:5e"),
        ("MAC", "00-1A-2B-3C-4D-5E"),
        ("CRYPTO_ADDRESS", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ],
)
def test_a_value_that_stands_for_itself_is_found_in_every_writing(kind: str, value: str) -> None:
    for write in ALONE:
        assert found(write(value)) == [(kind, value)], write(value)


@pytest.mark.parametrize(
    "index", [i for i, e in enumerate(STRONG) if has_check(e) and wrong(i)], ids=lambda i: NAMES[i]
)
def test_a_wrong_check_digit_is_no_such_number(index: int) -> None:
    entry = ENTRIES[index]
    values = wrong(index)
    assert values
    for value in values:
        texts = [write(value) for write in ALONE]
        if entry.words:
            texts = [write(first_word(entry), value) for write in WITH_WORD]
        for text in texts:
            assert entry.kind not in [kind for kind, _ in found(text)], text


@pytest.mark.parametrize("index", [i for i, e in enumerate(ENTRIES) if e.kind not in ALONE_TOO], ids=lambda i: NAMES[i])
def test_a_number_that_needs_a_word_is_nothing_without_one(index: int) -> None:
    entry = ENTRIES[index]
    word = first_word(entry)
    for value in right(index, 1):
        for text in (
            *(write(value) for write in ALONE),
            f"x{word}y {value}",  # a part of a longer word
            f"{word} {'and so on ' * 6}{value}",  # too far away
            f"[{entry.kind}_1_k7] {value}",  # a placeholder is no word
            f"{value} {word}",  # behind
        ):
            assert entry.kind not in [kind for kind, _ in found(text)], text


def test_a_number_inside_of_something_longer_is_none() -> None:
    for index, entry in enumerate(ENTRIES):
        lead = f"{first_word(entry)}: " if entry.words else ""
        for value in right(index, 1):
            for text in (f"q{value}", f"{value}q7", f"_{value}", f"{value}_1", f"é{value}"):
                assert (entry.kind, value) not in found(lead + text), lead + text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        # Specimens that issuers and standards print themselves: they show that the sums are right.
        ("UK_NHS", "NHS number 943 476 5919", "943 476 5919"),
        ("IT_FISCAL_CODE", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("ES_DNI", "12345678Z", "12345678Z"),
        ("ES_NIE", "X1234567L", "X1234567L"),
        ("ES_INSURANCE", "Seguridad Social 281234567840", "281234567840"),
        ("DE_INSURANCE", "Rentenversicherungsnummer 65 170839 J 003", "65 170839 J 003"),
        ("DE_INSURANCE", "Versicherungsnummer: 15 070649 C 103", "15 070649 C 103"),
        ("DE_ID_CARD", "Personalausweis T220001293", "T220001293"),
        ("RU_SNILS", "112-233-445 95", "112-233-445 95"),
        ("HU_TAJ", "TAJ 111 111 110", "111 111 110"),
        ("PL_PESEL", "PESEL 44051401359", "44051401359"),
        ("IS_KENNITALA", "kennitala 120174-3399", "120174-3399"),
        ("NL_BSN", "BSN 111222333", "111222333"),
        ("US_NPI", "NPI 1234567893", "1234567893"),
        ("US_DEA", "DEA AB1234563", "AB1234563"),
        ("US_MEDICARE", "1EG4-TE5-MK73", "1EG4-TE5-MK73"),
        ("US_ROUTING_NUMBER", "routing number 021000021", "021000021"),
        ("BR_CPF", "529.982.247-25", "529.982.247-25"),
        ("MX_CLABE", "CLABE 032180000118359719", "032180000118359719"),
        ("UY_CI", "1.234.567-2", "1.234.567-2"),
        ("CN_RESIDENT_ID", "11010519491231002X", "11010519491231002X"),
        ("TW_ID", "national id A123456789", "A123456789"),
        ("HK_ID", "A123456(3)", "A123456(3)"),
        ("SG_NRIC", "S1234567D", "S1234567D"),
        ("AU_MEDICARE", "Medicare 2123 45670 1", "2123 45670 1"),
        ("NZ_NHI", "NHI ZZZ0016", "ZZZ0016"),
        ("NZ_NHI", "NHI ZBN77VL", "ZBN77VL"),
        ("VIN", "VIN 1M8GDM9AXKP042788", "1M8GDM9AXKP042788"),
        ("IMEI", "IMEI 490154203237518", "490154203237518"),
        ("BIC", "BIC: DEUTDEFF500", "DEUTDEFF500"),
        ("UK_SORT_CODE", "sort code 20-00-00", "20-00-00"),
        ("PASSPORT", "Reisepass Nr. C01X00T47", "C01X00T47"),
        ("PASSPORT", "passport (US): 925665416", "925665416"),
        ("DRIVER_LICENCE", "driver’s license number is 2270-66-1551", "2270-66-1551"),
        ("UK_DRIVING_LICENCE", "MORGA657054SM9IJ", "MORGA657054SM9IJ"),
    ],
)
def test_published_specimens_are_found(kind: str, text: str, value: str) -> None:
    assert found(text) == [(kind, value)]
