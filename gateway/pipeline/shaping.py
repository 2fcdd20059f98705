"""A stream on its way out: guards on every growing text, usage taken out and put at the end, the end held back.

The chunks that end a reply are held until the whole stream has, so that the bill is written before the caller can know
the answer to be complete.
"""

from __future__ import annotations

from typing import Any

from billing.usage import Usage
from gateway.pipeline.answer import Chunk, usage_body
from gateway.texts import OTHER, Slot, TextId, chunk_slots, delta_of, holds_json
from gateway.texts.json_stream import JsonFilter
from guards.runner import RunnerSession
from guards.types import Scope, StreamFilter


class StreamShaper:
    """Shapes one stream. `usage` is the last the upstream told, `received` all text it sent, for when it tells none."""

    def __init__(self, session: RunnerSession, model: str) -> None:
        self._session = session
        self._model = model
        self._filters: dict[TextId, StreamFilter] = {}
        self._ended: dict[TextId, tuple[str, str]] = {}  # what was held of a text when it ended, and sent for that
        self._frame: dict[str, Any] = {}
        self._unfinished: set[int] = set()  # choices that have begun and whose end has not been sent
        self._held: list[Chunk] = []
        self.usage: Usage | None = None
        self.received: list[str] = []

    async def feed(self, chunk: Chunk) -> list[Chunk]:
        """What may be sent after this chunk. Raises GuardBlocked, GuardUnavailable."""
        if chunk.usage is not None:
            self.usage = chunk.usage
        body = chunk.body
        body.pop("usage", None)
        body["model"] = self._model
        self._frame = {key: value for key, value in body.items() if key != "choices"}
        self._unfinished.update(choice.get("index", 0) for choice in body["choices"])
        tails: list[Chunk] = []
        for slot, text_id in chunk_slots(body):
            if text_id is None:
                await self._guard_whole(slot)
                continue
            if text_id[1] != OTHER:
                self.received.append(slot.text)
            if text_id not in self._filters:
                tails += await self._moved_on(text_id)
            slot.text = await self._filter(text_id, slot.scope).feed(slot.text)
        ends = [choice for choice in body["choices"] if choice.get("finish_reason")]
        if not ends:
            said = [chunk] if _says_anything(body["choices"]) else []
            return [*self._release(), *tails, *said] if tails or said else []
        self._held.extend(tails)
        await self._hold_ends(body["choices"], ends)
        return []

    async def finish(self, *, include_usage: bool) -> list[Chunk]:
        """The end of the stream: what was held, then the usage if the caller asked for it."""
        for index in sorted({text_id[0] for text_id in self._filters}):
            self._held.extend(await self._last_words(index))
        out = self._release()
        if include_usage and self.usage is not None:
            out.append(Chunk({**self._frame, "choices": [], "usage": usage_body(self.usage)}))
        return out

    def blocked(self) -> list[Chunk]:
        """The end of a stream that a guard stopped: every choice not yet ended ends with `content_filter`."""
        self._held.clear()
        return [self._chunk([_choice(index, {}, "content_filter") for index in sorted(self._unfinished)])]

    async def _guard_whole(self, slot: Slot) -> None:
        """Guard a text that goes on in no other chunk."""
        stream = self._session.open_stream(slot.scope)
        slot.text = await stream.feed(slot.text) + await stream.finish()

    async def _hold_ends(self, choices: list[dict[str, Any]], ends: list[dict[str, Any]]) -> None:
        """Hold a chunk in which choices end: first what it says, then what their filters held back, then the ends."""
        said = [{**choice, "finish_reason": None} for choice in choices]
        if _says_anything(said):
            self._held.append(self._chunk(said))
        for choice in ends:
            self._held.extend(await self._last_words(choice.get("index", 0)))
        self._held.append(self._chunk([{**choice, "delta": {}, "logprobs": None} for choice in ends]))

    async def _moved_on(self, begun: TextId) -> list[Chunk]:
        """What is held of a choice's texts of other kinds when one begins: thoughts end before the answer does,
        the answer before its tool calls. In dialects that write one after the other it would come too late.

        Fields that we do not know go on beside the others.
        """
        if begun[1] == OTHER:
            return []
        ended = [known for known in self._filters if known[0] == begun[0] and known[1] not in (begun[1], OTHER)]
        return await self._end_texts(ended)

    async def _last_words(self, index: int) -> list[Chunk]:
        """Chunks with what the filters of one choice held back."""
        return await self._end_texts([text_id for text_id in self._filters if text_id[0] == index])

    async def _end_texts(self, ended: list[TextId]) -> list[Chunk]:
        tail = []
        for text_id in ended:
            ending = self._filters.pop(text_id)
            held = ending.held
            text = await ending.finish()
            self._ended[text_id] = held, text
            if text:
                tail.append(self._chunk([_choice(text_id[0], delta_of(text_id, text), None)]))
        return tail

    def _chunk(self, choices: list[dict[str, Any]]) -> Chunk:
        return Chunk({**self._frame, "choices": choices})

    def _filter(self, text_id: TextId, scope: Scope) -> StreamFilter:
        found = self._filters.get(text_id)
        if found is None:
            found = self._open(text_id, scope)
            held, sent = self._ended.pop(text_id, ("", ""))
            if held:
                found = _Resumed(found, held, sent)
            self._filters[text_id] = found
        return found

    def _open(self, text_id: TextId, scope: Scope) -> StreamFilter:
        if holds_json(text_id):
            return JsonFilter(lambda context: self._session.open_stream(scope, context))
        return self._session.open_stream(scope)

    def _release(self) -> list[Chunk]:
        held, self._held = self._held, []
        for chunk in held:
            ended = (choice.get("index", 0) for choice in chunk.body["choices"] if choice.get("finish_reason"))
            self._unfinished.difference_update(ended)
        return held


class _Resumed:
    """A filter of a text that goes on after it had ended: its guards see it joined, as the caller will.

    What they held then is looked at again, and what was sent for it is not sent twice.
    """

    def __init__(self, inner: StreamFilter, held: str, sent: str) -> None:
        self._inner = inner
        self._again = held
        self._sent = sent

    @property
    def held(self) -> str:
        return self._again + self._inner.held

    async def feed(self, text: str) -> str:
        again, self._again = self._again, ""
        return self._new(await self._inner.feed(again + text))

    async def finish(self) -> str:
        return self._new(await self._inner.finish())

    def _new(self, text: str) -> str:
        pairs = enumerate(zip(self._sent, text, strict=False))
        known = next((at for at, (one, other) in pairs if one != other), min(len(self._sent), len(text)))
        # Where they part a guard has found something in both together: the rest of what was sent will not come again.
        self._sent = self._sent[known:] if known == len(text) else ""
        return text[known:]


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _says_anything(choices: list[dict[str, Any]]) -> bool:
    """False for choices whose only text is being held back: an empty delta tells a caller nothing."""
    return any(
        key == "role" or value not in ("", None)
        for choice in choices
        for key, value in (choice.get("delta") or {}).items()
    )
