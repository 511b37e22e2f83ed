-- A service whose state file cannot be used: it stays, says why at /status and in a metric, and goes on once that is mended.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local FAILED = 'moontide_resyncs_total{integration="my-demo-integration",result="failed"}'

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
    run:await_err "damaged"
    assert.are.equal(5, sync.count(port:entities()))
    assert.are.equal(0, run:stop())
  end))
end)
