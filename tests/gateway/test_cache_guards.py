"""The cache between the guards: it keeps no value, and each hit is guarded and restored by its own request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cachekit import USAGE, make_cache, make_call, said
from gatekit import completion

from gateway.cache.exact import ExactCache
from gateway.cache.replay import replay
from gateway.pipeline.answer import Reply
from gateway.pipeline.shaping import StreamShaper
from gateway.texts import reply_slots, write_back
from guards.build import build_runner
from guards.resources import Resources
from guards.runner import GuardRunner
from guards.spec import GuardSpec
from guards.types import Action, GuardBlocked, GuardRequest, Stage

SECRET = b"a secret of this test"


class House:
    """Guards, a cache and an echoing model, in the order the pipeline has them."""

    def __init__(self, **guard: Any) -> None:
        self.cache: ExactCache = make_cache()
        spec = GuardSpec(**{"name": "pii", "kind": "pii", "default": True, **guard})
        self.guards: GuardRunner = build_runner([spec], Resources(secret=SECRET))
        self.asked: list[str] = []
        self.made_up = ""

    async def ask(self, text: str, *, stream: bool = False, tenant: str = "team:a") -> str:
        call = make_call(text, tenant=tenant)
        session = self.guards.open(GuardRequest(tenant))
        await session.check_input(call.slots)
        lookup = self.cache.open(call)
        assert lookup is not None
        with lookup:
            hit = await lookup.get(0.0)
            if hit is not None:
                reply = hit.reply
            else:
                reply = self.answer(call.body["messages"][0]["content"])
                lookup.put(reply, "assistant")
        if not stream:
            slots = reply_slots(reply.body)
            await session.check_output(slots)
            write_back(slots)
            return said(reply)
        shaper = StreamShaper(session, "assistant")
        out = [piece for chunk in replay(reply) for piece in await shaper.feed(chunk)]
        out += await shaper.finish(include_usage=False)
        return "".join(c["delta"].get("content") or "" for piece in out for c in piece.body["choices"])

    def answer(self, prompt: str) -> Reply:
        self.asked.append(prompt)
        return Reply(completion(f"You wrote: {prompt}{self.made_up}"), USAGE)

    def kept(self) -> str:
        store: Any = self.cache.store
        return str([msgspec.msgpack.decode(payload) for payload, _ in store._entries.values()])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hit_gives_the_caller_its_own_values_back_and_the_cache_never_saw_them(stream: bool) -> None:
    house = House()
    text = "Mail jane.doe@example.com, then bob@example.org. " * 20
    for _ in range(2):
        assert await house.ask(text, stream=stream) == f"You wrote: {text}"
    assert len(house.asked) == 1
    assert house.cache.counts.hits == 1
    assert "example" not in house.kept()
    assert "[EMAIL_1_" in house.kept()


@pytest.mark.parametrize("stream", [False, True])
async def test_two_values_with_one_placeholder_share_an_answer_and_each_caller_sees_its_own(stream: bool) -> None:
    """A placeholder's nonce is short: among some hundred addresses two have the same. Then the model was asked the
    same, word for word, and its answer serves both; what stands in it is each request's own."""
    house = House()
    texts = [f"Write to user{n}@example.com today." for n in range(400)]
    for text in texts:
        assert await house.ask(text, stream=stream) == f"You wrote: {text}"
    assert house.cache.counts.hits > 0
    assert len(house.asked) + house.cache.counts.hits == len(texts)
    assert len(set(house.asked)) == len(house.asked)


async def test_the_same_value_in_another_place_is_another_request() -> None:
    house = House()
    for text in ("From a@example.com to b@example.com", "From b@example.com to a@example.com"):
        assert await house.ask(text) == f"You wrote: {text}"


async def test_tenants_share_nothing_even_where_their_requests_are_equal() -> None:
    house = House()
    for tenant in ("team:a", "team:b", "key:a"):
        await house.ask("Nothing personal here.", tenant=tenant)
    assert len(house.asked) == 3


async def test_a_hit_passes_the_output_guard_as_the_first_answer_did() -> None:
    house = House(action=Action.BLOCK, stages=(Stage.OUTPUT,))
    house.made_up = " Call +1 415 555 2671."
    for _ in range(2):
        with pytest.raises(GuardBlocked):
            await house.ask("Whom do I call?")
    assert (len(house.asked), house.cache.counts.hits) == (1, 1)


async def test_what_the_model_made_up_is_masked_on_a_hit_too() -> None:
    house = House()
    house.made_up = " Or try eve@example.net."
    for stream in (False, True):
        answer = await house.ask("Mail me@example.com", stream=stream)
        assert answer == "You wrote: Mail me@example.com Or try [EMAIL]."
