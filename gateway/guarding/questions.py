"""A guard's question as a call like any other, and what counts as an answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.doors.chat_call import chat_call
from gateway.pipeline.answer import Reply
from gateway.pipeline.call import Call
from guards.types import ModelUnavailable, Question

ENDPOINT = "guard"  # what stands in the ledger, in metrics and in logs for what a guard asked


def question_call(question: Question, model: str, *, plain: bool = False) -> Call:
    """The call. `plain`: without what some models refuse (a schema, a temperature). Raises InvalidRequest."""
    body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in question.messages]}
    if question.max_tokens is not None:
        body["max_tokens"] = question.max_tokens
    if question.stop:
        body["stop"] = list(question.stop)
    if not plain:
        body["temperature"] = question.temperature
        if question.schema is not None:
            body["response_format"] = _format(question.schema)
    return chat_call(ENDPOINT, body)


def words_of(reply: Reply) -> str:
    """The text of a finished answer. Raises ModelUnavailable for anything else: a part of an answer is none."""
    choice = reply.body["choices"][0] if reply.body.get("choices") else {}
    if choice.get("finish_reason") not in ("stop", None):
        raise ModelUnavailable(f"the answer is not whole: {_word(choice['finish_reason'])}")
    words = (choice.get("message") or {}).get("content")
    if not isinstance(words, str):
        raise ModelUnavailable("the answer has no text")
    return words


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}


def _word(reason: object) -> str:
    """A finish reason, which is an upstream's word, if it is one of those we know."""
    return str(reason) if reason in ("length", "content_filter", "tool_calls", "function_call") else "unknown"
