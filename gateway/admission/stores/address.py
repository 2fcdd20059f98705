"""Where a Valkey or Redis is and how to get in, read from a URL. Opens nothing."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Address", "StoreConfigError", "parse_address"]

TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}


class StoreConfigError(ValueError):
    """A store's URL that cannot be used. The message shows nothing of the URL, which may hold a password."""


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


def parse_address(url: str) -> Address:
    """Read `redis://[[user]:password@]host[:port][/database]`; `valkey://` is the same, `rediss://` with TLS.

    With TLS the server's certificate is checked, against the system's authorities or those of `?ssl_ca_certs=FILE`;
    `ssl_certfile` and `ssl_keyfile` are the client's own. Raises StoreConfigError.
    """
    try:
        parsed = urlsplit(url)
        port = parsed.port or 6379
        database = int(parsed.path.strip("/") or 0)
        options = dict(parse_qsl(parsed.query, keep_blank_values=True))
    except ValueError:
        raise StoreConfigError("the store's URL must look like redis://user:password@host:6379/0") from None
    if parsed.scheme not in ("redis", "rediss", "valkey") or not parsed.hostname:
        raise StoreConfigError("the store's URL must begin with redis://, rediss:// or valkey:// and name a host")
    secure = parsed.scheme == "rediss"
    if set(options) - (TLS_OPTIONS if secure else set()):
        raise StoreConfigError(
            f"after the ? of the store's URL may stand, with rediss:// only: {', '.join(TLS_OPTIONS)}"
        )
    return Address(
        host=unquote(parsed.hostname),
        port=port,
        database=database,
        username=unquote(parsed.username) if parsed.username else None,
        password=unquote(parsed.password) if parsed.password else None,
        tls=_tls(options) if secure else None,
    )


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    except OSError as error:  # an SSLError is one too
        raise StoreConfigError(f"the certificates for the store cannot be read: {error.strerror or error}") from None
    return context
