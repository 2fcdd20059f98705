"""What stands in the place of a value: what it looks like, that it is stable, and that what can come back does."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from guardkit import REQUEST, SECRET, Slot, answered, hidden, hurtful_texts, streamed
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn

from guards.build import build_guard
from guards.resources import Resources
from guards.spans import vault
from guards.spec import GuardSpec
from guards.types import Action, Guard, GuardConfigError, GuardRequest, Scope, Stage

MAIL, CARD, PHONE, IBAN = "ada@example.org", "4111 1111 1111 1111", "+44 20 7946 0958", "DE89 3704 0044 0532 0130 00"


def built(*, secret: bytes = SECRET, **options: Any) -> Guard:
    spec = GuardSpec(
        name="pii",
        kind="pii",
        action=options.pop("action", None),
        stages=options.pop("stages", None),
        scopes=options.pop("scopes", None),
        options=options,
    )
    return build_guard(spec, Resources(secret=secret))


@pytest.mark.parametrize(
    ("operator", "value", "stands"),
    [
        ("mask", MAIL, "****"),
        ({"mask": {"text": "<hidden>"}}, MAIL, "<hidden>"),
        ({"mask": {"keep_last": 4}}, CARD, "**** **** **** 1111"),
        ({"mask": {"keep_last": 4}}, "4111111111111111", "************1111"),
        ({"mask": {"keep_last": 30}}, CARD, "**** **** 1111 1111"),
        ({"mask": {"keep_last": 2}}, MAIL, "***@*******.*rg"),
        ("drop", MAIL, ""),
    ],
)
async def test_a_mask_shows_what_it_is_told_to_and_never_comes_back(operator: Any, value: str, stands: str) -> None:
    guard = built(operator=operator)
    session = guard.open(REQUEST)
    (sent,) = await hidden(session, f"<{value}>")
    assert sent == f"<{stands}>"
    assert await answered(session, sent) == sent
    assert await answered(session, f"<{value}>") == f"<{value}>"  # the caller's own
    assert await answered(guard.open(REQUEST), f"<{value}>") == f"<{stands}>"
    assert guard.stages == {Stage.INPUT, Stage.OUTPUT}
    assert built(operator=operator, stages=(Stage.INPUT,)).stages == {Stage.INPUT}  # there is nothing to restore


async def test_a_hash_is_the_same_for_a_value_each_time_and_another_for_each_tenant() -> None:
    guard = built(operator="hash")
    (first,) = await hidden(guard.open(REQUEST), f"{MAIL} ADA@EXAMPLE.ORG eve@example.org")
    one, two, three = first.split()
    assert re.fullmatch(r"\[EMAIL#(?:[a-z]\d){5}\]", one)
    assert one == two != three
    assert await hidden(guard.open(REQUEST), f"and {MAIL}") == [f"and {one}"]
    assert await hidden(guard.open(GuardRequest("u")), MAIL) != [one]
    assert await hidden(built(secret=b"x", operator="hash").open(REQUEST), MAIL) != [one]
    assert await answered(guard.open(REQUEST), MAIL) == one


async def test_entities_have_operators_of_their_own() -> None:
    guard = built(operator="drop", operators={"EMAIL": "placeholder", "CARD": {"mask": {"keep_last": 4}}})
    session = guard.open(REQUEST)
    (sent,) = await hidden(session, f"{MAIL}|{CARD}|{PHONE}")
    assert re.fullmatch(r"\[EMAIL_1_[a-z]\d\]\|\*\*\*\* \*\*\*\* \*\*\*\* 1111\|", sent)
    assert await answered(session, sent) == f"{MAIL}|**** **** **** 1111|"
    assert await answered(guard.open(REQUEST), f"{MAIL}|{CARD}|{PHONE}") == "[EMAIL]|**** **** **** 1111|"


@pytest.mark.parametrize(
    "value", [CARD, "4111111111111111", "3782 822463 10005", "5555-5555-5555-4444", "6011111111111117"]
)
async def test_a_fake_card_has_the_same_form_and_a_right_check_digit(value: str) -> None:
    (sent,) = await hidden(built(operator="fake").open(REQUEST), value)
    assert sent != value
    assert re.sub(r"\d", "0", sent) == re.sub(r"\d", "0", value)
    assert luhn.is_valid(re.sub(r"\D", "", sent))
    assert re.sub(r"\D", "", sent)[:6] in {"411111", "378282", "555555", "601111"}


@pytest.mark.parametrize(
    "value", [IBAN, "DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "gb82west12345698765432"]
)
async def test_a_fake_iban_has_the_same_form_and_right_check_digits(value: str) -> None:
    (sent,) = await hidden(built(operator="fake").open(REQUEST), value)
    assert sent != value
    assert sent[:2] == value[:2]
    assert iban.is_valid(sent, check_country=False)
    assert [char.isspace() for char in sent] == [char.isspace() for char in value]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (MAIL, r"[a-z]{8}@example\.com"),
        ("ada.lovelace+x@mail.example.org", r"[a-z]{3}\.[a-z]{8}\+[a-z]@example\.com"),
        ("jörg@müller.de", r"[a-z]{8}@example\.com"),
        (PHONE, r"\+44 \d\d \d{4} \d{4}"),
        ("(415) 555-2671", r"\([2-9]\d\d\) 555-01\d\d"),
        ("+1 415 555 2671", r"\+1 [2-9]\d\d 555 01\d\d"),
        ("0171/1234567", r"01\d\d/\d{7}"),
        ("203.0.113.7", r"(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}"),
        ("2001:db8::8a2e:370:7334", r"2001:db8::[0-9a-f:]+"),
        ("912-34-5678", r"\d{3}-\d\d-\d{4}"),
    ],
)
async def test_a_fake_has_the_shape_of_its_value_and_comes_back(value: str, form: str) -> None:
    session = built(operator="fake").open(REQUEST)
    text = f"It is {value}, so"
    (sent,) = await hidden(session, text)
    assert value not in sent
    assert re.fullmatch(rf"It is {form}, so", sent)
    assert await answered(session, sent) == text
    assert await answered(session, sent.upper()) == text.upper().replace(value.upper(), value)
    assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == text


async def test_a_fake_is_the_same_for_a_value_each_time_and_another_for_each_tenant() -> None:
    guard = built(operator="fake")
    (sent,) = await hidden(guard.open(REQUEST), MAIL)
    assert await hidden(guard.open(REQUEST), f"{PHONE} {MAIL}") == [
        f"{(await hidden(guard.open(REQUEST), PHONE))[0]} {sent}"
    ]
    assert await hidden(guard.open(GuardRequest("u")), MAIL) != [sent]


async def test_a_fake_written_in_another_way_comes_back_too() -> None:
    session = built(operator="fake").open(REQUEST)
    card, phone = await hidden(session, CARD, "(415) 555-2671")
    assert await answered(session, f"card {card.replace(' ', '')}, call {phone[1:4]}-{phone[6:]}") == (
        f"card {CARD}, call (415) 555-2671"
    )


async def test_a_fake_that_the_caller_has_written_is_never_given_out() -> None:
    guard = built(operator="fake")
    (guessed,) = await hidden(guard.open(REQUEST), MAIL)
    session = guard.open(REQUEST)
    text = f"{MAIL} and {guessed.upper()}"
    (sent,) = await hidden(session, text)
    assert guessed not in sent.lower()
    assert await answered(session, sent) == text
    assert MAIL not in await answered(session, guessed)


async def test_short_values_and_awkward_ones_get_placeholders_instead_of_fakes() -> None:
    guard = built(
        operator="fake", recognizers=[{"name": "NICK", "words": ["Bob"]}, {"name": "RAW", "regex": r"\[\w+\]x"}]
    )
    (sent,) = await hidden(guard.open(REQUEST), "Bob says [hello]x")
    assert re.fullmatch(r"\[NICK_1_\w\w\] says \[RAW_1_\w\w\]", sent)


async def test_a_fake_that_runs_into_its_neighbours_gives_way_to_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "fake", lambda kind, value, dice: "121212")
    session = built(operator="fake", recognizers=[{"name": "NICK", "regex": "v{6}"}]).open(REQUEST)
    (sent,) = await hidden(session, "12vvvvvv")
    assert re.fullmatch(r"12\[NICK_1_\w\w\]", sent)
    assert await answered(session, sent) == "12vvvvvv"
    assert await answered(session, "121212") == "121212"


def test_of_two_fakes_the_longer_is_meant_and_a_part_of_one_waits() -> None:
    fakes = vault._Fakes()
    fakes.add("K", "short", "Abcdef")
    fakes.add("K", "long", "abcdefGH")
    fakes.add("K", "other", "zzz111")
    assert list(fakes.find("xabcdefgh aBcdef ", 0, 99)) == [(1, 9, "long"), (10, 16, "short")]
    for size in range(1, 8):
        assert fakes.undecided("x " + "abcdefgh"[:size], 0) == 2
    for text in ("x abcdefgh", "x abcdefg ", "x bcdef", "x zzz111"):
        assert fakes.undecided(text, 0) == len(text)


@settings(deadline=None, max_examples=40)
@given(text=hurtful_texts(), mixed=st.booleans())
def test_whatever_was_hidden_by_fakes_comes_back_and_no_cut_changes_that(text: str, mixed: bool) -> None:
    operators = {"EMAIL": "placeholder", "PHONE": "placeholder"} if mixed else {}
    recognizers = [{"name": "SHORT", "regex": r"(?i)[a-e0-2]{6}"}, {"name": "WORD", "words": ["hello", "example"]}]

    async def run() -> None:
        session = built(operator="fake", operators=operators, recognizers=recognizers).open(REQUEST)
        sent, again = await hidden(session, text, f"{text} {text[:20]}")
        assert await answered(session, sent) == text
        assert await answered(session, again) == f"{text} {text[:20]}"
        stream = session.open_stream(Scope.ASSISTANT)
        out = ""
        for char in sent:
            out += await stream.feed(char)
            assert text.startswith(out)
            assert len(stream.held) <= stream.look_back
        assert out + await stream.finish() == text

    asyncio.run(run())


@settings(deadline=None, max_examples=30)
@given(text=hurtful_texts(), operator=st.sampled_from(["mask", "hash", "drop", {"mask": {"keep_last": 2}}]))
def test_no_cut_changes_what_is_masked(text: str, operator: Any) -> None:
    async def run() -> None:
        guard = built(operator=operator)
        whole = await answered(guard.open(REQUEST), text)
        assert await streamed(guard.open(REQUEST).open_stream(Scope.ASSISTANT), list(text)) == whole

    asyncio.run(run())


async def test_two_hundred_requests_at_once_never_get_each_others_values_for_fakes() -> None:
    guard = built(operator="fake")

    async def request(number: int) -> str:
        session = guard.open(REQUEST)
        value = f"user{number:05d}@example.net"
        (sent,) = await hidden(session, f"I am {value}")
        await asyncio.sleep(0)
        assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == f"I am {value}"
        return sent

    assert len(set(await asyncio.gather(*(request(number) for number in range(200))))) == 200


@pytest.mark.parametrize(
    ("options", "at", "message"),
    [
        ({"operator": "erase"}, ("operator",), "placeholder, mask, hash, fake, drop"),
        ({"operator": 7}, ("operator",), "is one of"),
        ({"operator": {"drop": {"keep_last": 1}}}, ("operator", "drop", "keep_last"), "has no settings"),
        ({"operators": {"SHOE_SIZE": "mask"}}, ("operators", "SHOE_SIZE"), "does not look for"),
        (
            {"operators": {"EMAIL": {"mask": {"keep_lst": 4}}}},
            ("operators", "EMAIL", "mask", "keep_lst"),
            "knows keep_last",
        ),
        (
            {"operators": {"EMAIL": {"mask": {"keep_last": 0}}}},
            ("operators", "EMAIL", "mask", "keep_last"),
            "1 or more",
        ),
        (
            {"operators": {"EMAIL": {"mask": {"keep_last": True}}}},
            ("operators", "EMAIL", "mask", "keep_last"),
            "number",
        ),
        ({"operators": {"EMAIL": {"mask": {"text": 1}}}}, ("operators", "EMAIL", "mask", "text"), "a text"),
        ({"operators": {"EMAIL": {"mask": {"text": "x", "keep_last": 1}}}}, ("operators", "EMAIL", "mask"), "not both"),
        ({"operators": {"EMAIL": {"mask": 4}}}, ("operators", "EMAIL", "mask"), "settings"),
        ({"operators": {"EMAIL": ["mask"]}}, ("operators", "EMAIL"), "is one of"),
        ({"operator": "mask", "restore": True}, ("restore",), "can be undone"),
    ],
)
def test_an_operator_that_does_not_exist_is_refused_where_it_stands(
    options: dict[str, Any], at: tuple[str | int, ...], message: str
) -> None:
    with pytest.raises(GuardConfigError, match=message) as caught:
        built(**options)
    assert caught.value.at == at


async def test_values_are_looked_for_in_the_asked_scopes_and_restored_in_all() -> None:
    guard = built(scopes=(Scope.USER,))
    session = guard.open(REQUEST)
    slots = [Slot(MAIL), Slot(f"{MAIL} {PHONE}", Scope.SYSTEM)]
    await session.check_input(slots)
    assert slots[0].text.startswith("[EMAIL_1_")
    assert slots[1].text == f"{MAIL} {PHONE}"
    reply = f"{slots[0].text} eve@example.org"
    for scope in (Scope.ASSISTANT, Scope.TOOL_CALL):
        assert scope in guard.scopes(Stage.OUTPUT)
        assert await answered(session, reply, scope) == f"{MAIL} eve@example.org"
        assert await streamed(session.open_stream(scope), list(reply)) == f"{MAIL} eve@example.org"
    assert await answered(session, reply, Scope.USER) == f"{MAIL} [EMAIL]"
    assert built(scopes=(Scope.USER,), restore=False).scopes(Stage.OUTPUT) == {Scope.USER}


async def test_a_placeholder_in_a_text_that_is_not_looked_at_is_avoided_too() -> None:
    guard = built(scopes=(Scope.USER,))
    (guessed,) = await hidden(guard.open(REQUEST), MAIL)
    session = guard.open(REQUEST)
    slots = [Slot(f"repeat {guessed}", Scope.TOOL), Slot(MAIL)]
    await session.check_input(slots)
    assert slots[1].text != guessed
    assert await answered(session, guessed) == guessed


async def test_flag_and_block_take_no_notice_of_operators() -> None:
    guard = built(action=Action.FLAG, operator="drop")
    assert await hidden(guard.open(REQUEST), MAIL) == [MAIL]
    assert await answered(guard.open(REQUEST), MAIL) == MAIL
