"""Does personal data get out? The field's own benchmark against a served gate: `pii-leak-benchmark`, both profiles.

    python bench/leak.py [--quick] [--out FOLDER]

The benchmark plays the client and the provider. v1 (`ci --duty restore`): nothing personal reaches the provider, and
the caller gets it back whole, streamed. v2: a reply that repeats what the caller sent has to come back restored
(fidelity), one with values of its own has to be masked (leak), however it is cut into events. `--quick` cuts each value
once, in the middle; otherwise at every place, and looks for parts of values as well. Exits 1 unless all of it holds.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
ADMIN = "sg-bench-admin"
SEED = "a1b2c3d4e5f60001"

CONFIG = """
admin_key: {admin}
server: {{state_dir: {folder}/state}}
storage: {{url: "sqlite+aiosqlite:///{folder}/gate.db"}}
models:
  - name: conformance-model
    targets: [{{provider: openai, model: m, base_url: "http://127.0.0.1:{first}/v1", api_key: x, retries: 0}}]
  - name: test
    targets: [{{provider: openai, model: m, base_url: "http://127.0.0.1:{second}/v1", api_key: x, retries: 0,
                breaker: false}}]
guards:
  - {{name: pii, kind: pii, default: true}}
  - {{name: secrets, kind: secrets, default: true}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def gate(folder: Path, first: int, second: int) -> Iterator[str]:
    """The base URL of a served gate whose two models are answered at these ports."""
    config = folder / "gate.yaml"
    config.write_text(CONFIG.format(admin=ADMIN, folder=folder, first=first, second=second))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"(http://\S+?)/v1/chat/completions", line):
                yield found[1]
                return
        raise SystemExit("the gate did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def first_profile(url: str, port: int, out: Path) -> bool:
    """v1: one request of every kind of value. Whether all five checks hold."""
    told = subprocess.run(
        [
            tool("pii-leak-benchmark"), "ci", "--target-base-url", f"{url}/v1", "--target-model", "conformance-model",
            "--capture-port", str(port), "--seed", SEED, "--duty", "restore", "--profile", "pii-secrets-v1",
            "--out", str(out / "v1"),
        ],
        env={**os.environ, "CONFORMANCE_TARGET_API_KEY": ADMIN}, capture_output=True, text=True,
    )  # fmt: skip
    print(told.stdout.split("## Publish")[0].strip() or told.stderr.strip())
    return told.returncode == 0


def second_profile(url: str, port: int, out: Path, *, quick: bool) -> dict[str, Any]:
    """v2: what is repeated and what is made up, cut over events. Returns its row on us."""
    summary = out / "v2.json"
    command = [
        tool("pii-leak-benchmark-v2"), "--validate", "--out", str(out / "v2"), "--only", "ours", "--seed", SEED,
        "--gateway-url", f"{url}/v1/chat/completions", "--upstream-port", str(port), "--json-out", str(summary),
    ]  # fmt: skip
    command += [] if quick else ["--exhaustive-splits", "--partial-emission"]
    env = {**os.environ, "CONFORMANCE_TARGET_API_KEY": ADMIN}
    told = subprocess.run(command, env=env, capture_output=True, text=True)
    print(told.stdout.strip()[-3_000:] or told.stderr.strip()[-3_000:])
    (row,) = orjson.loads(summary.read_bytes())["rows"]
    return {**row, "exit": told.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="cut each value once")
    parser.add_argument("--out", type=Path, help="where the benchmark's own reports go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        out = (arguments.out or folder / "out").resolve()
        out.mkdir(parents=True, exist_ok=True)
        first, second = free_port(), free_port()
        with gate(folder, first, second) as url:
            one = first_profile(url, first, out)
            two = second_profile(url, second, out, quick=arguments.quick)
    print(orjson.dumps(two, option=orjson.OPT_INDENT_2).decode())
    clean = two["fidelity_rate"] == 1.0 and two["leak_single_chunk"] == two["leak_adversarial"] == 0.0
    if not (one and clean and two["exit"] == 0):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
