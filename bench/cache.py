"""What the response cache costs a request, in microseconds: the key, a miss, a hit; beside the floors they stand on.

    python bench/cache.py [--rounds 3000] [--valkey redis://localhost:6379]

Medians over rounds in this process. The floors: an awaited call of an empty coroutine, the parse of the request and
the reply with orjson, and with `--valkey` a PING over the cache's own connection.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from billing.usage import Usage
from gateway.cache.assemble import ChunkAssembler
from gateway.cache.base import Counts, Store
from gateway.cache.exact import ExactCache, Policy
from gateway.cache.key import cache_key
from gateway.cache.memory import MemoryStore
from gateway.cache.replay import replay
from gateway.cache.valkey import ValkeyStore
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call

SENTENCE = "The order left our house on time and should be with the customer by the end of the week. "
PROMPT, ANSWER = (SENTENCE * 30)[:2000], (SENTENCE * 30)[:1000]
LARGE = SENTENCE * 700  # 60 kB
USAGE = Usage(input_tokens=450, output_tokens=220, requests=1)


async def median(rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of one call."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        await work()
        taken.append(time.perf_counter_ns() - started)
    return statistics.median(taken) / 1e3


def make_call(number: int = 0) -> Call:
    messages = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": PROMPT}]
    body: dict[str, Any] = {"model": "assistant", "messages": messages, "temperature": 0.2, "seed": number}
    return Call("chat/completions", "assistant", False, body, [], 450, tenant="team:a")


def make_reply(text: str = ANSWER) -> Reply:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 450, "completion_tokens": 220, "total_tokens": 670}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return Reply({**body, "usage": usage}, USAGE, "m")


def make_cache(store: Store) -> ExactCache:
    return ExactCache(store, Policy(ttl=600.0, max_entry=2**20), {"assistant": "r1"}, Counts())


async def through(cache: ExactCache, rounds: int, answer: str = ANSWER) -> dict[str, float]:
    first = time.time_ns() // 1000  # no run finds what another kept
    numbers = itertools.count(first)

    async def ask(number: int, expected: bool) -> None:
        lookup = cache.open(make_call(number))
        assert lookup is not None
        with lookup:
            hit = await lookup.get(0.0)
            assert (hit is not None) == expected
            if hit is None:
                lookup.put(make_reply(answer), "assistant")

    missed = await median(rounds, lambda: ask(next(numbers), False))
    await asyncio.sleep(0.1)
    return {"a miss, kept": missed, "a hit": await median(rounds, lambda: ask(first, True))}


async def measure(rounds: int, valkey: str | None) -> None:
    call, reply = make_call(), make_reply()
    request_bytes, reply_bytes = orjson.dumps(call.body), orjson.dumps(reply.body)

    async def nothing() -> None:
        return None

    async def parse() -> None:
        orjson.loads(request_bytes)
        orjson.loads(reply_bytes)

    async def key() -> None:
        cache_key(call, model="assistant", revision="r1", guards=())

    async def assemble() -> None:
        assembler = ChunkAssembler(2**20)
        for chunk in chunks:
            assembler.add(chunk)
        assembler.reply()

    async def send() -> None:
        replay(reply)

    chunks = replay(make_reply("x" * 512 * 200))
    figures = {
        "an empty coroutine (the floor)": await median(rounds, nothing),
        "orjson: parse of a 2,000-character request and its reply": await median(rounds, parse),
        "the key of that request": await median(rounds, key),
        "the reply as a stream": await median(rounds, send),
        "a stream of 200 chunks put together": await median(rounds // 10, assemble),
    }
    memory = make_cache(MemoryStore(2**30, Counts()))
    figures |= {f"memory: {name}": value for name, value in (await through(memory, rounds)).items()}
    if valkey is not None:
        store = ValkeyStore(valkey, Counts(), max_entry=2**20, prefix=f"bench-{time.time_ns()}:")
        await store.start()

        async def ping() -> None:
            assert store._link is not None
            await store._link.send(b"PING")

        figures["valkey: a ping (the floor)"] = await median(rounds, ping)
        figures |= {f"valkey: {name}": value for name, value in (await through(make_cache(store), rounds)).items()}
        found = await through(make_cache(store), rounds // 10, LARGE)
        figures |= {f"valkey, 60 kB: {name}": value for name, value in found.items()}
        await store.close()
    floor = figures["orjson: parse of a 2,000-character request and its reply"]
    for name, value in figures.items():
        print(f"{name:60} {value:9.1f} µs {value / floor:8.1f} × parse")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--valkey", metavar="URL")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.valkey))


if __name__ == "__main__":
    main()
