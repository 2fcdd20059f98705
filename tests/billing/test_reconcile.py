"""An invoice against the ledger: every line of either side is accounted for, to the digit."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from billkit import NOON, entry
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.invoice import InvoiceError, InvoiceLine, read_invoice
from billing.reconcile import Reconciliation, Verdict, reconcile
from billing.store import UsageStore
from billing.usage import Usage

DAY = NOON.date()
OPENAI_COSTS = """start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id
1795478400,1795564800,2026-11-24T00:00:00+00:00,2026-11-25T00:00:00+00:00,0.8958740000000000,usd,"gpt-x, input",p
1795478400,1795564800,2026-11-24T00:00:00+00:00,2026-11-25T00:00:00+00:00,0.1041260000000000,usd,"gpt-x, output",p
1795564800,1795651200,2026-11-25T00:00:00+00:00,2026-11-26T00:00:00+00:00,,,,
"""
OPENAI_USAGE = """start_time,end_time,project_id,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens
1795478400,1795564800,p,3,gpt-x,1200,90,200
"""
ANTHROPIC_USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
    "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens\n"
    "2026-11-24,claude-x,key,Default,100,20,3,4000,55\n"
)
ANTHROPIC_COSTS = """usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd,list_price_usd
2026-11-24,Claude X,Default,key,message,input_no_cache,0.05,0.06
2026-11-24,Claude X,Default,key,message,output,1.25,1.30
"""


def read(text: str, **columns: str) -> list[InvoiceLine]:
    return read_invoice(text.splitlines(keepends=True), columns)


def told(line: InvoiceLine) -> tuple[Any, ...]:
    return line.day, line.model, line.input_tokens, line.output_tokens, line.cached_input_tokens, line.cost


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (OPENAI_COSTS, [(DAY, "gpt-x", None, None, None, Decimal(c)) for c in ("0.895874", "0.104126")]),
        (OPENAI_USAGE, [(DAY, "gpt-x", 1200, 90, 200, None)]),
        (ANTHROPIC_USAGE, [(DAY, "claude-x", 4123, 55, 4000, None)]),
        (ANTHROPIC_COSTS, [(DAY, "Claude X", None, None, None, Decimal(c)) for c in ("0.05", "1.25")]),
        ("\ufeffDate;Model;Prompt Tokens;Amount\n2026-11-24;m;7;-1.5\n", [(DAY, "m", 7, None, None, Decimal("-1.5"))]),
        (
            "day\tmodel\tcost\n2026-11-25T01:00:00+02:00\tm\t$1,234.56\n",
            [(DAY, "m", None, None, None, Decimal("1234.56"))],
        ),
        ("day,model,cost\n2026-11-24 23:59:59,m,1E-7\n", [(DAY, "m", None, None, None, Decimal("0.0000001"))]),
        ("day,model,cost\n\n,,\n2026-11-24,,0\n", []),
        ("day,model,cost\n", []),
    ],
)
def test_the_exports_of_providers_are_read(text: str, lines: list[tuple[Any, ...]]) -> None:
    assert [told(line) for line in read(text)] == lines


def test_a_mapping_says_where_a_field_is() -> None:
    text = "When,Which,Net,Tax\n2026-11-24,m,1.10,0.20\n"
    (line,) = read(text, day="When", model="which", cost="Net+Tax")
    assert told(line) == (DAY, "m", None, None, None, Decimal("1.30"))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "no column is known to be the day"),
        ("model,cost\nm,1\n", 1, "known to be the day; there are model, cost"),
        ("day,cost\n2026-11-24,1\n", 1, "known to be the model"),
        ("day,model\n2026-11-24,m\n", 1, "tokens or a cost"),
        ("day,model,cost\n2026-11-24,m,1\n24.11.2026,m,1\n", 3, "'24.11.2026' is no date"),
        ("day,model,cost\n2026-11-24,m,free\n", 2, r"'free' is no number \(cost\)"),
        ("day,model,cost\n2026-11-24,m,NaN\n", 2, "no number"),
        ("day,model,cost\n2026-11-24,m,--1\n", 2, "no number"),
        ("day,model,output_tokens\n2026-11-24,m,1.5\n", 2, "1.5 is no number of tokens"),
        ("day,model,output_tokens\n2026-11-24,m,-1\n", 2, "-1 is no number of tokens"),
        ("day,model,cost\n2026-11-24,,1\n", 2, "names no model"),
        ("day,model,cost\n2026-11-24,m\n", 2, "has 2 cells where the header has 3"),
        ("day,model,cost,currency\n2026-11-24,m,1,EUR\n", 2, "in 'EUR'; only USD"),
        ('day,model,cost\n2026-11-24,"a\nb",1\n2026-11-24,"m"x,1\n', 4, "no CSV"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(InvoiceError, match=reason) as refused:
        read(text)
    assert refused.value.line == line
    assert str(refused.value).startswith(f"line {line}: ")


@pytest.mark.parametrize("columns", [{"price": "cost"}, {"cost": "net"}])
def test_a_mapping_to_what_is_not_there_is_refused(columns: dict[str, str]) -> None:
    with pytest.raises(InvoiceError, match="there is no"):
        read("day,model,cost\n2026-11-24,m,1\n", **columns)


@given(st.text(alphabet="day,model cost\n0123456789.-\"'$;\t\r\ufeff\u0661é", max_size=200))
def test_no_file_is_anything_but_read_or_refused(text: str) -> None:
    for head in ("", "day,model,cost,input_tokens\n"):
        with suppress(InvoiceError):
            read(head + text)


async def compare(db: AsyncEngine, invoice: str, **options: Any) -> Reconciliation:
    return await reconcile(db, read(invoice), DAY, DAY + timedelta(days=2), **options)


def booked(served: str, cost: str, **changes: Any) -> Any:
    usage = Usage(input_tokens=400, cached_input_tokens=100, output_tokens=30)
    return entry(**{"served_model": served, "cost": Decimal(cost), "usage": usage, "target": "t"} | changes)


async def test_every_line_of_either_side_is_told(db: AsyncEngine) -> None:
    await UsageStore(db).write(
        [
            booked("a", "0.5"),
            booked("a", "0.25"),
            booked("b", "1"),
            booked("ours", "0.000000000001"),
            booked("a", "3", at=NOON + timedelta(days=1)),
            booked("a", "99", at=NOON + timedelta(days=2)),
            booked("a", "99", target="elsewhere"),
            booked("failed", "0", usage=Usage()),
        ]
    )
    invoice = """day,model,input_tokens,output_tokens,cached_tokens,cost
2026-11-24,a,400,30,100,0.30
2026-11-24,a,400,30,100,0.45
2026-11-24,b,400,31,100,1
2026-11-24,theirs,1,2,0,0.1
2026-11-25,a,400,30,100,3.011
2026-11-23,a,400,30,100,5
"""
    found = await compare(db, invoice, target="t")
    assert [(match.day, match.model, match.verdict) for match in found.matches] == [
        (DAY, "a", Verdict.MATCH),
        (DAY, "b", Verdict.DIFFERS),
        (DAY, "ours", Verdict.ONLY_OURS),
        (DAY, "theirs", Verdict.ONLY_THEIRS),
        (date(2026, 11, 25), "a", Verdict.DIFFERS),
    ]
    assert not found.agrees
    assert found.left_out == 1
    shown = found.shown()
    assert shown["lines"][1]["difference"] == {
        "input_tokens": 0, "output_tokens": 1, "cached_input_tokens": 0, "cost_usd": "0"
    }  # fmt: skip
    assert shown["lines"][2]["ours"]["cost_usd"] == "0.000000000001"
    assert shown["total"]["theirs"]["cost_usd"] == "4.861"
    assert shown["total"]["ours"]["cost_usd"] == "4.750000000001"
    assert shown["total"]["difference"]["cost_usd"] == "0.110999999999"


async def test_a_tolerance_holds_to_the_digit(db: AsyncEngine) -> None:
    await UsageStore(db).write([booked("a", "1")])
    invoice = "day,model,cost\n2026-11-24,a,1.01\n"
    assert (await compare(db, invoice)).agrees
    assert not (await compare(db, invoice, tolerance=Decimal("0.009999999999"))).agrees


async def test_what_the_invoice_does_not_tell_is_not_held_against_it(db: AsyncEngine) -> None:
    await UsageStore(db).write([booked("a", "1"), booked("free", "0")])
    found = await compare(db, "day,model,cost\n2026-11-24,a,1\n")
    assert found.agrees
    assert found.shown()["total"]["theirs"] == {"cost_usd": "1"}


async def test_other_names_for_a_model_are_taken_for_it(db: AsyncEngine) -> None:
    await UsageStore(db).write([booked("claude-x-20260101", "1.3")])
    assert not (await compare(db, ANTHROPIC_COSTS)).agrees
    assert (await compare(db, ANTHROPIC_COSTS, models={"Claude X": "claude-x-20260101"})).agrees
