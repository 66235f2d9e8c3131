-- Record how a person rates a reply, or take that verdict back if it is the one that stands.
-- KEYS feedback   ARGV reply, verdict or '', verdict taken back or '', ttl_s
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
elseif redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[3] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
