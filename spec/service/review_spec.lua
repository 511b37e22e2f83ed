-- What a review of `moontide run` found: requests and reports that were lost, ends that never came.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local case = service.case

describe("moontide run, reviewed", function()
  local api, port

  before_each(function()
    api, port = sync.api(), service.port()
    api:put("item", sync.items(10))
  end)

  after_each(function()
    api:stop "KILL"
    port:stop()
  end)

  it("resyncs again for a request that came while the first resync ran", case(function(start)
    port:fault { { path = "/bulk", kind = "hold", times = 1 } }
    local run = start(service.bundle(), { port = port, api = api, speed = 60, env = { OCEAN__EVENT_LISTENER__TYPE = "POLLING",
      OCEAN__EVENT_LISTENER__INTERVAL = "180" } })
    support.request("GET", port.url .. "/__held")
    port:request()
    port:release()
    support.await("the requested resync", function()
      local states = port:states()
      return #states > #"running completed" and states:match "completed$"
    end, 20)
    assert.matches("resync of my%-demo%-integration begins %(request%)", run:err())
    assert.are.equal(0, run:stop())
  end))

  it("tells Port later how a resync ended that Port could not be told then", case(function(start)
    port:fault { { path = "/resync-state", kind = "404", skip = 1, times = 3 } }
    local run = start(service.bundle(), { port = port, api = api, speed = 60 })
    support.await("the state at Port", function()
      local integration = port:integration()
      return integration and type(integration.resyncState) == "table" and integration.resyncState.status == "completed"
    end, 20)
    assert.are.equal("running completed completed completed completed", port:states())
    assert.are.equal(0, run:stop())
  end))

  it("resyncs the kinds of an aborted resync of some kinds too", case(function(start)
    local mapping = "resources:\n" .. sync.resource "item" .. sync.resource("other", { identifier = [['"o" + (.id | tostring)']] })
    local bundle = service.bundle { mapping = mapping }
    api:put("other", sync.items(3))
    local run = start(bundle, { port = port, api = api, args = { "--watch" } })
    port:await_states "running completed"
    api:fault { { path = "/item", kind = "stall" } }
    local function save(from, to)
      mapping = mapping:gsub(from, to, 1)
      support.write(bundle .. "/.port/resources/port-app-config.yml", mapping)
    end
    save("title: .name", 'title: .name + "!"') -- of item
    support.await("the resync of item to be at work", function()
      local log = api:log()
      return log[#log].fault == "stall"
    end)
    api:fault {}
    save("title: .name\n", 'title: .name + "?"\n') -- of other
    port:await_states "running completed running aborted running completed"
    local entities = port:entities()
    assert.are.equal("item 1?", entities.o1.title)
    assert.are.equal("item 1!", entities["1"].title)
    assert.are.equal(0, run:stop())
  end))

  it("ends ONCE with 3 when Port does not answer", case(function()
    port:fault { { path = ".", kind = "refuse" } }
    for _, parts in ipairs { {}, { main = service.main .. "\nfor i = 1, 2e6 do local _ = i end" } } do
      local run = service.run(service.bundle(parts), { port = port, api = api, args = { "--once" }, timeout = 30,
        env = { OCEAN__PORT__RETRY_DEADLINE_SECONDS = "1" } })
      assert.are.equal(3, run.code, run.err)
      assert.matches("Port does not answer", run.err)
    end
  end))

  it("begins a schedule that a reload brought", case(function(start)
    local bundle = service.bundle()
    local run = start(bundle, { port = port, api = api, speed = 1440 })
    port:await_states "running completed"
    support.write(bundle .. "/config.yaml", "scheduled_resync_interval: 10\n")
    assert.are.equal(200, (run:reload()))
    run:await_err "%(schedule%) complete"
    assert.matches("^%d%d%d%d%-", run:bundle().next_resync)
    assert.are.equal(0, run:stop())
  end))

  it("refuses another identifier also when the first version did not load", case(function(start)
    local bundle = service.bundle { main = "this is no Lua" }
    local run = start(bundle, { port = port, api = api, args = { "--watch" } })
    run:await_err "refused demo"
    support.write(bundle .. "/config.yaml", "integration:\n  identifier: another\n")
    support.write(bundle .. "/main.lua", service.main)
    run:await_err "its identifier changed from my%-demo%-integration to another"
    assert.are.equal("", port:states "another")
    os.remove(bundle .. "/config.yaml")
    port:await_states "running completed"
    assert.are.equal(0, run:stop())
  end))

  it("takes a signal from its first line on, and a storm of them", case(function(start)
    for _ = 1, 5 do
      local run = start(service.bundle(), { port = port, api = api })
      os.execute(("for i in $(seq 200); do kill -HUP %d; done"):format(run.pid))
      assert.are.equal(0, run:stop())
    end
  end))
end)
