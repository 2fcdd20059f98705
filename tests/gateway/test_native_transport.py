"""How a native upstream is reached: through a proxy, and with a certificate that only the operator's file signs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import trustme
from gatekit import completion, run_gate

from gateway.config import ConfigError
from gateway.startup import StartupError

CONFIG = """
models:
  - name: assistant
    targets:
      - {{provider: openai, model: m, base_url: "{url}", retries: 0, price: {{input: "1", output: "1"}}{more}}}
"""
ASK = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


@asynccontextmanager
async def answering(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port whose server answers every request alike, and the request lines that came."""
    lines: list[bytes] = []
    body = orjson.dumps(completion("Hello."))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines.append(head.split(b"\r\n", 1)[0])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], lines


async def test_a_target_is_reached_through_its_proxy(tmp_path: Path) -> None:
    async with answering() as (port, lines):
        more = f', proxy: "http://127.0.0.1:{port}"'
        async with run_gate(tmp_path, CONFIG.format(url="http://models.invalid/v1", more=more)) as gate:
            status, _, reply = await gate.post(ASK)
    assert (status, reply["choices"][0]["message"]["content"]) == (200, "Hello.")
    assert lines == [b"POST http://models.invalid/v1/chat/completions HTTP/1.1"]


async def test_the_operators_certificates_are_trusted_where_they_are_named(tmp_path: Path) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with answering(tls) as (port, lines):
        url = f"https://localhost:{port}/v1"
        async with run_gate(tmp_path, CONFIG.format(url=url, more="")) as gate:
            status, _, told = await gate.post(ASK)
            assert (status, told["error"]["code"], lines) == (502, "upstream_failed", [])
        async with run_gate(tmp_path, CONFIG.format(url=url, more=f", ca_file: {tmp_path / 'ca.pem'}")) as gate:
            assert (await gate.post(ASK))[0] == 200


async def test_a_file_without_certificates_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(StartupError, match=r"ca\.pem holds no certificates"):
        async with run_gate(tmp_path, CONFIG.format(url="https://x/v1", more=f", ca_file: {tmp_path / 'ca.pem'}")):
            pass


@pytest.mark.parametrize("key", ["proxy: http://127.0.0.1:1", "ca_file: ca.pem"])
async def test_other_providers_take_neither(tmp_path: Path, key: str) -> None:
    text = f"models: [{{name: a, targets: [{{provider: anthropic, model: m, api_key: k, {key}}}]}}]"
    with pytest.raises(ConfigError, match="is for provider: openai"):
        async with run_gate(tmp_path, text):
            pass
