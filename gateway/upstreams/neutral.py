"""Fields of OpenAI's chat API with the values that ask for nothing: they may stay behind where nobody knows them."""

from __future__ import annotations

from typing import Any

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "modalities": (["text"],),
    "store": (False,),
    "verbosity": ("medium",),
}


def asks_for_nothing(name: str, value: Any) -> bool:
    return value is None or value in _NEUTRAL.get(name, ())
