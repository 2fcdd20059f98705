"""Finds HTML that does something when it is shown: scripts, frames, plug-ins, event handlers, addresses that are code.

A tag is held until it ends. Redacted, a script goes with all that is in it, as far as it is closed.
"""

from __future__ import annotations

import html
import re

from guards.content.links import LONGEST, tag_end
from guards.content.passes import Reading
from guards.content.sink import Sink

HTML = "HTML"

_ACTIVE = frozenset(["script", "iframe", "object", "embed", "applet", "frame", "frameset", "base", "portal"])
_NAME = re.compile(r"<([A-Za-z][\w:.\-]*)")
_HANDLER = re.compile(r"[\s/\"']on[a-z]{3,}\s*=", re.IGNORECASE)
_CODE = re.compile(
    r"(?:javascript|vbscript|livescript):|data:(?:text/html|image/svg\+xml|application/)|expression\s*\(", re.IGNORECASE
)
_EMBEDDED = re.compile(r"\bsrcdoc\s*=|http-equiv\s*=\s*[\"']?(?:refresh|set-cookie|content-security)", re.IGNORECASE)
_IMPORTED = re.compile(r"<link\b(?=[^>]*\b(?:stylesheet|import|preload|modulepreload)\b)", re.IGNORECASE)
_BRACKET = re.compile("[<>]")
_BEGUN_ESCAPE = re.compile(r"&[#\w]{0,10}\Z")  # where a text was cut, it would be read as something else
_BLANKS = re.compile(r"[\x00-\x20\u200b-\u200f\ufeff]+")
_SCRIPT_END = re.compile(r"</script[^>]*>", re.IGNORECASE)


class MarkupPass(Reading):
    def __init__(self, replacement: str | None, sink: Sink) -> None:
        super().__init__()
        self._replacement = f"[{HTML}]" if replacement is None else replacement
        self._sink = sink
        self._in_script = False  # one that was redacted
        self._code = _Code()

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        self._code.text = text
        out, done = self._advance(text, final=final)
        self._code.drop(done)
        return out, done

    def _advance(self, text: str, *, final: bool) -> tuple[str, int]:
        out: list[str] = []
        at = 0
        while True:
            if self._in_script:
                end = _SCRIPT_END.search(text, at)
                if end is None:
                    opened = text.rfind("<", at)
                    wait = opened >= 0 and len(text) - opened < LONGEST and not final
                    return "".join(out), opened if wait else len(text)
                self._in_script, at = False, end.end()
            begin = text.find("<", at)
            if begin < 0:
                return "".join((*out, text[at:])), len(text)
            out.append(text[at:begin])
            end_of_tag = self._tag(text, begin, final=final)
            if end_of_tag is None:
                return "".join(out), begin
            tag, at = text[begin:end_of_tag], end_of_tag
            if not _named_active(tag) and not self._code.lies_in(begin, end_of_tag):
                out.append("<")
                at = begin + 1  # what stands in it is read again
                continue
            stands = self._sink.span(HTML, tag, self._replacement)
            out.append(stands)
            self._in_script = stands != tag and tag[:7].lower() == "<script" and not tag.endswith("/>")

    @staticmethod
    def _tag(text: str, begin: int, *, final: bool) -> int | None:
        """Where a tag ends; right after the `<` of what is none. None: more text is needed."""
        waits = not final and len(text) - begin < LONGEST
        name = _NAME.match(text, begin)
        if name is None:
            return None if waits and begin == len(text) - 1 else begin + 1
        end = tag_end(text, begin)
        if end is not None:
            return end
        return None if waits else min(len(text), begin + LONGEST)


def _named_active(tag: str) -> bool:
    """Whether a tag does something by its name."""
    name = _NAME.match(tag)
    return name is not None and (name[1].lower() in _ACTIVE or _IMPORTED.match(tag) is not None)


class _Code:
    """Where in a growing text something is that is run when a tag around it is shown.

    No such thing has a bracket (`<`, `>`) in it, so the parts between brackets are read each for itself, and once: tags
    that never end lie within each other by the hundred.
    """

    def __init__(self) -> None:
        self.text = ""
        self._harmless = 0  # a bracket, or where the text begins; before it nothing is run
        self._harmless_rest = -1  # where the last part begins, if nothing is run in it as far as it goes
        self._first_ends: tuple[int, int] | None = None  # the part that begins there: where the first such thing ends

    def drop(self, size: int) -> None:
        """So much of the text's beginning is done with."""
        self._harmless = max(0, self._harmless - size)
        self._harmless_rest = -1
        self._first_ends = None

    def lies_in(self, begin: int, end: int) -> bool:
        """For the tag at `begin .. end`; tags are asked for in the order in which they begin."""
        if self.text.find("=", begin, end) < 0:
            return False
        at = max(begin, self._harmless)
        while at < end and at != self._harmless_rest:
            bracket = _BRACKET.search(self.text, at + 1)
            after = bracket.start() if bracket else len(self.text)
            if _holds_code(self.text[at:after]):
                return after <= end or self._end_of_first(at, after) <= end
            if bracket is None:
                self._harmless_rest = at
            else:
                self._harmless = at = after
        return False

    def _end_of_first(self, begin: int, end: int) -> int:
        """Of what is run in the part `begin .. end`, where the first ends."""
        if self._first_ends is None or self._first_ends[0] != begin:
            without, within = begin, end
            while within - without > 1:
                middle = (without + within) // 2
                if _holds_code(self.text[begin:middle]):
                    within = middle
                else:
                    without = middle
            self._first_ends = begin, within
        return self._first_ends[1]


def _holds_code(part: str) -> bool:
    """Whether something in a part of a tag is run when the tag is shown."""
    if _HANDLER.search(part) or _EMBEDDED.search(part):
        return True
    return _CODE.search(_BLANKS.sub("", html.unescape(_BEGUN_ESCAPE.sub("", part)))) is not None
