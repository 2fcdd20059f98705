"""Calls and caches for tests of the response cache."""

from __future__ import annotations

from typing import Any

from gatekit import completion
from storekit import Clock

from billing.usage import Usage
from gateway.cache.base import Counts
from gateway.cache.exact import ExactCache, Policy
from gateway.cache.memory import MemoryStore
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call, Operation
from gateway.texts import request_slots

USAGE = Usage(input_tokens=9, output_tokens=3, requests=1)
REVISIONS = {"assistant": "r1", "small": "r2"}


def make_call(
    text: str = "What is a sluice?", *, tenant: str = "team:a", operation: Operation = Operation.CHAT, **body: Any
) -> Call:
    if operation is Operation.CHAT:
        body = {"messages": [{"role": "user", "content": text}], **body}
    body = {"model": "assistant", **body}
    return Call(
        endpoint="chat/completions",
        model="assistant",
        stream=bool(body.get("stream")),
        body=body,
        slots=request_slots(body),
        input_estimate=10,
        operation=operation,
        tenant=tenant,
    )


def make_reply(text: str = "A gate for water.", **extra: Any) -> Reply:
    return Reply(completion(text, **extra), USAGE, "upstream-model-2026")


def make_cache(
    clock: Clock | None = None, *, max_bytes: int = 10**6, revisions: dict[str, str] = REVISIONS, **policy: Any
) -> ExactCache:
    clock = clock or Clock()
    counts = Counts()
    store = MemoryStore(max_bytes, counts, now=clock)
    return ExactCache(store, Policy(**{"ttl": 600.0, "max_entry": 10**5, **policy}), revisions, counts, now=clock)


def said(reply: Reply) -> str:
    text: str = reply.body["choices"][0]["message"]["content"]
    return text
