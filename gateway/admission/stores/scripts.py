"""The Lua scripts that keep the counters in Valkey or Redis. Each runs as one piece: nothing comes between its steps.

What lies where, behind the prefix (`counter` is a claim's):

    clock            hash: `now`, the last microsecond seen; `ahead`, what is added to the server's clock
    rate:counter     hash: second -> amount taken in it; `sum` of them; `from`, the first second that may have one
    running:counter  what is under way
    budget:counter   hash: `spent`, `held` in pico-dollars; `seeded`, the ledger was asked; `refused`, somebody was
    replicas         sorted set: replica -> when it last gave a sign of life
    swept            when dead replicas were last looked for
    holds:replica    hash: hold -> the second it was taken in, and what it took (msgpack)
    settled:hold     this hold is settled, or must not be taken any more

Time is whole microseconds. It never runs back: a clock set back by up to a minute is waited for, and one set back
further goes on from where it was, so that no limit is stuck until a date that was a mistake.
"""

from __future__ import annotations

from hashlib import sha1

from gateway.admission.stores.lua import COMMON

__all__ = ["BEAT", "BUDGET", "PURGE", "RESERVE", "SCRIPTS", "SEED", "SETTLE", "SWEEP", "Script"]


class Script:
    """A script and the two ways to call it: by the SHA-1 the server knows it by, and with its text."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        digest = sha1(self.text, usedforsecurity=False).hexdigest().encode()
        self.by_digest = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % digest
        self.by_text = b"$4\r\nEVAL\r\n$%d\r\n%b\r\n" % (len(self.text), self.text)


RESERVE = Script(
    COMMON
    + """
-- KEYS: clock, replicas, holds:replica, settled:hold, a key for each claim.
-- ARGV: now or '', replica, hold, claims {kind, limit, amount, least}; money as digits.
local now = clock(KEYS[1], ARGV[1])
local second = math.floor(now / SECOND)
local claims = cmsgpack.unpack(ARGV[4])
if redis.call('EXISTS', KEYS[4]) == 1 then return cmsgpack.pack({SETTLED}) end

local unseeded = {UNSEEDED}
for i, claim in ipairs(claims) do
  local kind, limit, amount = claim[1], claim[2], claim[3]
  local key = KEYS[4 + i]
  claim.key, claim.wait = key, 0
  if kind == RATE then
    claim.rate = read_rate(key, second)
    claim.wait = rate_wait(claim.rate, math.min(amount, claim[4]), limit, now)
  elseif kind == CONCURRENT then
    claim.running = tonumber(redis.call('GET', key) or 0)
    if claim.running + amount > limit then
      claim.wait = amount > limit and NEVER or SECOND
    end
  else
    local budget = redis.call('HMGET', key, 'spent', 'held', 'seeded', 'refused')
    claim.spent, claim.held, claim.refused = budget[1] or '0', budget[2] or '0', budget[4]
    if not budget[3] then
      unseeded[#unseeded + 1] = i - 1
    elseif above(plus(claim.spent, amount), limit) then
      claim.wait = NEVER
    elseif above(plus(plus(claim.spent, claim.held), amount), limit) then
      claim.wait = SECOND
    end
  end
end
if #unseeded > 1 then return cmsgpack.pack(unseeded) end

local worst
for i, claim in ipairs(claims) do
  if claim.wait > (worst and claims[worst].wait or 0) then worst = i end
end
if worst then
  local wait = claims[worst].wait
  local first = 0
  if claims[worst][1] == BUDGET and wait == NEVER and not claims[worst].refused
      and tonumber(claims[worst].spent) * 5 >= tonumber(claims[worst][2]) * 4 then
    redis.call('HSET', claims[worst].key, 'refused', 1)
    first = 1
  end
  local reply = {REFUSED, worst - 1, wait == NEVER and -1 or wait, first}
  for _, claim in ipairs(claims) do
    local used, reset = claim.running, 0
    if claim.rate then
      used, reset = claim.rate.sum, rate_reset(claim.rate, now)
    elseif claim.spent then
      used = plus(claim.spent, claim.held)
    end
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = used, 0, reset
  end
  return cmsgpack.pack(reply)
end

local reply, record = {GRANTED}, {second}
for _, claim in ipairs(claims) do
  local kind, taken = claim[1], claim[3]
  local used, reset = nil, 0
  if kind == RATE then
    taken = math.min(taken, claim[2] - claim.rate.sum)
    if taken > 0 then add(claim.rate, taken) end
    used, reset = claim.rate.sum, rate_reset(claim.rate, now)
  elseif kind == CONCURRENT then
    used = redis.call('INCRBY', claim.key, whole(taken))
  else
    local held = plus(claim.held, taken)
    redis.call('HSET', claim.key, 'held', held)
    used = plus(claim.spent, held)
  end
  record[#record + 1] = {kind, claim.key, taken}
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = used, taken, reset
end
redis.call('HSET', KEYS[3], ARGV[3], cmsgpack.pack(record))
redis.call('ZADD', KEYS[2], whole(now), ARGV[2])
return cmsgpack.pack(reply)
"""
)

SETTLE = Script(
    COMMON
    + """
-- KEYS: clock, holds:replica, settled:hold, a key for each claim.
-- ARGV: now or '', hold, {kind, used, expires} of each claim; money as digits.
-- Answers `before` and `after` of each BUDGET.
local claims = cmsgpack.unpack(ARGV[3])
local settled = not redis.call('SET', KEYS[3], 1, 'NX', 'EX', 900)
local now = clock(KEYS[1], ARGV[1])
local second = math.floor(now / SECOND)
local taken, taken_in = {}, nil
local record = not settled and redis.call('HGET', KEYS[2], ARGV[2])
if record then
  redis.call('HDEL', KEYS[2], ARGV[2])
  record = cmsgpack.unpack(record)
  taken_in = record[1]
  for i = 2, #record do taken[record[i][2]] = record[i][3] end
end

local reply = {}
for i, claim in ipairs(claims) do
  local kind, used, key = claim[1], claim[2], KEYS[3 + i]
  local had = taken[key]
  if kind == BUDGET then
    local budget = redis.call('HMGET', key, 'spent', 'held')
    local before = budget[1] or '0'
    local after = before
    if not settled then
      after = plus(before, used)
      redis.call('HSET', key, 'spent', after, 'held', minus(budget[2] or '0', had or '0'))
      if not budget[1] then forget_after_window(key, claim[3], now) end
    end
    reply[#reply + 1], reply[#reply + 2] = before, after
  elseif had and kind == CONCURRENT then
    if redis.call('DECRBY', key, whole(had)) <= 0 then redis.call('DEL', key) end
  elseif had and used > had then
    add(read_rate(key, second), used - had)
  elseif had and used < had then
    -- Of a second that is over too, if it is still there: its amount and the sum go down alike.
    local back = math.min(had - used, tonumber(redis.call('HGET', key, whole(taken_in)) or 0))
    if back > 0 then
      redis.call('HINCRBY', key, whole(taken_in), whole(-back))
      redis.call('HINCRBY', key, 'sum', whole(-back))
    end
  end
end
return cmsgpack.pack(reply)
"""
)

SEED = Script(
    COMMON
    + """
-- KEYS: clock, a key for each budget. ARGV: now or '', {spent, expires} of each; money as digits.
local now = clock(KEYS[1], ARGV[1])
for i, known in ipairs(cmsgpack.unpack(ARGV[2])) do
  local key = KEYS[1 + i]
  local spent = redis.call('HGET', key, 'spent')
  if not spent or above(known[1], spent) then redis.call('HSET', key, 'spent', known[1]) end
  redis.call('HSET', key, 'seeded', 1)
  forget_after_window(key, known[2], now)
end
return cmsgpack.pack({})
"""
)

BUDGET = Script(
    """
-- KEYS: the budget's key.
local budget = redis.call('HMGET', KEYS[1], 'spent', 'held')
return cmsgpack.pack({budget[1] or '0', budget[2] or '0'})
"""
)

BEAT = Script(
    COMMON
    + """
-- KEYS: clock, replicas. ARGV: now or '', replica.
redis.call('ZADD', KEYS[2], whole(clock(KEYS[1], ARGV[1])), ARGV[2])
return cmsgpack.pack({})
"""
)

SWEEP = Script(
    COMMON
    + """
-- KEYS: clock, replicas, swept. ARGV: now or '', what stands before a replica's name in its holds' key, the silence
-- (microseconds) of the dead, how many holds to release at most.
-- Answers how many holds were released, and whether there may be more to do.
local now = clock(KEYS[1], ARGV[1])
local silence = tonumber(ARGV[3])
local swept = tonumber(redis.call('GET', KEYS[3]) or 0)
redis.call('SET', KEYS[3], whole(now))
if now - swept > silence * 2 / 3 then
  -- Nobody looked for a while: the server stood still or its clock was set. The living get time to say so.
  for _, replica in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    redis.call('ZADD', KEYS[2], whole(now), replica)
  end
  return cmsgpack.pack({0, 0})
end
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now - silence), 'LIMIT', 0, 1)[1]
if not dead then return cmsgpack.pack({0, 0}) end

local key = ARGV[2] .. dead
local found = redis.call('HRANDFIELD', key, ARGV[4], 'WITHVALUES')
for i = 1, #found, 2 do
  release(cmsgpack.unpack(found[i + 1]))
  redis.call('HDEL', key, found[i])
end
if redis.call('EXISTS', key) == 0 then redis.call('ZREM', KEYS[2], dead) end
return cmsgpack.pack({#found / 2, 1})
"""
)

PURGE = Script(
    COMMON
    + """
-- KEYS: clock, holds:replica. ARGV: the holds that the replica itself knows of (msgpack).
-- Releases all others: a server that came back with data of before knows holds that were settled since.
local known = {}
for _, hold in ipairs(cmsgpack.unpack(ARGV[1])) do known[hold] = true end
for _, hold in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not known[hold] then
    release(cmsgpack.unpack(redis.call('HGET', KEYS[2], hold)))
    redis.call('HDEL', KEYS[2], hold)
  end
end
return cmsgpack.pack({})
"""
)

SCRIPTS = (RESERVE, SETTLE, SEED, BUDGET, BEAT, SWEEP, PURGE)
