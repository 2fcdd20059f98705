"""Make `.venv` hold exactly what a lock says, and this project on top. Needs nothing but Python 3.11.

    python3 scripts/setup_env.py run|dev

Everything is checked against hashes. torch comes by its own locks and without its dependencies: the CPU build where pip
finds it, else the published build for this platform. On Linux that is a CUDA build, whose CUDA libraries then follow in
the only step without hashes.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def pip(*arguments: str, stderr: int | None = None) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, stderr=stderr)


def install_torch() -> None:
    if torch_works():
        return
    by_hash = ("install", "--quiet", "--require-hashes", "--no-deps", "-r")
    try:
        pip(*by_hash, "requirements/torch-cpu.lock", stderr=subprocess.DEVNULL)
    except subprocess.CalledProcessError:  # pip knows no place that has it
        pip(*by_hash, "requirements/torch.lock")
    if not torch_works():
        print("This torch is a CUDA build: fetching the libraries it needs (gigabytes).", flush=True)
        pip("install", "--quiet", "torch==2.13.0")


def torch_works() -> bool:
    return subprocess.run([str(PYTHON), "-c", "import torch"], capture_output=True, check=False).returncode == 0


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  # the one file that older Pythons get to run
        print(f"Sluicegate needs Python 3.11 or newer; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 1
    if len(sys.argv) != 2 or not (lock := ROOT / "requirements" / f"{sys.argv[1]}.lock").exists():
        print("usage: setup_env.py NAME, one of requirements/NAME.lock", file=sys.stderr)
        return 2
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    try:
        pip("install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock))
        install_torch()
        pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    except subprocess.CalledProcessError as error:
        print(f"setup failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
