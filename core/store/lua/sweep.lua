-- Find inboxes that wait without a lease and need a wake-up; each is looked at again after the pause. Old dead letters go.
-- KEYS waiting, dead letters, line, queue...   ARGV pause_ms, lease prefix, letters_ttl_ms
-- Returns {full queues, persons to wake unless their queue is full}. (The lease keys are computed: this script does not run on a Redis Cluster.)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('XTRIM', KEYS[2], 'MINID', math.max(now - ARGV[3], 0))
-- Workers of an older release take nobody out of the line whom they answer; as such people come to its head, they go.
for _, person in ipairs(redis.call('ZRANGE', KEYS[3], 0, 199)) do
  if not redis.call('ZSCORE', KEYS[1], person) then redis.call('ZREM', KEYS[3], person) end
end
-- As many wake-ups are queued as inboxes wait: the workers are busy, and more of them would only pile up.
local full = {}
for i = 4, #KEYS do
  if redis.call('LLEN', KEYS[i]) >= redis.call('ZCARD', KEYS[1]) then full[#full + 1] = KEYS[i] end
end
if #full == #KEYS - 3 then return {full, {}} end
local persons = {}
for _, person in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 200)) do
  local left = redis.call('PTTL', ARGV[2] .. person)
  if left > 0 then
    redis.call('ZADD', KEYS[1], now + left, person)
  else
    redis.call('ZADD', KEYS[1], now + ARGV[1], person)
    persons[#persons + 1] = person
  end
end
return {full, persons}
