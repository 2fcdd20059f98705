"""A provider with an API of its own, reached through the litellm SDK: chat and embeddings.

Whatever speaks OpenAI's API is better served by `openai_compatible`: the SDK costs milliseconds a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self

from gateway.pipeline.answer import Chunk, ChunkStream, Reply
from gateway.pipeline.call import Call, Operation
from gateway.upstreams.base import ASSUMED_CAP, Failure, OutputCap, UpstreamError
from gateway.upstreams.litellm import replies, sdk
from gateway.upstreams.litellm.errors import translated
from gateway.upstreams.litellm.request import chat_arguments, embedding_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Providers whose requests the SDK sends through a client we hand it. The others' clients are the SDK's own.
_OWN_CLIENT = frozenset({"anthropic", "bedrock", "cohere", "gemini", "vertex_ai"})
# Where the SDK takes an address with its path, and not where the API begins.
_PATHS = {"cohere": {Operation.CHAT: "/chat", Operation.EMBEDDINGS: "/embed"}}
# What is in the last event of a whole stream, where the SDK gives each piece a finish reason. Inside a text the quotes
# would be escaped.
_END_MARKS = {"gemini": b'"finishReason":', "vertex_ai": b'"finishReason":'}


class LiteLLMUpstream:
    """One model of one provider. Make it with `open`, which loads the SDK.

    `settings` are arguments of the SDK that every call gets: key, address, region.
    """

    def __init__(
        self,
        provider: str,
        model: str,
        operations: frozenset[Operation],
        settings: Mapping[str, Any],
        connect_timeout: float,
        output_cap: OutputCap,
    ) -> None:
        self.operations = operations
        self._sdk = sdk.load()
        self._provider = provider
        self._model = model
        self._output_cap = output_cap
        self._client = sdk.open_client(connect_timeout) if provider in _OWN_CLIENT else None
        self._settings: dict[str, Any] = {
            **settings,
            "model": model,
            "custom_llm_provider": provider,
            "max_retries": 0,
            "num_retries": 0,
            "timeout": sdk.NO_LIMIT,
        }
        self._supported = self._fields("chat_completion")
        self._embedding_fields = self._fields("embeddings")

    @classmethod
    async def open(
        cls,
        *,
        provider: str,
        model: str,
        settings: Mapping[str, Any],
        connect_timeout: float,
        operations: frozenset[Operation] = frozenset({Operation.CHAT, Operation.EMBEDDINGS}),
        output_cap: OutputCap = ASSUMED_CAP,
    ) -> Self:
        """Load the SDK beside the event loop. Raises ModuleNotFoundError if it is not installed."""
        await asyncio.to_thread(sdk.load)
        return cls(provider, model, operations, settings, connect_timeout, output_cap)

    async def complete(self, call: Call) -> Reply:
        embeddings = call.operation is Operation.EMBEDDINGS
        arguments = self._embedding_arguments(call) if embeddings else self._chat_arguments(call)
        ask = self._sdk.aembedding if embeddings else self._sdk.acompletion
        client = self._one_call()
        with _failing(client):
            reply = (await ask(**arguments, **self._common(call.operation, client))).model_dump()
            usage = replies.read_usage(reply.get("usage"))
            if embeddings:
                as_base64 = call.body.get("encoding_format") == "base64"
                body = replies.embeddings_body(reply, usage, as_base64=as_base64)
            else:
                body = replies.reply_body(reply, usage)
        return Reply(body, usage, reply.get("model"))

    async def stream(self, call: Call) -> ChunkStream:
        # Usage is always asked for: the bill needs it, whether or not the caller does.
        options = {"stream": True, "stream_options": {"include_usage": True}}
        arguments = {**self._chat_arguments(call), **options}
        client = self._one_call()
        with _failing(client):
            pieces = await self._sdk.acompletion(**arguments, **self._common(Operation.CHAT, client))
        begun = finished = False
        async with _closing(pieces, client):
            while True:
                with _failing(client, begun=begun):
                    piece = await anext(pieces, None)
                    if piece is None:
                        break
                    data = piece.model_dump()
                    usage = replies.read_usage(data.get("usage"))
                    body = replies.chunk_body(data, usage)
                ends = any(choice["finish_reason"] for choice in body["choices"])
                if ends and not _ended_by_provider(pieces, client):
                    break
                finished = finished or ends
                if body["choices"] or usage is not None:
                    begun = True
                    yield Chunk(body, usage)
            if not finished:
                raise UpstreamError(Failure.BROKEN, "the stream ended without a finish reason")

    def _chat_arguments(self, call: Call) -> dict[str, Any]:
        return chat_arguments(call, self._provider, self._supported, self._output_cap)

    def _embedding_arguments(self, call: Call) -> dict[str, Any]:
        return embedding_arguments(call, self._embedding_fields)

    def _common(self, operation: Operation, client: Any) -> dict[str, Any]:
        """The arguments that every call gets, in a mapping of its own: the SDK writes into it."""
        common = dict(self._settings)
        path = _PATHS.get(self._provider, {}).get(operation)
        if path is not None and "api_base" in common:
            common["api_base"] += path
        if client is not None:
            common["client"] = client
        return common

    def _one_call(self) -> Any:
        """A client that knows what becomes of one call; None where the SDK uses its own."""
        return self._client.for_one_call(_END_MARKS.get(self._provider)) if self._client is not None else None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _fields(self, kind: str) -> frozenset[str]:
        """The request fields this model has, as the SDK knows it."""
        found = self._sdk.get_supported_openai_params(self._model, self._provider, request_type=kind)
        return frozenset(found or ())


@contextmanager
def _failing(client: Any, *, begun: bool = False) -> Iterator[None]:
    """Whatever the SDK raises, as the gate's. Its texts and causes go no further: they quote prompts and addresses."""
    try:
        yield
    except Exception as error:
        seen = {} if client is None else {"accepted": client.answer is not None, "unreachable": client.unreachable}
        raise translated(error, begun=begun, **seen) from None


@asynccontextmanager
async def _closing(pieces: Any, client: Any) -> AsyncIterator[None]:
    """Close the connection on every way out: the provider stops making tokens that nobody reads."""
    try:
        yield
    finally:
        await pieces.aclose()
        if client is not None:
            await client.hang_up()


def _ended_by_provider(pieces: Any, client: Any) -> bool:
    """Whether the provider gave a finish reason: the SDK makes one up for a stream that just ends."""
    if client is not None and client.end_mark is not None:
        return bool(client.saw_end)
    return bool(pieces.received_finish_reason or pieces.intermittent_finish_reason)
