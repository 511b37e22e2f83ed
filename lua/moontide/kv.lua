-- tide.kv: small values that outlive a resync, a reload and a restart, kept in the state file: a section for each
-- integration. Every call waits; a set that has returned survives the end of the process. Failures raise.
local core = ...

local kv = {}

local KEY_MAX, VALUE_MAX = 256, 64 * 1024

local function check_key(what, key)
  if type(key) ~= "string" then
    error(("%s: a key is a string, got a %s"):format(what, core.is_secret(key) and "secret" or type(key)), 3)
  elseif #key == 0 or #key > KEY_MAX then
    error(("%s: a key has 1 to %d bytes, this one has %d"):format(what, KEY_MAX, #key), 3)
  end
end

-- Errors of the store name what the script asked for.
local function call(what, fn, ...)
  local results = table.pack(pcall(fn, ...))
  if not results[1] then
    local err = results[2]
    if type(err) == "table" and err.message then
      err.message = ("%s: %s"):format(what, err.message)
    end
    error(err, 0)
  end
  return results[2]
end

--- The value that was set, as plain tables; nil when there is none.
function kv.get(key)
  check_key("kv.get", key)
  local text = call("kv.get", core.kv_get, key)
  return text and core.json.copy(call("kv.get", core.json.decode, text))
end

--- Keeps a value: whatever JSON can hold, up to 64 KB as JSON. nil removes it.
function kv.set(key, value)
  check_key("kv.set", key)
  local text
  if value ~= nil then
    local ok, encoded = pcall(core.json.encode, value)
    if not ok then
      error(("kv.set: the value of %q cannot be kept: %s"):format(key, tostring(encoded)), 2)
    end
    text = encoded
    if #text > VALUE_MAX then
      error(("kv.set: the value of %q has %d bytes as JSON, the most is %d: keep what you need of it")
        :format(key, #text, VALUE_MAX), 2)
    end
  end
  call("kv.set", core.kv_set, key, text)
end

function kv.delete(key)
  check_key("kv.delete", key)
  call("kv.delete", core.kv_set, key, nil)
end

return setmetatable({}, {
  __name = "moontide.kv",
  __metatable = "moontide.kv",
  __index = function(_, name)
    local fn = kv[name]
    if not fn then
      error(('tide.kv has no "%s": use kv.get(key), kv.set(key, value), kv.delete(key)'):format(tostring(name)), 2)
    end
    return fn
  end,
  __newindex = function()
    error("tide.kv is no table: use kv.set(key, value)", 2)
  end,
  __pairs = function()
    error("tide.kv is no table: it has no list of its keys", 3)
  end,
})
