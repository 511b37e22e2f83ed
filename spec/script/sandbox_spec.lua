-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"

-- Architecture 3.4.4: text chunks only, an allow-listed environment; no file system, no process, no environment.
bundle.describe("the environment of a bundle", {
  { "has no io, package, dofile, loadfile", "local t = {} for _, n in ipairs({'io', 'package', 'dofile', 'loadfile'}) do t[#t + 1] = pcall(function() return _G[n] end) end return t", "[false,false,false,false]" },
  { "has of os only time, date, clock, difftime", "local t = {} for k in pairs(os) do t[#t + 1] = k end table.sort(t) return t", '["clock","date","difftime","time"]' },
  { "has of debug only traceback", "local t = {} for k in pairs(debug) do t[#t + 1] = k end return t", '["traceback"]' },
  { "has no string.dump", "return string.dump == nil, ('').dump == nil, pcall(string.dump, print)", 'true true false "attempt to call a nil value"' },
  { "os.execute is nil", "return os.execute == nil, os.getenv == nil, os.exit == nil, os.remove == nil, os.rename == nil, os.tmpname == nil, os.setlocale == nil", "true true true true true true true" },
  { "collectgarbage only counts", "return collectgarbage('count') > 0", "true" },
  { "collectgarbage('stop')", "collectgarbage('stop')", error = 'collectgarbage%("stop"%) is not available' },
  { "collectgarbage()", "collectgarbage()", error = 'only "count" is' },
  { "_G lists its names", "local n = 0 for k, v in pairs(_G) do n = n + 1 end return n > 25, _G._G == _G", "true true" },
})

bundle.describe("the string metatable", {
  { "is protected", "return getmetatable('')", '"string"' },
  { "cannot be set", "setmetatable('', {})", error = "table expected" },
  { "methods work", "return ('x'):upper(), ('a,b'):find(',')", '"X" 2 2' },
})

bundle.describe("libraries are read-only:", {
  { "string", "string.format = nil", error = "string is read%-only" },
  { "table", "table.x = 1", error = "table is read%-only" },
  { "coroutine", "coroutine.yield = print", error = "coroutine is read%-only" },
  { "through rawset", "rawset(string, 'x', 1)", error = "rawset: this table is read%-only" },
  { "through _G and rawset", "rawset(_G, 'x', 1)", error = "rawset: this table is read%-only" },
  { "through setmetatable", "setmetatable(string, {})", error = "cannot change a protected metatable" },
  { "through setmetatable of _G", "setmetatable(_G, nil)", error = "cannot change a protected metatable" },
  { "through what pairs gives", "local f, t = pairs(string) t.format = nil return ('%d'):format(5)", '"5"' },
  { "through the metatable", "return getmetatable(_G), getmetatable(string), getmetatable(coroutine)", '"globals" "string" "coroutine"' },
})

bundle.describe("globals are strict:", {
  { "an undefined one", "return undefined_thing", error = "undefined global 'undefined_thing'" },
  { "a misspelled function", "prinnt('x')", error = "undefined global 'prinnt'" },
  { "assigning one", "counter = 1", error = "global 'counter' cannot be set: use local" },
  { "replacing one", "print = nil", error = "global 'print' cannot be set: use local" },
  { "through _G", "_G.x = 1", error = "global 'x' cannot be set: use local" },
  { "rawget tells whether there is one", "return rawget(_G, 'nothing') == nil", "true" },
})

bundle.describe("load takes text only:", {
  { "text", "return load('return 1 + 1')()", "2" },
  { "in the bundle's environment", "return load('return math.max(1, 2)')(), pcall(load('zz = 1'))", '2 false "[string \\"zz = 1\\"]:1: global \'zz\' cannot be set: use local"' },
  { "with an environment", "local e = {} load('x = 5', 'n', 't', e)() return e.x", "5" },
  { "with a nil environment", "local f = load('return x', 'n', 't', nil) return (pcall(f))", "false" },
  { "pieces", "local n = 0 local f = load(function() n = n + 1 return ({'return ', '4', '2'})[n] end) return f()", "42" },
  { "a syntax error is nil and a message", "local f, e = load('x =', '=chunk') return f == nil, e", 'true "chunk:1: unexpected symbol near <eof>"' },
  { "a binary chunk", [[local f, e = load("\27Lua\x54\0\x19\x93\r\n\x1a\n") return f == nil, (e:match("binary chunk"))]], 'true "binary chunk"' },
  { "a binary chunk in pieces", [[local done local f, e = load(function() if not done then done = true return "\27Lua" end end) return f == nil, (e:match("binary chunk"))]], 'true "binary chunk"' },
  { "mode b", "local f, e = load('return 1', 'x', 'b') return f == nil, (e:match('binary chunks are not available'))", 'true "binary chunks are not available"' },
  { "a reader that gives no strings", "load(function() return {} end)", error = "reader function must return a string" },
  { "a number", "load(nil)", error = "bad argument #1 to 'load'" },
})

bundle.describe("metatables of scripts", {
  { "may not have __gc", "setmetatable({}, {__gc = function() end})", error = "__gc cannot be set: use a <close> variable" },
  { "a __gc that comes later is no finalizer", "local n = 0 local mt = {} for i = 1, 10 do setmetatable({}, mt) end mt.__gc = function() n = n + 1 end for i = 1, 1e5 do local _ = {} end return n", "0" },
  { "work else", "return setmetatable({}, {__index = {a = 1}}).a, getmetatable(setmetatable({}, {x = 2})).x", "1 2" },
  { "are protected by __metatable", "setmetatable(setmetatable({}, {__metatable = 1}), {})", error = "cannot change a protected metatable" },
})

bundle.describe("secrets", {
  { "print as ***", "return tostring(core.secret('hunter22')), ('%s'):format(core.secret('hunter22'))", '"***" "***"' },
  { "join to secrets", "local s = 'Bearer ' .. core.secret('hunter22') .. '!' return tostring(s), core.is_secret(s), core.is_secret('x')", '"***" true false' },
  { "are equal by text", "return core.secret('a') == core.secret('a'), core.secret('a') == core.secret('b'), core.secret('a') == 'a'", "true false false" },
  { "cannot be read", "return core.secret('hunter22'):sub(1, 2)", error = "a secret cannot be read" },
  { "cannot be measured", "return #core.secret('hunter22')", error = "attempt to get length" },
  { "are protected", "return getmetatable(core.secret('a'))", '"moontide.secret"' },
  { "join with numbers", "return core.is_secret(core.secret('a') .. 5)", "true" },
  { "do not join with tables", "return core.secret('a') .. {}", error = "bad argument" },
})

describe("a global", function()
  it("cannot be set while main.lua loads either", function()
    local run = bundle.run "\nhelper = 1"
    assert.are.equal(1, run.code)
    assert.is_truthy(run.loads[1]:find "main%.lua:2: global 'helper' cannot be set: use local", run.loads[1])
  end)
end)

describe("print", function()
  it("goes to the log, not to stdout, which is data", function()
    local run = bundle.handler "print('hello', 1, nil) warn('careful') coroutine.yield({{a = 1}})"
    assert.are.equal(2, select(2, run.out:gsub("\n", "")))
    assert.is_truthy(run.err:find "INFO +hello\t1\tnil")
    assert.is_truthy(run.err:find "WARN +careful")
  end)
end)

describe("the configuration", function()
  it("is a table; sensitive values are secrets and print as *** everywhere (architecture 3.4.7)", function()
    local run = bundle.handler([[
      local c = core.config
      print(c.token, c.host, c.limits.n)
      coroutine.yield({{host = c.host, limits = c.limits, secret = core.is_secret(c.token), token = tostring(c.token)}})
      error("with hunter2222 in the text")]],
      { args = { "--config", '{"token":"hunter2222","host":"h","limits":{"n":5}}', "--sensitive", "token" } })
    assert.are.same({ host = "h", limits = { n = 5 }, secret = true, token = "***" }, run.batches[1].items[1])
    assert.is_truthy(run.last.error:find "with %[REDACTED%] in the text", run.last.error)
    assert.is_nil((run.out .. run.err):find "hunter2222")
  end)

  it("a secret in a batch is an error that names its path and withholds (architecture 3.4.1)", function()
    local run = bundle.handler([[coroutine.yield({{a = {core.config.token}}})]],
      { args = { "--config", '{"token":"hunter2222"}', "--sensitive", "token" } })
    assert.is_truthy(run.last.error:find "%[1%]%.a%[1%]: a secret cannot become data", run.last.error)
    assert.are.equal(1, #run.last.faults)
  end)
end)
