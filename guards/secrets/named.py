"""Secrets that only the words beside them give away: `DB_PASS=...`, `"api_key": "..."`, `my password is ...`.

A value starts right after a name and what stands between the two; names are whole or end longer ones
(`STRIPE_SECRET_KEY`). What is said of a password must look like one: letters and something else, no path, call,
variable or stand-in. What is said of a key or token must look drawn by a machine. Plain words are not found: nobody can
tell `password: monkey` from `password: required`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from guards.secrets.checks import random_looking, run_of_stand_in, stand_in, varied
from guards.secrets.edges import LONGEST_WORD, VALUE
from guards.secrets.tokens import detector
from guards.spans.detector import CONTEXT

_BEFORE = CONTEXT - 1  # bytes before a value in which its name must stand whole

# Between a name and its value: what closes the name, a sign, a type, what opens the value.
_OPEN = rb"(?:[@$bfru]?\\{0,3}[\"'`]|\*{0,2}[`\"']?\*{0,2})"
_TYPE = rb"(?:&?(?:static )?str(?:ing)?|String|SecretStr|Text|any|bytes)(?: ?\| ?None)?"
_SIGN = rb"(?::=|===?(?= ?[\"'])|=>|->|=|::?(?: ?%b ?=)?|\||>|, ?(?=[\"']))" % _TYPE
_AFTER_NAME = re.compile(
    rb"(?i:_(?:base|value|prod|dev|live|text))?[0-9]?\\{0,3}[\"'`*\])]{0,4}[ \t]{0,3}%b\*{0,2}[ \t]{0,3}%b"
    % (_SIGN, _OPEN)
)
_SAID = re.compile(
    rb"(?: (?:for|to|of|on|at) [A-Za-z0-9 ._@/\-]{1,20}?)?(?:,? (?:is|was)(?: now| still| set to| currently)?:?|:|=) %b"
    % _OPEN
)
_OPTION_NAME = re.compile(rb"(?:\A|[\s\"'`(=,])--[a-z0-9_\-]{1,22}\Z")
_OPTION = re.compile(rb"[ =]%b" % _OPEN)

_PASSWORD_STEMS = (
    b"password", b"passwd", b"passphrase", b"passcode", b"passwort", b"kennwort", b"contrase\xc0a", b"mot de passe",
    b"senha", b"wachtwoord", b"pwd", b"pword", b"pass", b"pw",
)  # fmt: skip
_SHORT_STEM = re.compile(rb"(?:\A|[^a-z])(?:pass|pw|pwd|pword)\Z")
_KEY_STEMS = (b"key", b"secret", b"token", b"credential", b"credentials", b"_auth")
_KEY_NAME = re.compile(
    rb"(?:(?<!non)(?<!:)secret|credentials?|(?<![a-z])_auth"
    rb"|(?:api|app|access|secret|private|auth|authentication|authorization|client|consumer|encryption|encrypt|signing|"
    rb"signature|master|service|account|storage|shared[_ -]?access|subscription|license|webhook|session|bearer|admin|"
    rb"deploy|deployment|bot|oauth|refresh|security|sas|hmac|jwt|aes|fernet|user|integration|server|root|ssh|csrf|xsrf|id|"
    rb"primary|secondary|github|gitlab|slack|npm|vault|registry|runner|ingest|write|read|push|"
    rb"device|x)[_\-. ]?(?:key|token)"
    rb"|(?:(?<![a-z_\-. ])|(?<=--))token|(?<![a-z])(?:the|my|this|our|your|with|a|use) token)\Z"
)
_NO_KEY_NAME = re.compile(
    rb"(?:public|publishable|page|next|continuation|sync|primary|foreign|idempotency|client[_\-. ]?(?=token))"
    rb"[_\-. ]?(?:api[_\-. ]?)?(?:key|token)\Z"
)

_RUN = re.compile(rb"[%b]{1,%d}" % (VALUE, LONGEST_WORD))
_BARE = re.compile(rb"(?:[!#-&(-+\-./0-9:=?-Z^_a-z~\xc0]|\\(?![nrtu\"']))+")
_NEXT_FIELD = re.compile(rb"&(?:amp;)?[A-Za-z_]\w*=")
_TRAILING = b".,;:?"
_QUOTES = b"\"'`"

_LETTER = re.compile(rb"[A-Za-z\xc0]")
_DIGIT = re.compile(rb"[0-9]")
_SIGN_INSIDE = re.compile(rb"[!@#$%^&*+=?~]")
# A place for a value to be put, or where it comes from.
_TEMPLATE = re.compile(
    rb"\$[A-Za-z_]\w*\Z|\$[({]|\$\$|%[(a-z{]|\{|#\{|\(?\?|.*\$\{|.*\{\{|.*\}\}|.*://|(?:~|\.{0,2})?/[\w.\-]+(?:/|\Z)|.+@[\w.\-]+\.[a-z]+\Z"
)
_CODE = re.compile(
    rb"[%@:!&(.]|.*(?:->|=>|::|==|\|\||&&)|[A-Za-z_$]\w*\??(?:\.[A-Za-z_$]\w*)+\Z|[A-Za-z_$][\w.]*[(]|[A-Za-z_]\w*[=+]"
    rb"|[\w.\-]+(?:/[\w.\-]+)+\Z|[a-z]+_[a-z_]*[0-9]?\Z|[A-Za-z_]+[0-9]\Z(?<=_[0-9])"
)
_NO_PASSWORD = re.compile(
    rb"(?:base-?(?:32|58|62|64)|utf-?(?:8|16)|sha-?[0-9]{1,3}|md[45]|bcrypt|argon2\w*|pbkdf2\w*|[hr]s256|o?auth-?[12]?"
    rb"|[0-9]+[\-+]?(?:char|digit|letter|bit|byte|day|hour|min|month|year|word|number|symbol|or|plus|st|nd|rd|th)\w*"
    rb"|(?:min|max|len|length|size|minlength|maxlength)[=_\-:]?[0-9]+|[a-z]+[0-9]?(?:-[a-z]+[0-9]?)+|e\.g|i\.e"
    rb"|[0-9]{1,2}[:.][0-9]{2}|[0-9]{1,4}[\-/.][0-9]{1,2}[\-/.][0-9]{1,4}(?:t[0-9]\S*)?|v?[0-9]+(?:\.[0-9]+)+"
    rb"|[0-9.,]+(?:[kmgt]?b|[um]?s|px|r?em|[%%kmxdhw])?)(?:[\-.,:;/]\S{0,16})?\Z"
)


def _ends_of(folded: bytes, stems: tuple[bytes, ...], begin: int) -> Iterator[tuple[int, bytes]]:
    """Where each stem ends that may name a value at `begin` or later; the text in small letters."""
    lower = folded.lower()
    for stem in stems:
        at = lower.find(stem, max(0, begin - _BEFORE))
        while at >= 0:
            yield at + len(stem), lower
            at = lower.find(stem, at + 1)


def _value_starts(
    folded: bytes, begin: int, stems: tuple[bytes, ...], named: Callable[[bytes, int], bool]
) -> Iterator[int]:
    """The places where a value may stand after a name of these stems; `named(small letters, end of the stem)`."""
    for end, lower in _ends_of(folded, stems, begin):
        match = _AFTER_NAME.match(folded, end) or _SAID.match(folded, end)
        if match is None and _OPTION_NAME.search(lower[max(0, end - 24) : end]):
            match = _OPTION.match(folded, end)
        if match is not None and match.end() >= begin and match.end() - end <= 30 and named(lower, end):
            yield match.end()


def _value(folded: bytes, start: int) -> tuple[bytes, bool] | None:
    """What stands there, and whether in quotes; None if the quotes hold more than one word."""
    run = _RUN.match(folded, start)
    if run is None:
        return None
    value = run.group()
    quote = folded[start - 1 : start]
    if not quote or quote not in _QUOTES:
        bare = _BARE.match(value)
        value = bare.group() if bare else b""
        if (field := _NEXT_FIELD.search(value)) is not None:
            value = value[: field.start()]
        if b"(" not in value:
            value = value.split(b")", 1)[0]
        return value.rstrip(_TRAILING).rstrip(b"*"), False
    if folded[start - 2 : start - 1] == b"\\":
        return value.split(b"\\", 1)[0], True
    closing = folded[run.end() : run.end() + 1]
    if closing and closing != quote and len(value) < LONGEST_WORD:
        return None
    return value, True


def is_password(value: bytes, quoted: bool) -> bool:
    """Whether what is said to be a password can be one."""
    if not 6 <= len(value) <= 128 or not varied(value, 4) or _LETTER.search(value) is None or stand_in(value):
        return False
    if _TEMPLATE.match(value) or _NO_PASSWORD.match(value.lower()):
        return False
    signs = len(_SIGN_INSIDE.findall(value))
    if quoted:
        return bool(signs or _DIGIT.search(value))
    if random_looking(value):
        return True
    return not _CODE.match(value) and (signs > 1 or _DIGIT.search(value) is not None)


def _password_end(folded: bytes, start: int) -> int | None:
    found = _value(folded, start)
    return start + len(found[0]) if found is not None and is_password(*found) else None


def _key_end(folded: bytes, start: int) -> int | None:
    found = _value(folded, start)
    if found is None:
        return None
    value = found[0]
    if b"." in value and not any(random_looking(piece) for piece in value.split(b".")):
        return None  # an attribute of something
    drawn = len(value) >= 16 and random_looking(value) and not run_of_stand_in(value) and not stand_in(value)
    return start + len(value) if drawn and not _TEMPLATE.match(value) else None


def _password_named(lower: bytes, end: int) -> bool:
    stem = lower[max(0, end - 12) : end]
    return not stem.endswith((b"pass", b"pw", b"pwd", b"pword")) or _SHORT_STEM.search(stem) is not None


def _key_named(lower: bytes, end: int) -> bool:
    name = lower[max(0, end - 16) : end]
    return _KEY_NAME.search(name) is not None and _NO_KEY_NAME.search(name) is None


def _starts(stems: tuple[bytes, ...], named: Callable[[bytes, int], bool]) -> Callable[[bytes, int], Iterator[int]]:
    return lambda folded, begin: _value_starts(folded, begin, stems, named)


# The gates look for names only: what may stand between a name and its value would make them large.
PASSWORD = detector(
    "PASSWORD",
    rb"(?i:passw(?:or)?d|passphrase|passcode|passwort|kennwort|contrase\xc0a|mot de passe|senha|wachtwoord|pwd|pword"
    rb"|pass[\\\"'`\])* ]{0,4}[:=|>]|pw[\\\"'`\])* ]{0,4}[:=|>]|\bpass (?:is|was)|\bpw (?:is|was)|--pass )",
    _starts(_PASSWORD_STEMS, _password_named),
    _password_end,
)
NAMED_KEY = detector(
    "API_KEY",
    rb"(?i:[a-z][_\-. ]?key|secret|token|credential|_auth)",
    _starts(_KEY_STEMS, _key_named),
    _key_end,
)
