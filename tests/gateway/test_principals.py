"""What a key, its user and its team say together."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.budgets import Budget, Window
from gateway.admission.limits import Binding, Limits
from gateway.admission.principals import Principal, Role, lower, matches
from gateway.storage.credentials import principal_of
from gateway.storage.keys import KeyFields, StoredKey
from gateway.storage.owners import Owner, OwnerFields
from gateway.storage.policies import Policy

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TEN = Limits(requests_per_minute=10)
FIVE_USD = (Budget(limit=Decimal(5), window=Window.DAY),)


def key(policy: Policy, role: Role = Role.CLIENT) -> StoredKey:
    fields = KeyFields(name="app", role=role, team="t", user="u", policy=policy)
    return StoredKey(id="key_1", hint="abcd", fields=fields, created_at=NOW, updated_at=NOW, revoked_at=None, version=1)


def owner(owner_id: str, policy: Policy, role: Role | None = None) -> Owner:
    fields = OwnerFields(name=owner_id, role=role, policy=policy)
    return Owner(id=owner_id, fields=fields, created_at=NOW, updated_at=NOW, version=1)


def test_guards_add_up_the_nearest_tag_wins_and_only_what_limits_binds() -> None:
    found = principal_of(
        key(Policy(guards=("a", "b"), tags={"x": "key"}, limits=TEN)),
        owner("u", Policy(guards=("b", "c"), tags={"x": "user", "y": "user"}), Role.ADMIN),
        owner("t", Policy(tags={"x": "team", "y": "team", "z": "team"}, budgets=FIVE_USD)),
    )
    assert found.guards == ("a", "b", "c")
    assert found.tags == {"x": "key", "y": "user", "z": "team"}
    assert found.bindings == (
        Binding(kind="key", id="key_1", limits=TEN),
        Binding(kind="team", id="t", budgets=FIVE_USD),
    )


def test_labels_without_a_row_have_no_policy() -> None:
    found = principal_of(key(Policy()), None, None)
    assert found == Principal(key_id="key_1", key_name="app", team="t", user="u")
    assert found.may_use("anything")


@pytest.mark.parametrize("of_key", Role)
@pytest.mark.parametrize("of_user", Role)
def test_the_lower_of_the_keys_and_the_users_role_counts(of_key: Role, of_user: Role) -> None:
    found = principal_of(key(Policy(), of_key), owner("u", Policy(), of_user), None)
    order = [Role.CLIENT, Role.VIEWER, Role.ADMIN]
    assert found.role == lower(of_key, of_user) == order[min(order.index(of_key), order.index(of_user))]


def test_every_list_must_allow_and_an_empty_one_allows_nothing() -> None:
    lists = Principal(key_id="k", key_name="k", models=(("gpt-*", "assistant"), ("*-small", "assistant")))
    assert [name for name in ("assistant", "gpt-small", "gpt-large") if lists.may_use(name)] == [
        "assistant",
        "gpt-small",
    ]
    assert not Principal(key_id="k", key_name="k", models=((), ("*",))).may_use("assistant")


@given(
    st.text("ab*", max_size=6) | st.text("a*.?[", max_size=8), st.text("ab", max_size=6) | st.text("a.?[", max_size=8)
)
@example("*ab*b", "ab")
def test_a_star_stands_for_any_text_and_nothing_else_is_special(pattern: str, name: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
    assert matches(pattern, name) == expected


def test_many_stars_cost_no_time() -> None:
    assert not matches("*a" * 90 + "*b", "a" * 128)
