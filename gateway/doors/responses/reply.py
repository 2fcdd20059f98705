"""The response object: of a whole chat reply, and of a stream at any moment."""

from __future__ import annotations

from typing import Any

from gateway.doors.responses.output import Output
from gateway.doors.responses.request import Source
from gateway.pipeline.answer import Reply, usage_body


def response_of(reply: Reply, source: Source, *, completed_at: int) -> dict[str, Any]:
    """`completed_at` is in seconds of Unix time."""
    output = Output(source.id)
    for choice in reply.body["choices"][:1]:
        for _ in output.take(choice):
            pass  # events are for streams
    for _ in output.close():
        pass
    usage = None if reply.usage is None else usage_body(reply.usage)
    return response(source, reply.body, output=output, usage=usage, completed_at=completed_at)


def response(
    source: Source,
    frame: dict[str, Any],
    *,
    output: Output | None = None,
    usage: dict[str, Any] | None = None,
    completed_at: int | None = None,
) -> dict[str, Any]:
    """A response object. `frame` is the chat reply's or a chunk's; without `output` the response is in progress.

    `usage` is in chat's shape. It is null where the upstream did not tell it.
    """
    tier = frame.get("service_tier")
    return {
        "id": f"resp_{source.id}",
        "object": "response",
        "created_at": source.created_at,
        "status": output.status if output else "in_progress",
        "completed_at": completed_at if output and output.status == "completed" else None,
        "error": None,
        "incomplete_details": output.incomplete_details if output else None,
        **source.repeated,
        "model": frame.get("model") or source.model,
        "service_tier": tier if isinstance(tier, str) else source.repeated["service_tier"],
        "output": output.shape() if output else [],
        "usage": _usage(usage) if usage else None,
    }


def _usage(told: dict[str, Any]) -> dict[str, Any]:
    given, made = told.get("prompt_tokens_details") or {}, told.get("completion_tokens_details") or {}
    return {
        "input_tokens": told["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": given.get("cached_tokens", 0),
            "cache_write_tokens": given.get("cache_write_tokens", 0),
        },
        "output_tokens": told["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": made.get("reasoning_tokens", 0)},
        "total_tokens": told["total_tokens"],
    }
