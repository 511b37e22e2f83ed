-- A service whose state file cannot be used: it stays, says why at /status and in a metric, and goes on once that is mended.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local FAILED = 'moontide_resyncs_total{integration="my-demo-integration",result="failed"}'

local function refusals(run, reason)
  return run:metric(('moontide_state_file_failures_total{integration="my-demo-integration",reason="%s"}'):format(reason))
end

describe("moontide run with a state file", function()
  local api, port, cwd

  before_each(function()
    api, port, cwd = sync.api(), service.port(), support.tmpdir()
    api:put("item", sync.items(5))
    os.execute("mkdir -p " .. support.quote(cwd .. "/.moontide"))
  end)

  after_each(function()
    api:stop "KILL"
    port:stop()
  end)

  local function last(run)
    support.await("the end of the resync", function() return run:bundle().last_resync ~= support.json.null end)
    return run:bundle().last_resync
  end

  it("of a newer version fails the resync, writes nothing to Port, and takes one that is mended", service.case(function(start)
    local file = cwd .. "/.moontide/state.db"
    assert.is_true(os.execute(("sqlite3 %s 'PRAGMA user_version = 99; CREATE TABLE t(a)'"):format(file)) == true)
    local run = start(service.bundle(), { port = port, api = api, cwd = cwd, speed = 60 })
    local resync = last(run)
    assert.are.equal("failed", resync.result)
    assert.matches("newer version of moontide", resync.error, 1, true)
    assert.are.equal(1, run:metric(FAILED))
    assert.are.equal(1, refusals(run, "invalid"))
    assert.are.equal(0, sync.count(port:entities()))
    os.remove(file)
    port:request()
    support.await("a good resync", function() return run:bundle().last_resync.result == "complete" end)
    assert.are.equal(5, sync.count(port:entities()))
    assert.are.equal(0, run:stop())
  end))

  it("that is damaged is moved aside, with a warning, and nothing is lost", service.case(function(start)
    support.write(cwd .. "/.moontide/state.db", ("this is no database\n"):rep(500))
    local run = start(service.bundle(), { port = port, api = api, cwd = cwd })
    assert.are.equal("complete", last(run).result)
    run:await_err "state file .moontide/state.db is damaged; it was moved to .moontide/state.db.damaged-"
    assert.are.equal(1, run:metric "moontide_state_file_damaged_total")
    assert.are.equal(5, sync.count(port:entities()))
    assert.are.equal(0, run:stop())
  end))

  -- Items whose names tell that they changed, so that each is written anew.
  local function changed(n, mark)
    local items = sync.items(n)
    for _, item in ipairs(items) do
      item.name, item.url = item.name .. mark, item.url .. "?" .. mark
    end
    return items
  end

  local function count(mark)
    local n = 0
    for _, entity in pairs(port:entities()) do
      n = n + (entity.properties.url:find("?" .. mark, 1, true) and 1 or 0)
    end
    return n
  end

  local function request(run, wanted)
    local started = run:bundle().last_resync.started
    port:request()
    support.await("a resync that is " .. wanted, function()
      local resync = run:bundle().last_resync
      return resync.started ~= started and resync.result == wanted
    end, 40)
    return run:bundle().last_resync
  end

  --- A resync is at work on so many items that most of their records are not written yet: five chunks of 100 are on their way
  --- to Port, which holds them, and five wait. Gives what lets it go on to its end.
  local MANY = 2000
  local function at_work(run)
    local started = run:bundle().last_resync.started
    api:put("item", changed(MANY, "second"))
    port:fault { { path = "/bulk", kind = "hold" } }
    port:request()
    support.await("five bulks at Port", function()
      return support.json.decode(support.request("GET", port.url .. "/__held").body).count >= 5
    end, 40)
    return function()
      port:fault {}
      port:release()
      support.await("the end of the resync", function() return run:bundle().last_resync.started ~= started end, 60)
      return run:bundle().last_resync
    end
  end

  --- It failed for its records only: all went to Port, once said and once counted; the next one is complete and deletes.
  local function assert_mended(run, resync, reason, text, mend)
    assert.are.equal("failed", resync.result)
    assert.are.equal(1, #resync.report.errors)
    assert.matches("the record of what produced what could not be written", resync.report.errors[1].message, 1, true)
    assert.matches(text, resync.report.errors[1].message)
    assert.are.equal(1, run:metric(FAILED))
    assert.are.equal(1, refusals(run, reason))
    assert.are.equal(MANY, count "second")
    mend()
    api:put("item", changed(MANY - 50, "third"))
    assert.are.equal(50, request(run, "complete").report.kinds[1].deleted)
    assert.are.equal(MANY - 50, count "third")
    assert.are.equal(MANY - 50, sync.count(port:entities()))
    assert.are.equal("running completed running failed running completed", port:states())
    assert.are.equal(1, refusals(run, reason))
  end

  describe("that is locked", function()
    -- The shell of SQLite, in the middle of a transaction that excludes all others.
    local function lock()
      local script = [[mkfifo "$1/commands" && exec 3<>"$1/commands" && printf '%s\n' 'BEGIN EXCLUSIVE;' '.system echo locked' >&3 &&
        exec sqlite3 "$2" <&3]]
      local holder = support.spawn { "sh", "-c", script, "sh", support.tmpdir(), cwd .. "/.moontide/state.db" }
      assert.are.equal("locked", holder.line)
      return holder
    end

    local function LOCKED(holder)
      return ("state file %%.moontide/state%%.db: cannot be %%a+: it is locked, for more than 5 s now, by process %d %%(sqlite3%%): "
        .. "end that, or give another file with %%-%%-state"):format(holder.pid)
    end

    it("fails the resync, says who holds it, and takes one when it is free", service.case(function(start)
      local run = start(service.bundle(), { port = port, api = api, cwd = cwd, speed = 60 })
      assert.are.equal("complete", last(run).result)
      local holder = lock()
      api:put("item", sync.items(3))
      assert.matches(LOCKED(holder), request(run, "failed").error)
      assert.matches("resync of my%-demo%-integration %(request%) failed: " .. LOCKED(holder), run:err())
      assert.are.equal(1, run:metric(FAILED))
      assert.are.equal(1, refusals(run, "busy"))
      assert.are.equal(5, sync.count(port:entities()))
      holder:stop()
      request(run, "complete")
      assert.are.equal(3, sync.count(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("in the middle of a resync costs it 5 s and its record, and no entity", service.case(function(start)
      local run = start(service.bundle(), { port = port, api = api, cwd = cwd, speed = 60 })
      assert.are.equal("complete", last(run).result)
      local go_on = at_work(run)
      local holder = lock()
      local resync = go_on()
      assert.is_true(resync.seconds < 15, resync.seconds .. " s")
      assert_mended(run, resync, "busy", LOCKED(holder), function() holder:stop() end)
      assert.are.equal(0, run:stop())
    end))

    it("lets a resync whose process was killed be reported as failed", service.case(function(start)
      local options = { port = port, api = api, cwd = cwd, speed = 60 }
      port:fault { { path = "/bulk", kind = "hold" } }
      local run = start(service.bundle(), options)
      support.request("GET", port.url .. "/__held")
      run:stop "KILL"
      port:fault {}
      port:release()
      local holder = lock()
      run = start(service.bundle(), options)
      port:await_states "running failed"
      run:await_err "the last resync ended with its process; reported as failed"
      assert.matches(LOCKED(holder), last(run).error)
      holder:stop()
      request(run, "complete")
      assert.are.equal("running failed running completed", port:states())
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("that cannot grow", function()
    local FULL = "database or disk is full: make room there, or give another file with --state"

    -- A disk of 16 MB for the process alone, which nobody else sees: what is done there from outside goes through /proc.
    local function start_on_disk(start, before)
      local script = ("mount -t tmpfs -o size=16m none .moontide && { %s; } && exec \"$@\""):format(before or "true")
      local before_it = { "unshare", "-rm", "sh", "-c", script, "sh" }
      return start(service.bundle(), { port = port, api = api, cwd = cwd, speed = 60, before = before_it })
    end

    local function on_disk(run, command)
      return os.execute(("cd %s && { %s; } 2>/dev/null"):format(support.quote(("/proc/%d/root%s/.moontide"):format(run.pid, cwd)), command))
    end

    local probe = "unshare -rm sh -c 'mount -t tmpfs -o size=1m none %s' 2>/dev/null"
    local needs_disk = os.execute(probe:format(support.quote(support.tmpdir()))) == true and it or function(name)
      pending(name .. " (needs to mount a file system, which this user may not)")
    end

    needs_disk("because the disk is full fails the resync and says so, and takes one when there is room", service.case(function(start)
      local run = start_on_disk(start, "dd if=/dev/zero of=.moontide/filler bs=4k 2>/dev/null; true")
      local error = last(run).error
      assert.are.equal("failed", last(run).result)
      assert.matches("state.db", error, 1, true)
      assert.matches("o space left on device: make room there, or give another state file with --state", error, 1, true)
      assert.matches("resync of my-demo-integration (start) failed: " .. error, run:err(), 1, true)
      assert.are.equal(1, run:metric(FAILED))
      assert.are.equal(1, refusals(run, "io"))
      assert.are.equal(0, sync.count(port:entities()))
      assert.is_true(on_disk(run, "rm filler"))
      request(run, "complete")
      assert.are.equal(5, sync.count(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    needs_disk("because the disk gets full in the middle of a resync costs it its record, and no entity", service.case(function(start)
      local run = start_on_disk(start)
      assert.are.equal("complete", last(run).result)
      local go_on = at_work(run)
      assert.is_true(on_disk(run, "dd if=/dev/zero of=filler bs=4k; dd if=/dev/zero of=filler2 bs=1; test -s filler"))
      assert_mended(run, go_on(), "io", ("state file .moontide/state.db: cannot be written: " .. FULL):gsub("%p", "%%%0"), function()
        assert.is_true(on_disk(run, "rm filler filler2"))
      end)
      assert.are.equal(0, run:stop())
    end))

    it("because of a limit on files (ulimit -f) costs a resync its record, and no entity", service.case(function(start)
      local run = start(service.bundle(), { port = port, api = api, cwd = cwd, speed = 60 })
      assert.are.equal("complete", last(run).result)
      local go_on = at_work(run)
      local function limit(bytes)
        assert.is_true(os.execute(("prlimit --pid %d --fsize=%s:"):format(run.pid, bytes)))
      end
      limit(65536) -- of which the log of this process, a file too, takes a part
      local text = "state file .moontide/state.db: cannot be written: disk I/O error (File too large): let this process write larger "
        .. "files (ulimit -f), or give another file with --state"
      assert_mended(run, go_on(), "io", text:gsub("%p", "%%%0"), function() limit "unlimited" end)
      assert.are.equal(0, run:stop())
    end))
  end)
end)
