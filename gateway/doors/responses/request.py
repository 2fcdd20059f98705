"""A Responses request as a chat request, and what the response will repeat of it.

Shapes: https://platform.openai.com/docs/api-reference/responses/create. Nothing is stored here, so what refers to
something stored is refused; fields not known here go to the upstream as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import orjson

from gateway.doors.reading import Count, Metadata, check_fields
from gateway.doors.responses.messages import chat_messages
from gateway.doors.responses.reading import unsupported, wrong
from gateway.doors.responses.tools import chat_tool_choice, chat_tools, response_format

LOGPROBS = "message.output_text.logprobs"
_INCLUDABLE = frozenset(
    {
        LOGPROBS, "reasoning.encrypted_content", "message.input_image.image_url", "file_search_call.results",
        "web_search_call.results", "web_search_call.action.sources", "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
    }
)  # fmt: skip

# Fields with the values that ask for nothing; any other asks for what cannot be done here.
_NEUTRAL: dict[str, tuple[tuple[Any, ...], str]] = {
    "previous_response_id": ((None,), "No responses are stored here: send the whole conversation in 'input'."),
    "conversation": ((None,), "No conversations are stored here: send the whole conversation in 'input'."),
    "prompt": ((None,), "No prompt templates are stored here: send the prompt's text in 'instructions' or 'input'."),
    "background": ((None, False), "Nothing runs in the background here: leave it out, or use 'stream'."),
    "truncation": ((None, "disabled"), "Input is never cut here: send 'disabled', and less input."),
}

# What chat calls otherwise: beside its translation it would contradict it.
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "functions": "tools",
    "function_call": "tool_choice",
    "logprobs": "include",
}

# Fields that are translated, or are about this door alone. All others go on as they are.
_TAKEN = frozenset(
    {
        "input", "instructions", "max_output_tokens", "tools", "tool_choice", "text", "reasoning", "top_logprobs",
        "include", "store", "stream_options", "max_tool_calls", *_NEUTRAL,
    }
)  # fmt: skip

_REPEATED = (
    "instructions", "max_output_tokens", "max_tool_calls", "prompt_cache_key", "prompt_cache_retention",
    "safety_identifier", "service_tier", "temperature", "top_p", "user",
)  # fmt: skip


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    format: dict[str, Any] | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """Only the effort can be asked of a chat model. What it shows of its reasoning comes back, asked for or not."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Request(msgspec.Struct):
    model: str
    input: str | list[Any]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    metadata: Metadata | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    user: str | None = None


@dataclass(slots=True, frozen=True)
class Source:
    """What a response says that only its request knows. `repeated` is ready to be encoded; guards do not change it."""

    id: str  # hexadecimal: the ids of the response and of its items are made of it
    created_at: int  # seconds of Unix time
    model: str
    repeated: dict[str, Any]


def chat_body(body: dict[str, Any]) -> dict[str, Any]:
    """The chat request that asks for the same. Raises InvalidRequest naming the field at fault, Unsupported."""
    for name, (neutral, advice) in _NEUTRAL.items():
        if body.get(name) not in neutral:
            raise unsupported(name, advice)
    for name, here in _MOVED.items():
        if body.get(name) is not None:
            raise unsupported(name, f"In a Responses request it is '{here}'.")
    if body.get("n") not in (None, 1):
        raise unsupported("n", "A response is one answer; send several requests.")
    request = check_fields(body, _Request)
    chat = {name: value for name, value in body.items() if name not in _TAKEN and name not in _MOVED}
    chat["messages"] = chat_messages(request.input, request.instructions)
    if request.max_output_tokens is not None:
        chat["max_completion_tokens"] = request.max_output_tokens
    if request.tools:
        chat["tools"] = chat_tools(request.tools)
    if request.tool_choice is not None:
        chat["tool_choice"] = chat_tool_choice(request.tool_choice)
    if request.text is not None:
        chat.update(_text_fields(request.text))
    if request.reasoning is not None and request.reasoning.effort is not None:
        chat["reasoning_effort"] = request.reasoning.effort
    chat.update(_logprobs(request))
    # How chat chunks are padded is no matter of this door's events; what else stands there the upstream may know.
    options = {name: value for name, value in (request.stream_options or {}).items() if name != "include_obfuscation"}
    if options:
        chat["stream_options"] = options
    return chat


def _text_fields(text: _Text) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if text.format is not None and (shape := response_format(text.format)) is not None:
        fields["response_format"] = shape
    if text.verbosity is not None:
        fields["verbosity"] = text.verbosity
    return fields


def _logprobs(request: _Request) -> dict[str, Any]:
    included = request.include or []
    for position, name in enumerate(included):
        if name not in _INCLUDABLE:
            raise wrong(f"include.{position}", f"{name!r} is nothing that a response has")
    if not request.top_logprobs and LOGPROBS not in included:
        return {}
    return {"logprobs": True, "top_logprobs": request.top_logprobs or 0}


def repeated_fields(body: dict[str, Any]) -> dict[str, Any]:
    """What a response repeats of its request `body`, which `chat_body` has accepted, with OpenAI's defaults.

    Objects are encoded here, before guards rewrite in place what goes on to the upstream: a caller sees its own words.
    Raises InvalidRequest for what is nested too deeply for that.
    """
    text, reasoning = body.get("text") or {}, body.get("reasoning") or {}
    fields = {name: body.get(name) for name in _REPEATED}
    parallel = body.get("parallel_tool_calls")
    fields |= {
        "background": False,
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": True if parallel is None else parallel,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": False,
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_logprobs": body.get("top_logprobs") or 0,
        "truncation": "disabled",
    }
    return {name: _frozen(name, value) for name, value in fields.items()}


def _frozen(name: str, value: Any) -> Any:
    if not isinstance(value, dict | list):
        return value
    try:
        return orjson.Fragment(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise wrong(name, "it is nested too deeply") from None
