"""What every admin route needs: the house's parts, and a caller with the right role."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ledger import Ledger
from gateway.admission.authenticate import Authenticator
from gateway.admission.principals import Principal, Role
from gateway.http import header
from gateway.storage.audit import Actor
from gateway.storage.keys import KeyRepository


@dataclass(frozen=True, slots=True)
class AdminContext:
    """The parts the admin API works on. `model_names` and `guard_names` are the configured ones."""

    database: AsyncEngine
    ledger: Ledger
    keys: KeyRepository
    authenticator: Authenticator
    model_names: frozenset[str]
    guard_names: frozenset[str]


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
    address = request.client.host if request.client else None
    asked = header(request.scope, b"x-request-id")
    return Actor(id=caller.key_id, name=caller.key_name, address=address, request_id=asked and asked[:128])


may_write = role(Role.ADMIN)
may_read = role(Role.ADMIN, Role.VIEWER)
