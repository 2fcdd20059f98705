"""One try at one target, and what is known of it: how it is booked, what it is billed if another try is the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from billing.usage import Usage
from gateway.pipeline.answer import Chunk, Reply
from gateway.pipeline.call import Call
from gateway.pipeline.record import Attempt
from gateway.routing.router import Candidate
from gateway.tokens import MESSAGE_TOKENS

FILTERED = "content_filter"


@dataclass(slots=True)
class OpenStream:
    """A stream whose first content has come: `head` holds the chunks up to it, `rest` the generator of the others."""

    head: list[Chunk]
    rest: AsyncGenerator[Chunk, None]


@dataclass(slots=True, eq=False)
class Trial:
    """`heard` holds the chunks of a stream up to its first content. `attempt` is None before it began.

    `error` is how it failed, where that was kept.
    """

    candidate: Candidate
    attempt: Attempt | None = None
    heard: list[Chunk] = field(default_factory=list)
    answer: Reply | OpenStream | None = None
    error: Exception | None = None

    async def close(self) -> None:
        """Let go of its stream, if it has one."""
        if isinstance(self.answer, OpenStream):
            await self.answer.rest.aclose()

    @property
    def told(self) -> Usage | None:
        """The usage that the upstream told so far."""
        if isinstance(self.answer, Reply):
            return self.answer.usage
        return next((chunk.usage for chunk in reversed(self.heard) if chunk.usage is not None), None)

    @property
    def served_model(self) -> Any:
        """What the upstream calls the model that answered, if it tells."""
        if isinstance(self.answer, Reply):
            return self.answer.served_model
        named = self.heard[-1].body.get("model") if self.heard else None
        return named if isinstance(named, str) else None

    @property
    def filtered(self) -> bool:
        """Whether the provider's own filter took all content of the answer: every choice, nothing said."""
        if isinstance(self.answer, Reply):
            return _all_filtered([self.answer.body.get("choices") or []], "message")
        return _all_filtered([chunk.body.get("choices") or [] for chunk in self.heard], "delta")

    def bill(self, call: Call, outcome: str) -> None:
        """Book it as paid for beside the answer: by the usage it told, else for the prompt it was sent.

        Does nothing for a try that never began, or that failed by itself.
        """
        attempt = self.attempt
        if attempt is None or attempt.outcome not in ("ok", "cancelled"):
            return
        attempt.outcome = outcome
        attempt.model = self.candidate.model.name
        attempt.price = self.candidate.price
        attempt.usage = self.told or self._prompt(call)

    def unbill(self) -> None:
        """It is the answer after all, and paid for as that."""
        if self.attempt is not None:
            self.attempt.outcome, self.attempt.usage, self.attempt.price = "ok", None, None

    def _prompt(self, call: Call) -> Usage:
        asked = self.candidate.target.tokens.count(slot.text for slot in call.slots)
        return Usage(input_tokens=asked + call.messages * MESSAGE_TOKENS + call.token_ids, requests=1, estimated=True)


def _all_filtered(pieces: Sequence[Sequence[dict[str, Any]]], holder: str) -> bool:
    if not any([choice.get("finish_reason") == FILTERED for choices in pieces for choice in choices]):  # noqa: C419
        return False
    ended: set[int] = set()
    met: set[int] = set()
    for choices in pieces:
        for choice in choices:
            index = choice.get("index", 0)
            met.add(index)
            said = choice.get(holder) or {}
            if any(said.get(name) for name in ("content", "refusal", "tool_calls", "audio")):
                return False
            if choice.get("finish_reason") == FILTERED:
                ended.add(index)
    return bool(met) and ended == met
