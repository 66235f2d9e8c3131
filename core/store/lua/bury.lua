-- Take an event that cannot be read off the head of an inbox: it would block its person for ever.
-- KEYS inbox, lease, waiting, attempts, dead letters, dead letters ever, leases of this worker
-- ARGV person, token, event, letter, letters kept
if redis.call('GET', KEYS[2]) ~= ARGV[2] or redis.call('LINDEX', KEYS[1], 0) ~= ARGV[3] then return 0 end
redis.call('LPOP', KEYS[1])
redis.call('XADD', KEYS[5], 'MAXLEN', ARGV[5], '*', 'letter', ARGV[4])
redis.call('INCR', KEYS[6])
redis.call('DEL', KEYS[2], KEYS[4])
redis.call('SREM', KEYS[7], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[3], now, ARGV[1])
return 1
