-- Give a lease back unanswered: the inbox stays as it is and may be claimed again after the delay.
-- KEYS lease, waiting, leases of this worker, later, attempts, trouble
-- ARGV person, token, delay_ms, uncount?, why
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[3], ARGV[1])
if tonumber(ARGV[3]) > 0 then redis.call('SET', KEYS[4], 1, 'PX', ARGV[3]) end
if ARGV[4] == '1' then redis.call('DECR', KEYS[5]) end
if ARGV[5] ~= '' then redis.call('SET', KEYS[6], ARGV[5], 'EX', 86400) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
return 1
