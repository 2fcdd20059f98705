"""Addresses of crypto currencies, where a checksum says that it is one.

| written | check |
|---|---|
| base58, 25 to 36 characters: Bitcoin, Litecoin, Dogecoin, Dash, Zcash, Tron, XRP | double SHA-256, 4 bytes |
| bech32 and bech32m: `bc1...`, `ltc1...`, `addr1...`, `cosmos1...` and all others | BCH code (BIP 173, BIP 350) |
| `0x` and 40 hexadecimal digits: Ethereum and its kin | EIP-55 if capitals and small letters are mixed |
| base58, 95 or 106 characters from `4` or `8`: Monero | Keccak-256, 4 bytes |
| base58 of 32 bytes: Solana | none: a word before it (Solana, Phantom) |
"""

from __future__ import annotations

import re
from hashlib import sha256

from guards.pii.detectors.keccak import keccak256
from guards.pii.detectors.words import near
from guards.spans.detector import Detector, starts_of

_LONGEST = 118
_BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DIGITS = {alphabet: {char: value for value, char in enumerate(alphabet)} for alphabet in (_BITCOIN, _RIPPLE)}
_BLOCK_BYTES = {11: 8, 7: 5}  # Monero: characters of a block, and what they stand for

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]+")
_SEGWIT = re.compile(r"([a-z]{1,12})1([02-9ac-hj-np-z]{30,104})")
_ETHEREUM = re.compile(r"0x([0-9a-fA-F]{40})")

_WORD = re.compile(rb"[0-9A-Za-z]{25,%d}(?![0-9A-Za-z_\xc0])" % _LONGEST)
_START = re.compile(rb"(?<![0-9A-Za-z_\xc0])(?=[0-9A-Za-z]{25,%d}(?![0-9A-Za-z_\xc0]))" % _LONGEST)
_SOLANA = near("solana|=SOL|phantom")


def _number(word: str, alphabet: str) -> int:
    digits, number = _DIGITS[alphabet], 0
    for char in word:
        number = number * 58 + digits[char]
    return number


def _base58check(word: str, alphabet: str = _BITCOIN) -> bool:
    """Whether it is an address (version of one or two bytes, hash of 20) with its checksum behind."""
    zeros = len(word) - len(word.lstrip(alphabet[0]))
    number = _number(word, alphabet)
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    return len(data) in (25, 26) and sha256(sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def _bech32(word: str) -> bool:
    match = _SEGWIT.fullmatch(word.lower()) if word in (word.lower(), word.upper()) else None
    if match is None:
        return False
    human, data = match.groups()
    values = [ord(char) >> 5 for char in human] + [0] + [ord(char) & 31 for char in human]
    checksum = 1
    for value in values + [_BECH32.index(char) for char in data]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum in (1, 0x2BC830A3)


def _ethereum(word: str) -> bool:
    match = _ETHEREUM.fullmatch(word)
    if match is None:
        return False
    address = match[1]
    small = address.lower()
    if len(set(small.lstrip("0"))) < 8:  # the null address, and figures of code
        return False
    if address in (small, address.upper()):
        return True
    digest = keccak256(small.encode("ascii")).hex()
    return all(
        not char.isalpha() or char.isupper() == (digit >= "8") for char, digit in zip(address, digest, strict=False)
    )


def _monero(word: str) -> bool:
    data = b""
    for at in range(0, len(word), 11):
        block = word[at : at + 11]
        size = _BLOCK_BYTES.get(len(block), 0)
        number = _number(block, _BITCOIN)
        if number >> 8 * size:
            return False
        data += number.to_bytes(size, "big")
    return keccak256(data[:-4])[:4] == data[-4:]


def _end(folded: bytes, start: int) -> int | None:
    match = _WORD.match(folded, start)
    if match is None:
        return None
    word = match.group().decode("ascii")
    found = _ethereum(word) or _bech32(word)
    if not found and _BASE58.fullmatch(word):
        if len(word) <= 36:
            found = _base58check(word) or (word[0] == "r" and _base58check(word, _RIPPLE))
        elif len(word) in (95, 106) and word[0] in "48":
            found = _monero(word)
        if not found and 32 <= len(word) <= 44 and _SOLANA(folded, start):
            found = 248 <= _number(word, _BITCOIN).bit_length() <= 256
    return match.end() if found else None


CRYPTO_ADDRESS = Detector(
    kind="CRYPTO_ADDRESS",
    gate=rb"(?:^|[^0-9A-Za-z_])[0-9A-Za-z]{25}",
    starts=starts_of(_START),
    end=_end,
    tail=re.compile(rb"(?<![0-9A-Za-z_\xc0])[0-9A-Za-z]{1,%d}\Z" % _LONGEST),
    tail_bytes=b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    longest_tail=_LONGEST,
    canonical=lambda value: value.lower() if value[:2] in ("0x", "0X") else value,
)
