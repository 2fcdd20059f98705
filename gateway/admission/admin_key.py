"""The admin key: the configured one, or one made at the first start and kept in a file only its owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gateway.storage.keys import PREFIX

FILE_NAME = "admin.key"


def load_or_make(state_dir: Path) -> tuple[str, Path]:
    """The kept admin key and where it is. Raises OSError when the directory cannot be used."""
    path = state_dir / FILE_NAME
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept = path.read_text().strip()
        if kept:
            path.chmod(0o600)
            return kept, path
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC, 0o600)
    secret = PREFIX + "admin-" + secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
    return secret, path
