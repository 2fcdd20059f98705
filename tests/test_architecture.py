"""The one direction: gateway may use guards, engine and billing; those know neither the gateway nor each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WINGS = {
    "guards": {"guards"},
    "engine": {"engine"},
    "billing": {"billing"},
    "gateway": {"gateway", "guards", "engine", "billing", "migrations"},
    "migrations": {"migrations"},
}
OURS = set(WINGS)
# What a part inside a wing must not import at module level, because it is heavy or belongs to another layer.
FORBIDDEN = {
    "engine/core": {"torch", "numpy", "tokenizers", "asyncio"},
    "engine/text": {"torch"},
    "engine/client.py": {"torch", "numpy"},
    "gateway": {"torch", "litellm", "presidio_analyzer", "nemoguardrails", "transformers", "opentelemetry"},
    "guards": {"torch", "presidio_analyzer", "nemoguardrails", "spacy"},
}
# The one module a lazily imported library may live in.
HOMES = {"opentelemetry": "gateway/telemetry/otel.py"}
WEB = {"fastapi", "starlette", "uvicorn", "aiohttp"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each imported module, and whether the import runs when the module is loaded."""
    tree = ast.parse(path.read_text())
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or "", id(node) not in lazy


def sources(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_only_what_lies_in_its_direction(wing: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(wing)
        for name, _ in imports(path)
        if name.split(".")[0] in OURS - WINGS[wing]
    ]
    assert not wrong


@pytest.mark.parametrize("place", FORBIDDEN)
def test_heavy_and_foreign_libraries_are_not_loaded_with_a_module(place: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(place)
        for name, at_load in imports(path)
        if at_load and (top := name.split(".")[0]) in FORBIDDEN[place] and HOMES.get(top) != str(path.relative_to(ROOT))
    ]
    assert not wrong


@pytest.mark.parametrize("wing", ["guards", "engine", "billing"])
def test_only_the_gateway_knows_http(wing: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {n}" for path in sources(wing) for n, _ in imports(path) if n.split(".")[0] in WEB
    ]
    assert not wrong


def test_nothing_unpickles() -> None:
    found = [
        str(path.relative_to(ROOT))
        for wing in WINGS
        for path in sources(wing)
        for name, _ in imports(path)
        if name.split(".")[0] in {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    ]
    assert not found


def test_a_gate_without_engine_loads_no_heavy_library() -> None:
    script = "import sys, gateway.server, gateway.upstreams.openai_compatible; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    heavy = {"torch", "numpy", "transformers", "tokenizers", "litellm", "opentelemetry.sdk", "spacy", "gguf", "alembic"}
    assert not heavy & set(ran.stdout.split())
