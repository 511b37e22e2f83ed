-- The wall clock of a running service is set, two days forward and two days back: resyncs, their schedule and their durations
-- go on by the time that passed; what names moments follows the new clock.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local DAYS = 2 * 86400

describe("moontide run, when the clock is set", function()
  local api, port, cwd

  before_each(function()
    api, port, cwd = sync.api(), service.port(), support.tmpdir()
    api:put("item", sync.items(10))
  end)

  after_each(function()
    api:stop "KILL"
    port:stop()
  end)

  --- The options of a process whose wall clock goes after the file "clock" of its folder (clock_shim.c).
  local function shifted(env)
    env = env or {}
    env.LD_PRELOAD, env.MOONTIDE_SPEC_CLOCK = support.driver "clock_shim.so", cwd .. "/clock"
    env.ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0" -- the shim comes before it
    return { port = port, api = api, cwd = cwd, env = env }
  end

  --- Renamed into place: whoever reads it sees the old number or the new one.
  local function set_clock(seconds)
    support.write(cwd .. "/clock.new", tostring(seconds))
    assert(os.rename(cwd .. "/clock.new", cwd .. "/clock"))
  end

  --- Seconds since the epoch of a time in UTC as moontide writes it.
  local function moment(text)
    local year, month, day, hour, minute, second = text:match "^(%d+)%-(%d+)%-(%d+)T(%d+):(%d+):([%d.]+)%+00:00$"
    assert(year, text)
    local whole = math.floor(tonumber(second))
    local now = os.time()
    local zone = os.difftime(now, os.time(os.date("!*t", now)))
    return os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = whole, isdst = false } + zone +
      (tonumber(second) - whole)
  end

  --- Bodies that were sent to Port, of the requests whose address holds a text.
  local function sent(part)
    local list = {}
    for _, entry in ipairs(port:log()) do
      if entry.url:find(part, 1, true) and entry.body ~= "" then
        list[#list + 1] = support.json.decode(entry.body)
      end
    end
    return list
  end

  local function requests(part)
    local n = 0
    for _, entry in ipairs(port:log()) do
      n = n + (entry.url:find(part, 1, true) and 1 or 0)
    end
    return n
  end

  local function between(low, value, high, what)
    assert.is_true(value >= low and value <= high, ("%s: %s is not in %s to %s"):format(what, value, low, high))
  end

  --- That it was set is said once, with the metric, and no other line tells of days.
  local function assert_told(run, direction)
    run:status()
    assert.are.equal(1, run:metric(('moontide_clock_jumps_total{direction="%s"}'):format(direction)))
    local err, n = run:err():gsub("the wall clock was set " .. direction .. " by 17%d%d%d%d s[^\n]*", "")
    assert.are.equal(1, n, err)
    assert.is_nil(err:match "clock was set", err)
    assert.is_nil(err:match "[^\n]*%(%-[^\n]*", err)
    assert.is_nil(err:match "[^\n]*%d%d%d%d%d%d?%.%d s[^\n]*", err)
  end

  for direction, days in pairs { forward = DAYS, back = -DAYS } do
    it(direction .. " during a resync, completes it with the time it took, and loses no request", service.case(function(start)
      set_clock(0)
      port:fault { { path = "/bulk", kind = "hold", times = 1 } }
      local options = shifted()
      options.speed = 1440
      local run = start(service.bundle(), options)
      support.request("GET", port.url .. "/__held")
      local tokens, beats = requests "/auth/access_token", requests "/heartbeat"
      set_clock(days)
      support.await("heartbeats with the new clock", function() return requests "/heartbeat" >= beats + 3 end)
      assert.are.equal("running", run:bundle().resync.state)
      port:release()
      port:await_states "running completed"
      support.await("the report", function() return run:bundle().last_resync ~= support.json.null end)
      local last = run:bundle().last_resync
      assert.are.equal("complete", last.result)
      assert.are.equal(10, last.report.kinds[1].created)
      between(0, last.seconds, 60, "seconds of the report")
      between(0, run:metric 'duration_seconds{integration="my-demo-integration",kind="__runtime__",phase="resync"}', 60,
        "seconds of the metric")
      local metrics = sent "/syncMetrics"
      local runtime = metrics[#metrics].syncKindsMetrics[1]
      assert.are.equal("__runtime__ completed", runtime.kindIdentifier .. " " .. runtime.syncState)
      between(0, runtime.metrics.phase.resync.duration_seconds, 60, "seconds at Port")
      local states = sent "/resync-state"
      between(0, moment(states[2].lastResyncEnd) - moment(states[2].lastResyncStart), 60, "from begin to end at Port")
      between(os.time() + days - 60, moment(states[2].lastResyncEnd), os.time() + days + 60, "the end at Port")

      -- By Port's own times: what it was asked before is not new, what comes now is.
      local polls = requests "/resync-request"
      support.await("polls with the new clock", function() return requests "/resync-request" >= polls + 3 end)
      assert.are.equal("running completed", port:states())
      port:request()
      port:await_states "running completed running completed"
      -- The second resync has a token of its own; no valid one was thrown away.
      between(tokens, requests "/auth/access_token", tokens + 1, "tokens")
      assert_told(run, direction)
      assert.are.equal(0, run:stop())
    end))

    it(direction .. " between resyncs, keeps the schedule, tells when by the new clock, and deletes", service.case(function(start)
      set_clock(0)
      local run = start(service.bundle(), shifted { OCEAN__SCHEDULED_RESYNC_INTERVAL = "6s" })
      port:await_states "running completed"
      support.await("the report", function() return run:bundle().last_resync ~= support.json.null end)
      local announced = moment(run:bundle().next_resync)
      between(0, announced - os.time(), 7, "seconds until the next resync")
      set_clock(days)
      between(announced + days - 0.1, moment(run:bundle().next_resync), announced + days + 0.1, "the next by the new clock")
      api:put("item", sync.items(7))
      port:await_states "running completed running completed"
      support.await("the report of the second one", function() return run:bundle().last_resync.trigger == "schedule" end)
      local last = run:bundle().last_resync
      assert.are.equal("complete", last.result)
      between(announced + days - 0.1, moment(last.started), announced + days + 3, "the begin of the scheduled resync")
      between(0, last.seconds, 6, "seconds of the report")
      assert.are.equal(7, sync.count(port:entities()))
      local states = sent "/resync-state"
      between(announced + days + 5.9, moment(states[3].nextResync), announced + days + 6.1, "the next after that, at Port")
      assert.is_nil(states[4].lastResyncStart)
      assert_told(run, direction)
      assert.are.equal(0, run:stop())
    end))
  end

  it("back, waits out a rate limit that ends at a moment of the API's clock", service.case(function(start)
    set_clock(-DAYS)
    api:fault { { path = "/item", at = { 1 }, kind = "403rate" } }
    local main = service.main:gsub("retries = 0", "retries = 1")
    local run = start(service.bundle { main = main }, shifted())
    port:await_states "running completed"
    assert.are.equal("403rate", api:log()[1].fault)
    assert.are.equal(10, sync.count(port:entities()))
    assert.are.equal(0, run:stop())
  end))
end)
