"""What the pool's tests have workers do."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

_loaded: dict[str, int] = {}


def add(one: int, other: int) -> int:
    return one + other


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def load(name: str, log: str) -> int:
    """Count, in this process and over all (a line each in `log`), how often it was loaded."""
    _loaded[name] = _loaded.get(name, 0) + 1
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return _loaded[name]


def loaded(name: str) -> int:
    return _loaded.get(name, 0)


def load_nothing(path: str) -> None:
    raise FileNotFoundError(f"there is no model at {path}")


def load_file(path: str) -> str:
    return Path(path).read_text()


def fail(text: str) -> None:
    raise ValueError(f"cannot read {text}")


def hang(mark: str) -> None:
    """Hold the interpreter in one call that cannot be interrupted by another thread of it."""
    Path(mark).write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")


def nap(mark: str) -> None:
    Path(mark).write_text(str(os.getpid()))
    time.sleep(60)


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    sys.exit(3)


def chatter() -> str:
    """Write over everything a library might write to."""
    print("noise " * 1000, flush=True)
    sys.stderr.write("more noise\n")
    os.write(1, b"\x00\x00\x00\x05noise")
    return "heard"


def imports(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def modules() -> list[str]:
    return sorted(sys.modules)
