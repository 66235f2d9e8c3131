-- Take a reply out of the outbox for good: it was sent, or it becomes a dead letter.
-- KEYS outbox, dead letters, dead letters ever   ARGV group, entry, letter (empty: it was sent), letters kept
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[4], '*', 'letter', ARGV[3])
  redis.call('INCR', KEYS[3])
end
return 1
