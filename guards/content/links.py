"""Finds addresses of hosts that are not allowed: pictures, which a client fetches by itself, and links.

What a model was made to write into such an address (a secret in its query or path) leaves as soon as the picture is
shown. So an address is held until it is complete, and then passes or is found; redacted, its brackets go too, so that
nothing is left to be fetched. Read are Markdown (inline, by reference, in angle brackets), HTML (attributes that take
an address, `srcset`, styles), CSS, and addresses that stand alone. Code is read like text: a client may be wrong about
where code ends.
"""

from __future__ import annotations

import html
import re

from guards.content.addresses import Hosts
from guards.content.passes import Reading
from guards.content.sink import Sink

IMAGE, LINK = "IMAGE", "LINK"

LONGEST = 4_096  # characters of an address or a tag that are held; one that goes on is judged by what is there
_MOST_SPENT = 8  # characters of tags looked through, for each of the text
_DEEPEST = 100  # open brackets; in more, everything is taken for a picture

# Where something may begin. `\` hides the bracket after it.
_MARK = re.compile(r"\\[\\\[\]]?|!?\[|\]|<(?=[A-Za-z])|<\Z|(?:https?|wss?|ftps?)://|www\.|url\(|\n", re.IGNORECASE)
_WORDS = ("https://", "http://", "wss://", "ws://", "ftps://", "ftp://", "www.", "url(")
_STARTS = frozenset(word[:size] for word in _WORDS for size in range(1, len(word))) | {"\\", "!", "<"}
_MOST_PENDING = max(map(len, _WORDS))

_BARE_END = re.compile(r"[\s<>\"'`\]\[{}|^]|\)(?=[\s.,;:!?)]|\Z)|\Z")
_TRAILING = ".,;:!?*_~'"
_BLANK = re.compile(r"[ \t]*\n?[ \t]*")
_AFTER_LABEL = re.compile(r":[ \t]*\n?[ \t]*")
_LINE_HEAD = re.compile(r"(?:[\s>*+\-]|\d+[.)])*\Z")
_HEAD_KEPT = 40  # characters of a line's beginning

_TAG_MARK = re.compile(r">|[= \t\n][\"']")  # its end, or where a quoted value begins
_DESTINATION_MARK = re.compile(r"\\.|[\s()]", re.DOTALL)
_ATTRIBUTE = re.compile(r"([A-Za-z_:][\w:.\-]*)\s*=\s*(\"[^\"]*\"?|'[^']*'?|[^\s>]+)")
_CSS_URL = re.compile(r"url\(\s*[\"']?([^\"')]*)|@import\s+[\"']([^\"']*)", re.IGNORECASE)
_FETCHED = frozenset(
    {"src", "srcset", "poster", "background", "data", "lowsrc", "dynsrc", "imagesrcset", "icon", "manifest", "classid"}
)
_FOLLOWED = frozenset({"href", "xlink:href", "action", "formaction", "cite", "ping", "longdesc", "content", "codebase"})
# Only these are held until they end: a `<` in other text must not hold it up.
_TAGS = frozenset(
    (
        *("a", "area", "audio", "base", "blockquote", "body", "button", "del", "embed", "feimage", "form", "frame"),
        *("iframe", "image", "img", "input", "ins", "link", "meta", "object", "portal", "q", "script", "source"),
        *("svg", "table", "td", "th", "tr", "track", "use", "video"),
    )
)
_TAG_NAME = re.compile(r"<([A-Za-z][\w:.\-]*)")
_LONGEST_NAME = max(map(len, _TAGS))
_FETCHING_TAGS = frozenset({"link", "image", "base", "use", "feimage", "meta"})  # their `href` is fetched


class LinkPass(Reading):
    """`images`, `links`: hosts that pictures and links may be on; None: not looked at. A link covers pictures too."""

    def __init__(self, images: Hosts | None, links: Hosts | None, replacement: str | None, sink: Sink) -> None:
        super().__init__()
        self._images = images
        self._links = links
        self._replacement = replacement
        self._sink = sink
        self._open: list[tuple[bool, bool]] = []  # brackets: is it a picture's, does it open its line?
        self._line = ""  # how the line began
        self._last = ""  # the character that was read last
        self._passed = 0  # characters of the text that are done with
        self._spent = 0  # characters of tags that were looked through

    def advance(self, text: str, *, final: bool) -> tuple[str, int]:
        out, done = self._advance(text, final=final)
        self._passed += done
        return out, done

    def _advance(self, text: str, *, final: bool) -> tuple[str, int]:
        out: list[str] = []
        position = 0  # what is before it has been put out
        at = 0  # what is before it has been read
        while (mark := _MARK.search(text, at)) is not None:
            self._note(text[at : mark.start()])
            at = mark.start()
            found = self._read(text, mark, final=final)
            if found is None:
                return "".join((*out, text[position:at])), at
            end, begin, replacement = found
            self._note(text[at:end])
            at = end
            if replacement is not None:
                out += (text[position:begin], replacement)
                position = at
        end = len(text) if final else len(text) - _pending(text, at)
        self._note(text[at:end])
        return "".join((*out, text[position:end])), end

    def _note(self, text: str) -> None:
        """Remember where in its line what comes next will stand."""
        if not text:
            return
        self._last = text[-1]
        _, newline, line = text.rpartition("\n")
        before = "" if newline else self._line
        self._line = (before + line[:_HEAD_KEPT])[:_HEAD_KEPT]

    def _read(self, text: str, mark: re.Match[str], *, final: bool) -> tuple[int, int, str | None] | None:
        """Read what a mark begins: how far, where what is replaced begins, and by what (None: it stays).

        None if that needs more text.
        """
        what = mark.group().lower()
        at = mark.end()
        if what == "\n":
            if not self._line.strip():  # a blank line ends every bracket
                self._open = []
        elif what[0] == "\\" or (what == "<" and at == len(text)):
            if len(what) == 1 and at == len(text) and not final:
                return None
        elif what[-1] == "[":
            if len(self._open) < _DEEPEST:
                self._open.append((what == "![", _LINE_HEAD.match(self._line) is not None))
        elif what == "]":
            return self._closing(text, at, final=final)
        elif what == "<":
            return self._tag(text, mark.start(), final=final)
        elif what == "url(":
            return self._css(text, mark.start(), at, final=final)
        elif self._links is not None and not (what == "www." and (self._last.isalnum() or self._last in ("_", "."))):
            return self._bare(text, mark.start(), self._links, final=final)
        return at, at, None

    def _closing(self, text: str, at: int, *, final: bool) -> tuple[int, int, str | None] | None:
        """A `]`: what it closes, and the address that may follow."""
        if at == len(text) and not final:
            return None
        following = text[at : at + 1]
        deep = len(self._open) >= _DEEPEST
        picture, label = self._open[-1] if self._open and not deep else (deep, deep)
        begin = at
        if following == "(":
            blank = _BLANK.match(text, at + 1)
        elif following == ":" and label:
            blank, picture = _AFTER_LABEL.match(text, at), True
        else:
            blank = None
        if blank is None:
            self._open = self._open[:-1]
            return at, at, None
        end = _destination_end(text, blank.end(), final=final)
        if end is None:
            return None
        if following == "(" and end == len(text) and not final:
            return None
        self._open = self._open[:-1]
        address = text[blank.end() : end]
        if self._passes(address.strip("<>"), fetched=picture):
            return at, at, None  # what is in the address is read again: nothing is skipped
        if following == "(" and text.startswith(")", end):
            end += 1
        kind = IMAGE if picture else LINK
        replacement = self._sink.span(kind, text[begin:end], f"{'' if following == '(' else ' '}{self._stand_in(kind)}")
        return end, begin, replacement

    def _tag(self, text: str, begin: int, *, final: bool) -> tuple[int, int, str | None] | None:
        name = _TAG_NAME.match(text, begin)
        if name is None or name[1].lower() not in _TAGS:
            open_name = name is not None and name.end() == len(text) and len(name[1]) <= _LONGEST_NAME
            return None if open_name and not final else (begin + 1, begin, None)
        end = tag_end(text, begin)
        if end is None:
            if not final and len(text) - begin < LONGEST:
                return None
            end = min(len(text), begin + LONGEST)
        tag = text[begin:end]
        # Tags do not lie in each other, but for those that are made to keep us busy.
        self._spent += len(tag) if "=" in tag else 0
        busy = self._spent > _MOST_SPENT * (self._passed + begin + LONGEST)
        kind = IMAGE if busy else self._of_tag(tag)
        if kind is None:
            return begin + 1, begin, None  # what stands in it is read again, as text
        return end, begin, self._sink.span(kind, tag, self._stand_in(kind))

    def _of_tag(self, tag: str) -> str | None:
        """What an HTML tag asks of a host that is not allowed."""
        if "=" not in tag:
            return None
        tag_name = tag[1:].split(maxsplit=1)[0].split("/")[0].rstrip(">").lower()
        worst: str | None = None
        for match in _ATTRIBUTE.finditer(tag):
            attribute, value = match[1].lower(), match[2].strip("\"'")
            fetched = attribute in _FETCHED or (attribute == "href" and tag_name in _FETCHING_TAGS)
            if fetched or attribute in _FOLLOWED:
                # Of a list of pictures (`srcset`) each; of a `content` the address in it.
                parts = re.split(r",\s+|\s+", value) if "srcset" in attribute else [value]
                if attribute == "content":
                    parts = re.findall(r"url\s*=\s*(\S+)", value, re.IGNORECASE)
                    fetched = True
                if not all(self._passes(part, fetched=fetched) for part in parts):
                    worst = IMAGE if fetched or worst == IMAGE else LINK
            elif attribute == "style":
                addresses = [match[1] or match[2] for match in _CSS_URL.finditer(html.unescape(value))]
                if not all(self._passes(address, fetched=True) for address in addresses):
                    worst = IMAGE
        return worst

    def _css(self, text: str, begin: int, at: int, *, final: bool) -> tuple[int, int, str | None] | None:
        end = text.find(")", at, begin + LONGEST)
        if end < 0:
            if not final and len(text) - begin < LONGEST:
                return None
            end = min(len(text), begin + LONGEST)
        if self._passes(text[at:end].strip("\"' \t\n"), fetched=True):
            return at, at, None
        end = min(end + 1, len(text))
        return end, begin, self._sink.span(IMAGE, text[begin:end], self._stand_in(IMAGE))

    def _bare(self, text: str, begin: int, hosts: Hosts, *, final: bool) -> tuple[int, int, str | None] | None:
        match = _BARE_END.search(text, begin, begin + LONGEST)
        end = match.start() if match else min(len(text), begin + LONGEST)
        if end >= len(text) - 1 and not final and len(text) - begin < LONGEST:  # a `)` at the end may go on
            return None
        address = text[begin:end].rstrip(_TRAILING)
        end = begin + len(address)
        if hosts.allow(address):
            return end, end, None
        return end, begin, self._sink.span(LINK, address, self._stand_in(LINK))

    def _passes(self, address: str, *, fetched: bool) -> bool:
        hosts = [self._links, self._images if fetched else None]
        return all(one is None or one.allow(address) for one in hosts)

    def _stand_in(self, kind: str) -> str:
        return f"[{kind}]" if self._replacement is None else self._replacement


def tag_end(text: str, begin: int) -> int | None:
    """Where the tag that begins there ends, quotes respected; None if it does not, as far as the text goes."""
    most = min(len(text), begin + LONGEST)
    if text.find(">", begin, most) < 0:  # the quick answer, for texts made of tags that never end
        return None
    at = begin + 1
    while (mark := _TAG_MARK.search(text, at, most)) is not None:
        if mark.group() == ">":
            return mark.end()
        at = text.find(mark.group()[-1], mark.end(), most) + 1
        if at == 0:
            return None
    return None


def _destination_end(text: str, begin: int, *, final: bool) -> int | None:
    """Where a Markdown address ends; None if more text could tell."""
    most = min(len(text), begin + LONGEST)
    if text.startswith("<", begin):
        end = text.find(">", begin, most)
        if end >= 0:
            return end + 1
        return most if final or most < len(text) else None
    depth = 0
    for mark in _DESTINATION_MARK.finditer(text, begin, most):
        char = mark.group()
        if char.isspace() or (char == ")" and depth == 0):
            return mark.start()
        depth += (char == "(") - (char == ")")
    return most if final or most < len(text) or most - begin >= LONGEST else None


def _pending(text: str, begin: int) -> int:
    """How many characters at the end could be the beginning of something that is looked for."""
    tail = text[max(begin, len(text) - _MOST_PENDING) :].lower()
    return next((len(tail) - at for at in range(len(tail)) if tail[at:] in _STARTS), 0)
