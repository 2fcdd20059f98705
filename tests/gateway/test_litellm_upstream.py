"""The litellm adapter without a gate: what of a request may reach the SDK, and how failures of every kind come out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from providerkit import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    DIALECTS,
    GEMINI,
    KEY,
    Dialect,
    Failing,
    Provider,
    Streamed,
    run_provider,
)

from gateway.errors import ContentFiltered, GateError, InvalidRequest, Unsupported
from gateway.pipeline.answer import Chunk
from gateway.pipeline.call import Call, Operation
from gateway.upstreams.base import ASSUMED_CAP, CapSource, Failure, OutputCap, UpstreamError
from gateway.upstreams.litellm.errors import translated
from gateway.upstreams.litellm.replies import chunk_body, read_usage
from gateway.upstreams.litellm.upstream import LiteLLMUpstream

USER = {"role": "user", "content": "Hello?"}


def call(stream: bool = False, **body: Any) -> Call:
    return Call("chat", "assistant", stream, {"model": "assistant", "messages": [USER], **body}, [], 1)


async def opened(dialect: Dialect, url: str, cap: OutputCap = ASSUMED_CAP) -> LiteLLMUpstream:
    settings = {"api_base": url, "api_key": KEY}
    if dialect is BEDROCK:
        aws = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": KEY, "aws_region_name": "eu-west-1"}
        settings = {"api_base": url, **aws}
    return await LiteLLMUpstream.open(
        provider=dialect.name, model=dialect.model, settings=settings, connect_timeout=2.0, output_cap=cap
    )


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with run_provider() as running:
        running.answer = ANTHROPIC.reply("Hello.")
        yield running


@pytest.fixture
async def upstream(provider: Provider) -> AsyncIterator[LiteLLMUpstream]:
    upstream = await opened(ANTHROPIC, provider.url)
    yield upstream
    await upstream.close()


async def streamed(upstream: LiteLLMUpstream) -> list[Chunk]:
    return [chunk async for chunk in upstream.stream(call(True))]


@pytest.mark.parametrize(
    "field",
    [
        {"logit_bias": {"1": 2}},
        {"seed": 1},
        {"n": 2},
        {"logprobs": True},
        {"frob": 1},
        # The SDK's own settings: with one of them a caller could have the key sent elsewhere, or an answer for nothing.
        {"api_base": "http://127.0.0.1:1"},
        {"base_url": "http://127.0.0.1:1"},
        {"api_key": "mine"},
        {"extra_headers": {"x-api-key": "mine"}},
        {"mock_response": "free"},
        {"fallbacks": ["gpt-4o"]},
        {"custom_llm_provider": "openai"},
        {"drop_params": True},
        {"num_retries": 5},
    ],
)
async def test_a_field_the_provider_does_not_have_is_refused_and_nothing_is_sent(
    upstream: LiteLLMUpstream, provider: Provider, field: dict[str, Any]
) -> None:
    with pytest.raises(Unsupported) as raised:
        await upstream.complete(call(**field))
    assert raised.value.param == next(iter(field))
    assert provider.requests == []


async def test_fields_that_ask_for_nothing_stay_behind(upstream: LiteLLMUpstream, provider: Provider) -> None:
    await upstream.complete(call(n=1, frequency_penalty=0, logit_bias=None, store=False, metadata={"a": "b"}, top_k=5))
    assert set(provider.sent) == {"model", "messages", "max_tokens", "top_k"}


async def test_only_the_callers_own_functions_are_tools(upstream: LiteLLMUpstream) -> None:
    with pytest.raises(Unsupported):
        await upstream.complete(call(tools=[{"type": "mcp", "server_label": "x", "server_url": "http://127.0.0.1:1"}]))


async def test_the_body_is_left_as_it_was_for_the_next_target(upstream: LiteLLMUpstream) -> None:
    block = {"type": "thinking", "thinking": "", "signature": "S"}
    said = {"role": "assistant", "content": "Hello.", "reasoning_content": "A thought.", "thinking_blocks": [block]}
    messages = [{"role": "system", "content": "Be brief."}, USER, said, USER]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    asked = call(messages=messages, tools=tools)
    before = repr(asked.body)
    await upstream.complete(asked)
    assert repr(asked.body) == before


@pytest.mark.parametrize("dialect", [GEMINI, BEDROCK], ids=lambda dialect: dialect.name)
async def test_what_a_callers_url_names_is_never_fetched(provider: Provider, dialect: Dialect) -> None:
    upstream = await opened(dialect, provider.url)
    picture = {"type": "image_url", "image_url": {"url": f"{provider.url}/internal.png"}}
    with pytest.raises(InvalidRequest):
        await upstream.complete(call(messages=[{"role": "user", "content": [picture]}]))
    assert provider.requests == []
    await upstream.close()


@pytest.mark.parametrize(
    ("cap", "bound", "sent"),
    [
        (OutputCap(123, CapSource.CONFIGURED), False, 123),
        (OutputCap(123, CapSource.ASSUMED), True, 123),
        (OutputCap(123, CapSource.ASSUMED), False, None),
    ],
)
async def test_what_is_held_for_an_answer_is_what_the_provider_is_told(
    provider: Provider, cap: OutputCap, bound: bool, sent: int | None
) -> None:
    provider.answer = COHERE.reply("Hello.")
    upstream = await opened(COHERE, provider.url, cap)
    asked = call()
    asked.bind_output = bound
    await upstream.complete(asked)
    assert provider.sent.get("max_tokens") == sent
    await upstream.close()


async def test_the_smaller_of_two_limits_is_sent(upstream: LiteLLMUpstream, provider: Provider) -> None:
    await upstream.complete(call(max_tokens=70, max_completion_tokens=40))
    assert provider.sent["max_tokens"] == 40


async def test_an_address_where_nobody_listens_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        upstream = await opened(ANTHROPIC, f"http://127.0.0.1:{taken.getsockname()[1]}")
        for ask in (upstream.complete(call()), streamed(upstream)):
            with pytest.raises(UpstreamError) as raised:
                await ask
            assert raised.value.failure is Failure.UNREACHABLE
        await upstream.close()


async def test_a_redirect_is_not_followed_with_the_key(upstream: LiteLLMUpstream, provider: Provider) -> None:
    provider.answer = Failing(307, {}, {"location": f"{provider.url}/elsewhere"})
    with pytest.raises(UpstreamError):
        await upstream.complete(call())
    assert [request.path for request in provider.requests] == ["/v1/messages"]


async def test_a_stream_that_breaks_before_its_first_word_is_broken(
    upstream: LiteLLMUpstream, provider: Provider
) -> None:
    for cut in (True, False):
        provider.answer = Streamed([], cut=cut)
        with pytest.raises(UpstreamError) as raised:
            await streamed(upstream)
        assert raised.value.failure is Failure.BROKEN


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
async def test_closing_a_stream_that_nobody_reads_closes_the_connection(provider: Provider, dialect: Dialect) -> None:
    whole = dialect.stream(["Hello", " there", "."])
    begun = whole[: next(number for number, event in enumerate(whole) if b"there" in event) + 1]
    provider.answer = Streamed(begun, dialect.content_type, hold=True)
    upstream = await opened(dialect, provider.url)
    chunks = upstream.stream(call(True))
    assert (await anext(chunks)).body["choices"][0]["delta"]["content"] == "Hello"
    await chunks.aclose()
    async with asyncio.timeout(1.0):
        await provider.gone.wait()
    await upstream.close()


async def test_a_failure_says_nothing_but_its_kind(upstream: LiteLLMUpstream, provider: Provider) -> None:
    provider.answer = Failing(401, ANTHROPIC.refusal(f"bad key {KEY}"))
    with pytest.raises(UpstreamError) as raised:
        await upstream.complete(call())
    assert str(raised.value) == "AuthenticationError, status 401"
    assert raised.value.__suppress_context__  # a traceback of it does not go on to the SDK's texts


async def test_connections_are_kept_and_closed_with_the_upstream(provider: Provider) -> None:
    upstream = await opened(ANTHROPIC, provider.url)
    ports = set()
    for _ in range(3):
        await upstream.complete(call())
        ports.add(provider.requests[-1].port)
    assert len(ports) == 1
    await upstream.close()
    assert upstream._client._client.is_closed


# --- The table of errors


def sdk_error(name: str, **more: Any) -> Exception:
    import litellm

    message = 'AnthropicException - {"error": {"message": "it says Bearer abcdefghijkl"}} Messages: PROMPT'
    error: Exception = getattr(litellm, name)(message=message, model="m", llm_provider="p", **more)
    return error


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("RateLimitError", Failure.BUSY),
        ("Timeout", Failure.TIMEOUT),
        ("AuthenticationError", Failure.ERROR),
        ("NotFoundError", Failure.ERROR),
        ("InternalServerError", Failure.ERROR),
        ("ServiceUnavailableError", Failure.ERROR),
        ("BadGatewayError", Failure.ERROR),
        ("APIConnectionError", Failure.ERROR),
    ],
)
def test_what_another_target_may_do_better(name: str, failure: Failure) -> None:
    error = translated(sdk_error(name))
    assert isinstance(error, UpstreamError)
    assert error.failure is failure
    assert "PROMPT" not in str(error)
    broken = translated(sdk_error(name), begun=True)
    assert isinstance(broken, UpstreamError)
    assert broken.failure is Failure.BROKEN


@pytest.mark.parametrize(
    ("name", "kind"), [("ContentPolicyViolationError", ContentFiltered), ("BadRequestError", InvalidRequest)]
)
def test_what_is_the_requests_fault_is_told_in_the_providers_words_scrubbed(name: str, kind: type[GateError]) -> None:
    error = translated(sdk_error(name))
    assert type(error) is kind
    assert str(error) == "it says Bearer [secret]"


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7.0), ("-1", 0.0), ("1e9", 86_400.0), ("nan", None), ("Wed, 21 Oct 2026", None)]
)
def test_the_wait_a_provider_asks_for(told: str, seconds: float | None) -> None:
    request = httpx.Request("POST", "http://provider")
    response = httpx.Response(429, headers={"retry-after": told}, request=request)
    error = translated(sdk_error("RateLimitError", response=response))
    assert isinstance(error, UpstreamError)
    assert error.retry_after == seconds


def test_an_error_nobody_knows_is_a_failed_attempt() -> None:
    error = translated(TypeError("PROMPT"))
    assert isinstance(error, UpstreamError)
    assert (error.failure, str(error)) == (Failure.ERROR, "TypeError")


# --- Shapes


def test_the_text_of_a_thought_is_where_guards_look_and_nowhere_else() -> None:
    block = {"type": "thinking", "thinking": "secret thought", "signature": "S"}
    delta = {
        "reasoning_content": "secret thought",
        "thinking_blocks": [block],
        "provider_specific_fields": {"x": block},
    }
    body = chunk_body({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}, None)
    assert body["choices"][0]["delta"] == {
        "reasoning_content": "secret thought",
        "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "S"}],
    }


def test_counts_that_nobody_told_are_no_usage() -> None:
    assert read_usage({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}) is None
    assert read_usage({"prompt_tokens": -1}) is None
    assert read_usage(None) is None


async def test_a_provider_without_embeddings_is_not_asked_for_them() -> None:
    upstream = await LiteLLMUpstream.open(
        provider="anthropic", model="m", settings={}, connect_timeout=1.0, operations=frozenset({Operation.CHAT})
    )
    assert upstream.operations == {Operation.CHAT}
    await upstream.close()
