"""An operator's own recognizers and allow-lists: what they find, in any text and however it is cut."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import re2
from guardkit import REQUEST, SECRET, Slot, answered, hidden, span_guard, streamed
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.build import build_guard
from guards.pii.detectors import DETECTORS
from guards.resources import Resources
from guards.spans.detector import Detector, starts_of
from guards.spans.fold import fold
from guards.spans.patterns import BadPattern
from guards.spans.recognizers import Recognizer, pattern_recognizer, word_recognizer
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec
from guards.types import Guard, GuardConfigError, Scope

CARDS_AND_MAIL = [detector for detector in DETECTORS if detector.kind in ("EMAIL", "CARD")]


def found(recognizer: Recognizer, text: str) -> list[str]:
    spans = Scanner((), (recognizer,)).spans(fold(text), 0, None, text)
    return [text[span.start : span.end] for span in spans]


def built(**options: Any) -> Guard:
    return build_guard(GuardSpec(name="pii", kind="pii", options=options), Resources(secret=SECRET))


@pytest.mark.parametrize(
    ("words", "text", "values"),
    [
        (["Apollo"], "The apollo team, Apollo's plan: APOLLO!", ["apollo", "Apollo", "APOLLO"]),
        (["Apollo"], "Apollos napollo Apollo_2 Apollo2", []),
        (["Apollo"], "napollo", []),
        (["Blue Moon"], "blue moon, Blue  Moon, BLUE\nMOON, bluemoon", ["blue moon", "Blue  Moon", "BLUE\nMOON"]),
        (
            ["New", "New York", "New York City"],
            "New York City, New Yorkers, New York",
            ["New York City", "New", "New York"],
        ),
        (["straße"], "STRASSE Straße strasse", ["STRASSE", "Straße", "strasse"]),
        (["Müller"], "mu\u0308ller MÜLLER müllers", ["mu\u0308ller", "MÜLLER"]),
        (["Проект Заря"], "проект заря и проекты", ["проект заря"]),
        (["富士計画"], "これは富士計画です", ["富士計画"]),
        (["C++", ".NET", "a.b"], "C++ and c++11 in .net, axb a.b", ["C++", "c++", ".net", "a.b"]),
        (["x-ray"], "X-Ray and x-rays", ["X-Ray"]),
        (["ＡＢＣ"], "ａｂｃ", ["ａｂｃ"]),
    ],
)
def test_words_of_a_list_are_found_whole_whatever_their_case(words: list[str], text: str, values: list[str]) -> None:
    assert found(word_recognizer("PROJECT", words), text) == values


@pytest.mark.parametrize(
    ("source", "text", "values"),
    [
        (r"E-\d{6}", "E-123456, E-1234567 and e-123456", ["E-123456", "E-123456"]),
        (r"\bE-\d{6}\b", "E-123456, E-1234567 and XE-123456", ["E-123456"]),
        (r"(?i)kd\.? ?nr\.? ?\d+", "KD-Nr 1, Kd.Nr. 4711", ["Kd.Nr. 4711"]),
        (r"Größe \d+", "Größe 42, Grösse 42 \ud800 Größe 7", ["Größe 42", "Größe 7"]),
        (r"\d{4}", "12345678", ["1234", "5678"]),
        (r"[あ-ん]{2}\d", "これ1 それ2", ["これ1", "それ2"]),
    ],
)
def test_a_pattern_is_found_as_it_is_written(source: str, text: str, values: list[str]) -> None:
    assert found(pattern_recognizer("X", source, 100), text) == values


def test_a_context_word_must_stand_whole_and_near() -> None:
    badge = pattern_recognizer("BADGE", r"\b\d{5}\b", 100, ["badge", "Ausweis Nr", "社員"])
    assert found(badge, "12345 badge 23456; BADGE: 34567") == ["23456", "34567"]
    assert found(badge, "badges 12345, ausweis  nr 23456, badger 34567") == [
        "23456",
        "34567",
    ]  # within reach of ausweis
    assert found(badge, "badges 12345, badger 34567") == []
    assert found(badge, "badge" + " and so on" * 5 + " 12345") == []
    assert found(badge, "社員 12345") == ["12345"]


def test_an_endless_repetition_ends_after_the_longest() -> None:
    assert [len(value) for value in found(pattern_recognizer("X", r"x\d+", 10), "x" + "1" * 30)] == [11]


WORDS = word_recognizer("PROJECT", ["Apollo", "Apollo Next", "next week", "straße", "富士"])
NUMBER = pattern_recognizer("NUMBER", r"\b[A-Z]{1,2}-\d{2,4}(?:/\d+)?", 6)
LAZY = pattern_recognizer("QUOTED", r"<.*?>", 12)
NAMED = pattern_recognizer("BADGE", r"\d{3,5}", 100, ["badge"])
# fmt: off
PIECES = st.sampled_from(
    (
        "apollo", "Apollo ", "next", "NEXT week", " ", "straße", "STRASSE", "s", "富士", "日", "A-12", "AB-", "1", "23",
        "4567", "/", "/12", "<", ">", "badge ", "badge", "é", "\n", "-", "a@b.co", "4111 1111 1111 1111", "[",
        "[PROJECT_1_", ".", "x", "\ufdd0",
    )
)
# fmt: on
TEXTS = st.lists(st.one_of(PIECES, PIECES, st.text(max_size=3)), max_size=12).map("".join)


@settings(deadline=None, max_examples=120)
@given(text=TEXTS, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_no_cut_changes_what_own_recognizers_find_and_all_comes_back(text: str, sizes: list[int]) -> None:
    async def run() -> None:
        guard = span_guard(detectors=CARDS_AND_MAIL, recognizers=[LAZY, WORDS, NUMBER, NAMED])
        session = guard.open(REQUEST)
        (sent,) = await hidden(session, text)
        assert await answered(session, sent) == text
        other = guard.open(REQUEST)
        whole = await answered(other, text)
        pieces, start = [], 0
        while start < len(text):
            for size in sizes:
                pieces.append(text[start : start + size])
                start += size
        assert await streamed(other.open_stream(Scope.ASSISTANT), pieces) == whole
        assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == text

    asyncio.run(run())


@settings(deadline=None, max_examples=150)
@given(
    source=st.text(alphabet="ab1.?*+{}2,|()[]\\d b", min_size=1, max_size=8),
    text=st.text(alphabet="ab1 é", max_size=14),
    cut=st.integers(0, 14),
)
def test_any_pattern_finds_in_two_pieces_what_it_finds_in_one(source: str, text: str, cut: int) -> None:
    try:
        recognizer = pattern_recognizer("X", source, 5)
    except BadPattern:
        return
    guard = span_guard(detectors=(), recognizers=[recognizer])

    async def run() -> None:
        session = guard.open(REQUEST)
        whole = await answered(session, text)
        assert await streamed(session.open_stream(Scope.ASSISTANT), [text[:cut], text[cut:]]) == whole
        pattern = recognizer.pattern.whole
        assert whole == re2.sub(pattern, b"[X]", text.encode()).decode()

    asyncio.run(run())


async def test_nothing_of_a_word_leaves_early_and_plain_words_do_not_wait() -> None:
    stream = span_guard(detectors=(), recognizers=[word_recognizer("PROJECT", ["Blue Moon"])]).open(REQUEST)
    filter_ = stream.open_stream(Scope.ASSISTANT)
    sent = [await filter_.feed(piece) for piece in ["The sky is ", "blu", "e", " moo", "dy; the b", "lue  moon", " r"]]
    assert sent == ["The sky is ", "", "", "", "blue moody; the ", "", "[PROJECT] r"]


async def test_an_own_recognizer_wins_where_a_detector_finds_the_same() -> None:
    guard = built(recognizers=[{"name": "STAFF", "regex": r"[a-z]+@corp\.example"}])
    (sent,) = await hidden(guard.open(REQUEST), "ada@corp.example and ada@example.com")
    assert sent.startswith("[STAFF_1_")
    assert "and [EMAIL_1_" in sent


async def test_no_recognizer_reaches_into_a_placeholder() -> None:
    guard = built(recognizers=[{"name": "ANY", "regex": "to .{12}"}, {"name": "WORD", "words": ["email", "k7"]}])
    session = guard.open(REQUEST)
    text = "write to a@b.co now, to ada@example.com and to somebody else"
    (sent,) = await hidden(session, text)
    assert await answered(session, sent) == text
    assert await streamed(session.open_stream(Scope.ASSISTANT), list(sent)) == text

    (placeholder,) = await hidden(session, "eve@example.com")
    for reply in (f"to {placeholder} and so on it goes", f"so to {placeholder}"):
        assert await answered(session, reply) == reply.replace(placeholder, "eve@example.com")
        assert await streamed(session.open_stream(Scope.ASSISTANT), list(reply)) == (
            reply.replace(placeholder, "eve@example.com")
        )


async def test_no_detector_reaches_into_a_placeholder_whatever_it_takes() -> None:
    greedy = Detector(
        kind="REST",
        gate=rb"key=",
        starts=starts_of(re.compile(rb"(?=key=)")),
        end=lambda folded, start: start + len(re.compile(rb"key=[^ ]*").match(folded, start).group()),  # type: ignore[union-attr]
        tail=re.compile(rb"k(?:e(?:y(?:=[^ ]{0,90})?)?)?\Z"),
        tail_bytes=bytes(set(range(256)) - {32}),
        longest_tail=94,
        canonical=str,
    )
    session = span_guard(detectors=[*CARDS_AND_MAIL, greedy]).open(REQUEST)
    text = "mail=ada@example.com key=1 key=2"
    (sent,) = await hidden(session, text)
    mail = sent.split(" ")[0].removeprefix("mail=")
    assert await answered(session, f"key={mail} key=3") == "key=ada@example.com [REST]"
    assert await streamed(session.open_stream(Scope.ASSISTANT), list(f"key={mail} key=3")) == (
        "key=ada@example.com [REST]"
    )


async def test_a_word_that_begins_inside_another_waits_for_its_end() -> None:
    guard = span_guard(detectors=(), recognizers=[word_recognizer("P", ["x-ray y", "ray z"])])
    stream = guard.open(REQUEST).open_stream(Scope.ASSISTANT)
    assert [await stream.feed(piece) for piece in ["ax-ray", " z."]] == ["ax-", "[P]."]


async def test_what_cannot_reach_over_a_placeholder_does_not_wait_behind_it() -> None:
    session = span_guard(detectors=CARDS_AND_MAIL, recognizers=[LAZY]).open(REQUEST)
    (mail,) = await hidden(session, "ada@example.com")
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed(f"see <{mail} ") == "see <ada@example.com "


async def test_a_list_of_thousands_of_words_is_served() -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{n}x" for n in range(3_000)]
    guard = built(entities=["EMAIL"], recognizers=[{"name": "PROJECT", "words": words}])
    (sent,) = await hidden(guard.open(REQUEST), f"see {words[2321]} and {words[17].upper()} but not zzz9x")
    assert sent.count("[PROJECT_") == 2
    assert sent.endswith("zzz9x")


@pytest.mark.parametrize(
    ("allow", "text", "left"),
    [
        (["Support@Example.com"], "support@example.com ada@example.com", ["support@example.com"]),
        (["+1 415 555 2671"], "call +14155552671 or +14155552672", ["+14155552671"]),
        (
            [{"regex": r"[a-z]+@example\.com"}],
            "ada@example.com ada1@example.com ada@example.com.de",
            ["ada@example.com"],
        ),
        ([{"domain": "Example.com"}], "a1@example.com b2@mail.example.com c3@badexample.com", ["a1@", "b2@"]),
        ([{"domain": "example.com"}, "c3@x.org"], "a1@example.com c3@x.org d4@x.org", ["a1@", "c3@x.org"]),
    ],
)
async def test_allowed_values_are_left_alone_on_both_ways(allow: list[Any], text: str, left: list[str]) -> None:
    guard = built(allow=allow)
    session = guard.open(REQUEST)
    (sent,) = await hidden(session, text)
    reply = await answered(guard.open(REQUEST), text)
    for value in text.split():
        kept = any(value == one or (one.endswith("@") and value.startswith(one)) for one in left)
        if "@" in value or "+" in value:
            assert (value in sent.split(), value in reply.split()) == (kept, kept)
    assert await answered(session, sent) == text
    assert await streamed(guard.open(REQUEST).open_stream(Scope.ASSISTANT), list(text)) == reply


@pytest.mark.parametrize(
    ("options", "at", "message"),
    [
        ({"recognizers": [{"name": "X1", "regex": "a("}]}, ("recognizers", 0, "regex"), "RE2"),
        ({"recognizers": [{"name": "X1", "regex": "^a"}]}, ("recognizers", 0, "regex"), "anchor"),
        ({"recognizers": [{"name": "x1", "regex": "a"}]}, ("recognizers", 0, "name"), "capitals"),
        ({"recognizers": [{"name": "X" * 41, "regex": "a"}]}, ("recognizers", 0, "name"), "40"),
        ({"recognizers": [{"name": "OK", "regex": "a"}, {"name": "X1"}]}, ("recognizers", 1), "either"),
        ({"recognizers": [{"name": "X1", "regex": "a", "words": ["b"]}]}, ("recognizers", 0), "either"),
        ({"recognizers": [{"name": "X1", "words": []}]}, ("recognizers", 0, "words"), "no words"),
        ({"recognizers": [{"name": "X1", "words": ["a", " - "]}]}, ("recognizers", 0, "words", 1), "letters"),
        ({"recognizers": [{"name": "X1", "words": ["a" * 201]}]}, ("recognizers", 0, "words", 0), "200"),
        ({"recognizers": [{"name": "X1", "regex": "a", "longest": 0}]}, ("recognizers", 0, "longest"), "from 1"),
        ({"recognizers": [{"name": "X1", "regex": "a", "context": [""]}]}, ("recognizers", 0, "context", 0), "empty"),
        ({"recognizers": [{"name": "X1", "regex": "a", "speed": 1}]}, ("recognizers", 0, "speed"), "no key"),
        (
            {"recognizers": [{"name": "X1", "regex": "a+", "examples": ["b"]}]},
            ("recognizers", 0, "examples", 0),
            "finds",
        ),
        ({"allow": ["a", {"regex": "["}]}, ("allow", 1, "regex"), "RE2"),
        ({"allow": [{"domain": "a@b.co"}]}, ("allow", 0, "domain"), "example.com"),
        ({"allow": [{}]}, ("allow", 0), "expected"),
        ({"allow": [""]}, ("allow", 0), "empty"),
    ],
)
def test_what_cannot_be_recognized_is_refused_where_it_stands(
    options: dict[str, Any], at: tuple[str | int, ...], message: str
) -> None:
    with pytest.raises(GuardConfigError, match=message) as caught:
        built(**options)
    assert caught.value.at == at


async def test_the_key_of_a_value_counts_as_what_stands_before_it() -> None:
    guard = built(recognizers=[{"name": "BADGE", "regex": r"\d{5}", "context": ["badge"]}])
    slots = [Slot("12345", context="badge: "), Slot("12345", context="size: "), Slot("4155552671", context="phone: ")]
    await guard.open(REQUEST).check_input(slots)
    assert [slot.text[:7] for slot in slots] == ["[BADGE_", "12345", "[PHONE_"]
    session = guard.open(REQUEST)
    replies = [Slot("12345", context="badge: "), Slot("12345")]
    await session.check_output(replies)
    assert [slot.text for slot in replies] == ["[BADGE]", "12345"]
    stream = session.open_stream(Scope.TOOL_CALL)
    stream.begin("badge: ")
    assert await streamed(stream, "12345") == "[BADGE]"
