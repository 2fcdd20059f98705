"""The accounting of cache blocks: every block in exactly one condition, whatever happens in which order."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.block_pool import BlockPool, IntegrityError, OutOfBlocks
from engine.core.prefix import KeyChain, block_key


def key(name: object) -> bytes:
    return repr(name).encode()


def cached_blocks(pool: BlockPool, names: list[str]) -> list[int]:
    """Blocks that were filled, registered and released in one go, as one sequence's table."""
    table = pool.allocate(len(names))
    for block_id, name in zip(table, names, strict=True):
        pool.register(block_id, key(name))
    pool.release(table)
    return table


def test_null_block_is_never_handed_out() -> None:
    pool = BlockPool(9, 4)
    table = pool.allocate(8)
    assert sorted(table) == list(range(1, 9))
    assert (pool.total, pool.used, pool.free, pool.cached) == (8, 8, 0, 0)


def test_allocating_more_than_available_changes_nothing() -> None:
    pool = BlockPool(5, 4)
    held = pool.allocate(3)
    with pytest.raises(OutOfBlocks):
        pool.allocate(2)
    assert pool.available == 1
    pool.check_integrity([held])


def test_released_blocks_are_found_by_their_contents_until_evicted() -> None:
    pool = BlockPool(4, 4)
    table = cached_blocks(pool, ["a", "b"])
    assert (pool.free, pool.cached, pool.used) == (1, 2, 0)
    assert pool.lookup([key("a"), key("b"), key("c")]) == table
    pool.allocate(3)
    assert pool.lookup([key("a")]) == []
    assert pool.cached == 0


def test_lookup_stops_at_the_first_unknown_block() -> None:
    pool = BlockPool(5, 4)
    table = cached_blocks(pool, ["a", "b", "c"])
    assert pool.lookup([key("a"), key("x"), key("c")]) == table[:1]


def test_worthless_blocks_go_first_then_the_tail_of_the_longest_unused_prompt() -> None:
    pool = BlockPool(8, 4)
    older = cached_blocks(pool, ["a1", "a2", "a3"])
    newer = cached_blocks(pool, ["b1", "b2"])
    worthless = [block for block in range(1, 8) if block not in older + newer]
    order = [pool.allocate(1)[0] for _ in range(7)]
    assert sorted(order[:2]) == worthless
    assert order[2:] == [older[2], older[1], older[0], newer[1], newer[0]]


def test_a_worthless_block_released_late_is_taken_before_any_cached_one() -> None:
    pool = BlockPool(4, 4)
    table = pool.allocate(1)
    cached_blocks(pool, ["a", "b"])
    pool.release(table)
    assert pool.allocate(1) == table
    assert pool.cached == 2


def test_a_hit_protects_a_block_and_makes_it_the_last_to_go() -> None:
    pool = BlockPool(4, 4)
    (first,) = cached_blocks(pool, ["a"])
    (second,) = cached_blocks(pool, ["b"])
    (third,) = cached_blocks(pool, ["c"])
    pool.share([first])
    assert (pool.cached, pool.used) == (2, 1)
    pool.release([first])
    assert [pool.allocate(1)[0] for _ in range(3)] == [second, third, first]


def test_a_shared_block_is_freed_by_its_last_holder_only() -> None:
    pool = BlockPool(3, 4)
    table = pool.allocate(1)
    pool.register(table[0], key("a"))
    pool.share(table)
    pool.check_integrity([table, table])
    pool.release(table)
    assert pool.used == 1
    pool.release(table)
    assert (pool.used, pool.cached) == (0, 1)


def test_releasing_twice_is_an_error_and_not_a_second_owner() -> None:
    pool = BlockPool(3, 4)
    table = pool.allocate(1)
    pool.release(table)
    with pytest.raises(IntegrityError, match="nobody holds"):
        pool.release(table)
    pool.check_integrity([])


def test_second_block_of_equal_contents_stays_anonymous() -> None:
    pool = BlockPool(4, 4)
    first, second = pool.allocate(2)
    pool.register(first, key("a"))
    pool.register(second, key("a"))
    pool.release([second])
    assert pool.lookup([key("a")]) == [first]
    assert (pool.free, pool.cached) == (2, 0)


def test_fits_counts_a_cached_block_that_would_be_shared_as_taken() -> None:
    pool = BlockPool(4, 4)
    table = cached_blocks(pool, ["a"])
    assert pool.fits(2, sharing=table)
    assert not pool.fits(3, sharing=table)
    assert pool.fits(3)
    assert not pool.fits(3, spare=1)


def test_integrity_check_sees_a_lost_a_stolen_and_a_misnamed_block() -> None:
    pool = BlockPool(5, 4)
    table = pool.allocate(2)
    with pytest.raises(IntegrityError, match="holders"):
        pool.check_integrity([])
    with pytest.raises(IntegrityError, match="holders"):
        pool.check_integrity([table, table])
    with pytest.raises(IntegrityError, match="null block"):
        pool.check_integrity([table, [0]])
    pool.check_integrity([table])
    pool.register(table[0], key("a"))
    pool._index.clear()
    with pytest.raises(IntegrityError, match="key"):
        pool.check_integrity([table])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_any_sequence_of_operations_keeps_the_accounting_whole(seed: int, blocks: int) -> None:
    rng = random.Random(seed)
    pool = BlockPool(blocks, 4)
    tables: list[list[int]] = []
    for _ in range(80):
        action = rng.randrange(4)
        if action == 0 and pool.available:
            tables.append(pool.allocate(rng.randint(1, pool.available)))
        elif action == 1 and tables:
            pool.release(tables.pop(rng.randrange(len(tables))))
        elif action == 2 and tables:
            pool.register(rng.choice(rng.choice(tables)), key(rng.randrange(6)))
        elif action == 3:
            found = pool.lookup([key(name) for name in rng.sample(range(6), 3)])
            pool.share(found)
            if found:
                tables.append(found)
        pool.check_integrity(tables)
        assert pool.free + pool.cached + pool.used == pool.total
    for table in tables:
        pool.release(table)
    pool.check_integrity([])
    assert pool.available == pool.total


def test_keys_differ_in_every_field_and_fields_cannot_run_together() -> None:
    base = block_key(b"", [1, 2], salt="a", kv_dtype="f32")
    others = [
        block_key(b"p", [1, 2], salt="a", kv_dtype="f32"),
        block_key(b"", [2, 1], salt="a", kv_dtype="f32"),
        block_key(b"", [1, 2], salt="b", kv_dtype="f32"),
        block_key(b"", [1, 2], salt="a", kv_dtype="int8"),
        block_key(b"", [1, 2], salt="af", kv_dtype="32"),
        block_key(b"a", [1, 2], salt="", kv_dtype="f32"),
        block_key(b"", [1, 2], salt="a2:kv:1:f", kv_dtype="32"),
    ]
    assert len({base, *others}) == len(others) + 1


def test_keys_are_the_same_in_every_process() -> None:
    fields = b"parent:0:" + b"salt:6:tenant" + b"kv:3:f32" + b"tokens:32:" + struct.pack("=4q", 1, 2, 3, 4)
    assert block_key(b"", [1, 2, 3, 4], salt="tenant", kv_dtype="f32") == hashlib.sha256(fields).digest()


def test_a_key_covers_all_tokens_before_it_and_survives_growth() -> None:
    tokens = list(range(8))
    chain = KeyChain(tokens, 4, salt="", kv_dtype="f32")
    keys = list(chain.keys(2))
    with pytest.raises(IndexError):
        chain.key(2)
    tokens += range(8, 12)
    assert list(chain.keys(3))[:2] == keys
    other_head = KeyChain([99, *range(1, 8)], 4, salt="", kv_dtype="f32")
    assert other_head.key(1) != keys[1]
