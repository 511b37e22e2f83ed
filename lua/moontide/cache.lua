-- tide.cache: results kept in memory for one resync. The host clears it at the start and the end of a resync
-- (cache_generation, on_cache_clear): a bundle that waits for its next resync holds none.
--
-- One call a key is on its way at a time: who comes meanwhile waits for it. Errors are not kept, nor is a result
-- that came about with a failed request: a later caller would take it for whole. What failed inside is a fault in
-- every scope that waited.
local core = ...
local flight = require "moontide.flight"
local options = require "moontide.options"

local cache = {}

local NAMES = { ttl = "number", key = "function" }

local memos = setmetatable({}, { __mode = "k" }) -- { entries, generation } of each memoized function

core.on_cache_clear(function()
  for memo in pairs(memos) do
    memo.entries = {}
  end
end)

-- Arguments as one string; lengths keep "a","bc" and "ab","c" apart.
local function default_key(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    local kind = math.type(value) or type(value)
    if kind == "userdata" and value == core.json.null then
      kind = "null"
    elseif kind == "table" or kind == "userdata" or kind == "function" or kind == "thread" then
      error(("cache.memoize: argument %d is a %s: give { key = function(…) return \"a string\" end }")
        :format(i, core.is_secret(value) and "secret" or kind), 3)
    end
    local text = kind == "float" and ("%a"):format(value) or tostring(value)
    parts[i] = ("%s %d %s"):format(kind, #text, text)
  end
  return table.concat(parts, ",")
end

local function settle(entries, call, state)
  call.state = state
  if entries[call.key] == call and (state ~= "done" or call.faults) then
    entries[call.key] = nil
  end
  for _, task in ipairs(call.waiters) do
    core.wake(task)
  end
  call.waiters = nil
end

-- Also run when the task is cancelled half-way: those who wait start anew.
local Leader = {
  __close = function(own, err)
    local call = own.call
    flight.leave(call)
    if call.state then
      return
    end
    call.err = err
    settle(own.entries, call, err ~= nil and "failed" or "canceled")
  end,
}

local function lead(entries, call, ttl, fn, ...)
  entries[call.key] = call
  flight.enter(call)
  local _ <close> = setmetatable({ call = call, entries = entries }, Leader)
  local results = table.pack(fn(...))
  call.results = results
  call.expires = ttl and core.monotonic() + ttl
  settle(entries, call, "done")
  return table.unpack(results, 1, results.n)
end

local function wait(call)
  local self = core.current()
  local above = call
  while above do
    if above.task == self then
      error("cache.memoize: the function waits for its own result", 3)
    end
    above = above.outer
  end
  call.waiters[#call.waiters + 1] = self
  while not call.state do
    core.park()
  end
  for _, text in ipairs(call.faults or {}) do
    flight.fault(text)
  end
end

--- A function that remembers the results of fn for each combination of arguments (strings, numbers, booleans, nil),
--- until the resync ends, or for ttl seconds. options.key(…) → string names the combination itself.
function cache.memoize(fn, opts)
  if type(fn) ~= "function" then
    error(("cache.memoize: a function, got a %s"):format(type(fn)), 2)
  end
  opts = options.check("cache.memoize", opts, NAMES, 2)
  local ttl, key_of = opts.ttl, opts.key or default_key
  if ttl and (ttl <= 0 or ttl ~= ttl) then
    error("cache.memoize: ttl is a number of seconds above 0", 2)
  end
  local memo = { entries = {}, generation = core.cache_generation() }
  memos[memo] = true
  return function(...)
    local key = key_of(...)
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      error(("cache.memoize: key gave a %s, a string or an integer was expected"):format(type(key)), 2)
    end
    while true do
      if memo.generation ~= core.cache_generation() then
        memo.entries, memo.generation = {}, core.cache_generation()
      end
      local call = memo.entries[key]
      if call and call.expires and call.expires <= core.monotonic() then
        call = nil
      end
      if not call then
        return lead(memo.entries, { key = key, waiters = {} }, ttl, fn, ...)
      end
      if not call.state then
        wait(call)
      end
      if call.state == "done" then
        return table.unpack(call.results, 1, call.results.n)
      elseif call.state == "failed" then
        error(call.err, 0)
      end
    end
  end
end

return cache
