"""JSON inside a string (a tool's arguments): its strings are seen decoded, and written back as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.texts import JsonSlot, reply_slots, request_slots, write_back
from gateway.texts.json_stream import JsonFilter
from gateway.texts.json_text import JsonCutter, Kind, quoted_inside
from gateway.texts.slots import Slot, inner_slots
from guards.types import Scope

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
# What models write, and what claims to be JSON and is not.
TEXTS = st.one_of(
    VALUES.map(json.dumps),
    VALUES.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
    st.text(alphabet='{}[]:,"\\u0049dD83cDE00 \n aé1', max_size=30),
    st.sampled_from(['{"a": "\\ud83d\\ude00 \\ud83d x"}', '["\\u0041\\/\\b', '"\\', '{"a":"\\u12', "[4111 1111, nul]"]),
)


def cut(text: str, places: Sequence[int]) -> list[str]:
    at = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]


CUTS = st.lists(st.integers(0, 1_000), max_size=6)


def strings_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings_of(item)]
    return [value] if isinstance(value, str) and value else []


def is_number(slot: Slot | JsonSlot) -> bool:
    return isinstance(slot, JsonSlot) and not slot.quoted


@given(TEXTS, CUTS)
def test_the_pieces_of_any_text_are_the_text(text: str, places: list[int]) -> None:
    cutter = JsonCutter()
    parts = cut(text, places)
    pieces = [piece for part in parts[:-1] for piece in cutter.feed(part)]
    pieces += cutter.feed(parts[-1], final=True)
    assert "".join(piece.raw for piece in pieces) == text
    said = "".join(piece.text for piece in pieces if piece.kind is Kind.TEXT)
    assert said == "".join(piece.text for piece in JsonCutter().feed(text, final=True) if piece.kind is Kind.TEXT)


@given(VALUES, st.booleans())
def test_the_strings_seen_are_those_that_a_parser_reads(value: Any, ascii_only: bool) -> None:
    written = [json.dumps([value], ensure_ascii=ascii_only)]
    slots = list(inner_slots(Slot(written, 0, Scope.TOOL_CALL)))
    assert [slot.text for slot in slots if not is_number(slot)] == strings_of(value)


@given(VALUES)
def test_what_is_set_is_what_a_parser_reads(value: Any) -> None:
    written = [json.dumps([value])]
    slots = list(inner_slots(Slot(written, 0, Scope.TOOL_CALL)))
    for slot in slots:
        slot.text = f'"{slot.text}\\\n'
    write_back(slots)
    found = strings_of(json.loads(written[0]))  # numbers are strings now
    assert len(found) == len(slots)
    assert all(text.startswith('"') and text.endswith("\\\n") for text in found)


class Swap:
    """Puts one word in the place of another, holding back what may become it."""

    def __init__(self, word: str, other: str) -> None:
        self._word = word
        self._other = other
        self.held = ""

    async def feed(self, text: str) -> str:
        self.held += text
        return self._take(final=False)

    async def finish(self) -> str:
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        text = self.held
        keep = 0
        if not final:
            last = len(self._word) - 1
            keep = next((n for n in range(last, 0, -1) if text.endswith(self._word[:n])), 0)
        self.held = text[len(text) - keep :]
        return text[: len(text) - keep].replace(self._word, self._other)


async def through(filter_: JsonFilter, parts: Sequence[str]) -> str:
    out = []
    for part in parts:
        before = filter_.held
        out.append(await filter_.feed(part))
        assert (before + part).endswith(filter_.held)
    return "".join(out) + await filter_.finish()


@given(TEXTS, CUTS)
async def test_a_stream_in_which_nothing_changes_leaves_as_it_was_written(text: str, places: list[int]) -> None:
    stream = JsonFilter(lambda context: Swap("\0nothing\0", ""))
    assert await through(stream, cut(text, places)) == text


@given(VALUES, CUTS, st.booleans())
async def test_any_cut_of_a_stream_means_the_same(value: Any, places: list[int], ascii_only: bool) -> None:
    text = json.dumps([value, "ab", {"ab": 1, "é": "xab\n\x00"}], ensure_ascii=ascii_only)
    out = await through(JsonFilter(lambda context: Swap("ab", 'q"\n')), cut(text, places))
    whole = await through(JsonFilter(lambda context: Swap("ab", 'q"\n')), [text])
    assert json.loads(out) == json.loads(whole)
    assert 'q"\n' in json.loads(out)


async def test_a_number_that_changes_becomes_a_string() -> None:
    out = await through(JsonFilter(lambda context: Swap("411", "[C]")), ['{"n": 41', '1, "m": 12}'])
    assert json.loads(out) == {"n": "[C]", "m": 12}


async def test_what_is_not_json_is_guarded_as_it_is() -> None:
    assert await through(JsonFilter(lambda context: Swap("ab c", "-")), [" ", "xa", "b c, a"]) == " x-, a"


@pytest.mark.parametrize(
    ("text", "contexts"),
    [
        ('{"ssn": "1", "n": [{"card": 2}, 3], "x": 4}', ["", "ssn: ", "", "", "card: ", "", "", "x: "]),
        ('["a", "b"]', ["", ""]),
        ('{"a": ["b", "c"]}', ["", "a: ", "a: "]),
        ('{"' + "k" * 50 + '": "v"}', ["", ""]),
    ],
)
async def test_a_value_is_read_after_its_key(text: str, contexts: list[str]) -> None:
    seen: list[str] = []

    def open_(context: str) -> Swap:
        seen.append(context)
        return Swap("\0", "")

    await through(JsonFilter(open_), list(text))
    assert seen == contexts
    assert [slot.context for slot in inner_slots(Slot([text], 0, Scope.TOOL))] == contexts


HIDDEN = '{"to": "jane\\u0040example.com", "n": 5}'


def test_arguments_of_a_request_and_a_reply_are_seen_decoded_and_stay_json() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "send", "arguments": HIDDEN}}
    body = {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    slots = [slot for slot in request_slots(body) if slot.scope is Scope.TOOL_CALL and "@" in slot.text]
    assert [(slot.text, slot.context) for slot in slots] == [("jane@example.com", "to: ")]
    slots[0].text = 'a"b'
    write_back(slots)
    assert json.loads(call["function"]["arguments"]) == {"to": 'a"b', "n": 5}  # type: ignore[index]
    reply = {"choices": [{"index": 0, "message": {"tool_calls": [{"function": {"arguments": HIDDEN}}]}}]}
    assert [slot.text for slot in reply_slots(reply)] == ["to", "jane@example.com", "n", "5"]


def test_a_tools_answer_with_escapes_is_seen_decoded_and_others_are_one_text() -> None:
    def texts(content: str) -> list[str]:
        return [slot.text for slot in request_slots({"messages": [{"role": "tool", "content": content}]})]

    assert texts(HIDDEN) == ["to", "jane@example.com", "n", "5"]
    assert texts('{"to": "jane@example.com"}') == ['{"to": "jane@example.com"}']


@given(st.text())
def test_a_text_between_quotes_is_read_as_itself(text: str) -> None:
    assert json.loads(f'"{quoted_inside(text)}"') == text
    quoted_inside(text).encode("utf-8")
