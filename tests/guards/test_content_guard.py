"""The guard of kind `content`: its options, its actions, its streams, its memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from guardkit import Slot
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.check import check_text
from guards.content import judges, language
from guards.content.build import build
from guards.content.guard import ContentGuard
from guards.resources import Resources
from guards.runner import Installed
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardConfigError, GuardRequest, Scope, Stage, Verdict

REQUEST = GuardRequest("t")


def guard(action: Action | None = None, stages: tuple[Stage, ...] | None = None, **options: Any) -> ContentGuard:
    spec = GuardSpec(name="c", kind="content", action=action, stages=stages, options=options)
    return build(spec, Resources())


async def check(one: ContentGuard, text: str, stage: Stage = Stage.INPUT) -> tuple[str, Verdict]:
    """The text afterwards, and the verdict; raised ones too."""
    slot = Slot(text)
    session = one.open(REQUEST)
    try:
        verdict = await (session.check_input([slot]) if stage is Stage.INPUT else session.check_output([slot]))
    except GuardBlocked as blocked:
        verdict = blocked.verdict
    return slot.text, verdict


async def stream(one: ContentGuard, pieces: list[str]) -> tuple[str, Verdict]:
    """What left before the end or the block, and the verdict."""
    session = one.open(REQUEST)
    filter_ = session.open_stream(Scope.ASSISTANT)
    out = ""
    try:
        for piece in pieces:
            out += await filter_.feed(piece)
        out += await filter_.finish()
    except GuardBlocked as blocked:
        return out, blocked.verdict
    return out, session.stream_verdict()


async def test_categories_block_from_their_threshold_on() -> None:
    strict = guard(categories={"violence": 0.5})
    await strict.prepare()
    _, verdict = await check(strict, "I am going to kill you.")
    assert (verdict.action, dict(verdict.findings)) == (Action.BLOCK, {"VIOLENCE": 1})
    assert verdict.score is not None and verdict.score >= 0.5
    assert (await check(strict, "Kill the process, then shoot me an email."))[1].action is Action.PASS
    assert (await check(guard(categories={"violence": 1.0}), "I am going to kill you."))[1].action is Action.PASS


async def test_only_the_categories_asked_for_count() -> None:
    one = guard(categories=["hate"])
    assert (await check(one, "This fucking printer!"))[1].action is Action.PASS


async def test_a_long_text_is_judged_everywhere_and_gives_the_loop_its_turns() -> None:
    one = guard(categories=["violence"])
    clean = "The meeting was moved to the afternoon. " * 600
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(count())
    assert (await check(one, clean))[1].action is Action.PASS
    ticker.cancel()
    assert turns >= 5
    for text in (clean + "I am going to kill you.", "I am going to kill you. " + clean):
        assert (await check(one, text))[1].action is Action.BLOCK


@pytest.mark.parametrize(("action", "left"), [(Action.REDACT, "Ask [RIVAL] or [WORD]."), (Action.FLAG, None)])
async def test_words_are_found_whole_in_any_case(action: Action, left: str | None) -> None:
    words = [{"name": "RIVAL", "words": ["Acme", "Société Générale"]}, "project x"]
    text = "Ask ACME or Project X."
    after, verdict = await check(guard(action, words=words), text)
    assert after == (left or text)
    assert (verdict.action, dict(verdict.findings)) == (action, {"RIVAL": 1, "WORD": 1})
    assert (await check(guard(action, words=words), "acmeist, Project Xylophone"))[1].action is Action.PASS
    assert dict((await check(guard(action, words=words), "société générale"))[1].findings) == {"RIVAL": 1}


async def test_patterns_are_replaced_by_what_is_asked() -> None:
    one = guard(Action.REDACT, regex=[{"name": "ticket", "regex": r"T-\d{4}", "replacement": "<ticket>"}, r"\bx+\b"])
    assert (await check(one, "T-1234 and xxx"))[0] == "<ticket> and [PATTERN]"
    one = guard(Action.REDACT, regex=[r"T-\d{4}"], html=True, replacement="")
    assert (await check(one, "a T-1234<script>x</script>b", Stage.OUTPUT))[0] == "a b"


async def test_a_language_that_is_not_allowed_is_found() -> None:
    one = guard(language={"allow": ["en", "de"]})
    await one.prepare()
    assert (await check(one, "The weather is fine today and we are going out."))[1].action is Action.PASS
    assert (await check(one, "Das Wetter ist heute schön und wir gehen hinaus."))[1].action is Action.PASS
    assert dict((await check(one, "Le temps est magnifique et nous allons sortir."))[1].findings) == {"LANGUAGE": 1}
    assert (await check(one, "Bon appétit, merci!"))[1].action is Action.PASS  # too short to tell
    code = "Look at this:\n```\nle temps est magnifique et nous allons sortir ce soir\n```"
    assert (await check(one, code))[1].action is Action.PASS
    mixed = "The weather is fine today and we are going out.\n\n" + "Le temps est magnifique et nous sortons. " * 20
    assert (await check(one, mixed))[1].action is Action.BLOCK


async def test_what_nobody_can_be_sure_of_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = guard(language={"allow": ["en"], "min_confidence": 0.6})
    for sure, action in ((0.59, Action.PASS), (0.6, Action.BLOCK)):
        monkeypatch.setattr(language, "language_of", lambda text, sure=sure: ("fr", sure))
        assert (await check(one, "Le temps est magnifique."))[1].action is action
        assert (await check(one, "Le beau temps!"))[1].action is Action.PASS  # too short to ask


async def test_lengths_are_of_the_whole_prompt_and_of_each_reply() -> None:
    one = guard(max_characters=10, max_tokens=100, max_reply_characters=5)
    slots = [Slot("123456"), Slot("12345")]
    with pytest.raises(GuardBlocked) as blocked:
        await one.open(REQUEST).check_input(slots)
    assert dict(blocked.value.verdict.findings) == {"TOO_LONG": 1}
    assert (await one.open(REQUEST).check_input(slots[:1])).action is Action.PASS
    assert (await check(guard(max_tokens=2), "some twenty letters here"))[1].action is Action.BLOCK
    assert (await check(one, "123456", Stage.OUTPUT))[1].action is Action.BLOCK
    assert (await one.open(REQUEST).check_output([Slot("1234"), Slot("123")])).action is Action.PASS


async def test_a_stream_ends_where_it_is_too_long() -> None:
    out, verdict = await stream(guard(max_reply_characters=5), ["123", "45", "6", "7"])
    assert (out, verdict.action, dict(verdict.findings)) == ("12345", Action.BLOCK, {"TOO_LONG": 1})
    out, verdict = await stream(guard(Action.FLAG, max_reply_characters=5), ["123", "456", "7"])
    assert (out, dict(verdict.findings)) == ("1234567", {"TOO_LONG": 1})


async def test_nothing_of_a_blocked_sentence_leaves_a_stream() -> None:
    one = guard(categories=["violence"], words=["Acme"])
    out, verdict = await stream(one, [*"All is well. I am going to kill you. Bye."])
    assert (out, verdict.action) == ("All is well. ", Action.BLOCK)
    out, verdict = await stream(one, [*"Ask Acm or Acme now"])
    assert "Acme" not in out and verdict.action is Action.BLOCK


async def test_what_is_said_over_two_pieces_of_a_stream_is_found_once() -> None:
    out, verdict = await stream(
        guard(Action.FLAG, categories=["violence"]), ["I will kill you!\n", "I will kill you!\nx"]
    )
    assert out == "I will kill you!\nI will kill you!\nx"
    assert dict(verdict.findings) == {"VIOLENCE": 1}


async def test_code_and_links_of_a_reply_are_found_in_streams() -> None:
    _, verdict = await stream(guard(code=["python"]), ["Here:\n", "```py", "thon\nx", "\n```"])
    assert dict(verdict.findings) == {"CODE_PYTHON": 1}
    one = guard(Action.REDACT, images={"allow_hosts": ["ok.example"]})
    assert one.stages == {Stage.OUTPUT}
    out, verdict = await stream(one, [*"![x](https://evil.example/?s=1) ![y](https://ok.example/z)"])
    assert (out, dict(verdict.findings)) == ("![x][IMAGE] ![y](https://ok.example/z)", {"IMAGE": 1})


async def test_a_known_text_is_not_judged_again_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    real = judges.languages_in

    def counted(text: str, wanted: Any) -> list[str]:
        nonlocal calls
        calls += 1
        return real(text, wanted)

    monkeypatch.setattr(judges, "languages_in", counted)
    one = guard(Action.FLAG, code=["python"])
    text = "def f(x):\n    return x\n" + "and more of that. " * 10
    first = (await check(one, text))[1]
    assert (await check(one, text))[1] == first
    assert calls == 1
    assert dict(first.findings) == {"CODE_PYTHON": 1}
    await one.open(GuardRequest("another tenant")).check_input([Slot(text)])
    assert calls == 2


async def test_a_known_text_is_redacted_again() -> None:
    one = guard(Action.REDACT, words=["Acme"])
    text = "Ask Acme, " * 10
    assert (await check(one, text)) == (await check(one, text))
    assert (await check(one, text))[0] == "Ask [WORD], " * 10


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({}, ()),
        ({"sql": False}, ()),
        ({"categories": {"rudeness": 0.5}}, ("categories", "rudeness")),
        ({"categories": ["hate", "rudeness"]}, ("categories", 1)),
        ({"categories": {"hate": 0}}, ("categories", "hate")),
        ({"words": [""]}, ("words",)),
        ({"words": [{"name": "X", "words": []}]}, ("words", 0)),
        ({"words": [{"name": "a b", "words": ["x"]}]}, ("words", 0, "name")),
        ({"regex": ["("]}, ("regex", 0)),
        ({"regex": ["^a"]}, ("regex", 0)),
        ({"language": {"allow": []}}, ("language", "allow")),
        ({"language": {"allow": ["English"]}}, ("language", "allow", 0)),
        ({"language": {"allow": ["en"], "min_confidence": 2}}, ("language", "min_confidence")),
        ({"code": ["cobol"]}, ("code", 0)),
        ({"links": {"allow_hosts": ["https://x.example"]}}, ("links", "allow_hosts", 0)),
        ({"max_characters": 0}, ("max_characters",)),
        ({"wrods": ["x"]}, ("wrods",)),
    ],
)
def test_what_cannot_be_enforced_is_refused_where_it_stands(options: dict[str, Any], at: tuple[str | int, ...]) -> None:
    with pytest.raises(GuardConfigError) as refused:
        guard(**options)
    assert refused.value.at == at


@pytest.mark.parametrize("name", ["categories", "language", "code", "max_characters", "max_reply_characters"])
def test_what_has_no_place_cannot_be_redacted(name: str) -> None:
    options = {"categories": ["hate"], "language": {"allow": ["en"]}, "code": ["sql"]}.get(name, 10)
    with pytest.raises(GuardConfigError) as refused:
        guard(Action.REDACT, words=["x"], **{name: options})
    assert refused.value.at == (name,)


def test_a_length_is_not_asked_where_the_guard_does_not_stand() -> None:
    with pytest.raises(GuardConfigError) as refused:
        guard(stages=(Stage.OUTPUT,), max_characters=10)
    assert refused.value.at == ("max_characters",)


async def test_an_unknown_language_is_refused_before_the_first_request() -> None:
    with pytest.raises(GuardConfigError) as refused:
        await guard(language={"allow": ["xx"]}).prepare()
    assert refused.value.at == ("language", "allow")


async def test_the_check_of_one_text_tells_what_would_be_done() -> None:
    told = await check_text(Installed(guard(categories=["profanity"])), "holy sh1t", Stage.INPUT)
    assert (told["action"], told["findings"], told["text"]) == ("block", {"PROFANITY": 1}, None)


_PIECES = st.sampled_from(
    [
        *(
            "Acme",
            "acme ",
            "Ac",
            "me",
            "T-1234",
            "T-12",
            "34",
            " ",
            "\n",
            ". ",
            "<script>",
            "</script>",
            "x",
            "DROP TABLE t;",
        ),
        *("![a](https://evil.example/b)", "![a](", "https://ok.example/", ")", "drop ", "table", "é", "\U0001f600"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_PIECES, max_size=12).map("".join), st.data())
def test_all_passes_together_do_not_mind_how_a_text_is_cut(text: str, data: st.DataObject) -> None:
    one = guard(
        Action.REDACT,
        words=["Acme"],
        regex=[r"T-\d{4}"],
        html=True,
        sql=True,
        images={"allow_hosts": ["ok.example"]},
        links={"allow_hosts": ["ok.example"]},
    )
    whole, verdict = asyncio.run(check(one, text, Stage.OUTPUT))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    streamed, said = asyncio.run(stream(one, pieces))
    assert (streamed, dict(said.findings)) == (whole, dict(verdict.findings))
    assert asyncio.run(stream(one, [*text]))[0] == whole
    if verdict.action is Action.PASS:
        assert whole == text
