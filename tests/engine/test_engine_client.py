"""The client against a real engine process that serves a fake runner: streams, aborts, deaths, restarts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from fake_runner import CRASH, HANG, NONSENSE, RAISE, ROW_ERROR, continuation, fake_config, fake_request

from engine import client as client_module
from engine.client import EngineClient
from engine.config import EngineConfig, KVCacheConfig
from engine.errors import (
    EngineConfigError,
    EngineUnavailable,
    InvalidRequest,
    ModelFileError,
    PromptTooLong,
    QueueFull,
)
from engine.types import Delta, EngineStats, FinishReason, Request

COMMAND = (sys.executable, str(Path(__file__).with_name("fake_runner.py")))
LARGE = KVCacheConfig(block_size=4, memory=2001)


@asynccontextmanager
async def running(**config: object) -> AsyncIterator[EngineClient]:
    client = EngineClient(fake_config(**config), COMMAND)
    async with asyncio.timeout(60):
        await client.start()
        pid = client.pid
        try:
            yield client
        finally:
            await client.close()
    assert pid is not None
    assert not is_alive(pid), "the engine process outlived its client"


@pytest.fixture(autouse=True)
def quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RESTART_DELAY", 0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def collect(client: EngineClient, request: Request) -> tuple[list[int], Delta]:
    tokens: list[int] = []
    last: Delta | None = None
    async with aclosing(client.generate(request)) as deltas:
        async for delta in deltas:
            assert last is None or last.finish is None
            assert delta.id == request.id
            tokens += delta.tokens
            last = delta
    assert last is not None and last.finish is not None
    return tokens, last


async def first_delta(client: EngineClient, request: Request) -> Delta:
    async with aclosing(client.generate(request)) as deltas:
        return await anext(deltas)


async def until_recovered(client: EngineClient, dead_pid: int | None) -> None:
    while not client.healthy or client.pid == dead_pid:
        await asyncio.sleep(0.01)


async def assert_serves(client: EngineClient) -> None:
    tokens, _ = await collect(client, fake_request("check", [700, 701], 4))
    assert tokens == continuation([700, 701], 4)


# Streams


async def test_eight_requests_at_once_keep_their_streams_apart_and_share_batches() -> None:
    async with running(max_sequences=8, kv_cache=LARGE) as client:
        assert client.healthy
        requests = [fake_request(f"r{n}", [100 + n] * (n + 1), 30) for n in range(8)]
        results = await asyncio.gather(*(collect(client, request) for request in requests))
        for request, (tokens, last) in zip(requests, results, strict=True):
            assert tokens == continuation(request.prompt, 30)
            assert (last.finish, last.completion_tokens) == (FinishReason.LENGTH, 30)
            assert last.compute_us > 0
        stats = client.stats  # came with the last frame
        assert stats == await client.refresh_stats()
        assert stats.max_running_seen > 1
        assert (stats.running, stats.blocks_used) == (0, 0)
        assert stats.generated_tokens == 8 * 30


async def test_a_slow_consumer_gets_merged_deltas_and_loses_nothing() -> None:
    async with running() as client, aclosing(client.generate(fake_request("slow", [100], 300))) as deltas:
        tokens = (await anext(deltas)).tokens
        while (await client.refresh_stats()).running:
            await asyncio.sleep(0)
        last = await anext(deltas)
        assert len(last.tokens) > 100
        assert last.finish is FinishReason.LENGTH
        assert tokens + last.tokens == continuation([100], 300)
        assert [delta async for delta in deltas] == []


async def test_the_same_id_twice_at_once_gives_two_whole_streams() -> None:
    async with running() as client:
        both = [fake_request("twin", [100], 20), fake_request("twin", [200], 20)]
        results = await asyncio.gather(*(collect(client, request) for request in both))
        assert [tokens for tokens, _ in results] == [continuation([100], 20), continuation([200], 20)]


async def test_an_id_can_be_used_again_right_after_its_abort() -> None:
    async with running() as client:
        for _ in range(5):
            await first_delta(client, fake_request("again", [100], 300))
        tokens, _ = await collect(client, fake_request("again", [200], 5))
        assert tokens == continuation([200], 5)


# Leaving early


async def test_closing_the_generator_aborts_and_frees_the_blocks() -> None:
    async with running() as client:
        await first_delta(client, fake_request("a", [100] * 20, 300))
        stats = await client.refresh_stats()
        assert (stats.running, stats.waiting, stats.blocks_used) == (0, 0, 0)
        assert stats.generated_tokens < 300


async def test_cancelling_a_consumer_aborts_whether_its_request_runs_or_waits() -> None:
    async with running(max_sequences=1) as client:
        tasks = [asyncio.create_task(collect(client, fake_request(f"r{n}", [100 + n], 300))) for n in range(3)]
        while (await client.refresh_stats()).waiting < 2:
            await asyncio.sleep(0)
        for task in (tasks[1], tasks[0]):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await tasks[2])[0] == continuation([102], 300)
        assert (await client.refresh_stats()).blocks_used == 0


async def test_closing_after_the_end_and_before_the_start_is_harmless() -> None:
    async with running() as client:
        unstarted = client.generate(fake_request("never", [100], 5))
        await unstarted.aclose()
        finished = client.generate(fake_request("done", [100], 2))
        assert [delta.finish async for delta in finished][-1] is FinishReason.LENGTH
        await finished.aclose()
        assert (await client.refresh_stats()).steps == 2


# Refusals


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (fake_request("a", [], 5), InvalidRequest),
        (fake_request("a", [100], 0), InvalidRequest),
        (fake_request("a", [100] * 390, 20), PromptTooLong),
        (fake_request("a", ["text"], 5), InvalidRequest),  # type: ignore[list-item]
        (fake_request("a", [2**70], 5), InvalidRequest),
        (fake_request("a", [100], 5, top_k="many"), InvalidRequest),
        (fake_request("\ud800", [100], 5), InvalidRequest),
        (fake_request("a", [100], 5, "x" * 2**25), InvalidRequest),
    ],
    ids=["empty", "no tokens", "long", "text", "huge id", "mistyped", "surrogate", "oversized"],
)
async def test_bad_requests_cost_nobody_else_anything(request_: Request, error: type[Exception]) -> None:
    async with running() as client:
        with pytest.raises(error):
            await first_delta(client, request_)
        await assert_serves(client)
        assert (await client.refresh_stats()).generated_tokens == 4


async def test_too_long_a_prompt_says_both_numbers() -> None:
    async with running() as client:
        assert client.info.context == 400
        with pytest.raises(PromptTooLong) as caught:
            await first_delta(client, fake_request("a", [100] * 390, 20))
        assert (caught.value.prompt_tokens, caught.value.context) == (390, 400)


async def test_a_full_queue_refuses_with_a_time_and_frees_up_again() -> None:
    async with running(max_sequences=1, max_waiting=1) as client:
        tasks = []
        for name, waiting in (("runs", 0), ("waits", 1)):
            tasks.append(asyncio.create_task(collect(client, fake_request(name, [100], 200))))
            while (stats := await client.refresh_stats()).running != 1 or stats.waiting != waiting:
                await asyncio.sleep(0)
        with pytest.raises(QueueFull) as caught:
            await first_delta(client, fake_request("late", [300], 5))
        assert caught.value.retry_after >= 1
        await asyncio.gather(*tasks)
        await assert_serves(client)


# Failures inside a step


async def test_a_failing_row_and_a_failing_batch_end_with_an_error_and_no_internals() -> None:
    async with running() as client:
        tokens, last = await collect(client, fake_request("row", [ROW_ERROR, 7], 5))
        assert (tokens, last.finish, last.error) == ([], FinishReason.ERROR, "the logits are not numbers")
        _, last = await collect(client, fake_request("batch", [RAISE, 7], 5))
        assert last.finish is FinishReason.ERROR
        assert last.error is not None and "fire" not in last.error
        await assert_serves(client)


# The process dies


async def test_a_killed_process_fails_its_requests_and_is_replaced() -> None:
    async with running() as client:
        pid = client.pid
        assert pid is not None
        async with aclosing(client.generate(fake_request("victim", [100], 350))) as deltas:
            await anext(deltas)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(EngineUnavailable):
                async for _ in deltas:
                    pass
        assert not client.healthy
        assert client.stats == EngineStats()
        with pytest.raises(EngineUnavailable):
            await first_delta(client, fake_request("meanwhile", [100], 5))
        await until_recovered(client, pid)
        await assert_serves(client)


@pytest.mark.parametrize("order", [CRASH, NONSENSE, HANG], ids=["crash", "nonsense", "hang"])
async def test_a_process_that_crashes_talks_nonsense_or_hangs_is_replaced(order: int) -> None:
    async with running(step_timeout=1.0) as client:
        pid = client.pid
        neighbour = asyncio.create_task(collect(client, fake_request("neighbour", [100], 390)))
        with pytest.raises(EngineUnavailable):
            await collect(client, fake_request("poison", [order, 7], 350))
        with pytest.raises(EngineUnavailable):
            await neighbour
        await until_recovered(client, pid)
        assert pid is not None and not is_alive(pid)
        await assert_serves(client)


async def test_ctrl_c_is_the_clients_to_handle() -> None:
    async with running() as client:
        pid = client.pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        await assert_serves(client)
        assert client.pid == pid


async def test_whoever_waits_for_stats_learns_of_the_death() -> None:
    async with running(step_timeout=1.0) as client:
        task = asyncio.create_task(collect(client, fake_request("poison", [HANG, 7], 5)))
        with pytest.raises(EngineUnavailable):
            while True:
                await client.refresh_stats()
        with pytest.raises(EngineUnavailable):
            await task


async def test_an_idle_process_that_answers_is_left_alone() -> None:
    async with running(step_timeout=1.0) as client:
        pid = client.pid
        child = client._child
        assert child is not None
        heard = [child.last_heard]
        while len(heard) < 7:  # six heartbeats: longer than the time-out
            await asyncio.sleep(0.01)
            if child.last_heard != heard[-1]:
                heard.append(child.last_heard)
        assert client.pid == pid


async def test_restarts_go_on_with_growing_delays_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    sleep = asyncio.sleep

    async def recording_sleep(delay: float) -> None:
        if delay >= client_module.RESTART_DELAY:
            delays.append(delay)
        await sleep(0)

    monkeypatch.setattr("engine.client.asyncio.sleep", recording_sleep)
    async with running() as client:
        pid = client.pid
        assert pid is not None
        client._command = ("/nonexistent/python",)
        os.kill(pid, signal.SIGKILL)
        while len(delays) < 4:
            await sleep(0.01)
        client._command = COMMAND
        while not client.healthy or client.pid == pid:
            await sleep(0.01)
        await assert_serves(client)
    assert delays[:4] == [0.01, 0.02, 0.04, 0.08]


# Starting and closing


async def test_a_start_that_fails_says_why_and_leaves_nothing_running() -> None:
    cases: list[tuple[str, type[Exception]]] = [
        ("raise ModelFileError('it is broken')", ModelFileError),
        ("raise EngineConfigError('no memory')", EngineConfigError),
        ("raise ValueError('surprise')", EngineUnavailable),
        ("os._exit(7)", EngineUnavailable),
    ]
    for statement, error in cases:
        program = (
            "import os, sys\n"
            "from engine.errors import *\n"
            "from engine.process import main\n"
            f"def load(config):\n    {statement}\n"
            "sys.exit(main(sys.argv[1:], load))"
        )
        client = EngineClient(fake_config(), (sys.executable, "-c", program))
        with pytest.raises(error):
            await client.start()
        assert not client.healthy
        with pytest.raises(EngineUnavailable):
            _ = client.info
        await client.close()


async def test_a_start_that_takes_too_long_is_given_up_and_its_process_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    client = EngineClient(fake_config(), ("/bin/sh", "-c", f"echo $$ > '{pid_file}'; exec sleep 60"))
    with pytest.raises(EngineUnavailable, match="not ready"):
        await client.start(timeout=1.0)
    assert pid_file.exists()
    assert not is_alive(int(pid_file.read_text()))


async def test_a_command_that_does_not_exist_is_a_typed_error() -> None:
    with pytest.raises(EngineUnavailable, match="cannot be started"):
        await EngineClient(fake_config(), ("/nonexistent/python",)).start()


async def test_a_configuration_that_cannot_work_is_refused_before_anything_starts() -> None:
    config = EngineConfig(name="a", path="-", token_budget=1)
    with pytest.raises(EngineConfigError):
        await EngineClient(config, ("/nonexistent/python",)).start()


async def test_closing_fails_what_is_in_work_and_ends_the_process() -> None:
    async with running() as client:
        pid = client.pid
        task = asyncio.create_task(collect(client, fake_request("a", [100], 390)))
        while not client.stats.running:
            await asyncio.sleep(0.001)
        await client.close()
        await client.close()
        with pytest.raises(EngineUnavailable):
            await task
        assert pid is not None and not is_alive(pid)
        with pytest.raises(EngineUnavailable):
            await first_delta(client, fake_request("b", [100], 5))
        with pytest.raises(EngineUnavailable):
            await client.refresh_stats()


async def test_closing_in_the_middle_of_a_restart_leaves_no_process(tmp_path: Path) -> None:
    async with running() as client:
        pid = client.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while client.healthy:
            await asyncio.sleep(0)
        await client.close()
        assert client.pid is None
