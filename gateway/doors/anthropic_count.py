"""`POST /v1/messages/count_tokens`: how long a prompt is, by the tokenizer of the model's first target."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.admission.authenticate import Authenticator
from gateway.doors.anthropic_messages import count, encode_error, parse_count
from gateway.errors import GateError, InternalError
from gateway.http import (
    JSON_TYPE,
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    request_id,
    retry_headers,
    send_bytes,
    send_json,
)
from gateway.routing.router import Router
from gateway.tokens import TokenCounter

log = structlog.get_logger(__name__)


class CountEndpoint:
    """One route. Call it as an ASGI app."""

    def __init__(self, authenticator: Authenticator, router: Callable[[], Router], max_body: int) -> None:
        self._authenticator = authenticator
        self._router = router
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = request_id(scope)
        headers = [(b"x-request-id", ours.encode()), (b"request-id", ours.encode())]
        try:
            counted = await self._count(scope, receive)
        except ClientGone:
            return
        except Exception as error:
            if not isinstance(error, GateError):
                log.exception("request failed", request_id=ours)
                error = InternalError(f"The gate failed. Quote the request id {ours}.")
            body = encode_error(error, ours)
            await send_bytes(send, error.status, body, [JSON_TYPE, *headers, *error.headers, *retry_headers(error)])
        else:
            await send_json(send, 200, counted, headers)

    async def _count(self, scope: Scope, receive: Receive) -> dict[str, int]:
        principal = await self._authenticator.authenticate(scope)
        call = parse_count(await read_body(scope, receive, self._max_body))
        model = self._router().find(call.model, principal.may_use)
        counter = model.targets[0].tokens if model.targets else TokenCounter()
        await counter.ready()
        return count(call, counter)
