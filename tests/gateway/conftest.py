"""The fixtures of `gatekit`, for every test here."""

from gatekit import gate, upstream

__all__ = ["gate", "upstream"]
