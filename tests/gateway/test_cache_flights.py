"""Equal requests at once: one goes upstream, and nobody fails with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from cachekit import make_cache, make_call, make_reply, said
from storekit import Clock, until

from gateway.cache.controls import Controls
from gateway.cache.exact import ExactCache, Hit
from gateway.errors import UpstreamFailed
from gateway.pipeline.answer import Reply

FOREVER = 3600.0


class Model:
    """An upstream that answers when a test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: asyncio.Queue[Reply | Exception] = asyncio.Queue()

    async def __call__(self) -> Reply:
        self.asked += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def once_asked(self, times: int = 1) -> None:
        await until(lambda: self.asked == times)
        for _ in range(5):  # let those who wait come to it
            await asyncio.sleep(0)


async def ask(cache: ExactCache, model: Model, text: str = "x", patience: float = FOREVER, **controls: Any) -> str:
    """One request, as the pipeline makes it."""
    lookup = cache.open(make_call(text), controls=Controls(**controls))
    assert lookup is not None
    with lookup:
        hit = await lookup.get(patience)
        if hit is not None:
            return f"hit: {said(hit.reply)}"
        reply = await model()
        lookup.put(reply, "assistant")
        return said(reply)


@pytest.fixture
def cache() -> ExactCache:
    return make_cache()


@pytest.fixture
def model() -> Model:
    return Model()


Start = Callable[..., list["asyncio.Task[str]"]]


@pytest.fixture
def start(cache: ExactCache, model: Model) -> Start:
    def start(many: int, text: str = "x", **options: Any) -> list[asyncio.Task[str]]:
        return [asyncio.create_task(ask(cache, model, text, **options)) for _ in range(many)]

    return start


async def test_equal_requests_at_once_go_upstream_once(cache: ExactCache, model: Model, start: Start) -> None:
    tasks = start(20)
    await model.once_asked()
    model.answers.put_nowait(make_reply("A"))
    assert await asyncio.gather(*tasks) == ["A", *["hit: A"] * 19]
    assert model.asked == 1
    assert (cache.counts.hits, cache.counts.misses, cache.counts.stored) == (19, 1, 1)
    assert len(cache.flights) == 0


async def test_other_requests_do_not_wait(model: Model, start: Start) -> None:
    tasks = [*start(1, "x"), *start(1, "y")]
    await model.once_asked(2)
    model.answers.put_nowait(make_reply("A"))
    model.answers.put_nowait(make_reply("B"))
    assert await asyncio.gather(*tasks) == ["A", "B"]


async def test_each_who_waited_has_a_copy_of_its_own(cache: ExactCache) -> None:
    leader, *others = (cache.open(make_call()) for _ in range(3))
    assert leader is not None
    with leader:
        assert await leader.get(FOREVER) is None
        waiting = [asyncio.create_task(other.get(FOREVER)) for other in others if other is not None]
        await asyncio.sleep(0)
        reply = make_reply("A")
        leader.put(reply, "assistant")
    hits = [hit for hit in await asyncio.gather(*waiting) if hit is not None]
    reply.body["choices"][0]["message"]["content"] = "rewritten"
    hits[0].reply.body["choices"][0]["message"]["content"] = "rewritten"
    assert [said(hit.reply) for hit in hits] == ["rewritten", "A"]


async def test_when_the_leaders_caller_leaves_one_who_waits_leads(
    cache: ExactCache, model: Model, start: Start
) -> None:
    leader, *others = start(5)
    await model.once_asked()
    leader.cancel()
    await model.once_asked(2)
    model.answers.put_nowait(make_reply("A"))
    assert list(await asyncio.gather(*others)) == ["A", *["hit: A"] * 3]
    assert model.asked == 2
    assert leader.cancelled()
    assert len(cache.flights) == 0


async def test_one_who_waits_and_leaves_takes_nobody_along(model: Model, start: Start) -> None:
    leader, leaving, staying = start(3)
    await model.once_asked()
    leaving.cancel()
    await asyncio.wait([leaving])
    model.answers.put_nowait(make_reply("A"))
    assert list(await asyncio.gather(leader, staying)) == ["A", "hit: A"]
    assert leaving.cancelled()


async def test_the_leader_and_its_heir_may_both_leave_at_once(model: Model, start: Start) -> None:
    leader, heir, last = start(3)
    await model.once_asked()
    leader.cancel()
    heir.cancel()
    await model.once_asked(2)
    model.answers.put_nowait(make_reply("A"))
    assert await last == "A"


async def test_when_the_leader_fails_each_goes_by_itself_and_at_once(
    cache: ExactCache, model: Model, start: Start
) -> None:
    leader, *others = start(4)
    await model.once_asked()
    model.answers.put_nowait(UpstreamFailed("no"))
    await model.once_asked(4)
    for text in "ABC":
        model.answers.put_nowait(make_reply(text))
    assert sorted(await asyncio.gather(*others)) == ["A", "B", "C"]
    with pytest.raises(UpstreamFailed):
        await leader
    assert len(cache.flights) == 0


async def test_an_answer_that_is_not_whole_is_shared_with_nobody(model: Model, start: Start) -> None:
    leader, other = start(2)
    await model.once_asked()
    filtered = make_reply("")
    filtered.body["choices"][0]["finish_reason"] = "content_filter"
    model.answers.put_nowait(filtered)
    await model.once_asked(2)
    model.answers.put_nowait(make_reply("B"))
    assert list(await asyncio.gather(leader, other)) == ["", "B"]


async def test_those_who_wait_go_as_soon_as_an_answer_is_known_not_to_be_whole(cache: ExactCache) -> None:
    leader, other = cache.open(make_call()), cache.open(make_call())
    assert leader is not None
    assert other is not None
    with leader:
        assert await leader.get(FOREVER) is None
        waiting = asyncio.create_task(other.get(FOREVER))
        await asyncio.sleep(0)
        leader.put(make_reply(""), "assistant")
        assert await waiting is None  # though the leader still writes to its caller


async def test_an_answer_too_large_to_keep_is_shared_with_those_who_wait(model: Model) -> None:
    cache = make_cache(max_entry=200)
    tasks = [asyncio.create_task(ask(cache, model)) for _ in range(2)]
    await model.once_asked()
    model.answers.put_nowait(make_reply("A" * 1000))
    assert await asyncio.gather(*tasks) == ["A" * 1000, "hit: " + "A" * 1000]
    assert cache.counts.stored == 0


async def test_nobody_waits_longer_than_its_patience(model: Model, start: Start) -> None:
    [leader] = start(1)
    await model.once_asked()
    [other] = start(1, patience=0.001)
    await model.once_asked(2)
    model.answers.put_nowait(make_reply("A"))
    model.answers.put_nowait(make_reply("B"))
    assert list(await asyncio.gather(leader, other)) == ["A", "B"]


async def test_who_wants_nothing_cached_neither_waits_nor_leads(model: Model, start: Start) -> None:
    tasks = [*start(1, reads=False), *start(1), *start(1, reads=False)]
    await model.once_asked(3)
    for text in "ABC":
        model.answers.put_nowait(make_reply(text))
    assert await asyncio.gather(*tasks) == ["A", "B", "C"]


async def test_those_who_come_together_read_the_store_once(model: Model) -> None:
    cache = make_cache()
    reads, go_on = 0, asyncio.Event()
    get = cache.store.get

    async def slow(key: bytes) -> bytes | None:
        nonlocal reads
        reads += 1
        await go_on.wait()
        return await get(key)

    model.answers.put_nowait(make_reply("A"))
    await ask(cache, model)
    cache.store.get = slow  # type: ignore[method-assign]
    tasks = [asyncio.create_task(ask(cache, model)) for _ in range(3)]
    await until(lambda: reads > 0)
    go_on.set()
    assert await asyncio.gather(*tasks) == ["hit: A"] * 3
    assert (reads, model.asked) == (1, 1)


async def test_an_answer_from_the_store_too_old_for_one_who_waits_is_not_given_to_it(model: Model) -> None:
    clock = Clock()
    cache = make_cache(clock)
    model.answers.put_nowait(make_reply("A"))
    await ask(cache, model)
    clock.now += 100
    model.answers.put_nowait(make_reply("B"))
    both = await asyncio.gather(ask(cache, model), ask(cache, model, max_age=50))
    assert list(both) == ["hit: A", "B"]


async def test_a_lookup_left_without_an_answer_holds_up_nobody(cache: ExactCache, model: Model) -> None:
    lookup = cache.open(make_call("x"))
    assert lookup is not None
    with lookup:
        assert await lookup.get(FOREVER) is None
    model.answers.put_nowait(make_reply("A"))
    assert await ask(cache, model) == "A"


async def test_a_caller_that_leaves_while_the_store_is_read_leaves_no_flight_behind(cache: ExactCache) -> None:
    async def never(key: bytes) -> bytes | None:
        await asyncio.Event().wait()
        return None

    cache.store.get = never  # type: ignore[method-assign]

    async def request() -> Hit | None:
        lookup = cache.open(make_call("x"))
        assert lookup is not None
        with lookup:
            return await lookup.get(FOREVER)

    task = asyncio.create_task(request())
    await until(lambda: len(cache.flights) == 1)
    task.cancel()
    await asyncio.wait([task])
    assert len(cache.flights) == 0
