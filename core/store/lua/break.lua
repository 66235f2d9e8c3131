-- Take every lease away from a worker that is known to be dead, and make its inboxes due at once.
-- KEYS leases of the worker, waiting   ARGV worker, lease prefix
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local broken = 0
for _, person in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local lease = ARGV[2] .. person
  local token = redis.call('GET', lease)
  if token and string.sub(token, 1, #ARGV[1] + 1) == ARGV[1] .. '|' then
    redis.call('DEL', lease)
    redis.call('ZADD', KEYS[2], now, person)
    broken = broken + 1
  end
end
redis.call('DEL', KEYS[1])
return broken
