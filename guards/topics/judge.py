"""Judges what texts are about: each window of a text by its likeness to the operator's example sentences.

A denied topic is found where a window is at least `threshold` like one of its examples, and more so than like any
example of an allowed topic or what people ask on any day. With `closed`, a window that is not `threshold` like any
allowed example is found too, as OFF_TOPIC, unless it is too short to be about anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from guards.judging import Judgement
from guards.pool import WorkerPool
from guards.topics.everyday import EVERYDAY
from guards.topics.minilm import closeness
from guards.types import Scope

OFF_TOPIC = "OFF_TOPIC"

_WINDOW = 300  # characters; longer ones are about too many things at once
_BATCH = 4  # windows to a job, some 100 ms
_ABOUT_SOMETHING = 16  # letters; "ok, thank you" is on every topic
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])|\n+")


class TopicJudge:
    """`windows`: how many of a text are looked at, at most; of a longer text the beginning and the end."""

    def __init__(
        self,
        pool: WorkerPool,
        deny: Mapping[str, Sequence[str]],
        allow: Mapping[str, Sequence[str]],
        *,
        threshold: float,
        closed: bool,
        windows: int,
    ) -> None:
        self._pool = pool
        self._denied = list(deny)
        allowed = [sentence for sentences in allow.values() for sentence in sentences]
        self._topics = [list(sentences) for sentences in deny.values()] + [list(EVERYDAY)]
        if allowed:
            self._topics.append(allowed)
        self._allows = bool(allowed)
        self._threshold = threshold
        self._closed = closed
        self._windows = windows

    async def judge(self, text: str, scope: Scope) -> Judgement:
        found: dict[str, int] = {}
        highest = 0.0
        for close in await self._closeness(text):
            allowed = close[-1] if self._allows else -1.0
            rival = max(allowed, close[len(self._denied)])
            for name, likeness in zip(self._denied, close, strict=False):
                highest = max(highest, likeness)
                if likeness >= self._threshold and likeness > rival:
                    found[name] = found.get(name, 0) + 1
            if self._closed and allowed < self._threshold:
                found[OFF_TOPIC] = found.get(OFF_TOPIC, 0) + 1
        return Judgement(found, round(min(highest, 1.0), 4))

    async def _closeness(self, text: str) -> list[list[float]]:
        """Of each window that is about something, to each topic."""
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent to a worker
        telling = [piece for piece in windows(text) if sum(map(str.isalpha, piece)) >= _ABOUT_SOMETHING]
        chosen = most_telling(telling, self._windows)
        close: list[list[float]] = []
        for begin in range(0, len(chosen), _BATCH):  # so that other jobs have a turn
            close += await self._pool.run(closeness, chosen[begin : begin + _BATCH], self._topics)
        return close


def windows(text: str) -> list[str]:
    """The text in pieces of whole sentences, each as long as fits; a longer sentence is cut."""
    pieces: list[str] = []
    open_piece = ""
    for sentence in _SENTENCE_END.split(text):
        for begin in range(0, len(sentence), _WINDOW):
            part = sentence[begin : begin + _WINDOW].strip()
            if open_piece and len(open_piece) + len(part) >= _WINDOW:
                pieces.append(open_piece)
                open_piece = ""
            open_piece = f"{open_piece} {part}".strip()
    return [*pieces, open_piece] if open_piece else pieces


def most_telling(pieces: Sequence[str], most: int) -> list[str]:
    """All, or of too many the first ones and the last."""
    if len(pieces) <= most:
        return list(pieces)
    last = most // 4
    return [*pieces[: most - last], *pieces[len(pieces) - last :]]
