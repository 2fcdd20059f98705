"""The whole line, measured: the engine beside `transformers`, the gate beside the upstream it fronts.

    python bench/first_light.py [--rounds 3] [--tokens 64] [--skip-engine] [--skip-gate]

Engine: tokens per second of decoding at batch 1 and 8 and of a 512-token prefill, one thread each, ours and
`transformers.generate` in fp32 on the same dequantised weights, interleaved; medians. Gate: requests per second and
median latency through key check, PII guard, ledger, log and metrics, at 1 and 16 connections, beside the same client
calling the upstream itself, which answers a fixed reply at once. Client, gate and upstream share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MODEL = Path(os.environ.get("SLUICEGATE_TEST_MODEL", ROOT / "models" / "smollm2-135m.gguf"))
PREFILL = 512
PROMPT = 16

REPLY = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fixed",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A fixed reply of some words."},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
}  # fmt: skip
ASK = {"model": "assistant", "messages": [{"role": "user", "content": "Say a few words about the sea, please."}]}


def measure_engines(rounds: int, tokens: int) -> None:
    """Print a table: each engine's tokens per second, medians over interleaved rounds."""
    engines = [("transformers fp32", transformers_runs(tokens)), ("ours f32", asyncio.run(our_runs("f32", tokens)))]
    engines.append(("ours int8", asyncio.run(our_runs("int8", tokens))))
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, runs in engines:
            for what, run in runs.items():
                figures.setdefault((name, what), []).append(run())
    columns = ["prefill 512", "decode, batch 1", "decode, batch 8"]
    print(f"\ntokens/s, 1 thread, {tokens} tokens after {PROMPT}, median of {rounds}")
    print(f"{'':20}" + "".join(f"{column:>18}" for column in columns))
    for name, _ in engines:
        print(f"{name:20}" + "".join(f"{statistics.median(figures[name, column]):18.1f}" for column in columns))


Runs = dict[str, Callable[[], float]]


def transformers_runs(tokens: int) -> Runs:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        MODEL.parent, gguf_file=MODEL.name, dtype=torch.float32, local_files_only=True
    ).eval()

    def prefill() -> float:
        ids = torch.arange(1000, 1000 + PREFILL)[None]
        started = time.perf_counter()
        with torch.inference_mode():
            model(ids, logits_to_keep=1)
        return PREFILL / (time.perf_counter() - started)

    def decode(batch: int) -> float:
        ids = torch.stack([torch.arange(1000 + 50 * row, 1000 + 50 * row + PROMPT) for row in range(batch)])
        with torch.inference_mode():
            started = time.perf_counter()
            model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=tokens,
                max_new_tokens=tokens, pad_token_id=2,
            )  # fmt: skip
        return batch * tokens / (time.perf_counter() - started)

    return {"prefill 512": prefill, "decode, batch 1": lambda: decode(1), "decode, batch 8": lambda: decode(8)}


async def our_runs(weights: Literal["f32", "int8"], tokens: int) -> Runs:
    """The engine's core and runner in this process, so that both sides are measured alike."""
    from engine.config import EngineConfig, KVCacheConfig
    from engine.core.engine import EngineCore
    from engine.runner import TorchRunner
    from engine.types import Request, SamplingParams

    config = EngineConfig(
        name="bench", path=str(MODEL), weights=weights, threads=1, max_context=1024, prefix_caching=False,
        kv_cache=KVCacheConfig(memory=512 * 2**20),
    )  # fmt: skip
    core = EngineCore(config, TorchRunner(config), clock=time.monotonic)

    def run(batch: int, prompt: int, new: int) -> float:
        params = SamplingParams(max_tokens=new, temperature=0.0, ignore_eos=True)
        for row in range(batch):
            ids = list(range(1000 + 50 * row, 1000 + 50 * row + prompt))
            core.submit(Request(id=f"r{row}", prompt=ids, params=params))
        started = time.perf_counter()
        while core.has_work:
            core.step()
        return time.perf_counter() - started

    return {
        "prefill 512": lambda: PREFILL / run(1, PREFILL, 1),
        "decode, batch 1": lambda: tokens / run(1, PROMPT, tokens),
        "decode, batch 8": lambda: 8 * tokens / run(8, PROMPT, tokens),
    }


UPSTREAM = """
import sys
sys.path.insert(0, {root!r})
import orjson, uvicorn
REPLY = orjson.dumps({reply!r})
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(REPLY)).encode())]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({{"type": "http.response.start", "status": 200, "headers": HEADERS}})
    await send({{"type": "http.response.body", "body": REPLY}})
uvicorn.run(app, port={port}, loop="uvloop", http="httptools", lifespan="off", log_level="critical")
"""


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def load(url: str, key: str, connections: int, seconds: float) -> tuple[float, float]:
    """Requests per second and the median latency in milliseconds of a closed loop."""
    import aiohttp

    body = json.dumps(ASK).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as http:

        async def caller() -> None:
            while (started := time.perf_counter()) < until:
                async with http.post(url, data=body, headers=headers) as response:
                    await response.read()
                    assert response.status == 200, await response.text()
                latencies.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(connections)))
        elapsed = time.perf_counter() - started
    return len(latencies) / elapsed, statistics.median(latencies) * 1e3


async def wait_for(url: str) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as http, asyncio.timeout(60):
        while True:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


def measure_gate(rounds: int, seconds: float) -> None:
    upstream_port, gate_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "sluicegate.yaml"
        config.write_text(f"""
admin_key: sg-bench
models:
  - name: assistant
    targets:
      - provider: openai
        model: fixed
        base_url: http://127.0.0.1:{upstream_port}/v1
        price: {{input: "0.15", output: "0.60"}}
guards:
  - {{name: pii, kind: pii, default: true}}
""")
        upstream = subprocess.Popen(
            [sys.executable, "-c", UPSTREAM.format(root=str(ROOT), reply=REPLY, port=upstream_port)]
        )
        gate = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--port", str(gate_port)],
            cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            asyncio.run(_measure_gate(upstream_port, gate_port, rounds, seconds))
        finally:
            for process in (gate, upstream):
                process.terminate()
                process.wait()


async def _measure_gate(upstream_port: int, gate_port: int, rounds: int, seconds: float) -> None:
    await wait_for(f"http://127.0.0.1:{upstream_port}/")
    await wait_for(f"http://127.0.0.1:{gate_port}/health/ready")
    path = "/v1/chat/completions"
    places = {"upstream alone": upstream_port, "through the gate": gate_port}
    print(
        f"\ngate: key, PII guard, ledger, log and metrics on; one process; median of {rounds} rounds of {seconds:g} s"
    )
    print(f"{'':20}{'1 connection':>28}{'16 connections':>28}")
    figures: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for connections in (1, 16):
            for name, port in places.items():
                url = f"http://127.0.0.1:{port}{path}"
                figures.setdefault((name, connections), []).append(await load(url, "sg-bench", connections, seconds))
    for name in places:
        cells = []
        for connections in (1, 16):
            rates, latencies = zip(*figures[name, connections], strict=True)
            cells.append(f"{statistics.median(rates):8.0f} req/s, {statistics.median(latencies):6.2f} ms")
        print(f"{name:20}" + "".join(f"{cell:>28}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--skip-engine", action="store_true")
    parser.add_argument("--skip-gate", action="store_true")
    arguments = parser.parse_args()
    if not arguments.skip_gate:
        measure_gate(arguments.rounds, arguments.seconds)
    if not arguments.skip_engine:
        measure_engines(arguments.rounds, arguments.tokens)


if __name__ == "__main__":
    main()
