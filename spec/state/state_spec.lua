-- The state file: what it remembers of which resource produced what, over ends of every kind, and who may use it.
local support = require "spec.support"
local driver = support.driver "state_driver"

local function fresh()
  return support.tmpdir() .. "/state.db"
end

local function run_as(path, identifier, mode, ...)
  return support.run({ driver, path, identifier, mode, ... }, { timeout = 60 })
end

local function run(path, ...)
  return run_as(path, "one", "rw", ...)
end

-- The lines that commands wrote, after they all went well.
local function ok(path, ...)
  local result = run(path, ...)
  assert.are.equal("", result.err)
  assert.are.equal(0, result.code)
  return result.out
end

local function files(path)
  local pipe = assert(io.popen("cd " .. path:gsub("[^/]*$", "") .. " && ls -A"))
  local list = pipe:read("a"):gsub("%.%x+%.lock", ".HASH.lock")
  pipe:close()
  return list
end

describe("the pairs of an entity", function()
  it("are every resource and scope that produced it, in this run and earlier ones (architecture 3.4.1)", function()
    local path = fresh()
    assert.are.equal("\nissues/ issues/a/b\n", ok(path, "pairs e", "produced e issues", "produced e issues a/b",
      "produced e issues", "pairs e"))
    assert.are.equal("issues/ issues/a/b pulls/\n\n", ok(path, "produced e pulls", "pairs e", "pairs f"))
  end)

  it("go when the resource ended normally and did not produce it again", function()
    local path = fresh()
    ok(path, "produced e issues", "produced e pulls", "produced f issues")
    assert.are.equal("pulls/\nissues/\n", ok(path, "produced f issues", "stale issues", "pairs e", "pairs f"))
    assert.are.equal("pulls/\nissues/\n", ok(path, "pairs e", "pairs f"))
  end)

  it("stay for scopes that failed, and for what is nested in them", function()
    local path = fresh()
    ok(path, "produced e r a", "produced e r a/b", "produced e r ab", "produced e r c", "produced e r")
    assert.are.equal("r/a r/a/b\n", ok(path, "stale r a", "pairs e"))
  end)

  it("all stay when the whole resource is among the scopes that failed", function()
    local path = fresh()
    ok(path, "produced e r a", "produced e r")
    assert.matches("r/", ok(path, "stale r -", "pairs e"))
  end)

  it("go with the entity", function()
    local path = fresh()
    assert.are.equal("\nr/\n", ok(path, "produced e r", "produced f r", "forget e", "pairs e", "pairs f"))
    assert.are.equal("r/\n", ok(path, "produced e r", "forget e", "produced e r", "pairs e"))
  end)

  it("are kept apart for each integration", function()
    local path = fresh()
    ok(path, "produced e r")
    assert.are.equal("\n", run_as(path, "two", "rw", "pairs e", "stale r", "forget e", "flush").out)
    assert.are.equal("r/\n", ok(path, "pairs e"))
  end)

  it("are complete with thousands of scopes, and with several threads at once", function()
    local path = fresh()
    assert.are.equal("r/scope-2999\nr/scope-0\n", ok(path, "scopes 3000 r", "pairs 2999", "pairs 0"))
    path = fresh()
    assert.are.equal("b/s\na/\na/\n", ok(path, "threads 8 5000", "pairs 0", "pairs 1", "pairs 39999"))
  end)
end)

describe("recording", function()
  it("of 50,000 entities takes well under a second each time, and no memory that grows", function()
    local path = fresh()
    for _ = 1, 2 do
      local ms, kb, build = ok(path, "time 50000"):match "^(%d+) ms, (%-?%d+) KB(.*)\n"
      local sanitized = build ~= ""
      assert.is_true(tonumber(ms) < (sanitized and 20000 or 2000), ms .. " ms")
      assert.is_true(sanitized or tonumber(kb) < 12288, kb .. " KB")
    end
  end)
end)

describe("a process that is killed", function()
  it("leaves what was flushed, and a file that opens (architecture 3.4.2)", function()
    local path = fresh()
    local result = run(path, "many 0 20000 r", "flush", "many 20000 20000 r", "kill")
    assert.are.equal(137, result.code)
    assert.are.equal("r/\nr/\n", ok(path, "pairs 0", "pairs 19999"))
  end)

  it("at any moment leaves a file that opens", function()
    local path = fresh()
    for i = 1, 12 do
      assert.are.equal(137, run(path, ("many 0 %d r"):format(i * 900), "kill").code)
      assert.are.equal("", ok(path, "flush"))
    end
    assert.not_matches("damaged", files(path))
  end)

  it("gives its lock back", function()
    local path = fresh()
    local holder = support.spawn { driver, path, "one", "rw", "hold" }
    assert.are.equal("holding", holder.line)
    assert.are.equal(1, run(path).code)
    assert.are.equal(137, holder:stop "KILL")
    ok(path)
  end)
end)

describe("a run that did not come to its end", function()
  it("is known to the next ones until one makes it good", function()
    local path = fresh()
    assert.are.equal("complete\n", ok(path, "partial", "produced e r", "flush", "settle partly"))
    assert.are.equal("complete\n", ok(path, "partial", "produced e r"))
    assert.are.equal("partial\n", ok(path, "partial", "settle partly"))
    assert.are.equal("partial\n", run_as(path, "one", "ro", "partial").out)
    assert.are.equal("partial\nr/\n", ok(path, "partial", "settle whole", "pairs e"))
    assert.are.equal("complete\n", ok(path, "partial", "settle partly"))
    assert.are.equal("complete\n", run_as(path, "two", "rw", "partial").out)
  end)

  it("is so when its records could not be written", function()
    local path = fresh()
    ok(path, "produced e r", "settle whole")
    assert.are.equal(1, run(path, "limit 4096", "many 0 20000 r", "flush", "settle whole").code)
    assert.are.equal("partial\n", ok(path, "partial"))
  end)
end)

describe("two processes on one state file", function()
  it("exclude each other for one integration, and the second says who holds it", function()
    local path = fresh()
    local holder = support.spawn { driver, path, "one", "rw", "hold" }
    local result = run(path)
    assert.are.equal(1, result.code)
    assert.matches("^busy: .*one", result.err)
    assert.matches("process %d+ since %d%d%d%d%-%d%d%-%d%dT", result.err)
    assert.are.equal(0, run_as(path, "two", "rw", "produced e r", "flush").code)
    assert.are.equal(0, run_as(path, "one", "ro", "pairs e").code)
    holder:stop()
    ok(path)
  end)

  it("are not kept apart by a look of a third one at the lock", function()
    local path = fresh()
    ok(path)
    local lock = support.run({ "sh", "-c", "echo " .. path .. ".*.lock" }).out:match "%S+"
    local look = support.spawn { "flock", "--shared", lock, "sh", "-c", "echo looking; sleep 0.1" }
    assert.are.equal("looking", look.line)
    ok(path, "produced e r", "flush")
  end)

  it("write side by side for two integrations", function()
    local path = fresh()
    local other = support.spawn { driver, path, "two", "rw", "say started", "many 0 60000 b", "flush" }
    assert.are.equal("a/\na/\n", ok(path, "many 0 60000 a", "flush", "pairs 0", "pairs 59999"))
    assert.are.equal(0, other:wait(60))
    assert.are.equal("b/\nb/\n", run_as(path, "two", "rw", "pairs 0", "pairs 59999").out)
  end)
end)

describe("two integrations of one process on one state file", function()
  it("name the same resources and scopes at the same moment", function()
    local path = fresh()
    ok(path, "rivals 500 r")
    for _, identifier in ipairs { "one", "rival" } do
      local _, count = run_as(path, identifier, "rw", "pairs rival").out:gsub("r/scope%-%d+", "")
      assert.are.equal(500, count)
    end
  end)
end)

describe("a damaged state file", function()
  local function damaged(write)
    local path = fresh()
    write(path)
    local result = run(path, "produced e r", "pairs e")
    assert.are.equal("r/\n", result.out)
    assert.matches("WARN .*state file .* is damaged", result.err)
    assert.matches("state%.db%.damaged%-%d+T%d+Z", files(path))
    assert.are.equal("r/\n", ok(path, "pairs e"))
  end

  it("that is no database is moved aside with a warning", function()
    damaged(function(path)
      support.write(path, ("this is not a database\n"):rep(500))
    end)
  end)

  it("whose first page is garbled is moved aside with a warning", function()
    damaged(function(path)
      ok(path, "many 0 5000 r")
      os.execute(("printf garbage | dd of=%s bs=1 seek=100 conv=notrunc 2>/dev/null"):format(path))
    end)
  end)

  it("whose pages are garbled in the middle is moved aside with a warning", function()
    damaged(function(path)
      ok(path, "many 0 20000 r")
      os.execute(("dd if=/dev/zero of=%s bs=4096 seek=1 count=60 conv=notrunc 2>/dev/null"):format(path))
    end)
  end)

  it("that is cut short is moved aside with a warning", function()
    damaged(function(path)
      ok(path, "many 0 20000 r")
      os.execute(("truncate -s 40960 %s"):format(path))
    end)
  end)

  it("is read as empty by a plan, and left where it is", function()
    local path = fresh()
    support.write(path, ("this is not a database\n"):rep(500))
    local result = run_as(path, "one", "ro", "pairs e")
    assert.are.equal("\n", result.out)
    assert.are.equal(0, result.code)
    assert.matches("damaged", result.err)
    assert.are.equal("state.db\n", files(path))
  end)
end)

describe("a state file that cannot be used", function()
  local function sqlite(path, sql)
    assert.is_true(os.execute(("sqlite3 %s %s"):format(path, support.quote(sql))) == true)
  end

  it("because it is newer is refused, with what to do", function()
    local path = fresh()
    ok(path, "produced e r")
    sqlite(path, "PRAGMA user_version = 99")
    local result = run(path)
    assert.are.equal(1, result.code)
    assert.matches("^invalid: .*newer version of moontide .*99.*%-%-state", result.err)
    assert.are.equal(1, run_as(path, "one", "ro").code)
  end)

  it("because it belongs to something else is refused and left alone", function()
    local path = fresh()
    sqlite(path, "CREATE TABLE precious(a); INSERT INTO precious VALUES(1)")
    local result = run(path)
    assert.are.equal(1, result.code)
    assert.matches("^invalid: .*something else.*%-%-state", result.err)
    assert.matches("state%.db", files(path))
    assert.not_matches("damaged", files(path))
  end)

  it("because the disk is full is an error that names it", function()
    local path = fresh()
    local result = run(path, "limit 65536", "many 0 50000 r", "flush", "pairs 1")
    assert.are.equal(1, result.code)
    assert.matches("io: state file " .. path:gsub("%p", "%%%0") .. ": cannot be written: ", result.err)
    ok(path, "produced e r", "pairs e")
    -- What could not be written must not count as not produced.
    path = fresh()
    ok(path, "many 0 50000 r")
    result = run(path, "limit 4000", "many 0 50000 r", "flush", "stale r", "pairs 7", "pairs 49999")
    assert.are.equal("r/\nr/\n", result.out)
    assert.matches("records of this run are incomplete, nothing is forgotten", result.err)
  end)

  it("because its folder cannot be written is an error that names it", function()
    local result = run "/proc/nowhere/state.db"
    assert.are.equal(1, result.code)
    assert.matches("^io: .*/proc/nowhere/state%.db", result.err)
    local path = fresh()
    os.execute("mkdir " .. path)
    assert.matches("^io: .*state%.db", run(path).err)
  end)
end)

describe("a plan", function()
  it("reads, and leaves no trace", function()
    local path = fresh()
    assert.are.equal("\nyes\n", run_as(path, "one", "ro", "produced e r", "flush", "pairs e", "spill l k v",
      "spilled l k").out)
    assert.are.equal("", files(path))
    ok(path, "produced e r")
    local before = support.read(path)
    local result = run_as(path, "one", "ro", "produced f r", "forget e", "stale r", "flush", "pairs e", "pairs f",
      "spill l k v", "spilled l k")
    assert.are.equal("r/\n\nyes\n", result.out)
    assert.are.equal("", result.err)
    assert.are.equal(before, support.read(path))
    assert.are.equal("state.db\nstate.db.HASH.lock\n", files(path))
  end)
end)

describe("a list that spills", function()
  it("holds elements by list and key, and ends with the process", function()
    local path = fresh()
    assert.are.equal("no\nyes\nno\nv1\nnot_found\n", ok(path, "spilled l k", "spill l k v1", "spilled l k",
      "spilled other k", "value l k", "value l other"))
    assert.are.equal("no\n", ok(path, "spilled l k"))
  end)
end)
