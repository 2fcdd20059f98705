"""The engine process's loop over a real socket, run in a thread of the test."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_runner import FakeRunner, continuation, fake_config, fake_request

from engine import ipc
from engine.config import EngineConfig
from engine.core.block_pool import BlockPool, IntegrityError
from engine.core.runner import BatchRow, RowResult
from engine.errors import EngineConfigError, ModelFileError
from engine.process import serve
from engine.types import Delta, FinishReason

HELPER = Path(__file__).with_name("fake_runner.py")


class Peer:
    """The client's end of the socket, blocking; `error` is what `serve` raised."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.error: BaseException | None = None
        self._reader = ipc.FrameReader(ipc.from_engine)
        self._received: list[ipc.FromEngine] = []

    def say(self, *messages: ipc.ToEngine) -> None:
        self.sock.sendall(b"".join(ipc.encode(message) for message in messages))

    def hear(self) -> ipc.FromEngine:
        while not self._received:
            messages = ipc.receive(self.sock, self._reader)
            assert messages is not None, "the engine has closed"
            self._received += messages
        return self._received.pop(0)

    def hear_until_finished(self, *names: str) -> dict[str, list[Delta]]:
        heard: dict[str, list[Delta]] = {name: [] for name in names}
        while not all(deltas and deltas[-1].finish for deltas in heard.values()):
            frame = self.hear()
            assert isinstance(frame, ipc.Deltas)
            for delta in frame.deltas:
                heard[delta.id].append(delta)
        return heard


@contextmanager
def served(
    config: EngineConfig, load_runner: Callable[[EngineConfig], FakeRunner] = lambda config: FakeRunner(101)
) -> Iterator[Peer]:
    ours, theirs = socket.socketpair()
    peer = Peer(ours)

    def run() -> None:
        with theirs:
            try:
                serve(theirs, config, load_runner)
            except Exception as error:
                peer.error = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with ours:
            ours.settimeout(30)
            yield peer
    finally:
        thread.join(30)
        assert not thread.is_alive(), "serve did not end with its socket"


def test_serves_requests_and_ends_with_the_socket() -> None:
    with served(fake_config()) as peer:
        ready = peer.hear()
        assert isinstance(ready, ipc.Ready)
        assert ready.info.context == 400  # what the pool holds, less than the model's
        prompts = {"a": [100, 101], "b": [200] * 9}
        peer.say(*(ipc.Submit(fake_request(name, prompt, 5)) for name, prompt in prompts.items()))
        for name, deltas in peer.hear_until_finished("a", "b").items():
            assert [token for delta in deltas for token in delta.tokens] == continuation(prompts[name], 5)
    assert peer.error is None


def test_all_sequences_of_a_step_come_in_one_frame_with_the_stats_after_it() -> None:
    with served(fake_config()) as peer:
        peer.hear()
        peer.say(*(ipc.Submit(fake_request(name, [100, ord(name)], 3)) for name in "abc"))
        frames = []
        while not frames or frames[-1].stats.running:
            frame = peer.hear()
            assert isinstance(frame, ipc.Deltas)
            frames.append(frame)
        assert len(frames) == 3
        assert all([delta.id for delta in frame.deltas] == ["a", "b", "c"] for frame in frames)
        assert frames[-1].stats.blocks_used == 0


def test_rejections_carry_the_error_and_the_others_go_on() -> None:
    with served(fake_config(max_waiting=1)) as peer:
        peer.hear()
        peer.say(
            ipc.Submit(fake_request("empty", [], 5)),
            ipc.Submit(fake_request("long", [100] * 399, 2)),
            ipc.Submit(fake_request("good", [100], 5)),
            ipc.Submit(fake_request("late", [101], 5)),
        )
        rejected = {}
        while len(rejected) < 3:
            frame = peer.hear()
            assert isinstance(frame, ipc.Rejected)
            rejected[frame.id] = frame.kind
        assert rejected == {"empty": "InvalidRequest", "long": "PromptTooLong", "late": "QueueFull"}
        peer.hear_until_finished("good")


def test_an_abort_between_steps_is_answered_and_frees_the_blocks() -> None:
    said = threading.Event()

    def second_step_waits(rows: list[BatchRow]) -> None:
        if rows[0].output_index == 1:
            said.wait(30)

    with served(fake_config(), lambda config: FakeRunner(101, before_step=second_step_waits)) as peer:
        peer.hear()
        peer.say(ipc.Submit(fake_request("a", [100] * 9, 300)))
        while not isinstance(peer.hear(), ipc.Deltas):
            pass
        peer.say(ipc.Abort("a"), ipc.Abort("a"), ipc.Abort("unknown"))
        said.set()
        deltas = peer.hear_until_finished("a")["a"]
        assert deltas[-1].finish is FinishReason.ABORT
        peer.say(ipc.StatsRequest())
        stats = peer.hear()
        assert isinstance(stats, ipc.Stats)
        assert (stats.stats.running, stats.stats.blocks_used) == (0, 0)


def test_eof_in_the_middle_of_a_generation_ends_the_loop() -> None:
    with served(fake_config()) as peer:
        peer.hear()
        peer.say(ipc.Submit(fake_request("a", [100], 350)))
        peer.hear()
    assert peer.error is None


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x03abc", ipc.encode(ipc.Hello(fake_config()))])
def test_nonsense_from_the_client_ends_the_process_with_a_typed_error(data: bytes) -> None:
    with served(fake_config()) as peer:
        peer.hear()
        peer.sock.sendall(data)
        with pytest.raises(AssertionError, match="closed"):
            peer.hear()
    assert isinstance(peer.error, ipc.ProtocolError)


@pytest.mark.parametrize(
    ("error", "kind"), [(ModelFileError("broken"), "ModelFileError"), (MemoryError("too big"), "MemoryError")]
)
def test_a_model_that_cannot_be_loaded_is_told(error: Exception, kind: str) -> None:
    def load(config: EngineConfig) -> FakeRunner:
        raise error

    with served(fake_config(), load) as peer:
        assert peer.hear() == ipc.Failed(kind, str(error))
    assert peer.error is error


def test_an_input_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with served(fake_config(input_log=str(tmp_path / "no folder" / "log"))) as peer:
        failed = peer.hear()
        assert isinstance(failed, ipc.Failed) and failed.kind == "EngineConfigError"
    assert isinstance(peer.error, EngineConfigError)


def test_the_input_log_holds_accepted_prompts_only(tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    with served(fake_config(input_log=str(path))) as peer:
        peer.hear()
        peer.say(ipc.Submit(fake_request("no", [], 1)), ipc.Submit(fake_request("a", [100, 7], 1)))
        peer.hear()
        peer.hear_until_finished("a")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"id": "a", "tokens": [100, 7]}]


class Leaky(FakeRunner):
    """Steals a block of the core's at its first step."""

    core_pool_allocate: Callable[[int], list[int]] | None = None

    def execute(self, rows: list[BatchRow]) -> list[RowResult]:
        if self.core_pool_allocate is not None:
            self.core_pool_allocate(1)
            self.core_pool_allocate = None
        return super().execute(rows)


@pytest.mark.parametrize("strict", [True, False])
def test_a_failed_idle_self_check_is_logged_and_ends_only_a_strict_process(
    strict: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Leaky(101)

    def spying_pool(num_blocks: int, block_size: int) -> BlockPool:
        pool = BlockPool(num_blocks, block_size)
        runner.core_pool_allocate = pool.allocate
        return pool

    monkeypatch.setattr("engine.core.engine.BlockPool", spying_pool)
    with (
        caplog.at_level(logging.ERROR),
        served(fake_config(strict_integrity=strict), lambda config: runner) as peer,
    ):
        peer.hear()
        peer.say(ipc.Submit(fake_request("a", [100], 2)))
        peer.hear_until_finished("a")
        if not strict:
            peer.say(ipc.StatsRequest())
            stats = peer.hear()
            assert isinstance(stats, ipc.Stats) and stats.stats.integrity_failures == 1
            assert "block accounting" in caplog.text
    assert isinstance(peer.error, IntegrityError) == strict


def test_no_prompt_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def explode(rows: list[BatchRow]) -> None:
        raise RuntimeError("boom")

    with (
        caplog.at_level(logging.DEBUG),
        served(fake_config(), lambda config: FakeRunner(101, before_step=explode)) as peer,
    ):
        peer.hear()
        peer.say(ipc.Submit(fake_request("a", [100, 987, 986], 2)))
        assert peer.hear_until_finished("a")["a"][-1].finish is FinishReason.ERROR
    assert "boom" in caplog.text
    assert "987" not in caplog.text


def start_program(sock: socket.socket) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HELPER), str(sock.fileno())],
        pass_fds=(sock.fileno(),),
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("greeted", [True, False])
def test_the_program_exits_when_its_client_is_gone(greeted: bool) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = start_program(theirs)
    with ours:
        if greeted:
            ours.settimeout(30)
            peer = Peer(ours)
            peer.say(ipc.Hello(fake_config()))
            assert isinstance(peer.hear(), ipc.Ready)
            peer.say(ipc.Submit(fake_request("a", [100], 300)))
            peer.hear()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr


def test_a_program_that_hangs_is_ended_when_its_client_is_gone() -> None:
    program = (
        "import sys, time\n"
        "from engine import ipc, process\n"
        "process.ORPHAN_GRACE = 0.05\n"
        "def load(config):\n"
        "    process._send(sock, ipc.Failed('', 'loading'))\n"
        "    time.sleep(60)\n"
        "import socket\n"
        "sock = socket.socket(fileno=int(sys.argv[1]))\n"
        "process.main(sys.argv[1:], load)\n"
    )
    ours, theirs = socket.socketpair()
    with theirs:
        fd = theirs.fileno()
        process = subprocess.Popen([sys.executable, "-c", program, str(fd)], pass_fds=(fd,))
    with ours:
        ours.settimeout(30)
        peer = Peer(ours)
        peer.say(ipc.Hello(fake_config()))
        peer.hear()  # it loads now, and will for a minute
    assert process.wait(timeout=30) == 1


@pytest.mark.parametrize("first", [ipc.encode(ipc.StatsRequest()), b"\xff\xff\xff\xff"])
def test_the_program_refuses_a_wrong_first_frame(first: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = start_program(theirs)
    with ours:
        ours.sendall(first)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "ProtocolError" in stderr and "Traceback" not in stderr


def test_the_program_needs_a_socket() -> None:
    done = subprocess.run([sys.executable, str(HELPER)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
