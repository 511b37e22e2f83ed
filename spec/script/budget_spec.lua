-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"
local support = require "spec.support"

-- Architecture 3.4.4: a bad script harms itself only; models 2.9, 2.10. Small budgets, so that the cases are quick.
local ARGS = { "--burst", "150", "--memory", "33554432", "--load", "150" }

local LIMIT_MS = 2000 -- of CPU: other programs may keep this one waiting

local LOOPS = {
  { "a plain loop", "while true do end" },
  { "a loop inside pcall", "while true do pcall(function() while true do end end) end" },
  { "a loop of pcalls of pcall", "while true do pcall(pcall, pcall, error) end" },
  { "a loop in an xpcall's handler", "while true do xpcall(error, function() while true do end end) end" },
  { "a loop inside coroutine.wrap", "coroutine.wrap(function() while true do end end)()" },
  { "a loop of coroutines that spin", "while true do coroutine.resume(coroutine.create(function() while true do end end)) end" },
  { "a loop of pcalls of wrapped pcalls", "while true do pcall(coroutine.wrap(function() while true do pcall(error) end end)) end" },
  { "a loop in a generator after a wait", "for i in coroutine.wrap(function() core.sleep(0.001) coroutine.yield(1) while true do end end) do end" },
  { "a loop in __index", "local t = setmetatable({}, {__index = function() while true do end end}) local x = t.a" },
  { "a loop in __close", "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end" },
  { "a loop in __close after an error", "local x <close> = setmetatable({}, {__close = function() while true do end end}) error('x')" },
  { "a loop in __close after a loop", "local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end" },
  { "a loop in __close of a generator that loops", "coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end)()" },
  { "a loop in a comparator", "table.sort({1, 2, 3}, function() while true do end end)" },
  { "a loop in a gsub callback", "while true do pcall(string.gsub, 'xxx', 'x', function() while true do end end) end" },
  { "a loop in __tostring of tostring", "tostring(setmetatable({}, {__tostring = function() while true do end end}))" },
  { "a loop in load's reader", "load(function() while true do end end)" },
  { "a loop in loaded text", "load('while true do end')()" },
  { "an iterator that never ends", "for _ in function() return 1 end do end" },
  { "a goto loop", "::a:: goto a" },
  { "endless recursion by tail calls", "local function f() return f() end f()" },
  { "a spawned loop", "core.spawn(function() while true do end end) core.sleep(10)" },
  { "a loop in a scope", "ctx:scope('s', function() while true do end end)" },
  { "a loop at the end of a scope", "core.on_scope_end(function() while true do end end)" },
  { "a loop of empty batches", "while true do coroutine.yield({}) end" },
  { "a loop in __tostring of the error", "error(setmetatable({}, {__tostring = function() while true do end end}))", plain = true },
}

describe("an endless loop ends with the CPU budget, file and line:", function()
  for _, case in ipairs(LOOPS) do
    it(case[1], function()
      local run = bundle.run("on(function(kind, ctx)\n" .. case[2] .. "\nend) core.register('resync', 'after', function() coroutine.yield({{after = 1}}) end)",
        { args = ARGS, kinds = { "k", "after" }, timeout = 20 })
      assert.are_not.equal(124, run.code, "timed out")
      assert.is_false(run.ends[1].ok, run.out)
      if case.plain then
        assert.is_truthy(run.ends[1].error:find "__tostring failed", run.ends[1].error)
      else
        assert.is_truthy(run.ends[1].error:find "^[%w%.%[%]\" =]+:%d+: CPU budget of 150 ms between two yields is spent", run.ends[1].error)
      end
      assert.is_true(run.ends[2].ok, "the next handler runs")
      assert.are.equal(1, run.batches[#run.batches].items[1].after)
    end)
  end

  it("of many short bursts ends with the total budget", function()
    local run = bundle.handler([[
      while true do for i = 1, 1e6 do end core.sleep(0) end]], { args = { "--burst", "5000", "--total", "200" } })
    assert.is_truthy(run.last.error:find "^main%.lua:1: CPU budget of 200 ms of one handler is spent", run.last.error)
  end)

  it("while the bundle loads", function()
    local run = bundle.run("local x = 1\nwhile true do pcall(function() while true do end end) end", { args = ARGS })
    assert.are.equal(1, run.code)
    assert.is_truthy(run.loads[1]:find "^spec: main%.lua:2: CPU budget of 150 ms for loading the bundle is spent", run.loads[1])
  end)

  it("but not a handler that works long and yields", function()
    local run = bundle.handler([[
      local began = os.clock()
      while os.clock() - began < 0.4 do for i = 1, 1e5 do end coroutine.yield({{i = 1}}) end]], { args = ARGS })
    assert.is_true(run.last.ok, run.last.error)
  end)

  it("a long pattern match is measured and logged", function()
    local run = bundle.handler([[
      local s = ("a"):rep(180)
      s:find(".-.-.-b")
      for i = 1, 1e5 do end]], { args = { "--burst", "60000" }, timeout = 60 })
    assert.is_true(run.last.ok, run.last.error)
    assert.is_truthy(run.err:find "main%.lua:%d: one stretch of C .* took %d+ ms", run.err)
  end)
end)

local BOMBS = {
  { "a table", "local t = {} while true do t[#t + 1] = {} end" },
  { "a table inside pcall", "while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end" },
  { "a string that doubles", "local s = 'x' while true do s = s .. s end" },
  { "a string that doubles inside pcall", "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end" },
  { "string.rep of gigabytes", "local s = ('x'):rep(1 << 30)" },
  { "string.rep of gigabytes inside pcall", "while true do pcall(string.rep, 'x', 1 << 30) end" },
  { "table.concat", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1 << 20) end table.concat(t)" },
  { "a closure chain", "local f = function() end while true do local g = f f = function() return g() end end" },
  { "coroutines", "local t = {} while true do t[#t + 1] = coroutine.create(print) end" },
  { "tasks", "while true do core.spawn(core.sleep, 100) end" },
  { "documents", "local t = {} while true do t[#t + 1] = json.decode('[\"' .. ('x'):rep(1 << 20) .. '\"]') end" },
  { "documents inside pcall", "local t = {} while true do pcall(function() while true do t[#t + 1] = json.decode('[\"' .. ('x'):rep(1 << 20) .. '\"]') end end) end" },
  { "a conversion", "local t = {1} for i = 1, 64 do t = {t, t} end json.encode(t)" },
  { "in a coroutine", "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()" },
  { "loaded text", "load(function() return ('local x = 1 '):rep(1000) end)" },
  { "overlays", "local d = json.decode('{}') local i = 0 while true do i = i + 1 d['k' .. i] = {i} end" },
}

describe("a memory bomb ends with the memory budget, file and line:", function()
  for _, case in ipairs(BOMBS) do
    it(case[1], function()
      local run = bundle.run("on(function(kind, ctx)\n" .. case[2] .. "\nend) core.register('resync', 'after', function() local t = {} for i = 1, 1e5 do t[i] = {} end coroutine.yield({{after = 1}}) end)",
        { args = { "--burst", "20000", "--memory", "33554432" }, kinds = { "k", "after" }, timeout = 60 })
      assert.is_false(run.ends[1].ok, run.out)
      assert.is_truthy(run.ends[1].error:find "^%g*:?%d*:? ?memory budget of 32 MiB is spent" or
        run.ends[1].error:find "^main%.lua:2: memory budget of 32 MiB is spent", run.ends[1].error)
      assert.is_true(run.ends[2].ok, run.ends[2].error)
    end)
  end

  it("of batches that wait for room", function()
    local run = bundle.handler([[
      for i = 1, 200 do
        core.spawn(function() coroutine.yield(json.decode('[{"v":"' .. ('x'):rep(1 << 20) .. '"}]')) end)
      end]], { args = { "--park", "--quiet", "--memory", "33554432", "--burst", "20000" } })
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "memory budget of 32 MiB is spent", run.last.error)
  end)

  it("while the bundle loads", function()
    local run = bundle.run("local t = {}\nwhile true do t[#t + 1] = {} end", { args = { "--load", "20000", "--memory", "8388608" } })
    assert.are.equal(1, run.code)
    assert.is_truthy(run.loads[1]:find "main%.lua:2: memory budget of 8 MiB is spent", run.loads[1])
  end)

  it("one that is caught once leaves the handler at work", function()
    local run = bundle.handler([[
      local ok = pcall(string.rep, "x", 1 << 30)
      coroutine.yield({{ok = ok}})]], { args = ARGS })
    assert.is_true(run.last.ok, run.last.error)
    assert.is_false(run.batches[1].items[1].ok)
  end)
end)

describe("deep recursion is an ordinary error with file and line:", function()
  for _, case in ipairs {
    { "of Lua functions", "local function f(n) return 1 + f(n + 1) end f(1)", "stack overflow" },
    { "through pcall", "local function f() local ok, e = pcall(f) error(e, 0) end f()", "C stack overflow" },
    { "through metamethods", "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k] end local x = t.a", "C stack overflow" },
    { "through string.gsub", "local function f() return (('x'):gsub('x', f)) end f()", "C stack overflow" },
    { "through tostring", "local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end tostring(t)", "C stack overflow" },
    { "of coroutines", "local function f() return coroutine.wrap(f)() end f()", "C stack overflow" },
    { "of scopes", "local function f() assert(ctx:scope('s', f)) end f()", "scopes are nested deeper than 64" },
    { "of tasks", "local function f() assert(core.join(core.spawn(f))) end f()", "nested deeper than 200" },
    { "of nested text", "local ok, e = load('return ' .. ('('):rep(10000)) error(e, 0)", "overflow" },
  } do
    it(case[1], function()
      local run = bundle.handler("\n" .. case[2])
      assert.is_false(run.last.ok)
      assert.is_truthy(run.last.error:find(case[3], 1, true), run.last.error)
      assert.is_truthy(run.last.error:find "%d+:" , run.last.error)
    end)
  end
end)

describe("random Lua garbage", function()
  -- A generator of our own, so that a seed gives the same programs on every machine.
  local state
  local function random(n)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (state >> 20) % n + 1
  end
  local TOKENS = { "local", "x", "y", "=", "1", "'s'", "{", "}", "(", ")", "function", "end", "if", "then", "else", "while", "do",
    "for", "in", "pairs", "repeat", "until", "return", "break", "goto", "::a::", "..", "+", "-", "#", "not", "and", "or", "nil",
    "true", ",", ";", "[", "]", ".", ":", "~=", "==", "<", "//", "%", "&", "<close>", "<const>", "string.rep", "coroutine.wrap",
    "coroutine.yield", "pcall", "error", "setmetatable", "table.sort", "load", "core.sleep", "core.spawn", "json.decode",
    "json.encode", "require", "select", "next", "tostring", "math.huge", "0x7fffffff", "1e308", "\n", "--", "[[", "]]", "core.join",
    "coroutine.close", "coroutine.running()", "core.scope", "core.cancel", "core.current()", "table.unpack", "string.format" }
  local function bytes()
    local t = {}
    for i = 1, random(200) do
      t[i] = string.char(random(256) - 1)
    end
    return table.concat(t)
  end
  local function tokens()
    local t = {}
    for i = 1, random(60) do
      t[i] = TOKENS[random(#TOKENS)]
    end
    return table.concat(t, " ")
  end
  -- Pieces that compile, so that there is something to run.
  local function phrases()
    local function value(depth)
      local pick = random(depth > 3 and 6 or 16)
      if pick == 1 then return tostring(random(1000) - 500)
      elseif pick == 2 then return "'" .. ("ab%d"):format(random(9)) .. "'"
      elseif pick == 3 then return ({ "nil", "true", "false", "1/0", "json.null" })[random(5)]
      elseif pick <= 6 then return ({ "x", "y", "f", "kind", "ctx", "string", "_G", "core.current()", "coroutine.running()" })[random(9)]
      elseif pick == 7 then return "{" .. value(depth + 1) .. ", k = " .. value(depth + 1) .. "}"
      elseif pick == 8 then return "(" .. value(depth + 1) .. ({ " + ", " .. ", " == ", " < ", " and ", " // " })[random(6)] .. value(depth + 1) .. ")"
      elseif pick == 9 then return "function(a) return " .. value(depth + 1) .. " end"
      elseif pick == 10 then return "json.decode('{\"a\":[1,{\"b\":null}]}')" .. ({ "", ".a", ".a[2]", ".zz" })[random(4)]
      else
        local fns = { "pcall", "tostring", "type", "coroutine.wrap", "coroutine.create", "coroutine.resume", "coroutine.close", "coroutine.status",
          "core.spawn", "core.join", "core.cancel", "core.wake", "string.rep", "string.format", "table.concat", "table.unpack", "table.sort",
          "setmetatable", "getmetatable", "json.encode", "json.copy", "json.object", "load", "require", "select", "next", "rawset", "error",
          "coroutine.yield", "core.sleep", "core.scope", "ctx.scope", "ipairs", "pairs", "math.random", "utf8.char", "core.on_scope_end", "xpcall",
          "table.insert", "core.fault", "f", "collectgarbage" }
        return fns[random(#fns)] .. "(" .. value(depth + 1) .. ", " .. value(depth + 1) .. ")"
      end
    end
    local t = { "local x, y, f = 1, {}, function(...) return ... end" }
    for _ = 1, random(8) do
      local pick = random(6)
      if pick == 1 then t[#t + 1] = "x = " .. value(0)
      elseif pick == 2 then t[#t + 1] = "pcall(function() y = " .. value(0) .. " end)"
      elseif pick == 3 then t[#t + 1] = "for i = 1, 3 do local _ = pcall(f, " .. value(0) .. ") end"
      elseif pick == 4 then t[#t + 1] = "pcall(function() local c <close> = setmetatable({}, {__close = function() return " .. value(0) .. " end}) x = " .. value(0) .. " end)"
      elseif pick == 5 then t[#t + 1] = "pcall(function() y[" .. value(0) .. "] = " .. value(0) .. " end)"
      else t[#t + 1] = "core.spawn(function() local _ = pcall(function() return " .. value(0) .. " end) end)" end
    end
    return table.concat(t, "\n")
  end
  -- Waits would make the specs slow: sleep is short whatever it is asked for; a task that parks for ever is cancelled.
  local HEAD = 'local core0 = require "moontide.spec" local json = core0.json local core = setmetatable({sleep = function() core0.sleep(0) end}, {__index = core0}) '

  for _, kind in ipairs { { "bytes", bytes, false }, { "tokens", tokens, false }, { "tokens in a handler", tokens, true }, { "phrases in a handler", phrases, true } } do
    it("of " .. kind[1] .. " gives an error with file and line, or ends, within 2 s, and the process goes on", function()
      state = 4242
      local programs, count = {}, 250
      for i = 1, count do
        local text = kind[2]():gsub("%-%-END%-%-", "")
        if kind[3] then
          text = HEAD .. 'core.register("resync", "k", function(kind, ctx)\n' .. text .. "\nend)"
        end
        programs[i] = text .. "\n--END--\n"
      end
      local dir = support.tmpdir()
      support.write(dir .. "/programs", table.concat(programs))
      local result = bundle.read(support.run({ support.driver "host_driver", "--burst", "200", "--load", "200", "--memory", "33554432",
        "--cancel-ms", "300", "--programs", dir .. "/programs" }, { timeout = 300 }))
      assert.are.equal(0, result.code, result.err:sub(-3000))
      assert.are.equal(count, #result.times)
      for i, ms in ipairs(result.times) do
        assert.is_true(ms < LIMIT_MS, "program " .. i .. " took " .. ms .. " ms:\n" .. programs[i])
      end
      for _, text in ipairs(result.loads) do
        assert.is_truthy(text:find ":%d+:" or text:find "not implemented" or text:find "memory budget", text)
      end
      for _, last in ipairs(result.ends) do
        if not last.ok and not last.canceled then
          assert.is_truthy(last.error:find ":%d+:" , last.error)
        end
      end
    end)
  end
end)
