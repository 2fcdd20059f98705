"""A call as the arguments the SDK takes.

The SDK takes its own settings as arguments too: addresses, keys, mock answers, callbacks. So a request's fields pass by
name, not wholesale, and only those the SDK says the provider has; for the rest the caller is told, as nothing is
dropped.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from gateway.errors import Unsupported
from gateway.pipeline.call import Call
from gateway.upstreams.base import CapSource, OutputCap
from gateway.upstreams.neutral import asks_for_nothing

_LIMITS = ("max_completion_tokens", "max_tokens")
_HANDLED = frozenset({"model", "messages", "stream", "stream_options", *_LIMITS})
_CHAT_FIELDS = frozenset(
    {
        "audio", "cache_control", "context_management", "frequency_penalty", "function_call", "functions", "logit_bias",
        "logprobs", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
        "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier",
        "stop", "store", "temperature", "thinking", "tool_choice", "tools", "top_logprobs", "top_p", "user",
        "verbosity", "web_search_options",
    }
)  # fmt: skip
# What the gate itself answers for (who it is booked to), and hints that change no answer.
_OURS = frozenset({"metadata", "user", "safety_identifier", "prompt_cache_key"})
_TOP_K = {"anthropic": "top_k", "bedrock": "top_k", "cohere": "k", "gemini": "top_k"}


def chat_arguments(call: Call, provider: str, supported: AbstractSet[str], cap: OutputCap) -> dict[str, Any]:
    """Arguments of a chat completion. Raises Unsupported for a field this provider does not have."""
    # The SDK rewrites messages in place, and the next target must get them as they were.
    body: dict[str, Any] = orjson.loads(orjson.dumps(call.body))
    arguments: dict[str, Any] = {"messages": [_with_thinking(message) for message in body["messages"]]}
    for name, value in body.items():
        if value is None or name in _HANDLED:
            continue
        if name in _CHAT_FIELDS and name in supported:
            arguments[name] = value
        elif name == "top_k" and provider in _TOP_K:
            arguments[_TOP_K[provider]] = value
        elif name not in _OURS and not asks_for_nothing(name, value):
            raise Unsupported(f"This model does not support '{name}'.", param=name)
    _check_tools(arguments.get("tools"))
    if provider == "bedrock":
        _check_pictures(arguments["messages"])
    told = [limit for name in _LIMITS if (limit := body.get(name)) is not None]
    if told:
        arguments["max_tokens"] = min(told)
    elif cap.source is CapSource.CONFIGURED or (cap.source is CapSource.ASSUMED and call.bind_output):
        arguments["max_tokens"] = cap.tokens
    return arguments


def embedding_arguments(call: Call, supported: AbstractSet[str]) -> dict[str, Any]:
    """Arguments of an embedding. Floats are asked for; base64 is made of them afterwards, as not all have it."""
    arguments: dict[str, Any] = {}
    for name, value in call.body.items():
        if value is None or name in ("model", "encoding_format"):
            continue
        if name == "input":
            arguments[name] = [value] if isinstance(value, str) else value
        elif name == "dimensions" and name in supported:
            arguments[name] = value
        elif name not in _OURS:
            raise Unsupported(f"This model does not support '{name}'.", param=name)
    return arguments


def _check_tools(tools: Any) -> None:
    """Only the caller's own functions: a provider's own tools are charged by the use, or reach out from the SDK."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise Unsupported("This model takes tools of the type 'function' only.", param="tools")


def _check_pictures(messages: list[dict[str, Any]]) -> None:
    """Bedrock takes no URLs, so the SDK would download them, which it may not."""
    for message in messages:
        for part in content if isinstance(content := message.get("content"), list) else ():
            picture = part.get("image_url")
            url = picture.get("url") if isinstance(picture, dict) else picture
            if isinstance(url, str) and not url.startswith("data:"):
                raise Unsupported("This model takes pictures as data: URLs only.", param="messages")


def _with_thinking(message: dict[str, Any]) -> dict[str, Any]:
    """An assistant's message as the provider signed it: replies carry the thought apart from its signature."""
    blocks, thought = message.get("thinking_blocks"), message.get("reasoning_content")
    if isinstance(blocks, list) and isinstance(thought, str):
        bare = [block for block in blocks if isinstance(block, dict) and block.get("type") == "thinking"]
        if len(bare) == 1 and not bare[0].get("thinking"):
            bare[0]["thinking"] = thought
    return message
