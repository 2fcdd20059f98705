"""What every admin route needs: the house's parts, a caller with the right role, a transaction, who the actor is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import Ledger
from billing.pricebook import PriceBook
from gateway.admission.authenticate import Authenticator
from gateway.admission.principals import Principal, Role
from gateway.errors import Conflict, StorageUnavailable
from gateway.parts.line import Line
from gateway.routing.router import Router
from gateway.storage.audit import Actor
from gateway.storage.prices import PriceRepository

REQUEST_ID = "sluicegate.request_id"  # where the app keeps it in the ASGI scope
STORAGE_SECONDS = 8.0  # longer than SQLite waits for another writer
REPORTS_AT_ONCE = 2  # each keeps a database connection for long; key look-ups and the ledger need the others


@dataclass(frozen=True, slots=True)
class AdminContext:
    """The parts the admin API works on. `line` gives those of the configuration in force.

    `reload` loads its file anew and tells what has changed; raises ConfigError.
    A report or a page of records is read with one of `reports`; a re-pricing is made with `repricing`.
    """

    database: AsyncEngine
    ledger: Ledger
    authenticator: Authenticator
    prices: PriceRepository
    line: Callable[[], Line]
    reload: Callable[[Actor], Awaitable[list[str]]]
    reports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REPORTS_AT_ONCE))
    repricing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    @property
    def price_book(self) -> PriceBook:
        return self.line().book

    @property
    def router(self) -> Router:
        return self.line().router

    @property
    def model_names(self) -> frozenset[str]:
        """The configured ones."""
        return frozenset(model.name for model in self.router.models)

    @property
    def guard_names(self) -> frozenset[str]:
        """The configured ones."""
        return frozenset(self.line().guards.names)


def context(request: Request) -> AdminContext:
    found: AdminContext = request.app.state.admin
    return found


def role(*roles: Role) -> Callable[[Request], Coroutine[Any, Any, Principal]]:
    """A dependency that lets only these roles in."""

    async def required(request: Request) -> Principal:
        return await context(request).authenticator.require(request.scope, *roles)

    return required


def actor(request: Request, caller: Principal) -> Actor:
    """Who the audit log names for what this request changes."""
    address = request.client.host[:64] if request.client else None
    return Actor(id=caller.key_id, name=caller.key_name, address=address, request_id=request.scope[REQUEST_ID])


@asynccontextmanager
async def transaction(admin: AdminContext) -> AsyncIterator[AsyncConnection]:
    """A transaction on the database, committed if the block is left without an error. Raises StorageUnavailable."""
    try:
        async with asyncio.timeout(STORAGE_SECONDS), admin.database.begin() as connection:
            yield connection
    except TimeoutError:
        raise StorageUnavailable("The database did not answer in time; try again.") from None


@asynccontextmanager
async def changing(admin: AdminContext) -> AsyncIterator[AsyncConnection]:
    """A transaction that may change who may do what: once it is committed, every key is looked up anew."""
    async with transaction(admin) as connection:
        yield connection
    admin.authenticator.forget()


def check_version(expected: str | None, version: int) -> None:
    """Hold `If-Match` against what is stored. Raises Conflict."""
    if expected is not None and expected != "*" and int(expected.removeprefix("W/").strip('"')) != version:
        raise Conflict(f"It has changed since: its version is {version} now.", code="conflict")


def set_version(response: Response, version: int) -> None:
    response.headers["etag"] = f'"{version}"'


may_write = role(Role.ADMIN)
may_read = role(Role.ADMIN, Role.VIEWER)

Admin = Annotated[AdminContext, Depends(context)]
Writer = Annotated[Principal, Depends(may_write)]
IfMatch = Annotated[
    str | None,
    Header(
        pattern=r'^(\*|(W/)?"[0-9]{1,9}"|[0-9]{1,9})$',
        description="The `version` the change was made for (an ETag); 409 if it is another by now.",
        examples=['"3"'],
    ),
]
