"""Addresses of hosts that are not allowed: found however they are written, wherever a stream is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.base import Policy
from guards.content.addresses import Hosts
from guards.content.links import LinkPass
from guards.content.sink import Sink
from guards.types import ALL_SCOPES, Action, Stage

POLICY = Policy("links", frozenset(Stage), ALL_SCOPES, Action.REDACT)
OK = Hosts(["ok.example", "*.cdn.example"])


def through(
    pieces: Sequence[str], *, images: Hosts | None = OK, links: Hosts | None = None
) -> tuple[str, dict[str, int]]:
    """What leaves of a text that comes in these pieces, and what was found."""
    sink = Sink(POLICY, Stage.OUTPUT)
    one = LinkPass(images, links, None, sink)

    async def run() -> str:
        out = [await one.feed(piece) for piece in pieces]
        return "".join(out) + await one.finish()

    return asyncio.run(run()), dict(sink.counts)


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.example/p.png?d=secret)",
        "![x](https://evil.example/secret 'a title')",
        "![x]( \n https://evil.example/ )",
        "![x](<https://evil.example/a b>)",
        "![a [b] c](https://evil.example/)",
        "![" + "a" * 3_000 + "](https://evil.example/)",
        "[![x](https://evil.example/)](https://ok.example/)",
        "![x](//evil.example/p)",
        "![x](\\\\evil.example/p)",
        "![x](https:evil.example/p)",
        "![x](HTTPS://EVIL.EXAMPLE/p)",
        "![x](https&#58;//evil.example/p)",
        "![x](&#104;ttps://evil.example/p)",
        "![x](https:\\/\\/evil.example/p)",
        "![x](https://ok.example@evil.example/)",
        "![x](https://ok.example\\@evil.example/)",
        "![x](https://ok.example.evil.example/)",
        "![x](https://evil.example/?https://ok.example/)",
        "![x](https://evilok.example/)",
        "![x](https://ok.example:80@evil.example/)",
        "![x](https://cdn.example/)",
        "![x](https\\://evil.example/p)",
        "![x](https://ok.example\\evil.example/)",
        "![x](https://evil.example%2F.cdn.example/)",
        "<td style='background:url&#40;https://evil.example/p&#41;'>x</td>",
        "![x](javascript:alert(1))",
        "![x](data:text/html;base64,AAAA)",
        "![x](file:///etc/passwd)",
        "![x][r]\n\n[r]: https://evil.example/p 'title'",
        "![x][r]\n\n> - [r]: <https://evil.example/p>",
        "![x][r]\n\n[r]:\n  https://evil.example/p",
        "<img src=https://evil.example/p>",
        "<IMG alt='>' SRC = 'https://evil.example/p'>",
        "<img src='ht\ntps://evil.example/p'>",
        "<img src=//evil.example/p",
        "<img srcset='https://ok.example/1 1x, https://evil.example/2 2x'>",
        "<b style=\"background:url('https://evil.example/p')\">hi</b>",
        "<style>@import url(https://evil.example/p.css)</style>",
        "<svg><image xlink:href='x' href='https://evil.example/p'/></svg>",
        "<video poster=https://evil.example/p></video>",
        "<meta http-equiv=refresh content='0; url=https://evil.example/'>",
        "<iframe src='https://evil.example/'></iframe>",
        "<link rel=stylesheet href=https://evil.example/>",
        "![x](https://evil.example/" + "a" * 5_000 + ")",
    ],
)
def test_a_picture_elsewhere_is_found_however_it_is_written(text: str) -> None:
    whole, found = through([text])
    assert found.get("IMAGE"), whole
    assert through(text) == (whole, found)  # a character at a time
    again, _ = through([whole])
    assert again == whole  # nothing is left to be found


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://ok.example/p.png) and ![y](https://a.b.cdn.example/q?r=1#s)",
        "![x](/local.png), ![y](picture.png 'title'), ![z](#part)",
        "![dot](data:image/png;base64,AAAA)",
        "<img src='https://ok.example:8443/p.png' alt='a > b'>",
        "[a link](https://elsewhere.example/) and https://elsewhere.example/x",
        "if a <b then c> d; x[i](j); f(a)[0]; [INFO]: ready",
        "a \\![x] b, 5 < 6, <3, the list [1, 2] (see below)",
        "<p class=x>hello</p><br/><custom-thing src=x>",
        "![no address]() ![broken](",
        "![never\n \nclosed](https://elsewhere.example/)",
    ],
)
def test_what_is_allowed_or_no_picture_stays_as_it_is(text: str) -> None:
    assert through([text]) == (text, {})
    assert through(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see https://evil.example/x?d=1, or www.evil.example.", "see [LINK], or [LINK]."),
        ("<https://evil.example/>", "<[LINK]>"),
        ("[x](https://evil.example/)", "[x][LINK]"),
        ("[x](mailto:a@b.example) [y](/here) https://ok.example/z", None),
        ("<a class=x href='https://evil.example/'>y</a>", "[LINK]y</a>"),
        ("![x](https://evil.example/)", "![x][IMAGE]"),
        ("version 1.www.2, swww.x.example", None),
    ],
)
def test_links_are_found_where_they_are_looked_for(text: str, left: str | None) -> None:
    left = text if left is None else left
    assert through([text], images=None, links=OK)[0] == left
    assert through(text, images=None, links=OK)[0] == left


def test_text_before_and_after_an_address_does_not_wait_for_it() -> None:
    one = LinkPass(OK, None, None, Sink(POLICY, Stage.OUTPUT))

    async def run() -> list[str]:
        pieces = ["Here you are: ", "![a", "](https://ok.exa", "mple/p.png) and more", " text"]
        return [await one.feed(piece) for piece in pieces]

    out = asyncio.run(run())
    assert out[0] == "Here you are: "
    assert out[2] == ""  # held until it is complete
    assert "".join(out) == "Here you are: ![a](https://ok.example/p.png) and more text"


_PIECES = st.sampled_from(
    [
        *("![", "[", "]", "](", "(", ")", "<", ">", "\\", "!", "\n", "\n\n", " ", "'", '"', ":", "]:", "[r]: ", "> "),
        *("https://evil.example/p", "https://ok.example/p", "//evil.example", "www.evil.example", "http", "url(", "x"),
        *(
            "<img src=",
            "<img ",
            "<a href='",
            "<b ",
            "src=",
            "srcset='",
            "style='",
            "alt",
            "&#58;",
            "1.",
            "- ",
            ".",
            ",",
        ),
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(_PIECES, max_size=14).map("".join), st.data())
def test_no_cut_changes_what_leaves_or_what_is_found(text: str, data: st.DataObject) -> None:
    whole = through([text], links=OK)
    assert through(text, links=OK) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert through(pieces, links=OK) == whole
    if not whole[1]:
        assert whole[0] == text
