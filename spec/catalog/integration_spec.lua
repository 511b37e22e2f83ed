local client = require "spec.catalog.client"
local support = require "spec.support"
local null = support.json.null

describe("signing in to the catalog", function()
  local catalog

  setup(function()
    catalog = client.start()
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
  end)

  it("takes any credentials that are not empty (A-AUTH-02, A-AUTH-03)", function()
    local answer = support.request("POST", catalog.url .. "/v1/auth/access_token", { clientId = "x",
      clientSecret = "y" })
    assert.equal(200, answer.status)
    local body = support.json.decode(answer.body)
    assert.equal(10800, body.expiresIn)
    assert.equal("Bearer", body.tokenType)
    assert.is_true(#body.accessToken > 0)
    for _, wrong in ipairs { '{"clientId":"","clientSecret":"y"}', '{"clientId":"x"}', "{}",
      '{"clientId":1,"clientSecret":2}' } do
      assert.equal(401, support.request("POST", catalog.url .. "/v1/auth/access_token", wrong).status)
    end
  end)

  it("is needed for every call (401)", function()
    for _, token in ipairs { "", "Bearer", "Bearer " .. ("0"):rep(32), "Basic abc", "Bearer x" } do
      for _, path in ipairs { "/v1/organization", "/v1/blueprints", "/v1/nothing/there", "/ingest/logs" } do
        local answer = support.request(path == "/ingest/logs" and "POST" or "GET", catalog.url .. path,
          path == "/ingest/logs" and "{}" or nil, { Authorization = token })
        assert.equal(401, answer.status, path)
        assert.equal("unauthorized", support.json.decode(answer.body).error)
      end
    end
  end)

  it("leads to organization and provisioning (A-ORG-01, A-INT-21)", function()
    assert.same({}, catalog:ok("GET", "/v1/organization").organization.featureFlags)
    assert.same({}, catalog:ok("GET", "/v1/integration/provision-enabled").integrations)
  end)
end)

describe("an integration in the catalog", function()
  local catalog

  before_each(function()
    catalog = client.start()
  end)

  after_each(function()
    assert.equal(0, catalog:stop())
  end)

  local function create(config)
    return catalog:ok("POST", "/v1/integration", { installationId = "demo-1", installationAppType = "demo",
      version = "1",
      config = config or support.json.object(), changelogDestination = support.json.object() }).integration
  end

  it("is unknown until it is created, once (A-INT-04, A-INT-06, A-SRV-01)", function()
    local status, answer = catalog:call("GET", "/v1/integration/demo-1?oceanCoreVersion=0.48.12&isPolling=false")
    assert.equal(404, status)
    assert.is_nil(answer.integration)
    for _, method in ipairs { "PATCH", "DELETE" } do
      assert.equal(404, (catalog:call(method, "/v1/integration/demo-1", method == "PATCH" and "{}" or nil)))
    end
    local created = create { resources = { { kind = "a" } } }
    assert.equal("demo-1", created.identifier)
    assert.equal("a", created.config.resources[1].kind)
    assert.equal("OnPrem", created.installationType)
    assert.equal(409, (catalog:call("POST", "/v1/integration", { installationId = "demo-1" })))
    assert.equal(422, (catalog:call("POST", "/v1/integration", { config = {} })))
    assert.equal(422, (catalog:call("POST", "/v1/integration", '{"installationId":"x","config":5}')))
    assert.same(created, catalog:ok("GET", "/v1/integration/demo-1?isPolling=false").integration)
    catalog:ok("DELETE", "/v1/integration/demo-1")
    assert.equal(404, (catalog:call("GET", "/v1/integration/demo-1")))
  end)

  it("names ingest addresses below the address that it was reached at (A-INT-02)", function()
    local integration = create()
    assert.equal(catalog.url .. "/ingest/logs", integration.logAttributes.ingestUrl)
    local by_name = catalog:ok("GET", "/v1/integration/demo-1", nil,
      { headers = { Host = "localhost:1234" } }).integration
    assert.equal("http://localhost:1234/ingest/metrics", by_name.metricAttributes.ingestUrl)
  end)

  it("is patched member by member; config is replaced whole (A-SRV-14, A-INT-09, A-INT-13)", function()
    create { a = 1, b = 2 }
    local patched = catalog:ok("PATCH", "/v1/integration/demo-1",
      { version = "2", processingMode = "ocean-core", identifier = "other", logAttributes = "mine" }).integration
    assert.same({ "2", "ocean-core", "demo", "demo-1" },
      { patched.version, patched.processingMode, patched.installationAppType, patched.identifier })
    assert.same({ a = 1, b = 2 }, patched.config)
    assert.equal(catalog.url .. "/ingest/logs", patched.logAttributes.ingestUrl)
    patched = catalog:ok("PATCH", "/v1/integration/demo-1/config", { config = { c = 3 } }).integration
    assert.same({ c = 3 }, patched.config)
    assert.equal("2", patched.version)
    assert.equal(422, (catalog:call("PATCH", "/v1/integration/demo-1/config", '{"config":[]}')))
    assert.equal(422, (catalog:call("PATCH", "/v1/integration/demo-1/config", "{}")))
    assert.equal(422, (catalog:call("PATCH", "/v1/integration/demo-1", '{"config":5}')))
  end)

  it("has the merge of its resync states, with the server's time (A-INT-16, A-INT-17, A-SRV-14)", function()
    create()
    local path = "/v1/integration/demo-1/resync-state"
    local one = catalog:ok("PATCH", path, { status = "running", lastResyncEnd = null, intervalInMinuets = null,
      lastResyncStart = "2026-11-23T09:43:28.955285+00:00" }).integration.resyncState
    assert.equal("running", one.status)
    local two = catalog:ok("PATCH", path, { status = "completed", lastResyncEnd = "2026-11-23T09:43:29.153043+00:00" })
      .integration.resyncState
    assert.equal("completed", two.status)
    assert.equal("2026-11-23T09:43:28.955285+00:00", two.lastResyncStart)
    assert.is_true(two.updatedAt > one.updatedAt)
    catalog:ok("PATCH", "/v1/integration/demo-1", { version = "3" })
    assert.same(two, catalog:ok("GET", "/v1/integration/demo-1").integration.resyncState)
    assert.equal(422, (catalog:call("PATCH", path, "{}")))
    assert.equal(404, (catalog:call("PATCH", "/v1/integration/none/resync-state", { status = "running" })))
  end)

  it("is asked for a resync by hand or by a changed mapping, unless told to skip (A-INT-20, A-SRV-14, A-COM-07)",
    function()
    create { a = 1 }
    local path = "/v1/integration/demo-1/resync-request"
    assert.same({}, catalog:ok("GET", path).request)
    local raised = catalog:ok("POST", path).request
    assert.is_truthy(raised.id)
    assert.same(raised, catalog:ok("GET", path).request)
    local function config(value, headers)
      catalog:ok("PATCH", "/v1/integration/demo-1/config", { config = value }, { headers = headers })
      return catalog:ok("GET", path).request.updatedAt
    end
    assert.equal(raised.updatedAt, config({ a = 1 }))
    assert.equal(raised.updatedAt, config({ a = 2 }, { ["x-skip-resync"] = "true" }))
    assert.is_true(config({ a = 3 }) > raised.updatedAt)
    assert.equal(404, (catalog:call("GET", "/v1/integration/none/resync-request")))
    assert.equal(404, (catalog:call("POST", "/v1/integration/none/resync-request")))
    catalog:ok("DELETE", "/v1/integration/demo-1")
    create()
    assert.same({}, catalog:ok("GET", path).request)
  end)

  it("has the last five examples of a kind (A-EX-01)", function()
    create()
    local path = "/v1/integration/demo-1/kinds/a%2Fb/examples"
    assert.same({}, catalog:ok("GET", path).examples)
    catalog:ok("POST", path, { examples = { { i = 1 }, { i = 2 }, { i = 3 } } })
    catalog:ok("POST", path, { examples = { { i = 4 }, { i = 5 }, { i = 6 } } })
    local numbers = {}
    for at, item in ipairs(catalog:ok("GET", path).examples) do
      numbers[at] = item.i
    end
    assert.same({ 2, 3, 4, 5, 6 }, numbers)
    assert.equal(422, (catalog:call("POST", path, '{"examples":{}}')))
    assert.equal(404, (catalog:call("POST", "/v1/integration/none/kinds/a/examples", '{"examples":[]}')))
  end)

  it("reports metrics, heartbeats and logs (A-MET-01, A-MET-02, A-MET-07, A-LOG-01)", function()
    create()
    local metric = { integrationIdentifier = "demo-1", eventId = "e", kindIdentifier = "k-0", kind = "k",
      syncState = "syncing",
      metrics = support.json.object() }
    catalog:ok("POST", "/ingest/metrics/syncMetrics", { syncKindsMetrics = { metric } })
    catalog:ok("PUT", "/ingest/metrics/syncMetrics/resync/e/kind/k-0", { syncKindMetrics = metric })
    catalog:ok("POST", "/ingest/metrics/heartbeat", { eventId = "e" })
    catalog:ok("POST", "/ingest/logs", { logs = { { level = "INFO", message = "m", timestamp = "t" } } })
    assert.equal(422, (catalog:call("POST", "/ingest/metrics/syncMetrics", "{}")))
    assert.equal(422, (catalog:call("POST", "/ingest/metrics/syncMetrics", '{"syncKindsMetrics":[{}]}')))
    assert.equal(422, (catalog:call("PUT", "/ingest/metrics/syncMetrics/resync/e/kind/k-0", "{}")))
    assert.equal(422, (catalog:call("POST", "/ingest/logs", "{}")))
  end)
end)
