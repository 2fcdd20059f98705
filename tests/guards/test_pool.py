"""Workers: what a caller gets whatever happens to the process that works for it, and that none is left over."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pool_jobs
import pytest
import uvloop

from guards.pool import JobFailed, JobTimeout, PoolBusy, PoolClosed, PoolError, WorkerLost, WorkerPool

HERE = Path(__file__).resolve().parent


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool()
    yield pool
    await pool.close()


def runs(pid: int) -> bool:
    """Until its last thread is gone: before that nobody can wait for it."""
    folder = Path(f"/proc/{pid}")
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z" or len([*folder.glob("task/*")]) > 1
    except FileNotFoundError:
        return False


def gone(pid: int, within: float = 10.0) -> bool:
    end = time.monotonic() + within
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not runs(pid)


async def appears(path: Path) -> int:
    async with asyncio.timeout(20):
        while not (path.exists() and path.read_text()):
            await asyncio.sleep(0.005)
    return int(path.read_text())


async def has_lines(path: Path, count: int) -> None:
    async with asyncio.timeout(20):
        while len(path.read_text().split()) < count:
            await asyncio.sleep(0.005)


async def test_no_process_before_the_first_job(pool: WorkerPool) -> None:
    assert pool.pids == []
    assert await pool.run(pool_jobs.add, 2, 3) == 5
    assert len(pool.pids) == 1


async def test_what_msgpack_carries_comes_back(pool: WorkerPool) -> None:
    value = ["Zoë \U0001f600", b"\x00\xff", -(2**63), 0.5, None, True, {"a": [1, []]}, "x" * 200_000]
    assert await pool.run(pool_jobs.echo, value) == value


@pytest.mark.parametrize("value", ["\ud800", object(), 2**70])
async def test_what_it_cannot_carry_is_refused_and_the_worker_lives(pool: WorkerPool, value: object) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        await pool.run(pool_jobs.echo, value)
    assert await pool.run(pool_jobs.add, 1, 1) == 2


unnamed = lambda: 1  # noqa: E731


def of_the_script() -> None:
    """As if a script had defined it."""


of_the_script.__module__ = "__main__"


async def test_only_functions_of_modules_are_taken(pool: WorkerPool) -> None:
    for function in (unnamed, lambda: 1, Path.exists, of_the_script):
        with pytest.raises(ValueError, match="not a function of a module"):
            await pool.run(function)  # type: ignore[arg-type]


async def test_what_a_library_prints_breaks_no_frame_and_is_seen_nowhere(
    pool: WorkerPool, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        assert await pool.run(pool_jobs.chatter) == "heard"
    assert capfd.readouterr() == ("", "")


async def test_a_function_that_raises_tells_what_and_where_but_no_text(pool: WorkerPool) -> None:
    with pytest.raises(JobFailed) as failed:
        await pool.run(pool_jobs.fail, "the secret text")
    assert "ValueError at pool_jobs.py:" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert await pool.run(pool_jobs.add, 1, 1) == 2


async def test_a_job_that_hangs_is_ended_and_the_next_one_works(pool: WorkerPool, tmp_path: Path) -> None:
    before = await pool.run(pool_jobs.pid)
    process = pool._lanes[0].process
    with pytest.raises(JobTimeout):
        await pool.run(pool_jobs.hang, str(tmp_path / "mark"), limit=0.3)
    assert not runs(before)
    assert process is not None
    assert process.returncode == -signal.SIGKILL, "at once, not when its own alarm goes off"
    assert await pool.run(pool_jobs.pid) != before


@pytest.mark.parametrize("end", [pool_jobs.die, pool_jobs.leave])
async def test_a_worker_that_ends_fails_its_job_and_no_other(pool: WorkerPool, end: object) -> None:
    dying = asyncio.ensure_future(pool.run(end))  # type: ignore[arg-type]
    waiting = [asyncio.ensure_future(pool.run(pool_jobs.add, number, 1)) for number in range(3)]
    with pytest.raises(WorkerLost):
        await dying
    assert await asyncio.gather(*waiting) == [1, 2, 3]


async def test_a_worker_killed_from_outside_is_replaced(pool: WorkerPool, tmp_path: Path) -> None:
    job = asyncio.ensure_future(pool.run(pool_jobs.nap, str(tmp_path / "mark"), limit=60))
    os.kill(await appears(tmp_path / "mark"), signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await job
    idle = await pool.run(pool_jobs.pid)
    os.kill(idle, signal.SIGKILL)
    assert gone(idle)
    assert await pool.run(pool_jobs.add, 1, 1) == 2, "it had no job to lose"


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    pool = WorkerPool(queue=2)
    release = tmp_path / "release"
    jobs = [asyncio.ensure_future(pool.run(pool_jobs.wait_for, str(release))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(PoolBusy):
        await pool.run(pool_jobs.add, 1, 1)
    jobs[2].cancel()
    await asyncio.wait([jobs[2]])
    more = asyncio.ensure_future(pool.run(pool_jobs.add, 1, 1))
    await asyncio.sleep(0)
    release.touch()
    assert await more == 2
    await asyncio.gather(*jobs[:2])
    await pool.close()


async def test_a_caller_that_gives_up_takes_nothing_from_the_others(pool: WorkerPool, tmp_path: Path) -> None:
    release = tmp_path / "release"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.run(pool_jobs.wait_for, str(release)), 0.3)
    later = [asyncio.ensure_future(pool.run(pool_jobs.echo, number)) for number in range(5)]
    await asyncio.sleep(0)
    later[1].cancel()
    release.touch()
    answers = await asyncio.gather(*later, return_exceptions=True)
    assert [a for a in answers if not isinstance(a, BaseException)] == [0, 2, 3, 4]


async def test_a_caller_that_gives_up_in_its_turn_passes_the_worker_on(pool: WorkerPool) -> None:
    first = asyncio.ensure_future(pool.run(pool_jobs.echo, 0))
    second = asyncio.ensure_future(pool.run(pool_jobs.echo, 1))
    first.add_done_callback(lambda _: second.cancel())
    await asyncio.wait([first, second])
    assert await asyncio.wait_for(pool.run(pool_jobs.echo, 2), 20) == 2


async def test_a_worker_given_to_a_caller_that_gave_up_is_not_lost(pool: WorkerPool) -> None:
    for gives_up_first in (True, False):
        lane = await pool._take()
        waiting = asyncio.ensure_future(pool._take())
        await asyncio.sleep(0)
        for step in (waiting.cancel, lambda lane=lane: pool._give(lane))[:: 1 if gives_up_first else -1]:
            step()
        await asyncio.wait([waiting])
        assert await asyncio.wait_for(pool.run(pool_jobs.add, 1, 1), 20) == 2


async def test_workers_work_side_by_side(tmp_path: Path) -> None:
    pool = WorkerPool(workers=2)
    release = tmp_path / "release"
    held = asyncio.ensure_future(pool.run(pool_jobs.wait_for, str(release)))
    assert await pool.run(pool_jobs.add, 1, 1) == 2
    assert not held.done()
    release.touch()
    await held
    await pool.close()


async def test_something_is_loaded_once_in_each_worker_and_again_in_the_one_that_replaces_it(tmp_path: Path) -> None:
    pool = WorkerPool(workers=2)
    log = tmp_path / "log"
    assert await asyncio.gather(*(pool.load(pool_jobs.load, "model", str(log)) for _ in range(2))) == [1, 1]
    assert len(set(log.read_text().split())) == len(log.read_text().split()) == 2
    for _ in range(4):
        assert await pool.run(pool_jobs.loaded, "model") == 1
    with pytest.raises(WorkerLost):
        await pool.run(pool_jobs.die)
    await has_lines(log, 3)
    assert await pool.run(pool_jobs.loaded, "model") == 1
    pool.forget(pool_jobs.load, "model", str(log))
    with pytest.raises(WorkerLost):
        await pool.run(pool_jobs.die)
    await has_lines(log, 4)  # one of the two still wants it
    pool.forget(pool_jobs.load, "model", str(log))
    for _ in range(2):
        with pytest.raises(WorkerLost):
            await pool.run(pool_jobs.die)
    await pool.run(pool_jobs.pid)
    assert len(log.read_text().split()) == 4
    await pool.close()


async def test_what_cannot_be_loaded_is_told_in_full_and_forgotten(pool: WorkerPool) -> None:
    for _ in range(2):
        with pytest.raises(JobFailed, match="there is no model at /nowhere"):
            await pool.load(pool_jobs.load_nothing, "/nowhere")
    assert not pool.loads
    assert await pool.run(pool_jobs.add, 1, 1) == 2


async def test_what_could_not_be_loaded_may_be_tried_again(pool: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(JobFailed):
        await pool.load(pool_jobs.load_file, str(tmp_path / "model"))
    (tmp_path / "model").write_text("weights")
    assert await pool.load(pool_jobs.load_file, str(tmp_path / "model")) == "weights"


async def test_two_that_load_at_once_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    pool = WorkerPool(workers=2)
    held = asyncio.ensure_future(pool.run(pool_jobs.wait_for, str(tmp_path / "release")))
    await asyncio.sleep(0)
    loads = [asyncio.ensure_future(pool.load(pool_jobs.load, name, str(tmp_path / "log"))) for name in ("a", "b")]
    await asyncio.sleep(0)
    (tmp_path / "release").touch()
    async with asyncio.timeout(30):
        await asyncio.gather(held, *loads)
    await pool.close()


async def test_torch_cannot_be_imported_and_little_else_is(pool: WorkerPool) -> None:
    loaded = set(await pool.run(pool_jobs.modules))
    assert not loaded & {"numpy", "spacy", "asyncio", "hypothesis", "guards.pool"}
    assert not await pool.run(pool_jobs.imports, "torch")
    assert await pool.run(pool_jobs.imports, "json")


async def test_close_ends_every_process_and_fails_what_runs_and_waits(tmp_path: Path) -> None:
    pool = WorkerPool(workers=2)
    jobs = [asyncio.ensure_future(pool.run(pool_jobs.nap, str(tmp_path / str(n)), limit=60)) for n in range(3)]
    await appears(tmp_path / "0")
    await appears(tmp_path / "1")
    pids = pool.pids
    await pool.close()
    assert len(pids) == 2
    assert not any(map(runs, pids))
    assert all(isinstance(error, PoolClosed) for error in await asyncio.gather(*jobs, return_exceptions=True))
    with pytest.raises(PoolClosed):
        await pool.run(pool_jobs.add, 1, 1)
    await pool.close()


async def test_closing_while_a_worker_starts_leaves_none() -> None:
    pool = WorkerPool()
    job = asyncio.ensure_future(pool.run(pool_jobs.pid))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await pool.close()
    assert pool.pids == []
    with pytest.raises(PoolError):
        await job


def test_the_pool_works_on_uvloop(tmp_path: Path) -> None:
    async def main() -> None:
        pool = WorkerPool()
        assert await pool.run(pool_jobs.echo, "x" * 300_000) == "x" * 300_000
        with pytest.raises(JobTimeout):
            await pool.run(pool_jobs.nap, str(tmp_path / "mark"), limit=0.2)
        with pytest.raises(WorkerLost):
            await pool.run(pool_jobs.die)
        assert await pool.run(pool_jobs.add, 1, 1) == 2
        await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


_PARENT = """
import asyncio, sys
import pool_jobs
from guards.pool import WorkerPool

async def main():
    pool = WorkerPool(workers=2)
    print(await pool.run(pool_jobs.pid), flush=True)
    await pool.run(getattr(pool_jobs, sys.argv[1]), sys.argv[2], limit=float(sys.argv[3]))

asyncio.run(main())
"""


# `hang` never lets another thread of its process run: then the kernel ends it when its time is over.
@pytest.mark.parametrize(("function", "limit"), [("nap", "60"), ("hang", "1")])
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path, function: str, limit: str) -> None:
    mark = tmp_path / "mark"
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, function, str(mark), limit], cwd=HERE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = {int(parent.stdout.readline())}
    while not (mark.exists() and mark.read_text()):
        time.sleep(0.01)
    pids.add(int(mark.read_text()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert all(gone(pid) for pid in pids)
