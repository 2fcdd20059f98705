"""Any server that speaks OpenAI's API: OpenAI itself, vLLM, SGLang, TGI, Ollama and the rest."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from gateway.errors import ContentFiltered, ContextTooLong, InvalidRequest
from gateway.pipeline.answer import Chunk, ChunkStream, Reply, served_model
from gateway.pipeline.call import Call, Operation
from gateway.telemetry.scrub import scrub
from gateway.upstreams.base import ASSUMED_CAP, CapSource, Failure, OutputCap, UpstreamError
from gateway.upstreams.exchange import Answer, Exchange
from gateway.upstreams.shapes import as_chat, read_usage, well_formed
from gateway.upstreams.sse import EventParser, EventTooLarge

OPENAI_URL = "https://api.openai.com/"
_MAX_REPLY = 64 * 2**20
_MAX_RETRY_AFTER = 86_400.0
_MAX_ERROR = 64 * 2**10
_LIMITS = ("max_completion_tokens", "max_tokens")
STREAMED = frozenset({Operation.CHAT, Operation.COMPLETIONS})
# What servers without OpenAI's code say of a prompt that is too long: vLLM, SGLang, llama.cpp, TGI.
_CONTEXT = re.compile(
    r"\bcontext (length|size|window)|must have less than \d+ tokens|tokens` must be <=", re.IGNORECASE
)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")  # a word, and not a key
_CALLERS_FAULT = frozenset({400, 422})


PATHS = {
    Operation.CHAT: "/chat/completions",
    Operation.COMPLETIONS: "/completions",
    Operation.EMBEDDINGS: "/embeddings",
    Operation.MODERATIONS: "/moderations",
}


class OpenAICompatible:
    """One base URL and model name. The connection pool is opened at the first call, in the loop that makes it.

    Only the headers set here leave: nothing of the caller's, least of all the caller's key.
    """

    operations = frozenset(Operation)

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str | None,
        connect_timeout: float,
        output_cap: OutputCap = ASSUMED_CAP,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._urls = {operation: base_url.rstrip("/") + path for operation, path in PATHS.items()}
        self._model = model
        self._output_cap = output_cap
        # OpenAI's newer models refuse the old name, many other servers do not know the new one.
        self._limit_field = "max_completion_tokens" if base_url.startswith(OPENAI_URL) else "max_tokens"
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        # Total and idle time are the pipeline's to limit, over all attempts; here only the connection's.
        self._proxy = proxy
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)
        self._connector: aiohttp.TCPConnector | None = None
        self._exchanges: dict[Operation, Exchange] = {}

    async def complete(self, call: Call) -> Reply:
        body = self._body(call)
        body.pop("stream_options", None)
        if call.operation in STREAMED:
            body["stream"] = False
        with await self._post(call.operation, body) as answer:
            raw = await self._read(answer, _MAX_REPLY)
        try:
            reply = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise UpstreamError(Failure.ERROR, "the reply is not JSON") from None
        if not well_formed(reply, call.operation):
            raise UpstreamError(Failure.ERROR, f"the reply is none of {call.operation.value}")
        usage = read_usage(reply)
        if call.operation is Operation.COMPLETIONS:
            reply = as_chat(reply, "message")
        return Reply(reply, usage, served_model(reply))

    async def stream(self, call: Call) -> ChunkStream:
        # Usage is always asked for: the bill needs it, whether or not the caller does.
        options = {**(call.body.get("stream_options") or {}), "include_usage": True}
        body = {**self._body(call), "stream": True, "stream_options": options}
        with await self._post(call.operation, body) as response:
            if response.content_type != "text/event-stream":
                raise UpstreamError(Failure.ERROR, f"expected an event stream, got {response.content_type}")
            parser = EventParser()
            open_choices: set[int] = set()
            finished = False
            try:
                async for received in response.content.iter_any():
                    for data in parser.feed(received):
                        if data == b"[DONE]":
                            return
                        chunk = _chunk(data, call.operation)
                        for choice in chunk.body["choices"]:
                            if choice.get("finish_reason"):
                                open_choices.discard(choice.get("index", 0))
                                finished = True
                            else:
                                open_choices.add(choice.get("index", 0))
                        yield chunk
            except (aiohttp.ClientError, OSError) as error:
                raise UpstreamError(Failure.BROKEN, f"the stream broke: {type(error).__name__}") from None
            except EventTooLarge:
                raise UpstreamError(Failure.BROKEN, "an event of the stream was too large") from None
            if open_choices or not finished:
                raise UpstreamError(Failure.BROKEN, "the stream ended without its end marker")

    def _body(self, call: Call) -> dict[str, Any]:
        """The request as the provider gets it, with one limit on output at most, under the name it knows.

        With two, or one that it does not know, it would go by another than the one that is held for.
        """
        body = {**call.body, "model": self._model}
        if call.operation not in STREAMED:
            return body
        if call.hints:
            body.update({key: _without(call.hints, body[key]) for key in ("messages", "tools") if key in body})
        told = [limit for name in _LIMITS if (limit := body.pop(name, None)) is not None]
        source = self._output_cap.source
        limit_field = self._limit_field if call.operation is Operation.CHAT else "max_tokens"
        if told:
            body[limit_field] = min(told)
        elif source is CapSource.CONFIGURED or (source is CapSource.ASSUMED and call.bind_output):
            body[limit_field] = self._output_cap.tokens
        return body

    async def _post(self, operation: Operation, body: dict[str, Any]) -> Answer:
        """Send; return the answer once its status is 200. Raises UpstreamError, GateError."""
        try:
            answer = await (self._exchanges.get(operation) or self._open(operation)).post(orjson.dumps(body))
        except TimeoutError:
            raise UpstreamError(Failure.TIMEOUT, "the connection was not made in time") from None
        except (aiohttp.ClientConnectorError, UnicodeError) as error:  # the latter: a host that cannot be a name
            raise UpstreamError(Failure.UNREACHABLE, f"no connection: {type(error).__name__}") from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise UpstreamError(Failure.ERROR, f"the request failed: {type(error).__name__}") from None
        if answer.status != 200:
            with answer:
                raise await self._refusal(answer)
        return answer

    async def _refusal(self, response: Answer) -> Exception:
        status = response.status
        if status == 429:
            wait = read_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
            return UpstreamError(Failure.BUSY, "429", retry_after=wait)
        if status not in _CALLERS_FAULT:
            return UpstreamError(Failure.ERROR, f"status {status}")
        try:
            told = orjson.loads(await self._read(response, _MAX_ERROR))["error"]
            message, param, code = str(told["message"])[:500], told.get("param"), told.get("code")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, UpstreamError):
            return InvalidRequest("The model's provider refused the request as invalid.")
        param = scrub(param[:200]) if isinstance(param, str) else None
        if code == "context_length_exceeded" or _CONTEXT.search(message):
            return ContextTooLong(scrub(message), param=param)
        if code == "content_filter":
            return ContentFiltered(scrub(message), param=param)
        return InvalidRequest(
            scrub(message), param=param, code=code if isinstance(code, str) and _CODE.fullmatch(code) else None
        )

    async def _read(self, answer: Answer, limit: int) -> bytes:
        try:
            raw = await answer.read(limit)
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(Failure.ERROR, f"the reply broke off: {type(error).__name__}") from None
        if raw is None:
            raise UpstreamError(Failure.ERROR, f"the reply is larger than {limit} bytes")
        return raw

    def _open(self, operation: Operation) -> Exchange:
        if self._connector is None:
            tls = True if self._tls is None else self._tls
            self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ssl=tls)
        exchange = Exchange(self._urls[operation], self._headers, self._connector, self._timeout, self._proxy)
        self._exchanges[operation] = exchange
        return exchange

    async def close(self) -> None:
        if self._connector is not None:
            await self._connector.close()


def _without(keys: frozenset[str], node: Any) -> Any:
    """A copy without these keys at any depth."""
    if isinstance(node, dict):
        return {key: _without(keys, value) for key, value in node.items() if key not in keys}
    if isinstance(node, list):
        return [_without(keys, item) for item in node]
    return node


def _chunk(data: bytes, operation: Operation) -> Chunk:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise UpstreamError(Failure.BROKEN, "an event of the stream is not JSON") from None
    if not isinstance(body, dict) or "error" in body:
        raise UpstreamError(Failure.BROKEN, "the stream carried an error event")
    if not well_formed(body, operation):
        raise UpstreamError(Failure.BROKEN, f"an event of the stream is no {operation.value} chunk")
    usage = read_usage(body)
    return Chunk(as_chat(body, "delta") if operation is Operation.COMPLETIONS else body, usage)


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` (aware), at most a day, from either form of the header: a number, or an HTTP date (RFC 9110).

    None for what is neither.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value).astimezone(UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), _MAX_RETRY_AFTER)
