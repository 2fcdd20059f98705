"""Placeholders come back however a model writes them, and only those of the request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from guardkit import REQUEST, answered, hidden, pii, span_guard, streamed
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.pii.detectors.email import EMAIL
from guards.pii.detectors.ssn import US_SSN
from guards.spans import written
from guards.spans.recognizers import pattern_recognizer
from guards.types import Scope

FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
WRITINGS: list[Callable[[str], str]] = [
    str.lower,
    str.title,
    lambda p: p.replace("_", r"\_"),
    lambda p: p.replace("[", r"\[").replace("]", r"\]").replace("_", r"\_"),
    lambda p: p.replace("[", r"\\[").replace("]", r"\\]").replace("_", r"\\_"),
    lambda p: p.replace("[", "[ ").replace("]", " ]").replace("_", " _ "),
    lambda p: p.replace("[", "[**").replace("]", "**]"),
    lambda p: p.replace("[", "[`").replace("]", "`]"),
    lambda p: p.replace("[", r"\u005b").replace("]", r"\u005d"),
    lambda p: p.replace("[", r"\\u005B").replace("]", r"\\u005D").replace("_", r"\\u005f"),
    lambda p: p.replace("[", "&#91;").replace("]", "&#93;").replace("_", "&#95;"),
    lambda p: p.replace("[", "&lbrack;").replace("]", "&rsqb;").replace("_", "&lowbar;"),
    lambda p: p.replace("[", "&#x5B;").replace("]", "&#x5d;"),
    lambda p: p.replace("[", "%5B").replace("]", "%5D"),
    lambda p: p.replace("[", "%5b").replace("]", "%5d").replace("_", "%5f"),
    lambda p: p.translate(FULL_WIDTH),
    lambda p: p.replace("[", "［").replace("]", "］"),
    lambda p: p.replace("_", "\u200b_").replace("[", "[\u00a0"),
]
AROUND = [
    "{}",
    "**{}**",
    "`{}`",
    "*{}*",
    '"{}"',
    "({})",
    "[{}]",
    "[{}](mailto:{})",
    "\\{}",
    "{}\\",
    "a{}b",
    "<{}>",
    "_{}_",
]


@pytest.mark.parametrize("write", WRITINGS)
@pytest.mark.parametrize("value", ["ada@example.com", "078-05-1120"])
async def test_any_writing_of_a_placeholder_comes_back_whole_or_in_pieces(
    write: Callable[[str], str], value: str
) -> None:
    session = pii().open(REQUEST)
    (placeholder,) = await hidden(session, value)
    for around in AROUND:
        reply, expected = around.replace("{}", write(placeholder)), around.replace("{}", value)
        if around == "\\{}" and reply.startswith("\\\\"):
            continue  # more backslashes are part of the placeholder
        assert await answered(session, reply) == expected
        assert await streamed(session.open_stream(Scope.ASSISTANT), list(reply)) == expected


@pytest.mark.parametrize("write", WRITINGS)
async def test_a_placeholder_the_caller_wrote_in_any_way_is_never_given_out(write: Callable[[str], str]) -> None:
    (guessed,) = await hidden(pii().open(REQUEST), "ada@example.com")
    session = pii().open(REQUEST)
    (given_out, _) = await hidden(session, "ada@example.com", f"say {write(guessed)}")
    assert written.key_of(given_out) != written.key_of(guessed)
    for reply in (guessed, write(guessed)):
        assert await answered(session, reply) == reply


@pytest.mark.parametrize(
    "reply", ["[EMAIL_1_{n}", "EMAIL_1_{n}]", "[EMAIL_2_{n}]", "[EMAIL_11_{n}]", "[PHONE_1_{n}]", "[EMAIL_1_{n}x]",
              "[EMAIL-1-{n}]", "[EMAIL 1 {n}]", "[[EMAIL_1_{n}", r"\[EMAIL_1_{n}", "&#91;EMAIL_1_{n}]"]
)  # fmt: skip
async def test_what_is_only_like_a_placeholder_stays(reply: str) -> None:
    session = pii().open(REQUEST)
    (placeholder,) = await hidden(session, "ada@example.com")
    reply = reply.format(n=placeholder[9:11])
    assert await answered(session, reply) == reply
    assert await streamed(session.open_stream(Scope.ASSISTANT), list(reply)) == reply


@pytest.mark.parametrize("kind", ["AB", "EMPLOYEE_ID", "X_1", "A_1_K7", "K9", "LONG_" + "X" * 35])
async def test_any_name_of_an_entity_makes_a_placeholder(kind: str) -> None:
    session = span_guard(detectors=(), recognizers=[pattern_recognizer(kind, r"E-\d{6}", 100)]).open(REQUEST)
    (sent,) = await hidden(session, "E-123456 and E-654321")
    assert sent.startswith(f"[{kind}_1_")
    assert await answered(session, sent) == "E-123456 and E-654321"
    assert await streamed(session.open_stream(Scope.ASSISTANT), sent.lower()) == "E-123456 and E-654321"
    assert await answered(session, "E-111111") == f"[{kind}]"


async def test_a_writing_that_is_too_long_is_none_in_one_piece_or_in_many() -> None:
    guard = span_guard(detectors=(), recognizers=[pattern_recognizer("A" + "_" * 30 + "B", r"E-\d{6}", 100)])
    session = guard.open(REQUEST)
    (sent,) = await hidden(session, "E-123456")
    for reply, back in [
        (sent, "E-123456"),
        (sent.replace("_", "\\_"), "E-123456"),
        (sent.replace("_", "&lowbar;"), None),
    ]:
        assert await answered(session, reply) == (back or reply)
        assert await streamed(session.open_stream(Scope.ASSISTANT), list(reply)) == (back or reply)


async def test_a_sign_that_may_open_a_placeholder_waits_no_longer_than_it_has_to() -> None:
    session = span_guard(detectors=[EMAIL]).open(REQUEST)
    await hidden(session, "ada@example.com")
    stream = session.open_stream(Scope.ASSISTANT)
    for piece, sent in [
        ("; [", "; "), ("x", "[x"[:1]), (" ", "x "), ("; &", "; "), ("; \\", "&; "), ("; %", "\\; "), ("; ", "%; "),
        ("; &#9", "; "), ("2;", "&#92;"), (" ; \\u00", " ; "), ("41;", "\\u0041;"),
    ]:  # fmt: skip
        assert await stream.feed(piece) == sent
    clean = span_guard(detectors=[EMAIL]).open(REQUEST).open_stream(Scope.ASSISTANT)
    assert await clean.feed("; [") == "; ["  # nothing was hidden


_SIGNS = st.sampled_from(
    ["[", "]", "\\", "\\\\", "\\u005b", "\\u00", "5b", "\\u005d", "&#91;", "&#9", "3;", "&lbrack;", "%5", "%5B",
     "B", "%5d", "［", "］", " ", "*", "`", "_", "\\_", "{0}", "{1}", "{2}", "{3}", "{4}", "{5}", "a", "1", "EMAIL",
     "_1_", "a@b.co", "\u200b"]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(parts=st.lists(_SIGNS, max_size=12), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_no_cut_of_a_garbled_placeholder_changes_anything(parts: list[str], sizes: list[int]) -> None:
    async def run() -> None:
        session = span_guard(detectors=[EMAIL, US_SSN]).open(REQUEST)
        mail, number = await hidden(session, "ada@example.com", "078-05-1120")
        forms = {"{0}": mail, "{1}": number.lower(), "{2}": mail[:7], "{3}": mail[1:], "{4}": mail[1:-1]}
        forms["{5}"] = mail[1:].replace("]", "\\u005d")
        text = "".join(forms.get(part, part) for part in parts)
        whole = await answered(session, text)
        stream = session.open_stream(Scope.ASSISTANT)
        out, start = "", 0
        while start < len(text):
            for size in sizes:
                out += await stream.feed(text[start : start + size])
                start += size
                assert whole.startswith(out)
        assert out + await stream.finish() == whole
        again = span_guard(detectors=[EMAIL, US_SSN]).open(REQUEST)
        (sent,) = await hidden(again, text)
        assert await answered(again, sent) == text

    asyncio.run(run())
