-- Become, or stay, the one process that sends; or (ttl 0) give it up. Either way say that this process lives, or ended.
-- KEYS courier, signs of the channel's processes   ARGV process, ttl_ms, sign (begins with the process)
-- Returns 1 if it is the one now.
if ARGV[2] ~= '0' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
else
  for _, sign in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if string.sub(sign, 1, #ARGV[1] + 1) == ARGV[1] .. '|' then redis.call('ZREM', KEYS[2], sign) end
  end
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
