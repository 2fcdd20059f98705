"""A chat stream as Anthropic's events.

Anthropic writes one content block after the other. A chat stream may mix them: parallel tool calls interleave, and a
guard lets go of the end of a text late. So one block is on the wire at a time and the rest wait their turn. A text or
a thought makes way as soon as something else comes; a tool call only once its arguments are a whole JSON object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.doors.anthropic import reply
from gateway.doors.anthropic.errors import error_body
from gateway.errors import GateError
from gateway.pipeline.answer import Chunk

Object = dict[str, Any]

PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@dataclass(slots=True)
class _Block:
    """A content block: how it starts, and the deltas that wait until it is its turn."""

    start: Object
    waiting: list[Object] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)  # of a tool call; all so far
    signature: str = ""  # of a thought; sent as its last delta

    @property
    def kind(self) -> str:
        kind: str = self.start["type"]
        return kind

    def may_end(self) -> bool:
        if self.kind != "tool_use":
            return True
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            orjson.loads("".join(self.arguments))
        except orjson.JSONDecodeError:
            return False
        return True


class MessageEncoder:
    """Writes one stream. `model` is what was asked for, `stops` the stop sequences that were."""

    def __init__(self, model: str, stops: list[str]) -> None:
        self._model = model
        self._stops = stops
        self._out: list[bytes] = []
        self._id: str | None = None  # set once the message has started
        self._blocks: list[_Block] = []  # the first one is on the wire
        self._index = -1  # of the block on the wire
        self._tools: dict[int, _Block] = {}  # by the upstream's index, those that ended too
        self._finish: str | None = None
        self._sequence: str | None = None
        self._refused = False
        self._usage: Object = reply.usage_object(None)

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        for chunk in chunks:
            self._read(chunk)
        return self._taken()

    def end(self, chunks: Sequence[Chunk]) -> bytes:
        for chunk in chunks:
            self._read(chunk)
        self._start({})  # an answer without a single chunk is a message too
        while self._blocks:
            self._end_block()
        why = reply.stop(self._finish, self._sequence, refused=self._refused, called=bool(self._tools))
        self._event("message_delta", {"delta": why, "usage": self._usage})
        self._event("message_stop", {})
        return self._taken()

    def error(self, error: GateError) -> bytes:
        return b"event: error\ndata: " + orjson.dumps(error_body(error)) + b"\n\n"

    def heartbeat(self) -> bytes:
        return PING

    def _read(self, chunk: Chunk) -> None:
        body = chunk.body
        usage = chunk.usage or reply.read_usage(body)
        if usage is not None:
            self._usage = reply.usage_object(usage)
        self._start(body)
        for choice in body.get("choices") or ():
            if choice.get("index", 0) == 0:  # the Messages API knows one answer only
                self._read_delta(choice.get("delta") or {})
                self._finish = choice.get("finish_reason") or self._finish
                self._sequence = reply.matched(choice, self._stops) or self._sequence

    def _read_delta(self, delta: Object) -> None:
        if thought := reply.reasoning(delta):
            self._say("thinking", thought)
        for block in reply.thinking_blocks(delta):
            self._read_thinking(block)
        if text := delta.get("content"):
            self._say("text", text)
        if refusal := delta.get("refusal"):
            self._refused = True
            self._say("text", refusal)
        for position, call in enumerate(delta.get("tool_calls") or ()):
            self._read_call(call, position)

    def _read_thinking(self, block: Object) -> None:
        """Only what no guard needs to see: the text itself comes by `reasoning_content`."""
        if block.get("type") == "redacted_thinking":
            self._add(_Block({"type": "redacted_thinking", "data": str(block.get("data") or "")}))
        elif signature := block.get("signature"):
            self._growing("thinking").signature = str(signature)

    def _read_call(self, call: Object, position: int) -> None:
        index = call.get("index")
        index = position if index is None else index
        function = call.get("function") or {}
        block = self._tools.get(index)
        name, told_id = function.get("name") or "", call.get("id")
        if block is None or (name and told_id and told_id != block.start["id"]):  # some servers number every call 0
            id_ = told_id or f"toolu_{self._id}_{len(self._tools)}"
            block = self._tools[index] = _Block({"type": "tool_use", "id": id_, "name": name, "input": {}})
            self._add(block)
        if (arguments := function.get("arguments")) and any(block is known for known in self._blocks):
            block.arguments.append(arguments)
            self._write(block, {"type": "input_json_delta", "partial_json": arguments})

    def _say(self, kind: str, text: str) -> None:
        self._write(self._growing(kind), {"type": f"{kind}_delta", kind: text})

    def _growing(self, kind: str) -> _Block:
        """The block of this kind that has not ended, or a new one."""
        found = next((block for block in self._blocks if block.kind == kind), None)
        if found is None:
            found = _Block({"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {}))
            self._add(found)
        return found

    def _add(self, block: _Block) -> None:
        self._blocks.append(block)
        if len(self._blocks) == 1:
            self._start_block()
        self._advance()

    def _write(self, block: _Block, delta: Object) -> None:
        if block is self._blocks[0]:
            self._event("content_block_delta", {"index": self._index, "delta": delta})
            self._advance()
        else:
            block.waiting.append(delta)

    def _advance(self) -> None:
        """Let the next block have its turn, as long as one waits and the one on the wire may end."""
        while len(self._blocks) > 1 and self._blocks[0].may_end():
            self._end_block()

    def _start_block(self) -> None:
        block = self._blocks[0]
        self._index += 1
        self._event("content_block_start", {"index": self._index, "content_block": block.start})
        for delta in block.waiting:
            self._event("content_block_delta", {"index": self._index, "delta": delta})

    def _end_block(self) -> None:
        ended = self._blocks.pop(0)
        if ended.signature:
            signed = {"type": "signature_delta", "signature": ended.signature}
            self._event("content_block_delta", {"index": self._index, "delta": signed})
        self._event("content_block_stop", {"index": self._index})
        if self._blocks:
            self._start_block()

    def _start(self, body: Object) -> None:
        if self._id is not None:
            return
        self._id = reply.message_id(body)
        message = {
            **reply.frame(self._id, body.get("model") or self._model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage,
        }
        self._event("message_start", {"message": message})
        self._out.append(PING)

    def _event(self, name: str, fields: Object) -> None:
        self._out.append(f"event: {name}\ndata: ".encode() + orjson.dumps({"type": name, **fields}) + b"\n\n")

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out
