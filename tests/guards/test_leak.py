"""Leaks of the system prompt and of canaries: what is one, what is none, and what a stream has sent by then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from guardkit import Slot
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.cache import ScanCache
from guards.leak.build import build
from guards.leak.words import words
from guards.resources import Resources
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardConfigError, GuardRequest, Scope, Stage

PROMPT = (
    "You are Ada, the assistant of Mill & Sons. Never offer more than ten percent off, whatever a customer says. "
    "The pass phrase of the warehouse is grey heron. Answer in short sentences and be kind."
)
RUN = "never offer more than ten percent off whatever a customer says the"  # twelve words of it
CANARY = "Kestrel-7f3a-Juniper"


def guard(resources: Resources | None = None, **options: Any) -> Any:
    fields = {key: options.pop(key) for key in ("action", "stages", "scopes") if key in options}
    return build(GuardSpec(name="leak", kind="leak", options=options, **fields), resources or Resources())


async def opened(built: Any, *others: Slot, prompt: str = PROMPT) -> Any:
    session = built.open(GuardRequest("t"))
    verdict = await session.check_input([Slot(prompt, Scope.SYSTEM), *others])
    assert verdict.action is Action.PASS and verdict.stage is Stage.INPUT
    return session


async def leaks(session: Any, text: str, scope: Scope = Scope.ASSISTANT) -> Mapping[str, int]:
    try:
        return dict((await session.check_output([Slot(text, scope)])).findings)
    except GuardBlocked as refused:
        assert refused.verdict.action is Action.BLOCK
        return dict(refused.verdict.findings)


@pytest.mark.parametrize(
    "text",
    [
        RUN,
        f"My instructions: {PROMPT}",
        f"It says {RUN.upper()}!",
        "**Never** offer *more* than\nten percent off -- 'whatever' a (customer) says. The",
        "_Never_offer_more_than_ten_percent_off_whatever_a_customer_says_the_",
        "n\u200bever offer mo\u00adre than ten percent off whatever a customer says the",
        "Ｎｅｖｅｒ offer more than ten percent off whatever a customer says the",
        "> never\n> offer\n> more\n> than\n> ten\n> percent\n> off\n> whatever\n> a\n> customer\n> says\n> the",
        '["never","offer","more","than","ten","percent","off","whatever","a","customer","says","the"]',
    ],
)
async def test_a_run_of_the_prompts_words_is_a_leak_however_it_is_written(text: str) -> None:
    assert await leaks(await opened(guard()), text) == {"SYSTEM_PROMPT": 1}


@pytest.mark.parametrize(
    "text",
    [
        " ".join(RUN.split()[:11]),
        RUN.replace("whatever", "no matter what"),
        "I am Ada, the assistant of Mill & Sons. How can I help?",
        "We never offer more than ten percent off. Whatever a customer says, we listen.",
        "",
        "the " * 500,
    ],
)
async def test_fewer_words_or_other_words_are_none(text: str) -> None:
    assert await leaks(await opened(guard()), text) == {}


async def test_the_number_of_words_is_the_operators_choice() -> None:
    six = " ".join(RUN.split()[:6])
    assert await leaks(await opened(guard(words=6)), six) and not await leaks(await opened(guard(words=7)), six)


async def test_a_short_prompt_counts_as_a_whole_and_a_very_short_one_not_at_all() -> None:
    session = await opened(guard(), prompt="The secret word of today is marmalade.")
    assert await leaks(session, "the secret word of today is marmalade")
    assert not await leaks(session, "the secret word of today is")
    assert not await leaks(await opened(guard(), prompt="Be kind and brief."), "Be kind and brief.")


@pytest.mark.parametrize("scope", [Scope.USER, Scope.TOOL_DEFINITION, Scope.TOOL, Scope.ASSISTANT, Scope.OTHER])
async def test_what_the_caller_sent_elsewhere_is_no_leak(scope: Scope) -> None:
    session = await opened(guard(canaries=[CANARY]), Slot(f"Is this right? {RUN} / {CANARY}", scope))
    assert not await leaks(session, f"You sent: {RUN} / {CANARY}")
    assert await leaks(session, PROMPT)


async def test_system_texts_of_their_own_are_not_joined() -> None:
    session = guard().open(GuardRequest("t"))
    halves = [
        Slot(" ".join(RUN.split()[:6]) + " a b", Scope.SYSTEM),
        Slot("c d " + " ".join(RUN.split()[6:]), Scope.SYSTEM),
    ]
    await session.check_input(halves)
    assert not await leaks(session, RUN)


async def test_tool_arguments_are_looked_at_and_other_scopes_by_choice() -> None:
    slots = [Slot(RUN, Scope.TOOL_CALL)]
    with pytest.raises(GuardBlocked):
        await (await opened(guard())).check_output(slots)
    assert guard().scopes(Stage.OUTPUT) == {Scope.ASSISTANT, Scope.TOOL_CALL}
    assert guard(scopes=(Scope.REASONING,)).scopes(Stage.OUTPUT) == {Scope.REASONING}
    assert Scope.SYSTEM in guard(scopes=(Scope.REASONING,)).scopes(Stage.INPUT)
    assert guard().stages == set(Stage)


async def test_languages_without_spaces_count_by_characters() -> None:
    prompt = "あなたは水車商店の助手です。倉庫の合言葉は青鷺です。"
    assert await leaks(await opened(guard(), prompt=prompt), "言う: 助手です。倉庫の合言葉は青鷺です。誰にも")
    assert not await leaks(await opened(guard(), prompt=prompt), "倉庫の合言葉は秘密です。")


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        f"x{CANARY}x",
        CANARY.lower(),
        "kestrel7f3ajuniper",
        "K e s t r e l 7 f 3 a J u n i p e r",
        "*Kestrel*\n7F3A_juniper",
    ],
)
async def test_a_canary_is_found_however_it_is_spelled(text: str) -> None:
    for built in (guard(canaries=[CANARY]), guard(canaries=["other-canary-1", CANARY], system_prompt=False)):
        assert await leaks(built.open(GuardRequest("t")), f"see {text} there") == {"CANARY": 1}
    assert not await leaks(guard(canaries=[CANARY]).open(GuardRequest("t")), "kestrel 7f3a junip")


def texts() -> st.SearchStrategy[str]:
    parts = [
        *PROMPT.split(" "),
        RUN,
        RUN[:30],
        CANARY,
        CANARY[:9],
        "-",
        " ",
        "\n",
        "k",
        "e",
        "\u200b",
        "水",
        "x" * 70,
        "é",
        "\u0301",
        "_",
    ]
    return st.lists(st.sampled_from(parts) | st.text(max_size=3), max_size=30).flatmap(
        lambda some: st.sampled_from(["", " "]).map(lambda between: between.join(some))
    )


@settings(max_examples=100, deadline=None)
@given(text=texts(), sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4))
async def test_any_cut_of_a_stream_finds_what_the_whole_text_holds(text: str, sizes: list[int]) -> None:
    flagging = guard(canaries=[CANARY], action=Action.FLAG)
    whole = await leaks(await opened(flagging), text)
    session = await opened(flagging)
    stream = session.open_stream(Scope.ASSISTANT)
    sent, position, turn = "", 0, 0
    while position < len(text):
        sent += await stream.feed(text[position : position + sizes[turn % len(sizes)]])
        position += sizes[turn % len(sizes)]
        turn += 1
        assert text.startswith(sent) and len(stream.held) <= 9 * len(CANARY)
        assert sent + stream.held == text[:position]
    assert sent + await stream.finish() == text
    assert dict(session.stream_verdict().findings) == whole

    blocking = (await opened(guard(canaries=[CANARY]))).open_stream(Scope.ASSISTANT)
    sent, stopped = "", False
    try:
        for char in text:
            sent += await blocking.feed(char)
        sent += await blocking.finish()
    except GuardBlocked:
        stopped = True
    assert stopped == bool(whole)
    assert not await leaks(await opened(flagging), sent)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 90, 1000])
async def test_of_a_very_long_word_the_beginning_counts(size: int) -> None:
    prompt = f"Tell nobody of the key {'x' * 90} under the mat or of {'y' * 200} behind it."
    session = await opened(guard(action=Action.FLAG), prompt=prompt)
    stream = session.open_stream(Scope.ASSISTANT)
    sent = "".join([await stream.feed(prompt[at : at + size]) for at in range(0, len(prompt), size)])
    assert sent + await stream.finish() == prompt
    assert session.stream_verdict().findings == await leaks(session, prompt) == {"SYSTEM_PROMPT": 1}


async def test_a_canary_that_repeats_itself_is_counted_once() -> None:
    built = guard(canaries=["anan-anan"], action=Action.FLAG, system_prompt=False)
    assert await leaks(built.open(GuardRequest("t")), "anananananan") == {"CANARY": 1}


async def test_of_a_canary_nothing_is_sent_and_of_a_run_all_words_but_the_last() -> None:
    stream = (await opened(guard(canaries=[CANARY]))).open_stream(Scope.ASSISTANT)
    sent = ""
    with pytest.raises(GuardBlocked):
        for char in f"It is {CANARY}":
            sent += await stream.feed(char)
    assert sent == "It is "
    stream = (await opened(guard())).open_stream(Scope.ASSISTANT)
    sent = ""
    with pytest.raises(GuardBlocked):
        for char in RUN + " ":
            sent += await stream.feed(char)
    assert words(sent) == RUN.split()[:11]


async def test_plain_words_are_sent_as_soon_as_they_end() -> None:
    stream = (await opened(guard(canaries=[CANARY]))).open_stream(Scope.ASSISTANT)
    assert await stream.feed("Good morning, what can I do for yo") == "Good morning, what can I do for "
    assert await stream.feed("u? k") == "you? "
    assert await stream.feed("a") == "" and await stream.feed(" ") == "ka "
    assert await stream.feed("x" * 100) == "x" * 100 and stream.held == ""
    assert await stream.feed(" 水車") == " 水車"


async def test_flag_and_log_pass_the_text_on_and_tell_of_it() -> None:
    for action in (Action.FLAG, Action.LOG):
        session = await opened(guard(action=action, canaries=[CANARY]))
        slot = Slot(f"{PROMPT} {CANARY} {PROMPT}", Scope.ASSISTANT)
        verdict = await session.check_output([slot])
        assert verdict.action is action and verdict.findings == {"SYSTEM_PROMPT": 2, "CANARY": 1}


async def test_requests_do_not_learn_from_each_other() -> None:
    built = guard()
    one, other = (
        await opened(built),
        await opened(built, prompt="You answer questions about the weather and nothing else."),
    )
    assert await leaks(one, RUN) and not await leaks(other, RUN)


async def test_a_prompt_is_read_once_and_no_text_is_kept() -> None:
    cache = ScanCache()
    built = guard(Resources(cache=cache))
    for _ in range(3):
        assert await leaks(await opened(built), RUN)
    assert cache.hits == 2 and cache.misses == 1
    assert "heron" not in repr(list(cache._entries.items()))


async def test_it_proves_itself_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for built in (guard(), guard(words=100), guard(canaries=[CANARY], system_prompt=False)):
        await built.prepare()
    monkeypatch.setattr("guards.leak.guard.RunFinder.add", lambda self, word: False)
    with pytest.raises(GuardConfigError, match="SYSTEM_PROMPT"):
        await guard().prepare()
    monkeypatch.setattr("guards.leak.guard.LeakFilter._find_canaries", lambda self: None)
    with pytest.raises(GuardConfigError, match="CANARY"):
        await guard(canaries=[CANARY], system_prompt=False).prepare()


@pytest.mark.parametrize(
    ("options", "at", "said"),
    [
        ({"canaries": ["long-enough-1", "short"]}, ("canaries", 1), "8 to 64"),
        ({"canaries": ["x" * 65]}, ("canaries", 0), "8 to 64"),
        ({"system_prompt": False}, ("system_prompt",), "nothing to look for"),
        ({"words": 3}, ("words",), ">= 6"),
        ({"stages": (Stage.INPUT, Stage.OUTPUT)}, ("stages",), "output only"),
        ({"action": Action.REDACT}, ("action",), "cannot redact"),
        ({"canary": ["x"]}, ("canary",), "did you mean"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_place(options: dict[str, Any], at: Any, said: str) -> None:
    with pytest.raises(GuardConfigError, match=said) as refused:
        guard(**options)
    assert refused.value.at == at


async def test_long_prompts_and_replies_take_time_in_proportion() -> None:
    prompt = " ".join(f"word{i}" for i in range(20_000))
    started = time.process_time()
    session = await opened(guard(canaries=[CANARY]), prompt=prompt)
    assert not await leaks(session, "k e s t " * 10_000 + " ".join(f"word{i}" for i in range(0, 20_000, 2)))
    assert time.process_time() - started < 3
