"""Keccak-256 as Ethereum and Monero use it: the sponge of SHA-3 (FIPS 202) with the padding it had before it was a
standard, which hashlib lacks. For short inputs that are checked now and then, not for bulk.
"""

from __future__ import annotations

_RATE = 136  # bytes: 1600 bits less twice 256
_MASK = (1 << 64) - 1


def _round_constants() -> tuple[int, ...]:
    """FIPS 202, algorithms 5 and 6: bits of a linear feedback shift register at places 2^j - 1."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << ((1 << j) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        constants.append(constant)
    return tuple(constants)


def _offsets() -> tuple[tuple[int, int, int], ...]:
    """For rho and pi in one walk: source lane, target lane, rotation (FIPS 202, algorithms 2 and 3)."""
    walk, x, y = [(0, 0, 0)], 1, 0
    for t in range(24):
        walk.append((x + 5 * y, y + 5 * ((2 * x + 3 * y) % 5), (t + 1) * (t + 2) // 2 % 64))
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(walk)


_CONSTANTS = _round_constants()
_WALK = _offsets()


def _permute(lanes: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        turned = [(column << 1 | column >> 63) & _MASK for column in columns]
        mix = [columns[x - 1] ^ turned[x - 4] for x in range(5)]
        moved = [0] * 25
        for source, target, by in _WALK:
            lane = lanes[source] ^ mix[source % 5]
            moved[target] = (lane << by | lane >> (64 - by)) & _MASK
        lanes = []
        for row in range(0, 25, 5):
            a, b, c, d, e = moved[row : row + 5]
            lanes += (a ^ (~b & c), b ^ (~c & d), c ^ (~d & e), d ^ (~e & a), e ^ (~a & b))
        lanes[0] ^= constant
    return lanes


def keccak256(data: bytes) -> bytes:
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % _RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for block in range(0, len(padded), _RATE):
        for at in range(_RATE // 8):
            lanes[at] ^= int.from_bytes(padded[block + 8 * at : block + 8 * at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])
