"""What `sluicegate serve` prints once it answers: where it is, where the key is, and a line to paste."""

from __future__ import annotations

import json
import shlex
from pathlib import Path


def print_welcome(base_url: str, model: str, admin_key_file: Path | None) -> None:
    """`admin_key_file` None: the operator configured the key."""
    lines = [f"Sluicegate is ready at {base_url}"]
    if admin_key_file is None:
        key = "$SLUICEGATE_ADMIN_KEY"
        lines.append("The admin key is the one you configured.")
    else:
        path = admin_key_file.resolve()
        key = f"$(cat {shlex.quote(str(path))})"
        lines.append(f"The admin key is in {path}")
    message = {"role": "user", "content": "Name three primary colours."}
    body = json.dumps({"model": model, "messages": [message], "max_tokens": 60, "temperature": 0})
    lines.append("Try it:")
    lines.append(
        f'  curl -s {base_url}/v1/chat/completions -H "Authorization: Bearer {key}" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
    print("\n".join(lines), flush=True)
