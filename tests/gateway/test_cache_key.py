"""What makes two requests equal: every field counts but a few that cannot change an answer."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from cachekit import make_call
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.cache.key import UNKEYED, cache_key
from gateway.cache.revision import revisions
from gateway.config import Config, load_config
from gateway.pipeline.call import Call, Operation

WORDS = st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, width=32) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)
FIELDS = WORDS.filter(lambda name: name not in UNKEYED and name not in ("messages", "model"))
BODIES = st.dictionaries(FIELDS, VALUES, max_size=5)


def key(call: Call, *, model: str = "assistant", revision: str = "r1", guards: tuple[str, ...] = ()) -> bytes:
    return cache_key(call, model=model, revision=revision, guards=guards)


@given(BODIES, FIELDS, VALUES, st.data())
def test_any_field_changed_added_or_taken_away_is_another_key(
    body: dict[str, Any], name: str, value: Any, data: st.DataObject
) -> None:
    before = key(make_call(**body))
    if name in body:
        # 1, 1.0 and True are equal to Python and not to a model.
        assume(type(value) is not type(body[name]) or value != body[name])
    changed = {**body, name: value}
    assume(repr(changed) != repr(body))
    assert key(make_call(**changed)) != before
    if body:
        gone = data.draw(st.sampled_from(sorted(body)))
        assert key(make_call(**{k: v for k, v in body.items() if k != gone})) != before


@given(BODIES, st.dictionaries(WORDS, SCALARS, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_fields_is_not_part_of_the_key(body: dict[str, Any], part: dict[str, Any], rng: Any) -> None:
    content = {"type": "text", **part}
    message = {"role": "user", "content": [content]}
    one = make_call(**{**body, "messages": [message]})
    other = copy.deepcopy(one)
    other.body = shuffled(other.body, rng)
    other.body["messages"] = [shuffled({**message, "content": [shuffled(content, rng)]}, rng)]
    assert key(one) == key(other)


def shuffled(mapping: dict[str, Any], rng: Any) -> dict[str, Any]:
    items = list(mapping.items())
    rng.shuffle(items)
    return dict(items)


@pytest.mark.parametrize("name", sorted(UNKEYED))
def test_who_asks_and_how_it_is_sent_are_not_part_of_the_key(name: str) -> None:
    value: dict[str, Any] = {
        "metadata": {"feature": "search"},
        "stream_options": {"include_usage": True},
        "stream": True,
    }
    body = {name: value.get(name, "x")}
    assert key(make_call(**body)) == key(make_call())


def test_the_order_of_a_schema_is_part_of_the_key_as_a_model_writes_in_it() -> None:
    def schema(*names: str) -> dict[str, Any]:
        properties = {name: {"type": "string"} for name in names}
        return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": properties}}}

    one, other = (make_call(response_format=schema(*names)) for names in (("why", "answer"), ("answer", "why")))
    assert key(one) != key(other)


def test_what_stands_around_the_body_is_part_of_the_key() -> None:
    call = make_call()
    capped = replace(call, bind_output=True)
    keys = [
        key(call),
        key(make_call(tenant="team:b")),
        key(make_call(tenant="key:a")),
        key(replace(call, operation=Operation.COMPLETIONS)),
        key(replace(call, model="other")),
        key(call, model="small"),
        key(call, revision="r2"),
        key(call, guards=("pii",)),
        key(call, guards=("pii", "topics")),
        key(capped),
    ]
    assert len(set(keys)) == len(keys)
    assert key(call, guards=("topics", "pii")) == key(call, guards=("pii", "topics", "pii"))


@given(WORDS, WORDS, WORDS, WORDS)
def test_nothing_can_be_moved_from_one_tenant_into_another(a: str, b: str, c: str, d: str) -> None:
    assume((a, b) != (c, d))
    assert key(make_call(b, tenant=f"team:{a}")) != key(make_call(d, tenant=f"team:{c}"))


def test_a_call_without_a_tenant_has_no_key() -> None:
    with pytest.raises(ValueError, match="tenant"):
        key(make_call(tenant=""))


CONFIG = """
models:
  - name: front
    targets: [{provider: openai, model: m, base_url: "http://localhost:1/v1", api_key: k}]
    fallbacks: [back]
  - name: back
    targets: [{provider: openai, model: m2, base_url: "http://localhost:2/v1?version=1", api_key: k}]
  - name: aside
    targets: [{provider: openai, model: m3, base_url: "http://localhost:3/v1", api_key: k}]
guards:
  - {name: pii, kind: pii}
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("model: m,", "model: n,", {"front"}),
        ("localhost:1", "localhost:9", {"front"}),
        ("version=1", "version=2", {"front", "back"}),
        ("model: m2", "model: m4", {"front", "back"}),
        ("model: m3", "model: m4", {"aside"}),
        ('3/v1", api_key: k', '3/v1", api_key: k2', {"aside"}),
        ("kind: pii}", "kind: pii, entities: [EMAIL]}", {"front", "back", "aside"}),
        ("guards:", "telemetry: {service_name: x}\nguards:", set()),
    ],
)
def test_a_changed_configuration_is_another_revision_of_the_models_it_reaches(
    tmp_path: Any, old: str, new: str, changed: set[str]
) -> None:
    def load(text: str) -> Config:
        path = tmp_path / "file.yaml"
        path.write_text(text)
        return load_config(path, {})

    assert old in CONFIG
    before, after = revisions(load(CONFIG)), revisions(load(CONFIG.replace(old, new, 1)))
    assert {name for name in before if before[name] != after[name]} == changed
    assert len(set(before.values())) == 3
