"""From a stream's chunks to the whole reply they make, so that a stream can be kept.

What it cannot put together with certainty it does not: a wrong answer would be given again, a missing one is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from billing.usage import Usage
from gateway.pipeline.answer import Chunk, Reply, served_model, usage_body

TEXTS = ("reasoning_content", "reasoning", "content", "refusal")
_OF_THE_CHUNK = frozenset({"choices", "usage", "object", "obfuscation"})
_OF_THE_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})


@dataclass(slots=True)
class _Growing:
    """A tool call, or a function call of the older kind: `grows` names the field that comes in pieces."""

    known: dict[str, Any] = field(default_factory=dict)
    inner: dict[str, Any] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)
    kind: str = "function"

    def add(self, told: dict[str, Any]) -> int:
        """Take one delta; how many characters it brought."""
        for name, value in told.items():
            if name in ("function", "custom"):
                self.kind = name
            elif name != "index" and value:
                self.known.setdefault(name, value)
        return self.add_inner(told.get(self.kind) or {})

    def add_inner(self, told: dict[str, Any]) -> int:
        grown = 0
        for name, value in told.items():
            if name == self.grows and isinstance(value, str):
                self.pieces.append(value)
                grown += len(value)
            elif value is not None:
                self.inner.setdefault(name, value)
        return grown

    @property
    def grows(self) -> str:
        return "input" if self.kind == "custom" else "arguments"

    def whole_inner(self) -> dict[str, Any]:
        return {**self.inner, self.grows: "".join(self.pieces)}

    def whole(self) -> dict[str, Any]:
        return {**self.known, self.kind: self.whole_inner()}


@dataclass(slots=True)
class _Choice:
    role: str = "assistant"
    texts: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[int, _Growing] = field(default_factory=dict)
    function: _Growing | None = None
    annotations: list[Any] = field(default_factory=list)
    logprobs: dict[str, list[Any] | None] | None = None
    finish_reason: str | None = None
    others: dict[str, Any] = field(default_factory=dict)

    def whole(self, index: int) -> dict[str, Any]:
        texts = {name: "".join(pieces) for name, pieces in self.texts.items()}
        message: dict[str, Any] = {"role": self.role, "content": None, "refusal": None, **texts}
        if self.calls:
            message["tool_calls"] = [call.whole() for _, call in sorted(self.calls.items())]
            message["content"] = message["content"] or None
        if self.function is not None:
            message["function_call"] = self.function.whole_inner()
            message["content"] = message["content"] or None
        message["refusal"] = message["refusal"] or None
        if self.annotations:
            message["annotations"] = self.annotations
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason,
            **self.others,
        }


class ChunkAssembler:
    """Give it every chunk as the upstream sent it, before anything rewrites it. It keeps no part that may be rewritten.

    A stream larger than about `limit` bytes, or with a field it does not know how to join, makes no reply.
    """

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._joins = True
        self._frame: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._usage_body: dict[str, Any] | None = None

    def add(self, chunk: Chunk) -> None:
        if not self._joins:
            return
        body = chunk.body
        told = body.get("choices") or ()
        if not self._frame or not told:
            self._add_frame(body)
        if chunk.usage is not None:
            self._usage, self._usage_body = chunk.usage, body.get("usage") or usage_body(chunk.usage)
        for part in told:
            index = part.get("index", 0)
            choice = self._choices.get(index) or self._choices.setdefault(index, _Choice())
            if delta := part.get("delta"):
                self._add_delta(choice, delta)
            if logprobs := part.get("logprobs"):
                self._add_logprobs(choice, logprobs)
            if finish_reason := part.get("finish_reason"):
                choice.finish_reason = finish_reason
                choice.others = {k: v for k, v in part.items() if k not in _OF_THE_CHOICE and v is not None}
                self._add_frame(body)
        if self._room < 0:
            self._give_up()

    def reply(self) -> Reply | None:
        """The whole reply; None where the stream has not ended, or cannot be put together."""
        if not self._joins or not self._choices or not all(c.finish_reason for c in self._choices.values()):
            return None
        choices = [choice.whole(index) for index, choice in sorted(self._choices.items())]
        body = {**self._frame, "object": "chat.completion", "choices": choices}
        if self._usage_body is not None:
            body["usage"] = self._usage_body
        return Reply(body, self._usage, served_model(self._frame))

    def _add_frame(self, body: dict[str, Any]) -> None:
        """What stands around the choices. It is the same in every chunk, but for what only the first or last tell."""
        self._frame.update({k: v for k, v in body.items() if k not in _OF_THE_CHUNK and v is not None})

    def _add_delta(self, choice: _Choice, delta: dict[str, Any]) -> None:
        for name, value in delta.items():
            if name in TEXTS and isinstance(value, str):
                choice.texts.setdefault(name, []).append(value)
                self._room -= len(value)
            elif not value:
                continue
            elif name == "role":
                choice.role = value
            elif name == "tool_calls":
                for told in value:
                    self._add_call(choice, told)
            elif name == "function_call":
                choice.function = choice.function or _Growing()
                self._room -= choice.function.add_inner(value)
            elif name == "annotations":
                choice.annotations.extend(value)
            else:
                self._give_up()

    def _add_call(self, choice: _Choice, told: dict[str, Any]) -> None:
        """Join it to the call of its index. One that tells no index, or that of a call with another id, joins none."""
        index = told.get("index")
        if not isinstance(index, int):
            self._give_up()
            return
        call = choice.calls.setdefault(index, _Growing())
        if told.get("id") and call.known.get("id", told["id"]) != told["id"]:
            self._give_up()
        self._room -= call.add(told)

    def _add_logprobs(self, choice: _Choice, told: dict[str, Any]) -> None:
        known = choice.logprobs = choice.logprobs or {}
        for name, values in told.items():
            so_far = known.setdefault(name, None)
            if values and so_far is not None:
                so_far.extend(values)
            elif values:
                known[name] = list(values)
            self._room -= 100 * len(values or ())

    def _give_up(self) -> None:
        self._joins = False
        self._choices.clear()
