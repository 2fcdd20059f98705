"""A Messages request as the body of a chat request.

Where both dialects have a word for a thing it is translated. What chat lacks is refused or, if a provider may know it,
left in place, as in every door: an upstream that does not know a field says so.

`thinking` becomes `reasoning_effort`, which is how every reasoning model behind the gate is asked. A budget comes to
the effort whose budget at Anthropic is not above it, so nobody pays for more thought than was allowed. `adaptive` and
`disabled` say nothing: the first leaves it to the model, and most models that are not asked to think do not.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from gateway.doors.anthropic.checks import Object, as_list, as_object, invalid, object_of, text_of, unsupported, without
from gateway.doors.anthropic.content import read_parts, simplest
from gateway.doors.anthropic.conversation import read_conversation
from gateway.doors.reading import Count, check_fields

# Fields of chat completions that the Messages API has not: the answer could not carry what they ask for, or they
# would stand against what is translated.
_CHAT_ONLY = frozenset(
    {
        "n", "stop", "functions", "function_call", "logprobs", "top_logprobs", "max_completion_tokens", "user", "audio",
        "response_format", "reasoning_effort", "parallel_tool_calls", "stream_options", "modalities", "prediction",
    }
)  # fmt: skip
_SERVER_SIDE = ("container", "mcp_servers")  # ask for tools that Anthropic's servers run

_TRANSLATED = (
    "system", "stop_sequences", "metadata", "service_tier", "thinking", "output_config", "output_format", "tool_choice",
)  # fmt: skip

EFFORTS = ((1_024, "low"), (2_048, "medium"), (4_096, "high"))  # the budgets that litellm gives Anthropic for them
_UNBUDGETED = ("adaptive", "disabled", "between_tools")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class _Fields(msgspec.Struct):
    model: str
    max_tokens: Count
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Countable(msgspec.Struct):
    model: str


def to_chat(body: Object) -> Object:
    """Raises InvalidRequest, Unsupported, naming Anthropic's field."""
    check_fields(body, _Fields)
    return _translate(body)


def to_counted_chat(body: Object) -> Object:
    """The same for `count_tokens`, which asks for no answer and so sets no limit to one."""
    check_fields(body, _Countable)
    return _translate(body)


def _translate(body: Object) -> Object:
    for name in body:
        if name in _CHAT_ONLY:
            raise unsupported(name, "the Messages API has no such field")
        if name in _SERVER_SIDE and body[name]:
            raise unsupported(name, "tools that the provider runs are not offered here")
    chat = without(body, *_TRANSLATED)
    system = read_parts(body.get("system") or "", "system")
    chat["messages"] = read_conversation(body.get("messages"))
    if system:
        chat["messages"].insert(0, {"role": "system", "content": simplest(system)})
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if body.get("tools") is not None:
        chat["tools"] = [_tool(tool, f"tools.{i}") for i, tool in enumerate(as_list(body["tools"], "tools"))]
    if body.get("tool_choice") is not None:
        chat.update(_tool_choice(as_object(body["tool_choice"], "tool_choice")))
    if body.get("metadata") is not None:
        chat.update(_metadata(as_object(body["metadata"], "metadata")))
    if body.get("service_tier") is not None:
        chat["service_tier"] = _service_tier(body["service_tier"])
    chat.update(_output(body))
    return chat


def _tool(tool: Any, path: str) -> Object:
    tool = as_object(tool, path)
    if tool.get("type") not in (None, "custom"):
        raise unsupported(f"{path}.type", f"{tool['type']!r} is a tool of Anthropic's own; only custom tools are taken")
    function: Object = {"name": text_of(tool, "name", path)}
    if tool.get("description") is not None:
        function["description"] = text_of(tool, "description", path)
    function["parameters"] = object_of(tool, "input_schema", path)
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    beside = without(tool, "type", "name", "description", "input_schema", "strict")
    return {**beside, "type": "function", "function": function}


def _tool_choice(choice: Object) -> Object:
    kind = text_of(choice, "type", "tool_choice")
    said: Object = {}
    if kind == "tool":
        name = text_of(choice, "name", "tool_choice")
        said["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif kind in _CHOICES:
        said["tool_choice"] = _CHOICES[kind]
    else:
        raise invalid("tool_choice.type", "one of 'auto', 'any', 'tool', 'none' is expected")
    if choice.get("disable_parallel_tool_use") is not None:
        said["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    return said


def _metadata(metadata: Object) -> Object:
    """`user_id` is chat's `user`; what else is there are tags, as `metadata` is everywhere in the gate."""
    said: Object = {}
    if metadata.get("user_id") is not None:
        said["user"] = text_of(metadata, "user_id", "metadata")
    if tags := without(metadata, "user_id"):
        said["metadata"] = tags
    return said


def _service_tier(tier: Any) -> str:
    if tier not in ("auto", "standard_only"):
        raise invalid("service_tier", "'auto' or 'standard_only' is expected")
    return "auto" if tier == "auto" else "default"


def _output(body: Object) -> Object:
    """The format of the answer, and how much thought goes into it."""
    config = as_object(body.get("output_config") or {}, "output_config")
    said: Object = {}
    place = "output_config.format" if config.get("format") else "output_format"  # the latter is its name in the beta
    if asked := config.get("format") or body.get("output_format"):
        schema = as_object(asked, place)
        if schema.get("type") != "json_schema":
            raise invalid(f"{place}.type", "'json_schema' is expected")
        named = {"name": "output", "schema": object_of(schema, "schema", place), "strict": True}
        said["response_format"] = {"type": "json_schema", "json_schema": named}
    effort = _budget_effort(body.get("thinking"))
    if config.get("effort") is not None:
        effort = text_of(config, "effort", "output_config")
    if effort is not None:
        said["reasoning_effort"] = effort
    if beside := without(config, "format", "effort"):
        said["output_config"] = beside
    return said


def _budget_effort(thinking: Any) -> str | None:
    if thinking is None:
        return None
    asked = as_object(thinking, "thinking")
    kind = text_of(asked, "type", "thinking")
    if kind in _UNBUDGETED:
        return None
    if kind != "enabled":
        raise invalid("thinking.type", "one of 'enabled', 'disabled', 'adaptive' is expected")
    budget = asked.get("budget_tokens")
    if type(budget) is not int or budget < EFFORTS[0][0]:
        raise invalid("thinking.budget_tokens", f"an integer of at least {EFFORTS[0][0]:,} is required")
    return [effort for least, effort in EFFORTS if budget >= least][-1]
