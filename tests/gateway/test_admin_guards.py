"""`/admin/guards`: which guards there are, what each would say, who may ask; nothing of a text is kept."""

from __future__ import annotations

from pathlib import Path

from adminkit import HOUSE, call, ok, refused
from gatekit import run_gate

GUARDS = (
    HOUSE
    + """
  - {name: strict, kind: pii, action: block, scopes: [user], default: true, on_error: pass, dry_run: true, timeout: 1s}
"""
)
ADDRESS = "jane.roe@example.com"


async def test_the_list_says_how_each_guard_stands(tmp_path: Path) -> None:
    async with run_gate(tmp_path, GUARDS) as gate:
        pii, strict = (await ok(gate, "GET", "/guards"))["data"]
    assert (pii["name"], pii["kind"], pii["stages"]) == ("pii", "pii", ["input", "output"])  # it restores
    assert (pii["default"], pii["on_error"], pii["dry_run"], pii["timeout"]) == (False, "block", False, 2)
    assert strict["input_scopes"] == ["user"]
    assert (strict["default"], strict["on_error"], strict["dry_run"], strict["timeout"]) == (True, "pass", True, 1)


async def test_a_check_gives_the_verdict_and_the_text_after_it(tmp_path: Path) -> None:
    async with run_gate(tmp_path, GUARDS) as gate:
        said = await ok(gate, "POST", "/guards/pii/check", {"text": f"Write to {ADDRESS}."})
        assert (said["action"], said["findings"], said["error"]) == ("redact", {"EMAIL": 1}, None)
        assert said["text"].startswith("Write to [EMAIL_1_")
        dry = await ok(gate, "POST", "/guards/strict/check", {"text": ADDRESS})
        assert (dry["action"], dry["dry_run"], dry["text"]) == ("block", True, ADDRESS)
        other = await ok(gate, "POST", "/guards/strict/check", {"text": ADDRESS, "scope": "tool"})
        assert other["action"] == "pass"
        viewer = await ok(gate, "POST", "/keys", {"name": "v", "role": "viewer"})
        status, _, _ = await call(gate, "POST", "/guards/pii/check", {"text": "x"}, key=viewer["key"])
        assert status == 200
        client = await ok(gate, "POST", "/keys", {"name": "c"})
        status, _, _ = await call(gate, "POST", "/guards/pii/check", {"text": "x"}, key=client["key"])
        assert status == 403


async def test_wrong_questions_are_refused(tmp_path: Path) -> None:
    async with run_gate(tmp_path, GUARDS) as gate:
        assert await refused(gate, "POST", "/guards/none/check", {"text": "x"}) == (404, "not_found", None)
        assert (await refused(gate, "POST", "/guards/pii/check", {}))[2] == "text"
        assert (await refused(gate, "POST", "/guards/pii/check", {"text": "x", "stage": "middle"}))[2] == "stage"
        assert (await refused(gate, "POST", "/guards/pii/check", {"text": "x" * 200_001}))[0] == 400
