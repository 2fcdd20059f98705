"""Which models are tried after which failure, and what the caller gets when none is left."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routekit import Clock, ScriptedTarget, attempts, call, outcomes, piece, said, target

from billing.usage import Usage
from gateway.errors import ContentFiltered, ContextTooLong, GateError, InvalidRequest
from gateway.pipeline import last_resort
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Operation
from gateway.pipeline.chain import SURELY, Chain
from gateway.routing.router import Candidate, Model, Reason, most_billed
from gateway.upstreams.base import Failure, UpstreamError

ERROR = UpstreamError(Failure.ERROR, "")
LONG = ContextTooLong("too long")
FILTERED = ContentFiltered("filtered")


def model(name: str, upstream: ScriptedTarget, clock: Clock | None = None, **fields: Any) -> Model:
    limits = {key: fields.pop(key) for key in ("context", "retries") if key in fields}
    return Model(name, (target(f"{name}1", upstream, clock or Clock(), **limits),), **fields)


def house(failure: Exception, **fields: Any) -> tuple[list[Model], dict[str, ScriptedTarget]]:
    """A model that fails so, with a fallback of each kind; "error", "context" and "filter" answer."""
    upstreams = {name: ScriptedTarget() for name in ("error", "context", "filter")}
    first = model(
        "m",
        ScriptedTarget([failure]),
        fallbacks=("error",),
        context_window_fallbacks=("context",),
        content_filter_fallbacks=("filter",),
        **fields,
    )
    return [first, *(model(name, upstream) for name, upstream in upstreams.items())], upstreams


KINDS = [
    *((UpstreamError(failure, ""), "error") for failure in Failure),
    (LONG, "context"),
    (FILTERED, "filter"),
]


@pytest.mark.parametrize(("failure", "serves"), KINDS)
@pytest.mark.parametrize("stream", [False, True])
async def test_each_failure_goes_to_its_own_fallback(failure: Exception, serves: str, stream: bool) -> None:
    models, _ = house(failure)
    tried = attempts(models, Clock())
    if stream:
        await tried.open_stream(call(stream=True))
    else:
        await tried.complete(call())
    assert tried.record.model == serves
    assert [name for name, _ in outcomes(tried)] == ["m1", f"{serves}1"]


@pytest.mark.parametrize(
    ("failure", "kind"), [(LONG, "context_window_fallbacks"), (FILTERED, "content_filter_fallbacks")]
)
async def test_without_a_fallback_of_its_kind_the_request_is_at_fault(failure: GateError, kind: str) -> None:
    other = ScriptedTarget()
    models = [model("m", ScriptedTarget([failure]), fallbacks=("n",)), model("n", other)]
    tried = attempts(models, Clock())
    with pytest.raises(type(failure)):
        await tried.complete(call())
    assert other.calls == 0


async def test_any_other_fault_of_the_request_ends_the_search() -> None:
    models, upstreams = house(InvalidRequest("no"))
    with pytest.raises(InvalidRequest):
        await attempts(models, Clock()).complete(call())
    assert sum(upstream.calls for upstream in upstreams.values()) == 0


async def test_kinds_chain_and_what_is_left_of_a_list_comes_after() -> None:
    models = [
        model("a", ScriptedTarget([ERROR]), fallbacks=("b", "c")),
        model("b", ScriptedTarget([LONG]), fallbacks=("c",), context_window_fallbacks=("d",)),
        model("c", ScriptedTarget()),
        model("d", ScriptedTarget([ERROR]), fallbacks=("a", "b")),
    ]
    tried = attempts(models, Clock())
    await tried.complete(call())
    assert outcomes(tried) == [("a1", "error"), ("b1", "refused"), ("d1", "error"), ("c1", "ok")]


async def test_the_last_word_is_the_last_models() -> None:
    models = [
        model("a", ScriptedTarget([LONG]), context_window_fallbacks=("b",)),
        model("b", ScriptedTarget([ERROR])),
    ]
    with pytest.raises(GateError) as failed:
        await attempts(models, Clock()).complete(call())
    assert failed.value.status == 502
    models = [
        model("a", ScriptedTarget([ERROR]), fallbacks=("b",)),
        model("b", ScriptedTarget([ContextTooLong("too long for b")])),
    ]
    with pytest.raises(ContextTooLong, match="for b"):
        await attempts(models, Clock()).complete(call())


@given(
    edges=st.dictionaries(
        st.integers(0, 4),
        st.lists(st.tuples(st.sampled_from(list(Reason)[1:]), st.integers(0, 4)), max_size=6),
        max_size=5,
    ),
    failures=st.lists(st.sampled_from(list(Reason)[1:]), min_size=5, max_size=5),
)
def test_no_model_comes_twice_and_each_was_named_for_that_failure(
    edges: dict[int, list[tuple[Reason, int]]], failures: list[Reason]
) -> None:
    def named(source: int, reason: Reason) -> tuple[str, ...]:
        return tuple(f"m{to}" for why, to in edges.get(source, ()) if why is reason)

    models = [
        model(
            f"m{n}",
            ScriptedTarget(),
            fallbacks=named(n, Reason.ERROR),
            context_window_fallbacks=named(n, Reason.CONTEXT_WINDOW),
            content_filter_fallbacks=named(n, Reason.CONTENT_FILTER),
        )
        for n in range(5)
    ]
    candidates = attempts(models, Clock()).candidates
    chain = Chain(candidates)
    seen: list[str] = []
    allowed = {"m0"}
    while (group := chain.next()) is not None:
        current = group[0].model
        assert current.name in allowed and current.name not in seen
        seen.append(current.name)
        reason = failures[int(current.name[1:])]
        allowed |= set(current.fallbacks_for(reason))
        chain.failed(current, reason)
    assert set(seen) == allowed, "nobody that could serve is left out"
    assert allowed <= {candidate.model.name for candidate in candidates}, "the hold covers all that may serve"


async def test_a_prompt_that_surely_does_not_fit_is_not_sent() -> None:
    small, large = ScriptedTarget(), ScriptedTarget()
    models = [model("m", small, context=100, context_window_fallbacks=("n",)), model("n", large)]
    for estimate, served in ((100 * SURELY, "m"), (100 * SURELY + 1, "n")):
        tried = attempts(models, Clock())
        await tried.complete(call(input_estimate=estimate))
        assert tried.record.model == served
    alone = [model("m", small, context=100)]
    await attempts(alone, Clock()).complete(call(input_estimate=10_000))
    assert (small.calls, large.calls) == (2, 1), "with nowhere else to go the provider decides"


async def test_a_filtered_reply_goes_to_the_next_model_and_both_are_paid() -> None:
    silent = said("", "content_filter")
    silent.usage = Usage(input_tokens=9, requests=1)
    models = [model("m", ScriptedTarget(reply=silent), content_filter_fallbacks=("n",)), model("n", ScriptedTarget())]
    tried = attempts(models, Clock())
    reply = await tried.complete(call())
    assert reply.body["choices"][0]["message"]["content"] == "word"
    assert outcomes(tried) == [("m1", "content_filter"), ("n1", "ok")]
    aside, answer = tried.record.attempts
    assert (aside.usage, aside.model, answer.usage) == (silent.usage, "m", None)
    assert aside.price is not None


async def test_a_filtered_stream_goes_to_the_next_model_with_the_usage_told_at_its_end() -> None:
    usage = Usage(input_tokens=9, requests=1)
    silent = ScriptedTarget(chunks=[piece(None, "content_filter"), piece(None, usage=usage)])
    models = [model("m", silent, content_filter_fallbacks=("n",)), model("n", ScriptedTarget())]
    tried = attempts(models, Clock())
    opened = await tried.open_stream(call(stream=True))
    assert opened.head[-1].body["choices"][0]["delta"] == {"content": "word"}
    assert tried.record.attempts[0].usage == usage
    assert (tried.record.model, silent.closed) == ("n", 1)


async def test_a_filtered_reply_is_the_answer_if_nobody_has_a_better_one() -> None:
    models = [
        model("m", ScriptedTarget(reply=said("", "content_filter")), content_filter_fallbacks=("n",)),
        model("n", ScriptedTarget([ERROR])),
    ]
    tried = attempts(models, Clock())
    reply = await tried.complete(call())
    assert reply.body["choices"][0]["finish_reason"] == "content_filter"
    assert (outcomes(tried), tried.record.target) == ([("m1", "ok"), ("n1", "error")], "m1")
    assert tried.record.attempts[0].usage is None, "it is billed as the answer, not beside it"
    half = ScriptedTarget(reply=said("begun", "content_filter"))
    models = [model("m", half, content_filter_fallbacks=("n",)), model("n", ScriptedTarget())]
    tried = attempts(models, Clock())
    await tried.complete(call())
    assert tried.record.model == "m", "what has words is an answer"


async def test_a_last_resort_is_a_normal_answer_that_costs_nothing() -> None:
    down = model("m", ScriptedTarget([ERROR] * 9), last_resort="Back soon.", fallbacks=("n",))
    models = [down, model("n", ScriptedTarget([ERROR] * 9))]
    tried = attempts(models, Clock())
    reply = await tried.complete(call())
    assert reply.body["choices"][0] | {"logprobs": None} == {
        "index": 0,
        "message": {"role": "assistant", "content": "Back soon.", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert reply.usage == Usage()
    record = tried.record
    assert (record.target, record.model, record.price, tried.answered) == (last_resort.TARGET, "m", None, None)
    assert outcomes(tried) == [("m1", "error"), ("n1", "error")]
    opened = await attempts(models, Clock()).open_stream(call(stream=True))
    assert [chunk.body["choices"][0]["delta"].get("content") for chunk in opened.head] == ["Back soon.", None]
    assert [chunk async for chunk in opened.rest] == []


@pytest.mark.parametrize(
    ("failure", "asked"), [(LONG, call()), (InvalidRequest(""), call()), (ERROR, call(operation=Operation.EMBEDDINGS))]
)
async def test_a_last_resort_hides_no_fault_of_the_request(failure: Exception, asked: Any) -> None:
    down = model("m", ScriptedTarget([failure]), last_resort="Back soon.")
    with pytest.raises(GateError):
        await attempts([down], Clock()).complete(asked)


async def test_a_last_resort_answers_too_when_nobody_may_be_asked() -> None:
    down = model("m", ScriptedTarget(), last_resort="Back soon.")
    state = down.targets[0].state
    tried = attempts([down], Clock())
    tried.record.started -= 1000
    reply: Reply = await tried.complete(call())
    assert reply.body["choices"][0]["message"]["content"] == "Back soon."
    assert state.in_flight == 0


def test_a_candidate_says_why_it_may_serve() -> None:
    models, _ = house(ERROR)
    assert [(c.model.name, c.reason) for c in attempts(models, Clock()).candidates] == [
        ("m", Reason.PRIMARY),
        ("error", Reason.ERROR),
        ("context", Reason.CONTEXT_WINDOW),
        ("filter", Reason.CONTENT_FILTER),
    ]


def test_a_hold_must_cover_the_answer_and_each_filtered_reply() -> None:
    models, _ = house(ERROR)
    candidates = attempts(models, Clock()).candidates
    assert most_billed(candidates) == 2
    plain = [Candidate(model("m", ScriptedTarget()), candidates[0].target)]
    assert most_billed(plain) == 1
