-- Everything that an answer changes, at once or not at all: answered events go, history grows, the reply goes out.
-- KEYS inbox, lease, waiting, attempts, history, outbox, leases of this worker, stop, feedback, told, counts,
--      outbox of the notice, trouble, dead letters, dead letters ever
-- ARGV person, token, answered, last answered event, reply, erase?, max_turns, history_ttl_s, go on?, lease_ms,
--      max_events, prompt_turns, outbox_ttl_s (0: for ever), notice (empty: none), notice_pause_s,
--      letter (empty: none), letters kept, number of decisions, decision..., turn...
-- Returns {'lost'}, {'done'}, {'waiting'} (more is there, but the lease is given back) or
-- {'more', attempt, events, latest turns} (the lease is kept).
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {'lost'} end
if redis.call('LINDEX', KEYS[1], ARGV[3] - 1) ~= ARGV[4] then return {'lost'} end
redis.call('LTRIM', KEYS[1], ARGV[3], -1)
redis.call('DEL', KEYS[4], KEYS[8], KEYS[13])
if ARGV[6] == '1' then redis.call('DEL', KEYS[5], KEYS[9], KEYS[10]) end
local turns_from = 19 + ARGV[18]
if #ARGV >= turns_from then
  for i = turns_from, #ARGV do redis.call('RPUSH', KEYS[5], ARGV[i]) end
  redis.call('LTRIM', KEYS[5], -tonumber(ARGV[7]), -1)
  redis.call('EXPIRE', KEYS[5], ARGV[8])
end
redis.call('XADD', KEYS[6], '*', 'reply', ARGV[5])
if ARGV[13] ~= '0' then redis.call('EXPIRE', KEYS[6], ARGV[13]) end
for i = 19, turns_from - 1 do redis.call('HINCRBY', KEYS[11], ARGV[i], 1) end
if ARGV[16] ~= '' then
  redis.call('XADD', KEYS[14], 'MAXLEN', ARGV[17], '*', 'letter', ARGV[16])
  redis.call('INCR', KEYS[15])
end
if ARGV[14] ~= '' then
  if redis.call('SET', KEYS[10], 1, 'NX', 'EX', ARGV[15]) then
    redis.call('XADD', KEYS[12], '*', 'reply', ARGV[14])
    redis.call('HINCRBY', KEYS[11], 'note sent', 1)
  else
    redis.call('HINCRBY', KEYS[11], 'note held back', 1)
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = redis.call('LLEN', KEYS[1])
if left > 0 and ARGV[9] == '1' then
  redis.call('PEXPIRE', KEYS[2], ARGV[10])
  redis.call('ZADD', KEYS[3], now + ARGV[10], ARGV[1])
  local attempt = redis.call('INCR', KEYS[4])
  redis.call('EXPIRE', KEYS[4], 86400)
  return {'more', attempt, redis.call('LRANGE', KEYS[1], 0, ARGV[11] - 1), redis.call('LRANGE', KEYS[5], -ARGV[12], -1)}
end
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[7], ARGV[1])
if left > 0 then
  redis.call('ZADD', KEYS[3], now, ARGV[1])
  return {'waiting'}
end
redis.call('ZREM', KEYS[3], ARGV[1])
return {'done'}
