-- The acceptance of hot reload: ten thousand of them, half of them broken, while a resync is at work.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

describe("ten thousand reloads, half of them broken, during a resync", function()
  it("lose no batch, keep the memory, and hold nobody up #slow", service.case(function(start)
    local port = service.port()
    local pages, first = 245, 200
    local api = sync.api("--latency", "20")
    api:put("item", sync.items(pages * 20))
    api:latency(5000, first + 2)
    local bundle = service.bundle()
    local run = start(bundle, { port = port, api = api, env = { APPLICATION__LOG_LEVEL = "CRITICAL" } })
    -- Threads, buffers, and what a Lua state holds until its collector has gone round (4 KB a request, for some 80 of them) are there
    -- after the first pages. From then on one comes every five seconds: what the resync itself comes to hold (4 kB a page) must neither
    -- count as the reloads' growth nor hide it.
    support.await("the first pages", function()
      return sync.count(port:entities()) >= first * 20
    end, 60)
    local client = support.spawn { "node", support.root .. "/spec/service/reloads.mjs", run.admin, bundle, run.pid, "10000" }
    assert.are.equal(0, client:wait(400), (select(2, client:output())))
    local seen = support.json.decode(client:output():match "\n(.+)\n$")
    assert.are.equal(5000, seen.reloaded)
    assert.are.equal(5000, seen.refused)
    assert.are.equal(0, seen.other)
    assert.is_true(seen.running >= 1000, seen.running .. " reloads while the resync ran")
    local growth = seen.late / seen.early - 1
    print(("10,000 reloads in %.1f s, %d of them during the resync; RssAnon %d kB after 1,000, %d kB at the end (%+.1f %%)"):format(
      seen.seconds, seen.running, seen.early, seen.late, growth * 100))
    api:latency(20)

    support.await("the end of the resync", function()
      return port:states() == "running completed"
    end, 200)
    assert.are.equal(pages * 20, sync.count(port:entities()))
    support.await("its report", function()
      return run:bundle().last_resync ~= support.json.null
    end)
    assert.are.equal(pages, run:bundle().last_resync.report.kinds[1].pages)
    assert.are.equal(5001, run:bundle().generation.number)
    assert.are.equal(5000, run:metric 'moontide_reloads_total{integration="my-demo-integration",result="refused"}')
    local swaps = run:metric "moontide_swap_seconds_count"
    local quick = run:metric 'moontide_swap_seconds_bucket{integration="my-demo-integration",le="0.005"}'
    assert.is_true(swaps >= 5000)
    assert.is_true(quick / swaps >= 0.99, ("%d of %d swaps within 5 ms"):format(quick, swaps))
    -- Each Lua state has a heap of its own (script/heap.h): 0 to 4 %, where malloc alone made 2 to 9 %. 5 % are 220 kB: a leak of
    -- 24 bytes a reload is found.
    assert.is_true(growth <= 0.05, ("RssAnon grew from %d to %d kB"):format(seen.early, seen.late))
    assert.are.equal(0, run:stop())
    api:stop "KILL"
    port:stop()
  end))
end)
