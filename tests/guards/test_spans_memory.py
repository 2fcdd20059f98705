"""Long texts and long chats: nothing is looked at twice, nothing holds the loop up, and the answer is the same."""

from __future__ import annotations

import asyncio

import pytest
from guardkit import REQUEST, SECRET, FakeFinder, Slot, answered, hidden, hurtful_texts, pii, span_guard, streamed
from hypothesis import given, settings
from hypothesis import strategies as st

from guards import turns
from guards.build import build_guard
from guards.cache import ScanCache
from guards.pii.detectors import DETECTORS
from guards.resources import Resources
from guards.spans import seek
from guards.spans.detector import Span
from guards.spans.fold import fold
from guards.spans.recognizers import pattern_recognizer, word_recognizer
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec
from guards.types import GuardRequest, Scope

TURN = "Turn {n}: please write to ada{n}@example.com about the matter we spoke of, and to nobody else at all."


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all texts that are scanned."""
    seen: list[int] = []
    real = Scanner.find

    def counted(self: Scanner, text: str, begin: int = 0, limit: int | None = None) -> list[Span]:
        seen.append(len(text))
        return real(self, text, begin, limit)

    monkeypatch.setattr(Scanner, "find", counted)
    return seen


async def test_a_chat_of_forty_turns_costs_one_turn(scans: list[int]) -> None:
    finder = FakeFinder(PERSON="Turn")
    guard = span_guard(cache=ScanCache(), finder=finder)
    before: list[str] = []
    for turn in range(1, 41):
        chat = [TURN.format(n=n) for n in range(turn)]
        scans.clear()
        finder.asked.clear()
        sent = await hidden(guard.open(REQUEST), *chat)
        assert len(scans) == 2  # the new turn, and again with its values taken
        assert finder.asked == [chat[-1]]
        assert sent[:-1] == before
        before = sent
    assert all("@" not in text and "Turn" not in text for text in before)


async def test_what_was_remembered_is_what_would_be_found() -> None:
    texts = [TURN.format(n=1), "call 4155552671 " * 8, "x" * 100 + "@example.com4111 1111 1111 1111", "y" * 80]
    cached, plain = span_guard(cache=ScanCache()), span_guard()
    for _ in range(3):
        one, two = cached.open(REQUEST), plain.open(REQUEST)
        slots, others = [Slot(text) for text in texts], [Slot(text) for text in texts]
        assert await one.check_input(slots) == await two.check_input(others)
        assert slots == others
        assert [await answered(one, slot.text) for slot in slots] == texts


async def test_short_texts_are_not_remembered_and_tenants_share_nothing(scans: list[int]) -> None:
    cache = ScanCache()
    guard = span_guard(cache=cache)
    await hidden(guard.open(REQUEST), "to ada@example.com")
    assert len(cache) == 0
    await hidden(guard.open(REQUEST), TURN)
    scans.clear()
    await hidden(guard.open(GuardRequest("another")), TURN)
    assert scans
    scans.clear()
    await hidden(span_guard(cache=cache, fingerprint=b"another").open(REQUEST), TURN)
    assert scans
    scans.clear()
    await hidden(guard.open(REQUEST), TURN)
    assert not scans


async def test_the_key_of_a_value_is_remembered_with_it() -> None:
    guard = span_guard(cache=ScanCache())
    text = "4155552671 " + "and so on " * 10
    for context, is_found in [("", False), ("phone: ", True), ("", False), ("phone: ", True)]:
        slot = Slot(text, context=context)
        await guard.open(REQUEST).check_input([slot])
        assert slot.text.startswith("[PHONE_") == is_found


async def test_guards_that_look_for_different_things_share_no_memory() -> None:
    resources = Resources()
    text = TURN.format(n=1) + " 4111 1111 1111 1111"
    for entity in ("EMAIL", "CARD", "EMAIL"):
        guard = build_guard(GuardSpec(name="pii", kind="pii", options={"entities": [entity]}), resources)
        verdict = await guard.open(REQUEST).check_input([Slot(text)])
        assert verdict.findings == {entity: 1}


async def test_nothing_of_a_text_is_remembered() -> None:
    cache = ScanCache()
    await hidden(span_guard(cache=cache).open(REQUEST), TURN.format(n=7))
    assert len(cache) == 1
    assert "ada7" not in repr(vars(cache))


def set_pace(patch: pytest.MonkeyPatch, size: int) -> None:
    """Texts are looked at in pieces of this size at first, and of one character at least."""
    for name, value in (("_SHORT", size), ("LEAST", 1), ("MOST", size)):
        patch.setattr(turns, name, value)


@settings(deadline=None, max_examples=40)
@given(
    parts=st.lists(
        st.one_of(hurtful_texts(), st.sampled_from(["Apollo", "apo", "E-12", "34", "badge 12", "lorem ipsum " * 5])),
        max_size=6,
    ),
    size=st.integers(1, 60),
)
def test_a_text_in_slices_gives_what_the_whole_gives(parts: list[str], size: int) -> None:
    text = "".join(parts)
    recognizers = [word_recognizer("P", ["Apollo Next", "Apollo"]), pattern_recognizer("E", r"E-\d{2,9}", 100)]
    scanner = Scanner(DETECTORS, recognizers)
    whole = list(scanner.spans(fold(text), 0, None, text))
    with pytest.MonkeyPatch.context() as patch:
        set_pace(patch, size)
        assert asyncio.run(seek.scan(scanner, text, 0)) == whole
        begin = min(3, len(text))
        assert asyncio.run(seek.scan(scanner, text, begin)) == list(scanner.spans(fold(text), begin, None, text))


@pytest.mark.parametrize(
    "text", ["own@x.org0DE89own@x.org0DE890 stays", "please call me at the usual number, it is 4155552671, any time"]
)
async def test_no_size_of_slices_changes_what_is_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = Scanner(DETECTORS)
    whole = list(scanner.spans(fold(text)))
    assert whole
    for size in range(1, len(text)):
        set_pace(monkeypatch, size)
        assert await seek.scan(scanner, text, 0) == whole


async def test_a_long_reply_is_the_same_in_one_piece_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    session = pii().open(REQUEST)
    (own,) = await hidden(session, "own@x.org, phone 4155552671")
    text = f"Write to {own} or eve@example.com; " * 9
    whole = await answered(session, text)
    assert "[EMAIL]" in whole
    for size in (1, 7, 50, 61):
        set_pace(monkeypatch, size)
        assert await answered(session, text) == whole
        assert await streamed(session.open_stream(Scope.ASSISTANT), [text]) == whole


DENSE = "Mail ada@example.com or call +1 (415) 555-2671, card 4111 1111 1111 1111, from 203.0.113.7; "


async def test_long_texts_at_once_give_everything_else_its_turn() -> None:
    guard = pii(secret=SECRET)
    turns_taken = 0
    done = asyncio.Event()

    async def tick() -> None:
        nonlocal turns_taken
        while not done.is_set():
            await asyncio.sleep(0)
            turns_taken += 1

    ticker = asyncio.create_task(tick())
    session = guard.open(REQUEST)
    texts = [DENSE * 100 + str(number) for number in range(4)]
    await asyncio.gather(*(hidden(guard.open(REQUEST), text) for text in texts), answered(session, texts[0]))
    done.set()
    await ticker
    # Each is looked at twice on the way in, in pieces; between any two pieces the others have their turn.
    assert turns_taken >= 2 * sum(map(len, texts)) // turns.MOST


async def test_a_piece_grows_and_shrinks_with_the_time_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # When each asks for its turn, begins and ends.
    clock = iter([0.0, 0.0, 0.0001, 1.0, 1.0, 1.0001, 2.0, 2.0, 2.004, 3.0, 3.0, 3.5])
    monkeypatch.setattr(turns.time, "perf_counter", lambda: next(clock))
    pace = turns.Pace()
    sizes = []
    for _ in range(4):
        await pace.take(lambda: None)
        sizes.append(pace.size)
    assert sizes == [1_000, 4_000, 1_000, turns.LEAST]
