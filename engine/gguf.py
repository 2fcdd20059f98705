"""Reads a GGUF file's header: metadata and where each tensor lies. Never the tensors' data.

The format is public: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little
endian). The `gguf` package's own reader makes several numpy objects per string and needs seconds for a
vocabulary; this one needs a twentieth of a second. The file is untrusted: every count, length and offset is
checked before it is used, and whatever is wrong with the file is a ModelFileError.
"""

from __future__ import annotations

import math
import mmap
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from engine.errors import ModelFileError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MAX_HEADER_BYTES = 2**28  # largest known headers are near 20 MiB
MAX_KEYS = 2**16
MAX_TENSORS = 2**20
MAX_KEY_BYTES = 2**16 - 1  # the specification's own limit
MAX_ARRAY_DEPTH = 4
MAX_ARRAY_ELEMENTS = 2**23  # over all arrays together; a vocabulary of 256k has about 1.3 million

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor's place. `shape` is row-major (torch order); `offset` is absolute; `nbytes` is as stored."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata by key (str, int, float, bool or a list of those) and tensors by name, in the file's order."""

    version: int
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]


def read_header(path: str | Path) -> Header:
    """Read the header of the GGUF file at `path`.

    Raises ModelFileError if the file is missing, is not GGUF version 2 or 3 in little endian, is truncated,
    or states what cannot be true (a tensor beyond the file's end, a duplicate name, an unknown type).
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path} is not a file")
        if status.st_size == 0:
            raise ModelFileError(f"{path} is empty")
        visible = min(status.st_size, MAX_HEADER_BYTES)
        with path.open("rb") as file, mmap.mmap(file.fileno(), visible, access=mmap.ACCESS_READ) as data:
            return _parse(_Cursor(data, visible), status.st_size)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
    except _Malformed as error:
        raise ModelFileError(f"{path} is not a usable GGUF file: {error}") from error


class _Malformed(Exception):
    """What is wrong with the file's contents, without its path."""


class _Cursor:
    """Walks the header; refuses to step beyond its end."""

    def __init__(self, data: mmap.mmap, end: int) -> None:
        self.data = data
        self.end = end
        self.position = 0
        self.elements_left = MAX_ARRAY_ELEMENTS

    def take(self, count: int) -> int:
        """Step over `count` bytes and return where they begin."""
        start = self.position
        if count > self.end - start:
            raise _Malformed(f"it ends inside its header (at byte {self.end})")
        self.position = start + count
        return start

    def u32(self) -> int:
        start = self.take(4)
        value: int = _U32.unpack_from(self.data, start)[0]
        return value

    def u64(self) -> int:
        start = self.take(8)
        value: int = _U64.unpack_from(self.data, start)[0]
        return value

    def string(self) -> str:
        start = self.take(self.u64())
        try:
            return self.data[start : self.position].decode()
        except UnicodeDecodeError as error:
            raise _Malformed(f"the string at byte {start} is not UTF-8") from error

    def strings(self, count: int) -> list[str]:
        """`count` strings in a row: `string` without its calls, which would be most of a load's time."""
        data, end, position, unpack = self.data, self.end, self.position, _U64.unpack_from
        found: list[str] = []
        try:
            for _ in range(count):
                start = position + 8
                position = start + unpack(data, position)[0]
                if position > end:
                    raise _Malformed(f"it ends inside its header (at byte {end})")
                found.append(data[start:position].decode())
        except struct.error as error:
            raise _Malformed(f"it ends inside its header (at byte {end})") from error
        except UnicodeDecodeError as error:
            raise _Malformed(f"the string at byte {start} is not UTF-8") from error
        self.position = position
        return found

    def value(self, kind: int, depth: int = 0) -> Any:
        """One metadata value of the format's type number `kind`."""
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array(depth + 1)
        code = _SCALARS.get(kind)
        if code is None:
            raise _Malformed(f"value type {kind} at byte {self.position} is not known")
        start = self.take(struct.calcsize("<" + code))
        return struct.unpack_from("<" + code, self.data, start)[0]

    def array(self, depth: int) -> list[Any]:
        if depth > MAX_ARRAY_DEPTH:
            raise _Malformed(f"arrays are nested deeper than {MAX_ARRAY_DEPTH}")
        kind, count = self.u32(), self.u64()
        if count > self.elements_left:
            raise _Malformed(f"its arrays have more than {MAX_ARRAY_ELEMENTS} elements")
        self.elements_left -= count
        if kind == _STRING:
            return self.strings(count)
        code = _SCALARS.get(kind)
        if code is None:
            return [self.value(kind, depth) for _ in range(count)]
        start = self.take(count * struct.calcsize("<" + code))
        return list(struct.unpack_from(f"<{count}{code}", self.data, start))


def _parse(cursor: _Cursor, file_size: int) -> Header:
    start = cursor.take(4)
    if cursor.data[start:4] != MAGIC:
        raise _Malformed("it does not begin with 'GGUF'")
    version = cursor.u32()
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        detail = "big endian" if swapped in VERSIONS else f"version {version}"
        raise _Malformed(f"it is {detail}; versions 2 and 3 in little endian are read")
    tensor_count, key_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise _Malformed(f"it claims {tensor_count} tensors and {key_count} metadata keys")

    metadata: dict[str, Any] = {}
    for _ in range(key_count):
        key = _name(cursor, "metadata key", metadata)
        metadata[key] = cursor.value(cursor.u32())
    declared = [_tensor(cursor) for _ in range(tensor_count)]

    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise _Malformed(f"its alignment is {alignment!r}, not a power of two")
    data_start = -(-cursor.position // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for info in declared:
        if info.name in tensors:
            raise _Malformed(f"tensor {info.name!r} is there twice")
        offset = data_start + info.offset
        if info.offset % alignment:
            raise _Malformed(f"tensor {info.name!r} is not aligned to {alignment} bytes")
        if offset + info.nbytes > file_size:
            raise _Malformed(f"tensor {info.name!r} lies beyond the file's end; the file is cut off")
        tensors[info.name] = TensorInfo(info.name, info.shape, info.type, offset, info.nbytes)
    return Header(version, metadata, tensors)


def _name(cursor: _Cursor, what: str, taken: dict[str, Any]) -> str:
    start = cursor.position
    name = cursor.string()
    if not name or cursor.position - start - 8 > MAX_KEY_BYTES:
        raise _Malformed(f"the {what} at byte {start} is empty or too long")
    if name in taken:
        raise _Malformed(f"{what} {name!r} is there twice")
    return name


def _tensor(cursor: _Cursor) -> TensorInfo:
    """The next tensor's entry, its offset still relative to the start of the data."""
    name = _name(cursor, "tensor name", {})
    dimensions = cursor.u32()
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise _Malformed(f"tensor {name!r} has {dimensions} dimensions")
    shape = tuple(cursor.u64() for _ in range(dimensions))[::-1]  # stored fastest-varying first
    kind, offset = cursor.u32(), cursor.u64()
    try:
        tensor_type = GGMLQuantizationType(kind)
        block, block_bytes = GGML_QUANT_SIZES[tensor_type]
    except (ValueError, KeyError) as error:
        raise _Malformed(f"tensor {name!r} is of type {kind}, which is not known") from error
    if min(shape) < 1 or shape[-1] % block:
        raise _Malformed(f"tensor {name!r} cannot have shape {shape} in {tensor_type.name}")
    return TensorInfo(name, shape, tensor_type, offset, math.prod(shape) // block * block_bytes)
