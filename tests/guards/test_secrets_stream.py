"""Secrets in growing texts: the same however a text is cut, nothing of a secret early, plain words at once."""

from __future__ import annotations

import random
from typing import Any

import pytest
from guardkit import SECRET, Slot
from hypothesis import given, settings
from hypothesis import strategies as st
from test_secrets_found import KEYS, NAMED, TOKENS

from guards.build import KINDS as GUARD_KINDS
from guards.resources import Resources
from guards.secrets.build import build
from guards.secrets.detectors import DETECTORS, KINDS
from guards.secrets.samples import samples
from guards.spans.detector import KEPT
from guards.spans.fold import fold
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardConfigError, GuardRequest, Scope, Stage

SCANNER = Scanner(DETECTORS)
_RNG = random.Random(7)
_WHOLE = [draw(_RNG) for _, draw in TOKENS] + [setting.format(value) for _, setting, value in NAMED] + KEYS[:-2]
_PARTS = (
    "password",
    "pass",
    "pw",
    "api_key",
    "secret",
    "token",
    "--token",
    "is",
    " is ",
    "=",
    ":",
    ": ",
    '"',
    "'",
    "`",
    "\\",
    "\\n",
    "\n",
    " ",
    "  ",
    "**",
    "|",
    ">",
    "-",
    "--",
    "-----",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "-----END ",
    "Private-Lines: 3",
    "Proc-Type: 4,ENCRYPTED\n",
    "Bearer ",
    "Basic ",
    "://",
    "ada:",
    "@",
    "/",
    ".",
    "eyJ",
    "sk-",
    "ghp_",
    "AKIA",
    "aws ",
    "xoxb-",
    "Q~",
    "hunter2",
    "k3J9dmQ0x8Lz2PqW7vN1",
    "aB3xYz9" * 6,
    "MIIEvQIBADANBgkqhkiG9w0BAQ",
    "x",
    "1",
    "[",
    "]",
    "é",
    "日",
    "😀",
    "a" * 199,
    "a" * 201,
    "b3" * 120,
)


def hurtful() -> st.SearchStrategy[str]:
    halves = st.sampled_from(_WHOLE).flatmap(
        lambda whole: (
            st.integers(0, len(whole)).map(lambda at: whole[:at])
            | st.integers(0, len(whole)).map(lambda at: whole[at:])
        )
    )
    piece = st.one_of(
        st.sampled_from(_PARTS), st.sampled_from(_PARTS), st.sampled_from(_WHOLE), halves, st.text(max_size=5)
    )
    return st.lists(piece, max_size=10).map("".join)


def whole(text: str) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.kind) for span in SCANNER.spans(fold(text))]


def streamed(text: str, sizes: list[int]) -> list[tuple[int, int, str]]:
    """The values of a text that comes in pieces, found in windows that end where nothing is undecided any more."""
    out: list[tuple[int, int, str]] = []
    dropped = done = fed = turn = 0
    while True:
        fed = min(len(text), fed + sizes[turn % len(sizes)])
        turn += 1
        folded = fold(text[dropped:fed])
        begin = done - dropped
        limit = len(folded) if fed == len(text) else SCANNER.undecided(folded, begin)
        position = begin
        for span in SCANNER.spans(folded, begin, limit):
            if span.start >= position:
                out.append((span.start + dropped, span.end + dropped, span.kind))
                position = span.end
        done = dropped + max(position, limit)
        if fed == len(text):
            return out
        dropped = max(0, done - KEPT)


@settings(deadline=None, max_examples=200)
@given(text=hurtful(), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_any_cut_finds_what_the_whole_text_holds(text: str, sizes: list[int]) -> None:
    assert streamed(text, sizes) == whole(text)


@pytest.mark.parametrize("secret", _WHOLE)
def test_a_cut_at_any_place_finds_it_whole(secret: str) -> None:
    text = f"Look: {secret} is it."
    for size in (1, 2, 3, 5, 11):
        assert streamed(text, [size]) == whole(text) != []


@settings(deadline=None, max_examples=100)
@given(text=hurtful(), begin=st.integers(0, 400))
def test_a_window_finds_what_the_whole_text_holds_there(text: str, begin: int) -> None:
    """The rule of locality: what stands more than `KEPT` before a value has no say."""
    folded = fold(text)
    begin = min(begin, len(folded))
    dropped = max(0, begin - KEPT)
    in_window = {(start + dropped, rank) for start, rank in _candidates(folded[dropped:], begin - dropped)}
    assert in_window == {(start, rank) for start, rank in _candidates(folded, 0) if start >= begin}


def _candidates(folded: bytes, begin: int) -> set[tuple[int, int]]:
    return {(start, rank) for rank, detector in enumerate(DETECTORS) for start in detector.starts(folded, begin)}


@settings(deadline=None, max_examples=60)
@given(text=hurtful())
def test_the_gate_lets_everything_through_that_a_detector_would_find(text: str) -> None:
    folded = fold(text)
    alone = [Scanner([detector]) for detector in DETECTORS]
    for detector, scanner in zip(DETECTORS, alone, strict=True):
        ends = [end for start in detector.starts(folded, 0) if (end := detector.end(folded, start)) is not None]
        assert bool(ends) == bool(list(scanner.spans(folded)))


def guard(**options: Any) -> Any:
    fields = {key: options.pop(key) for key in ("action", "stages") if key in options}
    return build(GuardSpec(name="secrets", kind="secrets", options=options, **fields), Resources(secret=SECRET))


async def test_what_was_hidden_comes_back_in_a_stream_of_single_characters() -> None:
    for secret in samples().values():
        session = guard().open(GuardRequest("t"))
        slot = Slot(f"Look: {secret} is it.")
        verdict = await session.check_input([slot])
        assert verdict.action is Action.REDACT and sum(verdict.findings.values()) == 1
        assert whole(slot.text) == []
        stream = session.open_stream(Scope.ASSISTANT)
        back = "".join([await stream.feed(char) for char in slot.text]) + await stream.finish()
        assert back == f"Look: {secret} is it."


async def test_a_secret_that_the_model_makes_up_is_masked_and_nothing_of_it_is_sent_before() -> None:
    for kind, sample in samples().items():
        ((start, end, _),) = whole(f"{sample} ok")
        stream = guard().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
        sent = ""
        for index, char in enumerate(f"{sample} ok"):
            sent += await stream.feed(char)
            if index < end:
                assert sample[:start].startswith(sent)
        assert sent + await stream.finish() == f"{sample[:start]}[{kind}]{sample[end:]} ok"


async def test_plain_words_are_sent_as_soon_as_they_end() -> None:
    stream = guard().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    assert await stream.feed("The password is something that ") == "The password is something that "
    assert await stream.feed("-----BEGIN PRIVATE KEY----- means a key. ") == "-----BEGIN PRIVATE KEY----- means a key. "
    assert await stream.feed("x" * 5000) != ""


async def test_a_key_without_an_end_is_held_no_longer_than_the_longest_key() -> None:
    stream = guard().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"
    sent = await stream.feed("-----BEGIN PRIVATE KEY-----\n")
    for _ in range(300):
        sent += await stream.feed(line)
        assert len(stream.held) <= 16_384 + len(line)
    assert sent.startswith("[PRIVATE_KEY]") and "-----BEGIN" not in sent


async def test_a_long_key_is_masked_to_its_end() -> None:
    stream = guard().open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    key = KEYS[-2]
    assert len(key) > 10_000
    sent = "".join([await stream.feed(key[at : at + 97]) for at in range(0, len(key), 97)])
    assert sent + await stream.feed(" That is all.") + await stream.finish() == "[PRIVATE_KEY] That is all."


@pytest.mark.parametrize("size", range(1, 21))
def test_what_stands_between_a_name_and_its_value_may_be_of_any_length(size: int) -> None:
    for said in (" is ", " is currently: ", " was set to "):
        text = f"My password for {'a' * size}{said}hunter22, they say."
        assert streamed(text, [1]) == streamed(text, [7]) == whole(text)


async def test_block_stops_before_anything_of_the_secret() -> None:
    stream = guard(action=Action.BLOCK).open(GuardRequest("t")).open_stream(Scope.ASSISTANT)
    sent = await stream.feed("Your key: sk-ant-api03-")
    with pytest.raises(GuardBlocked):
        for char in "aB3xYz9kLm2Qw8Er5Ty1" * 3 + " there":
            sent += await stream.feed(char)
    assert sent == "Your key: "


async def test_every_kind_proves_itself_at_the_start() -> None:
    await guard().prepare()
    for kind in KINDS:
        await guard(entities=[kind]).prepare()


async def test_a_guard_that_finds_nothing_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guards.secrets.build.samples", lambda: {"JWT": "no token"})
    with pytest.raises(GuardConfigError, match="JWT"):
        await guard().prepare()


@pytest.mark.parametrize(
    ("options", "at", "said"),
    [
        ({"entities": ["JWTS"]}, ("entities",), "unknown entities JWTS"),
        ({"entities": []}, ("entities",), "no entities"),
        ({"restore": True, "action": Action.FLAG}, ("restore",), "restore needs"),
        ({"restor": True}, ("restor",), "did you mean"),
        ({"allow": [""]}, ("allow", 0), "empty"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_place(options: dict[str, Any], at: tuple[str, ...], said: str) -> None:
    with pytest.raises(GuardConfigError, match=said) as refused:
        guard(**options)
    assert refused.value.at == at


async def test_only_the_asked_entities_are_hidden_and_allowed_values_stay() -> None:
    text = "password=hunter2x token ghp_" + "k7Qm2Xv9Rt4L" * 3
    slot = Slot(text)
    await guard(entities=["PASSWORD"], allow=["hunter2x"]).open(GuardRequest("t")).check_input([slot])
    assert slot.text == text
    await guard(entities=["GITHUB_TOKEN"], stages=(Stage.INPUT,)).open(GuardRequest("t")).check_input([slot])
    assert slot.text.startswith("password=hunter2x token [GITHUB_TOKEN_1_")


def test_the_kind_is_known() -> None:
    assert GUARD_KINDS.get("secrets", "guards.secrets.build") == "guards.secrets.build"
