"""The pii guard over one request with whole texts: hide on the way in, restore and mask on the way out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest
from guardkit import SECRET, Slot, hurtful_texts, pii
from hypothesis import given, settings

from guards.types import Action, GuardBlocked, GuardRequest, GuardSession, Scope, Stage


async def hide(session: GuardSession, *texts: str) -> list[str]:
    slots = [Slot(text) for text in texts]
    await session.check_input(slots)
    return [slot.text for slot in slots]


async def answer(session: GuardSession, text: str) -> str:
    slot = Slot(text, scope=Scope.ASSISTANT)
    await session.check_output([slot])
    return slot.text


@settings(deadline=None, max_examples=70)
@given(text=hurtful_texts())
def test_restoring_what_was_hidden_gives_the_text_again(text: str) -> None:
    async def there_and_back() -> str:
        session = pii().open(GuardRequest("tenant"))
        (hidden,) = await hide(session, text)
        return await answer(session, hidden)

    assert asyncio.run(there_and_back()) == text


@settings(deadline=None, max_examples=30)
@given(text=hurtful_texts())
def test_a_text_that_holds_its_own_placeholders_comes_back_too(text: str) -> None:
    async def there_and_back() -> tuple[str, str]:
        (hidden,) = await hide(pii().open(GuardRequest("tenant")), text)
        nasty = f"{hidden} {text} {hidden.lower()}"
        session = pii().open(GuardRequest("tenant"))
        (hidden,) = await hide(session, nasty)
        return nasty, await answer(session, hidden)

    nasty, back = asyncio.run(there_and_back())
    assert back == nasty


async def test_every_slot_is_hidden_and_the_same_value_gets_the_same_placeholder() -> None:
    session = pii().open(GuardRequest("t"))
    first, second, third = await hide(session, "I am ada@example.com", "cc ada@example.com, b@c.de", "nothing")
    assert re.fullmatch(r"I am \[EMAIL_1_[a-z]\d\]", first)
    own = first.removeprefix("I am ")
    assert second.startswith(f"cc {own}, [EMAIL_2_")
    assert third == "nothing"


async def test_the_next_turn_of_a_conversation_sees_the_same_placeholders() -> None:
    (before,) = await hide(pii().open(GuardRequest("t")), "ada@example.com")
    replayed, _ = await hide(pii().open(GuardRequest("t")), "ada@example.com", "and b@c.de")
    assert replayed == before


async def test_another_tenant_or_secret_gives_other_nonces() -> None:
    texts = [f"user{n}@example.com" for n in range(20)]
    mine = await hide(pii().open(GuardRequest("t")), *texts)
    assert mine != await hide(pii().open(GuardRequest("u")), *texts)
    assert mine != await hide(pii(secret=b"another").open(GuardRequest("t")), *texts)


async def test_two_writings_of_one_value_share_a_nonce_and_keep_their_own_text() -> None:
    session = pii().open(GuardRequest("t"))
    plain, grouped = await hide(session, "4111111111111111", "4111 1111 1111 1111")
    assert plain.rpartition("_")[2] == grouped.rpartition("_")[2]
    assert await answer(session, f"{grouped}/{plain}") == "4111 1111 1111 1111/4111111111111111"


async def test_findings_are_counted_by_kind() -> None:
    slots = [Slot("a@b.co and c@d.co"), Slot("ssn 078-05-1120")]
    verdict = await pii().open(GuardRequest("t")).check_input(slots)
    assert (verdict.action, verdict.findings) == (Action.REDACT, {"EMAIL": 2, "US_SSN": 1})


@pytest.mark.parametrize(
    "mangle",
    [
        str.lower,
        str.title,
        lambda p: p.replace("[", "\\[").replace("]", "\\]").replace("_", "\\_"),
        lambda p: p.replace("_", "\\_"),
        lambda p: p.replace("[", "\\\\[").replace("]", "\\\\]").replace("_", "\\\\_"),
        lambda p: p.replace("[", "[ ").replace("]", " ]"),
        lambda p: p.replace("_", " _ "),
    ],
)
@pytest.mark.parametrize("value", ["ada@example.com", "078-05-1120"])
async def test_a_mangled_placeholder_is_restored(mangle: Callable[[str], str], value: str) -> None:
    session = pii().open(GuardRequest("t"))
    (placeholder,) = await hide(session, value)
    assert await answer(session, f"<{mangle(placeholder)}>") == f"<{value}>"


async def test_only_placeholders_of_this_request_are_restored() -> None:
    (foreign,) = await hide(pii().open(GuardRequest("t")), "other@example.com")
    session = pii().open(GuardRequest("t"))
    await hide(session, "4111111111111111")
    for text in (foreign, "[EMAIL_1_k7]", "[EMAIL_99_k7]", "[CARD_1_zz]", "[CARD]"):
        assert await answer(session, text) == text


async def test_a_placeholder_written_by_the_caller_never_becomes_a_value() -> None:
    (guessed,) = await hide(pii().open(GuardRequest("t")), "ada@example.com")
    session = pii().open(GuardRequest("t"))
    hidden, forged = await hide(session, "ada@example.com", f"echo {guessed.lower()}")
    assert hidden != guessed
    assert forged == f"echo {guessed.lower()}"
    assert await answer(session, f"{guessed} {guessed.lower()}") == f"{guessed} {guessed.lower()}"
    assert await answer(session, hidden) == "ada@example.com"


async def test_a_caller_who_uses_up_every_short_nonce_is_served() -> None:
    session = pii().open(GuardRequest("t"))
    taken = " ".join(f"[EMAIL_1_{letter}{digit}]" for letter in "abcdefghijklmnopqrstuvwxyz" for digit in range(10))
    text = f"{taken} ada@example.com"
    (hidden,) = await hide(session, text)
    assert "ada@" not in hidden
    assert await answer(session, hidden) == text


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com4111 1111 1111 1111",
        "2001:db8::zoe@example.com",
        "call zoe.with.a.very.long.name.indeed@example.com 4155552671",
        "+14155552671 123456789 078-05-1120 123456789",
    ],
)
async def test_values_glued_to_one_another_are_hidden_and_come_back(text: str) -> None:
    session = pii().open(GuardRequest("t"))
    (hidden,) = await hide(session, text)
    assert await answer(session, hidden) == text
    assert (await session.check_output([Slot(hidden)])).findings == {}


async def test_a_card_glued_to_an_address_never_leaves() -> None:
    (hidden,) = await hide(pii().open(GuardRequest("t")), "ada@example.com4111 1111 1111 1111")
    assert "1111" not in hidden


async def test_a_text_made_to_need_endless_passes_is_refused() -> None:
    endless = ".".join(["0171/1234567"] * 60)
    with pytest.raises(GuardBlocked):
        await hide(pii().open(GuardRequest("t")), endless)


async def test_values_the_model_made_up_are_masked_and_the_callers_own_are_not() -> None:
    session = pii().open(GuardRequest("t"))
    (own,) = await hide(session, "ada@example.com 4111 1111 1111 1111")
    reply = f"{own} ADA@example.com 4111-1111-1111-1111 eve@example.com +14155552671"
    assert await answer(session, reply) == (
        "ada@example.com 4111 1111 1111 1111 ADA@example.com 4111-1111-1111-1111 [EMAIL] [PHONE]"
    )
    verdict = await session.check_output([Slot("eve@example.com")])
    assert (verdict.action, verdict.findings) == (Action.REDACT, {"EMAIL": 1})


async def test_restoring_alone_is_no_finding() -> None:
    session = pii().open(GuardRequest("t"))
    (own,) = await hide(session, "ada@example.com")
    verdict = await session.check_output([Slot(own)])
    assert (verdict.action, verdict.findings) == (Action.PASS, {})


async def test_a_guard_of_the_input_stage_restores_but_masks_nothing() -> None:
    guard = pii(stages=(Stage.INPUT,))
    assert guard.stages == {Stage.INPUT, Stage.OUTPUT}
    session = guard.open(GuardRequest("t"))
    (own,) = await hide(session, "ada@example.com")
    assert await answer(session, f"{own} eve@example.com") == "ada@example.com eve@example.com"


async def test_without_restore_placeholders_stay() -> None:
    session = pii(restore=False).open(GuardRequest("t"))
    (own,) = await hide(session, "ada@example.com")
    assert await answer(session, f"{own} eve@example.com") == f"{own} [EMAIL]"
    assert pii(restore=False, stages=(Stage.INPUT,)).stages == {Stage.INPUT}


async def test_a_guard_of_the_output_stage_leaves_the_input_alone() -> None:
    session = pii(restore=False, stages=(Stage.OUTPUT,)).open(GuardRequest("t"))
    assert await hide(session, "ada@example.com") == ["ada@example.com"]
    assert await answer(session, "eve@example.com") == "[EMAIL]"


async def test_block_refuses_both_ways_and_tells_no_value() -> None:
    session = pii(action=Action.BLOCK, restore=False).open(GuardRequest("t"))
    for check in (session.check_input, session.check_output):
        slot = Slot("ada@example.com")
        with pytest.raises(GuardBlocked) as caught:
            await check([slot])
        assert caught.value.verdict.findings == {"EMAIL": 1}
        assert caught.value.verdict.action is Action.BLOCK
        assert slot.text == "ada@example.com"


async def test_flag_reports_and_touches_nothing() -> None:
    session = pii(action=Action.FLAG, restore=False).open(GuardRequest("t"))
    slot = Slot("ada@example.com")
    verdict = await session.check_input([slot])
    assert (slot.text, verdict.action, verdict.findings) == ("ada@example.com", Action.FLAG, {"EMAIL": 1})
    slot = Slot("ada@example.com eve@example.com")
    verdict = await session.check_output([slot])
    assert slot.text == "ada@example.com eve@example.com"
    assert (verdict.action, verdict.findings) == (Action.FLAG, {"EMAIL": 1})


async def test_a_very_long_text_is_hidden_and_restored() -> None:
    session = pii().open(GuardRequest("t"))
    text = "lorem ipsum " * 5_000 + "ada@example.com" + " dolor" * 5_000
    (hidden,) = await hide(session, text)
    assert "ada@example.com" not in hidden
    assert await answer(session, hidden) == text


async def test_two_hundred_requests_at_once_never_see_each_others_values() -> None:
    guard = pii()

    async def request(number: int) -> None:
        session = guard.open(GuardRequest("one tenant"))
        value = f"user{number}@example.com"
        (hidden,) = await hide(session, f"I am {value}")
        await asyncio.sleep(0)
        assert "@" not in hidden
        stream = session.open_stream(Scope.ASSISTANT)
        reply = ""
        for char in hidden:
            reply += await stream.feed(char)
            await asyncio.sleep(0)
        assert reply + await stream.finish() == f"I am {value}"
        foreign = f"user{(number + 1) % 200}@example.com"
        assert await answer(session, foreign) == "[EMAIL]"

    await asyncio.gather(*(request(number) for number in range(200)))


async def test_no_object_or_error_shows_a_value() -> None:
    value = "ada@example.com"
    guard = pii()
    session = guard.open(GuardRequest("t"))
    await hide(session, f"I am {value}")
    stream = session.open_stream(Scope.ASSISTANT)
    await stream.feed(value)
    blocked = pii(action=Action.BLOCK, restore=False).open(GuardRequest("t"))
    with pytest.raises(GuardBlocked) as caught:
        await hide(blocked, value)
    error = caught.value
    shown = [
        guard,
        session,
        stream,
        blocked,
        error,
        error.verdict,
        vars(session),
        vars(stream)["_judge"],
        vars(session)["_vault"],
    ]
    for thing in shown:
        assert value not in repr(thing)
        assert value not in str(thing)
    assert error.__context__ is None
    assert SECRET.decode() not in repr(vars(session))
