-- Take in one message: once per event id, within the person's limit, and with a wake-up if nobody works on it.
-- KEYS seen, inbox, lease, waiting, queue, later
-- ARGV event, seen_ttl_s, max_waiting, person, pause_ms, wake-up, quiet_ms, heard channel, heard
if redis.call('EXISTS', KEYS[1]) == 1 then return 'duplicate' end
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('SET', KEYS[1], 1, 'EX', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[8], ARGV[9])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local leased = redis.call('EXISTS', KEYS[3]) == 1
local quiet = tonumber(ARGV[7])
if quiet > 0 and not leased and redis.call('PTTL', KEYS[6]) <= quiet then
  -- More of it is on its way: the sweeper wakes a worker once that had time to come.
  redis.call('SET', KEYS[6], 1, 'PX', quiet)
  redis.call('ZADD', KEYS[4], now + quiet, ARGV[4])
  return 'accepted'
end
redis.call('ZADD', KEYS[4], 'NX', now + ARGV[5], ARGV[4])
if not leased then redis.call('LPUSH', KEYS[5], ARGV[6]) end
return 'accepted'
