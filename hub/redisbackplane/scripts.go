package redisbackplane

import "github.com/redis/rueidis"

// Each script touches one key, or keys with one hash tag. A script deletes a key only where Redis
// answers WRONGTYPE, which shows that the value is not ours; it then reports garbage. Any other
// error (a full Redis, a missing right) is the script's answer, and nothing is changed.

// luaWrongType is part of the scripts: it reports whether a reply is the error WRONGTYPE.
const luaWrongType = `
local function failed(r) return type(r) == 'table' and r.err and true or false end
local function wrongtype(r) return failed(r) and string.sub(r.err, 1, 9) == 'WRONGTYPE' end
`

// luaGeneration is part of the scripts: it reads a generation, false for one that is no whole number
// or more than a day ahead of the clock.
const luaGeneration = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local most = now + 86400000
local function whole(s) return s and #s <= 16 and string.find(s, '^%d+$') and tonumber(s) or false end
local function generation(s)
  local g = whole(s)
  return g and g <= most and g
end
`

// claimScript writes a spoke's record.
// KEYS: the record. ARGV: hub, incarnation, identity, instance, attempt, token, generation, floor,
// the generation of a record whose hub was found dead or "", time to live, "claim" or "settle",
// until when a claim is wanted: later nobody waits for it any more, and a newer one may have been made.
// Answer: {status, generation, identity, instance, attempt, hub, incarnation, garbage, clock}, of the record
// that conflicts with the claim, or that was replaced. Status: 0 done, 1 held by another identity,
// 2 superseded, 3 settled elsewhere, 4 a newer one of this hub, 5 too late.
// A record that is there is deleted first, so that a full Redis refuses only new ones.
var claimScript = rueidis.NewLuaScript(luaWrongType + luaGeneration + `
local r = redis.pcall('HMGET', KEYS[1], 'hub', 'inc', 'gen', 'id', 'inst', 'att', 'tok')
local garbage, there = 0, true
if wrongtype(r) then
  r = {}; garbage = 1
elseif failed(r) then
  return r
elseif not (r[1] or r[3]) then
  there = false
end
local hub, inc, gen = r[1], r[2], generation(r[3])
if r[3] and not gen then garbage = 1 end
local held = hub and gen and true
if not held then hub = false; gen = gen or 0 end
local mine = held and hub == ARGV[1]
local token, given = ARGV[6], tonumber(ARGV[7])
local function answer(status, g)
  return {status, string.format('%.0f', g), r[4] or '', r[5] or '', r[6] or '0', hub or '', inc or '', garbage, now}
end
if ARGV[11] == 'claim' and now > tonumber(ARGV[12]) then return answer(5, gen) end
if held and not mine and string.format('%.0f', gen) ~= ARGV[9] then
  if r[4] ~= ARGV[3] then return answer(1, gen) end
  if ARGV[11] == 'settle' then
    if gen >= given then return answer(3, gen) end
  elseif ARGV[4] ~= '' and r[5] == ARGV[4] and (tonumber(ARGV[5]) or 0) <= (whole(r[6]) or 0) then
    return answer(2, gen)
  end
end
local new = given
if ARGV[11] == 'claim' then
  new = math.max(gen + 1, tonumber(ARGV[8]), now)
elseif mine and gen > given then
  if r[7] ~= token then return answer(4, gen) end
  new = gen
end
if new > most then new = math.max(gen + 1, now) end
if there then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'hub', ARGV[1], 'inc', ARGV[2], 'gen', string.format('%.0f', new), 'id', ARGV[3],
  'inst', ARGV[4], 'att', ARGV[5], 'tok', token)
redis.call('PEXPIRE', KEYS[1], ARGV[10])
return answer(0, new)
`)

// releaseScript removes a record that is still the one meant. Where generations are
// ahead of the clock the last one is kept until the clock has passed it.
// KEYS: the record. ARGV: hub, generation, token.
var releaseScript = rueidis.NewLuaScript(luaWrongType + luaGeneration + `
local r = redis.pcall('HMGET', KEYS[1], 'hub', 'gen', 'tok')
if wrongtype(r) then return 0 end
if failed(r) then return r end
if r[1] ~= ARGV[1] then return 0 end
if r[2] ~= ARGV[2] and (ARGV[3] == '' or r[3] ~= ARGV[3]) then return 0 end
redis.call('DEL', KEYS[1])
local ahead = (generation(r[2]) or 0) - now
if ahead >= 0 then
  redis.call('HSET', KEYS[1], 'gen', r[2], 'gone', '1')
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ahead + 1000))
end
return 1
`)

// memberScript puts a member into a set. KEYS: the set. ARGV: member, time to live.
// Answer: 1 if the key held garbage.
var memberScript = rueidis.NewLuaScript(luaWrongType + `
local garbage = 0
local r = redis.pcall('SADD', KEYS[1], ARGV[1])
if wrongtype(r) then
  redis.call('DEL', KEYS[1]); redis.call('SADD', KEYS[1], ARGV[1]); garbage = 1
elseif failed(r) then
  return r
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return garbage
`)

// joinScript takes a hub's lease, unless another incarnation has it.
// KEYS: the lease. ARGV: incarnation, incarnation to take if nobody has it, lease in ms.
// Answer: 1 it was ours, 2 it was free, 3 it is another's, with the time it has left; and the clock.
// A lease that never ends is none of ours.
var joinScript = rueidis.NewLuaScript(luaWrongType + `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local v = redis.pcall('GET', KEYS[1])
if failed(v) and not wrongtype(v) then return v end
if v == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {1, 0, now}
end
local left = redis.call('PTTL', KEYS[1])
if type(v) == 'string' and left >= 0 then return {3, left, now} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {2, 0, now}
`)

// renewScript renews a lease and takes the mail out. KEYS: lease, mail. ARGV: incarnation, lease in ms.
// Answer: nothing when the lease is not ours, otherwise the clock and the mail.
var renewScript = rueidis.NewLuaScript(luaWrongType + `
local v = redis.pcall('GET', KEYS[1])
if failed(v) and not wrongtype(v) then return v end
if v ~= ARGV[1] then return {} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local mail = redis.pcall('LRANGE', KEYS[2], 0, 9999)
if wrongtype(mail) then
  redis.call('DEL', KEYS[2]); mail = {'garbage'}
elseif failed(mail) then
  return mail
elseif #mail > 0 then
  redis.call('LTRIM', KEYS[2], #mail, -1)
end
local t = redis.call('TIME')
table.insert(mail, 1, string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)))
return mail
`)

// leaveScript gives a lease back. KEYS: lease, mail. ARGV: incarnation.
var leaveScript = rueidis.NewLuaScript(luaWrongType + `
local v = redis.pcall('GET', KEYS[1])
if failed(v) and not wrongtype(v) then return v end
if v ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
`)

// mailScript leaves mail for a hub. KEYS: mail. ARGV: text, time to live.
var mailScript = rueidis.NewLuaScript(luaWrongType + `
local r = redis.pcall('RPUSH', KEYS[1], ARGV[1])
if wrongtype(r) then
  redis.call('DEL', KEYS[1]); redis.call('RPUSH', KEYS[1], ARGV[1])
elseif failed(r) then
  return r
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
`)
