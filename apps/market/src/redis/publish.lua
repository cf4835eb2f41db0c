-- KEYS: the list, and where it stands. ARGV: where it has to stand, where it stands then, 'anew' or '', and of each minute its
-- timestamp and its text, in the order of time. Answers whether that was done, where it stands now, and how long the list is.
-- Whoever sends this again, however late, finds that the list stands elsewhere, and changes nothing.
local list, mark = KEYS[1], KEYS[2]
local stands = redis.call('EXISTS', list) == 1 and redis.call('GET', mark) or ''
if stands ~= ARGV[1] then
    return { 0, stands, redis.call('LLEN', list) }
end
if ARGV[3] == 'anew' then
    redis.call('DEL', list)
end
local function at(item)
    return item and string.match(item, '^{"timestamp": "([^"]*)"') or ''
end
local newest = at(redis.call('LINDEX', list, 0))
for n = 4, #ARGV, 2 do
    local time, text = ARGV[n], ARGV[n + 1]
    if time > newest then
        redis.call('LPUSH', list, text)
        newest = time
    else
        -- The first place of which the minute is not newer.
        local low, high = 0, redis.call('LLEN', list)
        while low < high do
            local middle = math.floor((low + high) / 2)
            if at(redis.call('LINDEX', list, middle)) > time then
                low = middle + 1
            else
                high = middle
            end
        end
        local found = redis.call('LINDEX', list, low)
        if not found then
            redis.call('RPUSH', list, text)
        elseif at(found) == time then
            redis.call('LSET', list, low, text)
        else
            redis.call('LINSERT', list, 'BEFORE', found, text)
        end
    end
end
redis.call('SET', mark, ARGV[2])
return { 1, ARGV[2], redis.call('LLEN', list) }
