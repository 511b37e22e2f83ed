-- luacheck: no max line length
--- Runs small bundles through host_driver: what the specs of the script host share.
local busted = require "busted"
local assert = require "luassert"
local support = require "spec.support"

local bundle = {}

-- In front of a program's first line, so that its line numbers stay what they are.
local PRELUDE = 'local core = require "moontide.spec" local json = core.json ' ..
  'local function on(fn) core.register("resync", "k", fn) end '

--- Runs main.lua (text) with the driver. options: args (of the driver), kinds, files (path → text), raw (no prelude), timeout.
--- Gives { batches = { { scope, items } }, ends, last (end), loads (errors), out, err, code }.
function bundle.run(source, options)
  options = options or {}
  local dir = support.tmpdir()
  for path, text in pairs(options.files or {}) do
    support.write(dir .. "/" .. path, text)
  end
  support.write(dir .. "/main.lua", (options.raw and "" or PRELUDE) .. source)
  local command = { support.driver "host_driver" }
  for _, arg in ipairs(options.args or {}) do
    command[#command + 1] = arg
  end
  command[#command + 1] = dir
  for _, kind in ipairs(options.kinds or {}) do
    command[#command + 1] = kind
  end
  local result = support.run(command, { timeout = options.timeout or 30 })
  return bundle.read(result)
end

--- Adds batches, ends and loads to what support.run gave.
function bundle.read(result)
  result.batches, result.ends, result.loads, result.times = {}, {}, {}, {}
  for line in result.out:gmatch "[^\n]+" do
    local event = support.json.decode(line)
    if event.batch then
      table.insert(result.batches, event.batch)
    elseif event["end"] then
      table.insert(result.ends, event["end"])
    elseif event.load then
      table.insert(result.loads, event.load)
    elseif event.ms then
      table.insert(result.times, event.ms)
    elseif event.peak_rss_kib then
      result.peak_rss_kib = event.peak_rss_kib
    end
  end
  result.last = result.ends[#result.ends]
  return result
end

--- The body of a handler of kind "k".
function bundle.handler(body, options)
  return bundle.run("on(function(kind, ctx) " .. body .. "\nend)", options)
end

--- Many small pieces in one handler: each case { name, code } is the body of a function that is called on its own. Gives name →
--- { ok, text }: the values that it returned (JSON, joined by " "), or the error's text.
function bundle.cases(cases, options)
  local parts = { [[
on(function(kind, ctx)
local function try(name, fn)
  local results = table.pack(pcall(fn))
  if not results[1] then coroutine.yield({{name = name, ok = false, text = tostring(results[2])}}) return end
  local texts = {}
  for i = 2, results.n do
    texts[#texts + 1] = json.encode(results[i])
  end
  coroutine.yield({{name = name, ok = true, text = table.concat(texts, " ")}})
end
]] }
  for i, case in ipairs(cases) do
    parts[#parts + 1] = ("try(%q, assert(load(%q, %q, 't', setmetatable({core = core, json = json, ctx = ctx}, {__index = _G, __newindex = _G}))))\n")
      :format(case[1], case[2], "=case" .. i)
  end
  parts[#parts + 1] = "end)"
  local run = bundle.run(table.concat(parts), options)
  assert(run.last and run.last.ok, "the cases did not run to their end: " .. run.out .. run.err)
  local results = {}
  for _, batch in ipairs(run.batches) do
    results[batch.items[1].name] = batch.items[1]
  end
  return results, run
end

--- Describes cases { name, code, JSON } or { name, code, error = pattern } in one `it` each.
function bundle.describe(title, cases, options)
  busted.describe(title, function()
    local results
    busted.setup(function()
      results = bundle.cases(cases, options)
    end)
    for _, case in ipairs(cases) do
      busted.it(case[1], function()
        local result = assert(results[case[1]], "the case did not report")
        if case.error then
          assert.is_false(result.ok, "no error, but " .. result.text)
          assert.is_truthy(result.text:find(case.error), result.text .. "\nlacks " .. case.error)
        else
          assert.is_true(result.ok, result.text)
          assert.are.equal(case[3], result.text)
        end
      end)
    end
  end)
end

return bundle
