"""Secrets by the place that carries them: authorization headers, addresses with a password, key pairs of AWS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from guards.secrets.checks import random_looking, stand_in, user_and_password, varied
from guards.secrets.edges import places_of
from guards.secrets.tokens import detector
from guards.spans.detector import CONTEXT

_USER = re.compile(rb"(?=(://[A-Za-z0-9._%+~\-$!*&=]{0,30}:))")
_URL_PASSWORD = re.compile(rb"([!$-&*+\-.0-9:;=A-Z^_a-z~\xc0]{2,120})@[A-Za-z0-9\xc0$%{<]")
_PLACE = re.compile(rb"\$|%[a-z({]|\*+\Z|\.+\Z|x{3,}\Z|(?:pass(?:w(?:or)?d)?|pwd?|secret|token)\Z", re.IGNORECASE)
_PORT = re.compile(rb"\d{2,5}\Z")

_BASIC = re.compile(rb"[Bb](?:asic|ASIC) {1,2}(?=[A-Za-z0-9+/]{6})")
_BASIC_VALUE = re.compile(rb"[A-Za-z0-9+/]{6,190}={0,2}(?![A-Za-z0-9+/=])")
_DOCKER_AUTH = re.compile(rb"\\?\"auth\\?\" ?: ?\\?\"(?=[A-Za-z0-9+/]{6})")
_BEARER = re.compile(rb"(?:[Bb]earer|BEARER|[Aa]uthorization: ?\"?(?:[Tt]oken|[Aa]pi[Kk]ey)) {1,2}(?=[A-Za-z0-9])")
_BEARER_VALUE = re.compile(rb"[A-Za-z0-9_\-.~+/]{16,190}={0,2}")

_AWS_VALUE = rb"(?:^|[^A-Za-z0-9/+._\-]|\\[nrt])([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"
_AWS_CONTEXT = re.compile(rb"(?i)aws|secret.?access|secret.?key|secret|(?:akia|asia)[a-z0-9]{16}")
_OPENS = (b" ", b"\n", b"\t", b"=", b'"', b"'")
_HEX = re.compile(rb"[0-9a-f]+\Z")


def _after(*patterns: re.Pattern[bytes]) -> Callable[[bytes, int], Iterator[int]]:
    """Where a match ends, or its group where matches may overlap."""

    def starts(folded: bytes, begin: int) -> Iterator[int]:
        for pattern in patterns:
            for match in pattern.finditer(folded, max(0, begin - CONTEXT + 1)):
                if (end := match.end(pattern.groups)) >= begin:
                    yield end

    return starts


def _url_password_end(folded: bytes, start: int) -> int | None:
    match = _URL_PASSWORD.match(folded, start)
    if match is None or _PLACE.match(match.group(1)) or _PORT.match(match.group(1)):
        return None
    return match.end(1)


def _basic_end(folded: bytes, start: int) -> int | None:
    match = _BASIC_VALUE.match(folded, start)
    return match.end() if match is not None and user_and_password(match.group()) else None


def _bearer_end(folded: bytes, start: int) -> int | None:
    match = _BEARER_VALUE.match(folded, start)
    drawn = match is not None and random_looking(match.group()) and not stand_in(match.group())
    return match.end() if match is not None and drawn else None


def _aws_end(folded: bytes, start: int) -> int | None:
    value = folded[start : start + 40]
    if value.startswith(b"/") and folded[start - 1 : start] not in (b"", *_OPENS):
        return None  # a path
    if _HEX.match(value) or not varied(value, 12) or not random_looking(value, most_words=0.8, least_turns=0.25):
        return None
    return start + 40 if _AWS_CONTEXT.search(folded[max(0, start - CONTEXT) : start]) else None


URL_PASSWORD = detector("URL_PASSWORD", rb"://[^\s/:@]{0,30}:[^\s/@]{2,120}@", _after(_USER), _url_password_end)
BASIC_AUTH = detector(
    "BASIC_AUTH",
    rb"[Bb](?:asic|ASIC) {1,2}[A-Za-z0-9+/]{6}|\"auth\\?\" ?: ?\\?\"[A-Za-z0-9+/]{6}",
    _after(_BASIC, _DOCKER_AUTH),
    _basic_end,
)
BEARER_TOKEN = detector(
    "BEARER_TOKEN",
    rb"(?i:bearer|authorization: ?\"?(?:token|apikey)) {1,2}[A-Za-z0-9_\-.~+/]{12}",
    _after(_BEARER),
    _bearer_end,
)
AWS_SECRET_KEY = detector(
    "AWS_SECRET_KEY", rb"(?i:aws|secret|akia|asia)", places_of(_AWS_VALUE, group=1, before=2), _aws_end
)
