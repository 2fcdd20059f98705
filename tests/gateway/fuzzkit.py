"""Requests that no client would send: good ones of every dialect, with values lost, changed, doubled and added."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from gatekit import ADMIN_KEY
from hypothesis import strategies as st

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
TOOL = {"name": "find", "description": "Finds", "parameters": SCHEMA}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}
PICTURE = "data:image/png;base64,iVBORw0KGgo="
# What each route takes, with most of what it knows: what is mutated.
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {
        "model": "assistant",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi jane@example.com"},
                                         {"type": "image_url", "image_url": {"url": PICTURE}}]},
            {"role": "assistant", "content": None, "tool_calls": [CALLED]},
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        ],
        "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.5, "top_p": 1, "n": 1,
        "max_tokens": 9, "max_completion_tokens": 9, "stop": ["\n"], "user": "jane", "metadata": {"feature": "x"},
        "tools": [{"type": "function", "function": TOOL}], "tool_choice": "auto", "logprobs": False,
        "response_format": {"type": "json_object"}, "service_tier": "auto", "seed": 7, "logit_bias": {"7": 1},
    },
    "completions": {
        "model": "assistant", "prompt": ["Once", "upon"], "stream": True, "max_tokens": 9, "n": 1, "best_of": 1,
        "temperature": 1, "suffix": "end", "echo": True, "stop": "x", "user": "jane",
    },
    "embeddings": {
        "model": "assistant", "input": ["one", "two"], "encoding_format": "float", "dimensions": 8, "user": "u",
    },
    "moderations": {"model": "assistant", "input": [{"type": "text", "text": "bad"}]},
    "responses": {
        "model": "assistant", "instructions": "Be brief.", "stream": True, "max_output_tokens": 9, "temperature": 0.1,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"},
                                         {"type": "input_image", "image_url": PICTURE}]},
            {"type": "function_call", "call_id": "c", "name": "find", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "found"},
        ],
        "tools": [{"type": "function", **TOOL}], "tool_choice": {"type": "function", "name": "find"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}}, "store": False,
        "reasoning": {"effort": "low"}, "metadata": {"a": "b"},
    },
    "messages": {
        "model": "assistant", "max_tokens": 2048, "stream": True, "stop_sequences": ["x"], "temperature": 1, "top_k": 4,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"},
                                         {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                                      "data": "iVBORw0KGgo="}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "find", "input": {"q": "x"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "found"}]},
        ],
        "tools": [{"name": "find", "description": "Finds", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any"}, "metadata": {"user_id": "jane"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
}  # fmt: skip
BODIES["messages/count_tokens"] = {**BODIES["messages"], "stream": False}
ROUTES = sorted(BODIES)

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "assistant", "user", "system", "text", "\x00", "\ud7ff", "jane@example.com", "[EMAIL_1_ab]",
                     "../../etc/passwd", "a" * 5000, "null", "${ADMIN_KEY}", "'; DROP TABLE usage;--", PICTURE]),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS,
    st.sampled_from([0, -1, 2**31, 2**53, 2**64, -(2**63), 1e308, 1e-320, "9"]),
)  # fmt: skip
NAMES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(sorted({name for body in BODIES.values() for name in body} | {"type", "role", "content", "text"})),
)
# Anything that JSON can say.
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def bodies(draw: st.DrawFn, route: str) -> bytes:
    """A good body with some of its values lost, changed, doubled or added to; now and then cut, or no JSON at all."""
    body = copy.deepcopy(BODIES[route])
    for _ in range(draw(st.integers(0, 3))):
        paths = list(places(body))
        if not paths:
            break
        *parents, last = draw(st.sampled_from(paths))
        holder: Any = body
        for step in parents:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "drop", "wrap", "add"])):
            case "replace":
                holder[last] = draw(JUNK)
            case "drop":
                del holder[last]
            case "wrap":
                holder[last] = draw(st.sampled_from([[holder[last]], {"content": holder[last]}, [holder[last]] * 3]))
            case _ if isinstance(holder, dict):
                holder[draw(NAMES)] = draw(JUNK)
            case _:
                holder.append(draw(JUNK))
    if draw(st.integers(0, 7)) == 0:
        body.pop("stream", None)
    raw = json.dumps(body).encode() if draw(st.booleans()) else json.dumps(body, ensure_ascii=False).encode()
    match draw(st.integers(0, 24)):
        case 0:
            return raw[: draw(st.integers(0, len(raw)))]
        case 1:
            return draw(st.binary(max_size=60))
        case 2:
            return raw.replace(b'"', draw(st.sampled_from([b'"\xff', b'"\\ud800', b"'", b'"\x00'])), 3)
        case 3:
            return b" " * 70_000 + raw
        case 4:
            return json.dumps(draw(JUNK)).encode()
        case _:
            return raw


LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=30)
KEY = f"Bearer {ADMIN_KEY}"
KEYS = [KEY, KEY, KEY, KEY, "Bearer", "Bearer sg-wrong", "Basic x", f"bearer  {ADMIN_KEY}"]
CONTROLS = ["no-store", "no-cache", "max-age=0", "max-age=x", "no-store,,=", "max-age=1e999"]
TRACES = [f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'0' * 32}-{'0' * 16}-00", "ff"]
HEADERS: dict[str, st.SearchStrategy[str]] = {
    "authorization": st.sampled_from(KEYS) | LATIN,
    "x-api-key": st.just(ADMIN_KEY) | LATIN,
    "api-key": st.just(ADMIN_KEY) | LATIN,
    "x-sluicegate-tags": st.sampled_from(["feature=search", "a=b,c=d", "a=b,a=c", "=", ",", "a=" + "x" * 257]) | LATIN,
    "x-sluicegate-difficulty": st.sampled_from(["simple", "medium", "hard", "HARD", ""]) | LATIN,
    "x-sluicegate-cache-ttl": st.sampled_from(["10s", "0", "-1", "1e9", "nan", "99999d"]) | LATIN,
    "cache-control": st.sampled_from(CONTROLS) | LATIN,
    "traceparent": st.sampled_from(TRACES) | LATIN,
    "x-request-id": st.sampled_from(["mine", "x" * 200, "../x"]) | LATIN,
    "content-length": st.sampled_from(["0", "5", "-1", "99999999999999999999", "\xb2", "x"]),
    "content-type": st.sampled_from(["application/json", "text/plain", "multipart/form-data; boundary=x"]) | LATIN,
    "anthropic-version": st.just("2023-06-01") | LATIN,
    "accept-encoding": st.just("gzip") | LATIN,
}


@st.composite
def headers(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Mostly with the right key, some twice."""
    named = [("authorization", KEY)] if draw(st.integers(0, 9)) < 9 else []
    named += [(name, draw(HEADERS[name])) for name in draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=4))]
    return [(name.encode(), value.encode("latin-1")) for name, value in named]
