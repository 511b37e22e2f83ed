-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"
local support = require "spec.support"

local function texts(run)
  local t = {}
  for i, batch in ipairs(run.batches) do
    t[i] = batch.items[1].v
  end
  return t
end

describe("a batch", function()
  it("may be yielded, and returned as the last one", function()
    local run = bundle.handler "coroutine.yield({{v = 1}, {v = 2}}) return {{v = 3}}"
    assert.are.same({ 1, 3 }, texts(run))
    assert.are.equal(2, #run.batches[1].items)
    assert.is_true(run.last.ok)
  end)

  it("that is empty is ignored", function()
    local run = bundle.handler "coroutine.yield({}) coroutine.yield(json.decode('[]')) return {}"
    assert.are.equal(0, #run.batches)
    assert.is_true(run.last.ok)
  end)

  it("yields nothing back", function()
    local run = bundle.handler "coroutine.yield({{v = select('#', coroutine.yield({{v = 0}}))}})"
    assert.are.same({ 0, 0 }, texts(run))
  end)

  for _, case in ipairs {
    { "nothing", "coroutine.yield()", "main.lua:2: a batch is an array of objects, got nil" },
    { "a string", "coroutine.yield('x')", "main.lua:2: a batch is an array of objects, got a string" },
    { "a number", "coroutine.yield(5)", "got a number" },
    { "a function", "coroutine.yield(print)", "got a function" },
    { "an object", "coroutine.yield({a = 1})", "a batch is an array of objects, got an object" },
    { "a view of an object", "coroutine.yield(json.decode('{}'))", "a batch is an array of objects, got an object" },
    { "an array with a number", "coroutine.yield({{v = 1}, 5})", "element [2] is a number" },
    { "an array with an array", "coroutine.yield({{}})", "element [1] is an array" },
    { "a view with a null", "coroutine.yield(json.decode('[{},null]'))", "element [2] is null" },
    { "a function inside", "coroutine.yield({{v = {print}}})", "[1].v[1]: a function cannot be JSON" },
    { "a returned string", "return 'x'", "main.lua:1: returned by the handler: a batch is an array of objects, got a string" },
    { "a returned true", "return true", "returned by the handler: a batch is an array of objects, got a boolean" },
    { "a returned array of numbers", "return {1}", "returned by the handler: a batch is an array of objects, element [1] is a number" },
  } do
    it("that is " .. case[1] .. " fails the handler and is a fault (architecture 3.4.1)", function()
      local run = bundle.handler("\n" .. case[2])
      assert.is_false(run.last.ok)
      assert.is_truthy(run.last.error:find(case[3], 1, true), run.last.error)
      assert.are.equal(1, #run.last.faults)
      assert.are.equal("", run.last.faults[1][1])
      assert.is_truthy(run.last.faults[1][2]:find("a batch was refused: ", 1, true))
    end)
  end

  it("that was refused withholds also when the script swallows the error", function()
    local run = bundle.handler "pcall(coroutine.yield, 5) coroutine.yield({{v = 1}})"
    assert.is_true(run.last.ok)
    assert.are.equal(1, #run.last.faults)
    assert.are.same({ 1 }, texts(run))
  end)

  it("parks its task until there is room, and nothing is lost or reordered", function()
    local run = bundle.handler([[
      for i = 1, 5 do coroutine.yield({{v = i}}) end
      local a = core.spawn(function() for i = 10, 12 do coroutine.yield({{v = i}}) end end)
      local b = core.spawn(function() for i = 20, 22 do coroutine.yield({{v = i}}) end end)
      core.join(a) core.join(b)
      return {{v = 99}}]], { args = { "--park" } })
    assert.is_true(run.last.ok, run.last.error)
    local all = texts(run)
    assert.are.equal(12, #all)
    assert.are.same({ 1, 2, 3, 4, 5 }, { table.unpack(all, 1, 5) })
    local tens, twenties = {}, {}
    for i = 6, 11 do
      table.insert(all[i] < 20 and tens or twenties, all[i])
    end
    assert.are.same({ { 10, 11, 12 }, { 20, 21, 22 } }, { tens, twenties })
    assert.are.equal(99, all[12])
  end)

  it("parked ones are dropped when the run is cancelled", function()
    local run = bundle.handler([[
      for i = 1, 3 do core.spawn(function() while true do coroutine.yield({{v = i}}) end end) end]],
      { args = { "--park", "--cancel-after", "4" } })
    assert.is_true(run.last.canceled)
    assert.is_false(run.last.ok)
    assert.is_true(#run.batches >= 4)
  end)
end)

describe("handlers", function()
  it("of the kind run first, then those of every kind, each in the order of registration (R-RES-05)", function()
    local run = bundle.run([[
      core.register("resync", nil, function(kind) coroutine.yield({{v = "any1 " .. kind}}) end)
      core.register("resync", "k", function() coroutine.yield({{v = "k1"}}) end)
      core.register("resync", "other", function() coroutine.yield({{v = "other"}}) end)
      core.register("resync", "k", function() coroutine.yield({{v = "k2"}}) end)
      core.register("resync", nil, function(kind) coroutine.yield({{v = "any2"}}) end)]], { kinds = { "k", "z" } })
    assert.are.same({ "k1", "k2", "any1 k", "any2", "any1 z", "any2" }, texts(run))
  end)

  it("go on after one that failed; the result is not ok (R-RES-07)", function()
    local run = bundle.run [[
      on(function() coroutine.yield({{v = 1}}) error("first") end)
      on(function() coroutine.yield({{v = 2}}) end)
      on(function() error("third") end)]]
    assert.are.same({ 1, 2 }, texts(run))
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "main%.lua:1: first")
    assert.is_truthy(run.last.error:find "main%.lua:3: third")
  end)

  it("do not go on after one that spent its budget", function()
    local run = bundle.run([[
      on(function() while true do end end)
      on(function() coroutine.yield({{v = 2}}) end)]], { args = { "--burst", "100" } })
    assert.are.same({}, texts(run))
    assert.is_false(run.last.ok)
  end)

  it("get kind, index and selector", function()
    local run = bundle.run([[core.register("resync", nil, function(kind, ctx)
      coroutine.yield({{v = {kind, ctx.kind, ctx.index, ctx.selector.org, ctx.selector}}}) end)]],
      { kinds = { "a", "b" }, args = { "--selector", '{"query":"true","org":"o"}' } })
    assert.are.same({ "a", "a", 0, "o", { query = "true", org = "o" } }, run.batches[1].items[1].v)
    assert.are.same({ "b", "b", 1, "o", { query = "true", org = "o" } }, run.batches[2].items[1].v)
  end)

  it("a kind without one is an error that says so", function()
    local run = bundle.run("on(function() end)", { kinds = { "nobody" } })
    assert.is_truthy(run.loads[1]:find 'kind "nobody" is not implemented: spec registers no on_resync handler for it')
  end)

  it("are registered while main.lua loads only", function()
    local run = bundle.handler 'core.register("resync", "x", function() end)'
    assert.is_truthy(run.last.error:find "handlers are registered while main%.lua loads")
  end)

  it("hooks run in order; a batch in one is an error", function()
    local run = bundle.run([[
      core.register("start", nil, function(...) core.log("info", "start 1 " .. select("#", ...)) core.sleep(0.001) core.log("info", "start 2") end)
      core.register("start", nil, function() core.log("info", "start 3") return 5 end)
      core.register("resync_start", nil, function() coroutine.yield({{v = 1}}) end)]],
      { kinds = { "@start", "@resync_start", "@resync_complete" } })
    assert.is_truthy(run.err:find "start 1 0.*start 2.*start 3")
    assert.is_true(run.ends[1].ok)
    assert.is_false(run.ends[2].ok)
    assert.is_truthy(run.ends[2].error:find "a batch can be yielded in an on_resync handler only")
    assert.is_true(run.ends[3].ok)
    assert.are.equal(0, #run.batches)
  end)
end)

describe("a selector's members that handlers read are known (architecture 3.1):", function()
  for _, case in ipairs {
    { "an index", "local x = ctx.selector.org", true },
    { "another index", "local x = ctx.selector.other", false },
    { "nothing", "local x = ctx.selector", false },
    { "pairs", "for k in pairs(ctx.selector) do end", true },
    { "json.copy", "json.copy(ctx.selector)", true },
    { "json.encode", "json.encode(ctx.selector)", true },
    { "a batch that holds it", "coroutine.yield({{s = ctx.selector}})", true },
    { "a later batch", "core.sleep(0.001) coroutine.wrap(function() local x = ctx.selector.org end)()", true },
  } do
    it(case[1], function()
      local run = bundle.handler(case[2], { args = { "--selector", '{"query":"true","org":"o"}', "--reads", "org" } })
      assert.is_true(run.last.ok, run.last.error)
      assert.are.equal(case[3], run.last.read)
    end)
  end
end)

describe("an uncaught error", function()
  it("has file, line and the stack", function()
    local run = bundle.handler "\nlocal function f() error('boom') end\nlocal function g() f() end\ng()"
    assert.is_truthy(run.last.error:find "^main%.lua:2: boom\nstack traceback:\n\t%[C%]: in function 'error'\n\tmain%.lua:2: in upvalue 'f'\n\tmain%.lua:3: in local 'g'", run.last.error)
  end)

  for _, case in ipairs {
    { "a table with __tostring", "error(setmetatable({}, {__tostring = function() return 'told well' end}))", "told well" },
    { "a table with a message", "error({code = 1, message = 'with a message'})", "with a message" },
    { "a table without", "error({})", "(the error is a table without a message or __tostring)" },
    { "nil", "error()", "main.lua:1: the error is nil" },
    { "a number", "error(42)", "main.lua:1: the error is 42" },
    { "a table whose __tostring fails", "error(setmetatable({}, {__tostring = error}))", "(the error's __tostring failed)" },
    { "a table whose __tostring gives no string", "error(setmetatable({}, {__tostring = function() return {} end}))", "(the error's __tostring failed)" },
    { "a view", "error(json.decode('{}'))", "view of an object of 0 members" },
    { "a secret", "error(core.secret('hunter2222'))", "***" },
  } do
    it("that is " .. case[1] .. " reads well", function()
      local run = bundle.handler(case[2])
      assert.are.equal(case[3], run.last.error:match "^[^\n]*")
    end)
  end

  it("leaves the batches before it alone", function()
    local run = bundle.handler "coroutine.yield({{v = 1}}) error('x')"
    assert.are.same({ 1 }, texts(run))
    assert.is_false(run.last.ok)
  end)

  it("runs the close handlers of the handler", function()
    local run = bundle.handler "local x <close> = setmetatable({}, {__close = function(_, e) print('closed with', e) end}) error('x', 0)"
    assert.is_truthy(run.err:find "closed with\tx")
  end)
end)

describe("cancelling a run", function()
  for _, case in ipairs {
    { "that sleeps", "core.sleep(100)" },
    { "that joins", "core.join(core.spawn(core.sleep, 100))" },
    { "that waits for its children", "core.spawn(core.sleep, 100)" },
    { "that is parked", "core.park()" },
    { "in a scope", "ctx:scope('a', function() ctx:scope('b', function() core.sleep(100) end) end)" },
    { "in a generator in pcall in a scope", "ctx:scope('a', function() pcall(function() for _ in coroutine.wrap(function() core.sleep(100) end) do end end) end)" },
    { "that catches everything", "while true do pcall(core.sleep, 100) end" },
    { "with many tasks", "for i = 1, 500 do core.spawn(function() local x <close> = setmetatable({}, {__close = function() end}) core.sleep(100) end) end" },
  } do
    it(case[1] .. " ends it, canceled", function()
      local run = bundle.handler("coroutine.yield({{v = 1}}) " .. case[2], { args = { "--cancel-ms", "40" } })
      assert.are.equal(1, #run.ends)
      assert.is_true(run.last.canceled)
      assert.is_false(run.last.ok)
      assert.are.equal(0, run.code)
    end)
  end

  it("from inside on_batch ends it after the callback", function()
    local run = bundle.handler("for i = 1, 100 do coroutine.yield({{v = i}}) end", { args = { "--cancel-after", "3" } })
    assert.are.equal(3, #run.batches)
    assert.is_true(run.last.canceled)
  end)

  it("and the next run of the host works", function()
    local run = bundle.run([[
      on(function() coroutine.yield({{v = 1}}) core.sleep(100) end)
      core.register("resync", "next", function() coroutine.yield({{v = 2}}) end)]], { args = { "--cancel-after", "1" }, kinds = { "k", "next" } })
    assert.is_true(run.ends[1].canceled)
    assert.is_true(run.ends[2].ok)
    assert.are.same({ 1, 2 }, texts(run))
  end)

  it("freeing the host in the middle ends what waits, and tells its end", function()
    local run = bundle.handler([[
      core.spawn(function() local x <close> = setmetatable({}, {__close = function() print("closed") end}) core.sleep(100) end)
      core.sleep(0.001)
      coroutine.yield({{v = 1}})
      core.sleep(100)]], { args = { "--free-after", "1" } })
    assert.are.equal(0, run.code)
    assert.is_true(run.last.canceled)
    assert.is_truthy(run.err:find "closed")
  end)

  it("freeing the host inside on_end is fine", function()
    local run = bundle.handler("coroutine.yield({{v = 1}})", { args = { "--free-in-end" } })
    assert.are.equal(0, run.code)
    assert.is_true(run.last.ok)
  end)
end)

describe("a bundle that fails", function()
  it("leaves stdout parseable and the driver at work", function()
    local run = bundle.run("error('no')")
    assert.are.equal(1, run.code)
    assert.are.equal(0, #run.ends)
    assert.are.equal("string", type(run.loads[1]))
    assert.is_not_nil(support.json.decode(run.out))
  end)
end)
