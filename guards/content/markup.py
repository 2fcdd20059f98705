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
_OVERLAP = 300  # characters that are looked at again, for what began before them
_BLANKS = re.compile(r"[\x00-\x20\u200b-\u200f\ufeff]+")
_SCRIPT_END = re.compile(r"</script[^>]*>", re.IGNORECASE)


class MarkupPass(Reading):
    def __init__(self, replacement: str | None, sink: Sink) -> None:
        super().__init__()
        self._replacement = f"[{HTML}]" if replacement is None else replacement
        self._sink = sink
        self._in_script = False  # one that was redacted

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        out: list[str] = []
        at = 0
        harmless = 0  # nothing that begins before it does anything, but by the name of its tag
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
            if not _named_active(tag) and not _holds_code(text[max(begin, harmless - _OVERLAP) : end_of_tag]):
                harmless = max(harmless, end_of_tag)
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


def _holds_code(inside: str) -> bool:
    """Whether something in a tag, or in a part of one, is run when the tag is shown."""
    if "=" not in inside:
        return False
    if _HANDLER.search(inside) or _EMBEDDED.search(inside):
        return True
    return _CODE.search(_BLANKS.sub("", html.unescape(inside))) is not None
