"""`/admin/usage`: what was used and what it cost, as sums and row by row; past requests priced anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from billing import records
from billing.records import to_csv
from billing.reports import ReportError, usage
from billing.reprice import RepriceError, Selection, reprice
from gateway.admin.deps import Admin, AdminContext, Writer, actor, may_read
from gateway.admin.pages import NO_CONTROLS, Cursor, Filter, Instant, Limit, decode_cursor, encode_cursor
from gateway.admin.policies import Body
from gateway.errors import InvalidRequest, StorageUnavailable
from gateway.storage.names import with_name_columns, with_names
from gateway.storage.repricing import reprice_audited

FLUSH_SECONDS = 2.0
REPORT_SECONDS = 60.0  # over several dimensions a report reads every row of its period

router = APIRouter(prefix="/admin/usage", tags=["usage"])

Since = Annotated[Instant | None, Query(description="From this time on (included).")]
Until = Annotated[Instant | None, Query(description="Before this time.")]
Format = Annotated[Literal["json", "csv"], Query(description="CSV has a header, and no total.")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=NO_CONTROLS)]
_BEGINNING = datetime.fromtimestamp(0, UTC)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_PERIOD: JsonValue = {"since": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z", "dry_run": True}


class UsageAnswer(BaseModel):
    rows: list[dict[str, Any]] = Field(
        description="Each with its groups' ids (and `key_name`, `team_name`, `user_name` behind those), requests, "
        "input_tokens, cached_input_tokens, output_tokens and cost_usd, a decimal string."
    )
    total: dict[str, Any]


class RecordPage(BaseModel):
    data: list[dict[str, Any]]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last one.")


class RepriceRequest(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [_PERIOD]})

    since: Instant
    until: Instant
    model: Name | None = Field(default=None, description="Only what this configured model answered.")
    target: Name | None = None
    key: Name | None = Field(default=None, description="Only what was booked to this key, by id.")
    dry_run: bool = Field(default=True, description="Tell what would change, and change nothing.")


class ModelChange(BaseModel):
    model: str | None
    rows: int
    changed: int
    unpriced: int
    before_usd: str
    after_usd: str


class RepriceAnswer(BaseModel):
    dry_run: bool
    rows: int
    changed: int = Field(description="Rows that get another cost or price.")
    unpriced: int = Field(description="Rows no price is known for; they stay as they are.")
    before_usd: str
    after_usd: str
    models: list[ModelChange]


@router.get("", dependencies=[Depends(may_read)], response_model=UsageAnswer, responses=_CSV, summary="Sum usage")
async def get_usage(
    admin: Admin,
    group_by: Annotated[
        list[Annotated[str, StringConstraints(max_length=2_000)]],
        Query(
            max_length=8,
            description="Comma-separated, or repeated: key, team, user, model, target, endpoint, tag:NAME.",
        ),
    ] = [],  # noqa: B006
    since: Since = None,
    until: Until = None,
    bucket: Literal["hour", "day"] | None = None,
    key: Filter = None,
    team: Filter = None,
    user: Filter = None,
    model: Filter = None,
    target: Filter = None,
    endpoint: Filter = None,
    tag: Annotated[list[str], Query(max_length=8, description="Only what has this tag: `feature=search`.")] = [],  # noqa: B006
    format: Format = "json",
) -> Response:
    """Exact sums, this process's finished requests included. `cost_usd` is a decimal string; days and hours are UTC.

    Over one of the groups and the model it is quick however many requests there are; over more it reads them all.
    """
    given = {"key": key, "team": team, "user": user, "model": model, "target": target, "endpoint": endpoint}
    where: dict[str, str | None] = {name: value for name, value in given.items() if value is not None}
    where |= _tags(tag)
    groups = [name.strip() for names in group_by for name in names.split(",") if name.strip()]
    await _catch_up(admin)
    try:
        async with _turn(admin):
            report = await usage(admin.database, groups, since or _BEGINNING, until or _FOREVER, bucket, where)
            rows = await with_names(admin.database, groups, report.rows)
    except ReportError as error:
        raise InvalidRequest(str(error), param="group_by", code="invalid_value") from None
    if format == "csv":
        columns = [*(["bucket"] if bucket else []), *with_name_columns(groups), *report.total]
        return _csv(await asyncio.to_thread(to_csv, columns, rows), "usage.csv")
    body = await asyncio.to_thread(orjson.dumps, {"rows": rows, "total": report.total})
    return Response(body, media_type="application/json")


@router.get(
    "/records", dependencies=[Depends(may_read)], response_model=RecordPage, responses=_CSV, summary="List requests"
)
async def get_records(
    admin: Admin, since: Since = None, until: Until = None, limit: Limit = 50, cursor: Cursor = None,
    format: Format = "json",
) -> Response:  # fmt: skip
    """Every row of the ledger in the order the requests came in: JSON in pages, CSV as one stream of all of them."""
    begin, end = since or _BEGINNING, until or datetime.now(UTC)
    await _catch_up(admin)
    if format == "csv":
        pages = records.every(admin.database, begin, end)
        first = await _next_page(admin, pages)  # a database that is away is an answer, not the middle of one
        return _csv(_stream(admin, first, pages), "usage-records.csv")
    async with _turn(admin):
        rows = await records.page(admin.database, begin, end, after=decode_cursor(cursor), limit=limit + 1)
    page = rows[:limit]
    following = encode_cursor(page[-1]["at"], page[-1]["id"]) if len(rows) > limit else None
    return Response(orjson.dumps({"data": page, "next_cursor": following}), media_type="application/json")


@router.post("/reprice", summary="Price past requests anew")
async def reprice_usage(body: RepriceRequest, request: Request, caller: Writer, admin: Admin) -> RepriceAnswer:
    """Compute the cost of past requests at the prices known now for when they came in.

    It may be cut off and asked for again: what is right already stays. Noted in the audit log unless it is a dry run.
    Budgets are only ever raised by it, within half a minute.
    """
    await _catch_up(admin)
    price_of = admin.price_book.price
    try:
        chosen = Selection(since=body.since, until=body.until, model=body.model, target=body.target, key=body.key)
        async with _one_at_a_time(admin):
            if body.dry_run:
                done = await reprice(admin.database, chosen, price_of, apply=False)
            else:
                who = actor(request, caller)
                done = await reprice_audited(admin.database, chosen, price_of, who, datetime.now(UTC))
    except RepriceError as error:
        raise InvalidRequest(str(error), param="since", code="invalid_value") from None
    return RepriceAnswer(dry_run=body.dry_run, **done.shown())


async def _catch_up(admin: AdminContext) -> None:
    """Have this process's finished requests in the database."""
    with suppress(TimeoutError):  # a ledger that cannot catch up shows as sluicegate_ledger_lag_seconds
        async with asyncio.timeout(FLUSH_SECONDS):
            await admin.ledger.flush()


@asynccontextmanager
async def _one_at_a_time(admin: AdminContext) -> AsyncIterator[None]:
    """Wait at most REPORT_SECONDS for the re-pricing under way; then take as long as it takes.

    Raises StorageUnavailable.
    """
    try:
        async with asyncio.timeout(REPORT_SECONDS):
            await admin.repricing.acquire()
    except TimeoutError:
        raise StorageUnavailable("Another re-pricing is under way; try again.") from None
    try:
        yield
    finally:
        admin.repricing.release()


@asynccontextmanager
async def _turn(admin: AdminContext) -> AsyncIterator[None]:
    """Wait for a turn and use it, both within REPORT_SECONDS. Raises StorageUnavailable."""
    try:
        async with asyncio.timeout(REPORT_SECONDS), admin.reports:
            yield
    except TimeoutError:
        raise StorageUnavailable("The database did not answer in time; try again.") from None


def _tags(pairs: list[str]) -> dict[str, str]:
    """What a report is narrowed to by tags. Raises InvalidRequest."""
    wanted: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise InvalidRequest(
                "'tag' must be a tag and its value, like feature=search.", param="tag", code="invalid_value"
            )
        if f"tag:{name}" in wanted:
            raise InvalidRequest(f"'tag' names {name[:100]!r} twice.", param="tag", code="invalid_value")
        wanted[f"tag:{name}"] = value
    return wanted


def _csv(content: str | AsyncIterator[str], name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    if isinstance(content, str):
        return Response(content, media_type="text/csv", headers=headers)
    return StreamingResponse(content, media_type="text/csv", headers=headers)


async def _next_page(admin: AdminContext, pages: AsyncIterator[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Empty behind the last one. The turn ends with the page: a caller may read slowly."""
    async with _turn(admin):
        return await anext(pages, [])


async def _stream(
    admin: AdminContext, first: list[dict[str, Any]], pages: AsyncIterator[list[dict[str, Any]]]
) -> AsyncIterator[str]:
    yield to_csv(records.COLUMNS, first)
    while page := await _next_page(admin, pages):
        yield to_csv(records.COLUMNS, page, header=False)
