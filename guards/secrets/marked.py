"""Keys without a prefix that are known by a mark inside of them or by the address they stand in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from guards.secrets.checks import decoded, varied
from guards.secrets.edges import LEFT, places_of
from guards.secrets.tokens import detector
from guards.spans.detector import Detector, starts_of

_END = rb"(?![A-Za-z0-9_\-])"


def _marked(
    mark: bytes, offset: int, pattern: bytes
) -> tuple[Callable[[bytes, int], Iterator[int]], re.Pattern[bytes]]:
    """Starts `offset` bytes before each `mark`; the whole must fit `pattern` there."""
    whole = re.compile(LEFT + pattern)

    def starts(folded: bytes, begin: int) -> Iterator[int]:
        at = folded.find(mark, begin + offset)
        while at >= 0:
            if whole.match(folded, at - offset):
                yield at - offset
            at = folded.find(mark, at + 1)

    return starts, whole


def _by_mark(kind: str, gate: bytes, mark: bytes, offset: int, pattern: bytes) -> Detector:
    starts, whole = _marked(mark, offset, pattern)

    def end(folded: bytes, start: int) -> int | None:
        match = whole.match(folded, start)
        return match.end() if match is not None and varied(match.group()) else None

    return detector(kind, gate, starts, end)


def _by_pattern(
    kind: str, gate: bytes, pattern: bytes, ends: bytes = b"", check: Callable[[bytes], bool] = varied
) -> Detector:
    whole = re.compile(b"(?:%b)%b" % (pattern, ends))

    def end(folded: bytes, start: int) -> int | None:
        match = whole.match(folded, start)
        return match.end() if match is not None and check(match.group()) else None

    return detector(kind, gate, places_of(pattern), end)


def _bot_id_first(token: bytes) -> bool:
    """Discord: the first part is the bot's number in base64."""
    return decoded(token.split(b".", 1)[0]).isdigit()


_WEBHOOK = re.compile(
    rb"(?<=hooks\.slack\.com/services/)(?=T)|(?<=/api/webhooks/)(?=\d{10})|(?<=\.webhook\.office\.com/webhookb2/)(?=[0-9a-f]{8}-)"
)
_WEBHOOK_PATH = re.compile(
    rb"T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/[A-Za-z0-9]{16,40}|\d{10,22}/[A-Za-z0-9_\-]{50,90}"
    rb"|[0-9a-f\-]{36}@[0-9a-f\-]{36}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f\-]{36}"
)


def _webhook_end(folded: bytes, start: int) -> int | None:
    match = _WEBHOOK_PATH.match(folded, start)
    return match.end() if match is not None and varied(match.group(), 8) else None


# fmt: off
MARKED: tuple[Detector, ...] = (
    # Entra ID application secrets.
    _by_mark("AZURE_KEY", rb"[0-9]Q~[A-Za-z0-9_~.\-]{8}", b"Q~", 4,
        rb"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.\-]{31,34}(?![A-Za-z0-9_~\-])"),
    # Azure keys with a signature at a fixed place.
    _by_pattern("AZURE_KEY", rb"(?:\+(?:ASt|ABa|AMC|ACR|ASb|AEh|ARm)|APIM|ACDb|AIoT|AzCa|AzSe|AzFu)[A-Za-z0-9+/_\-]{6}",
        rb"[A-Za-z0-9+/]{76}(?:\+ASt|\+ABa|\+AMC|APIM|ACDb)[A-Za-z0-9+/]{5}[AQgw]=="
        rb"|[A-Za-z0-9+/]{33}(?:AIoT|AzCa|\+ASb|\+AEh|\+ARm)[A-Za-z0-9+/]{6}="
        rb"|[A-Za-z0-9+/]{42}(?:AzSe|\+ACR)[A-D][A-Za-z0-9+/]{5}"
        rb"|[A-Za-z0-9_\-]{44}AzFu[A-Za-z0-9_\-]{5}[AQgw]==", rb"(?![A-Za-z0-9+/=])"),
    _by_mark("AZURE_KEY", rb"JQQJ99", b"JQQJ99", 52, rb"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}(?![A-Za-z0-9])"),
    _by_mark("AZURE_KEY", rb"AZDO[A-Za-z0-9]{4}", b"AZDO", 76, rb"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])"),
    _by_pattern("TELEGRAM_TOKEN", rb"[0-9]{4}:AA[A-Za-z0-9_\-]{9}", rb"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}", _END),
    _by_pattern("DISCORD_TOKEN", rb"\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{9}",
        rb"[MNO][A-Za-z0-9_\-]{22,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,45}", _END, _bot_id_first),
    _by_pattern("MAILGUN_KEY", rb"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}", rb"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}", _END),
    _by_pattern("API_KEY", rb"[0-9a-f]{8}-us[0-9]", rb"[0-9a-f]{32}-us[0-9]{1,2}", _END),  # Mailchimp
    _by_mark("API_KEY", rb"\.atlasv1\.", b".atlasv1.", 14,  # Terraform
        rb"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{60,70}"),
    detector("WEBHOOK_URL",
        rb"hooks\.slack\.com/services/T|/api/webhooks/[0-9]{10}|\.webhook\.office\.com/webhookb2/",
        starts_of(_WEBHOOK), _webhook_end),
)
# fmt: on
