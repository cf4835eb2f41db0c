-- KEYS: the snapshot, and what it is. ARGV: whose it is, its time in milliseconds, its text. Never puts an older one in the place of a
-- newer one of the same origin.
local was = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('GET', KEYS[2]) or ''
local whose, time = string.match(was, '^(%S+) (%d+)$')
if whose == ARGV[1] and tonumber(time) > tonumber(ARGV[2]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
return 1
