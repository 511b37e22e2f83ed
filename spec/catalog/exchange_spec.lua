local client = require "spec.catalog.client"
local support = require "spec.support"
local null = support.json.null

describe("the worked exchange (port-api.md section 20)", function()
  it("gives the answers that were seen on the wire", function()
    local catalog = client.start()
    local plain = { agent = "port-ocean/demo/0.1.0/demo-1" }
    local mapping = { deleteDependentEntities = true, createMissingRelatedEntities = true, enableMergeEntity = true,
      entityDeletionThreshold = 1, resources = { { kind = "service" } } }
    catalog:blueprint "team"
    catalog:blueprint("service", { url = { type = "string" }, language = { type = "string" } },
      { owner = { target = "team" } })
    local function service(n, title, language)
      return { identifier = "svc-" .. n, blueprint = "service", title = title or "Service " .. n,
        properties = { url = "https://x.example/" .. n, language = language or "go" },
          relations = { owner = "platform" } }
    end
    -- an earlier version of the integration wrote them
    catalog:bulk("service", { service(1), service(2), service(3), service(4) },
      { agent = "port-ocean/demo/0.0.9/demo-1/exporter" })
    catalog:ok("POST", "/v1/integration", { installationId = "demo-1", installationAppType = "demo", version = "0.1.0",
      config = mapping, changelogDestination = support.json.object(), actionsProcessingEnabled = false }, plain)

    local integration = catalog:ok("GET", "/v1/integration/demo-1?oceanCoreVersion=0.48.12&isPolling=false", nil,
      plain).integration
    assert.same(mapping, integration.config)
    catalog:ok("PATCH", "/v1/integration/demo-1", { arePortResourcesInitialized = true, version = "0.1.0" }, plain)
    local state = catalog:ok("PATCH", "/v1/integration/demo-1/resync-state", { status = "running", lastResyncEnd = null,
      lastResyncStart = "2026-11-23T09:43:28.955285+00:00", nextResync = null, intervalInMinuets = null }, plain)
    local before = state.integration.resyncState.updatedAt:gsub("Z$", "+00:00")

    local found = catalog:search({ combinator = "and", rules = {
      { property = "$identifier", operator = "in", value = { "svc-1", "svc-2", "svc-9" } },
      { property = "$blueprint", operator = "=", value = "service" },
      { property = "$datasource", operator = "contains", value = "port-ocean/demo/" },
      { property = "$datasource", operator = "contains", value = "/demo-1/exporter" },
    } }, { "blueprint", "identifier", "title", "properties.url", "properties.language", "relations.owner" })
    table.sort(found, function(a, b)
      return a.identifier < b.identifier
    end)
    assert.same({ service(1), service(2) }, found)

    local event = "&ocean_info_event_type=resync&ocean_info_resync_id=dbea0975"
    local path = "/v1/blueprints/service/entities/bulk?upsert=true&merge=true&create_missing_related_entities=true"
      .. "&validation_only=false" .. event
    local answer = catalog:ok("POST", path, { entities = { service(1), service(2, "Service 2 v2", null) } })
    assert.same({ ok = true, errors = {}, entities = { { index = 0, identifier = "svc-1", created = false },
      { index = 1, identifier = "svc-2", created = false } } }, answer)
    catalog:ok("POST", path, { entities = { service(3) } })
    assert.equal(null, catalog:entity("service", "svc-2").properties.language)

    answer = catalog:ok("POST", "/v1/blueprints/entities/datasource-entities", { datasource_prefix = "port-ocean/demo/",
      datasource_suffix = "/demo-1/exporter", limit = 5000, before = before })
    local listed = {}
    for _, entity in ipairs(answer.entities) do
      listed[entity.blueprint .. "/" .. entity.identifier] = true
    end
    -- the bare target belongs to who made it, and is protected by the relations of those that stay (R-REC-08)
    assert.same({ ["service/svc-4"] = true, ["team/platform"] = true }, listed)
    assert.equal(null, answer.next)

    answer = catalog:ok("POST", "/v1/blueprints/service/bulk/entities/delete?delete_dependents=true" .. event,
      { entities = { "svc-4" } })
    assert.same({ "svc-4" }, answer.deletedEntities)
    assert.same({ "svc-1", "svc-2", "svc-3" }, catalog:identifiers "service")
    assert.same({ "platform" }, catalog:identifiers "team")
    catalog:ok("PATCH", "/v1/integration/demo-1/resync-state", { status = "completed",
      lastResyncEnd = "2026-11-23T09:43:29.153043+00:00", nextResync = null, intervalInMinuets = null }, plain)
    assert.equal(0, catalog:stop())
  end)
end)
