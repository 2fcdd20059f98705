"""What the pii detectors find, with exact bounds, and what they leave alone."""

from __future__ import annotations

import pytest

from guards.pii.detectors import DETECTORS
from guards.spans.fold import fold
from guards.spans.scanner import Scanner

SCANNER = Scanner(DETECTORS)


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in SCANNER.spans(fold(text))]


EMAIL = [
    ("write to ada@example.com today", "ada@example.com"),
    ("ada.lovelace+news@mail.example.co.uk", "ada.lovelace+news@mail.example.co.uk"),
    ("Ask ada@example.com.", "ada@example.com"),
    ("Is it ada@example.com?", "ada@example.com"),
    ("ada@example.com, bob", "ada@example.com"),
    ("Ada <ada@example.com>", "ada@example.com"),
    ("[mail](mailto:ada@example.com)", "ada@example.com"),
    ("mailto:ada@example.com?subject=hi", "ada@example.com"),
    ('{"email":"ada@example.com","n":1}', "ada@example.com"),
    ("send('ada@example.com')", "ada@example.com"),
    ("`ada@example.com`", "ada@example.com"),
    ("**ada@example.com**", "ada@example.com"),
    ("| ada@example.com |", "ada@example.com"),
    ("to=ada@example.com&x=1", "ada@example.com"),
    ("😀👍🏽 ada@example.com 😀", "ada@example.com"),
    ("😀ada@example.com😀", "ada@example.com"),
    ("☎️ada@example.com", "ada@example.com"),
    ("o'brien@example.com", "o'brien@example.com"),
    ("jörg@müller.de", "jörg@müller.de"),
    ("jo\u0308rg@mu\u0308ller.de", "jo\u0308rg@mu\u0308ller.de"),
    ("иван@почта.рф", "иван@почта.рф"),
    ("ada@例え.jp", "ada@例え.jp"),
    ("連絡先はada@example.comです。", "ada@example.com"),
    ("ada@xn--e1afmkfd.xn--p1ai", "ada@xn--e1afmkfd.xn--p1ai"),
    ("ada＠example．com", "ada＠example．com"),
    ("ADA@EXAMPLE.COM", "ADA@EXAMPLE.COM"),
    ("-- ada@example.com --", "ada@example.com"),
    ("a@b.co", "a@b.co"),
    ("x" * 100 + "@example.com", "x" * 64 + "@example.com"),
    ("a@b@example.com", "b@example.com"),
]
PHONE = [
    ("+14155552671", "+14155552671"),
    ("+1 (415) 555-2671", "+1 (415) 555-2671"),
    ("+44 20 7946 0958", "+44 20 7946 0958"),
    ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958"),
    ("+49 171 1234567.", "+49 171 1234567"),
    ("tel:+33-1-23-45-67-89", "+33-1-23-45-67-89"),
    ("+91 98765 43210", "+91 98765 43210"),
    ("0044 20 7946 0958", "0044 20 7946 0958"),
    ("(415) 555-2671", "(415) 555-2671"),
    ("415-555-2671", "415-555-2671"),
    ("415.555.2671", "415.555.2671"),
    ("1-800-555-0199", "1-800-555-0199"),
    ("(555) 123-4567 x22", "(555) 123-4567"),
    ("020 7946 0958", "020 7946 0958"),
    ("01 23 45 67 89", "01 23 45 67 89"),
    ("0171/1234567", "0171/1234567"),
    ("call me at 4155552671", "4155552671"),
    ("phone: 555-0199", "555-0199"),
    ("Téléphone : 06 12 34 56 78", "06 12 34 56 78"),
    ("415\u00a0555\u20112671", "415\u00a0555\u20112671"),
    ("電話は+81 3-1234-5678です", "+81 3-1234-5678"),
]
CARD = [
    ("4111111111111111", "4111111111111111"),
    ("card 4111 1111 1111 1111.", "4111 1111 1111 1111"),
    ("4111-1111-1111-1111", "4111-1111-1111-1111"),
    ("4111 1111 1111 1111 123", "4111 1111 1111 1111"),
    ("378282246310005", "378282246310005"),
    ("3782 822463 10005", "3782 822463 10005"),
    ("5555-5555-5555-4444", "5555-5555-5555-4444"),
    ("2223000048400011", "2223000048400011"),
    ("30569309025904", "30569309025904"),
    ("6011111111111117", "6011111111111117"),
    ("3530 1113 3330 0000", "3530 1113 3330 0000"),
    ("x 1 4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("٤١١١ ١١١١ ١١١١ ١١١١", "٤١١١ ١١١١ ١١١١ ١١١١"),
    ("カード4111111111111111です", "4111111111111111"),
]
IBAN = [
    ("DE89370400440532013000", "DE89370400440532013000"),
    ("DE89 3704 0044 0532 0130 00, thanks", "DE89 3704 0044 0532 0130 00"),
    ("IBAN: GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 32"),
    ("gb82west12345698765432", "gb82west12345698765432"),
    ("FR14 2004 1010 0505 0001 3M02 606", "FR14 2004 1010 0505 0001 3M02 606"),
    ("NO93 8601 1117 947 OK", "NO93 8601 1117 947"),
    ("MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001S"),
]
US_SSN = [
    ("078-05-1120", "078-05-1120"),
    ("SSN 912-34-5678.", "912-34-5678"),
    ("ssn: 123456789", "123456789"),
    ("social security number 123 45 6789", "123 45 6789"),
    ('"ssn":"987-65-4321"', "987-65-4321"),
]
IP = [
    ("from 203.0.113.7 at noon", "203.0.113.7"),
    ("http://10.0.0.1:8080/x", "10.0.0.1"),
    ("192.168.1.0/24", "192.168.1.0"),
    ("It was 203.0.113.7.", "203.0.113.7"),
    ("2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
    ("[fe80::1]:443", "fe80::1"),
    ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
]
POSITIVE = [
    (kind, text, value)
    for kind, cases in (
        ("EMAIL", EMAIL),
        ("PHONE", PHONE),
        ("CARD", CARD),
        ("IBAN", IBAN),
        ("US_SSN", US_SSN),
        ("IP", IP),
    )
    for text, value in cases
]

BENIGN = [
    "public policy m2, S3, EKS, C4 and K8s",
    "version 1.2.3.4, v10.0.0.1, release 2.0.0.1",
    "pip install package==1.2.3.4",
    "section 1.2.3.4 of the annex",
    "Chrome/120.0.0.0 Safari/537.36",
    "listen on 127.0.0.1, 0.0.0.0 or ::1, mask 255.255.255.0",
    "OID 1.3.6.1.4.1.311, build 1.2.3.4-beta",
    "999.1.2.3 and 256.256.256.256",
    "550e8400-e29b-41d4-a716-446655440000",
    "123e4567-0123-4567-8901-123456789012",
    "2024-01-15 10:30:00, 15/01/2024, 15.01.24, 01-15-2024",
    "20240115103000 1700000000 1700000000123 1700000000123456789",
    "call us on 2024-01-15 or 01/02/2024",
    "$1,234,567.89, 1 234 567,89 EUR, 12.50, 3.14159265358979323",
    "0.4111111111111111 and 1.4111111111111111",
    "ISBN 978-0-306-40615-7, ISBN 0-306-40615-2, ISSN 0317-8471",
    "order 0123-456789, invoice 2024-00017, order 10045567823",
    "d3b07384d113edec49eaa6238ad5ff00",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0MTExMTExMTExMTExMTEx",
    "std::vector<int> a::b ab::c1 Foo::bar()",
    "00:1a:2b:3c:4d at 12:30:45",
    "@types/node@20.1.0 and react@18.2.0, left-pad@1.3.0",
    "@app.route('/x') def f(self): return a @ b",
    "user@localhost",
    "for i in range(1000000, 2000000): x[i] = 0x7fffffff",
    "4111 1111 1111 1112 fails its check digit",
    "1234 5678 9012 3456 and 1111-2222-3333-4444",
    "GB82 WEST 1234 5698 7654 33 fails its check digits",
    "IE11 does not support it, GB16 of memory",
    "000-12-3456, 666-12-3456, 123-00-4567, 123-45-0000",
    "100 20 3000 and 250 10 1500",
    "lottery 1 2 3 4 5 6 7 8 9 10 11 12 13",
    "coordinates 52.520008, 13.404954 and 40.7128 -74.0060",
    "4,294,967,296 bytes; 18446744073709551615 at most",
    "7" * 10_000,
    "1.2.3.4.5.6.7.8",
    "\ud800 lone surrogate",
    "",
]


@pytest.mark.parametrize(("kind", "text", "value"), POSITIVE)
def test_a_value_is_found_with_its_exact_bounds(kind: str, text: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize("text", BENIGN)
def test_what_is_no_personal_data_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_many_kinds_in_one_text_come_in_order() -> None:
    text = "a@b.co +14155552671 4111111111111111 DE89370400440532013000 078-05-1120 203.0.113.7"
    assert [kind for kind, _ in found(text)] == ["EMAIL", "PHONE", "CARD", "IBAN", "US_SSN", "IP"]


def test_neighbours_do_not_hide_each_other() -> None:
    text = (
        "a@b.co;c@d.co 415-555-2671\n415-555-2672/415-555-2673 4111111111111111,5555555555554444 "
        "4111111111111111.5555555555554444 +14155552671-+14155552672 203.0.113.7-203.0.113.8"
    )
    assert [value for _, value in found(text)] == [
        "a@b.co",
        "c@d.co",
        "415-555-2671",
        "415-555-2672",
        "415-555-2673",
        "4111111111111111",
        "5555555555554444",
        "4111111111111111",
        "5555555555554444",
        "+14155552671",
        "+14155552672",
        "203.0.113.7",
        "203.0.113.8",
    ]


def test_an_address_of_digits_is_one_email_and_no_phone() -> None:
    assert found("415-555-2671@example.com") == [("EMAIL", "415-555-2671@example.com")]


def test_only_the_asked_detectors_run() -> None:
    only_cards = Scanner([detector for detector in DETECTORS if detector.kind == "CARD"])
    text = "a@b.co 4111111111111111"
    assert [span.kind for span in only_cards.spans(fold(text))] == ["CARD"]


@pytest.mark.parametrize("text", ["é", "😀", "日本語", "a\u0301", "\ud800", "٣", "＠", "\U0001d7d8"])
def test_folding_keeps_one_byte_per_character(text: str) -> None:
    assert len(fold(text * 3 + "x")) == len(text * 3 + "x")
