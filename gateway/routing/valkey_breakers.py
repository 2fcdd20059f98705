"""Open breakers in Valkey or Redis: one hash, one script that writes and reads it. A connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from gateway.admission.stores.address import parse_address
from gateway.admission.stores.base import StoreUnavailable
from gateway.admission.stores.link import Link, connect, into
from gateway.admission.stores.scripts import Script
from gateway.routing.sharing import Opening

FORGOTTEN = 600_000  # milliseconds after a cooldown, if no replica closed it: those that knew it are gone

EXCHANGE = Script(
    """
-- KEYS: breakers. ARGV: changes {target, opening or '', milliseconds}, milliseconds until forgotten.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, change in ipairs(cmsgpack.unpack(ARGV[1])) do
  if change[2] == '' then redis.call('HDEL', KEYS[1], change[1])
  else redis.call('HSET', KEYS[1], change[1], string.format('%s %d', change[2], now + change[3])) end
end
local kept, open = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #kept, 2 do
  local opening, ends = string.match(kept[i + 1], '^(%S+) (%d+)$')
  local left = tonumber(ends) - now
  if left < -tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], kept[i])
  else open[#open + 1] = {kept[i], opening, math.max(left, 0)} end
end
return cmsgpack.pack(open)
"""
)


class ValkeyBreakers:
    """A BreakerStore on the server that `url` names (see `parse_address`). Raises StoreConfigError."""

    def __init__(self, url: str, *, prefix: str = "{sluicegate}", timeout: float = 0.5) -> None:
        self._address = parse_address(url)
        self._key = f"{prefix}:breakers".encode()
        self._timeout = timeout
        self._link: Link | None = None

    async def exchange(self, changes: Mapping[str, Opening | None]) -> dict[str, Opening]:
        told = [
            (name, opening.id if opening else "", round(opening.seconds * 1000) if opening else 0)
            for name, opening in changes.items()
        ]
        link = self._link
        if link is None or not link.open:
            link = self._link = await connect(self._address, self._timeout, _lost)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        link.run(EXCHANGE, [self._key], [msgspec.msgpack.encode(told), b"%d" % FORGOTTEN], into(reply))
        try:
            answer = msgspec.msgpack.decode(await reply, type=list[tuple[str, str, float]])
        except msgspec.DecodeError:
            raise StoreUnavailable("the store's answer cannot be understood") from None
        return {name: Opening(opening, left / 1000) for name, opening, left in answer}

    def close(self) -> None:
        if self._link is not None:
            self._link.close()


def _lost(_: Link) -> None:
    """The next exchange connects again."""
