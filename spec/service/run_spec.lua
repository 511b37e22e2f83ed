-- `moontide run`: what asks for resyncs, how they end, and how the process does.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local case = service.case

describe("moontide run", function()
  local api, port, bundle

  before_each(function()
    api, port = sync.api(), service.port()
    api:put("item", sync.items(50))
    bundle = service.bundle()
  end)

  after_each(function()
    api:stop "KILL"
    port:stop()
  end)

  -- A resync that does not get on until it is aborted.
  local function stall()
    api:fault { { path = "/item", kind = "stall" } }
  end

  local function await_stalled(process)
    support.await("the resync to be at work", function()
      local log = api:log()
      return process:bundle().resync.state == "running" and #log > 0 and log[#log].fault == "stall"
    end)
  end

  describe("with the listener POLLING", function()
    it("resyncs on start (R-LIS-06), is ready, and tells it at /status", case(function(start)
      local run = start(bundle, { port = port, api = api })
      port:await_states "running completed"
      run:ready()
      local bundles = run:status().bundles
      assert.are.equal(1, #bundles)
      support.await("the report", function()
        return run:bundle().last_resync ~= support.json.null
      end)
      local now, status = run:bundle(), run:status()
      assert.are.equal(50, sync.count(port:entities()))
      assert.are.equal("demo", now.name)
      assert.are.equal("my-demo-integration", now.identifier)
      assert.are.equal("POLLING", now.listener)
      assert.are.equal(1, now.generation.number)
      assert.are.equal(support.json.null, now.refused)
      assert.are.equal("idle", now.resync.state)
      assert.are.equal("complete", now.last_resync.result)
      assert.are.equal(50, now.last_resync.report.kinds[1].created)
      assert.are.equal(true, status.ready)
      assert.are.equal(run.pid, status.pid)
      assert.are.equal(0, status.resyncs_running)
      assert.are.equal(1, run:metric 'moontide_resyncs_total{integration="my-demo-integration",result="complete"}')
      assert.are.equal(0, run:stop())
    end))

    it("resyncs once for a changed resync-request, and not for one it knows (R-LIS-08)", case(function(start)
      local run = start(bundle, { port = port, api = api, speed = 1440 })
      port:await_states "running completed"
      local function polls()
        local n = 0
        for _, entry in ipairs(port:log()) do
          if entry.method == "GET" and entry.url:find("/resync-request", 1, true) then
            n = n + 1
          end
        end
        return n
      end
      local function await_polls()
        local before = polls()
        support.await("three polls", function()
          return polls() >= before + 3
        end)
      end
      await_polls()
      assert.are.equal("running completed", port:states())
      port:request()
      port:await_states "running completed running completed"
      await_polls()
      assert.are.equal("running completed running completed", port:states())
      port:request()
      port:await_states "running completed running completed running completed"
      assert.are.equal(0, run:stop())
    end))

    it("does not resync on start when resync_on_start is false, until it is asked", case(function(start)
      local run = start(bundle, { port = port, api = api, speed = 1440,
        env = { OCEAN__EVENT_LISTENER__TYPE = "POLLING", OCEAN__EVENT_LISTENER__RESYNC_ON_START = "false" } })
      run:ready()
      support.await("a poll", function()
        for _, entry in ipairs(port:log()) do
          if entry.url:find("/resync-request", 1, true) then
            return true
          end
        end
      end)
      assert.are.equal("", port:states())
      port:request()
      port:await_states "running completed"
      assert.are.equal(0, run:stop())
    end))

    it("aborts a resync for a newer request: states running, aborted, running, completed (R-ABT)", case(function(start)
      stall()
      local run = start(bundle, { port = port, api = api, speed = 1440 })
      await_stalled(run)
      api:fault {}
      port:request()
      port:await_states "running aborted running completed"
      assert.are.equal(50, sync.count(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("goes on when Port cannot be asked", case(function(start)
      local run = start(bundle, { port = port, api = api, speed = 1440 })
      port:await_states "running completed"
      port:fault { { path = "/resync-request", kind = "404", times = 3 } }
      run:await_err "could not ask Port for resync requests"
      port:request()
      port:await_states "running completed running completed"
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("with wrong credentials", function()
    it("says so at once and ends with 3", case(function()
      port:fault { { path = "/auth/access_token", kind = "401" } }
      local run = service.run(bundle, { port = port, api = api, timeout = 20 })
      assert.are.equal(3, run.code, run.err)
      assert.matches("credentials", run.err)
      assert.is_nil(run.err:find("a-secret-of-port", 1, true))
      local asked = 0
      for _, entry in ipairs(port:log()) do
        asked = asked + (entry.url:find("access_token", 1, true) and 1 or 0)
      end
      assert.are.equal(1, asked)
    end))
  end)

  describe("while Port is away", function()
    it("is alive and not ready, says why, and starts when Port is back", case(function(start)
      port:fault { { path = ".", kind = "refuse" } }
      local run = start(bundle, { port = port, api = api, env = { OCEAN__PORT__RETRY_DEADLINE_SECONDS = "1" } })
      run:await_err "Port does not answer, next try in 5 s"
      assert.are.equal(200, support.request("GET", run.public .. "/health/live").status)
      local res = support.request("GET", run.public .. "/health/ready")
      assert.are.equal(503, res.status)
      assert.matches("my%-demo%-integration: .*Port", support.json.decode(res.body).reason)
      assert.are.equal(false, run:status().ready)
      port:fault {}
      run:ready()
      port:await_states "running completed"
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("with the listener ONCE", function()
    for what, options in pairs { ["--once"] = { args = { "--once" } },
      ["the setting"] = { env = { OCEAN__EVENT_LISTENER__TYPE = "ONCE" } } } do
      it("resyncs once and ends with 0: " .. what, case(function()
        options.port, options.api = port, api
        local run = service.run(bundle, options)
        assert.are.equal(0, run.code, run.err)
        assert.are.equal("running completed", port:states())
        assert.are.equal(50, sync.count(port:entities()))
      end))

      it("ends with 1 when the resync failed: " .. what, case(function()
        options.port, options.api = port, api
        api:fault { { path = "/item", kind = "404" } }
        local run = service.run(bundle, options)
        assert.are.equal(1, run.code, run.err)
        assert.are.equal("running failed", port:states())
      end))
    end

    it("resyncs every bundle once, and ends with the worst result", case(function()
      local bad = service.bundle { dir = support.tmpdir() .. "/bad", spec = "type: bad\n",
        main = 'require("moontide").on_resync(function() error("no") end)' }
      local run = service.run({ bundle, bad }, { port = port, args = { "--once" },
        env = { MOONTIDE__BUNDLES__DEMO__INTEGRATION__CONFIG__API_URL = api.url } })
      assert.are.equal(1, run.code, run.err)
      assert.are.equal("running completed", port:states())
      assert.are.equal("running failed", port:states "my-bad-integration")
    end))
  end)

  describe("with the listener WEBHOOK", function()
    local webhook = { OCEAN__EVENT_LISTENER__TYPE = "WEBHOOK", OCEAN__EVENT_LISTENER__APP_HOST = "https://tide.example.com" }

    it("tells Port where it listens (R-LIS-12), answers POST /resync at once and resyncs (R-LIS-11)", case(function(start)
      local run = start(bundle, { port = port, api = api, env = webhook })
      run:ready()
      support.await("the destination at Port", function()
        local integration = port:integration()
        local destination = integration and integration.changelogDestination
        return type(destination) == "table" and destination.type == "WEBHOOK" and
          destination.url == "https://tide.example.com/resync"
      end)
      stall()
      local states = port:states()
      local res = support.request("POST", run.public .. "/resync", "whatever")
      assert.are.equal(200, res.status)
      assert.are.equal("null", res.body)
      await_stalled(run)
      api:fault {}
      assert.are.equal(200, support.request("POST", run.public .. "/resync").status)
      port:await_states(((states .. " running aborted running completed"):gsub("^ ", "")))
      assert.are.equal(50, sync.count(port:entities()))
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("with the listener WEBHOOKS_ONLY", function()
    it("never resyncs (R-LIS-01)", case(function(start)
      local run = start(bundle, { port = port, api = api, speed = 1440, env = { OCEAN__EVENT_LISTENER__TYPE = "WEBHOOKS_ONLY",
        OCEAN__SCHEDULED_RESYNC_INTERVAL = "1" } })
      run:ready()
      assert.are.equal(404, support.request("POST", run.public .. "/resync").status)
      run:await_err "asks for no resyncs"
      assert.are.equal("", port:states())
      assert.are.equal("WEBHOOKS_ONLY", run:bundle().listener)
      assert.are.equal(support.json.null, run:bundle().last_resync)
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("on a schedule", function()
    it("resyncs again and again (R-ST-04), and tells Port and /status when", case(function(start)
      local run = start(bundle, { port = port, api = api, speed = 1440, env = { OCEAN__SCHEDULED_RESYNC_INTERVAL = "10" } })
      support.await("three resyncs", function()
        local _, n = port:states():gsub("completed", "")
        return n >= 3
      end)
      assert.is_nil(port:states():find "aborted")
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT", run:bundle().next_resync)
      assert.matches("%(schedule%)", run:err())
      assert.are.equal(0, run:stop())
    end))

    it("leaves one out while a resync is at work", case(function(start)
      stall()
      local run = start(bundle, { port = port, api = api, speed = 1440, env = { OCEAN__SCHEDULED_RESYNC_INTERVAL = "10" } })
      run:await_err "the scheduled resync is left out"
      assert.are.equal("running", port:states())
      assert.are.equal(0, run:stop())
      assert.are.equal("running aborted", port:states())
    end))

    it("lives a day in a minute: schedule, requests, the newer wins, and every state is terminal #slow", case(function(start)
      local run = start(bundle, { port = port, api = api, speed = 1440, env = { OCEAN__SCHEDULED_RESYNC_INTERVAL = "360" } })
      port:await_states "running completed"
      local from = os.time()
      for _ = 1, 3 do
        local before = port:states()
        port:request()
        support.await("the requested resync", function()
          local now = port:states()
          return #now > #before and now:match "completed$"
        end, 30)
      end
      -- Every six hours of that day: 15 s.
      support.await("a scheduled resync", function()
        return run:err():find("complete: ", 1, true) and run:err():find("(schedule) complete", 1, true)
      end, 40)
      stall()
      local before = port:states()
      port:request()
      await_stalled(run)
      api:fault {}
      port:request()
      support.await("the newer one", function()
        local now = port:states()
        return now:sub(#before + 1):find("running aborted running completed", 1, true)
      end)
      support.await("the end of the day", function()
        return os.time() - from >= 60
      end, 70)
      assert.are.equal(0, run:stop())
      local running = 0
      for state in port:states():gmatch "%a+" do
        running = running + (state == "running" and 1 or -1)
        assert.is_true(running == 0 or running == 1, port:states())
      end
      assert.are.equal(0, running)
    end))
  end)

  describe("at its end", function()
    it("reports a resync as failed at the next start, when the process was killed", case(function(start)
      stall()
      local cwd = support.tmpdir()
      local run = start(bundle, { port = port, api = api, cwd = cwd })
      await_stalled(run)
      run:stop "KILL"
      assert.are.equal("running", port:states())
      api:fault {}
      run = start(bundle, { port = port, api = api, cwd = cwd })
      port:await_states "running failed running completed"
      assert.matches("the last resync ended with its process; reported as failed", run:err())
      assert.are.equal(0, run:stop())
    end))

    it("leaves a resync alone that another process ended while the start looked at it", case(function(start)
      stall()
      local cwd = support.tmpdir()
      local other = start(bundle, { port = port, api = api, cwd = cwd, env = { OCEAN__EVENT_LISTENER__TYPE = "ONCE" } })
      await_stalled(other)
      port:fault { { path = "/integration/my-demo", method = "GET", times = 1, kind = "hold" } }
      local run = start(bundle, { port = port, api = api, cwd = cwd, env = { OCEAN__EVENT_LISTENER__TYPE = "WEBHOOKS_ONLY" } })
      support.request("GET", port.url .. "/__held")
      other:stop()
      port:release()
      run:ready()
      assert.are.equal("running aborted", port:states())
      assert.are.equal(0, run:stop())
    end))

    it("drains on SIGTERM: the resync is aborted, the state told, the code 0; no new one begins", case(function(start)
      stall()
      local run = start(bundle, { port = port, api = api })
      await_stalled(run)
      assert.are.equal(0, run:stop "TERM")
      assert.are.equal("running aborted", port:states())
      assert.are.equal(0, sync.count(port:entities()))
    end))

    it("drains on SIGINT too", case(function(start)
      local run = start(bundle, { port = port, api = api })
      port:await_states "running completed"
      assert.are.equal(0, run:stop "INT")
    end))

    it("ends at once on a second SIGTERM", case(function(start)
      stall()
      local run = start(bundle, { port = port, api = api })
      await_stalled(run)
      port:fault { { path = "/resync-state", kind = "stall" } }
      run:signal "TERM"
      support.request("GET", port.url .. "/__held") -- the report of the state waits
      assert.are.equal(143, run:stop "TERM")
    end))

    it("does not wait for what does not end longer than max_wait_seconds_before_shutdown", case(function(start)
      stall()
      local run = start(bundle, { port = port, api = api, env = { OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN = "1" } })
      await_stalled(run)
      port:fault { { path = "/resync-state", kind = "stall" } }
      local from = os.time()
      local code = run:stop "TERM"
      assert.is_true(os.time() - from <= 8)
      assert.is_true(code == 0 or code == 1)
    end))

    it("is not ready any more while it drains", case(function(start)
      stall()
      local run = start(bundle, { port = port, api = api })
      await_stalled(run)
      port:fault { { path = "/resync-state", kind = "hold" } }
      run:signal "TERM"
      support.request("GET", port.url .. "/__held")
      local res = support.request("GET", run.public .. "/health/ready")
      assert.are.equal(503, res.status)
      assert.are.equal(200, support.request("GET", run.public .. "/health/live").status)
      port:release()
      assert.are.equal(0, run:wait())
    end))
  end)
end)
