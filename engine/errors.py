"""The engine's errors. Each carries what a caller needs to explain it; none carries internals."""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors the engine raises on purpose."""


class EngineConfigError(EngineError):
    """The configuration cannot work; the message says what to change."""


class ModelFileError(EngineError):
    """The model file is missing, broken, or of a kind this engine does not read."""


class InvalidRequest(EngineError):
    """A request the engine will not run. `param` names the offending field."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnsupportedParameter(InvalidRequest):
    """A field this engine cannot honour; refused, never dropped."""


class PromptTooLong(InvalidRequest):
    """The prompt (with at least one token of completion) does not fit the context."""

    def __init__(self, prompt_tokens: int, max_tokens: int, context: int) -> None:
        super().__init__(
            f"This model's maximum context length is {context} tokens, but the request needs "
            f"{prompt_tokens + max_tokens} ({prompt_tokens} in the messages, {max_tokens} for the completion).",
            param="messages",
        )
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context = context


class QueueFull(EngineError):
    """Too many requests wait; try again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("The engine's queue is full.")
        self.retry_after = retry_after


class EngineUnavailable(EngineError):
    """The engine process is starting, gone, or stuck."""
