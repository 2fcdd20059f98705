"""Bodies and headers that no client would send, to every route that can spend: no 500, no hang, nothing told.

The whole app is called through ASGI, in front of an upstream that answers at random, in bad ways too.
`SLUICEGATE_FUZZ=10000` asks for more examples than the suite does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from faultkit import (
    DONE,
    END,
    SAID,
    SECRET,
    STREAM,
    WHOLE,
    WORDS,
    RawUpstream,
    Wire,
    event,
    raw_upstream,
    refusal,
    reply,
    sends,
)
from fuzzkit import BODIES, bodies, headers
from gatekit import ADMIN_KEY, completion
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import event as note_event
from hypothesis import strategies as st

from gateway.app import App
from gateway.config import load_config
from gateway.parts import open_parts
from gateway.telemetry.logs import LINE_SECONDS

EXAMPLES = int(os.environ.get("SLUICEGATE_FUZZ", "2000"))
SECONDS = 5.0  # that one call may take at most
CONFIG = """
server: {{state_dir: "{directory}/state", max_body: 64KiB}}
admin_key: {key}
storage: {{url: "sqlite+aiosqlite:///{directory}/test.db"}}
models:
  - name: assistant
    targets:
      - {{name: raw, provider: openai, model: raw, base_url: "http://127.0.0.1:{port}/v1", api_key: {secret},
          retries: 0, breaker: false, price: {{input: "1", output: "10"}}}}
cache: {{exact: {{ttl: 1m}}}}
guards: [{{name: pii, kind: pii, default: true}}]
"""
TEXT = event({"choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]})
GOOD: dict[str, tuple[bytes, bytes]] = {
    "/v1/chat/completions": (reply(orjson.dumps(completion("Hello."))), STREAM + b"".join(WHOLE)),
    "/v1/completions": (reply(TEXT.removeprefix(b"data: ")), STREAM + TEXT + DONE),
    "/v1/embeddings": (reply(orjson.dumps({"data": [{"embedding": [0.5], "index": 0}], "usage": None})), b""),
    "/v1/moderations": (reply(orjson.dumps({"id": "m", "results": [{"flagged": False}]})), b""),
}
ODD_CALL = {"tool_calls": [{"index": None, "function": {}}]}


async def answers_well(wire: Wire) -> None:
    await wire.send(GOOD[wire.path][wire.body.get("stream") is True])


SCRIPTS = [
    *[answers_well] * 6,
    sends(reply(b'{"choices": [{"index": "x", "message": {"content": 7}}]}')),
    sends(refusal("400 Bad")),
    sends(refusal("429 Busy", "retry-after: -1e9")),
    sends(refusal("500 Oops")),
    sends(STREAM, SAID[0], event({"error": {"message": WORDS}})),
    sends(STREAM, *(event({"choices": [{"index": n, "delta": {"content": "x"}}]}) for n in (0, 7)), END, DONE),
    sends(STREAM, event({"choices": [{"index": 0, "delta": ODD_CALL}]}), END),
    sends(STREAM, event({"choices": [{"index": -1, "delta": {}, "finish_reason": ""}], "usage": {"x": 1}})),
]


@dataclass
class Answer:
    """What came back over ASGI."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    async def send(self, message: Any) -> None:
        assert not self.ended
        if message["type"] == "http.response.start":
            assert not self.status
            self.status = message["status"]
            self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            assert self.status
            self.body += message["body"]
            self.ended = not message.get("more_body", False)


class House:
    """The gate and its upstream, in a loop that runs only while a call does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._runner.run(self._open())

    async def _open(self) -> None:
        self.upstream: RawUpstream = await self._stack.enter_async_context(raw_upstream())
        path = self.directory / "house.yaml"
        place = {"directory": self.directory, "port": self.upstream.port, "key": ADMIN_KEY, "secret": SECRET}
        path.write_text(CONFIG.format(**place))
        self.parts = await self._stack.enter_async_context(open_parts(load_config(path, {})))
        self.app = App(self.parts)

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        await self._stack.aclose()
        await asyncio.sleep(2 * LINE_SECONDS)  # the last log lines are written by the loop that ends here

    def call(self, route: str, sent: list[tuple[bytes, bytes]], body: bytes, cuts: int) -> Answer:
        """One POST, its body in so many pieces."""
        return self._runner.run(self._call(route, sent, body, cuts))

    async def _call(self, route: str, sent: list[tuple[bytes, bytes]], body: bytes, cuts: int) -> Answer:
        size = len(body) // cuts + 1
        pieces = [body[start : start + size] for start in range(0, max(1, len(body)), size)]
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not pieces:
                await gone.wait()
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        answer = Answer()
        path = f"/v1/{route}"
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": sent, "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        async with asyncio.timeout(SECONDS):
            await self.app(scope, receive, answer.send)
        return answer


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


def check_error(route: str, error: Any) -> None:
    """It has the shape of the dialect, and a message that says something."""
    if route.startswith("messages"):
        assert error["type"] == "error" and set(error) <= {"type", "error", "request_id"}
        assert set(error["error"]) == {"type", "message", "details"}
    else:
        assert set(error) == {"error"} and set(error["error"]) == {"message", "type", "param", "code"}
        assert isinstance(error["error"]["type"], str)
    assert error["error"]["message"] and isinstance(error["error"]["message"], str)


ENDS = {b"[DONE]", b"message_stop", b"response.completed", b"response.incomplete"}


def check_stream(raw: bytes) -> None:
    """Whole events; one end, or one error and no end, and nothing after it."""
    assert raw.endswith(b"\n\n")
    blocks = [block for block in raw[:-2].split(b"\n\n") if not block.startswith(b":")]
    marks = []
    for block in blocks:
        name, _, data = block.rpartition(b"data: ")
        told = None if data == b"[DONE]" else orjson.loads(data)
        named = name.removeprefix(b"event: ").strip() or data
        failed = named == b"error" or (told is not None and "error" in told and not name)
        marks.append("error" if failed else "end" if named in ENDS else None)
    assert marks[-1] and not any(marks[:-1]), raw


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_body_and_no_header_brings_a_500_a_hang_or_a_leak(house: House, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(sorted(BODIES)), label="route")
    sent = data.draw(headers(), label="headers")
    body = data.draw(bodies(route), label="body")
    house.upstream.scripts["raw"] = data.draw(st.sampled_from(SCRIPTS), label="answer")
    answer = house.call(route, sent, body, data.draw(st.sampled_from([1, 1, 1, 3]), label="pieces"))
    note_event(f"{route} {answer.status}")
    assert answer.ended and answer.status not in (0, 500), answer
    told = answer.body + str(answer.headers).encode()
    for secret in (SECRET, ADMIN_KEY, str(house.directory), "Traceback", "gateway/", 'File "'):
        assert secret.encode() not in told
    assert house.parts.lines.current.admission.in_flight == 0
    if answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.status == 200
        check_stream(answer.body)
        return
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    said = orjson.loads(answer.body)
    if answer.status != 200:
        check_error(route, said)
    if answer.status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
