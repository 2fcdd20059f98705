"""Whether a telephone number exists, by the numbering plans that the phonenumbers library carries.

The library's own answer parses the number anew for each country and takes ten times as long. What is asked here is
simpler: digits, a country, yes or no.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import re2
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

_WORLD = "001"  # what the library calls codes of no country (+800, +883)


@dataclass(frozen=True, slots=True)
class _Plan:
    lengths: frozenset[int]  # of a number without its trunk prefix
    trunk: str
    numbers: re.Pattern[str]


@cache
def _plan(region: str, code: int) -> _Plan | None:
    if region == _WORLD:
        metadata = PhoneMetadata.metadata_for_nongeo_region(code)
    else:
        metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return None
    kinds = (
        metadata.fixed_line,
        metadata.mobile,
        metadata.toll_free,
        metadata.premium_rate,
        metadata.shared_cost,
        metadata.personal_number,
        metadata.voip,
        metadata.pager,
        metadata.uan,
        metadata.voicemail,
    )
    patterns = {kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern}
    general = metadata.general_desc
    return _Plan(
        lengths=frozenset(general.possible_length if general else ()),
        trunk=metadata.national_prefix or "",
        numbers=re.compile("|".join(f"(?:{pattern})" for pattern in sorted(patterns)) or r"(?!)"),
    )


def _national(number: str, plan: _Plan) -> tuple[str, ...]:
    """The number as dialled, and without its trunk prefix."""
    if plan.trunk and number.startswith(plan.trunk):
        return number, number[len(plan.trunk) :]
    return (number,)


def _split(number: str) -> tuple[int, str] | None:
    """Country code and the rest."""
    for size in (1, 2, 3):
        code = int(number[:size])
        if code in COUNTRY_CODE_TO_REGION_CODE:
            return code, number[size:]
    return None


def length_fits(number: str) -> bool:
    """Whether a number of this length exists in the country whose code it begins with."""
    parts = _split(number)
    if parts is None:
        return False
    code, rest = parts
    plan = _plan(COUNTRY_CODE_TO_REGION_CODE[code][0], code)
    return plan is not None and any(len(written) in plan.lengths for written in _national(rest, plan))


def exists_abroad(number: str) -> bool:
    """Whether the country whose code the number begins with has such a number."""
    parts = _split(number)
    if parts is None:
        return False
    code, rest = parts
    return any(_has(region, code, rest) for region in COUNTRY_CODE_TO_REGION_CODE[code])


def exists_in(number: str, regions: tuple[str, ...]) -> bool:
    """Whether one of these countries (ISO 3166-1, two letters) has such a number, dialled from inside."""
    return _plans_of(regions).fullmatch(number) is not None


@cache
def _plans_of(regions: tuple[str, ...]) -> re2._Regexp:
    """All numbers of these countries in one expression, with and without trunk prefix."""
    plans = [plan for region in regions if (plan := _plan(region, 0))]
    return re2.compile("|".join(f"(?:{plan.trunk})?(?:{plan.numbers.pattern})" for plan in plans))


def _has(region: str, code: int, number: str) -> bool:
    plan = _plan(region, code)
    return plan is not None and any(plan.numbers.fullmatch(written) for written in _national(number, plan))
