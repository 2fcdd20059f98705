"""The admin API's own OpenAPI page, held against the app: requests that fit it and requests that do not, and no 500.

The app is the whole gate on a real SQLite database, called through ASGI.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from adminkit import HOUSE
from gatekit import ADMIN_KEY
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.python.asgi import get_client, shutdown_lifespans
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.app import App
from gateway.config import load_config
from gateway.http import Receive, Scope, Send
from gateway.parts import open_parts

pytestmark = pytest.mark.slow  # hundreds of requests

EXAMPLES = 8  # of each operation, fitting and not
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
# What there is to be found, changed and taken away; made again before each operation.
IDS = {"team_id": "search", "user_id": "jane", "name": "assistant"}


class Served:
    """The gate as an ASGI app that opens its parts itself, in the event loop that calls it."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            await receive()
            self._app = App(await stack.enter_async_context(open_parts(load_config(self._config, {}))))
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("house")
    head = f"server: {{state_dir: {directory / 'state'}}}\nadmin_key: {ADMIN_KEY}\n"
    head += f"storage: {{url: 'sqlite+aiosqlite:///{directory / 'test.db'}'}}\n"
    (directory / "house.yaml").write_text(head + HOUSE)
    yield Served(directory / "house.yaml")
    shutdown_lifespans()


def furnish(app: Served) -> dict[str, str]:
    """Ids of things that are there."""
    with get_client(app) as client:
        for kind, name in (("teams", "search"), ("users", "jane")):
            made = client.post(f"/admin/{kind}", json={"name": name}, headers=ADMIN)
            assert made.status_code in (201, 409), made.text
        key = client.post("/admin/keys", json={"name": "app"}, headers=ADMIN)
        assert key.status_code == 201, key.text
    return {**IDS, "key_id": key.json()["id"]}


def probe(app: Served, operation: APIOperation[Any, Any, Any, Any], mode: schemathesis.GenerationMode) -> None:
    known = furnish(app)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), there=st.booleans())
    def hold(case: schemathesis.Case, there: bool) -> None:
        if there and case.path_parameters:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        case.headers.pop("x-api-key", None)  # a second credential would be a 401 at the door
        case.call_and_validate(headers=ADMIN, checks=CHECKS)

    hold()


@pytest.mark.slow
def test_no_request_makes_a_500_and_every_answer_is_as_documented(app: Served) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    probed = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        assert operation is not None
        if operation.path.startswith("/admin/"):
            for mode in schemathesis.GenerationMode:
                probe(app, operation, mode)
            probed += 1
    assert probed >= 19


def test_the_openapi_page_is_valid_and_complete(app: Served) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    schema.validate()
    page: dict[str, Any] = schema.raw_schema
    assert {"bearer", "x-api-key"} == page["components"]["securitySchemes"].keys()
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            where = (method, path)
            assert operation.get("summary"), where
            assert {"400", "401", "403", "404", "409", "503"} <= operation["responses"].keys(), where
            assert "422" not in operation["responses"], where
            assert {"bearer": []} in operation["security"] and {"x-api-key": []} in operation["security"], where
