-- The Prometheus bundle: against Debian's Prometheus where it is installed, and against recorded answers.
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

local function target(job, instance, path)
  return {
    discoveredLabels = { __address__ = instance, __metrics_path__ = path, job = job },
    labels = { job = job, instance = instance },
    scrapePool = job, scrapeUrl = "http://" .. instance .. path, health = "up", lastError = "", scrapeInterval = "15s",
  }
end

local object, array = support.json.object, function(list) return setmetatable(list, { __jsontype = "array" }) end

describe("the Prometheus bundle", function()
  it("passes validate", function()
    local result = support.run { support.bin, "validate", bundle }
    assert.equal(0, result.code, result.out .. result.err)
  end)

  it("tells targets apart that share job and instance", function()
    local server = recorded { ["targets?state=active"] = {
      activeTargets = {
        target("probe", "a:80", "/x"), target("probe", "a:80", "/y"), target("node", "b:9100", "/metrics"),
      },
      droppedTargets = array {},
    } }
    local cwd = support.tmpdir()
    local result = resync(cwd, { url = server.url }, "--kind", "target")
    assert.equal(0, result.code, result.err)
    local found = catalog_of(cwd).prometheusTarget
    assert.equal(3, sync.count(found))
    assert.truthy(found["node/b:9100"])
    for id in pairs(found) do
      assert.truthy(id == "node/b:9100" or id:match "^probe/a:80/%x%x%x%x%x%x%x%x%x%x%x%x$", id)
    end
  end)

  it("numbers rules of one name, and relates an alert to its rule and its target", function()
    local function alert(labels)
      return {
        labels = labels, annotations = object {}, state = "firing", activeAt = "2026-01-02T03:04:05Z", value = "1e+00",
      }
    end
    local function rule(severity, alerts)
      return { name = "High load", type = "alerting", query = "up > 0", health = "ok", state = "firing", duration = 60,
        labels = { severity = severity }, annotations = object {}, alerts = array(alerts) }
    end
    local server = recorded {
      ["targets?state=active"] = {
        activeTargets = { target("node", "b:9100", "/metrics") },
        droppedTargets = array {},
      },
      rules = { groups = { { name = "g", file = "/etc/r.yml", interval = 5, rules = {
        rule("warning", { alert { alertname = "High load", job = "node", instance = "b:9100" } }),
        rule("critical", { alert { alertname = "High load", job = "other" } }),
      } } } },
    }
    local cwd = support.tmpdir()
    local result = resync(cwd, { url = server.url }, "--kind", "target", "--kind", "rule", "--kind", "alert")
    assert.equal(0, result.code, result.err)
    local found = catalog_of(cwd)
    assert.equal("warning", found.prometheusRule["g/High-load"].properties.severity)
    assert.equal("critical", found.prometheusRule["g/High-load/2"].properties.severity)
    local rules, targets = {}, {}
    for _, entity in pairs(found.prometheusAlert) do
      rules[#rules + 1] = entity.relations.rule
      targets[#targets + 1] = entity.relations.target ~= support.json.null and entity.relations.target or nil
    end
    table.sort(rules)
    assert.same({ "g/High-load", "g/High-load/2" }, rules)
    assert.same({ "node/b:9100" }, targets)
    assert.equal(1, sync.count(found.prometheusTarget)) -- none is made up for the other alert
  end)

  it("takes the rules from one request for rules and alerts together", function()
    local server = recorded {
      ["targets?state=active"] = { activeTargets = array {}, droppedTargets = array {} },
      rules = { groups = array {} },
    }
    assert.equal(0, resync(support.tmpdir(), { url = server.url }, "--kind", "rule", "--kind", "alert").code)
    local count = 0
    for _, request in ipairs(server.log()) do
      count = count + (request.url == "/api/v1/rules" and 1 or 0)
    end
    assert.equal(1, count)
  end)

  it("sends the token, or user and password in its place, and the tenant", function()
    local answers = { ["metadata"] = object {} }
    local server = recorded(answers)
    local function sent(env)
      env.url = server.url
      assert.equal(0, resync(support.tmpdir(), env, "--kind", "metric").code)
      local log = server.log()
      return log[#log].headers
    end
    local config = "MOONTIDE__INTEGRATION__CONFIG__PROMETHEUS_"
    assert.is_nil(sent({}).authorization)
    assert.equal("Bearer t-0-k-e-n", sent({ [config .. "TOKEN"] = "t-0-k-e-n" }).authorization)
    local headers = sent {
      [config .. "TOKEN"] = "t-0-k-e-n",
      [config .. "USER"] = "ada",
      [config .. "PASSWORD"] = "lovelace",
      [config .. "TENANT"] = "one",
    }
    assert.equal("Basic YWRhOmxvdmVsYWNl", headers.authorization)
    assert.equal("one", headers["x-scope-orgid"])
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
