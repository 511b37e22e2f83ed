-- luacheck: no max line length (a case a line)
local case = require "spec.lua.case"

local SAY = " local function say(v) coroutine.yield { { says = v } } end "

describe("tide.async", function()
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

  describe("map", function()
    it("keeps the order of the items, whichever ends first", function()
      assert.are.same({ { 30, 10, 20 }, 3 }, says [[
        local r = tide.async.map({ 30, 10, 20 }, 3, function(ms) tide.sleep(ms / 1000) return ms end)
        say { { r[1], r[2], r[3] }, r.n }]])
    end)

    it("gives item and position, takes views, and counts results that are nil", function()
      assert.are.same({ "a1", "b2", 3 }, says [[
        local r = tide.async.map(json.decode '["a","b","c"]', 2, function(v, i) if i < 3 then return v .. i end end)
        say { r[1], r[2], r.n }]])
    end)

    it("has at most n at work, and that many", function()
      assert.are.equal(3, says [[
        local now, most = 0, 0
        tide.async.map({ 1, 2, 3, 4, 5, 6, 7 }, 3, function()
          now = now + 1 most = math.max(most, now) tide.sleep(0.005) now = now - 1 end)
        say(most)]])
    end)

    it("of nothing gives nothing", function()
      assert.are.equal(0, says [[say(tide.async.map({}, 4, error).n)]])
    end)

    it("makes its requests side by side", function()
      local routes = {}
      for i = 1, 4 do
        routes["GET /" .. i] = { { json = { id = i }, delay = 50 } }
      end
      local said, result = says([[
        local r = tide.async.map({ 1, 2, 3, 4 }, 4, function(i) return assert(client:get("/" .. i)):json().id end)
        say { r[1], r[2], r[3], r[4] }]], { routes = routes })
      assert.are.same({ 1, 2, 3, 4 }, said)
      assert.are.equal(4, result.log[4].active)
    end)

    it("raises the first error, as it was, and cancels the rest so that close handlers run", function()
      local said, result = says [[
        local closed, done = 0, 0
        local ok, err = pcall(tide.async.map, { 1, 2, 3 }, 3, function(i)
          local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
          if i == 2 then tide.sleep(0.01) error { mine = true } end
          tide.sleep(60) done = done + 1
        end)
        say { ok, err.mine, closed, done }]]
      assert.are.same({ false, true, 3, 0 }, said)
      assert.are.equal("", case.faults(result))
    end)

    it("starts no further item after an error", function()
      assert.are.equal(2, says [[
        local started = 0
        pcall(tide.async.map, { 1, 2, 3, 4, 5 }, 1, function(i) started = started + 1 if i == 2 then error "x" end end)
        say(started)]])
    end)

    it("ends the handler with file and line of the error when nobody takes it", function()
      local result = run('tide.async.map({ 1 }, 1, function()\n  tide.sleep(0)\n  error "boom"\nend)')
      assert.is_false(result.last.ok)
      assert.is_truthy(result.last.error:find("main.lua:3: boom", 1, true), result.last.error)
    end)

    it("counts a request that it cancels as failed (architecture 3.3)", function()
      local _, result = says([[
        pcall(tide.async.map, { "/slow", "/bad" }, 2, function(path) assert(client:get(path)) end)]],
        { routes = { ["GET /slow"] = { { json = {}, hold = true } }, ["GET /bad"] = { { status = 404, delay = 100 } } } })
      assert.is_truthy(case.faults(result):find "/slow: cancelled")
      assert.is_truthy(case.faults(result):find "/bad: HTTP 404")
    end)

    it("yields batches of the same kind and scope", function()
      local _, result = says [[
        ctx:scope("s", function()
          tide.async.map({ 1, 2 }, 2, function(i) coroutine.yield { { id = i } } end)
        end)]]
      assert.are.same({ 1, 2 }, case.items(result))
      assert.are.equal("s", result.batches[1].scope)
    end)

    it("nests", function()
      assert.are.same({ 11, 12, 21, 22 }, says [[
        local r = tide.async.map({ 10, 20 }, 2, function(a)
          return tide.async.map({ 1, 2 }, 2, function(b) tide.sleep(0.001) return a + b end)
        end)
        say { r[1][1], r[1][2], r[2][1], r[2][2] }]])
    end)

    it("refuses what it cannot take", function()
      for _, row in ipairs {
        { "'x', 1, print", "a list of items, got string" }, { "{}, 0, print", "integer from 1" },
        { "{}, 1.5, print", "integer from 1" }, { "{}, 1, 5", "third argument is a function" }, { "{ a = 1 }, 1, print", "got object" },
      } do
        local result = run(("tide.async.map(%s)"):format(row[1]))
        assert.is_truthy(result.last.error:find("^main.lua:1: async.map: .*" .. row[2]), result.last.error)
      end
    end)
  end)

  describe("gather", function()
    it("runs functions side by side and gives their results in order", function()
      assert.are.same({ "a", false, "c", 3 }, says [[
        local r = tide.async.gather { function() tide.sleep(0.02) return "a" end, function() return false end, function() return "c" end }
        say { r[1], r[2], r[3], r.n }]])
    end)

    it("raises an error and cancels the others", function()
      assert.are.same({ false, true }, says [[
        local ok, err = pcall(tide.async.gather, { function() tide.sleep(60) end, function() error "boom" end })
        say { ok, err:find "boom" ~= nil }]])
    end)

    it("refuses what is no list of functions", function()
      local result = run "tide.async.gather { print, 5 }"
      assert.is_truthy(result.last.error:find("^main.lua:1: async.gather: element 2 is a number"), result.last.error)
    end)
  end)

  describe("spawn", function()
    it("gives all results to await, also twice", function()
      assert.are.same({ 1, 2, 1 }, says [[
        local t = tide.async.spawn(function(a) tide.sleep(0.005) return a, 2 end, 1)
        local a, b = t:await() say { a, b, (t:await()) }]])
    end)

    it("raises the task's error in await, as it was", function()
      assert.are.same({ false, 7 }, says [[
        local t = tide.async.spawn(function() error { code = 7 } end)
        local ok, err = pcall(t.await, t) say { ok, err.code }]])
    end)

    it("fails the handler when nobody awaits, and cancels its siblings", function()
      local result = run [[
        tide.async.spawn(function() tide.sleep(60) end)
        tide.async.spawn(function() error "boom" end)]]
      assert.is_false(result.last.ok)
      assert.is_truthy(result.last.error:find "boom")
    end)

    it("is waited for at the end of the handler", function()
      local _, result = says [[tide.async.spawn(function() tide.sleep(0.02) coroutine.yield { { id = 1 } } end)]]
      assert.are.same({ 1 }, case.items(result))
    end)
  end)

  it("sleep lets other tasks go on", function()
    assert.are.same({ "b", "a" }, says [[
      local order = {}
      tide.async.gather { function() tide.sleep(0.03) order[#order + 1] = "a" end, function() order[#order + 1] = "b" end }
      say(order)]]
    )
  end)

  it("sleep refuses what is no time", function()
    local result = run "tide.sleep(-1)"
    assert.is_truthy(result.last.error:find "^main.lua:1: sleep: ")
  end)
end)
