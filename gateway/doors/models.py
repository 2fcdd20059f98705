"""`GET /v1/models` and `/v1/models/{id}`: what this key may use."""

from __future__ import annotations

from typing import Any

from gateway.admission.principals import Principal
from gateway.routing.router import Model, Router

# OpenAI's clients want a creation time of every model. Ours are configured, not created.
_CREATED = 0


def list_models(router: Router, principal: Principal) -> dict[str, Any]:
    models = [_model(model) for model in router.models if principal.may_use(model.name)]
    return {"object": "list", "data": models}


def get_model(router: Router, principal: Principal, name: str) -> dict[str, Any]:
    """Raises ModelNotFound, NotPermitted."""
    return _model(router.find(name, principal.may_use))


def _model(model: Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": _CREATED, "owned_by": "sluicegate"}
