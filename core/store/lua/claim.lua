-- Take the lease on a person's inbox and look at its head without removing anything.
-- KEYS inbox, lease, waiting, attempts, history, later, leases of this worker, fence, stop, line
-- ARGV person, worker, lease_ms, max_events, prompt_turns
-- Returns nothing, or {token, attempt, events, latest turns}.
if redis.call('EXISTS', KEYS[6]) == 1 then return false end
if redis.call('LLEN', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[10], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return false
end
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
redis.call('ZREM', KEYS[10], ARGV[1])
redis.call('DEL', KEYS[9]) -- a /stop from before is about something else
local token = ARGV[2] .. '|' .. redis.call('INCR', KEYS[8])
redis.call('SET', KEYS[2], token, 'PX', ARGV[3])
redis.call('SADD', KEYS[7], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
local attempt = redis.call('INCR', KEYS[4])
redis.call('EXPIRE', KEYS[4], 86400)
return {token, attempt, redis.call('LRANGE', KEYS[1], 0, ARGV[4] - 1), redis.call('LRANGE', KEYS[5], -ARGV[5], -1)}
