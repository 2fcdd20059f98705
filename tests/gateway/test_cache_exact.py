"""What is kept, for how long and for whom, and what a caller may ask of it."""

from __future__ import annotations

from typing import Any

import pytest
from cachekit import USAGE, make_cache, make_call, make_reply, said
from gatekit import completion
from storekit import Clock

from gateway.cache.controls import Controls
from gateway.cache.entry import is_whole
from gateway.cache.exact import ExactCache, Hit
from gateway.cache.replay import replay
from gateway.errors import InvalidRequest
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call, Operation

NOW = 0.0  # no patience


async def keep(
    cache: ExactCache,
    call: Call,
    reply: Reply | None = None,
    *,
    controls: Controls = Controls(),  # noqa: B008
    model: str = "assistant",
) -> None:
    """A request that misses and is answered."""
    lookup = cache.open(call, controls=controls)
    assert lookup is not None
    with lookup:
        assert await lookup.get(NOW) is None
        lookup.put(reply or make_reply(), model)


async def find(cache: ExactCache, call: Call, **controls: Any) -> Hit | None:
    lookup = cache.open(call, controls=Controls(**controls))
    assert lookup is not None
    with lookup:
        return await lookup.get(NOW)


async def test_an_equal_request_has_the_same_answer_until_its_time_is_over() -> None:
    clock = Clock()
    cache = make_cache(clock)
    await keep(cache, make_call())
    clock.now += 599
    hit = await find(cache, make_call(user="somebody else", metadata={"feature": "x"}))
    assert hit is not None
    assert (hit.reply, hit.model, hit.age) == (make_reply(), "assistant", 599)
    clock.now += 1
    assert await find(cache, make_call()) is None
    assert (cache.counts.hits, cache.counts.misses, cache.counts.stored) == (1, 2, 1)


@pytest.mark.parametrize("other", [make_call("x"), make_call(tenant="team:b"), make_call(seed=1), make_call(n=2)])
async def test_another_request_or_tenant_has_no_part_in_it(other: Call) -> None:
    cache = make_cache()
    await keep(cache, make_call())
    assert await find(cache, other) is None


async def test_a_hit_may_be_rewritten_without_harm_to_the_next() -> None:
    cache = make_cache()
    await keep(cache, make_call())
    for _ in range(2):
        hit = await find(cache, make_call())
        assert hit is not None
        assert said(hit.reply) == "A gate for water."
        hit.reply.body["choices"][0]["message"]["content"] = "rewritten"


async def test_a_stream_is_kept_and_given_whole_and_the_other_way_round() -> None:
    cache = make_cache()
    streaming = make_call(stream=True, stream_options={"include_usage": True})
    lookup = cache.open(streaming)
    assert lookup is not None
    with lookup:
        assert await lookup.get(NOW) is None
        assembler = lookup.assembler()
        for chunk in replay(make_reply()):
            assembler.add(chunk)
        whole = assembler.reply()
        assert whole is not None
        lookup.put(whole, "assistant")
    hit = await find(cache, make_call())
    assert hit is not None
    assert said(hit.reply) == "A gate for water."
    assert hit.reply.body["object"] == "chat.completion"
    assert (hit.reply.usage, hit.reply.body["usage"]["prompt_tokens"]) == (USAGE, 9)
    assert await find(cache, streaming) == hit


async def test_a_changed_configuration_of_the_model_makes_its_entries_unreachable() -> None:
    before = make_cache(revisions={"assistant": "r1", "small": "r1"})
    await keep(before, make_call())
    for revisions, found in [({"assistant": "r2", "small": "r1"}, False), ({"assistant": "r1", "small": "r2"}, True)]:
        after = make_cache(revisions=revisions)
        after.store = before.store
        assert (await find(after, make_call()) is not None) == found


async def test_what_a_fallback_said_is_not_kept_past_the_outage() -> None:
    cache = make_cache()
    await keep(cache, make_call(), model="small")
    assert await find(cache, make_call()) is None


async def test_the_models_a_router_chose_for_one_name_do_not_answer_for_each_other() -> None:
    cache = make_cache()
    lookup = cache.open(make_call(), model="small")
    assert lookup is not None
    with lookup:
        assert await lookup.get(NOW) is None
        lookup.put(make_reply(), "small")
    assert await find(cache, make_call()) is None
    again = cache.open(make_call(), model="small")
    assert again is not None
    with again:
        hit = await again.get(NOW)
    assert hit is not None
    assert hit.model == "small"


async def test_a_changed_router_makes_what_its_models_said_unreachable() -> None:
    before, after = make_cache(), make_cache(revisions={"assistant": "r9", "small": "r2"})
    after.store = before.store
    for cache in (before, after):
        lookup = cache.open(make_call(), model="small")
        assert lookup is not None
        with lookup:
            assert await lookup.get(NOW) is None
            lookup.put(make_reply(), "small")


# Which answers are whole


def choice(finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}


@pytest.mark.parametrize(
    ("whole", "choices"),
    [
        (True, [choice(content="a")]),
        (True, [choice("length", content="a")]),
        (True, [choice("tool_calls", content=None, tool_calls=[{"id": "c"}])]),
        (True, [choice(content=None, refusal="I will not.")]),
        (False, [choice("content_filter", content="a")]),
        (False, [choice("error", content="a")]),
        (False, [choice(None, content="a")]),
        (False, [choice(content="")]),
        (False, [choice(content=None, refusal=None)]),
        (False, [{**choice(content="a"), "error": {"code": 502}}]),
        (False, [choice(content="a"), choice("content_filter", content="b")]),
        (False, []),
    ],
)
async def test_only_whole_answers_are_kept(whole: bool, choices: list[dict[str, Any]]) -> None:
    cache = make_cache()
    body = {**completion(""), "choices": choices}
    await keep(cache, make_call(), Reply(body, USAGE))
    assert (await find(cache, make_call()) is not None) == whole


def test_fewer_choices_than_were_asked_for_are_no_whole_answer() -> None:
    body = {**completion(""), "choices": [choice(content="a")] * 2}
    assert is_whole(make_call(n=2), body)
    assert not is_whole(make_call(n=3), body)


def test_an_error_in_the_body_is_no_answer() -> None:
    assert not is_whole(make_call(), {**completion("a"), "error": {"message": "overloaded"}})


@pytest.mark.parametrize(
    ("operation", "whole", "empty"),
    [
        (Operation.EMBEDDINGS, {"object": "list", "data": [{"index": 0, "embedding": [0.25, -1e-9]}]}, {"data": []}),
        (Operation.MODERATIONS, {"id": "m", "results": [{"flagged": False}]}, {"results": []}),
    ],
)
async def test_bodies_of_the_providers_own_are_kept_as_they_are(
    operation: Operation, whole: dict[str, Any], empty: dict[str, Any]
) -> None:
    cache = make_cache()
    call = make_call(operation=operation, input=["a", "b"])
    await keep(cache, call, Reply(empty, USAGE))
    await keep(cache, call, Reply(whole, USAGE, "embedder"))
    hit = await find(cache, call)
    assert hit is not None
    assert hit.reply == Reply(whole, USAGE, "embedder")


async def test_an_answer_larger_than_an_entry_may_be_is_not_kept() -> None:
    cache = make_cache(max_entry=2000)
    await keep(cache, make_call("a"), make_reply("x" * 1000))
    await keep(cache, make_call("b"), make_reply("x" * 2000))
    assert await find(cache, make_call("a")) is not None
    assert await find(cache, make_call("b")) is None


async def test_an_entry_nobody_can_read_is_a_miss() -> None:
    cache = make_cache()
    await keep(cache, make_call())
    store: Any = cache.store
    for key in list(store._entries):
        store.put(key, b"\xc1", 60.0)
    assert await find(cache, make_call()) is None
    assert cache.counts.errors == 1


# When every target failed


async def test_an_answer_past_its_time_is_there_for_when_every_target_failed() -> None:
    clock = Clock()
    cache = make_cache(clock, stale_if_error=100.0)
    await keep(cache, make_call())
    for seconds, found in [(650, True), (49, True), (1, False)]:
        clock.now += seconds
        lookup = cache.open(make_call())
        assert lookup is not None
        with lookup:
            assert await lookup.get(NOW) is None
            hit = await lookup.stale()
            assert (hit is not None) == found
    assert (cache.counts.stale, cache.counts.hits) == (2, 0)


@pytest.mark.parametrize(
    ("policy", "controls"),
    [({}, {}), ({"stale_if_error": 100.0}, {"reads": False}), ({"stale_if_error": 100.0}, {"max_age": 900.0})],
    ids=["not configured", "no-cache", "max-age"],
)
async def test_a_stale_answer_is_given_only_where_it_is_allowed(
    policy: dict[str, Any], controls: dict[str, Any]
) -> None:
    clock = Clock()
    cache = make_cache(clock, **policy)
    await keep(cache, make_call())
    clock.now += 650
    lookup = cache.open(make_call(), controls=Controls(**controls))
    assert lookup is not None
    with lookup:
        await lookup.get(NOW)
        assert await lookup.stale() is None


# What a caller asks for


async def test_no_store_has_nothing_to_do_with_the_cache() -> None:
    assert make_cache().open(make_call(), controls=Controls.parse("no-store", None)) is None


async def test_no_cache_asks_anew_and_renews_the_entry() -> None:
    cache = make_cache()
    await keep(cache, make_call(), make_reply("old"))
    await keep(cache, make_call(), make_reply("new"), controls=Controls.parse("no-cache", None))
    hit = await find(cache, make_call())
    assert hit is not None
    assert said(hit.reply) == "new"


async def test_max_age_takes_no_older_answer() -> None:
    clock = Clock()
    cache = make_cache(clock)
    await keep(cache, make_call())
    clock.now += 30
    assert await find(cache, make_call(), max_age=30.0) is not None
    assert await find(cache, make_call(), max_age=29.0) is None


@pytest.mark.parametrize(("asked", "kept"), [("60s", 60.0), ("1h", 600.0)])
async def test_a_callers_ttl_is_obeyed_up_to_the_configured_one(asked: str, kept: float) -> None:
    clock = Clock()
    cache = make_cache(clock)
    await keep(cache, make_call(), controls=Controls.parse(None, asked))
    clock.now += kept - 1
    assert await find(cache, make_call()) is not None
    clock.now += 1
    assert await find(cache, make_call()) is None
    store: Any = cache.store
    assert len(store) == 0  # the store was not asked to keep it longer either


@pytest.mark.parametrize(
    ("header", "controls"),
    [
        (None, Controls()),
        ("", Controls()),
        ("no-transform, only-if-nonsense", Controls()),
        ("no-cache", Controls(reads=False)),
        ("No-Store", Controls(reads=False, writes=False)),
        ("no-cache, no-store", Controls(reads=False, writes=False)),
        ("max-age=60", Controls(max_age=60.0)),
        (' MAX-AGE="60" , max-age=30', Controls(max_age=30.0)),
        ("max-age=0", Controls(reads=False, max_age=0.0)),
        ("max-age=soon", Controls(reads=False, max_age=0.0)),
        ("max-age=-1", Controls(reads=False, max_age=0.0)),
        ("max-age=" + "9" * 400, Controls(max_age=999_999_999_999.0)),
    ],
)
def test_the_cache_control_header_is_read_as_http_has_it(header: str | None, controls: Controls) -> None:
    assert Controls.parse(header, None) == controls


@pytest.mark.parametrize("ttl", ["soon", "0", "-1s", ""])
def test_a_ttl_that_is_no_duration_is_refused(ttl: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Controls.parse(None, ttl)
    assert caught.value.param == "x-sluicegate-cache-ttl"
