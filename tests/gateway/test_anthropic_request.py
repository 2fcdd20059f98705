"""How a Messages request becomes a chat request, and what is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doors import anthropic_messages
from gateway.errors import InvalidRequest
from gateway.tokens import MESSAGE_TOKENS, TokenCounter, estimate

CACHE = {"type": "ephemeral"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def ask(content: Any = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}], **fields}


def chat(body: dict[str, Any]) -> dict[str, Any]:
    return anthropic_messages.parse(orjson.dumps(body)).body


def user_content(*blocks: dict[str, Any]) -> Any:
    (message,) = chat(ask(list(blocks)))["messages"]
    return message["content"]


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **fields}


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (
            document({"type": "text", "media_type": "text/plain", "data": "body"}, title="T", context="C"),
            "T\n\nC\n\nbody",
        ),
        (
            document({"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, title="a.pdf"),
            [
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                }
            ],
        ),
        (
            document({"type": "content", "content": [{"type": "text", "text": "x"}]}, title="T", cache_control=CACHE),
            [{"type": "text", "text": "T"}, {"type": "text", "text": "x", "cache_control": CACHE}],
        ),
        (
            {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "found"}]},
            "T\nS\n\nfound",
        ),
        (
            {"type": "text", "text": "x", "cache_control": CACHE, "citations": None},
            [{"type": "text", "text": "x", "cache_control": CACHE}],
        ),
    ],
)
def test_blocks_become_parts(block: dict[str, Any], parts: Any) -> None:
    assert user_content(block) == parts


def test_a_tool_result_without_content_is_an_empty_text() -> None:
    body = chat(ask([{"type": "tool_result", "tool_use_id": "t1", "cache_control": CACHE}]))
    assert body["messages"] == [{"role": "tool", "tool_call_id": "t1", "content": "", "cache_control": CACHE}]


def test_a_failed_tool_result_without_content_still_says_so() -> None:
    body = chat(ask([{"type": "tool_result", "tool_use_id": "t1", "is_error": True}]))
    assert body["messages"][0]["content"] == "Error:"


def test_a_tool_result_that_is_a_picture_points_to_it() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    tool, shown = chat(ask([{"type": "tool_result", "tool_use_id": "t1", "content": [picture]}]))["messages"]
    assert tool["content"] == "The result is in the next message."
    assert [part["type"] for part in shown["content"]] == ["text", "image_url"] and shown["role"] == "user"


def test_results_come_before_what_the_user_says_around_them() -> None:
    said = [{"type": "text", "text": "Here:"}, {"type": "tool_result", "tool_use_id": "t1", "content": "4"}]
    assert [message["role"] for message in chat(ask(said))["messages"]] == ["tool", "user"]


def test_thinking_stays_with_its_message_if_it_is_signed() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "b3Bh"}
    unsigned = {"type": "thinking", "thinking": "hm", "signature": ""}
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "é"}, "cache_control": CACHE}
    turns = [{"role": "assistant", "content": [unsigned, signed, hidden, use]}, *ask()["messages"]]
    assistant = chat(ask(messages=turns))["messages"][0]
    assert assistant == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "t1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a":"é"}'},
                "cache_control": CACHE,
            }
        ],
        "thinking_blocks": [signed, hidden],
    }


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choices(choice: dict[str, Any], said: dict[str, Any]) -> None:
    body = chat(ask(tools=[{**TOOL, "strict": True, "cache_control": CACHE}], tool_choice=choice))
    assert {key: value for key, value in body.items() if "tool_c" in key} == said
    assert body["tools"] == [
        {
            "type": "function",
            "cache_control": CACHE,
            "function": {"name": "f", "parameters": {"type": "object"}, "strict": True},
        }
    ]


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4095}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, "high"),
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh"),
    ],
)
def test_thinking_becomes_an_effort(fields: dict[str, Any], effort: str | None) -> None:
    body = chat(ask(**fields))
    assert body.get("reasoning_effort") == effort
    assert "thinking" not in body and "output_config" not in body


def test_metadata_beside_the_user_id_are_tags() -> None:
    body = chat(ask(metadata={"user_id": "u", "feature": "search"}))
    assert (body["user"], body["metadata"]) == ("u", {"feature": "search"})


@pytest.mark.parametrize("asked", [{"speed": "fast"}, {"inference_geo": "us"}])
def test_what_has_a_price_of_its_own_is_told(asked: dict[str, Any]) -> None:
    assert anthropic_messages.parse(orjson.dumps(ask(**asked))).surcharged == next(iter(asked))
    assert anthropic_messages.parse(orjson.dumps(ask(speed="standard"))).surcharged is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m", "messages": []}, "max_tokens"),
        (ask(max_tokens=0), "max_tokens"),
        (ask(messages=[]), "messages"),
        (ask(messages="Hi"), "messages"),
        (ask(messages=["Hi"]), "messages.0"),
        (ask(messages=[{"role": "tool", "content": "x"}]), "messages.0.role"),
        (ask(None), "messages.0.content"),
        (ask(["x"]), "messages.0.content.0"),
        (ask([{"text": "x"}]), "messages.0.content.0.type"),
        (ask([{"type": "text", "text": 1}]), "messages.0.content.0.text"),
        (ask([{"type": "image"}]), "messages.0.content.0.source"),
        (ask([{"type": "image", "source": {"type": "url"}}]), "messages.0.content.0.source.url"),
        (ask([{"type": "tool_result", "content": "x"}]), "messages.0.content.0.tool_use_id"),
        (
            ask([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]}]),
            "messages.0.content.0.content.0.text",
        ),
        (
            ask(messages=[{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f"}]}]),
            "messages.0.content.0.input",
        ),
        (ask(system=[{"type": "text"}]), "system.0.text"),
        (ask(tools=[{"name": "f"}]), "tools.0.input_schema"),
        (ask(tool_choice={"type": "some"}), "tool_choice.type"),
        (ask(thinking={"type": "enabled", "budget_tokens": 5}), "thinking.budget_tokens"),
        (ask(thinking={"type": "hard"}), "thinking.type"),
        (ask(service_tier="fastest"), "service_tier"),
        (ask(output_config={"format": {"type": "xml"}}), "output_config.format.type"),
        (ask(temperature=1.5), "temperature"),
        (ask(stop_sequences="END"), "stop_sequences"),
    ],
)
def test_a_fault_is_named_by_its_path(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        chat(body)
    assert (error.value.param, error.value.code) == (param, "invalid_value")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (ask(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools.0.type"),
        (ask([{"type": "container_upload", "file_id": "f"}]), "messages.0.content.0.type"),
        (ask([{"type": "image", "source": {"type": "file", "file_id": "f"}}]), "messages.0.content.0.source.type"),
        (ask([document({"type": "url", "url": "https://a"})]), "messages.0.content.0.source.type"),
        (
            ask([document({"type": "text", "data": "x"}, citations={"enabled": True})]),
            "messages.0.content.0.citations",
        ),
        (ask(n=2), "n"),
        (ask(mcp_servers=[{"url": "https://a"}]), "mcp_servers"),
    ],
)
def test_what_cannot_be_honoured_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        chat(body)
    assert (error.value.param, error.value.code) == (param, "unsupported_parameter")


def test_counting_needs_no_limit_and_counts_texts_tools_and_media() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "system": "Be brief.", "tools": [TOOL]}
    call = anthropic_messages.parse_count(orjson.dumps(body))
    tools = orjson.dumps(call.body["tools"][0]).decode()
    texts = sum(map(estimate, ("Be brief.", "Hello", tools)))
    assert anthropic_messages.count(call, TokenCounter()) == {"input_tokens": texts + 2 * MESSAGE_TOKENS}
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    body["messages"] = [{"role": "user", "content": [{"type": "text", "text": "Hello"}, picture]}]
    more = anthropic_messages.count(anthropic_messages.parse_count(orjson.dumps(body)), TokenCounter())
    assert more["input_tokens"] > texts + 1_000


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2048) | st.sampled_from(["text", "image", "tool_use", "tool", "user"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "source", "content", "role", "input", "title", "citations", "data", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
OPTIONAL = ("system", "tools", "tool_choice", "metadata", "thinking", "output_config", "stop_sequences")
KINDS = ["text", "image", "document", "search_result", "tool_use", "tool_result", "thinking", "redacted_thinking"]
BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional={"source": ANY, "content": ANY}) | ANY
)


@given(
    st.fixed_dictionaries(
        {
            "messages": st.lists(
                st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": BLOCKS})
            )
        }
        | {"max_tokens": st.just(1), "model": st.just("m")},
        optional=dict.fromkeys(OPTIONAL, ANY),
    )
)
def test_no_body_is_worse_than_invalid(body: dict[str, Any]) -> None:
    try:
        anthropic_messages.parse(orjson.dumps(body))
    except InvalidRequest as error:
        assert error.message
