"""HTML that acts, SQL that destroys, and program text: what is found, what is not, and that cuts do not matter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.base import Policy
from guards.content import markup
from guards.content.links import LONGEST
from guards.content.markup import MarkupPass
from guards.content.passes import Reading
from guards.content.programs import LANGUAGES, languages_in
from guards.content.sink import Sink
from guards.content.statements import StatementPass
from guards.types import ALL_SCOPES, Action, Stage

POLICY = Policy("content", frozenset(Stage), ALL_SCOPES, Action.REDACT)
Make = Callable[[Sink], Reading]


def html(sink: Sink) -> Reading:
    return MarkupPass(None, sink)


def sql(sink: Sink) -> Reading:
    return StatementPass(None, sink)


def through(make: Make, pieces: Sequence[str], action: Action = Action.REDACT) -> tuple[str, dict[str, int]]:
    policy = Policy("content", frozenset(Stage), ALL_SCOPES, action)
    sink = Sink(policy, Stage.OUTPUT)
    one = make(sink)

    async def run() -> str:
        out = [await one.feed(piece) for piece in pieces]
        return "".join(out) + await one.finish()

    return asyncio.run(run()), dict(sink.counts)


def everywhere(make: Make, text: str) -> tuple[str, dict[str, int]]:
    """The same whole and a character at a time."""
    whole = through(make, [text])
    assert through(make, text) == whole
    return whole


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a <script>alert('<b>')</script> b", "a [HTML] b"),
        ("a <SCRIPT src=x >x</ScRiPt > b", "a [HTML] b"),
        ("a <script>never closed", "a [HTML]"),
        ("<script/> b <i>c</i>", "[HTML] b <i>c</i>"),
        ("<img src=x onerror=alert(1)>", "[HTML]"),
        ("<img/src=x/onerror=alert(1)>", "[HTML]"),
        ("<b class='>' onmouseover='x()'>y</b>", "[HTML]y</b>"),
        ("<svg onload=alert(1)//", "[HTML]"),
        ("<iframe srcdoc='x'></iframe>", "[HTML]</iframe>"),
        ("<a href='java\nscript:alert(1)'>x</a>", "[HTML]x</a>"),
        ("<a href=&#106;avascript:alert(1)>x</a>", "[HTML]x</a>"),
        ("<object data='data:text/html;base64,xx'></object>", "[HTML]</object>"),
        ("<meta http-equiv=refresh content='0'>", "[HTML]"),
        ("<link rel=stylesheet href=/x.css>", "[HTML]"),
    ],
)
def test_html_that_acts_is_taken_out(text: str, left: str) -> None:
    assert everywhere(html, text)[0] == left


@pytest.mark.parametrize(
    "text",
    [
        "<p class=x>Hello <b>you</b></p><br/>",
        "if (a<b && c>d) { online = 1 } <3 <- x",
        "List<String> names; vector<int> v; a <b",
        "<a href='https://x.example/on=1'>fine</a>",
        "talk about javascript: it is a language; onerror = 3",
        "<b javascript:>no attribute</b>",
    ],
)
def test_html_that_only_shows_and_other_text_stay(text: str) -> None:
    assert everywhere(html, text) == (text, {})


def test_a_handler_at_the_end_of_what_is_read_of_a_tag_is_found() -> None:
    text = "<b a=1 <i "
    text += "x" * (LONGEST - len(text) - 6) + " onclick=1 " + "y" * LONGEST
    assert through(html, [text])[1] == {"HTML": 1}


@pytest.mark.parametrize("gap", [10, 600, LONGEST - 100])
def test_however_far_code_is_spread_it_is_found(gap: int) -> None:
    assert through(html, ["<a href='java" + "\n" * gap + "script:x()'>y</a>"])[1] == {"HTML": 1}


def test_what_was_read_before_is_not_taken_for_what_comes_now() -> None:
    endless = "<a =" + "x" * LONGEST
    assert through(html, [endless, "<b onload=1>"])[1] == {"HTML": 1}
    many = "<a =" * LONGEST
    pieces = [many[start : start + 250] for start in range(0, len(many), 250)]
    assert (
        through(html, [*pieces, "<b onload=1>"])
        == through(html, [many + "<b onload=1>"])
        != (many + "<b onload=1>", {})
    )


def test_an_escape_that_is_cut_where_reading_ends_is_not_read_as_another_one() -> None:
    before, after = "<a x='", "javascript&#58"
    text = before + "y" * (LONGEST - len(before) - len(after)) + after + "9;z"  # U+024D is no colon
    assert through(html, [text[:LONGEST], text[LONGEST:]])[1] == {}


_TAG_PIECES = st.sampled_from(
    [
        *(
            "<",
            "<a ",
            "<p a=b ",
            ">",
            " onload=1",
            "onclick=",
            "</script>",
            "<script>",
            "javascript:",
            "&#106;",
            "&#58",
        ),
        *("&colon;", "java\nscript:", '"', "'", " ", "word ", "=", "srcdoc =", "<link rel=stylesheet", "a" * 50),
        *("data:text/html", "&#10", "x=" * 20, "<div " * 300, "=1 " * 400, "<a =" * 500, "x " * 700),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_TAG_PIECES, max_size=40).map("".join), st.data())
def test_tags_within_tags_are_judged_as_if_each_were_read_whole(text: str, data: st.DataObject) -> None:
    def read_whole(code: markup._Code, begin: int, end: int) -> bool:
        return "=" in code.text[begin:end] and markup._holds_code(code.text[begin:end])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markup._Code, "lies_in", read_whole)
        slow = through(html, [text])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    assert through(html, [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == slow


@pytest.mark.parametrize("unit", ["<a =", '<a b="', "<p onx=1 ", "<p a=b c=d ", "<p a=&#106;", "<", "<a = >"])
@pytest.mark.parametrize("tail", ["", "x " * 1_900, "x " * 1_900 + " onload=1"])
def test_tags_that_never_end_are_read_a_few_times_and_not_once_for_each(
    unit: str, tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    real = markup._holds_code

    def counted(part: str) -> bool:
        nonlocal read
        read += len(part)
        return real(part)

    monkeypatch.setattr(markup, "_holds_code", counted)
    text = (unit * LONGEST)[: 3 * LONGEST] + tail
    through(html, [text[start : start + 250] for start in range(0, len(text), 250)])
    assert read <= 20 * len(text)


def test_a_flagged_script_stays_whole() -> None:
    text = "a <script>alert(1)</script> b"
    assert through(html, text, Action.FLAG) == (text, {"HTML": 1})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Run DROP TABLE users; now", "Run [SQL] now"),
        ("drop/* x */table -- y\n if exists users", "[SQL]"),
        ("DELETE FROM orders", "[SQL]"),
        ("delete from orders;", "[SQL]"),
        ("delete from orders where 1=1;", "[SQL]"),
        ("UPDATE users SET admin = true;", "[SQL]"),
        ("update users set a = 1,\n b = 2;", "[SQL]"),
        ("TRUNCATE TABLE logs", "[SQL]"),
        ("alter table t drop column c;", "[SQL]"),
        ("GRANT ALL PRIVILEGES ON *.* TO 'x'@'%';", "[SQL]"),
        ("id=1 UNION ALL SELECT password FROM users;", "id=1 [SQL]"),
        ("' OR '1'='1", "' [SQL]"),
        ("x' or 1=1;", "x' [SQL]"),
        ("EXEC xp_cmdshell 'dir';", "[SQL]"),
        ("```sql\nDROP DATABASE prod\n```", "```sql\n[SQL]\n```"),
    ],
)
def test_sql_that_destroys_is_taken_out(text: str, left: str) -> None:
    assert everywhere(sql, text)[0].strip() == left


@pytest.mark.parametrize(
    "text",
    [
        "They cleared the backdrop table users; it was old.",
        "SELECT name FROM users WHERE id = 3;",
        "DELETE FROM orders WHERE id = 3;",
        "update users set name = 'x' where id = 3;",
        "INSERT INTO t VALUES (1, 2);",
        "Please drop the table reservation, or update your set of tools.",
        "We grant you access; delete from the list what you do not need.",
        "The union selected a leader, or so they say. Truncate text at ten words.",
        "CREATE TABLE t (id int); ALTER TABLE t ADD COLUMN c int;",
    ],
)
def test_other_sql_and_prose_stay(text: str) -> None:
    assert everywhere(sql, text) == (text, {})


_PIECES = st.sampled_from(
    [
        *("<script>", "</script>", "<b ", "<img src=x ", "onerror=", "'", '"', ">", "<", "</", "x", " ", "\n", "\n\n"),
        *(
            "drop",
            "DROP ",
            "table ",
            "users",
            ";",
            "delete from ",
            "where ",
            "1=1",
            "update t set a=1",
            " or ",
            "'1'='1",
        ),
        *("/*", "*/", "--", "union", " select", "```", "grant all", " to x", "exec xp_", "data:text/html", "=", "a"),
    ]
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([html, sql]), st.lists(_PIECES, max_size=14).map("".join), st.data())
def test_no_cut_changes_what_leaves_or_what_is_found(make: Make, text: str, data: st.DataObject) -> None:
    whole = everywhere(make, text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    assert through(make, [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == whole
    if not whole[1]:
        assert whole[0] == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "def area(r):\n    return 3.14 * r * r\n"),
        ("python", "import os\nx = os.getcwd()\n"),
        ("python", "```python\nx\n```"),
        ("sql", "select a, b from t where c = 1"),
        ("sql", "INSERT INTO t (a) VALUES (1)"),
        ("shell", "#!/bin/bash\necho hi"),
        ("shell", "sudo apt install curl"),
        ("shell", "curl https://x.example/i.sh | sh"),
        ("html", "<div class='a'>x</div>"),
        ("javascript", "const f = (a) => { return a }"),
        ("javascript", "console.log('x')"),
        ("javascript", "~~~ js\nx\n~~~"),
    ],
)
def test_program_text_is_told_by_its_language(language: str, text: str) -> None:
    assert languages_in(text, LANGUAGES) == [language]


@pytest.mark.parametrize(
    "text",
    [
        "Import duties rose. From Paris import wine and cheese, and class it by region.",
        "Select the best candidate from the list, and update the set of rules.",
        "I would like to return the shoes: they are too small.",
        "The function of the heart (in short) is to pump. 5 < 6 and 7 > 3.",
        "For each guest in the hall, print a card. If in doubt, ask. Else: wait.",
        "- item one\n- item two\n\nx = y is an equation.",
        "git is a tool; docker runs containers; sudo gives rights.",
    ],
)
def test_prose_is_no_program(text: str) -> None:
    assert languages_in(text, LANGUAGES) == []
