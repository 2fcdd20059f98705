"""`GET /admin/models`: every model with its targets, as this replica sees them now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from gateway.admin.deps import Admin, may_read
from gateway.admin.prices import PriceBody
from gateway.routing.status import ModelStatus, Percentiles, TargetStatus, status

router = APIRouter(prefix="/admin/models", tags=["models"])


class LatencyBody(BaseModel):
    """Seconds, over the latest 256 answers of the last ten minutes."""

    measures: int
    p50: float | None
    p95: float | None


class TargetBody(BaseModel):
    target: str
    health: Literal["ok", "failing", "unknown"] = Field(description="What the last probe said; unknown without any.")
    breaker: Literal["closed", "open", "half_open", "off"]
    opens_in: float = Field(description="Seconds until an open breaker lets a request through.")
    in_flight: int = Field(description="Requests under way from this replica.")
    first_token: LatencyBody = Field(description="Of streams.")
    whole: LatencyBody = Field(description="Of replies in one piece.")
    price: PriceBody | None = Field(description="In force now; null if nothing says.")


class ModelBody(BaseModel):
    model: str
    routing: str
    targets: list[TargetBody]


class ModelList(BaseModel):
    data: list[ModelBody]


@router.get("", dependencies=[Depends(may_read)], summary="How models and their targets stand")
async def list_models(admin: Admin) -> ModelList:
    """What this replica sees; open breakers of others are known to it within a second where state is shared."""
    return ModelList(data=[_model(model) for model in status(admin.router, datetime.now(UTC))])


def _model(model: ModelStatus) -> ModelBody:
    return ModelBody(model=model.name, routing=model.routing, targets=[_target(target) for target in model.targets])


def _target(target: TargetStatus) -> TargetBody:
    return TargetBody(
        target=target.name,
        health=target.health,
        breaker=target.breaker,
        opens_in=target.opens_in,
        in_flight=target.in_flight,
        first_token=_latency(target.first_token),
        whole=_latency(target.whole),
        price=None if target.price is None else PriceBody(**target.price.snapshot()),
    )


def _latency(percentiles: Percentiles) -> LatencyBody:
    return LatencyBody(measures=percentiles.measures, p50=percentiles.p50, p95=percentiles.p95)
