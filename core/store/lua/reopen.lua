-- Put the messages of a dead letter into their inbox again; once. Marks of seen ids are not asked. What the history
-- says of the failure goes: it will say what was said when there is an answer.
-- KEYS dead letters, inbox, lease, waiting, queue, history
-- ARGV letter, person, wake-up, number of turns, turn..., event...
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
local events_from = 5 + ARGV[4]
for i = 5, events_from - 1 do redis.call('LREM', KEYS[6], -1, ARGV[i]) end
for i = events_from, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[4], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('LPUSH', KEYS[5], ARGV[3]) end
return 1
