-- What GET /metrics of a service says of resyncs, and what Port is told of a kind (R-OBS-05 to R-OBS-09, A-MET-03).
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

-- Long enough for a sample, which is taken every half second.
local MAIN = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl }
  for page in api:pages("/" .. kind, { per_page = 20 }) do
    coroutine.yield(page)
  end
  tide.sleep(1.2)
end)
]]

describe("metrics of a resync", function()
  local api, port, run, metrics

  setup(function()
    api, port = sync.api(), service.port()
    api:put("item", sync.items(50))
    run = service.start(service.bundle { main = MAIN }, { port = port, api = api })
    port:await_states "running completed"
    support.await("the last report", function() return run:bundle().last_resync ~= support.json.null end)
    metrics = support.request("GET", run.admin .. "/metrics").body
  end)

  teardown(function()
    run:stop "KILL"
    port:stop()
    api:stop "KILL"
  end)

  local function sample(name, labels)
    for line in metrics:gmatch "[^\n]+" do
      local found, set, value = line:match "^([%w_]+){(.-)} (%S+)$"
      local all = found == name
      for _, label in ipairs(labels) do
        all = all and set:find(label, 1, true) ~= nil
      end
      if all then
        return tonumber(value)
      end
    end
  end
  local KIND = 'kind="item-0"'

  it("counts objects by phase under Ocean's names (R-OBS-05, R-OBS-06, R-OBS-07)", function()
    assert.are.equal(50, sample("object_count", { KIND, 'phase="extract"', 'object_count_type="raw_extracted"' }))
    assert.are.equal(50, sample("object_count", { KIND, 'phase="transform"', 'object_count_type="transformed"' }))
    assert.are.equal(50, sample("object_count", { KIND, 'phase="load"', 'object_count_type="loaded"' }))
    assert.are.equal(0, sample("object_count", { 'kind="__reconciliation__"', 'object_count_type="deleted"' }))
    assert.are.equal(1, sample("success", { KIND, 'phase="resync"' }))
    assert.is_true(sample("duration_seconds", { KIND, 'phase="resync"' }) >= 1.2)
    assert.is_true(sample("duration_seconds", { 'kind="__runtime__"' }) >= 1.2)
  end)

  it("samples CPU, memory and the loop's latency while the kind runs (R-OBS-09)", function()
    for _, name in ipairs { "cpu_%s_percent", "memory_%s_bytes", "event_loop_latency_%s_ms" } do
      local function of(what) return sample(name:format(what), { KIND }) end
      local max, median, avg = of "max", of "median", of "avg"
      assert.is_true(max >= median and max >= avg and avg >= 0, name)
    end
    assert.is_true(sample("memory_max_bytes", { KIND }) > 1e6)
  end)

  it("measures the answers of the API", function()
    local total = sample("response_size_total_bytes", { KIND })
    local avg = sample("response_size_avg_bytes", { KIND })
    assert.is_true(total > 50 * 20 and avg < total)
    assert.is_true(sample("response_size_median_bytes", { KIND }) > 0)
  end)

  it("has histograms of the API's and Port's requests, of mapping and of the queue", function()
    local mine = { 'integration="my-demo-integration"' }
    assert.are.equal(#api:log(), sample("moontide_http_request_seconds_count", mine))
    assert.is_true(sample("moontide_port_request_seconds_count", mine) > 5)
    assert.are.equal(3, sample("moontide_mapping_batch_seconds_count", mine))
    assert.are.equal(3, sample("moontide_queue_items_count", mine))
    assert.are.equal(1, sample("moontide_resyncs_total", { 'result="complete"' }))
  end)

  it("tells Port the same of the kind (A-MET-03)", function()
    local last
    for _, entry in ipairs(port:log()) do
      if entry.method == "PUT" and entry.url:find("syncMetrics/resync/.*/kind/item%-0") then
        last = support.json.decode(entry.body).syncKindMetrics
      end
    end
    assert.are.equal("completed", last.syncState)
    assert.are.equal(50, last.metrics.phase.extract.object_count_type.raw_extracted.object_count)
    assert.is_true(last.metrics.memory_max_bytes > 1e6)
    assert.is_true(last.metrics.cpu_avg_percent >= 0 and last.metrics.event_loop_latency_max_ms >= 0)
    assert.are.equal(sample("response_size_total_bytes", { KIND }), last.metrics.response_size_total_bytes)
  end)
end)
