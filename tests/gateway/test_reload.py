"""A changed configuration file: taken over whole while requests are under way, or refused whole with every fault."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from adminkit import ASK, call, entries, ok
from aiohttp import web
from gatekit import RunningGate, ScriptedUpstream, completion, events, run_gate, send_paused

from gateway.config import Config, load_config
from gateway.config.changes import differences, restart_faults
from gateway.storage.audit import Actor

ONE = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: first, base_url: "{url}", api_key: sk-upstream-secret-0123456789, retries: 0}}
"""
OTHER = ONE.replace("model: first", "model: second")
MORE = (
    OTHER
    + """
  - name: extra
    targets: [{{provider: openai, model: third, base_url: "{url}", api_key: x, retries: 0}}]
guards:
  - {{name: pii, kind: pii, stages: [input, output], action: redact, default: true}}
"""
)


class House:
    """A running gate and the file it was started with."""

    def __init__(self, gate: RunningGate, path: Path, upstream: ScriptedUpstream) -> None:
        self.gate = gate
        self.path = path
        self.head = path.read_text().split("models:")[0]
        self.upstream = upstream

    def write(self, text: str) -> None:
        self.path.write_text(self.head + text.format(url=self.upstream.url))

    async def reload(self, text: str) -> list[str]:
        self.write(text)
        answer = await ok(self.gate, "POST", "/config/reload")
        changed: list[str] = answer["changed"]
        return changed

    async def refused(self, text: str) -> list[dict[str, Any]]:
        self.write(text)
        status, _, answer = await call(self.gate, "POST", "/config/reload")
        assert (status, answer["error"]["code"]) == (400, "invalid_config")
        faults: list[dict[str, Any]] = answer["error"]["faults"]
        return faults

    def line_of(self, words: str) -> int:
        return next(n for n, line in enumerate(self.path.read_text().splitlines(), 1) if words in line)


@pytest.fixture
async def house(tmp_path: Path, upstream: ScriptedUpstream) -> Any:
    async with run_gate(tmp_path, ONE.format(url=upstream.url)) as gate:
        yield House(gate, tmp_path / "sluicegate.yaml", upstream)


async def test_a_reload_brings_new_models_targets_and_guards(house: House) -> None:
    assert await house.reload(MORE) == ["models[assistant].targets[0].model", "models[extra]", "guards[pii]"]
    assert [model["id"] for model in (await house.gate.get("/v1/models"))["data"]] == ["assistant", "extra"]
    ask = {"model": "assistant", "messages": [{"role": "user", "content": "Mail jane@example.com"}]}
    status, headers, _ = await house.gate.post(ask)
    assert (status, headers["x-sluicegate-target"]) == (200, "openai/second")
    assert house.upstream.requests[-1]["model"] == "second"
    assert "jane@example.com" not in json.dumps(house.upstream.requests[-1])
    assert [model["model"] for model in (await house.gate.get("/admin/models"))["data"]] == ["assistant", "extra"]
    assert [one["target"] for one in (await house.gate.get("/admin/prices"))["data"]] == [
        "openai/second",
        "openai/third",
    ]
    await ok(house.gate, "POST", "/keys", {"name": "a", "models": ["extra"], "guards": ["pii"]})
    page = await house.gate.metrics()
    assert page['sluicegate_upstream_attempts_total{outcome="ok",target="openai/second"}'] == 1
    assert page['sluicegate_guard_verdicts_total{action="redact",guard="pii",stage="input"}'] == 1
    assert 'sluicegate_breaker_open{target="openai/first"}' not in page


async def test_an_unchanged_file_changes_nothing_and_keeps_the_connections(house: House) -> None:
    peers: set[Any] = set()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response(completion("Hello."))

    house.upstream.answer = answer
    assert (await house.gate.post(ASK))[0] == 200
    before = await entries(house.gate)
    assert await house.reload(ONE) == []
    weighted = ONE.replace("retries: 0", "retries: 1, weight: 3")
    assert await entries(house.gate) == before
    assert await house.reload(weighted) == [
        "models[assistant].targets[0].weight",
        "models[assistant].targets[0].retries",
    ]
    assert (await house.gate.post(ASK))[0] == 200
    assert len(peers) == 1


async def test_a_target_keeps_what_is_known_of_it_until_its_upstream_changes(house: House) -> None:
    def in_force() -> Any:
        return house.gate.parts.lines.current.router.models[0].targets[0]

    first = in_force()
    await house.gate.post(ASK)
    await house.reload(ONE.replace("retries: 0", "retries: 0, timeouts: {{total: 9s}}"))
    assert in_force() is not first and in_force().state is first.state
    assert (await house.gate.get("/admin/models"))["data"][0]["targets"][0]["whole"]["measures"] == 1
    await house.reload(ONE.replace("retries: 0", "name: openai/first, retries: 0").replace("secret", "other"))
    assert in_force().name == first.name and in_force().state is not first.state


async def test_a_stream_ends_as_it_began_when_its_target_is_taken_out(house: House) -> None:
    go_on = asyncio.Event()
    house.upstream.answer = lambda request, body: send_paused(request, "first ", go_on, events(["last"]))
    client = house.gate.client()
    stream = await client.chat.completions.create(**ASK, stream=True)
    texts = []
    async for part in stream:
        texts.append(part.choices[0].delta.content or "")
        if not go_on.is_set():
            assert await house.reload(OTHER) == ["models[assistant].targets[0].model"]
            go_on.set()
    assert "".join(texts) == "first last"
    await client.close()
    [row] = await house.gate.rows()
    assert (row.target, row.status, row.outcome) == ("openai/first", 200, "ok")
    page = await house.gate.metrics()
    assert page['sluicegate_upstream_attempts_total{outcome="ok",target="openai/first"}'] == 1


async def test_a_replaced_line_is_closed_when_its_last_request_has_left(house: House) -> None:
    go_on = asyncio.Event()
    house.upstream.answer = lambda request, body: send_paused(request, "first", go_on, events([]))
    old = house.gate.parts.lines.current
    async with house.gate.http.post(
        house.gate.url + "/v1/chat/completions", json={**ASK, "stream": True}, headers=house.gate.headers
    ) as response:
        await response.content.readany()
        await house.reload(OTHER)
        session = old.router.models[0].targets[0].upstream._connector  # type: ignore[attr-defined]
        assert (old.requests, session.closed) == (1, False)
        go_on.set()
        await response.read()
    async with asyncio.timeout(1):
        while not session.closed:
            await asyncio.sleep(0.001)
    assert old.requests == 0


async def test_no_call_fails_over_ten_reloads(house: House) -> None:
    statuses: list[int] = []
    served: set[str] = set()
    changing = True

    async def calls() -> None:
        while changing or len(statuses) < 50:
            status, headers, _ = await house.gate.post(ASK)
            statuses.append(status)
            served.add(headers["x-sluicegate-target"])

    callers = [asyncio.create_task(calls()) for _ in range(4)]
    for number in range(10):
        done = len(statuses)
        await house.reload(ONE if number % 2 else MORE)
        while len(statuses) < done + 5:
            await asyncio.sleep(0.001)
    changing = False
    await asyncio.gather(*callers)
    assert len(statuses) >= 50 and set(statuses) == {200}
    assert served == {"openai/first", "openai/second"}
    assert len(await house.gate.rows()) == len(statuses)


async def test_a_bad_file_is_refused_with_every_fault_and_the_old_one_serves_on(house: House) -> None:
    before = await entries(house.gate)
    bad = MORE.replace("model: third", "modle: third").replace("kind: pii", "kind: pii, entities: [NOTHING]")
    faults = await house.refused(bad)
    assert {fault["path"] for fault in faults} >= {"models[1].targets[0].modle"}
    assert {fault["line"] for fault in faults if "modle" in fault["path"]} == {house.line_of("modle")}
    assert await house.refused("models: [")
    [unreadable] = await house.refused(MORE.replace("kind: pii", "kind: pii, entities: [NOTHING]"))
    assert (unreadable["path"], unreadable["line"]) == ("guards[0].entities", house.line_of("entities"))
    assert "sk-upstream-secret" not in json.dumps([faults, unreadable])
    status, headers, _ = await house.gate.post(ASK)
    assert (status, headers["x-sluicegate-target"]) == (200, "openai/first")
    assert await entries(house.gate) == before


async def test_what_needs_a_restart_is_a_fault_with_its_line(house: House) -> None:
    house.head = house.head.replace("port: 0", "port: 0, max_body: 1MiB").replace("sg-test-admin-key", "sg-other")
    telemetry = "telemetry: {{service_name: other, log_level: info}}\n"
    faults = await house.refused(MORE + telemetry + 'shared_state: {{url: "redis://127.0.0.1:1"}}\n')
    assert [(fault["path"], fault["line"]) for fault in faults] == [
        ("server.max_body", house.line_of("max_body")),
        ("admin_key", house.line_of("admin_key")),
        ("telemetry.service_name", house.line_of("service_name")),
        ("shared_state.url", house.line_of("redis")),
    ]
    assert all("restart" in fault["message"] for fault in faults)
    assert "sg-other" not in json.dumps(faults)
    assert [model["id"] for model in (await house.gate.get("/v1/models"))["data"]] == ["assistant"]


async def test_a_reload_is_in_the_audit_log_without_values(house: House) -> None:
    changed = await house.reload(ONE.replace("sk-upstream-secret-0123456789", "sk-quite-another"))
    assert changed == ["models[assistant].targets[0].api_key"]
    entry = (await ok(house.gate, "GET", "/audit"))["data"][0]
    assert (entry["action"], entry["actor_id"]) == ("config.reload", "admin")
    assert entry["after"] == {"changed": changed}
    assert "sk-quite" not in json.dumps(entry)


async def test_only_who_may_write_may_reload(house: House) -> None:
    for role, status in (("client", 403), ("viewer", 403), ("admin", 200)):
        key = (await ok(house.gate, "POST", "/keys", {"name": role, "role": role}))["key"]
        assert (await call(house.gate, "POST", "/config/reload", key=key))[0] == status


async def test_keys_that_name_what_is_gone_behave_as_after_a_restart(house: House) -> None:
    await house.reload(MORE)
    made = await ok(house.gate, "POST", "/keys", {"name": "a", "models": ["extra", "assistant"], "guards": ["pii"]})
    headers = {"authorization": f"Bearer {made['key']}"}
    assert (await house.gate.post({**ASK, "model": "extra"}, **headers))[0] == 200
    await house.reload(ONE)
    status, _, answer = await house.gate.post({**ASK, "model": "extra"}, **headers)
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    status, _, answer = await house.gate.post(ASK, **headers)
    assert (status, answer["error"]["code"]) == (503, "guard_unavailable")


async def test_limits_prices_and_overrides_hold_from_the_reload_on(house: House) -> None:
    await house.reload(ONE + "    limits: {{requests_per_minute: 1}}\n")
    assert [(await house.gate.post(ASK))[0] for _ in range(2)] == [200, 429]
    await ok(house.gate, "PUT", "/prices/openai%2Ffirst", {"input": "2", "output": "2"})
    await house.reload(ONE.replace("retries: 0", 'retries: 0, price: {{input: "1", output: "1"}}'))
    [price] = (await house.gate.get("/admin/prices"))["data"]
    assert (price["source"], price["price"]["input"]) == ("override", "2")
    status, headers, _ = await house.gate.post(ASK)
    assert (status, headers["x-sluicegate-cost-usd"]) == (200, "0.000024")


async def test_a_reload_that_cannot_be_audited_changes_nothing(house: House) -> None:
    async with house.gate.parts.database.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE audit_log RENAME TO gone")
    house.write(OTHER)
    status, _, answer = await call(house.gate, "POST", "/config/reload")
    assert (status, answer["error"]["code"]) == (503, "storage_unavailable")
    await house.gate.parts.reloader.try_reload(Actor(id="signal", name="SIGHUP"))
    assert (await house.gate.post(ASK))[1]["x-sluicegate-target"] == "openai/first"


def loaded(path: Path, text: str) -> Config:
    path.write_text(text)
    return load_config(path, {})


TARGET = "{provider: openai, model: m, base_url: 'http://h/v1', api_key: x"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("limits: {requests_per_minute: 5}", "limits: {}", ["models[a].limits.requests_per_minute"]),
        ("routing: ordered", "routing: weighted", ["models[a].routing"]),
        ("hedge: {after: 1s}", "hedge: {after: 2s}", ["models[a].hedge.after"]),
        ("hedge: {after: 1s}", "", ["models[a].hedge"]),
    ],
)
def test_a_difference_is_named_by_its_place(tmp_path: Path, old: str, new: str, changed: list[str]) -> None:
    text = f"models:\n  - name: a\n    targets: [{TARGET}}}, {TARGET}, name: other, weight: 2}}]\n    %s\n"
    configs = [loaded(tmp_path / "a.yaml", text % part) for part in (old, new)]
    found = differences(configs[0], configs[1])
    assert [difference.label for difference in found] == changed
    assert restart_faults(configs[1], found) == []
    assert differences(configs[1], configs[1]) == []


def test_order_and_number_are_differences_of_the_list(tmp_path: Path) -> None:
    def models(*names: str, targets: int = 1) -> Config:
        listed = ", ".join(f"{TARGET}, name: '{n}'}}" for n in range(targets))
        text = "models:\n" + "".join(f"  - {{name: {name}, targets: [{listed}]}}\n" for name in names)
        return loaded(tmp_path / "a.yaml", text)

    def labels(old: Config, new: Config) -> list[str]:
        return [difference.label for difference in differences(old, new)]

    assert labels(models("a", "b"), models("b", "a")) == ["models"]
    assert labels(models("a", "b"), models("b", "c")) == ["models[c]", "models[a]"]
    assert labels(models("a", targets=1), models("a", targets=2)) == ["models[a].targets"]
