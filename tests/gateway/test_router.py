"""Which targets are tried, in which order."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import cast

import pytest
from routekit import call

from gateway.errors import ModelNotFound, NotPermitted
from gateway.routing.router import Model, Router, Routing, Target
from gateway.upstreams.base import Upstream

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def free(target: str, at: datetime) -> None:
    """What a target costs."""


def target(name: str, weight: float = 1.0) -> Target:
    return Target(name, cast(Upstream, None), weight=weight)


def names(router: Router, model: str) -> list[str]:
    return [candidate.target.name for candidate in router.candidates(router.find(model, None), NOW, call())]


def test_targets_come_as_configured_then_the_fallbacks_depth_first_and_once() -> None:
    router = Router(
        [
            Model("a", (target("a1"), target("a2")), fallbacks=("b", "c")),
            Model("b", (target("b1"),), fallbacks=("c",)),
            Model("c", (target("c1"),)),
        ],
        free,
        random.Random(0),
    )
    assert names(router, "a") == ["a1", "a2", "b1", "c1"]


def test_candidates_are_all_that_may_serve_whatever_fails() -> None:
    router = Router(
        [
            Model("a", (target("a1"),), fallbacks=("b",), context_window_fallbacks=("c", "b")),
            Model("b", (target("b1"),), content_filter_fallbacks=("d", "a")),
            Model("c", (target("c1"),)),
            Model("d", (target("d1"),)),
            Model("e", (target("e1"),)),
        ],
        free,
        random.Random(0),
    )
    assert names(router, "a") == ["a1", "b1", "d1", "c1"]
    assert names(router, "c") == ["c1"]


def test_weighted_draws_the_first_in_proportion_and_keeps_the_rest_as_fallback() -> None:
    model = Model("m", (target("light", 1), target("heavy", 3)), Routing.WEIGHTED)
    router = Router([model], free, random.Random(7))
    orders = [names(router, "m") for _ in range(4000)]
    first = Counter(order[0] for order in orders)
    assert all(sorted(order) == ["heavy", "light"] for order in orders)
    assert 0.72 < first["heavy"] / 4000 < 0.78


def test_a_model_that_is_not_there_or_not_allowed_is_refused() -> None:
    router = Router([Model("m", (target("t"),))], free, random.Random(0))
    with pytest.raises(ModelNotFound):
        router.find("n", None)
    with pytest.raises(NotPermitted):
        router.find("m", lambda name: name == "other")
    assert router.find("m", lambda name: name == "m").name == "m"
