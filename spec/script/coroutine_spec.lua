-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"
local support = require "spec.support"

-- What waits: a timer. Everything that waits goes the same way.
local WAIT = "core.sleep(0.001) "

bundle.describe("I/O works", {
  { "in the handler", WAIT .. "return 1", "1" },
  { "in a coroutine of the script", "local co = coroutine.create(function(a) " .. WAIT .. "return a + 1 end) return coroutine.resume(co, 1)", "true 2" },
  { "in a generator", "local s = 0 for i in coroutine.wrap(function() for i = 1, 3 do " .. WAIT .. "coroutine.yield(i) end end) do s = s + i end return s", "6" },
  { "in a generator of a generator of a generator", [[
    local function numbers() return coroutine.wrap(function() for i = 1, 4 do core.sleep(0.001) coroutine.yield(i) end end) end
    local function double(gen) return coroutine.wrap(function() for i in gen do core.sleep(0.001) coroutine.yield(i * 2) end end) end
    local s = {} for i in double(double(numbers())) do s[#s + 1] = i end return s]], "[4,8,12,16]" },
  { "in two generators by turns", [[
    local function gen(n) return coroutine.wrap(function() for i = 1, n do core.sleep(0.001) coroutine.yield(i) end end) end
    local a, b, s = gen(3), gen(3), {}
    for i = 1, 3 do s[#s + 1] = a() * 10 + b() end return s]], "[11,22,33]" },
  { "with values that go in and out", "local co = coroutine.wrap(function(a) while true do " .. WAIT .. "a = coroutine.yield(a * 2) end end) return co(1), co(5), co(7)", "2 10 14" },
  { "inside pcall", "return pcall(function() " .. WAIT .. "return 5 end)", "true 5" },
  { "inside pcall, then an error", "local ok, e = pcall(function() " .. WAIT .. "error({code = 3}) end) return ok, e.code", "false 3" },
  { "inside xpcall", "local ok, e = xpcall(function() " .. WAIT .. "error('x', 0) end, function(m) return m .. '!' end) return ok, e", 'false "x!"' },
  { "inside pcall inside a generator", "local g = coroutine.wrap(function() coroutine.yield(pcall(function() " .. WAIT .. "error('x', 0) end)) end) return g()", 'false "x"' },
  { "in an iterator of a for loop", "local n = 0 for i in function(_, i) " .. WAIT .. "n = n + 1 if n < 3 then return n end end do end return n", "3" },
  { "in __index", "local t = setmetatable({}, {__index = function(_, k) " .. WAIT .. "return k .. '!' end}) return t.x", '"x!"' },
  { "in __newindex", "local s local t = setmetatable({}, {__newindex = function(_, k, v) " .. WAIT .. "s = v end}) t.x = 4 return s", "4" },
  { "in __call, __add, __eq, __lt, __concat, __len", [[
    local mt = {} local function f(v) return function() core.sleep(0.001) return v end end
    mt.__call, mt.__add, mt.__eq, mt.__lt, mt.__concat, mt.__len = f(1), f(2), f(true), f(true), f("c"), f(6)
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    return a(), a + b, a == b, a < b, a .. b, #a]], '1 2 true true "c" 6' },
  { "in __close at the end of a block", "local n = 0 do local x <close> = setmetatable({}, {__close = function() " .. WAIT .. "n = 1 end}) end return n", "1" },
  { "in __pairs and the walk", "local n = 0 local t = setmetatable({}, {__pairs = function() " .. WAIT .. "return function(_, i) core.sleep(0.001) i = (i or 0) + 1 if i < 4 then return i end end end}) for i in pairs(t) do n = n + i end return n", "6" },
  { "in a closing value of a for loop", "local n = 0 for i in function(_, i) return i < 3 and i + 1 or nil end, nil, 0, setmetatable({}, {__close = function() " .. WAIT .. "n = 1 end}) do if i == 2 then break end end return n", "1" },
  { "in a tail call and in recursion", "local function f(n) " .. WAIT .. "if n == 0 then return 'done' end return f(n - 1) end return f(20)", '"done"' },
  { "100 coroutines deep", "local function nest(n) if n == 0 then " .. WAIT .. "return 1 end return coroutine.wrap(nest)(n - 1) + 1 end return nest(100)", "101" },
  { "deeper than C's stack is an ordinary error", "local function nest(n) return coroutine.wrap(nest)(n + 1) end return (select(2, pcall(nest, 1)):match('C stack overflow'))", '"C stack overflow"' },
})

bundle.describe("where Lua cannot yield, the error says what is in the way:", {
  { "a table.sort comparator", "local t = {3, 1, 2} table.sort(t, function(a, b) " .. WAIT .. "return a < b end)", error = "I/O is not possible here: Lua cannot yield inside table%.sort %(its comparator%)" },
  { "a string.gsub callback", "('x'):gsub('x', function() " .. WAIT .. "end)", error = "Lua cannot yield inside string%.gsub %(its callback%)" },
  { "a generator inside a comparator", "local t = {3, 1, 2} table.sort(t, function(a, b) return coroutine.wrap(function() " .. WAIT .. "return a < b end)() end)", error = "Lua cannot yield inside table%.sort" },
  { "a pcall inside a gsub callback", "('x'):gsub('x', function() assert(pcall(function() " .. WAIT .. "end)) end)", error = "Lua cannot yield inside string%.gsub" },
  { "__tostring of tostring", "tostring(setmetatable({}, {__tostring = function() " .. WAIT .. "return '' end}))", error = "Lua cannot yield inside tostring" },
  { "load's reader", "load(function() " .. WAIT .. "end)", error = "Lua cannot yield inside load" },
  { "a batch in a comparator", "local t = {3, 1, 2} table.sort(t, function(a, b) coroutine.yield({}) return a < b end)", error = "coroutine%.yield is not possible here: Lua cannot yield inside table%.sort" },
  { "a scope in a comparator", "local t = {3, 1, 2} table.sort(t, function(a, b) ctx:scope('s', print) return a < b end)", error = "ctx:scope is not possible here.*table%.sort" },
  { "a join in a comparator", "local h = core.spawn(function() end) local t = {3, 1, 2} table.sort(t, function(a, b) core.join(h) return a < b end)", error = "I/O is not possible here.*table%.sort" },
  { "and the handler goes on after it", "pcall(table.sort, {3, 1, 2}, function(a, b) " .. WAIT .. "end) " .. WAIT .. "return 1", "1" },
  { "close handlers of a closed coroutine", "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() " .. WAIT .. "end}) coroutine.yield() end) coroutine.resume(co) local ok, e = coroutine.close(co) assert(not ok) error(e, 0)", error = "I/O is not possible here: Lua cannot yield inside a close handler" },
  { "a yield in a close handler of a closed coroutine", "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() coroutine.yield() end}) coroutine.yield() end) coroutine.resume(co) local ok, e = coroutine.close(co) assert(not ok) error(e, 0)", error = "a close handler cannot yield" },
})

bundle.describe("a coroutine that waits for one task", {
  { "is busy for another: resume", [[
    local co = coroutine.create(function() core.sleep(0.02) return 1 end)
    local h = core.spawn(function() return coroutine.resume(co) end)
    core.sleep(0.005)
    local ok, e = coroutine.resume(co)
    local st = coroutine.status(co)
    return ok, e, st, select(2, core.join(h))]], 'false "busy: the coroutine waits for I/O on behalf of another task" "normal" true 1' },
  { "is busy for another: wrap", [[
    local f = coroutine.wrap(function() core.sleep(0.02) return 1 end)
    local h = core.spawn(function() return f() end)
    core.sleep(0.005)
    local ok, e = pcall(f)
    return ok, e:match("busy"), select(2, core.join(h))]], 'false "busy" 1' },
  { "cannot be closed by another", [[
    local co = coroutine.create(function() core.sleep(0.02) return 1 end)
    local h = core.spawn(function() return coroutine.resume(co) end)
    core.sleep(0.005)
    local ok, e = pcall(coroutine.close, co)
    return ok, e:match("busy"), (core.join(h))]], 'false "busy" true' },
  { "a task's own coroutine is nobody else's", [[
    local co
    local h = core.spawn(function() co = coroutine.running() core.sleep(0.02) return 1 end)
    core.sleep(0.005)
    return coroutine.resume(co)]], 'false "busy: the coroutine waits for I/O on behalf of another task"' },
  { "a shared generator serves tasks by turns", [[
    local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
    local s = 0
    for _ = 1, 3 do local h = core.spawn(function() core.sleep(0.001) return gen() end) s = s + select(2, core.join(h)) end
    return s]], "6" },
})

-- The same text runs here, under the Lua that runs the specs, and in the program: the results must be the same.
local SAME = {
  "local co = coroutine.create(function(...) return select('#', ...), ... end) return coroutine.resume(co, 1, nil, 3)",
  "local co = coroutine.create(function() end) return coroutine.resume(co), coroutine.status(co), coroutine.resume(co)",
  "local co = coroutine.create(function() error('x', 0) end) return coroutine.resume(co), coroutine.status(co), coroutine.resume(co)",
  "local co = coroutine.wrap(function() coroutine.yield(1, 2) return 3 end) return co(), co(), (pcall(co))",
  "return coroutine.isyieldable(), select(2, coroutine.running())",
  "local co co = coroutine.create(function() return coroutine.status(co), coroutine.resume(co) end) return coroutine.resume(co)",
  "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return coroutine.close(co), coroutine.status(co), coroutine.close(co)",
  "local co = coroutine.create(function() error({}) end) coroutine.resume(co) return (coroutine.close(co))",
  "local n = 0 local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() n = n + 1 end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co) return n",
  "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() error('c', 0) end}) coroutine.yield() end) coroutine.resume(co) return coroutine.close(co)",
  "local n = 0 local ok = pcall(coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() n = n + 1 end}) error('x') end)) return ok, n",
  "local outer local co = coroutine.create(function() return coroutine.status(outer) end) outer = coroutine.create(function() return coroutine.resume(co) end) return coroutine.resume(outer)",
  "return (pcall(coroutine.resume, 5)), (pcall(coroutine.create, 5)), (pcall(coroutine.status))",
  "return pcall(coroutine.close, coroutine.running())",
  "local co = coroutine.wrap(function() return pcall(function() coroutine.yield(1) error('x', 0) end) end) return co(), co()",
  "local t = {} for i = 1, 5 do t[i] = coroutine.wrap(function() for j = 1, i do coroutine.yield(j) end end) end local s = 0 for i = 1, 5 do for v in t[i] do s = s + v end end return s",
  "local co = coroutine.create(print) return coroutine.status(co), coroutine.isyieldable(co)",
  "local function f(...) return select('#', ...) end local co = coroutine.wrap(function() return f(coroutine.yield()) end) co() return co(nil, nil)",
  "return select('#', coroutine.wrap(function() return table.unpack({}, 1, 200) end)())",
}

local function show(...)
  local texts = {}
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    texts[i] = type(value) == "string" and value:gsub("^[%w.@/_-]+:%d+: ", "") or type(value) == "table" and "table"
      or tostring(value)
  end
  return table.concat(texts, " | ")
end

describe("coroutines do what Lua's do:", function()
  local run
  setup(function()
    local parts = { [[
on(function()
local function show(...)
  local texts = {}
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    texts[i] = type(value) == "string" and value:gsub("^[%w.@/_-]+:%d+: ", "") or type(value) == "table" and "table"
      or tostring(value)
  end
  return table.concat(texts, " | ")
end
]] }
    for _, text in ipairs(SAME) do
      parts[#parts + 1] = ("coroutine.yield({{text = coroutine.wrap(function() return show(pcall(load(%q))) end)()}})\n"):format(text)
    end
    parts[#parts + 1] = "end)"
    run = bundle.run(table.concat(parts))
  end)
  for i, text in ipairs(SAME) do
    it(text, function()
      local expected = coroutine.wrap(function() return show(pcall(load(text))) end)()
      assert.is_true(run.last.ok, run.last.error)
      assert.are.equal(expected, run.batches[i].items[1].text)
    end)
  end
end)

describe("a script's coroutine", function()
  it("that fails shows its own stack in the error of the handler (models 2.6)", function()
    local run = bundle.handler [[

      local function inner() core.sleep(0.001) error("deep down") end
      local gen = coroutine.wrap(function()
        coroutine.wrap(inner)()
      end)
      gen()]]
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "^main%.lua:2: deep down\nstack traceback:\n")
    assert.is_truthy(run.last.error:find "main%.lua:4: in function <main%.lua:3>")
    assert.is_truthy(run.last.error:find "main%.lua:6: in function <main%.lua:1>")
  end)

  it("that waits is closed when the run is cancelled, the innermost first", function()
    local run = bundle.handler([[
      local function closing(name) return setmetatable({}, {__close = function() core.log("info", "closed " .. name) end}) end
      local a <close> = closing "handler"
      local gen = coroutine.wrap(function()
        local b <close> = closing "outer"
        local inner = coroutine.wrap(function() local c <close> = closing "inner" core.sleep(100) end)
        inner()
      end)
      coroutine.yield({{a = 1}})
      gen()]], { args = { "--cancel-ms", "50" } })
    assert.is_true(run.last.canceled)
    assert.is_false(run.last.ok)
    assert.are.equal(support.json.null, run.last.error)
    local order = {}
    for name in run.err:gmatch "closed (%w+)" do
      order[#order + 1] = name
    end
    assert.are.same({ "inner", "outer", "handler" }, order)
  end)

  it("whose close handler fails while it is cancelled is logged, and the others run", function()
    local run = bundle.handler([[
      local a <close> = setmetatable({}, {__close = function() core.log("info", "closed a") end})
      local b <close> = setmetatable({}, {__close = function() error("b does not close") end})
      core.sleep(100)]], { args = { "--cancel-ms", "30" } })
    assert.is_true(run.last.canceled)
    assert.is_truthy(run.err:find "closed a")
    assert.is_truthy(run.err:find "b does not close")
  end)

  it("outlives its run and works in the next one", function()
    local run = bundle.run([[
      local gen
      on(function()
        gen = gen or coroutine.wrap(function() for i = 1, 10 do core.sleep(0.001) coroutine.yield(i) end end)
        coroutine.yield({{i = gen()}})
      end)]], { kinds = { "k", "k", "k" } })
    assert.are.equal(3, #run.batches)
    assert.are.equal(3, run.batches[3].items[1].i)
  end)
end)
