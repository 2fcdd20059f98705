"""From a spec to a guard: what cannot be enforced is refused, and the refusal says what is known."""

from __future__ import annotations

import msgspec
import pytest
from guardkit import Slot

from guards.build import build_guard, build_runner
from guards.spec import GuardSpec, OnError
from guards.types import Action, GuardConfigError, GuardRequest, Stage

BASE = GuardSpec(name="pii", kind="pii")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "magic"}, r'unknown kind "magic"; known: pii'),
        ({"name": ""}, r"needs a name"),
        (
            {"options": {"entities": ("EMAIL", "SHOE_SIZE")}},
            r"unknown entities SHOE_SIZE; kind 'pii' knows EMAIL, ",
        ),
        ({"options": {"entities": ()}}, r"no entities; kind 'pii' knows"),
        ({"stages": ()}, r"no stages"),
        ({"action": Action.PASS}, r"cannot pass; action is one of block, flag, log, redact"),
        ({"action": Action.BLOCK, "options": {"restore": True}}, r"restore needs action 'redact'"),
        ({"stages": (Stage.OUTPUT,), "options": {"restore": True}}, r"restore needs .* stage 'input'"),
        ({"options": {"threshold": 0.5}}, r'kind "pii" has no key "threshold" here'),
        ({"timeout": 0.0}, r"timeout is 0 s"),
    ],
)
def test_what_a_kind_cannot_do_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(GuardConfigError, match=message):
        build_guard(msgspec.structs.replace(BASE, **change))


async def test_only_the_asked_entities_are_redacted() -> None:
    guard = build_guard(msgspec.structs.replace(BASE, options={"entities": ("CARD",)}))
    slot = Slot("a@b.co 4111111111111111")
    verdict = await guard.open(GuardRequest("t")).check_input([slot])
    assert slot.text.startswith("a@b.co [CARD_1_")
    assert verdict.findings == {"CARD": 1}


async def test_a_runner_is_built_in_the_order_of_the_configuration() -> None:
    gate = build_runner(
        [
            GuardSpec(name="mail", kind="pii", default=True, options={"entities": ("EMAIL",), "restore": True}),
            GuardSpec(
                name="cards", kind="pii", on_error=OnError.PASS, options={"entities": ("CARD",), "restore": False}
            ),
        ]
    )
    assert gate.names == ("mail", "cards")
    cards = gate.installed("cards")
    assert cards is not None
    assert (cards.guard.name, cards.default, cards.on_error) == ("cards", False, OnError.PASS)
    assert gate.installed("none") is None
    slot = Slot("a@b.co 4111111111111111")
    session = gate.open(GuardRequest("t"), ["cards"])
    await session.check_input([slot])
    assert [v.findings for v in session.verdicts] == [{"EMAIL": 1}, {"CARD": 1}]
    assert "4111" not in slot.text
    reply = Slot(slot.text)
    await session.check_output([reply])
    assert reply.text.startswith("a@b.co [CARD_1_")


def test_a_spec_reads_what_a_configuration_says_and_refuses_the_rest() -> None:
    raw = {"name": "pii", "kind": "pii", "stages": ["input"], "action": "redact", "on_error": "pass"}
    spec = msgspec.convert(raw, GuardSpec)
    assert (spec.stages, spec.on_error) == ((Stage.INPUT,), OnError.PASS)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**raw, "strictness": 11}, GuardSpec)
