"""What `sluicegate serve` prints once it answers: where it is, where the key is, and a line to paste."""

from __future__ import annotations

import json
import shlex

from gateway.parts import Parts


def print_welcome(parts: Parts, base_url: str) -> None:
    model = parts.router.models[0].name
    lines = [f"Sluicegate is ready at {base_url}"]
    if parts.admin_key_file is None:
        key = "$SLUICEGATE_ADMIN_KEY"
        lines.append("The admin key is the one you configured.")
    else:
        path = parts.admin_key_file.resolve()
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
