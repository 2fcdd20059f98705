"""Every fault of `faulttable`: what the caller gets, the row, the attempt, the breaker, and what is held after it.

One gate for all of it; each fault has a model of its own, whose breaker opens at its first failure.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
import pytest_asyncio
from faultkit import (
    SECRET,
    RawUpstream,
    answer_in_the_clear,
    listening,
    nothing_is_left,
    post,
    raw_upstream,
    read_events,
    rows_of,
    say_nothing,
    self_signed,
    sends,
    state_of,
    text_of,
)
from faulttable import FAULTLESS, FAULTS, GOOD, Ending, Fault, config
from gatekit import RunningGate, run_gate

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[RunningGate, RawUpstream]

CASES = [
    pytest.param(fault, kind, id=f"{fault.name}-{kind}")
    for fault in FAULTS
    for kind in ("plain", "stream")
    if getattr(fault, kind)
]
ATTEMPTS = re.compile(r'sluicegate_upstream_attempts_total\{outcome="(?P<outcome>\w+)",target="(?P<target>[^"]+)"')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(raw_upstream())
        unused = stack.enter_context(socket.socket())
        unused.bind(("127.0.0.1", 0))  # and nobody listens there
        places = {
            "upstream": upstream.port,
            "closed": unused.getsockname()[1],
            "plain": await stack.enter_async_context(listening(answer_in_the_clear)),
            "secured": await stack.enter_async_context(listening(say_nothing, self_signed())),
            "mute": await stack.enter_async_context(listening(say_nothing)),
        }
        for fault in FAULTS:
            for kind in ("plain", "stream"):
                if case := getattr(fault, kind):
                    upstream.scripts[f"{fault.name}/{kind}"] = case[0]
        upstream.scripts[FAULTLESS] = sends(GOOD)
        gate = await stack.enter_async_context(run_gate(tmp_path_factory.mktemp("gate"), config(places)))
        yield gate, upstream


async def call(gate: RunningGate, model: str, *, stream: bool = False) -> tuple[int, Any, bytes]:
    """Status, headers and raw body of one chat call."""
    messages = [{"role": "user", "content": "Hi"}]
    return await post(gate, "chat/completions", {"model": model, "messages": messages, "stream": stream})


def check_answer(ending: Ending, kind: str, status: int, headers: Any, raw: bytes) -> None:
    whole = ending.status == 200
    assert status == (200 if ending.broken else ending.status), raw
    assert headers.get("retry-after") == ending.retry_after
    if kind == "plain" or not (whole or ending.broken):
        assert headers["content-type"] == "application/json"
        body = orjson.loads(raw)
        if whole:
            assert body["choices"][0]["message"]["content"] == "Hello there."
        else:
            assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
            assert ending.code in (None, body["error"]["code"])
        return
    assert headers["content-type"].startswith("text/event-stream")
    events = read_events(raw)
    if whole:
        assert events.count("[DONE]") == 1 and events[-1] == "[DONE]"
        assert text_of(events) == "Hello there."
    else:
        assert "[DONE]" not in events
        assert [body["error"]["code"] for body in events if "error" in body] == [ending.code]
        assert "error" in events[-1] and text_of(events) == "Hello"


async def check_row(gate: RunningGate, ending: Ending, model: str) -> None:
    rows = await rows_of(gate, model)
    if ending.attempt == "refused":
        assert not rows
        return
    (row,) = rows
    outcome = {200: "ok", 429: "refused"}.get(ending.status, "failed")
    assert (row.status, row.outcome, row.attempts) == (ending.status, outcome, 1)
    if ending.status == 200:
        assert (row.input_tokens, row.output_tokens, row.estimated) == (9, 2, False)
    elif ending.broken:
        assert row.estimated and row.input_tokens and row.output_tokens
    else:
        assert (row.input_tokens, row.output_tokens, row.cost_pico) == (0, 0, 0)


@pytest.mark.parametrize(("fault", "kind"), CASES)
async def test_a_fault_has_its_answer_its_row_and_its_mark_on_the_breaker(
    house: House, fault: Fault, kind: str
) -> None:
    gate, upstream = house
    model = f"{fault.name}/{kind}"
    ending: Ending = getattr(fault, kind)[1]
    taken = upstream.taken
    status, headers, raw = await call(gate, model, stream=kind == "stream")
    assert upstream.taken <= taken + 1
    check_answer(ending, kind, status, headers, raw)
    told = raw + str(headers).encode()
    assert SECRET.encode() not in told
    if ending.status != 400:  # what a provider says of a request at fault is for its caller, scrubbed
        assert b"provider" not in told
    await check_row(gate, ending, model)
    await nothing_is_left(gate, upstream, model)
    assert state_of(gate, model).is_open is ending.opens
    if ending.opens:
        taken = upstream.taken
        status, headers, _ = await call(gate, model, stream=kind == "stream")
        assert status in (429, 503) and int(headers["retry-after"]) >= 1
        assert upstream.taken == taken


async def test_the_pages_tell_of_every_fault_and_of_no_secret(house: House) -> None:
    """Metrics and the admin API, of all that was called before this."""
    gate, _ = house
    status, _, raw = await call(gate, FAULTLESS)
    assert (status, orjson.loads(raw)["choices"][0]["message"]["content"]) == (200, "Hello there.")
    metrics = await gate.metrics()
    admin = await gate.get("/admin/models")
    breakers = {shown["model"]: shown["targets"][0]["breaker"] for shown in admin["data"]}
    attempts: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        if value and (sample := ATTEMPTS.match(name)):
            attempts.setdefault(sample["target"], {})[sample["outcome"]] = value
    assert attempts.pop(FAULTLESS) == {"ok": 1}
    for model, outcomes in attempts.items():
        name, _, kind = model.partition("/")
        ending: Ending = next(getattr(fault, kind)[1] for fault in FAULTS if fault.name == name)
        assert outcomes == {ending.attempt: 1}, model
        assert metrics[f'sluicegate_breaker_open{{target="{model}"}}'] == ending.opens, model
        assert breakers[model] == ("open" if ending.opens else "closed"), model
    assert metrics["sluicegate_inflight_requests"] == 0
    told = str([*metrics]) + str(admin) + str(await gate.rows())
    assert SECRET not in told and "the provider" not in told
