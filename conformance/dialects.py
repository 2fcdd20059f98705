"""The endpoints that can spend, each with a request in its own shape and a reading of what it says.

Bodies follow https://platform.openai.com/docs/api-reference and https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from conformance.probe import Probe

Body = dict[str, Any]
DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Dialect:
    """`ask` makes a request's body from a model, a prompt and a limit on output; `said` is a whole reply's text."""

    name: str
    path: str
    needs: frozenset[str]
    ask: Callable[[str, str, int], Body]
    said: Callable[[Body], str]
    said_in_event: Callable[[Body], str]
    closing: str  # what only a whole stream ends with: an event's data, or its type

    def body(self, probe: Probe, argument: str = "", limit: int = 8, **fields: Any) -> Body:
        return {**self.ask(probe.model(), probe.prompt(argument=argument), limit), **fields}

    def streamed(self, bodies: Iterable[Body]) -> str:
        """The text of a stream's events."""
        return "".join(map(self.said_in_event, bodies))


def _chat(model: str, prompt: str, limit: int) -> Body:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": limit}


def _completions(model: str, prompt: str, limit: int) -> Body:
    return {"model": model, "prompt": prompt, "max_tokens": limit}


def _responses(model: str, prompt: str, limit: int) -> Body:
    return {"model": model, "input": prompt, "max_output_tokens": limit}


def _delta(body: Body) -> str:
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in body.get("choices", ()))


def _text(body: Body) -> str:
    return "".join(choice.get("text") or "" for choice in body.get("choices", ()))


def _output(body: Body) -> str:
    parts = (part for item in body["output"] for part in item.get("content") or ())
    return "".join(part.get("text") or "" for part in parts)


def _output_delta(body: Body) -> str:
    return str(body["delta"]) if body.get("type") == "response.output_text.delta" else ""


def _block_delta(body: Body) -> str:
    return str(body["delta"].get("text", "")) if body.get("type") == "content_block_delta" else ""


CHAT = Dialect(
    "chat",
    "/v1/chat/completions",
    frozenset(),
    _chat,
    lambda body: str(body["choices"][0]["message"]["content"] or ""),
    _delta,
    DONE,
)
COMPLETIONS = Dialect("completions", "/v1/completions", frozenset({"completions"}), _completions, _text, _text, DONE)
RESPONSES = Dialect(
    "responses", "/v1/responses", frozenset({"responses"}), _responses, _output, _output_delta, "response.completed"
)
MESSAGES = Dialect(
    "messages",
    "/v1/messages",
    frozenset({"messages"}),
    _chat,
    lambda body: "".join(block.get("text", "") for block in body["content"]),
    _block_delta,
    "message_stop",
)
DIALECTS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
