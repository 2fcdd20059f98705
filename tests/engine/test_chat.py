"""The facade: checked requests in, text with honest counts out, nothing left running behind."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from text_kit import MODEL, tiny_tokenizer, write_gguf

from engine.chat import LONG_TEXT, ChatChunk, ChatRequest, LocalModel
from engine.client import EngineClient
from engine.config import EngineConfig, KVCacheConfig
from engine.errors import (
    EngineConfigError,
    EngineUnavailable,
    InvalidRequest,
    ModelFileError,
    PromptTooLong,
    QueueFull,
    UnsupportedParameter,
)
from engine.terminal import Conversation
from engine.text.template import ChatTemplate
from engine.types import Delta, EngineStats, FinishReason, ModelInfo, Request

CONTEXT = 256
TINY = tiny_tokenizer()
HI = [{"role": "user", "content": "hi"}]


class FakeClient:
    """Answers every request with the same deltas, and notes what it was asked and whether it was left."""

    def __init__(self, deltas: list[Delta] | None = None, error: Exception | None = None) -> None:
        self.deltas = deltas or []
        self.error = error
        self.vocab_size = TINY.vocab_size
        self.requests: list[Request] = []
        self.open = 0
        self.yielded = 0
        self.healthy = False
        self.stats = EngineStats()

    @property
    def info(self) -> ModelInfo:
        numbers = {"parameters": 10, "weight_bytes": 40, "kv_bytes_per_token": 8, "blocks": 64, "block_size": 4}
        return ModelInfo(
            name="tiny", architecture="llama", context=CONTEXT, vocab_size=self.vocab_size, weights="f32", **numbers
        )

    async def start(self, timeout: float = 120.0) -> ModelInfo:
        self.healthy = True
        return self.info

    async def close(self) -> None:
        self.healthy = False

    async def refresh_stats(self) -> EngineStats:
        return EngineStats(steps=7)

    async def generate(self, request: Request) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        self.open += 1
        try:
            for delta in self.deltas:
                await asyncio.sleep(0)
                self.yielded += 1
                yield delta
            if self.error is not None:
                raise self.error
        finally:
            self.open -= 1


def deltas_of(*pieces: str, finish: FinishReason | None = FinishReason.STOP) -> list[Delta]:
    """One delta per piece, counts growing; a last one with `finish`, whose end token is counted but not shown."""
    deltas, count = [], 0
    for piece in pieces:
        tokens = TINY.encode(piece)
        count += len(tokens)
        deltas.append(Delta(id="r", tokens=tokens, completion_tokens=count, cached_tokens=4, compute_us=count * 10))
    if finish is not None:
        count += finish is FinishReason.STOP
        deltas.append(Delta(id="r", tokens=[], finish=finish, completion_tokens=count, cached_tokens=4, compute_us=999))
    return deltas


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_gguf(tmp_path / "tiny.gguf"))


@pytest.fixture
def started(file: str) -> Callable[..., Any]:
    async def start(*deltas: Delta, error: Exception | None = None) -> tuple[LocalModel, FakeClient]:
        client = FakeClient(list(deltas), error)
        model = LocalModel(EngineConfig(name="tiny", path=file), client)  # type: ignore[arg-type]
        await model.start()
        return model, client

    return start


def ask(text: str = "hi", **fields: Any) -> ChatRequest:
    return ChatRequest(messages=[{"role": "user", "content": text}], **fields)


async def collect(chunks: AsyncIterator[ChatChunk]) -> list[ChatChunk]:
    return [chunk async for chunk in chunks]


def joined(chunks: list[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_answer_streams_and_its_counts_are_final_on_the_last_chunk(started: Any) -> None:
    model, client = await started(*deltas_of("hello", " wörld"))
    chunks = await collect(model.chat(ask(temperature=0, seed=5, top_p=0.5, top_k=3, salt="t", request_id="r1")))
    assert [chunk.text for chunk in chunks] == ["hello", " wörld", ""]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, "stop"]
    completion = len(TINY.encode("hello")) + len(TINY.encode(" wörld")) + 1
    assert chunks[-1] == ChatChunk(
        text="",
        finish_reason="stop",
        prompt_tokens=model.count_tokens(HI),
        cached_tokens=4,
        completion_tokens=completion,
        compute_us=999,
    )
    assert chunks[0].completion_tokens == 1  # totals so far, for an answer that is left early
    request = client.requests[0]
    assert (request.id, request.salt) == ("r1", "t")
    assert TINY.decode(request.prompt, skip_special=False).endswith("hi<|im_end|>\n<|im_start|>assistant\n")
    params = request.params
    assert (params.temperature, params.seed, params.top_p, params.top_k) == (0, 5, 0.5, 3)
    assert set(params.stop_token_ids) == TINY.eos_token_ids


async def test_max_tokens_fills_the_rest_of_the_context(started: Any) -> None:
    model, client = await started(*deltas_of("hello", finish=FinishReason.LENGTH))
    chunks = await collect(model.chat(ask()))
    assert chunks[-1].finish_reason == "length"
    assert client.requests[0].params.max_tokens == CONTEXT - model.count_tokens(HI)


async def test_character_over_two_deltas_comes_whole(started: Any) -> None:
    smile = TINY.encode("\U0001f600")
    halves = [Delta(id="r", tokens=smile[:2]), Delta(id="r", tokens=smile[2:])]
    model, _ = await started(*halves, Delta(id="r", tokens=smile[:3], finish=FinishReason.LENGTH))
    assert [chunk.text for chunk in await collect(model.chat(ask()))] == ["\U0001f600", "�"]


async def test_stop_string_ends_the_answer_and_the_work(started: Any) -> None:
    model, client = await started(*deltas_of("one", "\n", "\ntwo", "three", "four"))
    chunks = await collect(model.chat(ask(stop=["\n\n"])))
    assert joined(chunks) == "one"
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].completion_tokens == 5  # o, n, e and the two newlines: up to the completing token
    assert (client.yielded, client.open) == (3, 0)


async def test_stop_string_never_completed_is_shown(started: Any) -> None:
    model, _ = await started(*deltas_of("one", "\n"))
    chunks = await collect(model.chat(ask(stop=["\n\n"])))
    assert joined(chunks) == "one\n"
    assert chunks[-1].completion_tokens == 5


async def test_stop_string_completed_by_the_tail_counts_as_found(started: Any) -> None:
    model, _ = await started(Delta(id="r", tokens=TINY.encode("a\u00e9")[:-1], finish=FinishReason.LENGTH))
    chunks = await collect(model.chat(ask(stop=["�"])))
    assert (joined(chunks), chunks[-1].finish_reason) == ("a", "stop")


async def test_special_text_as_stop_string_works_as_text_and_as_token(started: Any) -> None:
    model, client = await started(*deltas_of("a <|im_sta", "rt|> b"))
    chunks = await collect(model.chat(ask(stop=["<|im_start|>"])))
    assert joined(chunks) == "a "
    assert 1 in client.requests[0].params.stop_token_ids


async def test_leaving_early_leaves_no_work_behind(started: Any) -> None:
    model, client = await started(*deltas_of("one", "two", "three"))
    async with aclosing(model.chat(ask())) as chunks:
        async for _ in chunks:
            break
        assert client.open == 1
    assert (client.open, client.yielded) == (0, 1)


@pytest.mark.parametrize("finish", [FinishReason.ERROR, FinishReason.ABORT])
async def test_failed_answer_is_a_typed_error_without_internals(
    started: Any, finish: FinishReason, caplog: pytest.LogCaptureFixture
) -> None:
    failed = Delta(id="r", tokens=[], finish=finish, error="NaN at /opt/secret.py:7")
    model, client = await started(*deltas_of("one", finish=None), failed)
    with pytest.raises(EngineUnavailable) as caught:
        await collect(model.chat(ask()))
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text
    assert client.open == 0


async def test_answer_that_just_ends_is_not_taken_for_a_whole_one(started: Any) -> None:
    model, _ = await started(*deltas_of("one", finish=None))
    with pytest.raises(EngineUnavailable):
        await collect(model.chat(ask()))


async def test_errors_of_the_engine_pass_through(started: Any) -> None:
    model, _ = await started(error=QueueFull(2.5))
    with pytest.raises(QueueFull) as caught:
        await collect(model.chat(ask()))
    assert caught.value.retry_after == 2.5


BAD_FIELDS = [
    ("max_tokens", [0, -1, 2**31, 1.5, "5", True]),
    ("temperature", [-0.1, 2.1, float("nan"), float("inf"), "1", None, True]),
    ("top_p", [0, -0.5, 1.01, float("nan"), "1"]),
    ("top_k", [-1, 0.5, None]),
    ("seed", [2**63, -(2**63) - 1, 1.0, "1", True]),
    ("stop", [["a"] * 5, [""], [7], "text", None]),
]


@pytest.mark.parametrize(("field", "value"), [(name, value) for name, values in BAD_FIELDS for value in values])
async def test_value_out_of_range_is_refused_by_name(started: Any, field: str, value: object) -> None:
    model, client = await started(*deltas_of("x"))
    with pytest.raises(InvalidRequest) as caught:
        await collect(model.chat(ask(**{field: value})))
    assert caught.value.param == field
    assert not client.requests


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 1, "temperature": 0, "top_p": 1, "top_k": 0, "seed": -(2**63), "stop": []},
        {"temperature": 2, "top_p": 1e-9, "seed": 2**63 - 1, "stop": ["a", "b", "c", "d"]},
    ],
)
async def test_values_at_the_edges_are_taken(started: Any, fields: dict[str, Any]) -> None:
    model, client = await started(*deltas_of("x"))
    assert await collect(model.chat(ask(**fields)))
    assert len(client.requests) == 1


async def test_bad_messages_are_refused(started: Any) -> None:
    model, client = await started(*deltas_of("x"))
    with pytest.raises(InvalidRequest, match="messages"):
        await collect(model.chat(ChatRequest(messages=[])))
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(UnsupportedParameter):
        await collect(model.chat(ChatRequest(messages=image)))
    assert not client.requests


async def test_prompt_too_long_says_all_numbers(started: Any) -> None:
    model, client = await started(*deltas_of("x"))
    prompt = model.count_tokens(HI)
    exact = ask(max_tokens=CONTEXT - prompt)
    assert await collect(model.chat(exact))
    with pytest.raises(PromptTooLong) as caught:
        await collect(model.chat(ask(max_tokens=CONTEXT - prompt + 1)))
    error = caught.value
    assert (error.prompt_tokens, error.max_tokens, error.context) == (prompt, CONTEXT - prompt + 1, CONTEXT)
    with pytest.raises(PromptTooLong) as caught:
        await collect(model.chat(ask("x " * CONTEXT)))
    assert caught.value.max_tokens == 1
    assert len(client.requests) == 1


async def test_long_texts_are_tokenized_off_the_event_loop(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []
    encode = ChatTemplate.encode

    def noting(self: ChatTemplate, messages: Any) -> list[int]:
        threads.append(threading.current_thread() is threading.main_thread())
        return encode(self, messages)

    monkeypatch.setattr(ChatTemplate, "encode", noting)
    model, _ = await started(*deltas_of("x"))
    await collect(model.chat(ask("hi")))
    with pytest.raises(PromptTooLong):
        await collect(model.chat(ask("x" * LONG_TEXT * 2)))
    assert threads == [True, False]


async def test_model_that_is_not_started_is_unavailable(file: str) -> None:
    model = LocalModel(EngineConfig(name="tiny", path=file))
    assert not model.healthy
    with pytest.raises(EngineUnavailable):
        model.count_tokens(HI)
    with pytest.raises(EngineUnavailable):
        await collect(model.chat(ask()))
    await model.close()


async def test_health_and_statistics_are_the_clients(started: Any) -> None:
    model, client = await started()
    client.stats = EngineStats(running=2)
    assert model.healthy
    assert model.info.context == CONTEXT
    assert model.stats.running == 2
    assert (await model.refresh_stats()).steps == 7
    await model.close()
    assert not model.healthy


async def test_start_that_fails_leaves_no_engine_running(file: str, tmp_path: Path) -> None:
    client = FakeClient()
    bare = write_gguf(tmp_path / "bare.gguf", template=None)
    configs = [
        (EngineConfig(name="m", path=str(tmp_path / "missing")), ModelFileError),
        (EngineConfig(name="m", path=str(bare)), ModelFileError),
        (EngineConfig(name="m", path=file, max_sequences=0), EngineConfigError),
    ]
    for config, error in configs:
        with pytest.raises(error):
            await LocalModel(config, client).start()  # type: ignore[arg-type]
        assert not client.healthy
    client.vocab_size = TINY.vocab_size - 1
    with pytest.raises(ModelFileError, match="vocabulary"):
        await LocalModel(EngineConfig(name="m", path=file), client).start()  # type: ignore[arg-type]
    assert not client.healthy


async def test_terminal_answers_every_line_and_remembers(
    started: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, client = await started(*deltas_of("hello", " \x1b[31m"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"first\n\nsecond \xff\n/new\nthird\n")))
    await Conversation(model, system="be kind", settings={"max_tokens": 9}).run()
    shown = capsys.readouterr().out
    assert shown.count("hello ␛[31m\n[stop: ") == 3
    assert "\x1b" not in shown
    prompts = [TINY.decode(request.prompt) for request in client.requests]
    assert ["first" in prompt for prompt in prompts] == [True, True, False]
    assert "hello" in prompts[1] and "�" in prompts[1]
    assert all("be kind" in prompt for prompt in prompts)
    assert {request.params.max_tokens for request in client.requests} == {9}


async def test_terminal_goes_on_after_an_interrupt_and_an_error(
    started: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, client = await started(*deltas_of("hello", "never shown"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"first\n{'x' * 999}\nlast\n".encode())))
    conversation = Conversation(model, system=None, settings={})
    generate = client.generate

    async def interrupted(request: Request) -> AsyncGenerator[Delta, None]:
        async with aclosing(generate(request)) as deltas:
            async for delta in deltas:
                if client.yielded == 2:
                    conversation.interrupt()
                    await asyncio.sleep(0)
                yield delta

    client.generate = interrupted  # type: ignore[method-assign]
    await conversation.run()
    captured = capsys.readouterr()
    assert captured.out.startswith("hello\n[stopped]\nhello")
    assert "maximum context length" in captured.err
    assert client.open == 0
    assert "hello" in TINY.decode(client.requests[1].prompt)  # what was said before the interrupt is kept


@pytest.fixture
def small_engine() -> EngineConfig:
    cache = KVCacheConfig(memory=32 * 2**20)
    return EngineConfig(name="smollm2", path=str(MODEL), max_context=512, kv_cache=cache, threads=1)


@pytest.mark.model
async def test_real_model_streams_stops_and_frees_everything(small_engine: EngineConfig) -> None:
    model = LocalModel(small_engine, EngineClient(small_engine))
    await model.start()
    try:
        question = ask("What is the capital of France?", temperature=0, max_tokens=24)
        whole = await collect(model.chat(question))
        last, text = whole[-1], joined(whole)
        assert text.strip()
        assert len(whole) > 1
        assert last.finish_reason in ("stop", "length")
        assert last.prompt_tokens == model.count_tokens(question.messages)
        assert 1 <= last.completion_tokens <= 24
        assert last.compute_us > 0

        stop = text[2:6]
        stopped = await collect(
            model.chat(ask("What is the capital of France?", temperature=0, max_tokens=24, stop=[stop]))
        )
        assert joined(stopped) == text[: text.index(stop)]
        assert stopped[-1].finish_reason == "stop"
        assert stopped[-1].completion_tokens <= last.completion_tokens
        assert stopped[-1].cached_tokens > 0  # the same prompt again

        async with aclosing(model.chat(ask("Tell me a long story.", max_tokens=400))) as chunks:
            async for _ in chunks:
                break
        for _ in range(100):
            stats = await model.refresh_stats()
            if not stats.running and not stats.blocks_used:
                break
        assert (stats.running, stats.waiting, stats.blocks_used) == (0, 0, 0)
        assert stats.blocks_free + stats.blocks_cached == stats.blocks_total
    finally:
        await model.close()


@pytest.mark.model
async def test_real_terminal_works_through_pipes(small_engine: EngineConfig) -> None:
    program = (
        "import asyncio, msgspec, sys\n"
        "from engine.config import EngineConfig\n"
        "from engine.terminal import chat_in_terminal\n"
        "config = msgspec.json.decode(sys.argv[1], type=EngineConfig)\n"
        "asyncio.run(chat_in_terminal(config, max_tokens=8, temperature=0))\n"
    )
    config = msgspec.json.encode(small_engine).decode()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, config),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    out, err = await child.communicate(b"What is the capital of France?\nAnd of Spain?\n")
    assert child.returncode == 0, err.decode()
    assert b"Traceback" not in err
    assert out.decode().count(" prompt tokens (") == 2
