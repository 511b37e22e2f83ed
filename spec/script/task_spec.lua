-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"

bundle.describe("tasks", {
  { "join gives true and the results", "return core.join(core.spawn(function(a, b) return a + b, nil, 'x' end, 1, 2))", 'true 3 null "x"' },
  { "join gives false and the error", "local ok, e = core.join(core.spawn(function() error({code = 5}) end)) return ok, e.code", "false 5" },
  { "join again gives the same", "local h = core.spawn(function() return 1 end) local a = {core.join(h)} local b = {core.join(h)} return a, b", "[true,1] [true,1]" },
  { "many wait for one", "local h = core.spawn(function() core.sleep(0.005) return 7 end) local hs, s = {}, 0 for i = 1, 5 do hs[i] = core.spawn(function() return select(2, core.join(h)) end) end for i = 1, 5 do s = s + select(2, core.join(hs[i])) end return s", "35" },
  { "run beside each other", "local order = {} local a = core.spawn(function() core.sleep(0.03) order[#order + 1] = 'slow' end) local b = core.spawn(function() core.sleep(0.001) order[#order + 1] = 'quick' end) core.join(a) core.join(b) return order", '["quick","slow"]' },
  { "start in the order of spawn", "local s = '' local hs = {} for i = 1, 5 do hs[i] = core.spawn(function() s = s .. i end) end for i = 1, 5 do core.join(hs[i]) end return s", '"12345"' },
  { "cancel", "local h = core.spawn(core.sleep, 100) core.sleep(0.001) core.cancel(h) return core.status(h), core.join(h)", '"canceled" false "canceled"' },
  { "cancel runs close handlers", "local n = 0 local h = core.spawn(function() local x <close> = setmetatable({}, {__close = function() n = n + 1 end}) core.sleep(100) end) core.sleep(0.001) core.cancel(h) return n", "1" },
  { "cancel before it began", "local n = 0 local h = core.spawn(function() n = 1 end) core.cancel(h) core.sleep(0.001) return n, core.status(h)", '0 "canceled"' },
  { "cancel takes what it spawned too", "local inner local h = core.spawn(function() inner = core.spawn(core.sleep, 100) core.sleep(100) end) core.sleep(0.002) core.cancel(h) return core.status(inner)", '"canceled"' },
  { "cancel takes its scope too", "local n = 0 local h = core.spawn(function() ctx:scope('s', function() local x <close> = setmetatable({}, {__close = function() n = 1 end}) core.sleep(100) end) end) core.sleep(0.002) core.cancel(h) return n", "1" },
  { "cancel of an ended one is nothing", "local h = core.spawn(print) core.join(h) core.cancel(h) return core.status(h)", '"done"' },
  { "cancel wakes who joins", "local h = core.spawn(core.sleep, 100) local j = core.spawn(function() return core.join(h) end) core.sleep(0.001) core.cancel(h) return core.join(j)", 'true false "canceled"' },
  { "cancel of itself", "core.cancel(core.current())", error = "a task cannot cancel itself or what it runs in" },
  { "cancel of what it runs in", "local me = core.current() local ok, e = core.join(core.spawn(function() core.cancel(me) end)) error(e, 0)", error = "cannot cancel itself or what it runs in" },
  { "join of itself", "core.join(core.current())", error = "cannot wait for itself" },
  { "join of what it runs in", "local me = core.current() local ok, e = core.join(core.spawn(function() core.join(me) end)) error(e, 0)", error = "cannot wait for itself or for what it runs in" },
  { "joins in a circle", "local a, b a = core.spawn(function() core.sleep(0.001) return core.join(b) end) b = core.spawn(function() return core.join(a) end) local ok, e = core.join(a) error(e, 0)", error = "tasks wait for each other in a circle" },
  { "join of something else", "core.join({})", error = "bad argument #1 to .*moontide%.task expected" },
  { "spawn of no function", "core.spawn(5)", error = "bad argument #1" },
  { "spawn in a close handler of a cancelled task", "local ok, e local h = core.spawn(function() local x <close> = setmetatable({}, {__close = function() ok, e = pcall(core.spawn, print) end}) core.sleep(100) end) core.sleep(0.001) core.cancel(h) error(e, 0)", error = "a task that is being closed cannot start another" },
  { "I/O in a close handler of a cancelled task", "local ok, e local h = core.spawn(function() local x <close> = setmetatable({}, {__close = function() ok, e = pcall(core.sleep, 1) end}) core.sleep(100) end) core.sleep(0.001) core.cancel(h) error(e, 0)", error = "its close handlers cannot wait" },
  { "a batch in a close handler of a cancelled task", "local ok, e local h = core.spawn(function() local x <close> = setmetatable({}, {__close = function() ok, e = pcall(coroutine.yield, {{a = 1}}) end}) core.sleep(100) end) core.sleep(0.001) core.cancel(h) error(e, 0)", error = "a close handler cannot yield" },
  { "status", "local h = core.spawn(core.sleep, 0.001) local a = core.status(h) core.join(h) local f = core.spawn(error) core.join(f) return a, core.status(h), core.status(f)", '"running" "done" "failed"' },
  { "sleep takes the time that it was told", "local t = os.time() core.sleep(0) core.sleep(0.5e-3) return os.time() - t <= 1", "true" },
  { "sleep of a negative time", "core.sleep(-1)", error = "bad argument #1 to .*seconds" },
  { "sleep of NaN", "core.sleep(0/0)", error = "seconds" },
  { "sleep of no number", "core.sleep('x')", error = "number expected" },
})

bundle.describe("park and wake", {
  { "wake after park", "local h = core.spawn(function() core.park() return 'woken' end) core.sleep(0.001) return core.wake(h), select(2, core.join(h))", 'true "woken"' },
  { "wake before park is kept, once", "local n = 0 local h = core.spawn(function() core.park() n = 1 core.park() n = 2 end) core.wake(h) core.wake(h) core.sleep(0.002) local first = n core.wake(h) core.join(h) return first, n", "1 2" },
  { "wake does not disturb other waits", "local t = 0 local h = core.spawn(function() core.sleep(0.01) t = t + 1 core.park() t = t + 1 end) core.wake(h) core.wake(h) core.join(h) return t", "2" },
  { "wake of an ended one is false", "local h = core.spawn(print) core.join(h) return core.wake(h)", "false" },
  { "a semaphore of two", [[
    local free, waiting, most, now = 2, {}, 0, 0
    local function acquire() if free > 0 then free = free - 1 return end waiting[#waiting + 1] = core.current() core.park() end
    local function release() local w = table.remove(waiting, 1) if w then core.wake(w) else free = free + 1 end end
    local hs = {}
    for i = 1, 10 do hs[i] = core.spawn(function() acquire() now = now + 1 most = math.max(most, now) core.sleep(0.001) now = now - 1 release() end) end
    for i = 1, 10 do core.join(hs[i]) end
    return most, free]], "2 2" },
})

bundle.describe("ctx:scope", {
  { "returns true", "return ctx:scope('s', function() return 5 end)", "true" },
  { "returns nil and the error", "local ok, e = ctx:scope('s', function() error('bad', 0) end) return ok == nil, e", 'true "bad"' },
  { "keeps the error as it was", "local ok, e = ctx:scope('s', function() error({code = 7}) end) return ok == nil, e.code", "true 7" },
  { "works in a generator", "return coroutine.wrap(function() return ctx:scope('s', function() core.sleep(0.001) end) end)()", "true" },
  { "waits for what was spawned inside", "local n = 0 ctx:scope('s', function() core.spawn(function() core.spawn(function() core.sleep(0.005) n = 1 end) end) end) return n", "1" },
  { "a failed task that nobody joined fails it", "local ok, e = ctx:scope('s', function() core.spawn(function() error('child', 0) end) core.sleep(0.002) end) return ok == nil, e", 'true "child"' },
  { "a failed task cancels its siblings", "local n = 0 local ok, e = ctx:scope('s', function() core.spawn(function() local x <close> = setmetatable({}, {__close = function() n = 1 end}) core.sleep(100) end) core.spawn(function() core.sleep(0.001) error('child', 0) end) end) return n, e", '1 "child"' },
  { "an error of its own cancels the tasks", "local n = 0 local ok, e = ctx:scope('s', function() core.spawn(function() local x <close> = setmetatable({}, {__close = function() n = 1 end}) core.sleep(100) end) core.sleep(0.001) error('own', 0) end) return n, e", '1 "own"' },
  { "a failed task that was joined does not", "return ctx:scope('s', function() core.join(core.spawn(error)) end)", "true" },
  { "a failed task joined later does not", "return ctx:scope('s', function() local h = core.spawn(error) core.sleep(0.002) core.join(h) end)", "true" },
  { "needs a name", "ctx:scope('', print)", error = "a scope's name has 1 to 256 bytes" },
  { "needs a function", "ctx:scope('s', 5)", error = "bad argument #2" },
  { "is called with a colon", "ctx.scope('s', print)", error = "call it as ctx:scope" },
  { "passes arguments", "local t ctx:scope('s', function(...) t = {...} end, 1, 2) return t", "[1,2]" },
})

describe("the scope", function()
  it("is that of batches and faults; nested names join; tasks inherit it (architecture 3.4.1)", function()
    local run = bundle.handler [[
      coroutine.yield({{v = 0}})
      ctx:scope("a", function()
        coroutine.yield({{v = 1}})
        core.fault("in a")
        ctx:scope("b/c", function() coroutine.yield({{v = 2}}) core.spawn(function() core.sleep(0.002) coroutine.yield({{v = 3}}) core.fault("in b") end) end)
        coroutine.yield({{v = 4}})
      end)
      core.spawn(function() coroutine.yield({{v = 5}}) end)
      core.fault("outside")]]
    local scopes = {}
    for _, batch in ipairs(run.batches) do
      scopes[batch.items[1].v] = batch.scope
    end
    assert.are.same({ [0] = "", "a", "a/b/c", "a/b/c", "a", "" }, scopes)
    assert.are.same({ { "a", "in a" }, { "a/b/c", "in b" }, { "", "outside" } }, run.last.faults[1][2] == "in a" and
      { run.last.faults[1], run.last.faults[2][1] == "" and run.last.faults[3] or run.last.faults[2], run.last.faults[2][1] == "" and run.last.faults[2] or run.last.faults[3] })
    assert.is_true(run.last.ok)
  end)

  it("that failed is a fault of its own name; the handler goes on", function()
    local run = bundle.handler [[
      local ok, err = ctx:scope("bad", function() coroutine.yield({{v = 1}}) error("broken") end)
      ctx:scope("good", function() coroutine.yield({{v = 2}}) end)]]
    assert.is_true(run.last.ok)
    assert.are.same({ { "bad", "main.lua:1: broken" } }, run.last.faults)
    assert.are.equal(2, #run.batches)
    assert.is_truthy(run.err:find "scope bad failed: main%.lua:1: broken\nstack traceback")
  end)

  it("does not stop a kill", function()
    local run = bundle.handler("ctx:scope('s', function() while true do end end) coroutine.yield({{v = 1}})", { args = { "--burst", "100" } })
    assert.is_false(run.last.ok)
    assert.are.equal(0, #run.batches)
    assert.is_truthy(run.last.error:find "CPU budget of 100 ms")
  end)

  it("runs what was registered for its end before its result is known, once, also when it failed or was cancelled", function()
    local run = bundle.handler([[
      local function chain(name) core.on_scope_end(function() core.fault("open " .. name) end) end
      ctx:scope("ok", function() chain("1") end)
      ctx:scope("bad", function() chain("2") error("x") end)
      ctx:scope("task", function() core.spawn(function() core.sleep(0.001) chain("3") end) end)
      local done = function() core.fault("never") end
      ctx:scope("removed", function() core.on_scope_end(done) core.on_scope_end(done, false) end)
      ctx:scope("outer", function()
        core.on_scope_end(done)
        ctx:scope("inner", function() core.on_scope_end(done, false) end)
      end)
      ctx:scope("raises", function() core.on_scope_end(function() error("in the end") end) end)
      ctx:scope("waits", function() core.on_scope_end(function() core.sleep(1) end) end)
      local h = core.spawn(function() ctx:scope("cancelled", function() chain("4") core.sleep(100) end) end)
      core.sleep(0.005)
      core.cancel(h)
      chain("handler")]])
    assert.is_true(run.last.ok, run.last.error)
    local faults = {}
    for _, fault in ipairs(run.last.faults) do
      faults[fault[1]] = (faults[fault[1]] and faults[fault[1]] .. ", " or "") .. fault[2]
    end
    assert.are.equal("open 1", faults.ok)
    assert.is_truthy(faults.bad:find("open 2", 1, true))
    assert.are.equal("open 3", faults.task)
    assert.is_nil(faults.removed)
    assert.is_nil(faults.outer)
    assert.is_truthy(faults.raises:find "at the end of the scope: main%.lua:%d+: in the end")
    assert.is_truthy(faults.waits:find "I/O is not possible here")
    assert.are.equal("open 4", faults.cancelled)
    assert.are.equal("open handler", faults[""])
  end)

  it("the same fault in a loop is told once, and very many become one of the whole kind", function()
    local run = bundle.handler "for i = 1, 1000 do core.fault('same') end"
    assert.are.equal(1, #run.last.faults)
    run = bundle.handler "for i = 1, 12000 do core.fault('n ' .. i) end"
    assert.are.equal(10001, #run.last.faults)
    assert.are.equal("", run.last.faults[10001][1])
    assert.is_truthy(run.last.faults[10001][2]:find "more than 10000 faults")
  end)
end)

describe("a handler", function()
  it("ends when all it spawned has ended", function()
    local run = bundle.handler "core.spawn(function() core.sleep(0.01) coroutine.yield({{v = 1}}) end)"
    assert.are.equal(1, #run.batches)
    assert.is_true(run.last.ok)
  end)

  it("fails with the error of a task that nobody joined, and its stack", function()
    local run = bundle.handler "core.spawn(function()\n core.sleep(0.001) error('lost') end)"
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "^main%.lua:2: lost\nstack traceback:\n", run.last.error)
  end)

  it("fails with the error of a task that nobody joined before it ended itself", function()
    local run = bundle.handler "core.spawn(function() error('lost') end) core.sleep(0.005) coroutine.yield({{v = 1}})"
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "lost")
    assert.are.equal(1, #run.batches)
  end)

  it("that fails cancels what it spawned", function()
    local run = bundle.handler "core.spawn(function() local x <close> = setmetatable({}, {__close = function() print('closed') end}) core.sleep(100) end) core.sleep(0.001) error('x')"
    assert.is_false(run.last.ok)
    assert.is_truthy(run.err:find "closed")
  end)

  it("counts pages", function()
    local run = bundle.handler "core.pages(2) core.pages() ctx:scope('s', function() core.pages(3) end)"
    assert.are.equal(6, run.last.pages)
  end)

  it("sees the cache's generation rise when it is cleared", function()
    local run = bundle.run("on(function() coroutine.yield({{v = core.cache_generation()}}) end)", { kinds = { "k", "@clear", "k" } })
    assert.are.equal(1, run.batches[2].items[1].v - run.batches[1].items[1].v)
  end)

  it("runs a thousand tasks, and ten thousand one after another, in a bounded budget", function()
    local run = bundle.handler([[
      local hs, s = {}, 0
      for i = 1, 1000 do hs[i] = core.spawn(function() core.sleep(0.001) return 1 end) end
      for i = 1, 1000 do s = s + select(2, core.join(hs[i])) end
      for i = 1, 10000 do s = s + select(2, core.join(core.spawn(function() return 1 end))) end
      coroutine.yield({{v = s}})]], { args = { "--memory", "16777216" } })
    assert.is_true(run.last.ok, run.last.error)
    assert.are.equal(11000, run.batches[1].items[1].v)
  end)
end)
