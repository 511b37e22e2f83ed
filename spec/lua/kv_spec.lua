-- luacheck: no max line length (a case a line)
-- tide.kv as scripts use it (architecture 3.3); the store behind it is spec/state/kv_spec.lua's.
local bundle = require "spec.script.bundle"
local support = require "spec.support"

local PRELUDE = 'local tide = require "moontide" local json, kv = tide.json, tide.kv local function say(v) coroutine.yield { { says = v } } end '

-- Runs body as the handler of kind "k" with tide.kv in file.
local function run(body, file, options)
  options = options or {}
  local args = options.args or {}
  if file then
    table.move({ "--kv", file }, 1, 2, #args + 1, args)
  end
  local result = bundle.run(PRELUDE .. (options.top or "") .. " tide.on_resync('k', function(kind, ctx) " .. body .. "\nend)",
    { raw = true, args = args, timeout = options.timeout, kinds = options.kinds })
  assert(not result.err:find "Sanitizer" and not result.err:find "runtime error: ", result.err)
  return result
end

local function says(body, file, options)
  local result = run(body, file, options)
  assert.is_truthy(result.last, result.out .. result.err)
  assert.is_true(result.last.ok, tostring(result.last.error))
  local list = {}
  for i, batch in ipairs(result.batches) do
    list[i] = batch.items[1].says
  end
  return #list == 1 and list[1] or list
end

local function fresh()
  return support.tmpdir() .. "/state.db"
end

describe("tide.kv", function()
  it("gives what was set, in this run, the next one and the next process", function()
    local file = fresh()
    assert.are.same({ "nil", "1" }, says([[local before = kv.get "a" kv.set("a", 1) say { tostring(before), tostring(kv.get "a") }]], file))
    assert.are.same({ "1", "nil", "nil" },
      says([[local before = kv.get "a" kv.delete "a" local after = kv.get "a" kv.set("b", 1) kv.set("b", nil)
        say { tostring(before), tostring(after), tostring(kv.get "b") }]], file))
  end)

  it("keeps whatever JSON can hold, and tells {} from [], null from nothing", function()
    local function back(value)
      return says("kv.set('v', " .. value .. ") say(json.encode(kv.get 'v'))", "memory")
    end
    for _, row in ipairs {
      { "true", "true" }, { "false", "false" }, { "'a\\0\"ü'", [["a\u0000\"ü"]] }, { "9007199254740993", "9007199254740993" }, { "2.5", "2.5" },
      { "{}", "[]" }, { "json.object()", "{}" }, { "{1, {a = {2}}, json.null}", '[1,{"a":[2]},null]' }, { "json.null", "null" },
      { "json.decode '{\"a\":[1,null]}'", '{"a":[1,null]}' }, { "json.decode '[1,2]'[2]", "2" },
    } do
      assert.are.equal(row[2], back(row[1]), row[1])
    end
  end)

  it("gives plain tables, which are the script's own", function()
    assert.are.same({ "table", 3, 2 }, says([[
      kv.set("seen", { "a", "b" })
      local seen = kv.get "seen" table.insert(seen, "c")
      say { type(seen), #seen, #kv.get "seen" }]], "memory"))
  end)

  it("lets other tasks go on while it waits, in the order of its calls", function()
    assert.are.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, says([[
      local list = tide.async.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, 8, function(i) kv.set("k" .. i, i) return kv.get("k" .. i) end)
      say(table.move(list, 1, 8, 1, {}))]], "memory"))
  end)

  it("works in hooks, generators, pcall and memoized functions", function()
    local file = fresh()
    local result = run([[
      local make = coroutine.wrap(function() kv.set("g", 2) coroutine.yield(kv.get "g") end)
      local f = tide.cache.memoize(function() return kv.get "h" end)
      say { make(), f(), select(2, pcall(kv.get, "h")) }]], file,
      { top = "tide.on_resync_start(function() kv.set('h', 1) end)", kinds = { "@resync_start", "k" } })
    assert.are.same({ 2, 1, 1 }, result.batches[1].items[1].says)
  end)

  it("keeps a value that was set when the process is killed right after", function()
    local file = fresh()
    local result = run([[kv.set("a", { at = 5 }) say "set" while true do end]], file, { args = { "--burst", "60000" }, timeout = 2 })
    assert.are_not.equal(0, result.code)
    assert.are.equal("set", result.batches[1].items[1].says)
    assert.are.equal(5, says([[say(kv.get("a").at)]], file))
  end)

  it("keeps what a cancelled run had asked for, and goes on", function()
    local file = fresh()
    local result = run([[local i = 0 while true do i = i + 1 kv.set("n", i) end]], file, { args = { "--cancel-ms", "50" } })
    assert.is_true(result.last.canceled)
    assert.is_true(says([[say(kv.get "n")]], file) > 0)
    -- The host is freed while calls are on their way.
    local freed = run([[tide.async.spawn(function() while true do kv.set("n", 1) end end) while true do coroutine.yield { { says = 1 } } end]],
      file, { args = { "--free-after", "3" } })
    assert.are.equal(0, freed.code, freed.err)
  end)

  it("changes nothing in a plan, which sees what it set", function()
    local file = fresh()
    says("kv.set('a', 1) say(1)", file)
    assert.are.same(2, says("kv.set('a', 2) say(kv.get 'a')", file, { args = { "--draft" } }))
    assert.are.same(1, says("say(kv.get 'a')", file))
  end)

  describe("refuses", function()
    for _, row in ipairs {
      { "a key that is no string", "kv.get(5)", "main.lua:1: kv.get: a key is a string, got a number" },
      { "a secret as a key", "kv.set(tide.secret 'abcd', 1)", "main.lua:1: kv.set: a key is a string, got a secret" },
      { "an empty key", "kv.delete ''", "main.lua:1: kv.delete: a key has 1 to 256 bytes, this one has 0" },
      { "a key of 257 bytes", "kv.set(('k'):rep(257), 1)", "main.lua:1: kv.set: a key has 1 to 256 bytes, this one has 257" },
      { "a function", "kv.set('a', { b = { print } })", "main.lua:1: kv.set: the value of \"a\" cannot be kept: .*b%[1%].*function" },
      { "a secret as a value", "kv.set('a', { token = tide.secret 'abcd' })", "main.lua:1: kv.set: the value of \"a\" cannot be kept: .*secret cannot become data" },
      { "more than 64 KB", "kv.set('a', ('x'):rep(65535))", "main.lua:1: kv.set: the value of \"a\" has 65537 bytes as JSON, the most is 65536" },
      { "to be used as a table", "kv.a = 1", "main.lua:1: tide.kv is no table: use kv.set" },
      { "a function that it does not have", "kv.put('a', 1)", "main.lua:1: tide.kv has no \"put\": use kv.get" },
      { "to be listed", "for _ in pairs(kv) do end", "main.lua:1: tide.kv is no table" },
      { "to wait where Lua cannot", "table.sort({ 3, 2, 1 }, function(a, b) local v = kv.get 'a' return v end)", "main.lua:1: I/O is not possible here: Lua cannot yield inside table.sort" },
    } do
      it(row[1], function()
        local result = run(row[2], "memory")
        assert.is_false(result.last.ok)
        assert.is_truthy(result.last.error:find("^" .. row[3]), result.last.error)
      end)
    end

    it("to be asked while main.lua loads", function()
      local result = run("", "memory", { top = "kv.get 'a'" })
      assert.is_truthy(result.loads[1]:find "main.lua:1: I/O is not possible while a module loads", result.loads[1])
    end)

    it("where nothing is kept, and says so", function()
      local result = run("kv.set('a', 1)")
      assert.is_truthy(result.last.error:find "^kv.set: tide.kv keeps nothing here: there is no state file", result.last.error)
    end)
  end)

  it("raises what happened to the state file, with a code that scripts can read", function()
    local result = run([[
      local ok, err = pcall(kv.set, "a", 1)
      say { ok, err.code, tostring(err) }
      kv.get "a"]], (support.tmpdir() .. "/no/such/state.db"))
    local said = result.batches[1].items[1].says
    assert.are.same({ false, "io" }, { said[1], said[2] })
    assert.is_truthy(said[3]:find "^kv.set: state file /.*/no/such/state.db: cannot be opened")
    assert.is_true(result.last.ok, result.last.error) -- an absent file holds nothing
    result = run("kv.set('a', 1)", support.tmpdir())
    assert.is_truthy(result.last.error:find "^kv.set: state file .*: cannot be opened", result.last.error)
    assert.is_truthy(result.last.error:find "main.lua:1: in function", result.last.error)
  end)

  it("says which limit was hit", function()
    local result = run("for i = 1, 10001 do kv.set('k' .. i, i) end", "memory", { timeout = 60 })
    assert.is_truthy(result.last.error:find "^kv.set: tide.kv holds 10000 values already", result.last.error)
  end)
end)
