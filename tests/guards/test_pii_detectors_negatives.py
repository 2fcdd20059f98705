"""Hard negatives: code, logs, figures and prose that look like personal data and are none: nothing may be found."""

from __future__ import annotations

import random
import uuid

import pytest

from guards.pii.detectors import DETECTORS
from guards.spans.fold import fold
from guards.spans.scanner import Scanner

SCANNER = Scanner(DETECTORS)


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in SCANNER.spans(fold(text))]


PROSE = """
The public policy on duplicate licences applies to m2, S3, EKS, C4 and K8s alike.
My passport to success was patience; the account manager, born in Leeds in 1977, agreed.
The business of the company is a sin; the pan is in the oven and the tin holds 24 biscuits.
He called the police on 3 May 2021 and again on 14 June, at 10:30 and 22:15.
Quarterly revenue rose 12.5% to $1,234,567,890 in Q3 2023, from 1 098 765 432 the year before.
The flight LH 1234 leaves gate B22 at 06:45 and lands at 09:10; the seat is 14C.
Room 101, floor 12, building 3B, 4th avenue, between 1234 and 1238.
Chapter 12, verse 3456, page 789 of 1024, section 1.2.3.4.
Swift language features and Swift code examples for iOS 17.2.
Kotlin, Swift and Objective-C run on iOS; SWIFT is also a school.
The medicare system covers 60,000,000 people and costs 800 billion.
Taj Mahal attracts 7 to 8 million visitors a year, 40,000 a day.
An ISBN is 978-3-16-148410-0 and an ISSN 2049-3630; a DOI is 10.1000/182.
Use model GPT-4-0613 or claude-3-5-sonnet-20241022 with 128000 tokens.
The game ended 21-17, 19-21, 21-12 after 1:45:30.
Add 250 g flour, 100 ml milk and 2 eggs; bake 45 minutes at 180 degrees.
The lottery numbers were 4 8 15 16 23 42 and the bonus 108.
Latitude 52.520008, longitude 13.404954; or 40.712776,-74.005974.
Call 911, 112 or 999 in an emergency, or 311 for the city.
The number pi is 3.141592653589793238462643383279502884197.
In 2019 2020 2021 2022 2023 there were 1200 1300 1400 1500 1600 cases.
Ask for id cards at the door; drivers with a licence may go on 2024-01-15.
The tax identification rules changed on 01/01/2023 and 31/12/2023.
The account was opened 2024-01-15; its balance is 500000 dollars.
The card game needs 52 cards; deal 13 to each of 4 players.
Social security reform, bill 1234, was passed 219-213 in 1935.
Patient people live 80 years; member states number 27; policy matters.
""".strip().splitlines()

CODE = """
git checkout d3b07384d113edec49eaa6238ad5ff00aabbccdd
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
md5 5d41402abc4b2a76b9719d911017c592, crc 0x7fffffff, 0xDEADBEEF
550e8400-e29b-41d4-a716-446655440000
f47ac10b-58cc-4372-a567-0e02b2c3d479
{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
if (n << 2 | m << 4) cout << a << b << endl;
for (int i = 0; i < 1000000; i++) sum += i * 31;
#define VERSION "1.2.3.4"
image: registry.example.com/app:1.2.3@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
npm install react@18.2.0 @types/node@20.1.0 left-pad@1.3.0
torch==2.1.0+cu118 numpy>=1.24.3,<2 black==23.12.1
"integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="
timestamp=1700000000 ts=1700000000123 ns=1700000000123456789
2024-01-15T10:30:00.123456Z INFO pid=12345 tid=139872345 took 123456 us
[2024-01-15 10:30:00,123] {"level":"info","request_id":"01HMB3X5Z8Q4W7E9R2T6Y1U3"}
127.0.0.1 - - [15/Jan/2024:10:30:00 +0000] "GET /a/b/12345678 HTTP/1.1" 200 1234567
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
SELECT * FROM t WHERE id IN (1234567, 2345678, 3456789) LIMIT 1000;
UPDATE orders SET n = 12345678 WHERE order_id = 98765432;
std::map<int, std::vector<std::pair<int, int>>> m; a::b::c d;
const re = /^[0-9]{3}-[0-9]{2}-[0-9]{4}$/;
color: #1a2b3c; background: rgba(12, 34, 56, 0.78); margin: -1px 0 10px 20px;
M150 0 L75 200 L225 200 Z M 10 10 H 90 V 90 H 10 L 10 10
<svg viewBox="0 0 1234 5678" width="100" height="200"/>
const PORTS = [8080, 8443, 9090, 3000, 5432, 6379, 27017];
arn:aws:s3:::bucket/key subnet-0a1b2c3d4e5f67890 ami-0abcdef1234567890
i-1234567890abcdef0 vol-049df61146c4d7901
0123456789abcdef0123456789abcdef
AAAAB3NzaC1yc2EAAAADAQABAAABAQC7vbqajDw4o6gJy8UtmIbkcpnkO3Kwc4qsEnSZp
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk
SKU AB123456C, part no. 12345678Z, model S1234567D, order X1234567L
serial 4111111111111112, batch 850709-98, lot 12.345.678
coupon SAVE2024NOW, voucher ABCDE1234F, booking ref XZ12345
ticket JIRA-12345, PR #123456, issue 98765, commit 1234567
git@example:team/repo
user@localhost root@web01
@decorator(a=1) def f(a @ b): return a @ b
E = mc^2; x = -b +- sqrt(b^2 - 4*a*c) / (2*a)
printf("%08.3f %5d", 1234.5678, 90123);
HTTP/1.1 429 Too Many Requests; Retry-After: 3600; Content-Length: 1234567
kernel: [12345.678901] usb 1-1.2: new high-speed USB device number 12
CPU: 98.7% MEM: 12345678 kB, load 1.23 4.56 7.89
16:30:00-17:45:00, 1h30m, PT1H30M, P3Y6M4DT12H30M5S
rows 1-1000 of 1234567; page 2/12346
EAN 4006381333931, UPC 036000291452
x = 1.234e-10 + 5.678E+12j
v1.2.3-rc.4+build.20240115, release 10.0.0.1, OID 1.3.6.1.4.1.311
00:00:00.000 --> 00:00:04.000
10.1145/3292500.3330701, arXiv:2301.12345v2, PMID 12345678
K1 = 0x5A827999, K2 = 0x6ED9EBA1
AA:BB, 12:34:56:78, ab-cd-ef, 1A-2B-3C
xn--e1afmkfd, C:\\\\Windows\\\\System32, /usr/lib/x86_64-linux-gnu
""".strip().splitlines()


@pytest.mark.parametrize("text", PROSE + CODE)
def test_nothing_is_found_in_a_harmless_line(text: str) -> None:
    assert found(text) == []


def test_nothing_is_found_in_all_of_them_together() -> None:
    """A word in one line must not make something of the figures in the next one."""
    lines = PROSE + CODE
    for seed in range(3):
        random.Random(seed).shuffle(lines)
        assert found("\n\n".join(lines)) == []


def test_random_uuids_and_hashes_hold_nothing() -> None:
    chance = random.Random(7)
    for _ in range(400):
        assert found(f"id {uuid.UUID(int=chance.getrandbits(128), version=4)} x") == []
        assert found(f"commit {chance.getrandbits(160):040x} and {chance.getrandbits(128):032x}") == []


def test_random_figures_without_a_word_are_hardly_ever_anything() -> None:
    """Order numbers, counts and amounts of every length. A card has no other sign than its first digits and a check
    digit, so of random numbers as long as cards one in fifty is taken for one."""
    chance = random.Random(11)
    wrong: dict[str, int] = {}
    for _ in range(300):
        for size in range(4, 21):
            for kind, _value in found(f"we had {chance.randrange(10 ** (size - 1), 10**size)} of them"):
                wrong[kind] = wrong.get(kind, 0) + 1
    assert wrong.pop("CARD", 0) <= 30  # of 1,500 as long as cards
    assert sum(wrong.values()) <= 2, wrong  # of 5,100


def test_random_codes_without_a_word_are_hardly_ever_anything() -> None:
    chance = random.Random(13)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    wrong: dict[str, int] = {}
    for _ in range(300):
        for size in range(6, 19):
            for kind, _value in found(f"use {''.join(chance.choices(letters, k=size))} here"):
                wrong[kind] = wrong.get(kind, 0) + 1
    assert sum(wrong.values()) <= 4, wrong  # of 3,900
