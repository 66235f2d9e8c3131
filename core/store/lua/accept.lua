-- Take in one message: once per event id, within the person's limit, and with a wake-up if nobody works on it.
-- KEYS seen, inbox, lease, waiting, queue
-- ARGV event, seen_ttl_s, max_waiting, person, pause_ms, wake-up
if redis.call('EXISTS', KEYS[1]) == 1 then return 'duplicate' end
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('SET', KEYS[1], 1, 'EX', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[4], 'NX', now + ARGV[5], ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('LPUSH', KEYS[5], ARGV[6]) end
return 'accepted'
