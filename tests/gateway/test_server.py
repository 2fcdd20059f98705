"""The served process: what it prints, how it stops, and that a killed one loses no bill."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import stat
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import aiohttp
import openai
import orjson
import pytest
from aiohttp import web
from gatekit import REMOTE, ScriptedUpstream, completion, events, send_paused, send_stream
from servekit import ROOT, serving

ASK: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


def write_config(directory: Path, upstream: ScriptedUpstream) -> None:
    (directory / "sluicegate.yaml").write_text(REMOTE.format(url=upstream.url))


def admin_key(directory: Path) -> str:
    return (directory / ".sluicegate" / "admin.key").read_text().strip()


async def usage(url: str, key: str) -> dict[str, Any]:
    """The ledger's totals, asked once: whatever a dead process left is in them from the start."""
    headers = {"authorization": f"Bearer {key}"}
    address = f"{url}/admin/usage?group_by=endpoint"
    async with aiohttp.ClientSession(headers=headers) as http, http.get(address) as response:
        total: dict[str, Any] = orjson.loads(await response.read())["total"]
        return total


async def test_the_printed_curl_line_works_when_pasted(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    write_config(tmp_path, upstream)
    async with serving(tmp_path) as (_, _, printed):
        line = next(line for line in printed.splitlines() if line.startswith("  curl "))
        ran = await asyncio.create_subprocess_exec("bash", "-c", line, stdout=PIPE)
        out, _ = await ran.communicate()
        assert orjson.loads(out)["choices"][0]["message"]["content"] == "Hello there."
        key_file = tmp_path / ".sluicegate" / "admin.key"
        assert str(key_file) in printed
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert admin_key(tmp_path) not in printed


async def test_fifty_answers_then_sigkill_are_fifty_rows_after_restart(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["stream"]:
            return await send_stream(request, [events(["Hi"])])
        return web.json_response(completion("Hello there."))

    upstream.answer = answer
    write_config(tmp_path, upstream)
    async with serving(tmp_path) as (process, url, _):
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=admin_key(tmp_path), max_retries=0)

        async def one(n: int) -> None:
            if n % 2:
                stream = await client.chat.completions.create(**ASK, stream=True)
                assert "".join([c.choices[0].delta.content or "" async for c in stream]) == "Hi"
            else:
                assert (await client.chat.completions.create(**ASK)).choices[0].message.content == "Hello there."

        await asyncio.gather(*(one(n) for n in range(50)))
        process.kill()
        await process.wait()
        await client.close()
    async with serving(tmp_path) as (_, url, _):
        total = await usage(url, admin_key(tmp_path))
        assert total["requests"] == 50
        assert total["input_tokens"] == 50 * 9
        assert total["output_tokens"] == 25 * 3 + 25 * 1
        assert total["cost_usd"] == "0.0001275"


async def test_sigterm_lets_a_stream_finish_flushes_its_row_and_exits_0(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    stopping = asyncio.Event()

    upstream.answer = lambda request, body: send_paused(request, "first ", stopping, events(["last"]))
    write_config(tmp_path, upstream)
    async with serving(tmp_path) as (process, url, _):
        key = admin_key(tmp_path)
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        stream = await client.chat.completions.create(**ASK, stream=True)
        texts = []
        async for part in stream:
            texts.append(part.choices[0].delta.content or "")
            if not stopping.is_set():
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(5):
                    while await accepts(url):
                        await asyncio.sleep(0.01)
                stopping.set()
        assert "".join(texts) == "first last"
        await client.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    async with serving(tmp_path) as (_, url, _):
        assert (await usage(url, key))["requests"] == 1


async def test_a_second_sigterm_cuts_a_stream_short_and_its_row_is_kept(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.answer = lambda request, body: send_paused(request, "first ", asyncio.Event())
    write_config(tmp_path, upstream)
    async with serving(tmp_path) as (process, url, _), aiohttp.ClientSession() as http:
        key = admin_key(tmp_path)
        headers = {"authorization": f"Bearer {key}"}
        async with http.post(f"{url}/v1/chat/completions", json={**ASK, "stream": True}, headers=headers) as response:
            await response.content.readany()
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                while await accepts(url):
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0
    async with serving(tmp_path) as (_, url, _):
        assert (await usage(url, key))["requests"] == 1


async def test_sighup_takes_over_a_changed_file_and_refuses_a_bad_one(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    write_config(tmp_path, upstream)
    path = tmp_path / "sluicegate.yaml"
    async with serving(tmp_path) as (process, url, _), aiohttp.ClientSession() as http:
        http.headers["authorization"] = f"Bearer {admin_key(tmp_path)}"
        assert process.stderr is not None
        good = path.read_text()
        for text, told in (
            (good.replace("upstream-model", "another"), {"changed": ["models[assistant].targets[0].model"]}),
            (good.replace("models:", "modles:"), {"faults": [f"sluicegate.yaml:{n}: {said}" for n, said in BAD]}),
        ):
            path.write_text(text)
            process.send_signal(signal.SIGHUP)
            line = await logged(process.stderr, *told)
            assert {name: line[name] for name in told} == told
            async with http.post(f"{url}/v1/chat/completions", json=ASK) as response:
                assert response.headers["x-sluicegate-target"] == "openai/another"
        async with http.get(f"{url}/admin/audit") as response:
            [entry] = (await response.json())["data"]
        assert (entry["action"], entry["actor_id"]) == ("config.reload", "signal")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


BAD = [
    (2, "models: this key is required"),
    (2, 'modles: unknown key (did you mean "models"?)'),
]


async def logged(stream: asyncio.StreamReader, *names: str) -> dict[str, Any]:
    """The next line of the log that has these fields."""
    async with asyncio.timeout(10):
        while line := await stream.readline():
            found: dict[str, Any] = orjson.loads(line)
            if all(name in found for name in names):
                return found
    raise AssertionError("the log has ended")


async def accepts(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def failure(directory: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments,
        cwd=directory, stdout=PIPE, stderr=PIPE, stdin=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    out, err = await process.communicate(b"Mail jane@example.com")
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


async def test_a_start_that_cannot_be_is_one_line_and_exit_1(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    write_config(tmp_path, upstream)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = await failure(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("sluicegate: cannot listen on 127.0.0.1:")


@pytest.mark.slow
async def test_commands_work_on_the_configured_house(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    write_config(tmp_path, upstream)
    assert await failure(tmp_path, "check") == (0, "sluicegate.yaml: ok (1 models, 1 guards)\n")
    assert await failure(tmp_path, "migrate") == (0, "the database is up to date\n")
    code, said = await failure(tmp_path, "keys", "create", "my app", "--team", "search", "--model", "assistant")
    secret, told = said.splitlines()
    assert code == 0 and secret.startswith("sg-")
    key_id = told.split()[0]
    code, said = await failure(tmp_path, "keys", "list")
    assert code == 0
    assert said.split("\t") == [key_id, f"…{secret[-4:]}", "active", "client", "search", "my app\n"]
    assert (await failure(tmp_path, "keys", "revoke", key_id))[0] == 0
    assert "revoked" in (await failure(tmp_path, "keys", "list"))[1]
    code, said = await failure(tmp_path, "usage", "--by", "key", "--since", "7d", "--json")
    assert (code, orjson.loads(said)["total"]["requests"]) == (0, 0)
    code, said = await failure(tmp_path, "guard", "test", "pii")
    assert code == 0
    assert orjson.loads(said)["findings"] == {"EMAIL": 1}
    assert "jane" not in said


WRONG = [
    (["serve", "--workers", "2"], 2, "shared_state"),
    (["serve", "--nothing"], 2, "--nothing"),
    (["nothing"], 2, "nothing"),
    (["check", "--config", "missing.yaml"], 2, "cannot read the file"),
    (["keys", "revoke", "key_none"], 1, "no key"),
    (["keys", "create", "x", "--model", "none"], 1, "not configured"),
    (["usage", "--since", "soon"], 2, "neither a span"),
    (["usage", "--by", "planet"], 2, "planet"),
    (["guard", "test", "none"], 2, "configured: pii"),
    (["engine", "chat"], 1, "no local model"),
]


@pytest.mark.slow
async def test_wrong_commands_are_one_line_without_a_traceback(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    write_config(tmp_path, upstream)
    for arguments, code, words in WRONG:
        got, said = await failure(tmp_path, *arguments)
        assert (got, said.count("\n")) == (code, 1), (arguments, said)
        assert words in said, (shlex.join(arguments), said)
        assert "Traceback" not in said
