"""Guards the arguments of a tool call while they are being written: each of their strings as a text of its own."""

from __future__ import annotations

from collections.abc import Callable

from gateway.texts.json_text import JsonCutter, Kind, Piece, looks_like_json, quoted_inside
from gateway.texts.slots import context_of
from guards.types import StreamFilter

Open = Callable[[str], StreamFilter]  # from what is read before a text to a filter for it


class JsonFilter:
    """A filter of a JSON text. What `open` gives sees strings decoded, and numbers; a number that it changes becomes a
    string. A text that does not begin as JSON does is guarded as it is.

    What is not changed leaves as it was written. Of a string in which something is, the rest may lose escapes that it
    did not need.
    """

    def __init__(self, open_: Open) -> None:
        self._open = open_
        self._begun = ""  # white space, before it is known what follows
        self._plain: StreamFilter | None = None
        self._json: _Strings | None = None

    @property
    def held(self) -> str:
        inner = self._plain or self._json
        return inner.held if inner else self._begun

    async def feed(self, text: str) -> str:
        if self._plain:
            return await self._plain.feed(text)
        if self._json:
            return await self._json.feed(text)
        self._begun += text
        if not self._begun.strip():
            return ""
        begun, self._begun = self._begun, ""
        if looks_like_json(begun):
            self._json = _Strings(self._open)
            return await self._json.feed(begun)
        self._plain = self._open("")
        return await self._plain.feed(begun)

    async def finish(self) -> str:
        if self._plain:
            return await self._plain.finish()
        if self._json:
            return await self._json.finish()
        begun, self._begun = self._begun, ""
        return begun


class _Strings:
    """The strings of a JSON text, each through a filter of its own."""

    def __init__(self, open_: Open) -> None:
        self._open = open_
        self._cutter = JsonCutter()
        self._filter: StreamFilter | None = None
        self._pending: list[Piece] = []  # what the filter has taken and not answered for, at least
        self._uncut = ""  # what the cutter has not given yet

    @property
    def held(self) -> str:
        return "".join(piece.raw for piece in self._pending) + self._uncut

    async def feed(self, text: str) -> str:
        return await self._process(text, final=False)

    async def finish(self) -> str:
        out = await self._process("", final=True)
        return out + await self._end_string()

    async def _process(self, text: str, *, final: bool) -> str:
        self._uncut += text
        out: list[str] = []
        for piece in self._cutter.feed(text, final=final):
            self._uncut = self._uncut[len(piece.raw) :]
            if piece.kind is Kind.BEGIN:
                out.append(piece.raw)
                self._filter = self._open(context_of(piece.key))
            elif piece.kind is Kind.TEXT:
                out.append(await self._say(piece))
            elif piece.kind is Kind.END:
                out += (await self._end_string(), piece.raw)
            elif piece.kind is Kind.WORD:
                out.append(await self._word(piece))
            else:
                out.append(piece.raw)
        return "".join(out)

    async def _say(self, piece: Piece) -> str:
        assert self._filter is not None  # a string's pieces come after its beginning
        self._pending.append(piece)
        answer = await self._filter.feed(piece.text)
        return self._written(answer, len(self._filter.held))

    async def _end_string(self) -> str:
        if self._filter is None:
            return ""
        ending, self._filter = self._filter, None
        return self._written(await ending.finish(), 0)

    async def _word(self, piece: Piece) -> str:
        stream = self._open(context_of(piece.key))
        answer = await stream.feed(piece.text) + await stream.finish()
        return piece.raw if answer == piece.text else f'"{quoted_inside(answer)}"'

    def _written(self, answer: str, held: int) -> str:
        """`answer` as it is written in JSON. It stands for all that is pending but the last `held` characters."""
        taken, raw = "", ""
        count = sum(len(piece.text) for piece in self._pending) - held
        pending = self._pending
        while pending and len(taken) < count:
            piece = pending.pop(0)
            room = count - len(taken)
            if len(piece.text) > room:  # plain text, of which a part is held; an escape is one character or held
                pending.insert(0, Piece(Kind.TEXT, piece.raw[room:], piece.text[room:]))
                piece = Piece(Kind.TEXT, piece.raw[:room], piece.text[:room])
            taken += piece.text
            raw += piece.raw
        return raw if answer == taken else quoted_inside(answer)
