-- Put the reply of a dead letter into its outbox again; once.
-- KEYS dead letters, outbox   ARGV letter, reply, since, outbox_ttl_s (0: for ever), written
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'reply', ARGV[2], 'since', ARGV[3], 'written', ARGV[5])
if ARGV[4] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[4]) end
return 1
