-- When Port misbehaves: refused credentials, errors for a while and for good, broken answers; and interruptions at each stage.
local support = require "spec.support"
local sync = require "spec.support.sync"

describe("Port", function()
  local api, cwd, catalog, proxy, url, path
  before_each(function()
    api = sync.api()
    cwd = support.tmpdir()
    catalog = sync.catalog(cwd .. "/port.db")
    proxy = support.spawn { "node", support.root .. "/spec/support/proxy.mjs", "--target", catalog.url }
    url = proxy.line:match "listening (%S+)"
    path = sync.bundle { dir = cwd .. "/demo" }
    api:put("item", sync.items(60))
  end)
  after_each(function()
    api:stop()
    proxy:stop "KILL"
    catalog:stop()
  end)

  local function run(options)
    options = options or {}
    options.port = url
    options.env = options.env or {}
    options.env.MOONTIDE__PORT__RETRY_DEADLINE_SECONDS = options.env.MOONTIDE__PORT__RETRY_DEADLINE_SECONDS or "2"
    return sync.resync(path, api, cwd, options)
  end
  local function fault(list)
    support.request("POST", url .. "/__fault", support.json.encode(list))
  end
  local function log(pattern)
    local found = {}
    for _, entry in ipairs(support.json.decode(support.request("GET", url .. "/__log").body)) do
      if entry.url:find(pattern) then found[#found + 1] = entry end
    end
    return found
  end

  it("a separately started catalog is filled like the embedded one (A-ENT-10)", function()
    local result = run()
    assert.equal(0, result.code, result.err)
    assert.equal(60, sync.count(sync.entities(catalog.url, "item")))
    for _, entry in ipairs(log "/entities/bulk%?") do
      assert.equal("port-ocean/demo/0.0.0/my-demo-integration/exporter", entry.agent)
      assert.is_truthy(entry.url:find("ocean_info_event_type=resync&ocean_info_resync_id=", 1, true), "A-COM-06")
    end
  end)

  it("A-INT-16 and A-INT-17: the resync state is running, then completed", function()
    assert.equal(0, run().code)
    local states = log "/resync%-state"
    assert.equal("running", support.json.decode(states[1].body).status)
    assert.equal("completed", support.json.decode(states[#states].body).status)
  end)

  describe("A-BP-09 blueprints", function()
    local function removed()
      local list = {}
      for _, entry in ipairs(log "^/v1/blueprints/") do
        if entry.method == "DELETE" then list[#list + 1] = entry.url:match "[^/]+$" .. " " .. entry.status end
      end
      table.sort(list)
      return table.concat(list, ", ")
    end
    -- One that is there when it is to be created, but was not when it was looked for: another process is creating the set.
    local function create_item_meanwhile()
      local body = support.json.encode(support.json.decode(sync.blueprints)[2]):gsub('"group":{[^}]*}', "")
      local res = support.request("POST", catalog.url .. "/v1/blueprints", body, sync.authorization(catalog.url))
      assert.is_true(res.status < 300, res.body)
      return { path = "/blueprints/item$", method = "GET", times = 1, kind = "404" }
    end

    it("that were created go again when one of them is refused", function()
      fault { { path = "/blueprints/item", method = "PATCH", kind = "422" } }
      local result = run()
      assert.equal(3, result.code, result.err)
      assert.is_truthy(result.err:find("cannot complete blueprint item", 1, true), result.err)
      assert.equal("group 200, item 200", removed())
      fault {}
      assert.equal(0, run().code)
    end)

    it("that another process creates too go, those of its own, when one of them is refused, and else stay", function()
      fault { create_item_meanwhile(), { path = "/blueprints/", method = "PATCH", kind = "503" } }
      assert.equal(3, run().code)
      assert.equal("", removed())
      support.request("DELETE", catalog.url .. "/v1/blueprints/group", nil, sync.authorization(catalog.url))
      fault { { path = "/blueprints/item$", method = "GET", times = 1, kind = "404" },
        { path = "/blueprints/", method = "PATCH", kind = "422" } }
      assert.equal(3, run().code)
      assert.equal("group 200", removed())
    end)
  end)

  it("A-NET-11 refused credentials end at once with 3 and say what to check", function()
    fault { { path = "access_token", kind = "401" } }
    local result = run()
    assert.equal(3, result.code, result.err)
    assert.equal(1, #log "access_token")
    assert.is_truthy(result.err:find("CLIENT_ID", 1, true), result.err)
    assert.is_nil(result.err:find("a-secret-of-port", 1, true))
  end)

  it("nobody at the address: 3", function()
    local result = sync.resync(path, api, cwd, { port = "http://127.0.0.1:1", env = { MOONTIDE__PORT__RETRY_DEADLINE_SECONDS = "1" } })
    assert.equal(3, result.code, result.err)
  end)

  it("an address that is not Port's API: 3 and a message that says so", function()
    local result = sync.resync(path, api, cwd, { port = api.url, env = { MOONTIDE__PORT__RETRY_DEADLINE_SECONDS = "1" } })
    assert.equal(3, result.code, result.err)
    assert.is_truthy(result.err:find("BASE_URL", 1, true), result.err)
  end)

  for _, kind in ipairs { "429", "500", "502", "503", "html", "reset", "refuse" } do
    it("A-NET-05 " .. kind .. " for a while: the same catalog", function()
      fault { { path = "/entities/", kind = kind, times = 2 } }
      local result = run { env = { MOONTIDE__PORT__RETRY_DEADLINE_SECONDS = "20" } }
      assert.equal(0, result.code, result.err)
      assert.equal(60, sync.count(sync.entities(catalog.url, "item")))
    end)
  end

  for _, kind in ipairs { "429", "500", "503", "reset", "refuse", "stall" } do
    it(kind .. " for good on upserts: exit 1, nothing deleted, a final state", function()
      assert.equal(0, run().code)
      local items = sync.items(40)
      for _, item in ipairs(items) do item.name = "changed" end
      api:put("item", items)
      fault { { path = "/entities/bulk", kind = kind } }
      local result = run()
      assert.equal(1, result.code, result.err)
      assert.equal(60, sync.count(sync.entities(catalog.url, "item")))
      local states = log "/resync%-state"
      assert.equal("failed", support.json.decode(states[#states].body).status)
    end)
  end

  it("A-NET-10 an expired token is renewed once and the call repeated", function()
    fault { { path = "/entities/bulk", kind = "401", times = 1 } }
    local result = run()
    assert.equal(0, result.code, result.err)
    assert.equal(2, #log "access_token")
    assert.equal(60, sync.count(sync.entities(catalog.url, "item")))
  end)

  it("A-ENT-16 a 413 splits the bulk", function()
    fault { { path = "/entities/bulk", kind = "413", times = 1 } }
    local result = run()
    assert.equal(0, result.code, result.err)
    assert.equal(60, sync.count(sync.entities(catalog.url, "item")))
  end)

  it("A-ENT-26 a listing that fails deletes nothing and exits 1", function()
    assert.equal(0, run().code)
    api:put("item", sync.items(58))
    fault { { path = "datasource%-entities", kind = "500" } }
    fault { { path = "datasource-entities", kind = "500" } }
    assert.equal(1, run().code)
    assert.equal(60, sync.count(sync.entities(catalog.url, "item")))
  end)

  it("R-DIFF-12 a search that fails writes everything", function()
    assert.equal(0, run().code)
    fault { { path = "/entities/search", kind = "500" } }
    local result = run()
    assert.equal(0, result.code, result.err)
    assert.equal(60, sync.kind(result, "item").updated)
  end)

  it("A-INT-19 reports that fail never decide", function()
    fault { { path = "resync-state|syncMetrics|examples", kind = "html" } }
    assert.equal(0, run().code)
  end)

  it("A-EX-02 five raw examples of a kind, masked (A-EX-03)", function()
    local items = sync.items(20)
    items[1].note = "the token is canary-4711-secret"
    items[2].aws = "AKIAABCDEFGHIJKLMNOP"
    api:put("item", items)
    assert.equal(0, run({ env = { OCEAN__INTEGRATION__CONFIG__API_TOKEN = "canary-4711-secret" } }).code)
    local posts = log "/examples"
    assert.equal(1, #posts)
    local examples = support.json.decode(posts[1].body).examples
    assert.equal(5, #examples)
    assert.equal("the token is [REDACTED]", examples[1].note)
    assert.equal("[REDACTED]", examples[2].aws)
  end)

  it("R-RES-01 Port's stored mapping runs, not the file's, unless --local-mapping says so", function()
    assert.equal(0, run().code)
    sync.bundle { dir = cwd .. "/demo", mapping = sync.mapping:gsub("title: .name", "title: '.name + \"!\"'") }
    assert.equal(60, sync.kind(run(), "item").unchanged)
    assert.equal(60, sync.kind(run { args = { "--local-mapping" } }, "item").updated)
    assert.equal(60, sync.kind(run(), "item").unchanged)
  end)

  -- Each stage of a resync is held open by the proxy or by a stalling API; the signal comes while it lasts.
  local stages = {
    { "getting the token", { path = "access_token", kind = "stall" } },
    { "reading the integration", { path = "/integration/my", method = "GET", kind = "stall" } },
    { "reporting its start", { path = "/resync-state", kind = "stall", times = 1 } },
    { "fetching", nil, "^/item" },
    { "searching", { path = "/entities/search", kind = "stall" } },
    { "upserting", { path = "/entities/bulk", kind = "stall" } },
    { "listing", { path = "datasource-entities", kind = "stall" } },
    { "deleting", { path = "/entities/delete", kind = "stall" } },
  }
  for _, stage in ipairs(stages) do
    for name, code in pairs { INT = 130, TERM = 143 } do
      it("SIG" .. name .. " while " .. stage[1] .. ": exit " .. code .. ", state aborted", function()
        if stage[1] == "deleting" then
          assert.equal(0, run().code)
          api:put("item", sync.items(50))
        end
        if stage[2] then fault { stage[2] } end
        if stage[3] then api:fault { { path = stage[3], kind = "stall" } } end
        local command, options = sync.command(path, api, cwd, { port = url, env = { OCEAN__CLIENT_TIMEOUT = "50" } })
        local main = support.read(path .. "/main.lua"):gsub("timeout = 10", "timeout = 50, deadline = 50")
        support.write(path .. "/main.lua", main)
        local process = support.spawn({ "sh", "-c", 'echo started; exec "$0" "$@"', table.unpack(command) }, options)
        if stage[2] then
          support.request("GET", url .. "/__held")
        else
          repeat local seen = api:log() until #seen > 0
        end
        assert.equal(code, process:stop(name), select(2, process:output()))
        local states = log "/resync%-state"
        if #states > 0 then
          assert.equal("aborted", support.json.decode(states[#states].body).status)
        end
      end)
    end
  end
end)
