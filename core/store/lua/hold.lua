-- Let nothing be taken from a bucket for a while: the network said so.
-- KEYS bucket   ARGV interval_ms, burst, hold_ms
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full = now + ARGV[3] + (ARGV[2] - 1) * ARGV[1]
if full > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now) + 1000)
end
return 1
