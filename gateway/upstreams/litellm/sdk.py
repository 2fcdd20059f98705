"""The litellm SDK, loaded once, with everything in it that this gate does for itself or does not want turned off.

It takes seconds and 200 MB to load, so nobody imports it but `load`, and only when a target needs it. It must not read
a `.env` of the working directory, fetch a price list, download what a caller's URL names, retry, cache, call back, or
write a prompt or a key to a log.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from copy import copy
from functools import cache
from typing import Any

import httpx

from gateway.upstreams.litellm.cohere import mend_cohere

# Read by the SDK while it is imported.
_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",  # "DEV", the default, loads `.env` into the environment
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB": "0",  # no download at all: a caller's URL may name what only we can reach
}
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_CALLBACKS = (
    "input_callback", "success_callback", "failure_callback", "service_callback", "callbacks",
    "_async_input_callback", "_async_success_callback", "_async_failure_callback",
)  # fmt: skip
NO_LIMIT = 86_400.0  # seconds: the pipeline limits the time, the SDK must not do it sooner


@cache
def load() -> Any:
    """The `litellm` module. Slow the first time: call it in a thread. Raises ModuleNotFoundError without the extra."""
    if "litellm" not in sys.modules:
        os.environ.update(_ENVIRONMENT)
    sdk: Any = importlib.import_module("litellm")  # so that type checkers need not read all of it
    for name in _LOGGERS:
        logging.getLogger(name).disabled = True  # they write prompts and replies, to handlers of their own
    for name in _CALLBACKS:
        setattr(sdk, name, [])
    sdk.suppress_debug_info = True  # else each error is printed to standard output with an advertisement
    sdk.set_verbose = False
    sdk.turn_off_message_logging = True
    sdk.disable_streaming_logging = True
    sdk.drop_params = False  # what a provider cannot honour is refused, never dropped
    sdk.modify_params = False
    sdk.num_retries = 0
    sdk.cache = None
    mend_cohere(sdk)
    return sdk


@cache
def _client_class() -> type[Any]:
    load()
    base = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler

    class Client(base):  # type: ignore[misc, valid-type]
        """The SDK's client without its second try, its redirects and its own time limits.

        `for_one_call` gives one that shares the pool and knows what became of its one request: the SDK does not close
        every provider's stream, nor can it always tell whether the provider ended it.
        """

        answer: httpx.Response | None = None
        end_mark: bytes | None = None
        saw_end = False
        unreachable = False

        def for_one_call(self, end_mark: bytes | None) -> Client:
            one = copy(self)
            one._owns_client = False  # the pool is not this one's to close
            one.end_mark = end_mark
            return one

        async def post(self, *args: Any, **options: Any) -> httpx.Response:
            response: httpx.Response = await super().post(*args, **{**options, "timeout": self.timeout})
            self.answer = response
            if self.end_mark is not None and isinstance(response.stream, httpx.AsyncByteStream):
                response.stream = _Watched(response.stream, self.end_mark, self._end_seen)
            return response

        async def single_connection_request(self, *_args: Any, **_options: Any) -> Any:
            """Called after a failed connection to try again on a new one: fail with what failed."""
            self.unreachable = True
            error = sys.exception()
            if error is None:
                raise RuntimeError("not called while handling a failed connection")
            raise error

        async def hang_up(self) -> None:
            if self.answer is not None:
                await self.answer.aclose()

        def _end_seen(self) -> None:
            self.saw_end = True

    return Client


class _Watched(httpx.AsyncByteStream):
    """The bytes of a reply, watched for the mark of its end."""

    def __init__(self, stream: httpx.AsyncByteStream, mark: bytes, seen: Callable[[], None]) -> None:
        self._stream = stream
        self._mark = mark
        self._seen = seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        tail = b""
        async for part in self._stream:
            window = tail + part
            if self._mark in window:
                self._seen()
            tail = window[1 - len(self._mark) :]
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def open_client(connect_timeout: float) -> Any:
    """A pool of connections of one upstream's own. Only the time to connect is limited; the rest is the pipeline's.

    A redirect is not followed: it would take the provider's key to another host.
    """
    timeout = httpx.Timeout(None, connect=connect_timeout)
    return _client_class()(timeout=timeout, follow_redirects=False)
