"""The fixtures of `gatekit`, for every test here, and a database of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import gate, upstream

__all__ = ["gate", "upstream"]


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'a folder' / 'house.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
