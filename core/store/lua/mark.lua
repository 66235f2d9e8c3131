-- Note what becomes of a message, unless another process has the right to send now.
-- KEYS parts, courier   ARGV process, number, record or '' for none, ttl_s      Returns 1 if it was noted.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return 1
