"""Guards that judge texts by themselves: verdicts, what is remembered, and streams cut into pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from guardkit import REQUEST, Slot
from hypothesis import given
from hypothesis import strategies as st

from guards.base import Policy
from guards.cache import Remembered, ScanCache
from guards.judging import Judgement, JudgingGuard
from guards.pieces import MOST_HELD, HeldTooLong, PieceFilter
from guards.spec import GuardSpec, read_options
from guards.types import ALL_SCOPES, Action, GuardBlocked, GuardConfigError, GuardRequest, Scope, Stage


class Counting:
    """Finds "bad"; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def judge(self, text: str, scope: Scope) -> Judgement:
        self.asked.append(text)
        return Judgement({"BAD": 1} if "bad" in text else {}, text.count("bad") / 10)


def guard(action: Action = Action.FLAG, *, fingerprint: bytes | None = b"1", longest: int | None = 40) -> JudgingGuard:
    policy = Policy("judge", frozenset(Stage), ALL_SCOPES, action)
    return JudgingGuard(policy, Counting(), ScanCache(), fingerprint, longest)


def asked(judging: JudgingGuard) -> list[str]:
    judge = judging._judge
    assert isinstance(judge, Counting)
    return judge.asked


async def test_a_verdict_counts_what_was_found_and_tells_the_highest_score() -> None:
    verdict = await guard().open(REQUEST).check_input([Slot("bad"), Slot("bad bad"), Slot("good")])
    assert (verdict.action, verdict.findings, verdict.score) == (Action.FLAG, {"BAD": 2}, 0.2)
    clean = await guard().open(REQUEST).check_output([Slot("good")])
    assert (clean.action, clean.findings) == (Action.PASS, {})
    with pytest.raises(GuardBlocked) as caught:
        await guard(Action.BLOCK).open(REQUEST).check_input([Slot("bad")])
    assert caught.value.verdict.findings == {"BAD": 1}


async def test_a_chat_of_forty_turns_costs_one() -> None:
    judging = guard()
    history: list[str] = []
    for turn in range(40):
        history.append(f"turn {turn} of a chat")
        before = len(asked(judging))
        await judging.open(REQUEST).check_input([Slot(text) for text in history])
        assert len(asked(judging)) - before == 1


async def test_what_is_remembered_is_one_tenants_one_scopes_and_one_policys() -> None:
    judging = guard()
    for request, scope in [
        (REQUEST, Scope.USER),
        (REQUEST, Scope.USER),
        (GuardRequest("other"), Scope.USER),
        (REQUEST, Scope.TOOL),
    ]:
        await judging.open(request).check_input([Slot("text", scope)])
    assert len(asked(judging)) == 3
    cache = ScanCache()
    one, other = Remembered[int](cache, b"one", "t"), Remembered[int](cache, b"other", "t")
    one.put(one.key("text"), 1)
    assert (one.get(one.key("text")), other.get(other.key("text"))) == (1, None)
    forgetful = guard(fingerprint=None)
    for _ in range(2):
        await forgetful.open(REQUEST).check_input([Slot("text")])
    assert len(asked(forgetful)) == 2


def test_the_cache_forgets_what_was_used_longest_ago_and_keeps_to_its_bytes() -> None:
    cache = ScanCache(max_bytes=4 * 350)
    for name in (b"a", b"b", b"c", b"d"):
        cache.put(name, name, 100)
    assert cache.get(b"a") == b"a"
    cache.put(b"e", b"e", 100)
    assert (cache.get(b"b"), cache.get(b"a"), len(cache)) == (None, b"a", 4)
    cache.put(b"huge", b"", 10_000)
    assert cache.get(b"huge") is None and len(cache) == 4
    cache.put(b"a", b"again", 500)
    assert cache.get(b"a") == b"again" and len(cache) == 2


def test_the_cache_holds_no_text() -> None:
    cache = ScanCache()
    remembered = Remembered[Judgement](cache, b"p", "tenant")
    remembered.put(remembered.key("a secret text"), Judgement({"BAD": 1}))
    assert "secret text" not in repr(vars(cache))


TEXTS = st.text(alphabet="ab. !?\n\"')。…x", max_size=120)
CUTS = st.lists(st.integers(0, 1_000), max_size=8)


def cut(text: str, places: Sequence[int]) -> list[str]:
    at = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]


@given(TEXTS, CUTS, st.integers(1, 30))
def test_the_pieces_of_a_stream_do_not_depend_on_its_cuts(text: str, places: list[int], longest: int) -> None:
    async def pieces(parts: Sequence[str]) -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []

        async def look(piece: str, context: str) -> str:
            seen.append((piece, context))
            return piece

        stream = PieceFilter(look, longest)
        out = [await stream.feed(part) for part in parts] + [await stream.finish()]
        assert "".join(out) == text
        return seen

    seen = asyncio.run(pieces(cut(text, places)))
    assert seen == asyncio.run(pieces([text]))
    assert all(len(piece) <= longest for piece, _ in seen)
    assert "".join(piece for piece, _ in seen) == text


async def test_a_sentence_leaves_when_the_next_begins() -> None:
    stream = guard().open(REQUEST).open_stream(Scope.ASSISTANT)
    assert await stream.feed("One. ") == ""
    assert await stream.feed("T") == "One. "
    assert await stream.feed("wo, and no end of it but for forty characters") == "Two, and no end of it but for forty "
    assert await stream.finish() == "characters"


async def test_a_blocked_stream_sends_nothing_of_the_piece() -> None:
    session = guard(Action.BLOCK).open(REQUEST)
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed("Fine. Then ba") == "Fine. "
    with pytest.raises(GuardBlocked):
        await stream.feed("d follows. So")
    assert session.stream_verdict().action is Action.BLOCK


async def test_what_a_stream_holds_counts_once_however_often_it_is_shown() -> None:
    session = guard().open(REQUEST)
    for text in ("A bad one. And more. And more still. ", "Good. ", "bad"):
        stream = session.open_stream(Scope.ASSISTANT)
        for char in text:
            await stream.feed(char)
        await stream.finish()
    verdict = session.stream_verdict()
    assert (verdict.findings, verdict.score) == ({"BAD": 2}, 0.1)


async def test_a_text_judged_as_a_whole_is_held_to_its_end_and_not_for_ever() -> None:
    stream = guard(longest=None).open(REQUEST).open_stream(Scope.ASSISTANT)
    assert await stream.feed("One. Two. ") == ""
    assert await stream.finish() == "One. Two. "
    with pytest.raises(HeldTooLong):
        await stream.feed("x" * (MOST_HELD + 1))


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    words: tuple[str, ...]
    depth: int = 1


@pytest.mark.parametrize(
    ("options", "message", "at"),
    [
        ({"words": ["a"], "deptth": 2}, 'no key "deptth" here; did you mean "depth"', ("deptth",)),
        ({"words": ["a"], "zzz": 2}, "it knows words, depth", ("zzz",)),
        ({"words": ["a", 1]}, "expected `str`, got `int`", ("words", 1)),
        ({"words": ["a"], "depth": "x"}, "expected `int`", ("depth",)),
        ({}, 'needs the key "words"', ()),
    ],
)
def test_options_that_a_kind_does_not_know_are_told_with_their_place(
    options: dict[str, object], message: str, at: tuple[str | int, ...]
) -> None:
    with pytest.raises(GuardConfigError, match=message) as caught:
        read_options(GuardSpec(name="g", kind="k", options=options), Options)
    assert caught.value.at == at


def test_a_policy_refuses_what_the_kind_cannot_do() -> None:
    kind = {"actions": frozenset({Action.BLOCK}), "action": Action.BLOCK, "possible": frozenset({Stage.INPUT})}
    spec = GuardSpec(name="g", kind="k", stages=(Stage.INPUT,))
    assert Policy.of(spec, **kind).stages == {Stage.INPUT}  # type: ignore[arg-type]
    for change in ({"action": Action.REDACT}, {"stages": (Stage.OUTPUT,)}, {"scopes": ()}, {"stages": ()}):
        with pytest.raises(GuardConfigError) as caught:
            Policy.of(GuardSpec(**{"name": "g", "kind": "k", "stages": (Stage.INPUT,), **change}), **kind)  # type: ignore[arg-type]
        assert caught.value.at == (next(iter(change)),)
