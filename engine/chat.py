"""A local model as text: chat messages in, pieces of the answer out.

Everything about text happens here, on the caller's side: template, tokenizer, detokenizer, stop strings. The
engine process behind the client sees token ids only.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from engine.client import EngineClient
from engine.config import EngineConfig
from engine.errors import EngineUnavailable, InvalidRequest, ModelFileError, PromptTooLong
from engine.gguf import read_header
from engine.text.detokenize import Detokenizer
from engine.text.stop import StopFinder
from engine.text.template import ChatTemplate, Message, read_messages
from engine.text.tokenizer import Tokenizer
from engine.types import Delta, EngineStats, FinishReason, ModelInfo, Request, SamplingParams

logger = logging.getLogger(__name__)

MAX_STOPS = 4
LONG_TEXT = 4096  # characters; about 5 ms of tokenizing, and more would hold up the event loop


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One question. `messages` are in OpenAI's shape; `max_tokens` None means as many as fit the context.

    `salt` keeps one tenant's cached prefixes from another's.
    """

    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: list[str] = []
    salt: str = ""
    request_id: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """The next piece of an answer. `finish_reason` ("stop" or "length") is set on the last one only.

    The counts are totals so far, so that an answer left early can be accounted for; they are final on the
    last chunk. `compute_us` is the request's share of the engine's time, in microseconds.
    """

    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    compute_us: int = 0


class LocalModel:
    """One served model. One instance belongs to one event loop; `start` before use, `close` at the end."""

    def __init__(self, config: EngineConfig, client: EngineClient | None = None) -> None:
        self._config = config
        self._client = client if client is not None else EngineClient(config)
        self._text: _TextSide | None = None

    async def start(self) -> ModelInfo:
        """Read the file's text side, start the engine, and wait until it is ready.

        Raises EngineConfigError, ModelFileError or EngineUnavailable; nothing is left running then.
        """
        self._config.check()
        text = await asyncio.to_thread(_TextSide, self._config.path)
        info = await self._client.start()
        if text.tokenizer.vocab_size > info.vocab_size:
            await self._client.close()
            raise ModelFileError(
                f"the file's vocabulary has {text.tokenizer.vocab_size} tokens, its model {info.vocab_size}"
            )
        self._text = text
        return info

    async def close(self) -> None:
        """End the engine; answers in work raise EngineUnavailable. Harmless twice."""
        await self._client.close()

    @property
    def info(self) -> ModelInfo:
        """Raises EngineUnavailable before the first start."""
        return self._client.info

    @property
    def healthy(self) -> bool:
        """Whether a request sent now would reach a loaded model."""
        return self._client.healthy

    @property
    def stats(self) -> EngineStats:
        """The engine's last known statistics; no round trip."""
        return self._client.stats

    async def refresh_stats(self) -> EngineStats:
        """Ask the engine for its statistics. Raises EngineUnavailable."""
        return await self._client.refresh_stats()

    def count_tokens(self, messages: list[dict[str, Any]]) -> int:
        """Tokens of the prompt these messages make: about 1 ms per 1,000 characters. Raises InvalidRequest."""
        return len(self._text_side().template.encode(read_messages(messages)))

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer. Leaving early aborts the work; close the generator with `contextlib.aclosing`.

        Raises, before the first chunk, InvalidRequest (UnsupportedParameter, PromptTooLong) for what cannot
        be run and QueueFull; at any time EngineUnavailable.
        """
        text = self._text_side()
        _check_sampling(request)
        prompt = await text.encode(read_messages(request.messages))
        params = self._sampling_params(request, len(prompt), text.tokenizer)
        work = Request(id=request.request_id, prompt=prompt, params=params, salt=request.salt)
        answer = _Answer(text.tokenizer.stream(), StopFinder(request.stop), len(prompt))
        async with aclosing(self._client.generate(work)) as deltas:
            async for delta in deltas:
                chunk = answer.take(delta)
                if chunk.text or chunk.finish_reason is not None:
                    yield chunk
                if chunk.finish_reason is not None:
                    return
        raise EngineUnavailable("The engine ended without finishing this answer.")

    def _text_side(self) -> _TextSide:
        if self._text is None:
            raise EngineUnavailable("The model is not started.")
        return self._text

    def _sampling_params(self, request: ChatRequest, prompt_tokens: int, tokenizer: Tokenizer) -> SamplingParams:
        context = self.info.context
        max_tokens = request.max_tokens
        if max_tokens is None:
            max_tokens = max(1, context - prompt_tokens)
        if prompt_tokens + max_tokens > context:
            raise PromptTooLong(prompt_tokens, max_tokens, context)
        # A special token has no text, so a stop string that spells one must be looked for among the ids.
        stop_ids = {id_ for stop in request.stop if (id_ := tokenizer.special_id(stop)) is not None}
        return SamplingParams(
            max_tokens=max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            seed=request.seed,
            stop_token_ids=tuple(sorted(tokenizer.eos_token_ids | stop_ids)),
        )


class _TextSide:
    """What the model file says about text."""

    def __init__(self, path: str) -> None:
        header = read_header(path)
        self.tokenizer = Tokenizer.from_header(header)
        self.template = ChatTemplate.from_header(header, self.tokenizer)

    async def encode(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's ids; long texts in a thread."""
        if sum(len(message.content) for message in messages) <= LONG_TEXT:
            return self.template.encode(messages)
        return await asyncio.to_thread(self.template.encode, messages)


class _Answer:
    """One answer as its tokens arrive."""

    def __init__(self, detokenizer: Detokenizer, stops: StopFinder, prompt_tokens: int) -> None:
        self._detokenizer = detokenizer
        self._stops = stops
        self._prompt_tokens = prompt_tokens
        self._tokens = 0

    def take(self, delta: Delta) -> ChatChunk:
        """The chunk that `delta` makes; its text may be empty. Raises EngineUnavailable for a failure."""
        text = ""
        for token in delta.tokens:
            self._tokens += 1
            text += self._stops.feed(self._detokenizer.feed(token))
            if self._stops.found:
                return self._chunk(delta, text, FinishReason.STOP, self._tokens)
        if delta.finish is None:
            return self._chunk(delta, text, None, delta.completion_tokens)
        if delta.finish not in (FinishReason.STOP, FinishReason.LENGTH):
            logger.error("request %s ended with %s: %s", delta.id, delta.finish.value, delta.error)
            raise EngineUnavailable("The engine could not finish this answer.")
        text += self._stops.feed(self._detokenizer.finish())
        finish = FinishReason.STOP if self._stops.found else delta.finish
        return self._chunk(delta, text + self._stops.finish(), finish, delta.completion_tokens)

    def _chunk(self, delta: Delta, text: str, finish: FinishReason | None, completion_tokens: int) -> ChatChunk:
        return ChatChunk(
            text=text,
            finish_reason=None if finish is None else finish.value,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=delta.cached_tokens,
            completion_tokens=completion_tokens,
            compute_us=delta.compute_us,
        )


def _check_sampling(request: ChatRequest) -> None:
    """Raise InvalidRequest for values outside OpenAI's ranges, and of other types: fields come unchecked."""
    if request.max_tokens is not None:
        _check_integer("max_tokens", request.max_tokens, 1, 2**31 - 1)
    _check_integer("top_k", request.top_k, 0, 2**31 - 1)
    if request.seed is not None:
        _check_integer("seed", request.seed, -(2**63), 2**63 - 1)
    _check_number("temperature", request.temperature)
    if not 0 <= request.temperature <= 2:
        raise InvalidRequest("'temperature' must be between 0 and 2.", param="temperature")
    _check_number("top_p", request.top_p)
    if not 0 < request.top_p <= 1:
        raise InvalidRequest("'top_p' must be above 0 and at most 1.", param="top_p")
    _check_stops(request.stop)


def _check_stops(stops: object) -> None:
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        raise InvalidRequest(f"'stop' must be a list of at most {MAX_STOPS} strings.", param="stop")
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise InvalidRequest("Each stop must be a string that is not empty.", param="stop")


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequest(f"'{name}' must be a whole number between {low} and {high}.", param=name)


def _check_number(name: str, value: object) -> None:
    if type(value) not in (int, float):
        raise InvalidRequest(f"'{name}' must be a number.", param=name)
