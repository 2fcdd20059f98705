"""The one place where secrets are taken out of text before it reaches a sink: log, span, error, metric label.

It knows what credentials look like, not what they are: it is the last net, not a licence to log secrets.
Personal data is the guards' business; sinks get no texts at all.
"""

from __future__ import annotations

import re

MASK = "[secret]"

_SECRET = re.compile(
    r"""
      \b(?:sg|sk)-[A-Za-z0-9_-]{6,}                                     # our keys, and a form providers use
    | (?P<kept>
        \b(?:[Bb]earer|BEARER)\s+(?=[A-Za-z0-9._~+/=-]{6})               # a token of any form
      | (?i:\bauthorization|\b(?:x-)?api-key)['"]?\s*[:=]\s*['"]?(?:[A-Za-z]+[ ]+)?  # a header
      | (?i:[?&](?:api[-_]?key|key|token|access_token|secret|password|sig)=)           # a query parameter
      ) [^\s'",}&]+
    | (?P<url>\b[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s'"<>]{1,256}(?=@)    # user:password@ in a URL
    """,
    re.VERBOSE,
)
# Nearly every text has none of these, and seeing so costs a fifth of looking for secrets.
_HINT = re.compile(r"s[gk]-|://|=|[Bb]earer|BEARER|[Aa][Pp][Ii]-[Kk][Ee][Yy]|[Aa]uthorization|AUTHORIZATION")


def _mask(match: re.Match[str]) -> str:
    return (match["kept"] or match["url"] or "") + MASK


def scrub(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[secret]`."""
    return _SECRET.sub(_mask, text) if _HINT.search(text) else text
