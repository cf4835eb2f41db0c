-- KEYS: the list. ARGV: how many it keeps, how many of its oldest are safe in files, and the texts of the newest and the oldest of these.
-- Drops exactly those; where others stand there by now, nothing. Answers how long the list is.
local list, keep, safe = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local is = function(place, item)
    return redis.call('LINDEX', list, place) == item
end
if redis.call('LLEN', list) >= keep + safe and is(-safe, ARGV[3]) and is(-1, ARGV[4]) then
    redis.call('LTRIM', list, 0, -safe - 1)
end
return redis.call('LLEN', list)
