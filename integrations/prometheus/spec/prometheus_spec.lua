-- The Prometheus bundle against a small server of our own making (recordings/small.ndjson).
local test = require "moontide.test"

local function resync(kind, options)
  local result = test.bundle(options):resync(kind)
  assert.is_true(result.ok, result.error)
  return result
end

describe("targets", function()
  it("are told apart also when they share job and instance", function()
    local result = resync "target"
    assert.equal(4, #result.entities)
    local probes = {}
    for _, entity in ipairs(result.entities) do
      if entity.properties.job == "probe" then
        assert.matches("^probe/a:80/%x%x%x%x%x%x%x%x%x%x%x%x$", entity.identifier)
        probes[#probes + 1] = entity.identifier
      end
    end
    assert.equal(2, #probes)
    assert.not_equal(probes[1], probes[2])
    assert.equal("up", result:entity("node/b:9100").properties.health)
    assert.equal("connection refused", result:entity("gone/c:1").properties.lastError)
  end)

  it("are asked for in the state that the selector names", function()
    local none = { json = { status = "success", data = { activeTargets = {}, droppedTargets = {} } } }
    local bundle = test.bundle { answers = { ["GET /api/v1/targets?state=dropped"] = none } }
    local result = bundle:resync("target", { selector = { state = "dropped" } })
    assert.is_true(result.ok, result.error)
    assert.same({}, result.entities)
  end)
end)

describe("rules and alerts", function()
  it("of one name are numbered, and an alert is related to its rule and its target", function()
    local bundle = test.bundle()
    local rules, alerts = bundle:resync "rule", bundle:resync "alert"
    assert.is_true(rules.ok and alerts.ok, rules.error or alerts.error)
    assert.equal("warning", rules:entity("g/High-load").properties.severity)
    assert.equal("critical", rules:entity("g/High-load/2").properties.severity)
    assert.equal("recording", rules:entity("g/job:up:sum").properties.type)
    local related = {}
    for _, alert in ipairs(alerts.entities) do
      assert.matches("^High%-load/%x+$", alert.identifier)
      related[alert.relations.rule] = alert.relations.target
    end
    assert.same({ ["g/High-load"] = "node/b:9100", ["g/High-load/2"] = test.null }, related)
  end)

  it("come from one request together", function()
    local bundle = test.bundle()
    assert.equal(1, #bundle:resync("rule").requests)
    local alerts = bundle:resync "alert"
    assert.equal(1, #alerts.requests)
    assert.matches("/api/v1/targets?state=active", alerts.requests[1].url, 1, true)
  end)
end)

describe("metrics", function()
  it("are described by the first of several answers", function()
    local result = resync "metric"
    assert.equal(2, #result.entities)
    assert.same({ type = "counter", help = "Ups.", unit = "" }, result:entity("up_total").properties)
    assert.equal("Load.", result:entity("load").properties.help)
  end)
end)

describe("a server", function()
  it("gets the token, or user and password in its place, and the tenant", function()
    local function sent(config)
      return resync("metric", { config = config }).requests[1].headers
    end
    assert.is_nil(sent().authorization)
    assert.equal("Bearer t-0-k-e-n", sent({ prometheusToken = "t-0-k-e-n" }).authorization)
    local headers = sent {
      prometheusToken = "t-0-k-e-n", prometheusUser = "ada", prometheusPassword = "lovelace", prometheusTenant = "one",
    }
    assert.equal("Basic YWRhOmxvdmVsYWNl", headers.authorization)
    assert.equal("one", headers["x-scope-orgid"])
  end)

  it("may live below a path", function()
    local result = resync("metric", {
      config = { prometheusUrl = "https://example.com/prometheus/" },
      answers = { ["GET /prometheus/api/v1/metadata"] = { json = { status = "success", data = test.json.object() } } },
    })
    assert.equal("https://example.com/prometheus/api/v1/metadata", result.requests[1].url)
  end)

  it("that refuses makes the kind fail, with what it said", function()
    local refused = { status = 422, json = { status = "error", error = "bad matcher" } }
    local result = test.bundle({ answers = { ["GET /api/v1/metadata"] = refused } }):resync "metric"
    assert.is_false(result.ok)
    assert.matches("/api/v1/metadata: HTTP 422", result.error, 1, true)
    result = test.bundle({ answers = {
      ["GET /api/v1/metadata"] = { json = { status = "error", error = "still loading" } },
    } }):resync "metric"
    assert.is_false(result.ok)
    assert.matches("Prometheus answered error to metadata: still loading", result.error, 1, true)
  end)
end)
