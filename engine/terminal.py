"""A conversation with a local model on the terminal: `sluicegate engine chat`.

Plain text, so it works with pipes: each line of standard input is a question.
"""

from __future__ import annotations

import asyncio
import io
import signal
import sys
import time
from contextlib import aclosing, suppress
from typing import Any

from engine.chat import ChatChunk, ChatRequest, LocalModel
from engine.config import EngineConfig
from engine.errors import EngineError

PROMPT = "> "
HELP = "Ctrl-C stops an answer, Ctrl-D leaves, /new begins a new conversation."


async def chat_in_terminal(
    config: EngineConfig,
    *,
    system: str | None = None,
    max_tokens: int | None = None,
    temperature: float = 0.7,
    seed: int | None = None,
) -> None:
    """Serve `config`, read questions until standard input ends, print the answers as they come.

    Raises EngineConfigError, ModelFileError or EngineUnavailable if the model cannot be started.
    """
    model = LocalModel(config)
    await model.start()
    try:
        settings = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        await Conversation(model, system=system, settings=settings).run()
    finally:
        await model.close()


class Conversation:
    """Questions from standard input, answers on standard output; earlier turns are part of each prompt."""

    def __init__(self, model: LocalModel, *, system: str | None, settings: dict[str, Any]) -> None:
        """`model` is started; `settings` are fields of ChatRequest."""
        self._model = model
        self._settings = settings
        self._opening = [] if system is None else [{"role": "system", "content": system}]
        self._messages = list(self._opening)
        self._answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Go on until standard input ends."""
        prompt = ""
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        if sys.stdin.isatty():
            prompt = PROMPT
            info = self._model.info
            print(f"{info.name}, {info.parameters / 1e6:.0f} M parameters in {info.weights}. {HELP}")
            with suppress(NotImplementedError):  # an event loop without signals: Ctrl-C ends the program
                asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self.interrupt)
        while (line := await _read_line(prompt)) is not None:
            if line.strip() == "/new":
                self._messages = list(self._opening)
            elif line.strip():
                await self._ask(line)

    def interrupt(self) -> None:
        """Stop the answer that is being printed, if there is one."""
        if self._answering is not None:
            self._answering.cancel()
        else:
            print(f"\n[{HELP}]\n{PROMPT}", end="", flush=True)

    async def _ask(self, question: str) -> None:
        messages = [*self._messages, {"role": "user", "content": question}]
        answer = _PrintedAnswer()
        request = ChatRequest(messages=messages, **self._settings)
        self._answering = asyncio.create_task(answer.run(self._model, request))
        try:
            await self._answering
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise
            print("\n[stopped]", flush=True)
        except EngineError as error:
            print(f"[{error}]", file=sys.stderr, flush=True)
        finally:
            self._answering = None
        if answer.text:
            self._messages = [*messages, {"role": "assistant", "content": answer.text}]


class _PrintedAnswer:
    """One answer, printed piece by piece, then what it used and how fast it came."""

    def __init__(self) -> None:
        self.text = ""

    async def run(self, model: LocalModel, request: ChatRequest) -> None:
        started = time.perf_counter()
        first: float | None = None
        async with aclosing(model.chat(request)) as chunks:
            async for chunk in chunks:
                if first is None:
                    first = time.perf_counter()
                self.text += chunk.text
                # An escape character would let the model's text steer the terminal.
                print(chunk.text.replace("\x1b", "\N{SYMBOL FOR ESCAPE}"), end="", flush=True)
                if chunk.finish_reason is not None:
                    print(f"\n{_summary(chunk, first - started, time.perf_counter() - first)}", flush=True)


def _summary(last: ChatChunk, wait: float, duration: float) -> str:
    """`wait` and `duration`: seconds before and after the first piece of text."""
    speed = ""
    if last.completion_tokens > 1 and duration > 0:
        speed = f", {(last.completion_tokens - 1) / duration:.1f} tokens/s"
    return (
        f"[{last.finish_reason}: {last.prompt_tokens} prompt tokens ({last.cached_tokens} cached), "
        f"{last.completion_tokens} completion tokens, first after {wait:.2f} s{speed}]"
    )


async def _read_line(prompt: str) -> str | None:
    """The next line of standard input, None at its end. In a thread: the event loop must go on meanwhile."""
    try:
        return await asyncio.to_thread(input, prompt)
    except EOFError:
        return None
