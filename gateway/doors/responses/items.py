"""The items of a response's output while they grow: what each says now, and which events tell a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

Event = tuple[str, dict[str, Any]]  # its type, and its fields but for `type` and `sequence_number`


class Item(Protocol):
    """One item, at its place in the output. Its first event is yielded by `open`, its last by `close`."""

    def open(self) -> Iterator[Event]: ...

    def close(self, status: str) -> Iterator[Event]: ...

    def shape(self, status: str) -> dict[str, Any]:
        """The item as it stands. `status` is in_progress, completed or incomplete."""
        ...


def opened(index: int, item: Item) -> Event:
    return "response.output_item.added", {"output_index": index, "item": item.shape("in_progress")}


def closed(index: int, item: Item, status: str) -> Event:
    return "response.output_item.done", {"output_index": index, "item": item.shape(status)}


class Reasoning:
    """What a model thought before it answered, where its server shows it: one part of a summary."""

    def __init__(self, id: str, index: int) -> None:
        self._id = id
        self._index = index
        self._pieces: list[str] = []
        self._place = {"item_id": id, "output_index": index, "summary_index": 0}

    def open(self) -> Iterator[Event]:
        yield opened(self._index, self)
        yield "response.reasoning_summary_part.added", {**self._place, "part": _summary("")}

    def add(self, text: str) -> Iterator[Event]:
        self._pieces.append(text)
        yield "response.reasoning_summary_text.delta", {**self._place, "delta": text}

    def close(self, status: str) -> Iterator[Event]:
        text = "".join(self._pieces)
        yield "response.reasoning_summary_text.done", {**self._place, "text": text}
        yield "response.reasoning_summary_part.done", {**self._place, "part": _summary(text)}
        yield closed(self._index, self, status)

    def shape(self, status: str) -> dict[str, Any]:
        """Before anything was thought there is no part."""
        summary = [_summary("".join(self._pieces))] if self._pieces else []
        return {"id": self._id, "type": "reasoning", "summary": summary}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


class _Part:
    """A part of a message: what is said, or what is said in refusal."""

    def __init__(self, kind: str, place: dict[str, Any]) -> None:
        self.kind = kind
        self._place = place
        self._pieces: list[str] = []
        self._logprobs: list[dict[str, Any]] = []

    def open(self) -> Iterator[Event]:
        yield "response.content_part.added", {**self._place, "part": self.shape()}

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> Iterator[Event]:
        self._pieces.append(text)
        self._logprobs += logprobs
        if self.kind == "refusal":
            yield "response.refusal.delta", {**self._place, "delta": text}
        else:
            yield "response.output_text.delta", {**self._place, "delta": text, "logprobs": logprobs}

    def close(self) -> Iterator[Event]:
        text = "".join(self._pieces)
        if self.kind == "refusal":
            yield "response.refusal.done", {**self._place, "refusal": text}
        else:
            yield "response.output_text.done", {**self._place, "text": text, "logprobs": self._logprobs}
        yield "response.content_part.done", {**self._place, "part": self.shape()}

    def shape(self) -> dict[str, Any]:
        text = "".join(self._pieces)
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(self._logprobs)}


class Message:
    """What the assistant says. Its parts are in the order in which they began."""

    def __init__(self, id: str, index: int) -> None:
        self._id = id
        self._index = index
        self._parts: list[_Part] = []

    def open(self) -> Iterator[Event]:
        yield opened(self._index, self)

    def add(self, kind: str, text: str, logprobs: list[dict[str, Any]]) -> Iterator[Event]:
        """More of the part of this kind: output_text or refusal."""
        part = next((part for part in self._parts if part.kind == kind), None)
        if part is None:
            place = {"item_id": self._id, "output_index": self._index, "content_index": len(self._parts)}
            part = _Part(kind, place)
            self._parts.append(part)
            yield from part.open()
        if text:
            yield from part.add(text, logprobs)

    def close(self, status: str) -> Iterator[Event]:
        for part in self._parts:
            yield from part.close()
        yield closed(self._index, self, status)

    def shape(self, status: str) -> dict[str, Any]:
        content = [part.shape() for part in self._parts]
        return {"id": self._id, "type": "message", "status": status, "role": "assistant", "content": content}


class ToolCall:
    """A call of a function, whose arguments are JSON, or of a custom tool, whose input is any text."""

    def __init__(self, id: str, index: int, *, custom: bool, call_id: str, name: str) -> None:
        self._id = id
        self._index = index
        self._call_id = call_id
        self._name = name
        self._pieces: list[str] = []
        self._type, self._field = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
        self._events = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        self._place = {"item_id": id, "output_index": index}

    def open(self) -> Iterator[Event]:
        yield opened(self._index, self)

    def add(self, text: str) -> Iterator[Event]:
        self._pieces.append(text)
        yield f"{self._events}.delta", {**self._place, "delta": text}

    def close(self, status: str) -> Iterator[Event]:
        yield f"{self._events}.done", {**self._place, self._field: "".join(self._pieces)}
        yield closed(self._index, self, status)

    def shape(self, status: str) -> dict[str, Any]:
        named = {"call_id": self._call_id, "name": self._name, self._field: "".join(self._pieces)}
        return {"id": self._id, "type": self._type, "status": status, **named}
