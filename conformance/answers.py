"""What came back from a gateway, read by the letter: no leniency that a strict client would not have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.case import Mismatch, expect, short


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object in it. Raises Mismatch if there is none."""
        try:
            found = json.loads(self.raw)
        except ValueError:
            raise Mismatch(f"status {self.status}, and the body is not JSON: {short(self.raw)}") from None
        expect(isinstance(found, dict), f"the body is no object: {short(self.raw)}")
        return dict(found)

    def completed(self) -> dict[str, Any]:
        """The body of an answer that succeeded. Raises Mismatch."""
        expect(self.status == 200, f"status {self.status}: {short(self.raw)}")
        return self.body

    @property
    def text(self) -> str:
        """The first choice's text."""
        return str(self.completed()["choices"][0]["message"]["content"])

    def failed(self, *statuses: int) -> dict[str, Any]:
        """The error object of an answer that failed with one of these. Raises Mismatch."""
        wanted = " or ".join(map(str, statuses))
        expect(self.status in statuses, f"status {self.status}, not {wanted}: {short(self.raw)}")
        return error_object(self.body)


def error_object(body: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's error object, as far as the official clients need it. Raises Mismatch if `body` is none."""
    found = body.get("error")
    expect(isinstance(found, dict), f"the error is not in OpenAI's shape: {short(body)}")
    assert isinstance(found, dict)
    expect(isinstance(found.get("message"), str) and found["message"], f"the error has no message: {short(body)}")
    return found


@dataclass
class StreamAnswer:
    """An answer that was asked for as a stream. `broken`: the connection ended before the answer did."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    broken: bool = False
    events: list[tuple[str | None, str]] = field(default_factory=list)  # event name and data

    def __post_init__(self) -> None:
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            self.events = read_events(self.raw)

    @property
    def whole(self) -> Answer:
        """The same as a whole answer: what a stream that never began is."""
        return Answer(self.status, self.headers, self.raw)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The JSON in the events. Raises Mismatch if one holds none, or the stream never began."""
        expect(self.status == 200, f"status {self.status}: {short(self.raw)}")
        found = []
        for _, data in self.events:
            if data == "[DONE]":
                continue
            try:
                body = json.loads(data)
            except ValueError:
                raise Mismatch(f"an event is not JSON: {short(data)}") from None
            expect(isinstance(body, dict), f"an event is no object: {short(data)}")
            found.append(body)
        return found

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events that carry no error."""
        return [body for body in self.bodies if "error" not in body]

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices of all chunks, in order."""
        found: list[dict[str, Any]] = []
        for body in self.chunks:
            expect(isinstance(body.get("choices"), list), f"a chunk has no choices: {short(body)}")
            found.extend(body["choices"])
        return found

    def text(self, index: int = 0) -> str:
        """The joined text of one choice."""
        said = (choice["delta"] for choice in self.choices if choice.get("index", 0) == index and choice.get("delta"))
        return "".join(delta.get("content") or "" for delta in said)

    def finish_reasons(self, index: int = 0) -> list[str]:
        return [
            choice["finish_reason"]
            for choice in self.choices
            if choice.get("index", 0) == index and choice.get("finish_reason")
        ]

    @property
    def usages(self) -> list[dict[str, Any]]:
        """The chunks that carry usage."""
        return [body for body in self.chunks if body.get("usage")]

    @property
    def done_marks(self) -> int:
        return sum(data == "[DONE]" for _, data in self.events)

    def completed(self) -> StreamAnswer:
        """This, if it ended as a stream should: no error, one `[DONE]`, nothing after it. Raises Mismatch."""
        expect(self.status == 200, f"status {self.status}: {short(self.raw)}")
        expect(not self.broken, f"the connection broke off after {short(self.raw[-100:])}")
        errors = [body for body in self.bodies if "error" in body]
        expect(not errors, f"an error in the stream: {short(errors)}")
        expect(self.done_marks == 1, f"{self.done_marks} [DONE] marks")
        expect(self.events[-1][1] == "[DONE]", "something follows [DONE]")
        return self

    @property
    def fault(self) -> str | None:
        """How a caller can know that this stream is not whole; None if it cannot."""
        if self.broken:
            return "connection broken off"
        return "error event" if any("error" in body for body in self.bodies) else None

    def failed_honestly(self) -> None:
        """Raises Mismatch unless a caller must see that the answer did not come to its end."""
        if self.status != 200:
            self.whole.failed(*range(400, 600))
            return
        expect(self.fault is not None, f"ends as if whole: {short(self.raw[-100:])}")
        expect(not self.done_marks, "a [DONE] mark although the answer is not whole")
        expect("stop" not in self.finish_reasons(), "finish_reason 'stop' although the answer is not whole")


def read_events(raw: bytes) -> list[tuple[str | None, str]]:
    """The name and data of every complete event. Raises Mismatch for bytes that are not UTF-8."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Mismatch(f"the stream is not UTF-8: {error.reason} at byte {error.start}") from None
    *complete, _ = text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n")
    found = []
    for block in complete:
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if "data" in fields:
            found.append((fields.get("event", [None])[-1], "\n".join(fields["data"])))
    return found
