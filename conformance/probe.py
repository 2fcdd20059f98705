"""What a case holds in its hands: a gateway to ask, and what reached the upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Any

import aiohttp
import openai

from conformance.answers import Answer, StreamAnswer
from conformance.case import Case, Mismatch, expect
from conformance.exchange import Exchange
from conformance.profile import Extras, Profile
from conformance.upstream import Upstream

CHAT = "/v1/chat/completions"
_POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Caller:
    """A key of the gateway, the id its usage is told by, and what else its requests carry."""

    key: str
    id: str = ""
    extras: Extras = field(default_factory=Extras)


@dataclass(frozen=True, slots=True)
class Used:
    """What a caller has used so far, as the gateway tells it."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass
class Probe:
    """Of one case against one gateway. `url` is the gateway's, without `/v1`."""

    case: Case
    url: str
    admin: Caller
    profile: Profile
    upstream: Upstream
    http: aiohttp.ClientSession
    _openai: list[openai.AsyncOpenAI] = field(default_factory=list)

    def prompt(self, text: str = "Hi.", argument: str = "") -> str:
        """A prompt that leads the upstream to this case's script, with an argument for it."""
        return f"[[case:{self.case.id}{f'/{argument}' if argument else ''}]] {text}"

    def model(self, role: str = "plain") -> str:
        return self.profile.models[role].name

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests of this case that reached the upstream."""
        return self.upstream.exchanges[self.case.id]

    @property
    def sent(self) -> Exchange:
        """The one request of this case that reached the upstream. Raises Mismatch if it is not one."""
        expect(len(self.exchanges) == 1, f"the upstream got {len(self.exchanges)} requests, not 1")
        return self.exchanges[0]

    def body(self, text: str = "Hi.", *, role: str = "plain", argument: str = "", **fields: Any) -> dict[str, Any]:
        """A chat request; `fields` are added to it or replace its own."""
        messages = [{"role": "user", "content": self.prompt(text, argument)}]
        return {"model": self.model(role), "messages": messages, **fields}

    def headers(self, role: str = "plain", caller: Caller | None = None) -> dict[str, str]:
        caller = caller or self.admin
        own = {"authorization": f"Bearer {caller.key}"}
        return {**own, **self.profile.headers, **self.profile.models[role].headers, **caller.extras.headers}

    async def ask(
        self,
        text: str = "Hi.",
        *,
        role: str = "plain",
        argument: str = "",
        caller: Caller | None = None,
        path: str = CHAT,
        **fields: Any,
    ) -> Answer:
        """A whole answer to a chat request."""
        body = self.body(text, role=role, argument=argument, **fields)
        return await self.post(body, path=path, role=role, caller=caller)

    async def post(
        self, body: Any, *, path: str = CHAT, role: str = "plain", caller: Caller | None = None, **headers: str
    ) -> Answer:
        """The answer to any body: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(self._told(body, caller)).encode()
        fields = {"content-type": "application/json", **self.headers(role, caller), **headers}
        async with self.http.post(self.url + path, headers=fields, data=raw) as response:
            return Answer(response.status, _headers(response), await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        async with self.http.get(self.url + path, headers={**self.headers(), **headers}) as response:
            return Answer(response.status, _headers(response), await response.read())

    async def stream(
        self,
        text: str = "Hi.",
        *,
        role: str = "plain",
        argument: str = "",
        caller: Caller | None = None,
        path: str = CHAT,
        **fields: Any,
    ) -> StreamAnswer:
        """The answer to a chat request that asks for a stream."""
        body = self.body(text, role=role, argument=argument, **{"stream": True, **fields})
        return await self.stream_of(body, path=path, role=role, caller=caller)

    async def stream_of(
        self, body: Any, *, path: str = CHAT, role: str = "plain", caller: Caller | None = None
    ) -> StreamAnswer:
        """The answer to any body that asks for a stream."""
        async with self.open(body, path=path, role=role, caller=caller) as response:
            return await _rest(response, bytearray())

    async def stream_told_to_go_on(
        self, first: str, body: Any = None, *, path: str = CHAT, role: str = "plain", caller: Caller | None = None
    ) -> StreamAnswer:
        """A stream whose script waits, told to go on once `first` has come. Raises Mismatch if it never does.

        `body` is a chat request unless it is given.
        """
        asked = body or self.body(role=role, stream=True)
        async with self.open(asked, path=path, role=role, caller=caller) as response:
            raw = bytearray()
            while first.encode() not in raw:
                part = await response.content.readany()
                expect(part, f"the stream ended before {first!r} came: status {response.status}, {bytes(raw[-100:])!r}")
                raw += part
            self.go_on()
            return await _rest(response, raw)

    @asynccontextmanager
    async def open(
        self, body: Any, *, path: str = CHAT, role: str = "plain", caller: Caller | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to be read piece by piece. Leaving the block early is the caller hanging up."""
        async with self.http.post(
            self.url + path, json=self._told(body, caller), headers=self.headers(role, caller)
        ) as response:
            try:
                yield response
            finally:
                response.close()

    @staticmethod
    def _told(body: Any, caller: Caller | None) -> Any:
        return {**body, **caller.extras.body} if caller and caller.extras.body else body

    def openai(self, role: str = "plain") -> openai.AsyncOpenAI:
        """The official client, which knows of nothing but a base URL."""
        extra = {**self.profile.headers, **self.profile.models[role].headers}
        client = openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=self.admin.key, default_headers=extra, max_retries=0
        )
        self._openai.append(client)
        return client

    async def caller(self, ability: str) -> Caller:
        """A new key with an ability, or what else the profile has for it. Raises Mismatch if the gateway makes none."""
        if ability in self.profile.callers:
            return Caller(self.admin.key, extras=self.profile.callers[ability])
        keys = self.profile.keys
        if keys is None:
            raise Mismatch(f"the profile does not say how a key for {ability!r} is made")
        made = await self.post({**keys.bodies[ability], "name": self.case.id}, path=keys.path)
        expect(made.status in (200, 201), f"no key for {ability!r}: status {made.status}: {made.raw[:200]!r}")
        return Caller(made.body[keys.secret], str(made.body[keys.id]))

    async def used(self, caller: Caller, requests: int = 1) -> Used:
        """What a caller has used, once so many requests are told; waits for at most 5 s. Raises Mismatch."""
        route = self.profile.usage
        if route is None:
            raise Mismatch("the profile does not say where usage is told")
        until = monotonic() + 5.0
        while monotonic() < until:
            rows = (await self.get(route.path)).completed()[route.rows]
            for row in rows:
                if str(row[route.key]) == caller.id and int(row[route.requests]) >= requests:
                    return Used(
                        int(row[route.requests]),
                        int(row[route.input_tokens]),
                        int(row[route.output_tokens]),
                        Decimal(str(row[route.cost])),
                    )
            await asyncio.sleep(_POLL)
        raise Mismatch(f"no usage of {requests} requests is told within 5 s")

    async def upstream_sees_close(self, within: float = 1.0) -> None:
        """Raises Mismatch unless the gateway closes its connections to the upstream in so many seconds."""
        until = monotonic() + within
        while monotonic() < until:
            if self.exchanges and all(exchange.left is not None for exchange in self.exchanges):
                return
            await asyncio.sleep(_POLL)
        raise Mismatch(f"the upstream still writes {within:g} s after the caller left")

    def go_on(self) -> None:
        """Tell scripts of this case that wait for it to go on."""
        self.upstream.go_on[self.case.id].set()

    async def close(self) -> None:
        for client in self._openai:
            await client.close()


async def _rest(response: aiohttp.ClientResponse, raw: bytearray) -> StreamAnswer:
    """The answer with all that still comes of it."""
    broken = False
    try:
        async for part in response.content.iter_any():
            raw += part
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
        broken = True
    return StreamAnswer(response.status, _headers(response), bytes(raw), broken)


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
