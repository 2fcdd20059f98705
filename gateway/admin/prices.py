"""`/admin/prices`: what each target costs, since when and why; set another price, from now or from a later day on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from billing.pricebook import Override, PriceBook, Source
from billing.prices import MAX_TIERS, Price, PriceError
from gateway.admin.deps import Admin, AdminContext, Writer, actor, may_read
from gateway.admin.pages import Instant
from gateway.admin.policies import Body, Dollars
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.storage.prices import PriceConflict, StoredPrice

router = APIRouter(prefix="/admin/prices", tags=["prices"])

_PER_MILLION = "USD per million tokens."
Tokens = Annotated[Dollars | None, Field(description=_PER_MILLION)]
_EXAMPLE: JsonValue = {"input": "1.25", "cached_input": "0.125", "output": "10", "effective_at": "2027-01-01T00:00:00Z"}


class _Given(Body):
    """What is not given is not shown."""

    # With the type of its answer written here, the OpenAPI page would show that in place of the fields.
    @model_serializer(mode="wrap")
    def _without_nulls(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        return {name: value for name, value in handler(self).items() if value is not None}


class TokenPrices(_Given):
    input: Tokens = None
    cached_input: Tokens = None
    cache_write: Tokens = None
    output: Tokens = None
    reasoning: Tokens = None
    audio_input: Tokens = None
    audio_output: Tokens = None


class TierBody(TokenPrices):
    above: int = Field(ge=0, description="Input tokens that a request must exceed; then all its tokens cost this.")


class PriceBody(TokenPrices):
    """USD as decimal strings. A kind of token without a price costs what `input` or `output` does."""

    per_image: Dollars | None = None
    per_request: Dollars | None = None
    per_compute_second: Dollars | None = Field(default=None, description="Of the local engine's time.")
    tiers: list[TierBody] | None = Field(default=None, max_length=MAX_TIERS)
    margin: Dollars | None = Field(default=None, description='Added to every cost; "0.05" is 5 %.')
    batch_discount: Dollars | None = Field(default=None, description='Taken off every cost; "0.5" halves it.')


class PriceRequest(PriceBody):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    price: PriceBody | None = Field(default=None, description="The price, in place of its parts beside it.")
    effective_at: Instant | None = Field(default=None, description="Now, if left out. Past or future.")

    def parsed(self) -> Price:
        """Raises InvalidRequest."""
        parts = self.model_dump(exclude={"effective_at", "price"}, mode="json")
        if self.price is not None and parts:
            message = f"{next(iter(parts))!r} is beside 'price'; give all of it there, or nothing."
            raise InvalidRequest(message, param="price", code="invalid_value")
        try:
            return Price.parse(parts if self.price is None else self.price.model_dump(mode="json"))
        except PriceError as error:
            param = error.field if self.price is None else ".".join(filter(None, ("price", error.field)))
            raise InvalidRequest(f"{error}.", param=param, code="invalid_value") from None


class OverrideAnswer(Body):
    name: str = Field(description="The target or model it was set for.")
    price: PriceBody
    effective_at: datetime


class SetPrice(OverrideAnswer):
    created_at: datetime
    created_by: str = Field(description="The id of the key that set it.")


class TargetAnswer(Body):
    target: str
    models: list[str] = Field(description="Configured models that have it.")
    price: PriceBody | None = Field(description="In force now; null if nothing says.")
    source: Source | None = Field(description="override, config, or list (the price list); null without a price.")
    effective_at: datetime | None = Field(description="Since when the override in force holds; null without one.")
    override: OverrideAnswer | None = Field(description="The one in force.")
    reason: str | None = Field(description="Why the price list, which has the model, gives no price.")
    upcoming: list[OverrideAnswer] = Field(description="Overrides that will come into force, the next first.")


class Prices(Body):
    data: list[TargetAnswer]


class NamedPrices(Body):
    name: str
    price: PriceBody | None = Field(description="In force now; null if its targets differ, or have none.")
    source: Source | None
    effective_at: datetime | None = Field(
        description="Since when the override in force holds; null without one, or if its targets differ."
    )
    targets: list[TargetAnswer]
    history: list[SetPrice] = Field(description="All that was ever set under this name, the latest first.")


@router.get("", dependencies=[Depends(may_read)], summary="The price of every target")
async def list_prices(admin: Admin) -> Prices:
    book, now = admin.price_book, datetime.now(UTC)
    return Prices(data=[_target(book, target, now) for target in book.targets])


@router.get("/{name:path}", dependencies=[Depends(may_read)], summary="The price of one target or model")
async def get_price(name: str, admin: Admin) -> NamedPrices:
    """`name` is a target's (`openai/gpt-4o-mini`) or a configured model's."""
    _known(admin.price_book, name)
    return _named(admin, name, await admin.prices.list())


@router.put("/{name:path}", summary="Set the price of one target, or of all targets of a model")
async def set_price(name: str, body: PriceRequest, request: Request, admin: Admin, caller: Writer) -> NamedPrices:
    """From `effective_at` on it goes before the configured and the listed price, until the next one set does.

    Requests that are billed already keep their price. A price is never changed or taken back: set the next one. The
    same price for the same instant again changes nothing, and so does the one in force under that name for no
    instant; another one for the same instant is 409. A target's own price goes before its model's.
    """
    _known(admin.price_book, name)
    now, price = datetime.now(UTC), body.parsed()
    stored = await admin.prices.list()
    if body.effective_at is not None or _in_force(stored, name, now) != price:
        try:
            await admin.prices.set(name, price, body.effective_at or now, actor(request, caller), now)
        except PriceConflict as error:
            raise Conflict(f"{error}.", param="effective_at", code="conflict") from None
        stored = await admin.prices.list()
    admin.price_book.replace_overrides(stored)
    return _named(admin, name, stored)


def _known(book: PriceBook, name: str) -> None:
    if not book.targets_of(name):
        raise NotFound(f"No target and no model is named {name[:100]!r}.", code="price_not_found")


def _in_force(stored: Sequence[StoredPrice], name: str, now: datetime) -> Price | None:
    """The price set under this very name that holds now."""
    return next((found.price for found in reversed(stored) if found.name == name and found.effective_at <= now), None)


def _named(admin: AdminContext, name: str, stored: Sequence[StoredPrice]) -> NamedPrices:
    book, now = admin.price_book, datetime.now(UTC)
    targets = [_target(book, target, now) for target in book.targets_of(name)]
    first = targets[0]
    alike = all(target.price == first.price and target.source == first.source for target in targets)
    return NamedPrices(
        name=name,
        price=first.price if alike else None,
        source=first.source if alike else None,
        effective_at=first.effective_at
        if all(target.effective_at == first.effective_at for target in targets)
        else None,
        targets=targets,
        history=[
            SetPrice(**_fields(price), created_at=price.created_at, created_by=price.created_by)
            for price in reversed(stored)
            if price.name == name
        ],
    )


def _target(book: PriceBook, target: str, now: datetime) -> TargetAnswer:
    quote = book.quote(target, now)
    override = None if quote is None else quote.override
    return TargetAnswer(
        target=target,
        models=list(book.targets[target]),
        price=None if quote is None else PriceBody(**quote.price.snapshot()),
        source=None if quote is None else quote.source,
        effective_at=None if override is None else override.effective_at,
        override=None if override is None else OverrideAnswer(**_fields(override)),
        reason=book.reason(target) if quote is None else None,
        upcoming=[OverrideAnswer(**_fields(later)) for later in book.upcoming(target, now)],
    )


def _fields(override: Override) -> dict[str, Any]:
    return {
        "name": override.name,
        "price": PriceBody(**override.price.snapshot()),
        "effective_at": override.effective_at,
    }
