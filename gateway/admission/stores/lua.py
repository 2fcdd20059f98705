"""What the Lua scripts of `scripts` share: exact money, the clock, and rates by the second.

Lua's numbers are doubles, exact to 2^53; pico-dollars go beyond. They travel and are kept as decimal digits, and are
added in two parts, whole micro-dollars and the six digits below.
"""

from __future__ import annotations

__all__ = ["COMMON"]

COMMON = """
local SECOND = 1000000
local MINUTE = 60 * SECOND
local RATE, CONCURRENT, BUDGET = 1, 2, 3
local GRANTED, REFUSED, UNSEEDED, SETTLED = 0, 1, 2, 3
local NEVER = math.huge

local function whole(number) return string.format('%.0f', number) end

-- Money: decimal digits without leading zeros.
local function parts(digits)
  local n = #digits
  if n <= 6 then return 0, tonumber(digits) end
  return tonumber(string.sub(digits, 1, n - 6)), tonumber(string.sub(digits, n - 5))
end

local function joined(micro, rest)
  if micro == 0 then return whole(rest) end
  return string.format('%.0f%06.0f', micro, rest)
end

local function plus(a, b)
  local micro, rest = parts(a)
  local micro_b, rest_b = parts(b)
  micro, rest = micro + micro_b, rest + rest_b
  if rest >= 1000000 then micro, rest = micro + 1, rest - 1000000 end
  return joined(micro, rest)
end

local function above(a, b)
  return #a > #b or (#a == #b and a > b)
end

local function minus(a, b)
  if not above(a, b) then return '0' end
  local micro, rest = parts(a)
  local micro_b, rest_b = parts(b)
  micro, rest = micro - micro_b, rest - rest_b
  if rest < 0 then micro, rest = micro - 1, rest + 1000000 end
  return joined(micro, rest)
end

local function clock(key, given)
  local now = tonumber(given)
  if not now then
    local time = redis.call('TIME')
    now = time[1] * SECOND + time[2]
  end
  local seen = redis.call('HMGET', key, 'now', 'ahead')
  local last, ahead = tonumber(seen[1] or 0), tonumber(seen[2] or 0)
  now = now + ahead
  if now < last then
    if last - now > MINUTE then redis.call('HSET', key, 'ahead', whole(ahead + last - now)) end
    return last
  end
  redis.call('HSET', key, 'now', whole(now))
  return now
end

-- A budget's counter outlives its window by two days, for answers that come late.
local function forget_after_window(key, expires, now)
  if expires > 0 then
    redis.call('PEXPIRE', key, whole(math.max(0, expires * 1000 - now / 1000) + 172800000))
  end
end

-- Give back what a hold took whose settlement will not come; its budgets are to be read from the ledger anew.
local function release(record)
  for i = 2, #record do
    local kind, counter, taken = record[i][1], record[i][2], record[i][3]
    if kind == CONCURRENT then
      if redis.call('DECRBY', counter, whole(taken)) <= 0 then redis.call('DEL', counter) end
    elseif kind == BUDGET then
      local held = redis.call('HGET', counter, 'held')
      if held then redis.call('HSET', counter, 'held', minus(held, taken)) end
      redis.call('HDEL', counter, 'seeded')
    end
  end
end

-- A rate as it stands in this second. Nothing is written before `add`.
local function read_rate(key, second)
  local found = redis.call('HMGET', key, 'sum', 'from', whole(second))
  local rate = {key = key, second = second, sum = tonumber(found[1] or 0), from = tonumber(found[2] or second),
                here = tonumber(found[3] or 0), old = {}}
  local gone = math.min(second - 60, rate.from + 59)  -- nothing lies beyond 60 seconds from `from`
  for past = rate.from, gone do rate.old[#rate.old + 1] = whole(past) end
  if #rate.old > 0 then
    for _, amount in ipairs(redis.call('HMGET', key, unpack(rate.old))) do
      rate.sum = rate.sum - tonumber(amount or 0)
    end
    rate.from = second - 59
  end
  return rate
end

local function add(rate, amount)
  local key = rate.key
  if #rate.old > 0 then redis.call('HDEL', key, unpack(rate.old)) end
  redis.call('HSET', key, 'sum', whole(rate.sum + amount), 'from', whole(rate.from),
             whole(rate.second), whole(rate.here + amount))
  if rate.here == 0 then redis.call('EXPIRE', key, 180) end
  rate.sum, rate.here = rate.sum + amount, rate.here + amount
end

local function amounts(rate)
  local names = {}
  for second = rate.from, rate.second do names[#names + 1] = whole(second) end
  return redis.call('HMGET', rate.key, unpack(names))
end

-- Microseconds until `need` has room under `limit`; 0: it has; NEVER: it is more than the limit.
local function rate_wait(rate, need, limit, now)
  if rate.sum + need <= limit then return 0 end
  if need > limit then return NEVER end
  local left = rate.sum
  for i, amount in ipairs(amounts(rate)) do
    left = left - tonumber(amount or 0)
    if left + need <= limit then return (rate.from + i - 1) * SECOND + MINUTE - now end
  end
  return MINUTE
end

-- Microseconds until nothing of it counts any more.
local function rate_reset(rate, now)
  if rate.sum == 0 then return 0 end
  local last = rate.second
  if rate.here == 0 then
    for i, amount in ipairs(amounts(rate)) do
      if tonumber(amount or 0) > 0 then last = rate.from + i - 1 end
    end
  end
  return last * SECOND + MINUTE - now
end
"""
