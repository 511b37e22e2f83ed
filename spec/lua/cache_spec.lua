-- luacheck: no max line length (a case a line)
local case = require "spec.lua.case"

local SAY = " local function say(v) coroutine.yield { { says = v } } end "

describe("tide.cache.memoize", function()
  setup(case.start)
  teardown(case.stop)

  local function run(body, options)
    local result = case.run(SAY .. body, options)
    assert.is_truthy(result.last, result.out .. result.err)
    return result
  end

  local function says(body, options)
    local result = run(body, options)
    assert.is_true(result.last.ok, tostring(result.last.error))
    return case.says(result), result
  end

  it("calls once for the same arguments, told apart by value and type", function()
    assert.are.same({ 5, 1, 1 }, says [[
      local n = 0
      local f = tide.cache.memoize(function() n = n + 1 return n end)
      local first = f(1) f(2) f("1") f(1, nil) f("a", "b") f("a", "b")
      say { n, first, f(1) }]])
  end)

  it("keeps results that are nil or several", function()
    assert.are.same({ 1, 3, "c" }, says [[
      local n = 0
      local f = tide.cache.memoize(function() n = n + 1 return nil, "b", "c" end)
      f() say { n, select("#", f()), (select(3, f())) }]])
  end)

  it("takes a key of its own for tables", function()
    assert.are.same({ 1, 1 }, says [[
      local n = 0
      local f = tide.cache.memoize(function(t) n = n + 1 return n end, { key = function(t) return t.id end })
      say { f { id = 1 }, f { id = 1 } }]])
    local result = run "tide.cache.memoize(print)({})"
    assert.is_truthy(result.last.error:find "^main.lua:1: cache.memoize: argument 1 is a table: give { key")
  end)

  it("forgets after ttl seconds", function()
    assert.are.same({ 1, 1, 2 }, says [[
      local n = 0
      local f = tide.cache.memoize(function() n = n + 1 return n end, { ttl = 0.05 })
      local a, b = f(), f() tide.sleep(0.08) say { a, b, f() }]])
  end)

  it("forgets at the end of a resync", function()
    local result = case.run("coroutine.yield { { says = memo() } }",
      { top = "local n = 0 local memo = tide.cache.memoize(function() n = n + 1 return n end)", kinds = { "k", "k", "@clear", "k" } })
    assert.are.same({ 1, 1, 2 }, case.says(result))
  end)

  it("has one call of a key on its way between tasks", function()
    local said, result = says([[
      local f = tide.cache.memoize(function(path) return assert(client:get(path)):json().id end)
      local r = tide.async.map({ 1, 2, 3, 4 }, 4, function() return f "/x" end)
      say { r[1], r[2], r[3], r[4] }]], { routes = { ["GET /x"] = { { json = { id = 5 }, delay = 30 } } } })
    assert.are.same({ 5, 5, 5, 5 }, said)
    assert.are.equal(1, #result.log)
  end)

  it("gives an error to all who waited, as it was, and does not keep it", function()
    assert.are.same({ { 9, 9, 9 }, 1, "fine" }, says [[
      local n = 0
      local f = tide.cache.memoize(function() n = n + 1 tide.sleep(0.01) if n == 1 then error { code = 9 } end return "fine" end)
      local codes = tide.async.map({ 1, 2, 3 }, 3, function() local ok, err = pcall(f) return not ok and err.code end)
      local before = n
      say { { codes[1], codes[2], codes[3] }, before, f() }]])
  end)

  it("records a request that failed in it as a fault of every scope that waited, though it was swallowed (architecture 3.3)", function()
    local _, result = says([[
      local f = tide.cache.memoize(function() local res = client:get("/x") return res and 1 or 0 end)
      tide.async.gather {
        function() ctx:scope("one", f) end, function() ctx:scope("two", f) end,
      }
      ctx:scope("three", function() end)]], { routes = { ["GET /x"] = { { status = 404, delay = 50 } } } })
    local scopes = {}
    for _, fault in ipairs(result.last.faults) do
      scopes[fault[1]] = true
    end
    assert.are.same({ one = true, two = true }, scopes)
    assert.are.equal(1, #result.log)
  end)

  it("does not keep what came about with a failed request", function()
    local said, result = says([[
      local f = tide.cache.memoize(function() local res = client:get("/x") return res and 1 or 0 end)
      say { f(), f(), f() }]], { routes = { ["GET /x"] = { { status = 404 }, { json = {} } } } })
    assert.are.same({ 0, 1, 1 }, said)
    assert.are.equal(2, #result.log)
  end)

  it("counts what failed in tasks that it started, in page chains that it left, and in calls inside", function()
    for _, body in ipairs {
      [[tide.async.map({ 1 }, 1, function() client:get("/x") end)]],
      [[pcall(function() for page in client:pages "/p" do break end end)]],
      [[local inner = tide.cache.memoize(function() client:get("/x") end) inner()]],
      [[local res = client:get("/t") pcall(res.json, res)]],
      [[pcall(tide.async.gather, { function() tide.sleep(60) end, function() tide.sleep(0.02) client:get("/x") error "x" end })]],
    } do
      local _, result = says(("local n = 0 local f = tide.cache.memoize(function() n = n + 1 %s tide.sleep(0.03) end) %s"):format(body, [[
        tide.async.gather { function() ctx:scope("one", f) end, function() tide.sleep(0.01) ctx:scope("two", f) end } say(n)]]),
        { routes = { ["GET /p"] = { { json = { { id = 1 } } } }, ["GET /t"] = { { text = "no" } } } })
      local scopes = {}
      for _, fault in ipairs(result.last.faults) do
        scopes[fault[1]] = true
      end
      assert.are.same({ one = true, two = true }, scopes, body)
      assert.are.equal(1, case.says(result), body)
    end
  end)

  it("does not keep what cancelled tasks were to bring", function()
    assert.are.equal(2, says [[
      local n = 0
      local f = tide.cache.memoize(function()
        n = n + 1
        pcall(tide.async.gather, { function() tide.sleep(60) end, function() tide.sleep(0.01) error "x" end })
      end)
      f() f() say(n)]])
  end)

  it("starts anew when the task that made the call was cancelled", function()
    assert.are.same({ 2, "fine" }, says [[
      local n = 0
      local f = tide.cache.memoize(function() n = n + 1 if n == 1 then tide.sleep(60) end return "fine" end)
      local waiter
      pcall(tide.async.gather, { function() f() end, function()
        tide.sleep(0.02) error "x" end })
      say { n + (f() == "fine" and 0 or 10), f() }]])
    assert.are.same({ 2, "fine" }, says [[
      local n = 0
      local f = tide.cache.memoize(function() n = n + 1 if n == 1 then tide.sleep(60) end return "fine" end)
      local waiter = tide.async.spawn(function() tide.sleep(0.01) return f() end)
      pcall(tide.async.gather, { function() f() end, function() tide.sleep(0.03) error "x" end })
      say { n + (waiter:await() == "fine" and 0 or 10), f() }]])
  end)

  it("says so when a call waits for itself", function()
    local result = run "local f f = tide.cache.memoize(function() return f() end) f()"
    assert.is_truthy(result.last.error:find "waits for its own result")
  end)

  it("refuses what it cannot take", function()
    for _, row in ipairs {
      { "5", "a function, got a number" }, { "print, { tll = 1 }", 'did you mean "ttl"' }, { "print, { ttl = 0 }", "seconds above 0" },
    } do
      local result = run(("tide.cache.memoize(%s)"):format(row[1]))
      assert.is_truthy(result.last.error:find("^main.lua:1: cache.memoize: .*" .. row[2]), result.last.error)
    end
  end)
end)
