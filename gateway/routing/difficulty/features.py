"""A prompt as numbers: hashed words and character n-grams, and a few plain measures. No model, no numpy.

What is read is bounded, whatever the prompt's length: the head and the tail of the last user turn, because a long text
mostly has its question before or behind it. System prompts are left out: all calls of one application share them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import crc32

from gateway.routing.difficulty.cues import CRAFT, DEEP, LOOKUP

BUCKETS = 2**15
MEASURES = (
    "length", "lines", "items", "questions", "sentences", "commas", "word_length", "digits", "code", "math",
    "lookup", "craft", "deep", "opens_with_why", "foreign", "turns", "tools", "structured",
)  # fmt: skip

_GRAM_END = 200  # characters at either end that n-grams are made of
_MEASURE_END = 1_000  # and that the measures look at
_SHORT_TURN = 60  # characters; a shorter turn ("go on", "why?") is read with the one before it
_CJK = "\u3040-\u30ff\u3400-\u9fff"  # written without spaces: each character is taken for a word
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:'[^\W{_CJK}]+)?")
_DIGIT = re.compile(r"\d")
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\(?\w{1,2}[.)])\s", re.MULTILINE)
# Counted as they stand: one regular expression over all of them costs fifty times as much.
_STOPS = (".", "!", "?", ";", "。", "！", "？", "；")
_COMMAS = (",", "，", "、")
_CODE = (
    "```", "{", "}", "[", "]", "</", "/>", "()", "=>", "->", "==", "!=", "&&", "||", "::", ";\n", "_",
    "def ", "return ", "import ", "SELECT ",
)  # fmt: skip
_MATH = (*"∀∃∈∑∏∫√≤≥≠≈∞→⇒πλθεσ^\\", " = ", " + ", "(x)", "(n)", "_n", " n ", " x ", " k ", "mod ")
_WHY = frozenset(
    {"why", "how", "warum", "wie", "wieso", "pourquoi", "comment", "cómo", "perché", "come", "como", "waarom", "hoe"}
)  # fmt: skip
_TERM_SALT = 0x5A17  # so that a word does not always share its bucket with the same letters as an n-gram


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is known of a question. `turns` are the user's messages, `tools` how many the model may call.

    `structured`: the answer is to follow a JSON schema, or to be JSON.
    """

    text: str
    turns: int = 1
    tools: int = 0
    structured: bool = False


class Features(NamedTuple):
    """Buckets of distinct words and word pairs, buckets of distinct n-grams, and `MEASURES` (each about 0 to 1)."""

    terms: set[int]
    grams: set[int]
    measures: tuple[float, ...]


def prompt_of(texts: Sequence[tuple[str, str]], *, tools: int = 0, structured: bool = False) -> Prompt:
    """The question in a conversation of (role, text): the last user turn, with the one before it if it is short.

    Without a user turn the last text of all is taken.
    """
    asked = [text for role, text in texts if role == "user" and text]
    if not asked:
        return Prompt(texts[-1][1] if texts else "", 1, tools, structured)
    text = asked[-1]
    if len(asked) > 1 and len(text) < _SHORT_TURN:
        text = f"{_ends(asked[-2], _MEASURE_END)}\n{text}"
    return Prompt(text, len(asked), tools, structured)


def prompt_of_body(body: dict[str, Any]) -> Prompt:
    """The question in a request of OpenAI's chat or completions shape; empty where there is none to read."""
    tools = body.get("tools") or body.get("functions")
    form = body.get("response_format")
    structured = isinstance(form, dict) and form.get("type") in ("json_object", "json_schema")
    messages = body.get("messages")
    texts = [*_message_texts(messages)] if isinstance(messages, list) else [("user", _joined(body.get("prompt")))]
    return prompt_of(texts, tools=len(tools) if isinstance(tools, list) else 0, structured=structured)


def extract(prompt: Prompt) -> Features:
    """The features of a prompt. Pure; any text will do, unpaired surrogates included."""
    short = _folded(_ends(prompt.text, _GRAM_END))
    words = _WORD.findall(short)
    pairs = [f"{one} {two}" for one, two in pairwise(words)]
    terms = {*words, *pairs}
    hashed = {crc32(term.encode("utf-8", "surrogatepass"), _TERM_SALT) % BUCKETS for term in terms}
    return Features(hashed, _grams(short), _measures(prompt, words, terms))


def _grams(text: str) -> set[int]:
    # Four bytes a character, so that a slice never cuts one; the last n-grams of the text are cut short, no matter.
    raw = f" {text} ".encode("utf-32-le", "surrogatepass")
    starts = range(0, len(raw) - 8, 4)
    return {crc32(raw[start : start + size]) % BUCKETS for size in (12, 16, 20) for start in starts}


def _measures(prompt: Prompt, words: Sequence[str], terms: set[str]) -> tuple[float, ...]:
    text = _ends(prompt.text, _MEASURE_END)
    size = max(len(text), 1)
    weight = len(text.encode("utf-8", "surrogatepass")) / size  # bytes a character: dense scripts say more in each
    latin = sum(word.isascii() for word in words)
    return (
        math.log2(1 + len(prompt.text) * weight) / 16,
        _rising(text.count("\n"), 10),
        _rising(len(_ITEM.findall(text)), 5),
        _rising(_count(text, ("?", "？")), 3),
        _rising(_count(text, _STOPS), 6),
        _rising(_count(text, _COMMAS), 6),
        min(sum(map(len, words)) / (10 * max(len(words), 1)), 1.0),
        _count(text, "0123456789") / size,
        _rising(_count(text, _CODE), 8),
        _rising(_count(text, _MATH), 5),
        _rising(len(terms & LOOKUP), 1),
        _rising(len(terms & CRAFT), 1),
        _rising(len(terms & DEEP), 1),
        float(not _WHY.isdisjoint(words[:1])),
        1 - latin / max(len(words), 1),
        _rising(prompt.turns - 1, 4),
        _rising(prompt.tools, 4),
        float(prompt.structured),
    )


def _count(text: str, marks: Iterable[str]) -> int:
    return sum(map(text.count, marks))


def _rising(count: int, half: int) -> float:
    """0 for none, one half at `half`, towards 1: ever more of a thing says ever less."""
    return count / (count + half)


def _ends(text: str, size: int) -> str:
    return text if len(text) <= 2 * size else f"{text[:size]}\n{text[-size:]}"


def _folded(text: str) -> str:
    """In one case and one composition, with all digits alike. May be longer than `text`, so it is cut again."""
    return _DIGIT.sub("0", _ends(unicodedata.normalize("NFKC", text).casefold(), _GRAM_END))


def _message_texts(messages: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for message in messages:
        if isinstance(message, dict) and isinstance(role := message.get("role"), str):
            yield role, _joined(message.get("content"))


def _joined(content: Any) -> str:
    """A content's text: itself, or its text parts one after another."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "\n".join(text for text in texts if isinstance(text, str))
