-- Take one send from all of these buckets at once, or from none. Each holds when it will be full again (the
-- theoretical arrival time of the generic cell rate algorithm, ITU-T I.371), in ms.
-- KEYS bucket...   ARGV spare, then interval_ms, burst of each bucket
-- Returns the milliseconds to wait; 0: taken.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local wait, full = 0, {}
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  full[i] = math.max(tonumber(redis.call('GET', key) or 0), now) + interval
  wait = math.max(wait, full[i] - now - math.max(burst - ARGV[1], 1) * interval)
end
-- Below half a millisecond is rounding, not debt.
if wait > 0.5 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.3f', full[i]), 'PX', math.ceil(full[i] - now) + 1000)
end
return 0
