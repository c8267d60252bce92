package redisbackplane

import "github.com/redis/rueidis"

// Each script touches one key, or keys with one hash tag. A key that holds
// something else than what we write there is deleted first; then the last element of the answer is 1.

// claimScript writes a spoke's record.
// KEYS: the record. ARGV: hub, incarnation, identity, instance, attempt, token, generation, floor,
// the generation of a record whose hub was found dead or "", time to live, "claim" or "settle",
// until when a claim is wanted: later nobody waits for it any more, and a newer one may have been made.
// Answer: {status, generation, identity, instance, attempt, hub, incarnation, garbage, clock}, of the record
// that stands against it, or that was replaced. Status: 0 done, 1 held, 2 superseded, 3 settled elsewhere,
// 4 a newer one of this hub, 5 too late.
var claimScript = rueidis.NewLuaScript(`
local r = redis.pcall('HMGET', KEYS[1], 'hub', 'inc', 'gen', 'id', 'inst', 'att', 'tok')
local garbage = 0
if r.err then
  redis.call('DEL', KEYS[1]); r = {}; garbage = 1
end
local hub, inc, gen = r[1], r[2], tonumber(r[3] or '')
local held = hub and gen and true
if not held then hub = false; gen = gen or 0 end
local mine = held and hub == ARGV[1]
local token, given = ARGV[6], tonumber(ARGV[7])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function answer(status, g)
  return {status, string.format('%.0f', g), r[4] or '', r[5] or '', r[6] or '0', hub or '', inc or '', garbage, now}
end
if ARGV[11] == 'claim' and now > tonumber(ARGV[12]) then return answer(5, gen) end
if held and not mine and string.format('%.0f', gen) ~= ARGV[9] then
  if ARGV[11] == 'settle' then
    if gen >= given then return answer(3, gen) end
  else
    if r[4] ~= ARGV[3] then return answer(1, gen) end
    if ARGV[4] ~= '' and r[5] == ARGV[4] and (tonumber(ARGV[5]) or 0) <= (tonumber(r[6] or '') or 0) then
      return answer(2, gen)
    end
  end
end
local new = given
if ARGV[11] == 'claim' then
  new = math.max(gen + 1, tonumber(ARGV[8]), now)
elseif mine and gen > given then
  if r[7] ~= token then return answer(4, gen) end
  new = gen
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'hub', ARGV[1], 'inc', ARGV[2], 'gen', string.format('%.0f', new), 'id', ARGV[3],
  'inst', ARGV[4], 'att', ARGV[5], 'tok', token)
redis.call('PEXPIRE', KEYS[1], ARGV[10])
return answer(0, new)
`)

// releaseScript removes a record that is still the one meant. Where generations are
// ahead of the clock the last one is kept until the clock has passed it.
// KEYS: the record. ARGV: hub, generation, token.
var releaseScript = rueidis.NewLuaScript(`
local r = redis.pcall('HMGET', KEYS[1], 'hub', 'gen', 'tok')
if r.err or r[1] ~= ARGV[1] then return 0 end
if r[2] ~= ARGV[2] and (ARGV[3] == '' or r[3] ~= ARGV[3]) then return 0 end
redis.call('DEL', KEYS[1])
local t = redis.call('TIME')
local ahead = (tonumber(r[2]) or 0) - (t[1] * 1000 + math.floor(t[2] / 1000))
if ahead >= 0 then
  redis.call('HSET', KEYS[1], 'gen', r[2], 'gone', '1')
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(ahead + 1000, 86400000)))
end
return 1
`)

// memberScript puts a member into a set. KEYS: the set. ARGV: member, time to live.
var memberScript = rueidis.NewLuaScript(`
local garbage = 0
local r = redis.pcall('SADD', KEYS[1], ARGV[1])
if type(r) == 'table' and r.err then
  redis.call('DEL', KEYS[1]); redis.call('SADD', KEYS[1], ARGV[1]); garbage = 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return garbage
`)

// joinScript takes a hub's lease, unless another incarnation has it.
// KEYS: the lease. ARGV: incarnation, incarnation to take if nobody has it, lease in ms.
// Answer: 1 it was ours, 2 it was free, 3 it is another's, with the time it has left.
// A lease that never ends is none of ours.
var joinScript = rueidis.NewLuaScript(`
local v = redis.pcall('GET', KEYS[1])
if v == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {1, 0}
end
local left = redis.call('PTTL', KEYS[1])
if type(v) == 'string' and left >= 0 then return {3, left} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {2, 0}
`)

// renewScript renews a lease and takes the mail out. KEYS: lease, mail. ARGV: incarnation, lease in ms.
// Answer: nothing when the lease is not ours, otherwise "ok" and the mail.
var renewScript = rueidis.NewLuaScript(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return {} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local mail = redis.pcall('LRANGE', KEYS[2], 0, 9999)
if mail.err then
  redis.call('DEL', KEYS[2]); return {'ok', 'garbage'}
end
if #mail > 0 then redis.call('LTRIM', KEYS[2], #mail, -1) end
table.insert(mail, 1, 'ok')
return mail
`)

// leaveScript gives a lease back. KEYS: lease, mail. ARGV: incarnation.
var leaveScript = rueidis.NewLuaScript(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
`)

// mailScript leaves mail for a hub. KEYS: mail. ARGV: text, time to live.
var mailScript = rueidis.NewLuaScript(`
local r = redis.pcall('RPUSH', KEYS[1], ARGV[1])
if type(r) == 'table' and r.err then
  redis.call('DEL', KEYS[1]); redis.call('RPUSH', KEYS[1], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
`)
