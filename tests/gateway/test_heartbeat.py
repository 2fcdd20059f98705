"""Streams that say nothing for a while are kept open by comments, and by nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web
from gatekit import REMOTE, ScriptedUpstream, events, run_gate, send_paused

from gateway.doors.heartbeat import Heartbeats

BODY = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_silent_stream_gets_comments_that_clients_read_over(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request, asked: object) -> web.StreamResponse:
        return await send_paused(request, "One", go_on, events([" two"]))

    upstream.answer = answer
    async with run_gate(
        tmp_path, REMOTE.partition("guards:")[0].format(url=upstream.url), server="heartbeat: 20ms"
    ) as gate:
        async with gate.http.post(f"{gate.url}/v1/chat/completions", json=BODY, headers=gate.headers) as response:
            lines = response.content
            while await lines.readline() != b": keep-alive\n":
                assert not go_on.is_set()
            go_on.set()
            assert (await lines.read()).endswith(b"data: [DONE]\n\n")
        go_on.clear()
        stream = await gate.client().chat.completions.create(**BODY)
        said = ""
        async for chunk in stream:
            if not said:
                await asyncio.sleep(0.06)  # three heartbeats' time
                go_on.set()
            said += "".join(choice.delta.content or "" for choice in chunk.choices)
        assert said == "One two"


class Stream:
    def __init__(self, written: float | None) -> None:
        self.written = written
        self.beats = 0

    async def heartbeat(self) -> None:
        self.beats += 1


async def test_only_streams_that_are_silent_and_not_in_mid_write_are_told() -> None:
    rounds = asyncio.Queue[None]()
    slept = asyncio.Queue[float]()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await rounds.get()

    heartbeats = Heartbeats(8.0, sleep=sleep)
    silent, busy, fresh = Stream(0.0), Stream(None), Stream(float("inf"))
    with heartbeats.watching(silent), heartbeats.watching(busy), heartbeats.watching(fresh):
        assert await slept.get() == 2.0
        rounds.put_nowait(None)
        await slept.get()
        assert (silent.beats, busy.beats, fresh.beats) == (1, 0, 0)
    rounds.put_nowait(None)
    await asyncio.sleep(0)
    with heartbeats.watching(silent):  # the task ended with the last stream, and comes back with the next
        await slept.get()
        rounds.put_nowait(None)
        await slept.get()
    assert silent.beats == 2
    rounds.put_nowait(None)
