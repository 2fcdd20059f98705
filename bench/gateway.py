"""The gate beside its peers and its floors, in one run: requests per second and median latency at 1 and 16 connections.

    python bench/gateway.py [--rounds 3] [--seconds 5] [--litellm VENV] [--portkey FOLDER]

Everything is one process and shares this machine: the client (wrk, one thread), the gateway, the upstream (nginx, a
fixed reply at once). In every round each contestant gets its turn. Floors: nginx passing on, a plain ASGI function
with an aiohttp client (what we stand on), a FastAPI route with the same client. Ours has the key check, limits, two
budgets, ledger, log line, metrics and traces (to a sink, 50 a second) on; once without and once with the PII guard.
`--litellm`: a virtual environment with `litellm[proxy]`; `--portkey`: a folder in which npm has installed
`@portkey-ai/gateway`.

Needs wrk and nginx (Debian packages).
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parent.parent
REPLY = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fixed",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A fixed reply of some words."},
                 "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
}  # fmt: skip
ASK = {"model": "assistant", "messages": [{"role": "user", "content": "Say a few words about the sea, please."}]}
PATH = "/v1/chat/completions"
ADMIN = "sg-bench-admin"

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream fixed {{ server 127.0.0.1:{port}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{reply}'; }} }}
  server {{ listen 127.0.0.1:{through}; location / {{
    proxy_pass http://fixed; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""

PLAIN_ASGI = """
import aiohttp, uvicorn
session = None
async def app(scope, receive, send):
    global session
    if session is None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    async with session.post("http://127.0.0.1:{upstream}{path}", data=body,
                            headers={{"content-type": "application/json"}}) as response:
        reply = await response.read()
    await send({{"type": "http.response.start", "status": response.status, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]}})
    await send({{"type": "http.response.body", "body": reply}})
uvicorn.run(app, port={port}, loop="uvloop", http="httptools", lifespan="off", log_level="critical")
"""

FASTAPI = """
import aiohttp, uvicorn
from fastapi import FastAPI, Request, Response
app, session = FastAPI(), None
@app.post("{path}")
async def forward(request: Request):
    global session
    if session is None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with session.post("http://127.0.0.1:{upstream}{path}", data=await request.body(),
                            headers={{"content-type": "application/json"}}) as response:
        return Response(await response.read(), response.status, media_type="application/json")
uvicorn.run(app, port={port}, loop="uvloop", http="httptools", lifespan="off", log_level="critical")
"""

SINK = """
import uvicorn
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}})
    await send({{"type": "http.response.body", "body": b""}})
uvicorn.run(app, port={port}, loop="uvloop", http="httptools", lifespan="off", log_level="critical")
"""

SLUICEGATE = """
admin_key: {admin}
models:
  - name: assistant
    targets:
      - provider: openai
        model: fixed
        base_url: "http://127.0.0.1:{upstream}/v1"
        price: {{input: "0.15", output: "0.60"}}
telemetry: {{otlp_endpoint: "http://127.0.0.1:{sink}"}}
"""
GUARD = "guards: [{name: pii, kind: pii, default: true}]\n"
KEY = {
    "name": "bench",
    "team": "bench",
    "limits": {"requests_per_minute": 10**8, "tokens_per_minute": 10**11, "concurrent_requests": 10_000},
    "budgets": [{"limit_usd": "900000", "window": "month"}, {"limit_usd": "90000", "window": "day"}],
}

LITELLM = """
model_list:
  - model_name: assistant
    litellm_params: {{model: openai/fixed, api_base: "http://127.0.0.1:{upstream}/v1", api_key: sk-none}}
general_settings: {{master_key: {admin}-0123456789-0123456789}}
"""


@dataclass
class Contestant:
    name: str
    port: int
    process: subprocess.Popen[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    started: float = 0.0  # seconds until it answered

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, env: Mapping[str, str] = {}) -> Iterator[subprocess.Popen[bytes]]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **env}, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(contestant: Contestant, path: str = PATH, body: object = ASK) -> tuple[int, bytes]:
    request = urllib.request.Request(
        contestant.url + path,
        orjson.dumps(body),
        {"content-type": "application/json", **contestant.headers},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, response.read()


def until_it_answers(contestant: Contestant, seconds: float = 90.0) -> None:
    began = time.perf_counter()
    while True:
        try:
            status, body = ask(contestant)
            assert status == 200, body
            assert orjson.loads(body)["choices"][0]["message"]["content"], body
            break
        except (OSError, urllib.error.URLError):
            if time.perf_counter() - began > seconds:
                raise
            time.sleep(0.05)
    contestant.started = time.perf_counter() - began


@dataclass(frozen=True)
class Taken:
    """What one contestant did in one turn."""

    rate: float  # requests per second
    p50: float  # ms
    cpu: float  # microseconds of its process's time for each request


def load(contestant: Contestant, connections: int, seconds: float, script: Path) -> Taken:
    headers = {"content-type": "application/json", **contestant.headers}
    body = orjson.dumps(ASK).decode()
    lines = [f"wrk.headers[{name!r}] = {value!r}" for name, value in headers.items()]
    script.write_text("\n".join(["wrk.method = 'POST'", f"wrk.body = '{body}'", *lines]))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--latency",
        "-s",
        str(script),
        contestant.url + PATH,
    ]
    before = cpu_seconds(contestant)
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(contestant) - before
    if "Non-2xx" in told:
        raise SystemExit(f"{contestant.name} did not answer 200:\n{told}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", told)
    done = re.search(r"(\d+) requests in", told)
    assert rate and median and done, told
    p50 = float(median[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[median[2]]
    return Taken(float(rate[1]), p50, spent / int(done[1]) * 1e6)


def processes(contestant: Contestant) -> Iterator[Path]:
    """The folders in /proc of its process and its children."""
    if contestant.process is None:
        return
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and os.getpgid(int(entry.name)) == contestant.process.pid:
                yield entry
        except ProcessLookupError:
            continue


def cpu_seconds(contestant: Contestant) -> float:
    ticks = 0
    for folder in processes(contestant):
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(contestant: Contestant) -> float:
    pages = sum(int((folder / "statm").read_text().split()[1]) for folder in processes(contestant))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def start_all(stack: ExitStack, folder: Path, litellm: Path | None, portkey: Path | None) -> list[Contestant]:
    upstream, through, sink = free_port(), free_port(), free_port()
    (folder / "nginx.conf").write_text(
        NGINX.format(folder=folder, port=upstream, through=through, reply=orjson.dumps(REPLY).decode())
    )
    nginx = stack.enter_context(running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder))
    stack.enter_context(running([sys.executable, "-c", SINK.format(port=sink)], folder))
    found = [Contestant("upstream alone", upstream), Contestant("nginx proxy_pass", through, nginx)]

    def start(name: str, command: list[str], port: int, env: Mapping[str, str] = {}, **headers: str) -> Contestant:
        contestant = Contestant(name, port, stack.enter_context(running(command, folder, env)), headers)
        found.append(contestant)
        return contestant

    for name, code in (("plain ASGI + aiohttp", PLAIN_ASGI), ("FastAPI + aiohttp", FASTAPI)):
        port = free_port()
        start(name, [sys.executable, "-c", code.format(upstream=upstream, path=PATH, port=port)], port)
    for name, guards in (("Sluicegate", ""), ("Sluicegate + PII", GUARD)):
        config = folder / f"{name.replace(' ', '')}.yaml"
        state = folder / f"{name.replace(' ', '')}-state"
        config.write_text(
            SLUICEGATE.format(admin=ADMIN, upstream=upstream, sink=sink)
            + guards
            + f"server: {{state_dir: {state}}}\nstorage: {{url: 'sqlite+aiosqlite:///{state}/gate.db'}}\n"
        )
        port = free_port()
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", str(port)]
        gate = start(name, command, port, {"PYTHONPATH": str(ROOT)}, authorization=f"Bearer {ADMIN}")
        until_it_answers(gate)
        _, made = ask(gate, "/admin/keys", KEY)
        gate.headers["authorization"] = f"Bearer {orjson.loads(made)['key']}"
    if litellm is not None:
        config = folder / "litellm.yaml"
        config.write_text(LITELLM.format(upstream=upstream, admin=ADMIN))
        port = free_port()
        command = [str(litellm / "bin" / "litellm"), "--config", str(config), "--port", str(port), "--num_workers", "1"]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        start("LiteLLM proxy", command, port, env, authorization=f"Bearer {ADMIN}-0123456789-0123456789")
    if portkey is not None:
        port = free_port()
        server = portkey / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        told = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}
        gateway = start("Portkey", ["node", str(server), f"--port={port}"], port, authorization="Bearer sk-none")
        gateway.headers |= told
    for contestant in found:
        if not contestant.started:
            until_it_answers(contestant)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--litellm", type=Path)
    parser.add_argument("--portkey", type=Path)
    arguments = parser.parse_args()
    figures: dict[tuple[str, int], list[Taken]] = {}
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        contestants = start_all(stack, folder, arguments.litellm, arguments.portkey)
        for contestant in contestants:
            load(contestant, 16, 1.0, folder / "wrk.lua")  # warm
        for _ in range(arguments.rounds):
            for connections in (1, 16):
                for contestant in contestants:
                    taken = load(contestant, connections, arguments.seconds, folder / "wrk.lua")
                    figures.setdefault((contestant.name, connections), []).append(taken)
        sizes = {contestant.name: resident_mib(contestant) for contestant in contestants}
    report(contestants, figures, sizes)


def report(contestants: list[Contestant], figures: dict[tuple[str, int], list[Taken]], sizes: dict[str, float]) -> None:
    def middle(name: str, connections: int) -> Taken:
        taken = figures[name, connections]
        return Taken(*(statistics.median(getattr(one, each) for one in taken) for each in ("rate", "p50", "cpu")))

    floor = middle("plain ASGI + aiohttp", 16)
    alone = middle("upstream alone", 1)
    print(
        f"{'':24}{'1 connection':>24}{'added p50':>12}{'16 connections':>26}{'of plain ASGI':>15}"
        f"{'CPU/request':>13}{'of plain':>10}{'MiB':>7}"
    )
    for contestant in contestants:
        one, many = middle(contestant.name, 1), middle(contestant.name, 16)
        print(
            f"{contestant.name:24}{one.rate:9.0f} req/s {one.p50:5.2f} ms{one.p50 - alone.p50:9.2f} ms"
            f"{many.rate:11.0f} req/s {many.p50:5.1f} ms{many.rate / floor.rate:14.0%}"
            f"{many.cpu:10.0f} µs{floor.cpu / many.cpu if many.cpu else 0:10.0%}{sizes[contestant.name]:7.0f}"
        )


if __name__ == "__main__":
    main()
