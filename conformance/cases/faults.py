"""An upstream that fails before its answer begins: the caller gets an honest status, and nothing that is not theirs."""

from __future__ import annotations

from conformance.answers import Answer, StreamAnswer
from conformance.case import case, expect, expect_equal
from conformance.exchange import Exchange
from conformance.probe import Probe
from conformance.scripts import replies, silent, streams
from conformance.shapes import completion, error, text_stream

FAILED = (500, 502, 503, 504)
TIMED_OUT = (408, 500, 502, 503, 504)  # 408 is what some gateways answer for an upstream that is late
SECRET = "sk-conformance-upstream-secret"  # noqa: S105 - the made-up key that gateways are given for the upstream


async def _both(probe: Probe, role: str = "plain") -> tuple[Answer, StreamAnswer]:
    return await probe.ask(role=role), await probe.stream(role=role)


async def _fails_both_ways(probe: Probe, *statuses: int, role: str = "plain") -> tuple[Answer, StreamAnswer]:
    """Both forms of a request fail with one of these statuses, in OpenAI's error shape."""
    whole, streamed = await _both(probe, role)
    whole.failed(*statuses)
    streamed.whole.failed(*statuses)
    return whole, streamed


@case("refused-connection", "an upstream that cannot be connected to is a 5xx", needs=["refused"])
async def refused_connection(probe: Probe) -> None:
    await _fails_both_ways(probe, *FAILED, role="refused")


@case(
    "silent-upstream",
    "an upstream that never answers is given up in time, with an error",
    script=silent,
    needs=["first-token-limit"],
    limit=16,
)
async def silent_upstream(probe: Probe) -> None:
    (await probe.stream()).whole.failed(*TIMED_OUT)


@case("status-500", "an upstream's 500 is a 5xx", script=replies(error("boom"), 500))
async def status_500(probe: Probe) -> None:
    await _fails_both_ways(probe, *FAILED)


@case(
    "status-500-html",
    "an upstream's HTML error page is a 5xx in JSON",
    script=replies(
        b"<html><body><h1>502 Bad Gateway</h1>nginx/1.25.3 at 10.0.0.17</body></html>",
        502,
        {"content-type": "text/html"},
    ),
)
async def status_500_html(probe: Probe) -> None:
    whole, streamed = await _fails_both_ways(probe, *FAILED)
    expect(b"10.0.0.17" not in whole.raw + streamed.raw, "the upstream's error page reached the caller")


@case(
    "error-shape",
    "an error has OpenAI's four fields: texts in message and type, texts or null in param and code",
    script=replies(error("boom"), 500),
)
async def error_shape(probe: Probe) -> None:
    for answer in (await probe.ask(), await probe.ask(model="no-such-model")):
        found = answer.failed(*range(400, 600))
        expect(isinstance(found.get("type"), str), f"the type is {found.get('type')!r}")
        for name in ("param", "code"):
            expect(name in found, f"there is no {name!r}")
            expect(found[name] is None or isinstance(found[name], str), f"{name!r} is {found[name]!r}")


BUSY = error("Rate limit reached", "rate_limit_error", "rate_limit_exceeded")


@case(
    "busy-with-retry-after",
    "an upstream's 429 stays one, and says when to try again",
    script=replies(BUSY, 429, {"retry-after": "7"}),
    seen=["LiteLLM #21553", "LiteLLM #27823"],
)
async def busy_with_retry_after(probe: Probe) -> None:
    for answer in await _fails_both_ways(probe, 429):
        expect_equal(answer.headers.get("retry-after"), "7", "retry-after")


@case(
    "busy-without-retry-after",
    "every 429 says when to try again, in whole seconds, whether or not the upstream did",
    script=replies(BUSY, 429),
    seen=["LiteLLM #21553", "LiteLLM #27823"],
)
async def busy_without_retry_after(probe: Probe) -> None:
    for answer in await _fails_both_ways(probe, 429):
        told = answer.headers.get("retry-after", "")
        expect(told.isdecimal() and int(told) > 0, f"retry-after is {told!r}")


@case(
    "overloaded",
    "an upstream's 503 is a 5xx or a 429; a 503 says when to try again",
    script=replies(error("Overloaded", "overloaded_error"), 503, {"retry-after": "7"}),
)
async def overloaded(probe: Probe) -> None:
    for answer in await _fails_both_ways(probe, 429, *FAILED):
        expect(answer.status != 503 or "retry-after" in answer.headers, "a 503 without retry-after")


@case(
    "upstream-says-400",
    "a request that the upstream finds invalid is 400, with its reason",
    script=replies(error("'temperature' must be at most 2", "invalid_request_error", "invalid_value"), 400),
)
async def upstream_says_400(probe: Probe) -> None:
    for answer in await _fails_both_ways(probe, 400):
        expect(b"at most 2" in answer.raw, f"the reason is lost: {answer.raw!r}")


@case(
    "context-too-long",
    "a prompt that is too long for the model is 400 with the code context_length_exceeded",
    script=replies(
        error(
            "This model's maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"
        ),
        400,
    ),
)
async def context_too_long(probe: Probe) -> None:
    found = (await probe.ask()).failed(400)
    expect_equal(found.get("code"), "context_length_exceeded", "the code")


@case(
    "upstream-key-refused",
    "an upstream that refuses the gateway's key is no 401 or 403 of the caller, and the key is not told",
    script=replies(error(f"Incorrect API key provided: {SECRET}.", "invalid_request_error", "invalid_api_key"), 401),
    seen=["LiteLLM #39964", "LiteLLM #32202"],
)
async def upstream_key_refused(probe: Probe) -> None:
    whole, streamed = await _both(probe)
    expect(SECRET.encode() not in whole.raw + streamed.raw, "the upstream's key is in what the caller got")
    whole.failed(*FAILED)
    streamed.whole.failed(*FAILED)


@case(
    "key-in-error-text",
    "an error text of the upstream that holds its key, or its URL with one, does not reach the caller with it",
    script=replies(error(f"upstream http://10.0.0.17/v1?key={SECRET} said: bad key {SECRET}"), 500),
    seen=["LiteLLM #39964", "LiteLLM #32202"],
)
async def key_in_error_text(probe: Probe) -> None:
    whole, streamed = await _both(probe)
    expect(SECRET.encode() not in whole.raw + streamed.raw, "the upstream's key is in what the caller got")


@case("not-json", "a 200 that is not JSON is a 5xx", script=replies(b'{"id": "chatcmpl-1", "choices": [{"ind'))
async def not_json(probe: Probe) -> None:
    (await probe.ask()).failed(*FAILED)


@case("not-a-completion", "a 200 whose JSON is no reply is a 5xx", script=replies({"detail": "it works!"}))
async def not_a_completion(probe: Probe) -> None:
    (await probe.ask()).failed(*FAILED)


@case("empty-body", "a 200 without a body is a 5xx", script=replies(b""))
async def empty_body(probe: Probe) -> None:
    await _fails_both_ways(probe, *FAILED)


@case(
    "error-with-200",
    "an error object with status 200 is no success",
    script=replies(error("The model crashed.")),
)
async def error_with_200(probe: Probe) -> None:
    await _fails_both_ways(probe, *FAILED)


@case(
    "html-with-200",
    "a login page with status 200 is a 5xx",
    script=replies(b"<html>Please sign in</html>", 200, {"content-type": "text/html"}),
)
async def html_with_200(probe: Probe) -> None:
    await _fails_both_ways(probe, *FAILED)


@case(
    "whole-for-stream",
    "a whole reply where a stream was asked for is made a stream, or is a 5xx",
    script=replies(completion("Hello.")),
)
async def whole_for_stream(probe: Probe) -> None:
    answer = await probe.stream()
    if answer.status == 200:
        expect_equal(answer.completed().text(), "Hello.", "the text")
    else:
        answer.whole.failed(*FAILED)


@case(
    "stream-for-whole",
    "a stream where a whole reply was asked for is made one, or is a 5xx",
    script=streams(text_stream(["Hello."])),
)
async def stream_for_whole(probe: Probe) -> None:
    answer = await probe.ask()
    if answer.status == 200:
        expect_equal(answer.text, "Hello.", "the text")
    else:
        answer.failed(*FAILED)


async def promises_more(exchange: Exchange) -> None:
    await exchange.reply(completion("Hello."), 200, {"content-length": "100000"})
    exchange.hang_up()


@case("half-a-reply", "a whole reply that breaks off is a 5xx", script=promises_more)
async def half_a_reply(probe: Probe) -> None:
    (await probe.ask()).failed(*FAILED)


async def closes(exchange: Exchange) -> None:
    exchange.cut()


@case("closed-connection", "an upstream that closes the connection without a word is a 5xx", script=closes)
async def closed_connection(probe: Probe) -> None:
    await _fails_both_ways(probe, *FAILED)


async def redirects(exchange: Exchange) -> None:
    if "elsewhere" in exchange.path:
        await exchange.reply(completion("You were led elsewhere."))
    else:
        port = exchange.headers["host"].rpartition(":")[2]
        await exchange.reply(b"", 307, {"location": f"http://localhost:{port}/v1/elsewhere/chat/completions"})


@case(
    "redirect",
    "a redirect to another host is not followed with the prompt",
    script=redirects,
)
async def redirect(probe: Probe) -> None:
    answer = await probe.ask()
    expect(len(probe.exchanges) == 1, "the prompt was sent to where the redirect pointed")
    answer.failed(*FAILED)
