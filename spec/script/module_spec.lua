-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"

local function value(source, files)
  local run = bundle.run(source, { files = files })
  return run.batches[1] and run.batches[1].items[1].v, run
end

local function load_error(source, files)
  local run = bundle.run(source, { files = files })
  assert.are.equal(1, run.code)
  return run.loads[1]
end

describe("require", function()
  it("finds client.lua and lib/client.lua of the bundle", function()
    assert.are.equal("client+lib", (value([[local a, b = require "client", require "lib.client"
      on(function() coroutine.yield({{v = a .. "+" .. b.name}}) end)]],
      { ["client.lua"] = "return 'client'", ["lib/client.lua"] = "return {name = 'lib'}" })))
  end)

  it("loads a module once and gives the same value", function()
    assert.is_true(value([[local a, b = require "m", require "m" on(function() coroutine.yield({{v = a == b}}) end)]],
      { ["m.lua"] = "return {}" }))
  end)

  it("gives true for a module that returns nothing, false for one that returns false", function()
    assert.are.equal("truefalse", (value([[local a, b = require "m", require "n" on(function() coroutine.yield({{v = tostring(a) .. tostring(b)}}) end)]],
      { ["m.lua"] = "local x = 1", ["n.lua"] = "return false" })))
  end)

  it("gives the module its name", function()
    assert.are.equal("lib.m", (value([[local a = require "lib.m" on(function() coroutine.yield({{v = a}}) end)]],
      { ["lib/m.lua"] = "return (...)" })))
  end)

  it("works inside a handler", function()
    assert.are.equal(5, (value([[on(function() coroutine.yield({{v = require "m"}}) end)]], { ["m.lua"] = "return 5" })))
  end)

  it("names the file that it did not find", function()
    assert.is_truthy(load_error('require "nothing"'):find 'main.lua:1: module "nothing" was not found: the bundle has no nothing%.lua')
  end)

  it("names file and line of a module's error, with the stack", function()
    local text = load_error('\nrequire "m"', { ["m.lua"] = "\n\nerror('in the module')" })
    assert.is_truthy(text:find "m%.lua:3: in the module", text)
    assert.is_truthy(text:find "main%.lua:2: in main chunk", text)
  end)

  it("names file and line of a syntax error", function()
    assert.is_truthy(load_error('require "m"', { ["m.lua"] = "x = = 1" }):find "m%.lua:1: unexpected symbol near '='")
  end)

  it("a module that failed is loaded anew the next time", function()
    local run = bundle.handler([[
      local ok, e = pcall(require, "m")
      local ok2, e2 = pcall(require, "m")
      coroutine.yield({{v = {ok, ok2, e == e2}}})]], { files = { ["m.lua"] = "error('no')" } })
    assert.are.same({ false, false, true }, run.batches[1].items[1].v)
  end)

  it("names a circle", function()
    local text = load_error('require "a"', { ["a.lua"] = "return require 'b'", ["b.lua"] = "return require 'c'", ["c.lua"] = "return require 'a'" })
    assert.is_truthy(text:find("modules require each other in a circle: a → b → c → a", 1, true), text)
  end)

  it("of main is a circle", function()
    assert.is_truthy(load_error('require "main"'):find("in a circle: main → main", 1, true))
  end)

  for _, name in ipairs { "../secrets", "..", ".", "", "a..b", ".a", "a.", "/etc/passwd", "lib/client", "a\\b", "a\0b", "moontide.core", "moontide..x",
    ("x"):rep(300) } do
    it("refuses the name " .. ("%q"):format(name:sub(1, 20)), function()
      assert.is_truthy(load_error(("require(%q)"):format(name)):find "module name .* is not allowed")
    end)
  end

  it("says that a name is not part of the library", function()
    assert.is_truthy(load_error('require "moontide.nonsense"'):find 'module "moontide.nonsense" is not part of moontide\'s library')
  end)

  it("refuses binary chunks", function()
    assert.is_truthy(load_error('require "m"', { ["m.lua"] = "\27Lua" }):find "m%.lua:1: a binary chunk")
  end)

  it("skips a byte order mark", function()
    assert.are.equal(3, (value([[local a = require "m" on(function() coroutine.yield({{v = a}}) end)]], { ["m.lua"] = "\u{FEFF}return 3" })))
  end)

  it("I/O is not possible while a module loads, at the start and inside a handler", function()
    assert.is_truthy(load_error('core.sleep(1)'):find "main%.lua:1: I/O is not possible while a module loads")
    assert.is_truthy(load_error('coroutine.wrap(function() core.sleep(1) end)()'):find "I/O is not possible while a module loads")
    assert.is_truthy(load_error('core.spawn(print)'):find "I/O is not possible while a module loads")
    local run = bundle.handler('\nrequire "m"', { files = { ["m.lua"] = 'require("moontide.spec").sleep(1)' } })
    assert.is_truthy(run.last.error:find "^m%.lua:1: I/O is not possible while a module loads", run.last.error)
  end)
end)

describe("main.lua", function()
  it("names file and line of its error", function()
    assert.is_truthy(load_error("\n\nlocal x = nil + 1"):find "^spec: main%.lua:3: attempt to perform arithmetic")
  end)

  it("names file and line of a syntax error", function()
    assert.is_truthy(load_error("\nlocal function"):find "main%.lua:2: <name> expected near <eof>")
  end)

  it("an error that is a table is told", function()
    assert.is_truthy(load_error("error(setmetatable({}, {__tostring = function() return 'told' end}))"):find "told")
  end)

  it("a missing one is an error", function()
    local support = require "spec.support"
    local run = bundle.read(support.run { support.driver "host_driver", support.tmpdir() })
    assert.are.equal(1, run.code)
    assert.is_truthy(run.loads[1]:find "the bundle has no main%.lua")
  end)
end)
