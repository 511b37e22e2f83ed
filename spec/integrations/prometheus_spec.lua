-- The Prometheus bundle from the command line into the catalog: against Debian's Prometheus where it is installed, and
-- against a server of recorded answers. What its handlers and its mapping do is in the bundle's own spec (moontide test
-- integrations/prometheus).
local support = require "spec.support"
local sync = require "spec.support.sync"

local bundle = support.root .. "/integrations/prometheus"
local blueprints = { "prometheusTarget", "prometheusRule", "prometheusAlert", "prometheusMetric" }

local function resync(cwd, env, ...)
  env.MOONTIDE__INTEGRATION__CONFIG__PROMETHEUS_URL = env.url
  env.url = nil
  local result = support.run({ support.bin, "resync", bundle, "--json", ... }, { cwd = cwd, env = env })
  local line = result.out:match "([^\n]+)\n?$"
  result.report = line and support.json.decode(line)
  return result
end

local function catalog_of(cwd)
  local server = sync.catalog(cwd .. "/.moontide/catalog.db")
  local found = {}
  for _, blueprint in ipairs(blueprints) do
    found[blueprint] = sync.entities(server.url, blueprint)
  end
  server:stop()
  return found
end

local function answer(url, data)
  return support.json.encode {
    method = "GET", url = url, status = 200, headers = { ["content-type"] = "application/json" },
    body = support.json.encode { status = "success", data = data },
  }
end

-- A server of recorded answers: path below /api/v1 → data.
local function recorded(answers)
  local lines = {}
  for path, data in pairs(answers) do
    lines[#lines + 1] = answer("/api/v1/" .. path, data)
  end
  local file = support.write(support.tmpdir() .. "/answers.ndjson", table.concat(lines, "\n") .. "\n")
  local server = support.recorded(file)
  finally(function() server:stop() end)
  return server
end

local function array(list)
  return setmetatable(list, { __jsontype = "array" })
end

describe("the Prometheus bundle", function()
  it("passes validate", function()
    local result = support.run { support.bin, "validate", bundle }
    assert.equal(0, result.code, result.out .. result.err)
  end)

  it("keeps what it has when Prometheus refuses, and exits 1", function()
    local server = recorded { metadata = { up_total = { { type = "counter", help = "Ups.", unit = "" } } } }
    local cwd = support.tmpdir()
    assert.equal(0, resync(cwd, { url = server.url }, "--kind", "metric").code)
    local other = recorded { rules = { groups = array {} } } -- answers 404 to the rest
    local result = resync(cwd, { url = other.url }, "--kind", "metric")
    assert.equal(1, result.code)
    assert.matches("/api/v1/metadata", result.err, 1, true)
    assert.same({ type = "counter", help = "Ups.", unit = "" }, catalog_of(cwd).prometheusMetric.up_total.properties)
  end)
end)

if not os.execute "command -v prometheus >/dev/null" then
  return
end

describe("the Prometheus bundle with a real Prometheus", function()
  local server, url, cwd

  setup(function()
    cwd = support.tmpdir()
    local port = support.free_port()
    url = "http://127.0.0.1:" .. port
    support.write(cwd .. "/prometheus.yml", ([[
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:%d"]}]
  - job_name: gone
    static_configs: [{targets: ["127.0.0.1:1"]}]
]]):format(port))
    support.write(cwd .. "/rules.yml", [[
groups:
  - name: spec
    rules:
      - {record: "job:up:sum", expr: "sum by (job) (up)"}
      - alert: Down
        expr: up == 0
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }} is down"}
]])
    local command = "echo up; exec prometheus --config.file=%s/prometheus.yml --storage.tsdb.path=%s/data "
      .. "--web.listen-address=127.0.0.1:%d"
    server = support.spawn { "sh", "-c", command:format(cwd, cwd, port) }
    support.await("Prometheus to see its targets and raise the alert", function()
      local alerts = support.request("GET", url .. "/api/v1/alerts").body
      local targets = support.request("GET", url .. "/api/v1/targets").body
      return alerts:find '"state":"firing"' and targets:find '"health":"up"'
    end, 60)
  end)
  teardown(function()
    server:stop()
  end)

  it("lands its targets, rules, alerts and metrics, and a second run changes nothing of them", function()
    local result = resync(cwd, { url = url })
    assert.equal(0, result.code, result.err)
    local found = catalog_of(cwd)
    assert.equal("up", found.prometheusTarget["prometheus/" .. url:match "//(.*)"].properties.health)
    local gone = found.prometheusTarget["gone/127.0.0.1:1"].properties
    assert.equal("down", gone.health)
    assert.matches("connection refused", gone.lastError, 1, true)
    assert.equal("recording", found.prometheusRule["spec/job:up:sum"].properties.type)
    assert.equal("firing", found.prometheusRule["spec/Down"].properties.state)
    local id, alert = next(found.prometheusAlert)
    assert.matches("^Down/%x+$", id)
    assert.same({ rule = "spec/Down", target = "gone/127.0.0.1:1" }, alert.relations)
    assert.equal("127.0.0.1:1 is down", alert.properties.summary)
    assert.equal("gauge", found.prometheusMetric.prometheus_build_info.properties.type)
    assert.is_true(sync.count(found.prometheusMetric) > 100)

    -- (its own metrics may grow in number while it runs)
    local again = resync(cwd, { url = url }, "--kind", "target", "--kind", "rule", "--kind", "alert")
    for _, kind in ipairs(again.report.kinds) do
      assert.same({ 0, 0, 0 }, { kind.created, kind.updated, kind.deleted }, kind.kind)
    end
  end)
end)
