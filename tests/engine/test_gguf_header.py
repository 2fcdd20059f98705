"""The header reader agrees with the reference reader, and nothing in a file can hang or fool it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_kit import MODEL, write_gguf

from engine.errors import ModelFileError
from engine.gguf import read_header


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "small.gguf")


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def header(*, magic: bytes = b"GGUF", version: int = 3, tensors: int = 0, keys: int = 0, body: bytes = b"") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, keys) + body


def key(name: str, kind: int, value: bytes) -> bytes:
    return string(name) + struct.pack("<I", kind) + value


def tensor(name: str = "t", dims: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def agrees_with_reference(path: Path) -> None:
    ours, reference = read_header(path), gguf.GGUFReader(path)
    expected = {name: f.contents() for name, f in reference.fields.items() if not name.startswith("GGUF.")}
    assert ours.metadata == expected
    assert list(ours.tensors) == [t.name for t in reference.tensors]
    for t in reference.tensors:
        info = ours.tensors[t.name]
        assert info.shape == tuple(int(d) for d in reversed(t.shape))
        assert (info.type, info.offset, info.nbytes) == (t.tensor_type, t.data_offset, t.n_bytes)


def test_small_file_reads_as_the_reference_reader_reads_it(small: Path) -> None:
    agrees_with_reference(small)


@pytest.mark.model
def test_real_model_reads_as_the_reference_reader_reads_it() -> None:
    agrees_with_reference(MODEL)


def test_offset_and_shape_lead_to_the_tensors_values(small: Path) -> None:
    info = read_header(small).tensors["matrix"]
    values = np.fromfile(small, dtype=np.float32, count=6, offset=info.offset).reshape(info.shape)
    assert values.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "empty", id="empty file"),
        pytest.param(b"GG", "ends inside", id="two bytes"),
        pytest.param(header(magic=b"GGML"), "does not begin", id="wrong magic"),
        pytest.param(header(version=1), "version 1", id="old version"),
        pytest.param(header(version=0x03000000), "big endian", id="big endian"),
        pytest.param(header(tensors=2**63), "claims", id="endless tensors"),
        pytest.param(header(keys=2**63), "claims", id="endless keys"),
        pytest.param(header(keys=1000), "ends inside", id="keys missing"),
        pytest.param(header(keys=1, body=struct.pack("<Q", 2**62)), "ends inside", id="endless key"),
        pytest.param(header(keys=1, body=key("", 0, b"\0")), "empty or too long", id="nameless key"),
        pytest.param(header(keys=1, body=key("k" * 70_000, 0, b"\0")), "too long", id="long key"),
        pytest.param(header(keys=2, body=key("a", 0, b"\0") * 2), "twice", id="key twice"),
        pytest.param(header(keys=1, body=key("a", 99, b"\0")), "type 99", id="unknown value type"),
        pytest.param(
            header(keys=1, body=key("a", 8, struct.pack("<Q", 2) + b"\xff\xfe")), "UTF-8", id="not UTF-8"
        ),
        pytest.param(
            header(keys=1, body=key("a", 9, struct.pack("<IQ", 4, 2**61))), "elements", id="endless array"
        ),
        pytest.param(
            header(keys=1, body=key("a", 9, struct.pack("<IQ", 4, 2**20))), "ends inside", id="short array"
        ),
        pytest.param(
            header(keys=1, body=key("a", 9, struct.pack("<IQQ", 8, 2**20, 2**60))), "inside", id="short strings"
        ),
        pytest.param(
            header(keys=1, body=key("a", 9, struct.pack("<IQQ", 8, 1, 2**60) + b"abc")), "inside", id="cut string"
        ),
        pytest.param(
            header(keys=1, body=key("a", 9, struct.pack("<IQQ", 8, 1, 1) + b"\xff")), "UTF-8", id="bad strings"
        ),
        pytest.param(
            header(keys=1, body=key("a", 9, struct.pack("<IQ", 9, 1) * 5000)), "nested", id="nested arrays"
        ),
        pytest.param(
            header(keys=1, body=key("general.alignment", 4, struct.pack("<I", 24))), "alignment", id="alignment"
        ),
        pytest.param(header(tensors=1, body=tensor(dims=())), "0 dimensions", id="no dimensions"),
        pytest.param(header(tensors=1, body=tensor(dims=(1,) * 5)), "5 dimensions", id="many dimensions"),
        pytest.param(header(tensors=1, body=tensor(dims=(0,))), "shape", id="zero dimension"),
        pytest.param(header(tensors=1, body=tensor(dims=(33,), kind=8)), "shape", id="broken block"),
        pytest.param(header(tensors=1, body=tensor(kind=4)), "type 4", id="unknown tensor type"),
        pytest.param(header(tensors=1, body=tensor()), "beyond", id="no data"),
        pytest.param(header(tensors=1, body=tensor(dims=(2**63,) * 4)), "beyond", id="huge tensor"),
        pytest.param(header(tensors=1, body=tensor(offset=2**63)), "beyond", id="offset beyond the end"),
        pytest.param(header(tensors=1, body=tensor(offset=4) + bytes(99)), "aligned", id="crooked offset"),
        pytest.param(header(tensors=2, body=tensor() * 2 + bytes(99)), "twice", id="tensor twice"),
    ],
)  # fmt: skip
def test_broken_file_is_a_typed_error(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=says):
        read_header(path)


def test_file_cut_off_anywhere_is_a_typed_error(small: Path, tmp_path: Path) -> None:
    content = small.read_bytes()
    end = max(info.offset + info.nbytes for info in read_header(small).tensors.values())  # padding follows
    cut = tmp_path / "cut.gguf"
    for length in [*range(0, end, 97), end - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            read_header(cut)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_never_end_in_anything_but_a_typed_error(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "damaged.gguf"
    if not path.exists():
        write_gguf(path)
        (tmp_path / "whole").write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 8))
        content[start : start + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(content)
    try:
        tensors = read_header(path).tensors.values()
    except ModelFileError:
        return
    assert all(info.offset + info.nbytes <= len(content) for info in tensors)


def test_what_is_no_file_is_a_typed_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ModelFileError, match="is not a file"):
            read_header(path)
    for name in (tmp_path / "missing", "nul\0byte"):
        with pytest.raises(ModelFileError, match="cannot be read"):
            read_header(name)
