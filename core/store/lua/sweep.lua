-- Find inboxes that wait without a lease and need a wake-up; each is looked at again after the pause.
-- KEYS waiting   ARGV now_ms, pause_ms, lease prefix
-- Returns the persons to wake. (The lease keys are computed: this script does not run on a Redis Cluster.)
local persons = {}
for _, person in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 200)) do
  local left = redis.call('PTTL', ARGV[3] .. person)
  if left > 0 then
    redis.call('ZADD', KEYS[1], ARGV[1] + left, person)
  else
    redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2], person)
    persons[#persons + 1] = person
  end
end
return persons
