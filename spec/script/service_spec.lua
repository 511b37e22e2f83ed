-- luacheck: no max line length (a case a line)
-- Hosts as a service has them (issue 4): loaded beside the running ones, thrown away by the thousand, idle by the dozen.
local bundle = require "spec.script.bundle"
local support = require "spec.support"
local driver = support.driver "service_driver"

local GOOD = [[
local tide = require "moontide"
tide.on_resync("k", function() coroutine.yield { { id = 1 } } end)
tide.on_resync("busy", function()
  while true do coroutine.yield { { id = tide.json.encode { 1 } } } tide.sleep(0.001) end
end)]]

local BROKEN = {
  { "a syntax error", "local tide = require 'moontide'\nx = = 1", "^spec: main.lua:2: unexpected symbol near '='" },
  { "a runtime error", "local tide = require 'moontide'\nlocal x = tide.config.y", "^spec: main.lua:2: the configuration has no \"y\"" },
  { "an endless load", "require 'moontide'\n\nwhile true do pcall(error) end", "^spec: main.lua:3: CPU budget of %d+ ms for loading the bundle is spent" },
  { "a memory bomb", "require 'moontide'\nlocal x = ('x'):rep(20 * 1024 * 1024)", "^spec: main.lua:2: memory budget of 8 MiB is spent" },
  { "a request at load", "local tide = require 'moontide'\ntide.http.client { base_url = 'http://127.0.0.1:1' }:get '/'", "^spec: main.lua:2: I/O is not possible while a module loads" },
  { "a library that does not load", "require 'lib'", "^spec: lib.lua:1: unexpected symbol", { ["lib.lua"] = "?" } },
  { "no main.lua", nil, "^spec: module \"main\" was not found: the bundle has no main.lua" },
}

local function folder(main, files)
  local dir = support.tmpdir()
  for name, text in pairs(files or {}) do
    support.write(dir .. "/" .. name, text)
  end
  if main then
    support.write(dir .. "/main.lua", main)
  end
  return dir
end

local function loads(count, threads)
  local command = { driver, "loads", tostring(count), tostring(threads), folder(GOOD) }
  for _, broken in ipairs(BROKEN) do
    command[#command + 1] = folder(broken[2], broken[4])
  end
  local result = support.run(command, { timeout = 500 })
  assert.are.equal("", result.err)
  assert.are.equal(0, result.code)
  return support.json.decode(result.out)
end

describe("a bundle that is loaded on another thread while runs go on", function()
  it("is refused there with file and line, or handed over and run", function()
    local result = loads(140, 4)
    assert.are.equal(70, result.loaded)
    assert.are.equal(70, result.runs)
    assert.are.equal(70, result.refused)
    assert.are.equal(#BROKEN, #result.errors)
    for _, broken in ipairs(BROKEN) do
      local found = false
      for _, text in ipairs(result.errors) do
        found = found or text:find(broken[3]) ~= nil
      end
      assert.is_true(found, broken[1] .. " is not told: " .. table.concat(result.errors, "\n"))
    end
  end)

  it("leaves nothing behind in 10,000 loads of which half are broken #slow", function()
    local result = loads(10000, 2)
    assert.are.equal(result.sanitized and 500 or 5000, result.runs)
    assert.are.equal(result.runs, result.refused)
    assert.is_true(result.sanitized or result.kb_late <= result.kb_early * 1.05 + 512, result.kb_early .. " KB at first, then " .. result.kb_late)
  end)
end)

describe("a bundle that waits for its next resync", function()
  local function idle(main, kind)
    local result = support.run({ driver, "idle", "50", folder(main), kind, "{}" }, { timeout = 60 })
    -- The long bursts of a sanitizer build are warned of.
    assert.are.equal("", (result.err:gsub("[^\n]*one stretch of C took[^\n]*\n", "")))
    return support.json.decode(result.out)
  end

  it("takes less than 400 KB, after a run as before", function()
    local result = idle(GOOD, "k")
    assert.is_true(result.sanitized or result.kb < 400, result.kb .. " KB loaded")
    assert.is_true(result.sanitized or result.kb_after_run < 400, result.kb_after_run .. " KB after a run")
  end)

  it("lets go of its garbage and of what it memoized, without being asked", function()
    local result = idle([[
local tide = require "moontide"
local remember = tide.cache.memoize(function(i) return ("x"):rep(1000) .. i end)
tide.on_resync("k", function()
  local t = {}
  for i = 1, 3000 do t[i] = { id = remember(i) } end
  coroutine.yield(t)
end)]], "k")
    assert.is_true(result.sanitized or result.kb_after_run < 500, result.kb_after_run .. " KB after a run that held 4 MB")
  end)
end)

describe("a log line", function()
  local function lines(source, kinds)
    local result = bundle.run(source, { raw = true, args = { "--log" }, kinds = kinds })
    local list = {}
    for line in result.err:gmatch "[^\n]+" do
      local entry = support.json.decode(line)
      list[#list + 1] = { entry.message, entry.integration, entry.run, entry.kind, entry.generation }
    end
    return list
  end

  it("of a run names integration, run, kind and generation; one of the load no kind", function()
    assert.are.same({
      { "loading", "spec-integration", "run-1", nil, 3 },
      { "hook", "spec-integration", "run-1", nil, 3 },
      { "one", "spec-integration", "run-1", "a", 3 },
      { "after a wait", "spec-integration", "run-1", "a", 3 },
      { "spawned", "spec-integration", "run-1", "a", 3 },
      { "other", "spec-integration", "run-1", "b", 3 },
      { "scope s failed: main.lua:14: no\nstack traceback:\n\t[C]: in function 'error'\n\tmain.lua:14: in function <main.lua:14>",
        "spec-integration", "run-1", "b", 3 },
    }, (function()
      local list = lines([[
local tide = require "moontide"
tide.log.info "loading"
tide.on_resync_start(function() print "hook" end)
tide.on_resync("a", function()
  tide.log.info "one"
  tide.sleep(0.01)
  tide.log.info "after a wait"
  tide.async.spawn(function() tide.sleep(0.01) tide.log.info "spawned" end)
end)
tide.on_resync("b", function(_, ctx)
  tide.log.info "other"
  local x = {}
  x.y = 1
  ctx:scope("s", function() error "no" end)
end)]], { "@resync_start", "a", "b" })
      list[#list][1] = list[#list][1]:gsub("\n\t%[C%]: in %?$", "")
      return list
    end)())
  end)

  it("of a close handler names the cancelled run", function()
    local result = bundle.run([[
local tide = require "moontide"
tide.on_resync("k", function()
  local _ <close> = setmetatable({}, { __close = function() tide.log.info "closing" end })
  tide.sleep(60)
end)]], { raw = true, args = { "--log", "--cancel-ms", "20" } })
    local entry = support.json.decode(result.err:match "[^\n]+")
    assert.are.same({ "closing", "k" }, { entry.message, entry.kind })
  end)
end)
