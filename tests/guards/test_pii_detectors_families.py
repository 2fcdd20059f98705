"""Values that are no plain numbers: birth dates, coin addresses, machine readable zones, credentials, devices; and the
writings of telephone numbers, cards and social security numbers that need a word."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from guards.pii.detectors import DETECTORS
from guards.pii.detectors.keccak import keccak256
from guards.pii.detectors.numbering import exists_abroad, exists_in, length_fits
from guards.spans.fold import fold
from guards.spans.scanner import Scanner

SCANNER = Scanner(DETECTORS)
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in SCANNER.spans(fold(text))]


BIRTH = [
    ("She was born on 2/8/1935.", "2/8/1935"),
    ("date of birth: 1985-03-12", "1985-03-12"),
    ("DOB 03/12/85", "03/12/85"),
    ('{"dateOfBirth": "1985-03-12"}', "1985-03-12"),
    ('{"date_of_birth":"12.03.1985"}', "12.03.1985"),
    ("D.O.B.: 12-03-1985", "12-03-1985"),
    ("born March 5, 1990 in Leeds", "March 5, 1990"),
    ("born on the 5th of March 1990", "5th of March 1990"),
    ("Birthday: 5 Mar 1990", "5 Mar 1990"),
    ("birthdate=19850312", "19850312"),
    ("geboren am 12. März 1985", "12. März 1985"),
    ("Geburtsdatum: 12.03.1985", "12.03.1985"),
    ("née le 5 février 1980 à Lyon", "5 février 1980"),
    ("né le 5/2/1980", "5/2/1980"),
    ("fecha de nacimiento: 5 de marzo de 1990", "5 de marzo de 1990"),
    ("nato il 5 marzo 1990", "5 marzo 1990"),
    ("Please tell me your date of birth. It's 6/24/1991", "6/24/1991"),
]
NO_BIRTH = [
    "It's like that since 12/1/1981",
    "born in 1977",
    "born 3 times, 1985 metres up",
    "newborn 12/03/1985",
    "stubborn 12/03/1985",
    "airborne 12/03/1985",
    "born to run, released on August 25 and praised in so many reviews 12/03/1985",
    "born on 45/13/1985",
    "born on 1985-13-45",
    "born on 2/8/2999",
    "born on 2/8/2088",
    "version born: 1.2.1985.3",
    "dob 12/03/19856",
    "[DATE_OF_BIRTH_1_k7] 12/03/1985",
    "12/03/1985 was when she was born",
    "[DATE_OF_BIRTH] 5",
    "deadline: 2024-01-15",
]
COINS = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
    "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
    "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L",
    "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H",
]
NO_COINS = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed",  # one letter in the wrong case
    "0x0000000000000000000000000000000000000000",
    "0xdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed00",
    "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    "x1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
    "bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8",
    "ThisIsAVeryLongIdentifierInSomeJavaProgram",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "4" + "A" * 94,
    "7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJeK",  # 32 bytes of base58, but nobody says Solana
]
MRZ = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    "I<UTOD231458907<<<<<<<<<<<<<<<",
    "7408122F1204159UTO<<<<<<<<<<<6",
    "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
    "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<",
    "D231458907UTO7408122F1204159<<<<<<<6",
]
NO_MRZ = [
    "L898902C37UTO7408122F1204159ZE184226B<<<<<10",
    "L898902C36UTO7408123F1204159ZE184226B<<<<<10",
    "7408122F1204158UTO<<<<<<<<<<<6",
    "I<UTOD231458908<<<<<<<<<<<<<<<",
    "P<UTOERIKSSON<ANNA<MARIA<<<<<<<<<<<<<<<<<<<<".replace("<<", "<A"),
    "<" * 44,
    "<" * 30,
    "<<<<<<< HEAD",
    "A" * 44,
    "1" * 30,
    "x << 30 | y << 2",
    "std::cout<<A<<B<<C<<D<<E<<F<<G<<H<<I<<J<<K<<L",
    "cat <<EOF",
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<",
    "xP<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
]
CREDENTIALS = [
    ("https://ada:s3cret@example.com/x", "ada:s3cret"),
    ("postgres://u:p@ss@db.example.com:5432/x", "u:p@ss"),
    ("postgresql+asyncpg://app:hunter2@10.0.0.5/db", "app:hunter2"),
    ("redis://:hunter2@cache:6379/0", ":hunter2"),
    ("git clone https://ada:ghp_x@github.com/a/b.git", "ada:ghp_x"),
    ('{"url":"https://ada:s3cret@example.com"}', "ada:s3cret"),
    ("see <https://ada:s3cret@example.com>", "ada:s3cret"),
    ("amqp://guest:guest@localhost", "guest:guest"),
    ("https://ada:s3%40cret@[2001:db8::1]/", "ada:s3%40cret"),
    ("mongodb+srv://ada:s3cret@cluster0.example.net/?x=1", "ada:s3cret"),
    ("ftp://ada.l:a-b_c.d~e@host", "ada.l:a-b_c.d~e"),
    ("https://ada:päss@example.com", "ada:päss"),
    ("http://ada:a:b@host", "ada:a:b"),
    ("HTTPS://ADA:S3CRET@EXAMPLE.COM", "ADA:S3CRET"),
    ("sftp://ada:1234@host,", "ada:1234"),
]
NO_CREDENTIALS = [
    "https://example.com:8080/a@b",
    "https://example.com/a:b@c",
    "https://example.com?x=a:b@c",
    "https://ada@example.com/x".replace("example.com", "host"),
    "https://${USER}:${PASS}@host",
    "https://user:$PASS@host",
    "https://user:***@host",
    "https://user:xxxx@host",
    "https://<user>:<pass>@host",
    "https://{user}:{password}@host",
    "a://b",
    "https://host:443",
    "note: see c://d and e:f",
    "user:pass@",
    "https://user:pass@ host",
]
MACS = [
    ("00:1a:2b:3c:4d:5e at 12:30:45", "00:1a:2b:3c:4d:5e"),
    ("MAC 00-1A-2B-3C-4D-5E.", "00-1A-2B-3C-4D-5E"),
    ("001a.2b3c.4d5e", "001a.2b3c.4d5e"),
    ("ether aa:bb:cc:dd:ee:ff txqueuelen", "aa:bb:cc:dd:ee:ff"),
    ('"mac":"AA:BB:CC:00:11:22"', "AA:BB:CC:00:11:22"),
    ("(12:34:56:78:9a:bc)", "12:34:56:78:9a:bc"),
    ("mac=12:34:56:78:90:12", "12:34:56:78:90:12"),
]
NO_MACS = [
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
    "12-05-21-10-30-00",
    "00:1a:2b:3c:4d",
    "00:1a:2b:3c:4d:5e:6f",
    "SHA256:00:1a:2b:3c:4d:5e:6f:70:81",
    "x00:1a:2b:3c:4d:5e",
    "00:1a:2b:3c:4d:5g",
    "1234.5678.9012",
    "00:1a-2b:3c-4d:5e",
    "10:20:30:40",
    "add.face.cafe.beef",
    "00-1a-2b-3c-4d-5e-6f-70",
    "a:b:c:d:e:f",
    "12:30:45:10",
]
PHONES = [
    ("Phone:\n60-56-85-91\n\nE-mail:", "60-56-85-91"),
    ("Phone: 467 3395", "467 3395"),
    ("Fax: 9498777106", "9498777106"),
    ("Desk: +41 (0)96 471 07 95", "+41 (0)96 471 07 95"),
    ("They're not answering at 78 651 450", "78 651 450"),
    ("stop receiving messages to 699 956 915", "699 956 915"),
    ("Can someone call me on 9472 7916? I have questions", "9472 7916"),
    ("416 60 039 office\n", "416 60 039"),
    ("(37) 788-063-Office\\,07700 900 966-Fax", "(37) 788-063"),
    ("tel. 0490 75 40 81", "0490 75 40 81"),
    ("mobile (work): 083 564 9312", "083 564 9312"),
    ("WhatsApp +447700 900 916", "+447700 900 916"),
    ("Telefon 030 901820", "030 901820"),
    ('{"phoneNumber": "612345678"}', "612345678"),
    ("reach me at 345-899-3560x4587", "345-899-3560"),
    ("ring us on 01632 960 983", "01632 960 983"),
]
NO_PHONES = [
    "x = 3*y + 2718575*z",
    "Boston, MA 02110-1301, USA",
    "Copyright (c) 1997-2003 by the authors",
    "Phys. Rev. E 64, 016132 (2001)",
    "Phys. Rev. E 78, 046110 2008",
    "Amer. Math. Monthly 77, 259-264 1970",
    "doi.org/10.1016/0378-8733(89)90016-6",
    "00 01 02 03 04 05 06 07 08 09",
    "1970-01-01T00:00:02.12345678",
    "ValueError: expected 50331648 bytes, most recent call last",
    "we sold 2 500 000 cell phones",
    "/06/01/04/01/02/0008/",
    "call foo(1000000) then bar(2000000)",
    "telephone exchange of 1923, rebuilt 1954 and 1987",
    "phone sales rose from 1,250,000 to 1,750,000",
    "+1.5 and +35236450.6",
    "mobile devices: 45% in 2023, 52% in 2024",
    "order id 020 7946 0958 is late",
    "4155552671",
]
NAMED = [
    ("CARD", "card number 630427373398 is lost", "630427373398"),
    ("CARD", "my card 3598899323053410", "3598899323053410"),
    ("CARD", '{"cardNumber":"0604123456781"}', "0604123456781"),
    ("CARD", "Kreditkarte 501864667909", "501864667909"),
    ("US_ITIN", "ITIN 912-74-5678", "912-74-5678"),
    ("US_ITIN", "912-74-5678", "912-74-5678"),
    ("US_SSN", "taxpayer id 123 45 6789", "123 45 6789"),
    ("US_SSN", '{"customerSsn": "123456789"}', "123456789"),
    (
        "CRYPTO_ADDRESS",
        "Solana: 7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJeK",
        "7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJeK",
    ),
]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        *(("DATE_OF_BIRTH", text, value) for text, value in BIRTH),
        *(
            ("CRYPTO_ADDRESS", f"{lead}{value}{tail}", value)
            for value in COINS
            for lead, tail in (("", ""), ("to (", ")."))
        ),
        *(
            ("MRZ", f"{lead}{value}{tail}", value)
            for value in MRZ
            for lead, tail in (("", ""), ('"', '\\n"'), ("\\n", "\n"))
        ),
        *(("URL_CREDENTIALS", text, value) for text, value in CREDENTIALS),
        *(("MAC", text, value) for text, value in MACS),
        *(("PHONE", text, value) for text, value in PHONES),
        *NAMED,
    ],
)
def test_a_value_is_found_with_its_exact_bounds(kind: str, text: str, value: str) -> None:
    spans = found(text)
    assert (kind, value) in spans
    assert next(each for each in spans if each[0] == kind) == (kind, value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("DATE_OF_BIRTH", text) for text in NO_BIRTH),
        *(("CRYPTO_ADDRESS", text) for text in NO_COINS),
        *(("MRZ", text) for text in NO_MRZ),
        *(("URL_CREDENTIALS", text) for text in NO_CREDENTIALS),
        *(("MAC", text) for text in NO_MACS),
        *(("PHONE", text) for text in NO_PHONES),
        ("CARD", "3598899323053410"),
        ("CARD", "gift voucher 630427373398"),
        ("CARD", "pi is 4395065348745.5643764887869876"),
        ("CARD", "4031078400000.0"),
        ("US_SSN", "912-74-5678"),
        ("US_SSN", "123 45 6789"),
        ("US_SSN", "the lassn 123 45 6789"),
        ("US_SSN", "ssnx 123 45 6789"),
        ("CARD", "discard 3598899323053410"),
        ("CARD", "cardio 3598899323053410"),
        ("PASSPORT", "passport: x, trespassport 925665416"),
        ("IP", "ObjectIdentifier('2.5.29.27')"),
        ("IP", "OID 1.3.6.1"),
    ],
)
def test_a_look_alike_is_no_such_value(kind: str, text: str) -> None:
    assert kind not in [each for each, _ in found(text)]


def base58check(data: bytes) -> str:
    whole = data + sha256(sha256(data).digest()).digest()[:4]
    number, written = int.from_bytes(whole, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        written = BASE58[digit] + written
    return "1" * (len(whole) - len(whole.lstrip(b"\0"))) + written


def bech32(human: str, values: list[int], constant: int) -> str:
    def polymod(numbers: list[int]) -> int:
        checksum = 1
        for number in numbers:
            top = checksum >> 25
            checksum = (checksum & 0x1FFFFFF) << 5 ^ number
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                checksum ^= generator * (top >> bit & 1)
        return checksum

    lead = [ord(char) >> 5 for char in human] + [0] + [ord(char) & 31 for char in human]
    check = polymod([*lead, *values, 0, 0, 0, 0, 0, 0]) ^ constant
    return f"{human}1" + "".join(BECH32[value] for value in [*values, *(check >> 5 * (5 - i) & 31 for i in range(6))])


def test_addresses_made_at_random_are_found_and_damaged_ones_are_not() -> None:
    chance = random.Random(5)
    for version in (0x00, 0x05, 0x30, 0x32, 0x1E, 0x4C, 0x41):
        address = base58check(bytes([version]) + chance.randbytes(20))
        assert found(f"pay {address} now") == [("CRYPTO_ADDRESS", address)]
        damaged = address[:-1] + ("2" if address[-1] != "2" else "3")
        assert found(f"pay {damaged} now") == []
    for human, constant, size in (
        ("bc", 1, 33),
        ("bc", 0x2BC830A3, 53),
        ("ltc", 1, 33),
        ("addr", 1, 92),
        ("cosmos", 1, 32),
    ):
        address = bech32(human, [chance.randrange(32) for _ in range(size)], constant)
        assert found(f"pay {address} now") == [("CRYPTO_ADDRESS", address)]
        assert found(f"pay {address[:-1]}{'q' if address[-1] != 'q' else 'p'} now") == []


def test_a_national_number_exists_with_and_without_its_trunk_prefix() -> None:
    assert exists_in("02079460958", ("GB",))
    assert exists_in("2079460958", ("GB",))
    assert exists_in("2079460958", ("FR", "GB"))
    assert not exists_in("02079460958", ("US",))
    assert not exists_in("0207946095", ("GB",))
    assert exists_abroad("442079460958")
    assert not exists_abroad("4499")
    assert length_fits("14155552671")
    assert not length_fits("1415555267")


def test_keccak_is_the_one_of_ethereum() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak256(b"a" * 135) != keccak256(b"a" * 136) != keccak256(b"a" * 137)
