"""What one guard would say of one text, as a request would have it."""

from __future__ import annotations

import re

from guardkit import pii

from guards.base import BaseGuard, Policy
from guards.check import check_text
from guards.runner import Installed
from guards.spec import OnError
from guards.types import ALL_SCOPES, Action, GuardRequest, GuardSession, Scope, Stage


async def test_checking_a_text_gives_json_values() -> None:
    report = await check_text(Installed(pii()), "mail ada@example.com")
    text = report.pop("text")
    assert isinstance(text, str)
    assert re.fullmatch(r"mail \[EMAIL_1_[a-z]\d\]", text)
    assert report == {
        "guard": "pii",
        "stage": "input",
        "action": "redact",
        "dry_run": False,
        "findings": {"EMAIL": 1},
        "score": None,
        "error": None,
    }
    assert (await check_text(Installed(pii()), "mail ada@example.com", Stage.OUTPUT))["text"] == "mail [EMAIL]"


async def test_a_blocked_text_is_not_said_again_and_where_it_does_not_stand_it_passes() -> None:
    blocking = Installed(pii(action=Action.BLOCK, restore=False, stages=(Stage.INPUT,)))
    assert (await check_text(blocking, "ada@example.com"))["text"] is None
    passed = await check_text(blocking, "ada@example.com", Stage.OUTPUT)
    assert (passed["action"], passed["text"]) == ("pass", "ada@example.com")


async def test_a_dry_run_says_what_it_would_do_and_leaves_the_text() -> None:
    for action in (Action.REDACT, Action.BLOCK):
        entry = Installed(pii(action=action, restore=False), dry_run=True)
        report = await check_text(entry, "mail ada@example.com")
        assert (report["action"], report["dry_run"], report["text"]) == (action.value, True, "mail ada@example.com")


class Hanging(BaseGuard):
    def __init__(self) -> None:
        super().__init__(Policy("stuck", frozenset(Stage), ALL_SCOPES - {Scope.TOOL}, Action.BLOCK))

    def open(self, request: GuardRequest) -> GuardSession:
        raise ValueError("it holds the text")


async def test_a_guard_that_fails_is_told_with_what_follows_and_without_its_words() -> None:
    entry = Installed(Hanging(), timeout=1.0)
    blocked = await check_text(entry, "x")
    assert (blocked["action"], blocked["text"]) == ("block", None)
    assert "ValueError" in str(blocked["error"]) and "holds" not in str(blocked["error"])
    passed = await check_text(Installed(Hanging(), on_error=OnError.PASS), "x")
    assert (passed["action"], passed["text"]) == ("pass", "x")
    assert (await check_text(entry, "x", scope=Scope.TOOL))["error"] is None
