"""The field's own benchmark for personal data that gets out, in its small form: `bench/leak.py` has the whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_leak_benchmark_finds_none(tmp_path: Path) -> None:
    """Both of its profiles: v1 CLEAN with restored values, v2 with fidelity 1.0 and leak 0."""
    command = [sys.executable, str(ROOT / "bench" / "leak.py"), "--quick", "--out", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-2_000:]
    assert "**CLEAN**" in ran.stdout
    assert '"fidelity_rate": 1.0' in ran.stdout and '"outcome": "pass"' in ran.stdout
