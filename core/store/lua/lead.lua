-- Become, or stay, the one process that sends; or (ttl 0) give it up.
-- KEYS courier   ARGV process, ttl_ms      Returns 1 if it is the one now.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
