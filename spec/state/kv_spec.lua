-- The store of tide.kv (architecture 3.3): small values in the state file that outlive a generation and a process.
local support = require "spec.support"
local driver = support.driver "kv_driver"
local state_driver = support.driver "state_driver"

local function fresh()
  return support.tmpdir() .. "/state.db"
end

local function run(path, ...)
  return support.run({ driver, path, ... }, { timeout = 60 })
end

-- The lines of commands that all went well.
local function ok(path, ...)
  local result = run(path, ...)
  assert.are.equal("", result.err)
  assert.are.equal(0, result.code)
  return result.out
end

local function files(path)
  local pipe = assert(io.popen("cd " .. path:gsub("[^/]*$", "") .. " && ls -A"))
  local list = pipe:read "a"
  pipe:close()
  return list
end

local function sqlite(path, sql)
  local pipe = assert(io.popen(("sqlite3 %s %s"):format(path, support.quote(sql))))
  local out = pipe:read "a"
  assert(pipe:close())
  return out
end

local function plain(text)
  return (text:gsub("%p", "%%%0"))
end

describe("a value of tide.kv", function()
  it("is there until it is removed, in this process and in the next", function()
    local path = fresh()
    assert.are.equal("-\n-\n1\n-\n2\n", ok(path, "get s a", "set s a 1", "get s a", "set s a 2", "get s a"))
    assert.are.equal("2\n-\n-\n", ok(path, "get s a", "remove s a", "get s a"))
    assert.are.equal("-\n", ok(path, "get s a"))
    assert.are.equal("-\n", ok(path, "remove s a"))
  end)

  it("belongs to its integration only", function()
    local path = fresh()
    ok(path, "set one a 1", "set two a 2")
    assert.are.equal("1\n2\n-\n", ok(path, "get one a", "get two a", "get three a"))
  end)

  it("is read in the order of the calls, however many wait", function()
    assert.are.equal("ordered\n", ok(fresh(), "mixed s 2000"))
  end)

  it("stays in memory where there is no state file", function()
    assert.are.equal("-\n1\n", ok("memory", "set s a 1", "get s a"))
    assert.are.equal("-\n", ok("memory", "get s a"))
  end)

  it("is not written by a plan, which sees what it set itself", function()
    local path = fresh()
    assert.are.equal("-\n-\n-\n1\n-\n-\n", ok(path, "draft", "get s a", "remove s b", "set s a 1", "get s a", "remove s a",
      "get s a"))
    assert.are.equal("", files(path))
    ok(path, "set s a 1", "set s b 1")
    local before = support.read(path)
    assert.are.equal("-\n-\n2\n-\n1\n", ok(path, "draft", "set s a 2", "remove s b", "get s a", "get s b"):gsub("%-\n$", "-\n")
      .. ok(path, "get s a"))
    assert.are.equal("1\n", ok(path, "get s b"))
    assert.are.equal(before, support.read(path))
  end)

  it("makes no file by being asked for", function()
    local path = fresh()
    ok(path, "get s a", "get s b")
    assert.are.equal("", files(path))
  end)
end)

describe("a set that returned", function()
  it("survives kill -9 (architecture 3.4.2)", function()
    local path = fresh()
    assert.are.equal(137, run(path, "set s a 1", "many s 0 500", "kill").code)
    assert.are.equal("1\n499\n", ok(path, "get s a", "get s key-499"))
  end)

  it("and one that is on its way when the program ends is kept, and answered", function()
    local path = fresh()
    assert.are.equal("a: kept\nb: kept\n", ok(path, "owe s a 1", "owe s b 2"))
    assert.are.equal("1\n2\n", ok(path, "get s a", "get s b"))
  end)

  it("takes less than a millisecond among many (group commit)", function()
    local ms = tonumber(ok(fresh(), "time s 5000"):match "^0 failed\n(%d+) ms")
    assert.is_true(ms < 5000, ms .. " ms")
  end)
end)

describe("too much for tide.kv", function()
  it("is a value of more than 64 KB", function()
    local path = fresh()
    assert.are.equal("-\n", ok(path, "fill s a 65536"))
    local result = run(path, "fill s b 65537", "get s b", "get s a")
    assert.are.equal(1, result.code)
    assert.matches('^limit: a value of tide.kv has up to 65536 bytes as JSON, this one of key "b" has 65537\n', result.err)
    assert.are.equal("-\n" .. ("x"):rep(65536) .. "\n", result.out)
  end)

  it("is a key of more than 256 bytes", function()
    assert.matches("^%-\n$", ok(fresh(), "long s 256"))
    assert.matches("^limit: a key of tide.kv has 1 to 256 bytes, this one has 257\n", run(fresh(), "long s 257").err)
    assert.matches("^limit: a key of tide.kv has 1 to 256 bytes, this one has 257\n",
      run(fresh(), "set s a 1", "long s 257").err)
  end)

  it("is a value beyond the 10,000th of an integration; those that are there can change", function()
    local path = fresh()
    local result = run(path, "many s 0 10003", "set s key-7 changed", "set other a 1", "remove s key-8", "set s new 1",
      "get s key-7", "get s key-10001")
    assert.matches("^limit: tide.kv holds 10000 values already", result.err)
    assert.are.equal("3 failed\n-\n-\n-\n-\nchanged\n-\n", result.out)
  end)
end)

describe("a state file that resyncs use at the same time", function()
  it("serves both, from the first call on", function()
    for _ = 1, 5 do
      local path = fresh()
      local state = support.spawn { state_driver, path, "one", "rw", "say started", "many 0 30000 r", "flush" }
      assert.are.equal("0 failed\n299\n", ok(path, "many s 0 300", "get s key-299"))
      assert.are.equal(0, state:wait(60))
      assert.are.equal("r/\n", support.run({ state_driver, path, "one", "rw", "pairs 29999" }).out)
    end
  end)

  it("serves several processes", function()
    local path = fresh()
    local others = {}
    for i = 1, 3 do
      others[i] = support.spawn { driver, path, ("many s%d 0 3000"):format(i) }
    end
    assert.are.equal("0 failed\n", ok(path, "many s0 0 3000"))
    for i, other in ipairs(others) do
      assert.are.equal(0, other:wait(60))
      assert.are.equal("2999\n", ok(path, ("get s%d key-2999"):format(i)))
    end
  end)

  it("of an older format is brought up to date, and keeps its records", function()
    local path = fresh()
    assert.are.equal("r/\n", support.run({ state_driver, path, "one", "rw", "produced e r", "pairs e" }).out)
    sqlite(path, "DROP TABLE kv; PRAGMA user_version = 1")
    assert.are.equal("-\n", ok(path, "draft", "get s a"))
    assert.are.equal("1\n", sqlite(path, "PRAGMA user_version"))
    assert.are.equal("-\n1\n", ok(path, "set s a 1", "get s a"))
    assert.are.equal("2\n", sqlite(path, "PRAGMA user_version"))
    assert.are.equal("r/\n", support.run({ state_driver, path, "one", "rw", "pairs e" }).out)
    sqlite(path, "DROP TABLE kv; PRAGMA user_version = 1")
    assert.are.equal("r/\n", support.run({ state_driver, path, "one", "rw", "pairs e" }).out)
    assert.are.equal("2\n", sqlite(path, "PRAGMA user_version"))
  end)
end)

describe("a state file that is locked", function()
  it("by another program is an error after 5 s that says by whom, and reads go on #slow", function()
    local path = fresh()
    ok(path, "set s a 1")
    local holder = support.spawn { driver, path, "lock" }
    assert.are.equal("locked", holder.line)
    local result = run(path, "set s a 2", "get s a")
    assert.are.equal(1, result.code)
    assert.matches("^busy: state file " .. plain(path) .. ": cannot be written: it is locked, for more than 5 s now, by "
      .. "process %d+ %(kv_driver%): end that, or give another file with %-%-state\n$", result.err)
    assert.are.equal("1\n", result.out)
    -- The records of a resync say the same.
    local state = support.run({ state_driver, path, "one", "rw" }, { timeout = 60 })
    assert.matches("^busy: state file " .. plain(path) .. ": cannot be written: it is locked.*%(kv_driver%)", state.err)
    holder:stop()
    assert.are.equal("-\n2\n", ok(path, "set s a 2", "get s a"))
  end)
end)

describe("a damaged state file", function()
  local function garble(path)
    assert(os.execute(("dd if=/dev/urandom of=%s bs=4096 count=400 conv=notrunc 2>/dev/null"):format(path)))
  end

  it("is moved aside with a warning that says what is gone", function()
    local path = fresh()
    support.write(path, ("this is not a database\n"):rep(500))
    local result = run(path, "get s a", "set s a 1", "get s a")
    assert.are.equal("-\n-\n1\n", result.out)
    assert.are.equal(0, result.code)
    assert.matches("WARN .*state file .* is damaged; it was moved to .*what scripts kept with tide.kv is gone", result.err)
    assert.matches("state%.db%.damaged%-%d+T%d+Z", files(path))
  end)

  it("is an error where it is met, and mended by the next call", function()
    local path = fresh()
    ok(path, "many s 0 9000")
    local copy = support.tmpdir() .. "/garbled.db"
    support.write(copy, support.read(path))
    garble(copy)
    -- Over the open file, in place: its inode stays.
    local result = run(path, "get s key-1", "shell cat " .. copy .. " > " .. path, "many s 9000 600", "set s a 1", "get s a")
    assert.are.equal(1, result.code)
    assert.matches("io: state file .*: .*malformed", result.err)
    assert.matches("WARN .* is damaged; it was moved to", result.err)
    assert.matches("\n%-\n1\n$", result.out)
  end)

  it("that a resync moved aside is left, and the new one used", function()
    local path = fresh()
    local result = run(path, "set s a 1", "shell mv " .. path .. " " .. path .. ".old; rm -f " .. path .. "-*", "get s a",
      "set s b 2", "get s b")
    assert.are.equal("", result.err)
    assert.are.equal("-\n-\n-\n2\n", result.out)
    assert.are.equal("2\n", ok(path, "get s b"))
  end)

  it("is read as empty by a plan, and left where it is", function()
    local path = fresh()
    support.write(path, ("this is not a database\n"):rep(500))
    local result = run(path, "draft", "get s a", "set s a 1", "get s a")
    assert.are.equal("-\n-\n1\n", result.out)
    assert.matches("damaged; it is read as if it were empty", result.err)
    assert.are.equal("state.db\n", files(path))
  end)
end)

describe("a state file that cannot be used", function()
  it("because it is newer is refused with what to do, by every call, until it is replaced", function()
    local path = fresh()
    ok(path, "set s a 1")
    sqlite(path, "PRAGMA user_version = 99")
    local result = run(path, "get s a", "set s a 2", "shell sqlite3 " .. path .. " 'PRAGMA user_version = 2'", "get s a")
    assert.are.equal(1, result.code)
    local line = "invalid: state file " .. plain(path) .. " was written by a newer version of moontide .*99.*%-%-state\n"
    assert.matches("^" .. line .. line .. "$", result.err)
    assert.are.equal("1\n", result.out)
  end)

  it("because it belongs to something else is refused and left alone", function()
    local path = fresh()
    sqlite(path, "CREATE TABLE precious(a)")
    assert.matches("^invalid: .*something else.*%-%-state", run(path, "set s a 1").err)
    assert.are.equal("state.db\n", files(path))
  end)

  it("because the disk is full is an error; what was there stays", function()
    local path = fresh()
    ok(path, "set s a 1")
    local result = run(path, "get s a", "limit 100000", "many s 0 5000", "get s a", "get s key-4999")
    assert.are.equal(1, result.code)
    assert.matches("^io: state file " .. plain(path) .. ": cannot be written: ", result.err)
    assert.matches("^1\n%d+ failed\n1\n", result.out)
    assert.is_true(tonumber(result.out:match "(%d+) failed") > 0)
    assert.are.equal("1\n-\n", ok(path, "get s a", "set s b 2"))
  end)

  it("because its folder is not there is an error that names it", function()
    local result = run("/proc/nowhere/state.db", "get s a", "set s a 1")
    assert.are.equal("-\n", result.out)
    assert.matches("^io: state file /proc/nowhere/state%.db: cannot be opened: .*is its folder there", result.err)
    local path = fresh()
    os.execute("mkdir " .. path)
    assert.matches("^io: state file .*state%.db: cannot be opened", run(path, "set s a 1").err)
  end)
end)
