"""Many slow streams at once, and what the gate adds to each event of them.

    python bench/streams.py [--streams 1000] [--seconds 60] [--rounds 3] [--guard]

Three processes share this machine: a scripted upstream, the gate (key, limits, budget, ledger and metrics on; with
`--guard` the PII guard too), and the client, which is this one. First the delay: 100 streams of 10 events a second
each; every event tells when it was sent, and the client how long it was on its way, in turns through the gate and
straight from the upstream. Then the crowd: `--streams` streams with an event every one to two seconds; every event
must come, once and in order. The gate's resident memory is read when all have had their first events, and in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from first_light import free_port
from startup import ready, resident_mb

IN_LETTERS = str.maketrans("0123456789", "abcdefghij")  # long numbers look like a card's to a guard
IN_DIGITS = str.maketrans("abcdefghij", "0123456789")
ROOT = Path(__file__).resolve().parent.parent
ADMIN = "sg-bench-admin"
FILES = 16_384
FEW, RATE, ROUND_SECONDS = 100, 10.0, 10.0  # streams of the delay's measurement, their events a second, its rounds
WARM_SECONDS = 10.0  # until memory is first read
CONFIG = """
admin_key: {admin}
models:
  - name: assistant
    targets: [{{provider: openai, model: slow, base_url: "http://127.0.0.1:{upstream}/v1", price: {{input: "1", output: "2"}}}}]
telemetry: {{log_level: error}}
{guards}
"""  # noqa: E501
GUARD = "guards: [{name: pii, kind: pii, default: true}]"
KEY = {
    "name": "bench",
    "limits": {"requests_per_minute": 10**8, "tokens_per_minute": 10**11, "concurrent_requests": 100_000},
    "budgets": [{"limit_usd": "900000", "window": "month"}],
}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream: `events` events, `low` to `high` seconds apart, as the request asks; each tells number and time."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    asked = orjson.loads(await reader.readexactly(int(length[1]) if length else 0))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    await asyncio.sleep(random.uniform(0, asked["high"]))
    for number in range(asked["events"]):
        writer.write(chunk({"content": f"{number}:{time.monotonic_ns()} ".translate(IN_LETTERS)}))
        await writer.drain()
        await asyncio.sleep(random.uniform(asked["low"], asked["high"]))
    writer.write(chunk({}, "stop") + b"data: [DONE]\n\n")
    writer.close()


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "slow", "choices": [choice]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


async def serve_upstream(port: int) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


@dataclass
class Heard:
    """What all streams of a run brought. `delays` are milliseconds from the upstream's write to the client's read."""

    delays: list[float] = field(default_factory=list)
    wrong: int = 0  # streams in which an event was missing, double or out of order, or without their end


async def listen(http: aiohttp.ClientSession, url: str, asked: dict[str, Any], heard: Heard) -> None:
    body = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "Go on."}], **asked}
    told: list[int] = []
    pending, ended = "", False
    async with http.post(f"{url}/v1/chat/completions", json=body) as response:
        async for line in response.content:
            now = time.monotonic_ns()
            if line == b"data: [DONE]\n":
                ended = True
            elif line.startswith(b"data: "):
                *whole, pending = (pending + said(line)).split(" ")
                for word in whole:
                    number, sent = map(int, word.translate(IN_DIGITS).split(":"))
                    told.append(number)
                    heard.delays.append((now - sent) / 1e6)
    heard.wrong += not (ended and told == list(range(asked["events"])))


def said(line: bytes) -> str:
    choices = orjson.loads(line[6:]).get("choices")
    text: str = choices[0]["delta"].get("content", "") if choices else ""
    return text


async def run(http: aiohttp.ClientSession, url: str, streams: int, events: int, gap: tuple[float, float]) -> Heard:
    """So many streams at once, each of so many events, `gap` seconds apart."""
    heard = Heard()
    asked = {"events": events, "low": gap[0], "high": gap[1]}
    await asyncio.gather(*(listen(http, url, asked, heard) for _ in range(streams)))
    return heard


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


async def measure_delay(http: aiohttp.ClientSession, gate: str, upstream: str, rounds: int) -> None:
    gap = (1 / RATE, 1 / RATE)
    delays: dict[str, list[list[float]]] = {"straight": [], "gate": []}
    for _ in range(rounds):
        for name, url in (("straight", upstream), ("gate", gate)):
            heard = await run(http, url, FEW, int(ROUND_SECONDS * RATE), gap)
            if heard.wrong:
                raise SystemExit(f"{heard.wrong} of {FEW} streams were not whole ({name})")
            delays[name].append(heard.delays)
    print(f"delay of an event at {FEW} streams of {RATE:g} events/s, ms, medians over {rounds} rounds")
    found = {}
    for name, measured in delays.items():
        found[name] = [statistics.median(percentile(part, share) for part in measured) for share in (0.5, 0.99)]
        print(f"  {name:10} p50 {found[name][0]:7.2f}   p99 {found[name][1]:7.2f}   max {max(map(max, measured)):7.2f}")
    p50, p99 = (gate_ms - straight for gate_ms, straight in zip(found["gate"], found["straight"], strict=True))
    print(f"  {'added':10} p50 {p50:7.2f}   p99 {p99:7.2f}")


async def measure_crowd(http: aiohttp.ClientSession, gate: str, pid: int, streams: int, seconds: float) -> None:
    print(f"{streams} streams for about {seconds:g} s, an event every 1 to 2 s")
    cpu = cpu_seconds(pid)
    started = time.monotonic()
    running = asyncio.create_task(run(http, gate, streams, int(seconds / 1.5), (1.0, 2.0)))
    await asyncio.sleep(WARM_SECONDS)
    warm, files = resident_mb(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    peak = warm
    while not running.done():
        await asyncio.wait((running,), timeout=1.0)
        peak = max(peak, resident_mb(pid))
    heard = await running
    took = time.monotonic() - started
    print(f"  {len(heard.delays)} events in {took:.0f} s; streams not whole: {heard.wrong}; files open: {files}")
    ended = resident_mb(pid)
    print(f"  memory: {warm:.1f} MB after {WARM_SECONDS:g} s, {peak:.1f} MB at most, {ended:.1f} MB at the end")
    print(f"  delay p50 {percentile(heard.delays, 0.5):.2f}   p99 {percentile(heard.delays, 0.99):.2f} ms; ", end="")
    print(f"the gate's processor time: {(cpu_seconds(pid) - cpu) / took * 100:.0f} % of a core")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(*command: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait()


async def measure(gate: str, upstream: str, pid: int, options: argparse.Namespace) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        admin = {"authorization": f"Bearer {ADMIN}"}
        async with http.post(f"{gate}/admin/keys", json=KEY, headers=admin) as response:
            key = orjson.loads(await response.read())["key"]
        http.headers["authorization"] = f"Bearer {key}"
        await measure_delay(http, gate, upstream, options.rounds)
        await measure_crowd(http, gate, pid, options.streams, options.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--guard", action="store_true", help="with the PII guard on")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)  # the port to be the upstream on
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    if options.upstream is not None:
        uvloop.run(serve_upstream(options.upstream))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream, port = free_port(), free_port()
        guards = GUARD if options.guard else ""
        (folder / "sluicegate.yaml").write_text(CONFIG.format(admin=ADMIN, upstream=upstream, guards=guards))
        gate = f"http://127.0.0.1:{port}"
        serve = (sys.executable, "-m", "gateway", "serve", "--port", str(port))
        answering = (sys.executable, str(Path(__file__).resolve()), "--upstream", str(upstream))
        with process(*answering, cwd=folder), process(*serve, cwd=folder) as served:
            while not ready(f"{gate}/health/ready"):
                if served.poll() is not None:
                    raise SystemExit(f"the gate did not start (exit {served.returncode})")
                time.sleep(0.05)
            uvloop.run(measure(gate, f"http://127.0.0.1:{upstream}", served.pid, options))


if __name__ == "__main__":
    main()
