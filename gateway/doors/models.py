"""`GET /v1/models` and `/v1/models/{id}`: what this key may use."""

from __future__ import annotations

from typing import Any

from gateway.admission.principals import Principal
from gateway.routing.router import Model, Router

# OpenAI's clients want a creation time of every model. Ours are configured, not created.
_CREATED = 0


def list_models(router: Router, principal: Principal) -> dict[str, Any]:
    allowed = principal.models
    models = [model for model in router.models if allowed is None or model.name in allowed]
    return {"object": "list", "data": [_model(model) for model in models]}


def get_model(router: Router, principal: Principal, name: str) -> dict[str, Any]:
    """Raises ModelNotFound, NotPermitted."""
    return _model(router.find(name, principal.models))


def _model(model: Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": _CREATED, "owned_by": "sluicegate"}
