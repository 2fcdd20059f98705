"""Streams in every form the event-stream format allows, and a few that providers make of it.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from typing import Any

from conformance.case import case, expect, expect_equal
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import says, streams
from conformance.shapes import (
    DONE,
    USAGE,
    chunk,
    events,
    more_arguments,
    text_chunks,
    text_stream,
    tool_call,
    usage_chunk,
    wants_usage,
)

KOREAN = "안녕하세요 🙂 žlutý kůň 👩‍👩‍👧"
PIECES = ["The ", "quick ", "fox."]
TEXT = "".join(PIECES)


async def byte_by_byte(exchange: Exchange) -> None:
    await exchange.bytes_one_by_one(text_stream([KOREAN[:3], KOREAN[3:]]))


@case(
    "letters-cut-apart",
    "letters of several bytes survive a stream that comes byte by byte",
    script=byte_by_byte,
    seen=["LiteLLM #18842", "AISIX #111"],
)
async def letters_cut_apart(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), KOREAN, "the text")


@case("crlf", "lines may end in CRLF", script=streams(text_stream(PIECES).replace(b"\n", b"\r\n")))
async def crlf(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


@case("no-space", "'data:' needs no space after it", script=streams(text_stream(PIECES).replace(b"data: ", b"data:")))
async def no_space(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


PROCESSING = b": OPENROUTER PROCESSING\n\n"
COMMENTED = PROCESSING + text_stream(PIECES).replace(b"data: {", PROCESSING + b"data: {")
HINTED = text_stream(PIECES).replace(b"data: {", b"id: 7\nretry: 10\ndata: {")


@case("comments", "comments are read over", script=streams(COMMENTED))
async def comments(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


BOTH = HINTED.replace(b"id: 7", PROCESSING + b"id: 7")


@case("comments-after-ids", "a comment alone after an event with an id is no event", script=streams(BOTH))
async def comments_after_ids(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


@case("ids-and-hints", "ids and retry hints are read over", script=streams(HINTED))
async def ids_and_hints(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


@case(
    "event-names",
    "events may have names",
    script=streams(text_stream(PIECES).replace(b"data:", b"event: message\ndata:")),
)
async def event_names(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


def _on_lines(body: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + line.encode() + b"\n" for line in json.dumps(body, indent=1).splitlines()) + b"\n"


@case(
    "several-data-lines",
    "an event's data may be spread over several lines",
    script=streams(b"".join(map(_on_lines, text_chunks(PIECES))) + DONE),
)
async def several_data_lines(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


HUGE = "x" * 2**20


@case(
    "huge-event",
    "an event of 1 MiB comes through whole",
    script=streams(text_stream(["start ", HUGE, " end"])),
    limit=20,
)
async def huge_event(probe: Probe) -> None:
    expect((await probe.stream()).completed().text() == f"start {HUGE} end", "the text was changed")


@case("two-done-marks", "a second [DONE] of the upstream is not passed on", script=streams(text_stream(PIECES) + DONE))
async def two_done_marks(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


@case(
    "no-done-mark",
    "a stream whose choices all ended needs no [DONE] from the upstream, and gets one",
    script=streams(text_stream(PIECES).removesuffix(DONE)),
)
async def no_done_mark(probe: Probe) -> None:
    expect_equal((await probe.stream()).completed().text(), TEXT, "the text")


async def counts(exchange: Exchange) -> None:
    await exchange.stream(text_stream(PIECES, usage=wants_usage(exchange.body)))


async def _usages(probe: Probe, asked: bool | None) -> list[dict[str, Any]]:
    options: dict[str, Any] = {} if asked is None else {"stream_options": {"include_usage": asked}}
    return (await probe.stream(**options)).completed().usages


@case("usage-not-asked", "no usage in a stream unless it was asked for", script=counts, seen=["LiteLLM #28735"])
async def usage_not_asked(probe: Probe) -> None:
    expect_equal(await _usages(probe, None), [], "usage that nobody asked for")
    expect_equal(await _usages(probe, False), [], "usage that was declined")


@case(
    "usage-asked",
    "usage that was asked for comes once, in a chunk with empty choices, with the upstream's numbers",
    script=counts,
    seen=["LiteLLM #28735"],
)
async def usage_asked(probe: Probe) -> None:
    found = await _usages(probe, True)
    expect_equal(len(found), 1, "the number of chunks with usage")
    expect_equal(found[0].get("choices"), [], "choices of the usage chunk")
    expect_equal({name: found[0]["usage"].get(name) for name in USAGE}, USAGE, "the usage")


CONTINUOUS = [
    {**body, "usage": {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}}
    for count, body in enumerate(text_chunks(PIECES))
]


@case(
    "usage-in-every-chunk",
    "usage that an upstream repeats in every chunk is told once, the last of it",
    script=streams(events([*CONTINUOUS, usage_chunk()])),
)
async def usage_in_every_chunk(probe: Probe) -> None:
    found = await _usages(probe, True)
    expect_equal([body["usage"]["completion_tokens"] for body in found], [4], "the completion tokens told")


@case(
    "end-with-last-word",
    "a last word in the chunk that ends the reply is not lost",
    script=streams(events([chunk({"role": "assistant", "content": "One "}), chunk({"content": "two."}, "stop")])),
)
async def end_with_last_word(probe: Probe) -> None:
    answer = (await probe.stream()).completed()
    expect_equal((answer.text(), answer.finish_reasons()), ("One two.", ["stop"]), "text and end")


PARALLEL = [
    chunk({"role": "assistant", "content": None}),
    chunk({"tool_calls": [tool_call("call_a", "first", "", 0)]}),
    chunk({"tool_calls": [tool_call("call_b", "second", "", 1)]}),
    chunk({"tool_calls": [more_arguments(1, '{"b":')]}),
    chunk({"tool_calls": [more_arguments(0, '{"a":'), more_arguments(1, " 2")]}),
    chunk({"tool_calls": [more_arguments(0, " 1}")]}),
    chunk({"tool_calls": [more_arguments(1, "}")]}),
    chunk({}, "tool_calls"),
]


@case(
    "parallel-tool-calls",
    "tool calls whose pieces come interleaved are kept apart by their index",
    script=streams(events(PARALLEL)),
)
async def parallel_tool_calls(probe: Probe) -> None:
    calls: dict[int, dict[str, str]] = {}
    answer = (await probe.stream()).completed()
    for choice in answer.choices:
        for piece in (choice["delta"] or {}).get("tool_calls") or ():
            call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            function = piece.get("function") or {}
            call["id"] += piece.get("id") or ""
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""
    wanted = {
        0: {"id": "call_a", "name": "first", "arguments": '{"a": 1}'},
        1: {"id": "call_b", "name": "second", "arguments": '{"b": 2}'},
    }
    expect_equal(calls, wanted, "the tool calls")
    expect_equal(answer.finish_reasons(), ["tool_calls"], "the finish reasons")


@case(
    "choices-interleaved",
    "the choices of an n=2 stream are kept apart, each with its own end",
    script=streams(
        events(
            [
                chunk({"role": "assistant", "content": "One"}),
                chunk({"role": "assistant", "content": "Two"}, index=1),
                chunk({"content": " two."}, index=1),
                chunk({"content": " one."}),
                chunk({}, "stop", index=1),
                chunk({"content": " Still one."}),
                chunk({}, "length"),
            ]
        )
    ),
)
async def choices_interleaved(probe: Probe) -> None:
    answer = (await probe.stream(n=2)).completed()
    expect_equal((answer.text(0), answer.text(1)), ("One one. Still one.", "Two two."), "the texts")
    expect_equal((answer.finish_reasons(0), answer.finish_reasons(1)), (["length"], ["stop"]), "the ends")


@case(
    "words-come-at-once",
    "a word is passed on while the next is not there yet",
    script=says("Now ", "later.", waits=True),
)
async def words_at_once(probe: Probe) -> None:
    expect_equal((await probe.stream_told_to_go_on("Now")).completed().text(), "Now later.", "the text")


@case("stream-content-type", "a stream is a text/event-stream, and nothing in between may keep it", script=counts)
async def stream_content_type(probe: Probe) -> None:
    answer = (await probe.stream()).completed()
    expect(answer.headers["content-type"].startswith("text/event-stream"), f"type {answer.headers['content-type']}")
    expect("content-length" not in answer.headers, "a stream with a content-length")


@case("one-id", "all chunks of a stream carry one id, and the chunk object's name", script=counts)
async def one_id(probe: Probe) -> None:
    chunks = (await probe.stream()).completed().chunks
    expect_equal(len({body.get("id") for body in chunks}), 1, "the number of ids")
    expect_equal({body.get("object") for body in chunks}, {"chat.completion.chunk"}, "the objects")
