"""How long a start takes until the gate is ready, and how much memory it then holds.

    python bench/startup.py [--config sluicegate.yaml] [--rounds 5]

Starts `sluicegate serve` in a process of its own, asks `/health/ready` until it answers 200, reads the resident memory
of that process (the engine's is apart), stops it with SIGTERM. The first round may compile bytecode; the rest count.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from first_light import free_port

TIMEOUT = 120.0


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def start_once(config: str) -> tuple[float, float]:
    """Seconds until ready, and MB resident then."""
    port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--config", config, "--port", str(port)]
    # Bytecode is kept as an installation keeps it, whatever this shell is set to.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready(f"http://127.0.0.1:{port}/health/ready"):
            if process.poll() is not None or time.perf_counter() - started > TIMEOUT:
                raise SystemExit(f"the gate did not start (exit {process.poll()})")
            time.sleep(0.02)
        return time.perf_counter() - started, resident_mb(process.pid)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="sluicegate.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    first, *rest = [start_once(arguments.config) for _ in range(arguments.rounds + 1)]
    seconds, megabytes = zip(*rest, strict=True)
    spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
    print(f"first {first[0]:.2f} s; then median {statistics.median(seconds):.2f} s ({spread})")
    print(f"resident when ready: {statistics.median(megabytes):.0f} MB")


if __name__ == "__main__":
    main()
