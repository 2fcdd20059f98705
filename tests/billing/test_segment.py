"""A journal file gives back what is intact in it, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from billing.segment import pack, scan

payloads = st.lists(st.text(min_size=1, max_size=40).map(str.encode), max_size=8)
THREE = [b'{"id":"1"}', b'{"id":"22"}', '{"id":"333","user":"zoë"}'.encode()]


@given(payloads)
def test_what_was_packed_is_found(records: list[bytes]) -> None:
    found = scan(b"".join(map(pack, records)))
    assert (found.payloads, found.torn, found.damaged) == (records, 0, 0)


def test_a_file_cut_anywhere_keeps_every_earlier_record_and_invents_none() -> None:
    data = b"".join(map(pack, THREE))
    ends = [sum(len(pack(record)) for record in THREE[:count]) for count in range(len(THREE) + 1)]
    for cut in range(len(data) + 1):
        whole = max(count for count, end in enumerate(ends) if end <= cut)
        found = scan(data[:cut])
        assert found.payloads == THREE[:whole]
        assert (found.torn, found.damaged) == (cut - ends[whole], 0)


def test_every_flipped_bit_is_noticed_and_costs_only_its_own_record() -> None:
    data = b"".join(map(pack, THREE))
    first, second = len(pack(THREE[0])), len(pack(THREE[1]))
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found = scan(bytes(flipped))
        hit = 0 if bit // 8 < first else 1 if bit // 8 < first + second else 2
        assert found.payloads == [record for index, record in enumerate(THREE) if index != hit]
        assert found.torn + found.damaged == len(pack(THREE[hit]))
        if hit < 2:
            assert found.torn == 0


def test_space_that_was_never_filled_is_no_damage() -> None:
    found = scan(pack(THREE[0]) + bytes(4_096))
    assert (found.payloads, found.torn, found.damaged) == (THREE[:1], 4_096, 0)


@given(st.binary(max_size=300))
def test_noise_is_never_a_record(noise: bytes) -> None:
    found = scan(noise)
    assert found.payloads == []
    assert found.torn + found.damaged == len(noise)


@given(st.binary(max_size=50), payloads)
def test_records_behind_noise_are_found(noise: bytes, records: list[bytes]) -> None:
    found = scan(noise + b"".join(map(pack, records)))
    assert found.payloads == records
