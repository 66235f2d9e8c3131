-- Renew leases while their work goes on, and tell what became of each: 'held', 'lost' or 'stop' (/stop was said).
-- KEYS lease, stop; lease, stop; ...   ARGV lease_ms, token, token, ...
local states = {}
for i = 2, #ARGV do
  local lease, stop = KEYS[2 * i - 3], KEYS[2 * i - 2]
  if redis.call('GET', lease) ~= ARGV[i] then
    states[#states + 1] = 'lost'
  else
    redis.call('PEXPIRE', lease, ARGV[1])
    states[#states + 1] = redis.call('DEL', stop) == 1 and 'stop' or 'held'
  end
end
return states
