"""The gate's own answer to `POST /v1/moderations`: from the rules of the `content` guard, for nothing.

It answers where no configured model of the asked name serves moderations. The texts go nowhere, so guards have nothing
to keep back from it: it is asked past them, and a text that a guard would block is moderated like any other.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from billing.prices import Price
from billing.usage import Usage
from gateway.errors import InvalidRequest
from gateway.pipeline.answer import ChunkStream, Reply
from gateway.pipeline.call import Call, Operation
from gateway.pipeline.last_resort import nothing
from gateway.routing.router import Candidate, Model, Target
from gateway.upstreams.base import CapSource, OutputCap
from guards.content.guard import ContentGuard
from guards.content.moderation import Moderation, moderate
from guards.runner import GuardRunner

MODEL = "guards"
TARGET = "sluicegate/guards"  # what stands for it in headers, metrics and the ledger


def moderation_candidate(guards: GuardRunner) -> Candidate:
    """What answers. Thresholds are those of the configured `content` guards, the lowest of each category; else 0.5."""
    thresholds: dict[str, float] = {}
    for name in guards.names:
        installed = guards.installed(name)
        if installed is not None and isinstance(installed.guard, ContentGuard):
            for category, threshold in installed.guard.checks.judges.thresholds.items():
                thresholds[category] = min(threshold, thresholds.get(category, 1.0))
    cap = OutputCap(0, CapSource.KNOWN)
    target = Target(name=TARGET, upstream=GuardModerations(thresholds), output_cap=cap, retries=0)
    return Candidate(Model(MODEL, (target,)), target, Price.free())


class GuardModerations:
    """As an upstream: asked like a provider, and never anything but moderations."""

    operations = frozenset({Operation.MODERATIONS})

    def __init__(self, thresholds: Mapping[str, float]) -> None:
        self._thresholds = thresholds

    async def complete(self, call: Call) -> Reply:
        """Raises InvalidRequest for what only a model could look at."""
        moderations = await moderate(_texts(call.body["input"]), self._thresholds)
        body = {
            "id": f"modr-{secrets.token_hex(12)}",
            "model": MODEL,
            "results": [_result(moderation) for moderation in moderations],
        }
        return Reply(body, Usage())

    def stream(self, call: Call) -> ChunkStream:
        return nothing()

    async def close(self) -> None:
        """Nothing to close."""


def _texts(given: Any) -> list[str]:
    """One for each result. Parts are one input together, as at OpenAI; so is a list that holds any."""
    if isinstance(given, str):
        return [given]
    if all(isinstance(item, str) for item in given):
        return list(given)
    return ["\n\n".join(_part(item, index) for index, item in enumerate(given))]


def _part(item: Any, index: int) -> str:
    if isinstance(item, str):
        return item
    if item.get("type") == "text" and isinstance(item.get("text"), str):
        text: str = item["text"]
        return text
    raise InvalidRequest(
        "Only texts are moderated here; configure a model that serves moderations for anything else.",
        param=f"input[{index}]",
        code="unsupported_parameter",
    )


def _result(moderation: Moderation) -> dict[str, Any]:
    return {
        "flagged": bool(moderation.flagged),
        "categories": {label: label in moderation.flagged for label in moderation.scores},
        "category_scores": dict(moderation.scores),
        "category_applied_input_types": {label: ["text"] for label in moderation.scores},
    }
