-- Note that a message is about to be posted, unless another process has the right to send now.
-- KEYS parts, courier   ARGV process, number, record, ttl_s      Returns 1 if it may be posted.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
