"""Numbers of bank accounts and banks, other than IBANs and cards."""

from __future__ import annotations

from stdnum import bic
from stdnum.ar import cbu
from stdnum.es import ccc
from stdnum.us import rtn

from guards.pii.detectors import checks
from guards.pii.detectors.identifiers import Identifier, detector

# Where banks are: ISO 3166-1, and XK for Kosovo, which SWIFT uses; first letters, and the second ones of each.
_COUNTRIES = {
    first + second
    for first, seconds in {
        "A": "DEFGILMOQRSTUWXZ",
        "B": "ABDEFGHIJLMNOQRSTVWYZ",
        "C": "ACDFGHIKLMNORUVWXYZ",
        "D": "EJKMOZ",
        "E": "CEGHRST",
        "F": "IJKMOR",
        "G": "ABDEFGHILMNPQRSTUWY",
        "H": "KMNRTU",
        "I": "DELMNOQRST",
        "J": "EMOP",
        "K": "EGHIMNPRWYZ",
        "L": "ABCIKRSTUVY",
        "M": "ACDEFGHKLMNOPQRSTUVWXYZ",
        "N": "ACEFGILOPRUZ",
        "O": "M",
        "P": "AEFGHKLMNRSTWY",
        "Q": "A",
        "R": "EOSUW",
        "S": "ABCDEGHIJKLMNORSTVXYZ",
        "T": "CDFGHJKLMNORTVWZ",
        "U": "AGMSYZ",
        "V": "ACEGINU",
        "W": "FS",
        "X": "K",
        "Y": "ET",
        "Z": "AMW",
    }.items()
    for second in seconds
}

_ACCOUNT_WORDS = (
    "account|acct|a/c|bank account|bank acct|checking account|savings account|konto|konto nummer|konto nr|"
    "num\xc0ro de compte|compte bancaire|n\xc0mero de cuenta|numero de cuenta|cuenta|conto corrente|rekening nummer|"
    "n\xc0mero da conta|conta"
)


def _bic(code: str) -> bool:
    return code[4:6] in _COUNTRIES and bic.is_valid(code)


def _routing(number: str) -> bool:
    """Of the prefixes that the American Bankers Association gives out, with a right check digit."""
    first = int(number[:2])
    return (first <= 12 or 21 <= first <= 32 or 61 <= first <= 72 or first == 80) and rtn.is_valid(number)


TABLE = (
    Identifier(
        "US_ROUTING_NUMBER", ("9{9}", "9999-9999-9"), _routing, "routing|=ABA|=RTN|rtn|transit number|aba number"
    ),
    Identifier(
        "BIC",
        ("[A-Z]{6}[A-Z0-9]{2}", "[A-Z]{6}[A-Z0-9]{5}"),
        _bic,
        "bic|=SWIFT|swift code|swift bic|swift number|bic swift|bic/swift|swift/bic",
        close=True,
        any_case=False,
    ),
    Identifier("UK_SORT_CODE", ("99-99-99", "99 99 99"), checks.any_number, "sort code", close=True),
    Identifier("AU_BSB", ("999 999",), checks.any_number, "bsb", close=True),
    Identifier("IN_IFSC", ("A{4}0X{6}",), checks.digits_in(2), "ifsc"),
    Identifier("ES_CCC", ("9999 9999 99 9{10}",), ccc.is_valid, "cuenta|=CCC|account"),
    Identifier("MX_CLABE", ("999 999 9{11} 9",), checks.mx_clabe, "clabe"),
    Identifier("AR_CBU", ("9{8} 9{14}",), cbu.is_valid, "cbu|cvu|clave bancaria"),
    Identifier(
        "PL_ACCOUNT",
        ("99 9999 9999 9999 9999 9999 9999",),
        checks.pl_account,
        "konto|konta|nrb|rachun\\w*|account",
    ),
    Identifier("NZ_ACCOUNT", ("[0-3]9-9999-9{7}-9{2,3}",), checks.any_number, wary=True),
)
# Any number of an account, last of all: nothing but its word tells it from others.
WEAK_TABLE = (
    Identifier(
        "BANK_ACCOUNT",
        (
            "9{2,4}[ \\-]9{2,6}[ \\-]9{2,6}[ \\-]9{1,6}",
            "9{2,6}[ \\-]9{2,6}[ \\-]9{1,9}",
            "9{2,6}[ \\-]9{2,9}",
            "9{6,17}",
        ),
        checks.digits_in(6),
        _ACCOUNT_WORDS,
        close=True,
    ),
)

DETECTORS = tuple(map(detector, TABLE))
WEAK_DETECTORS = tuple(map(detector, WEAK_TABLE))
