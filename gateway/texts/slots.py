"""Places that hold one text each, as guards see them (`guards.types.TextSlot`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.texts.json_text import JsonCutter, Kind, looks_like_json, quoted_inside
from guards.types import Scope


class Slot:
    """One string inside a parsed JSON body. Setting `text` rewrites the body."""

    __slots__ = ("_container", "_key", "scope")

    context = ""

    def __init__(self, container: Any, key: str | int, scope: Scope) -> None:
        self._container = container
        self._key = key
        self.scope = scope

    @property
    def text(self) -> str:
        value: str = self._container[self._key]
        return value

    @text.setter
    def text(self, value: str) -> None:
        self._container[self._key] = value

    def moved_to(self, key: str) -> None:
        """Its field has another name now."""
        self._key = key


class NumberSlot(Slot):
    """A number inside a parsed JSON body, as it is written; anything else that is set in its place is a string."""

    __slots__ = ("_number", "context")

    def __init__(self, container: Any, key: str | int, scope: Scope, name: str) -> None:
        super().__init__(container, key, scope)
        self._number = container[key]
        self.context = context_of(name)

    @property
    def text(self) -> str:
        return str(self._container[self._key])

    @text.setter
    def text(self, value: str) -> None:
        self._container[self._key] = self._number if value == str(self._number) else value


class KeySlot:
    """The name of a field. The body has what was set only after `write_back`, which takes its value's slot along."""

    __slots__ = ("_container", "_key", "scope", "text", "value")

    context = ""

    def __init__(self, container: dict[str, Any], key: str, scope: Scope) -> None:
        self._container = container
        self._key = key
        self.text = key
        self.scope = scope
        self.value: Slot | None = None  # the slot of the field's value, if it has one

    def write_back(self) -> None:
        if self.text == self._key:
            return
        name = self.text
        while name in self._container:  # what hides a value may be the same for two
            name += "_"
        fields = [(name if key == self._key else key, value) for key, value in self._container.items()]
        self._container.clear()
        self._container.update(fields)
        self._key = self.text = name
        if self.value is not None:
            self.value.moved_to(name)


class _Written:
    """A JSON text as its pieces. What was changed of it is put together again once, by `write_back`."""

    __slots__ = ("changed", "pieces", "place")

    def __init__(self, place: Slot) -> None:
        self.place = place
        self.pieces: list[str] = []
        self.changed = False


class JsonSlot:
    """One string, or number, inside a JSON text that is itself a string of the body.

    The body has what was set only after `write_back`.
    """

    __slots__ = ("_index", "_text", "_written", "context", "quoted", "scope")

    def __init__(self, written: _Written, index: int, text: str, *, quoted: bool, key: str) -> None:
        self._written = written
        self._index = index
        self._text = text
        self.quoted = quoted
        self.scope = written.place.scope
        self.context = context_of(key)

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, value: str) -> None:
        if value == self._text:
            return
        self._text = value
        inside = quoted_inside(value)
        self._written.pieces[self._index] = inside if self.quoted else f'"{inside}"'
        self._written.changed = True

    def write_back(self) -> None:
        written = self._written
        if written.changed:
            written.changed = False
            written.place.text = "".join(written.pieces)


AnySlot = Slot | JsonSlot | KeySlot


def write_back(slots: Iterable[AnySlot]) -> None:
    """Bring what was set in slots into the body, where it is not there yet."""
    for slot in slots:
        if isinstance(slot, JsonSlot | KeySlot):
            slot.write_back()


def context_of(key: str) -> str:
    """What guards read before a value: its key."""
    return f"{key}: " if key else ""


def inner_slots(place: Slot) -> Iterator[Slot | JsonSlot]:
    """The texts inside a JSON text; the text itself where it is none."""
    if not looks_like_json(place.text):
        yield place
        return
    written = _Written(place)
    said: list[str] = []
    key = ""
    for piece in JsonCutter().feed(place.text, final=True):
        if piece.kind is Kind.TEXT:
            said.append(piece.text)
            written.pieces[-1] += piece.raw
            continue
        if piece.kind is Kind.END and said:
            yield JsonSlot(written, len(written.pieces) - 1, "".join(said), quoted=True, key=key)
            said = []
        written.pieces.append(piece.raw)
        if piece.kind is Kind.BEGIN:
            key = piece.key
            written.pieces.append("")
        elif piece.kind is Kind.WORD:
            yield JsonSlot(written, len(written.pieces) - 1, piece.text, quoted=False, key=piece.key)
    if said:  # a string without its end
        yield JsonSlot(written, len(written.pieces) - 1, "".join(said), quoted=True, key=key)
