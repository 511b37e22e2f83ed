-- `moontide resync`: what lands, what is left alone, what the report and the exit code say.
local support = require "spec.support"
local sync = require "spec.support.sync"

describe("resync", function()
  local api, cwd
  before_each(function()
    api = sync.api()
    cwd = support.tmpdir()
  end)
  after_each(function()
    api:stop()
  end)

  local function run(path, options)
    return sync.resync(path, api, cwd, options)
  end

  it("maps what the API has into the embedded catalog, and a second run writes nothing (R-DIFF-03)", function()
    local path = sync.bundle { dir = cwd .. "/demo" }
    api:put("item", sync.items(250))
    local first = run(path)
    assert.equal(0, first.code, first.err)
    local kind = sync.kind(first, "item")
    assert.same({ 13, 250, 250, 250, 250, 0, 0, 0 },
      { kind.pages, kind.items, kind.selected, kind.mapped, kind.created, kind.updated, kind.unchanged, kind.failed })
    assert.equal("complete", first.report.result)
    local second = sync.kind(run(path), "item")
    assert.same({ 0, 0, 250, 0 }, { second.created, second.updated, second.unchanged, second.deleted })
    local found = sync.embedded(cwd)
    assert.equal(250, sync.count(found))
    assert.same({ url = "https://example.com/7" }, found["7"].properties)
    assert.equal("item 7", found["7"].title)
  end)

  it("writes only what changed, small batches too (the flaw of R-DIFF-02)", function()
    local path = sync.bundle { dir = cwd .. "/demo" }
    local items = sync.items(5)
    api:put("item", items)
    assert.equal(0, run(path).code)
    items[3].name = "another name"
    api:put("item", items)
    local kind = sync.kind(run(path), "item")
    assert.same({ 0, 1, 4 }, { kind.created, kind.updated, kind.unchanged })
    assert.equal("another name", sync.embedded(cwd)["3"].title)
  end)

  it("R-DIFF-06 a change of the icon alone is written", function()
    local mapping = sync.mapping:gsub("title: .name", "title: .name\n          icon: .icon")
    local path = sync.bundle { dir = cwd .. "/demo", mapping = mapping }
    api:put("item", { { id = 1, name = "a", icon = "Github" } })
    assert.equal(0, run(path).code)
    api:put("item", { { id = 1, name = "a", icon = "Gitlab" } })
    assert.equal(1, sync.kind(run(path), "item").updated)
    assert.equal(1, sync.kind(run(path), "item").unchanged)
  end)

  it("R-DIFF-09 the last of two versions of an entity wins, in one batch and across batches", function()
    local path = sync.bundle { dir = cwd .. "/demo" }
    local items = sync.items(50)
    items[#items + 1] = { id = 1, name = "later" }
    items[2].id, items[3].id = 2, 2
    api:put("item", items)
    assert.equal(0, run(path).code)
    local found = sync.embedded(cwd)
    assert.equal("later", found["1"].title)
    assert.equal("item 3", found["2"].title)
  end)

  it("R-MAP-07 without any mapping it ends with 2 and says where one would be", function()
    local path = sync.bundle { dir = cwd .. "/demo" }
    os.remove(path .. "/.port/resources/port-app-config.yml")
    local result = run(path)
    assert.equal(2, result.code)
    assert.is_truthy(result.err:find("port-app-config", 1, true), result.err)
  end)

  it("an expression that does not compile stops the start and names file, kind and field", function()
    local path = sync.bundle { dir = cwd .. "/demo", mapping = sync.mapping:gsub("url: .url", "url: '.url | ('") }
    local result = run(path)
    assert.equal(2, result.code)
    for _, word in ipairs { "port-app-config.yml", "item", "properties.url", ".url | (" } do
      assert.is_truthy(result.err:find(word, 1, true), word .. " is not in: " .. result.err)
    end
  end)

  it("R-RES-05 a kind without a handler fails its own resource only", function()
    local main = sync.main:gsub("tide.on_resync%(function%(kind, ctx%)", 'tide.on_resync("item", function(kind, ctx)')
    local path = sync.bundle { dir = cwd .. "/demo", main = main,
      mapping = "resources:\n" .. sync.resource("nobody", { blueprint = "'\"group\"'" }) .. sync.resource "item" }
    api:put("item", sync.items(3))
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal(3, sync.kind(result, "item").created)
    assert.is_truthy(result.err:find("nobody", 1, true))
  end)

  it("a handler that raises fails its kind with file, line and traceback; the next kind goes on (R-RES-09)", function()
    local main = 'local tide = require "moontide"\ntide.on_resync("broken", function()\n  local x = nil\n  return x.y\nend)\n'
      .. sync.main:gsub('local tide = require "moontide"\n', "")
    main = main:gsub("tide.on_resync%(function", 'tide.on_resync("item", function')
    local path = sync.bundle { dir = cwd .. "/demo", main = main,
      mapping = "resources:\n" .. sync.resource("broken", { blueprint = "'\"group\"'" }) .. sync.resource "item" }
    api:put("item", sync.items(3))
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal(3, sync.kind(result, "item").created)
    assert.is_truthy(result.err:find("main.lua:4", 1, true), result.err)
  end)

  it("R-RAW-01 a batch that is no array of objects is refused with its place", function()
    local cases = { { "{ a = 1 }", "array" }, { "{ {id = 1}, 5 }", "2" }, { "7", "number" } }
    for _, case in ipairs(cases) do
      local path = sync.bundle { dir = cwd .. "/demo",
        main = ('local tide = require "moontide"\ntide.on_resync(function()\n  coroutine.yield(%s)\nend)\n'):format(case[1]) }
      local result = run(path)
      assert.equal(1, result.code)
      assert.is_truthy(result.err:find("main.lua:3", 1, true), result.err)
      assert.is_truthy(result.err:find(case[2], 1, true), result.err)
    end
  end)

  it("names options of a selector that no handler read", function()
    local path = sync.bundle { dir = cwd .. "/demo",
      mapping = "resources:\n" .. sync.resource("item", { selector = "      stats: open\n" }) }
    api:put("item", sync.items(1))
    local result = run(path)
    assert.equal(0, result.code)
    assert.is_truthy(result.err:find("stats", 1, true), result.err)
  end)

  it("R-ENT-06 names an empty field once, with its count and its expression", function()
    local path = sync.bundle { dir = cwd .. "/demo", mapping = sync.mapping:gsub("url: .url", "url: .nope") }
    api:put("item", sync.items(45))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    local _, times = result.err:gsub("properties%.url", "")
    assert.equal(1, times, result.err)
    assert.is_truthy(result.err:find("45", 1, true), result.err)
  end)

  it("R-ENT-06 an empty field that the blueprint requires is an error, not a warning", function()
    local path = sync.bundle { dir = cwd .. "/demo", mapping = sync.mapping:gsub("url: .url", "url: .nope"),
      blueprints = sync.blueprints:gsub('("label":{"type":"string"}},"required":%[)%]', '%1"url"]') }
    api:put("item", sync.items(3))
    local result = run(path)
    assert.equal(1, result.code)
    assert.is_truthy(result.err:find("ERROR kind item: properties.url is empty for 3 of 3 entities", 1, true), result.err)
  end)

  it("two resyncs of one identifier on one state file exclude each other; the second says who holds it", function()
    local slow = sync.api("--latency", "400")
    slow:put("item", sync.items(60))
    local path = sync.bundle { dir = cwd .. "/demo" }
    local catalog = sync.catalog(cwd .. "/port.db")
    local proxy = support.spawn { "node", support.root .. "/spec/support/proxy.mjs", "--target", catalog.url }
    local url = proxy.line:match "listening (%S+)"
    support.request("POST", url .. "/__fault", '[{"path":"/resync-state","kind":"hold","times":1}]')
    local command, options = sync.command(path, slow, cwd, { port = url })
    local first = support.spawn({ "sh", "-c", 'echo started; exec "$0" "$@"', table.unpack(command) }, options)
    support.request("GET", url .. "/__held")
    local second = run(path, { port = url })
    assert.equal(2, second.code, second.err)
    assert.is_truthy(second.err:find(tostring(first.pid), 1, true), second.err)
    support.request("POST", url .. "/__release")
    assert.equal(0, first:wait())
    slow:stop()
    proxy:stop()
    catalog:stop()
  end)

  it("a usage error ends with 2", function()
    assert.equal(2, support.run({ support.bin, "resync" }).code)
    assert.equal(2, support.run({ support.bin, "resync", cwd .. "/nothing" }).code)
    local path = sync.bundle { dir = cwd .. "/demo" }
    assert.equal(2, run(path, { args = { "--limit", "none" } }).code)
    assert.equal(2, run(path, { args = { "--kind", "unknown" } }).code)
    assert.equal(2, run(path, { args = { "--unknown" } }).code)
  end)

  it("R-TOPO refused entities land in dependency order with their whole content, cycles too", function()
    local mapping = "createMissingRelatedEntities: false\nresources:\n" .. sync.resource "item"
      .. "          relations:\n            next: .next\n"
    local path = sync.bundle { dir = cwd .. "/demo", mapping = mapping, blueprints = [[
[{"identifier":"item","title":"Item","schema":{"properties":{"url":{"type":"string"}},"required":[]},
  "relations":{"next":{"target":"item","many":false,"required":false}}}] ]] }
    local items = sync.items(40)
    for i = 1, 39 do items[i].next = tostring(i + 1) end
    items[40].next = "35" -- a cycle at the end of the chain
    api:put("item", items)
    local result = run(path)
    assert.equal(0, result.code, result.err)
    local found = sync.embedded(cwd)
    assert.equal(40, sync.count(found))
    assert.equal("2", found["1"].relations.next)
    assert.equal("35", found["40"].relations.next)
    assert.equal("https://example.com/40", found["40"].properties.url)
  end)

  it("an entity that Port refuses for good is named, exits 1, and its neighbours land", function()
    local path = sync.bundle { dir = cwd .. "/demo", mapping = sync.mapping:gsub("url: .url", "url: .url\n            label: .label") }
    local items = sync.items(30)
    items[7].label = { "not", "text" }
    api:put("item", items)
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal(29, sync.count(sync.embedded(cwd)))
    assert.is_truthy(result.err:find("label", 1, true), result.err)
    assert.equal(1, sync.kind(result, "item").failed)
  end)

  it("runs the hooks around the kinds", function()
    local path = sync.bundle { dir = cwd .. "/demo", main = sync.main .. [[
tide.on_start(function() tide.log.warn("hook: start") end)
tide.on_resync_start(function() tide.log.warn("hook: resync start") end)
tide.on_resync_complete(function() tide.log.warn("hook: complete") end)
]] }
    api:put("item", sync.items(1))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.is_truthy(result.err:find("hook: start.*hook: resync start.*hook: complete"), result.err)
  end)

  it("a failed request in a hook withholds every kind (R-RES-02)", function()
    local path = sync.bundle { dir = cwd .. "/demo" }
    api:put("item", sync.items(3))
    assert.equal(0, run(path).code)
    sync.bundle { dir = cwd .. "/demo", main = sync.main .. [[
tide.on_resync_start(function()
  assert(tide.http.client { base_url = tide.config.apiUrl }:get("/nowhere"))
end)
]] }
    api:put("item", sync.items(2))
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal(3, sync.count(sync.embedded(cwd)))
  end)

  it("a secret of the configuration is in no log, report or example", function()
    local path = sync.bundle { dir = cwd .. "/demo", main = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl, auth = tide.http.bearer(tide.config.apiToken) }
  tide.log.warn("token %s", tide.config.apiToken)
  assert(api:get("/nowhere?token=" .. "x"))
end)
]] }
    local result = run(path, { env = { OCEAN__INTEGRATION__CONFIG__API_TOKEN = "canary-4711-secret" } })
    assert.equal(1, result.code)
    assert.is_nil((result.out .. result.err):find("canary-4711-secret", 1, true))
    assert.equal("Bearer canary-4711-secret", api:log()[1].authorization)
  end)
end)

describe("plan", function()
  it("--json gives one change a line, then the report", function()
    local api, cwd = sync.api(), support.tmpdir()
    local path = sync.bundle { dir = cwd .. "/demo" }
    local items = sync.items(2)
    api:put("item", items)
    assert.equal(0, sync.resync(path, api, cwd).code)
    items[1].name = "renamed"
    items[2] = { id = 3, name = "new" }
    api:put("item", items)
    local result = sync.resync(path, api, cwd, { command = "plan" })
    assert.equal(2, result.code, result.err)
    local found = {}
    for _, line in ipairs(support.json.lines(result.out)) do
      if line.change then found[line.change .. " " .. line.blueprint .. "/" .. line.identifier] = line end
    end
    assert.same({ { path = "title", from = "item 1", to = "renamed" } }, found["update item/1"].fields)
    assert.is_truthy(found["create item/3"])
    assert.is_truthy(found["delete item/2"].reason)
    assert.equal(1, sync.kind(result, "item").deleted)
    api:stop()
  end)

  it("lists creates, updates field by field and deletes with their reason, and changes nothing", function()
    local api, cwd = sync.api(), support.tmpdir()
    local path = sync.bundle { dir = cwd .. "/demo" }
    local items = sync.items(4)
    api:put("item", items)
    local function plan(args)
      local command, options = sync.command(path, api, cwd, { command = "plan" })
      table.remove(command, 4) -- --json
      table.move(args or {}, 1, #(args or {}), #command + 1, command)
      return support.run(command, options)
    end
    local fresh = plan()
    assert.equal(2, fresh.code, fresh.err)
    assert.is_truthy(fresh.out:find("+ item/1", 1, true), fresh.out)
    assert.is_false(support.exists(cwd .. "/.moontide/catalog.db"))
    assert.is_false(support.exists(cwd .. "/.moontide/state.db"))
    assert.equal(0, sync.resync(path, api, cwd).code)
    assert.equal(0, plan().code)
    items[1].name = "renamed"
    items[4] = { id = 5, name = "new" }
    api:put("item", items)
    local changed = plan()
    assert.equal(2, changed.code, changed.err)
    assert.is_truthy(changed.out:find('~ item/1\n    title: "item 1" -> "renamed"', 1, true), changed.out)
    assert.is_truthy(changed.out:find("+ item/5", 1, true), changed.out)
    assert.is_truthy(changed.out:find("%- item/4%s+%(not produced"), changed.out)
    assert.equal("item 1", sync.embedded(cwd)["1"].title)
    api:fault { { path = "^/item", kind = "404" } }
    assert.equal(1, plan().code)
    api:stop()
  end)
end)
