"""The ASGI app: spending routes and operations by exact path, everything else to the admin API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from engine.errors import EngineUnavailable
from gateway.admin.app import build_admin
from gateway.admin.deps import AdminContext
from gateway.admission.stores.base import StoreUnavailable
from gateway.doors import (
    anthropic_messages,
    models,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_moderations,
    openai_responses,
)
from gateway.doors.anthropic_count import CountEndpoint
from gateway.doors.endpoint import SpendingEndpoint
from gateway.doors.heartbeat import Heartbeats
from gateway.errors import GateError, MethodNotAllowed
from gateway.http import Receive, Scope, Send, request_id, send_bytes, send_error, send_json
from gateway.parts import Parts
from gateway.storage.database import ping

if TYPE_CHECKING:
    from engine.chat import LocalModel

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

STATS_SECONDS = 0.5  # how long a scrape waits for an engine in the middle of a step
READY_SECONDS = 2.0  # how long the readiness check waits for a part


class App:
    """One gate. The parts are opened and closed by whoever made them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._heartbeats = Heartbeats(parts.config.server.heartbeat)
        self._routes: dict[str, tuple[str, Handler]] = {
            "/v1/chat/completions": ("POST", self._spending(openai_chat)),
            "/v1/completions": ("POST", self._spending(openai_completions)),
            "/v1/embeddings": ("POST", self._spending(openai_embeddings)),
            "/v1/moderations": ("POST", self._spending(openai_moderations)),
            "/v1/responses": ("POST", self._spending(openai_responses)),
            "/v1/messages": ("POST", self._spending(anthropic_messages)),
            "/v1/messages/count_tokens": ("POST", self._counting()),
            "/v1/models": ("GET", self._models),
            "/health/live": ("GET", self._live),
            "/health/ready": ("GET", self._ready),
            "/metrics": ("GET", self._metrics),
        }
        context = AdminContext(
            database=parts.database,
            ledger=parts.ledger,
            authenticator=parts.authenticator,
            prices=parts.prices.repository,
            line=lambda: parts.lines.current,
            reload=parts.reloader.reload,
        )
        self._admin = build_admin(context)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"Sluicegate serves HTTP, not {scope['type']}")
        path: str = scope["path"]
        method, handler = self._routes.get(path, (None, None))
        if handler is None and path.startswith("/v1/models/"):
            method, handler = "GET", self._models
        if handler is None:
            await self._admin(scope, receive, send)
        elif scope["method"] == method or (method == "GET" and scope["method"] == "HEAD"):
            await handler(scope, receive, send)
        else:
            await send_error(send, MethodNotAllowed(f"This path takes {method}."), [(b"allow", str(method).encode())])

    def _spending(self, door: Any) -> SpendingEndpoint:
        parts = self._parts
        return SpendingEndpoint(
            door,
            authenticator=parts.authenticator,
            pipeline=lambda: parts.lines.current,
            recorder=parts.recorder,
            heartbeats=self._heartbeats,
            max_body=parts.config.server.max_body,
            tells_guards=parts.config.server.guards_header,
        )

    def _counting(self) -> CountEndpoint:
        parts = self._parts
        return CountEndpoint(parts.authenticator, lambda: parts.lines.current.router, parts.config.server.max_body)

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"x-request-id", request_id(scope).encode())]
        name = unquote(scope["path"].removeprefix("/v1/models")).removeprefix("/")
        router = self._parts.lines.current.router
        try:
            principal = await self._parts.authenticator.authenticate(scope)
            found = models.get_model(router, principal, name) if name else models.list_models(router, principal)
        except GateError as error:
            await send_error(send, error, headers)
        else:
            await send_json(send, 200, found, headers)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"status": "live"})

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        reasons = await self._not_ready()
        status = 503 if reasons else 200
        await send_json(send, status, {"status": "not ready" if reasons else "ready", "reasons": reasons})

    async def _not_ready(self) -> list[str]:
        reasons = [f"engine {name} is not running" for name, model in self._parts.engines.items() if not model.healthy]
        try:
            async with asyncio.timeout(READY_SECONDS):
                await ping(self._parts.database)
        except Exception as error:
            reasons.append(f"storage is not usable ({type(error).__name__})")
        try:
            await self._parts.limits.budget("")
        except StoreUnavailable:
            reasons.append("shared state is not usable")
        return reasons

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(*(_refresh(model) for model in self._parts.engines.values()))
        self._parts.metrics.refresh()
        page, content_type = await asyncio.to_thread(self._parts.metrics.page)
        await send_bytes(send, 200, page, [(b"content-type", content_type.encode())])


async def _refresh(model: LocalModel) -> None:
    """Ask an engine for fresh numbers, for a moment; one that is busy or down keeps its last ones."""
    with suppress(TimeoutError, EngineUnavailable):
        async with asyncio.timeout(STATS_SECONDS):
            await model.refresh_stats()
