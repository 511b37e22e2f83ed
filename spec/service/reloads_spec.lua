-- The acceptance of hot reload: ten thousand of them, half of them broken, while a resync is at work.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

describe("ten thousand reloads, half of them broken, during a resync", function()
  it("lose no batch, keep the memory, and hold nobody up #slow", service.case(function(start)
    local port = service.port()
    local pages = 100 -- two a second: what a resync itself comes to hold must not hide what reloads leave behind
    local api = sync.api("--latency", "500")
    api:put("item", sync.items(pages * 20))
    local bundle = service.bundle()
    local run = start(bundle, { port = port, api = api, env = { APPLICATION__LOG_LEVEL = "CRITICAL" } })
    -- Threads and buffers that a resync needs are there after some pages: they are none of the reloads' growth.
    support.await("some pages", function()
      return sync.count(port:entities()) >= 200
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
    -- What the resync's own threads come to hold meanwhile is in it: about 300 kB. Leaks of 52 bytes a reload are found.
    assert.is_true(seen.late - seen.early <= 512, ("RssAnon grew from %d to %d kB"):format(seen.early, seen.late))
    assert.are.equal(0, run:stop())
    api:stop "KILL"
    port:stop()
  end))
end)
