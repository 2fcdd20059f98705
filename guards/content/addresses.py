"""Whose address this is: what a browser or a mail client would make of it, and whether that host is allowed.

Written the way people get past filters, an address is read as the most forgiving client would read it. Where clients
would disagree about the host, none is made out, and no list allows it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_BLANKS = re.compile(r"[\x00-\x20\x7f\u00a0\u200b-\u200f\u2060\ufeff]+")
_MARKDOWN_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_HOST = re.compile(r"[^\x00-\x20\"#$%&'()*+,/:;<=>?@\[\\\]^`{|}~]+\Z")
_AUTHORITY_END = re.compile(r"[/\\?#]")
_HOSTED = frozenset({"http", "https", "ws", "wss", "ftp", "ftps"})
_HARMLESS = frozenset({"mailto", "tel", "sms", "cid"})  # nothing is fetched from anywhere


class Hosts:
    """Allowed hosts: `example.com` is that host alone, `*.example.com` all under it."""

    def __init__(self, allowed: Sequence[str]) -> None:
        named = [host.strip().lower().rstrip(".") for host in allowed]
        self._exact = frozenset(host for host in named if not host.startswith("*."))
        self._under = tuple(host[1:] for host in named if host.startswith("*."))

    def allow(self, address: str) -> bool:
        """Whether fetching the address asks an allowed host, or none but the page's own."""
        text = html.unescape(address)
        if self._allows(text):
            plain = _MARKDOWN_ESCAPE.sub(r"\1", text)
            return plain == text or self._allows(plain)
        return False

    def _allows(self, address: str) -> bool:
        text = _BLANKS.sub("", address)
        if scheme := _SCHEME.match(text):
            name = scheme[1].lower()
            if name in _HARMLESS:
                return True
            if name == "data":  # a picture that comes with the text asks nobody
                return re.match(r"data:image/(?:png|jpeg|gif|webp)[;,]", text, re.IGNORECASE) is not None
            return name in _HOSTED and self._allows_host(text[scheme.end() :].lstrip("/\\"))
        if text[:2].replace("\\", "/") == "//":
            return self._allows_host(text.lstrip("/\\"))
        if text[:4].lower() == "www.":
            return self._allows_host(text)
        return True  # relative: the page's own host

    def _allows_host(self, rest: str) -> bool:
        end = _AUTHORITY_END.search(rest)
        if end and end.group() == "\\":  # a slash to some, a part of the name to others
            return False
        authority = (rest[: end.start()] if end else rest).lower()
        host, _, port = authority.partition(":")
        if not _HOST.match(host) or (port and not port.isdecimal()):
            return False
        host = host.rstrip(".")
        return host in self._exact or host.endswith(self._under)
