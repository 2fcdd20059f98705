"""An entry is a bill that both databases can hold, whatever a caller wrote."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from billkit import entry, ids_in
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import EntryError, decode, encode
from billing.journal import Journal
from billing.ledger import Ledger
from billing.money import MoneyError
from billing.tables import TEXT_LENGTH, usage_records

any_text = st.text(st.characters(), max_size=20)  # surrogates and NUL included
NASTY = ["\x00", "\ud800x", "a\x00b", "é\u202e\U0001f600", "'; DROP TABLE usage_records; --", "x" * 5_000, '"\\{']


@given(any_text, st.dictionaries(any_text, any_text, max_size=3))
def test_any_text_survives_the_journal(text: str, tags: dict[str, str]) -> None:
    made = entry(1, requested_model=text, user=text, tags=tags)
    assert decode(encode(made)) == made


async def test_texts_no_database_takes_are_stored_cleaned(db: AsyncEngine, tmp_path: Path) -> None:
    ledger = Ledger(Journal(tmp_path / "journal"), db)
    await ledger.start()
    for number, text in enumerate(NASTY):
        ledger.record(entry(number, requested_model=text, request_id=text, tags={text: text}))
    await ledger.flush()
    await ledger.close()
    async with db.connect() as connection:
        found = list((await connection.scalars(select(usage_records.c.requested_model).order_by("id"))).all())
    assert found[:3] == ["\ufffd", "\ufffdx", "a\ufffdb"]
    assert found[3:5] == NASTY[3:5]
    assert found[5] == "x" * TEXT_LENGTH
    assert len(await ids_in(db)) == len(NASTY)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(EntryError, match="aware"):
        entry(at=datetime(2026, 1, 1))


@pytest.mark.parametrize("name", ["", "x" * 33])
def test_an_id_that_no_row_takes_is_refused(name: str) -> None:
    with pytest.raises(EntryError, match="id"):
        entry(id=name)


def test_a_cost_no_row_takes_is_refused() -> None:
    with pytest.raises(MoneyError):
        entry(cost=Decimal("1E-13"))


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"\xff", encode(entry(1)).replace(b'"status":200', b'"status":"ok"')]
)
def test_bytes_that_are_no_entry_are_refused(payload: bytes) -> None:
    with pytest.raises(EntryError):
        decode(payload)


def test_fields_of_a_later_version_are_ignored() -> None:
    assert decode(encode(entry(1))[:-1] + b',"region":"eu"}') == entry(1)
