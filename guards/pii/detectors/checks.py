"""Check digits that python-stdnum does not know, and small parts that the tables share.

Each function is given letters and digits alone, in capitals, in the form its table asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from stdnum import luhn
from stdnum.iso7064 import mod_97_10

_VALUES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NHI_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def any_number(number: str) -> bool:
    """For numbers without a check: all that can be told is that they are not one digit over and over."""
    return len(set(number)) > 1


def weighted(number: str, weights: Sequence[int]) -> int:
    return sum(weight * _VALUES.index(char) for weight, char in zip(weights, number, strict=False))


def dated(number: str, *, year: int, month: int, day: int, years: int = 2) -> bool:
    """Whether digits at these places are a date; of a year of two digits the century is not known."""
    whole = int(number[year : year + years])
    for century in (0,) if years == 4 else (1900, 2000):
        try:
            born = date(century + whole, int(number[month : month + 2]), int(number[day : day + 2]))
        except ValueError:
            continue
        if born <= date.today():
            return years == 2 or born.year >= 1880
    return False


def _is_date(number: str) -> bool:
    try:
        date(int(number[:4]), int(number[4:6]), int(number[6:]))
    except ValueError:
        return False
    return True


def icao(number: str) -> bool:
    """The last character checks those before it (ICAO 9303, part 3, 4.9)."""
    total = sum((7, 3, 1)[place % 3] * _VALUES.index(char) for place, char in enumerate(number[:-1]))
    return number[-1] == str(total % 10)


def nino(number: str) -> bool:
    """UK: prefixes that were never issued (HMRC, NIM39110)."""
    return number[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def uk_driver(number: str) -> bool:
    """UK: name padded with nines, month (50 more for women) and day of birth."""
    name = number[:5].rstrip("9")
    return name.isalpha() and 1 <= int(number[6:8]) % 50 <= 12 and 1 <= int(number[8:10]) <= 31


def de_insurance(number: str) -> bool:
    """Germany, Rentenversicherungsnummer: the letter counts as two digits, products by their digit sums."""
    digits = number[:8] + f"{ord(number[8]) - 64:02d}" + number[9:11]
    products = (int(digit) * weight for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(number[11])


def es_insurance(number: str) -> bool:
    """Spain, número de afiliación: the last two digits are the rest of the others by 97."""
    province, serial, check = number[:2], number[2:10], int(number[10:])
    if not 1 <= int(province) <= 66:
        return False
    whole = int(province) * 10_000_000 + int(serial) if int(serial) < 10_000_000 else int(province + serial)
    return whole % 97 == check


def hu_taj(number: str) -> bool:
    return weighted(number[:8], (3, 7) * 4) % 10 == int(number[8]) and any_number(number)


def snils(number: str) -> bool:
    """Russia: weights 9 to 1, by 101, and 100 counts as 0."""
    return int(number[:9]) > 1_001_998 and weighted(number[:9], range(9, 0, -1)) % 101 % 100 == int(number[9:])


def kz_iin(number: str) -> bool:
    if not dated(number, year=0, month=2, day=4):
        return False
    check = weighted(number[:11], range(1, 12)) % 11
    if check == 10:
        check = weighted(number[:11], (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)) % 11
    return check == int(number[11])


def cn_resident(number: str) -> bool:
    """China: date of birth and ISO 7064 mod 11-2."""
    total = sum(int(char) * pow(2, 17 - place, 11) for place, char in enumerate(number[:17]))
    return dated(number, year=6, month=10, day=12, years=4) and number[17] == "10X98765432"[total % 11]


def tw_id(number: str) -> bool:
    """Taiwan: the letter of the county counts as two digits."""
    county = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    total = county // 10 + county % 10 * 9 + weighted(number[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))
    return total % 10 == 0


def hk_id(number: str) -> bool:
    """Hong Kong: one or two letters, six digits, a check (A is 10); a missing letter counts 36."""
    values = [36] * (9 - len(number)) + [_VALUES.index(char) for char in number[:-1]]
    check = 10 if number[-1] == "A" else int(number[-1]) if number[-1].isdecimal() else -1
    return (sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True)) + check) % 11 == 0


def sg_nric(number: str) -> bool:
    """Singapore, citizens (S, T) and foreigners (F, G, M)."""
    total = weighted(number[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    rest = total % 11
    if number[0] in "ST":
        return number[8] == "JZIHGFEDCBA"[rest]
    if number[0] in "FG":
        return number[8] == "XWUTRQPNMLK"[rest]
    return number[8] == "KLJNPQRTUWX"[10 - rest]


def au_medicare(number: str) -> bool:
    return weighted(number[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(number[8])


def nz_nhi(number: str) -> bool:
    """New Zealand: three letters and four characters, of the old form (mod 11) or the new (mod 23)."""
    values = [_NHI_LETTERS.find(char) + 1 if char.isalpha() else int(char) for char in number]
    if not all(values[:3]):
        return False
    total = sum(value * weight for value, weight in zip(values[:6], range(7, 1, -1), strict=True))
    if number[6].isdecimal():
        return total % 11 != 0 and (11 - total % 11) % 10 == values[6]
    return _NHI_LETTERS[22 - total % 23] == number[6]


def uy_ci(number: str) -> bool:
    return -weighted(number[:7], (2, 9, 8, 7, 6, 3, 4)) % 10 == int(number[7])


def us_npi(number: str) -> bool:
    """US national provider identifier: Luhn behind the prefix of the United States."""
    return luhn.is_valid("80840" + number)


def us_dea(number: str) -> bool:
    digits = [int(char) for char in number[2:]]
    return (digits[0] + digits[2] + digits[4] + 2 * (digits[1] + digits[3] + digits[5])) % 10 == digits[6]


def mx_clabe(number: str) -> bool:
    return -sum(int(char) * (3, 7, 1)[place % 3] % 10 for place, char in enumerate(number[:17])) % 10 == int(number[17])


def pl_account(number: str) -> bool:
    return mod_97_10.is_valid(number[2:] + "PL" + number[:2])


def vin(number: str) -> bool:
    """A vehicle's number with a check digit (North America, China), or a European one, which has none."""
    letters = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum(
        weight * letters.get(char, int(char) if char.isdecimal() else 0)
        for weight, char in zip(weights, number, strict=True)
    )
    if number[8] == "0123456789X"[total % 11]:
        return True
    return number[0] in "STUVWXYZ" and sum(char.isdecimal() for char in number[-6:]) >= 4


def digits_in(low: int) -> Callable[[str], bool]:
    """At least `low` digits, and no date."""

    def check(number: str) -> bool:
        if sum(char.isdecimal() for char in number) < low or not any_number(number):
            return False
        return not (len(number) == 8 and number.isdecimal() and number[:2] in ("19", "20") and _is_date(number))

    return check
