-- moontide: what integrations require. local tide = require "moontide"
local core = ...
local options = require "moontide.options"

local tide = {}

-- Loaded when a bundle names them first: with none of them a state takes 60 KB, with all of them 200 (measured).
local PARTS = {
  http = true, async = true, cache = true, json = true, jq = true, time = true, url = true, base64 = true,
  crypto = true, log = true, config = true, kv = true,
}

--- Waits; other tasks go on.
function tide.sleep(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 1e9) then
    error("sleep: a number of seconds from 0", 2)
  end
  return core.sleep(seconds)
end

--- A value that prints as *** and is usable as header, query or body of a request.
function tide.secret(text)
  if type(text) ~= "string" and not core.is_secret(text) then
    error(("secret: a string, got a %s"):format(type(text)), 2)
  end
  return core.secret(text)
end

local function hook(name)
  tide["on_" .. name] = function(fn)
    if type(fn) ~= "function" then
      error(("on_%s: a function, got a %s"):format(name, type(fn)), 2)
    end
    core.register(name, nil, fn)
  end
end
hook "start"
hook "resync_start"
hook "resync_complete"

--- on_resync(kind, fn) or on_resync(fn): every kind. fn(kind, ctx) yields batches or returns the last one.
function tide.on_resync(kind, fn)
  if fn == nil and type(kind) == "function" then
    kind, fn = nil, kind
  end
  if kind ~= nil and (type(kind) ~= "string" or kind == "") then
    error(("on_resync: a kind is a string that is not empty, got a %s"):format(type(kind)), 2)
  elseif type(fn) ~= "function" then
    error(("on_resync: a function, got a %s"):format(type(fn)), 2)
  end
  core.register("resync", kind, fn)
end

local LATER = {
  on_incremental_resync = "on_resync reads everything",
  on_webhook = "resyncs read everything", on_action = "resyncs read everything",
  register_raw = "yield the items in an on_resync handler", unregister_raw = "what a resync does not yield is deleted",
}
for name, instead in pairs(LATER) do
  tide[name] = function()
    error(("%s is not in this version of moontide: %s"):format(name, instead), 2)
  end
end

local names = {}
for _, list in ipairs { tide, PARTS } do
  for name in pairs(list) do
    names[#names + 1] = name
  end
end

return setmetatable({}, {
  __name = "moontide",
  __metatable = "moontide",
  __index = function(_, name)
    local part = tide[name]
    if part == nil and PARTS[name] then
      part = require("moontide." .. name)
      tide[name] = part
    elseif part == nil then
      error(('moontide has no "%s": %s'):format(tostring(name), options.advice(name, names)), 2)
    end
    return part
  end,
  __newindex = function()
    error("the moontide module is read-only", 2)
  end,
})
