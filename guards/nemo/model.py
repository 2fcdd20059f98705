"""How rails ask models: as an object that the library takes for one, which asks the gate for the request in hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guards.types import ModelCaller, ModelUnavailable, Question, Stage

if TYPE_CHECKING:
    from nemoguardrails.types import ChatMessage, LLMResponse, LLMResponseChunk

ENGINE = "sluicegate"  # what a rails' model has to name as its engine to be one of the gate's


class RailsFailed(Exception):
    """The rails came to no end. The message names what failed, and quotes nothing."""


@dataclass(slots=True)
class Run:
    """One check of one text. `passed`: the text as the last rail left it."""

    guard: str
    stage: Stage
    models: ModelCaller
    passed: str | None = None
    failed: Exception | None = None
    tasks: list[str] = field(default_factory=list)  # what the questions were for, in the library's words


RUN: ContextVar[Run] = ContextVar("nemo_run")  # no default: rails that run outside of a check can ask nobody


class GateModel:
    """An `LLMModel` of the library. `model` None: the one that the caller asked."""

    provider_name = ENGINE
    provider_url = None

    def __init__(self, model: str | None) -> None:
        self._model = model

    @property
    def model_name(self) -> str:
        return self._model or "caller's"

    async def generate_async(
        self, prompt: str | Sequence[ChatMessage], *, stop: Sequence[str] | str | None = None, **options: Any
    ) -> LLMResponse:
        """Raises ModelUnavailable, and RailsFailed for what cannot be asked through the gate."""
        from nemoguardrails.context import llm_call_info_var
        from nemoguardrails.types import LLMResponse

        run = RUN.get()
        info = llm_call_info_var.get()
        run.tasks.append((info.task if info else None) or "")
        try:
            return LLMResponse(content=await run.models.ask(run.guard, _question(self._model, prompt, stop, options)))
        except (ModelUnavailable, RailsFailed) as error:
            run.failed = error
            raise

    def stream_async(self, *_: Any, **__: Any) -> AsyncIterator[LLMResponseChunk]:
        raise RailsFailed("rails cannot stream a model's answer")


def _question(
    model: str | None, prompt: str | Sequence[ChatMessage], stop: Sequence[str] | str | None, options: dict[str, Any]
) -> Question:
    limit, temperature = options.pop("max_tokens", None), options.pop("temperature", None)
    if unknown := [name for name, value in options.items() if value is not None]:
        raise RailsFailed(f"a rail sets {unknown[0]!r}, which a guard's question has not")
    return Question(
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [_message(each) for each in prompt],
        model=model,
        max_tokens=limit,
        temperature=0.0 if temperature is None else float(temperature),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
    )


def _message(message: ChatMessage) -> dict[str, str]:
    if message.role.value not in ("system", "user", "assistant") or not isinstance(message.content, str):
        raise RailsFailed("a rail's prompt has a message that is no plain text")
    return {"role": message.role.value, "content": message.content}
