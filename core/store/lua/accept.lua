-- Take in one message: once per event id, within the person's limits, and with a wake-up if nobody works on it.
-- KEYS seen, inbox, lease, waiting, queue, later, slowed, line, outbox, bucket...
-- ARGV event, seen_ttl_s, max_waiting, person, pause_ms, wake-up, quiet_ms, heard channel, heard, slowed_ms, max_people,
--      crowded_ms, then interval_ms, burst of each bucket
-- Returns {'accepted'}, {'duplicate'}, or {'full', 'slow' or 'crowded', bucket, wait_ms, 1 if this is to be told now}. A
-- bucket holds when it will be full again, as in pace.lua; a message that is not accepted takes nothing out of it.
local function refused(why, bucket, wait)
  local first = redis.call('SET', KEYS[7], 1, 'NX', 'PX', math.max(wait, ARGV[10]))
  return {why, bucket, wait, first and 1 or 0}
end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'duplicate'} end
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[3]) then return refused('full', 0, 0) end
-- Whoever waits already may go on; newcomers may not, if so many wait for a worker, or for their network to take replies.
local most = tonumber(ARGV[11])
if most > 0 and not redis.call('ZSCORE', KEYS[4], ARGV[4])
    and redis.call('ZCARD', KEYS[4]) + redis.call('XLEN', KEYS[9]) >= most then
  return refused('crowded', 0, tonumber(ARGV[12]))
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local full = {}
for i = 10, #KEYS do
  local interval, burst = tonumber(ARGV[2 * i - 7]), tonumber(ARGV[2 * i - 6])
  full[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now) + interval
  local wait = full[i] - now - burst * interval
  -- Below half a millisecond is rounding, not debt.
  if wait > 0.5 then return refused('slow', i - 9, math.ceil(wait)) end
end
for i = 10, #KEYS do
  redis.call('SET', KEYS[i], string.format('%.3f', full[i]), 'PX', math.ceil(full[i] - now) + 1000)
end
redis.call('SET', KEYS[1], 1, 'EX', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[8], ARGV[9])
local leased = redis.call('EXISTS', KEYS[3]) == 1
if not leased then redis.call('ZADD', KEYS[8], 'NX', now, ARGV[4]) end
local quiet = tonumber(ARGV[7])
if quiet > 0 and not leased and redis.call('PTTL', KEYS[6]) <= quiet then
  -- More of it is on its way: the sweeper wakes a worker once that had time to come.
  redis.call('SET', KEYS[6], 1, 'PX', quiet)
  redis.call('ZADD', KEYS[4], now + quiet, ARGV[4])
  return {'accepted'}
end
redis.call('ZADD', KEYS[4], 'NX', now + ARGV[5], ARGV[4])
if not leased then redis.call('LPUSH', KEYS[5], ARGV[6]) end
return {'accepted'}
