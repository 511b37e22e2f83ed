-- Deletes are proven (architecture 3.4.1): an entity goes only when every resource that could have produced it ended normally.
local support = require "spec.support"
local sync = require "spec.support.sync"

-- Handlers named after their kinds: each yields /KIND; a kind called "scoped" walks one collection in each scope that /scopes lists.
local MAIN = [[
local tide = require "moontide"
local function walk(api, path)
  for page in api:pages(path, { per_page = 20 }) do coroutine.yield(page) end
end
local function client()
  return tide.http.client { base_url = tide.config.apiUrl, timeout = 10, deadline = 20, retries = 1 }
end
tide.on_resync("scoped", function(_, ctx)
  local api = client()
  for page in api:pages("/scopes", {}) do
    for _, scope in ipairs(page) do
      ctx:scope(scope.name, function() walk(api, "/" .. scope.path) end)
    end
  end
end)
tide.on_resync(function(kind)
  if kind ~= "scoped" then walk(client(), "/" .. kind) end
end)
]]

describe("deletes", function()
  local api, cwd
  before_each(function()
    api = sync.api()
    cwd = support.tmpdir()
  end)
  after_each(function()
    api:stop()
  end)

  local function bundle(mapping, options)
    return sync.bundle { dir = cwd .. "/demo", main = (options or {}).main or MAIN, mapping = mapping }
  end
  local function run(path, options)
    return sync.resync(path, api, cwd, options)
  end
  local function ids()
    local list = {}
    for id in pairs(sync.embedded(cwd)) do list[#list + 1] = id end
    table.sort(list, function(a, b) return #a == #b and a < b or #a < #b end)
    return table.concat(list, " ")
  end

  it("R-REC-02 removes what the API no longer has", function()
    local path = bundle(sync.mapping)
    api:put("item", sync.items(30))
    assert.equal(0, run(path).code)
    api:put("item", sync.items(28))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal(2, sync.kind(result, "item").deleted)
    assert.equal(28, sync.count(sync.embedded(cwd)))
  end)

  it("keeps a blueprint's entities when one of two resources that produce it fails", function()
    local path = bundle("resources:\n" .. sync.resource "open" .. sync.resource "closed")
    api:put("open", sync.items(3))
    api:put("closed", sync.items(3, 11))
    assert.equal(0, run(path).code)
    api:put("open", sync.items(2))
    api:fault { { path = "^/closed", kind = "500" } }
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal("1 2 3 11 12 13", ids())
    assert.is_truthy(result.report.withheld[1].reason:find("closed", 1, true), result.report.withheld[1].reason)
    assert.equal(4, result.report.withheld[1].count)
    api:fault {}
    assert.equal(0, run(path).code)
    assert.equal("1 2 11 12 13", ids())
  end)

  it("lets an entity move from one resource to another that shares the blueprint", function()
    local path = bundle("resources:\n" .. sync.resource "open" .. sync.resource "closed")
    api:put("open", sync.items(3))
    api:put("closed", sync.items(1, 11))
    assert.equal(0, run(path).code)
    api:put("open", sync.items(2))
    api:put("closed", sync.items(1, 3))
    assert.equal(0, run(path).code)
    assert.equal("1 2 3", ids())
  end)

  it("removes the entities of a resource that left the mapping", function()
    local path = bundle("resources:\n" .. sync.resource "item" .. sync.resource("other", { blueprint = "'\"group\"'" }))
    api:put("item", sync.items(3))
    api:put("other", {})
    assert.equal(0, run(path).code)
    bundle("resources:\n" .. sync.resource("other", { blueprint = "'\"group\"'" }))
    api:put("other", sync.items(20, 100))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal("", ids())
  end)

  it("keeps what a removed resource left when any other resource failed", function()
    local path = bundle("resources:\n" .. sync.resource "item" .. sync.resource("other", { blueprint = "'\"group\"'" }))
    api:put("item", sync.items(3))
    api:put("other", sync.items(20, 100))
    assert.equal(0, run(path).code)
    bundle("resources:\n" .. sync.resource("other", { blueprint = "'\"group\"'" }))
    api:fault { { path = "^/other", kind = "500" } }
    assert.equal(1, run(path).code)
    assert.equal("1 2 3", ids())
  end)

  it("protects the entity of an item that fails to map, and deletes the others (R-JQ-06)", function()
    local path = bundle("resources:\n" .. sync.resource("item", { query = "if .bad then error(\"no\") else true end" }))
    local items = sync.items(6)
    api:put("item", items)
    assert.equal(0, run(path).code)
    table.remove(items, 1)
    items[1].bad = true
    api:put("item", items)
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal(1, sync.kind(result, "item").failed)
    assert.equal("2 3 4 5 6", ids())
  end)

  it("withholds the resource when a failed item cannot say which entity it is", function()
    local path = bundle("resources:\n" .. sync.resource("item", { identifier = "if .bad then error(\"no\") else (.id | tostring) end" }))
    local items = sync.items(6)
    api:put("item", items)
    assert.equal(0, run(path).code)
    table.remove(items, 1)
    items[1].bad = true
    api:put("item", items)
    assert.equal(1, run(path).code)
    assert.equal("1 2 3 4 5 6", ids())
  end)

  it("skips an item without an identifier and withholds nothing (R-ENT-01)", function()
    local path = bundle("resources:\n" .. sync.resource("item", { identifier = ".key" }))
    api:put("item", { { key = "a", name = "a" }, { key = "b", name = "b" }, { key = "c", name = "c" } })
    assert.equal(0, run(path).code)
    api:put("item", { { key = "a", name = "a" }, { name = "b" }, { key = "c", name = "c" } })
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal(1, sync.kind(result, "item").skipped)
    assert.equal("a c", ids())
  end)

  local SCOPED = "resources:\n" .. sync.resource("scoped")
  local function scopes(...)
    local list = {}
    for i, name in ipairs { ... } do list[i] = { id = i, name = name, path = "of_" .. name } end
    api:put("scopes", list)
  end

  it("a failed scope keeps its own entities, and good ones beside it still lose theirs", function()
    local path = bundle(SCOPED)
    scopes("a", "b")
    api:put("of_a", sync.items(3))
    api:put("of_b", sync.items(3, 11))
    assert.equal(0, run(path).code)
    api:put("of_a", sync.items(2))
    api:put("of_b", sync.items(2, 11))
    api:fault { { path = "^/of_b", kind = "500" } }
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal("1 2 11 12 13", ids())
  end)

  it("a scope that is gone loses its entities when the handler ended normally", function()
    local path = bundle(SCOPED)
    scopes("a", "b")
    api:put("of_a", sync.items(9))
    api:put("of_b", sync.items(1, 11))
    assert.equal(0, run(path).code)
    scopes("a")
    assert.equal(0, run(path).code)
    assert.equal("1 2 3 4 5 6 7 8 9", ids())
  end)

  it("a deleted state file costs time, never an entity: unknown scopes are kept while any scope fails", function()
    local path = bundle(SCOPED)
    scopes("a", "b")
    api:put("of_a", sync.items(3))
    api:put("of_b", sync.items(3, 11))
    assert.equal(0, run(path).code)
    os.execute("rm -f " .. cwd .. "/.moontide/state.db*")
    api:put("of_a", sync.items(2))
    api:fault { { path = "^/of_b", kind = "500" } }
    assert.equal(1, run(path).code)
    assert.equal("1 2 3 11 12 13", ids())
    api:fault {}
    assert.equal(0, run(path).code)
    assert.equal("1 2 11 12 13", ids())
  end)

  it("--kind deletes only what the kinds that ran can prove", function()
    local path = bundle("resources:\n" .. sync.resource "item" .. sync.resource("other", { blueprint = "'\"group\"'" })
      .. sync.resource "third")
    api:put("item", sync.items(3))
    api:put("third", sync.items(1, 50))
    api:put("other", sync.items(3, 100))
    assert.equal(0, run(path).code)
    api:put("item", sync.items(2))
    api:put("other", sync.items(2, 100))
    local result = run(path, { args = { "--kind", "other" } })
    assert.equal(0, result.code, result.err)
    assert.equal(2, sync.count(sync.embedded(cwd, "group")))
    assert.equal("1 2 3 50", ids())
    result = run(path, { args = { "--kind", "item" } })
    assert.equal(0, result.code)
    assert.equal("1 2 3 50", ids())
    assert.is_truthy(result.report.withheld[1].reason:find("--kind", 1, true))
  end)

  it("--limit deletes nothing and is complete", function()
    local path = bundle(sync.mapping)
    api:put("item", sync.items(60))
    assert.equal(0, run(path).code)
    api:put("item", sync.items(50))
    local result = run(path, { args = { "--limit", "5" } })
    assert.equal(0, result.code, result.err)
    assert.equal(5, sync.kind(result, "item").items)
    assert.equal(60, sync.count(sync.embedded(cwd)))
  end)

  it("R-REC-04 the threshold keeps everything and says so; the base is listed and produced together (R-REC-06)", function()
    local path = bundle("entityDeletionThreshold: 0.5\n" .. sync.mapping)
    api:put("item", sync.items(10))
    assert.equal(0, run(path).code)
    api:put("item", sync.items(4))
    local result = run(path)
    assert.equal(0, result.code)
    assert.equal(10, sync.count(sync.embedded(cwd)))
    assert.is_truthy(result.report.withheld[1].reason:find("entityDeletionThreshold", 1, true))
    api:put("item", sync.items(5))
    assert.equal(0, run(path).code)
    assert.equal(5, sync.count(sync.embedded(cwd)))
  end)

  it("R-REC-08 a relation target of a produced entity is not deleted", function()
    local mapping = "resources:\n" .. sync.resource("groups", { blueprint = "'\"group\"'", identifier = ".name" })
      :gsub("properties:\n            url: .url\n", "properties: {}\n")
      .. sync.resource "item" .. "          relations:\n            group: .group\n"
    local path = bundle(mapping)
    api:put("groups", { { name = "g0" }, { name = "g1" }, { name = "g2" }, { name = "lonely" } })
    api:put("item", sync.items(6))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    api:put("groups", { { name = "g0" } })
    result = run(path)
    assert.equal(0, result.code, result.err)
    local groups = sync.embedded(cwd, "group")
    assert.is_nil(groups.lonely)
    assert.is_truthy(groups.g1 and groups.g2 and groups.g0)
  end)

  it("a dynamic blueprint: a failing resource keeps what the record says it produced, no more", function()
    local dynamic = function(kind) return sync.resource(kind, { blueprint = ".bp // \"item\"" }) end
    local path = bundle("resources:\n" .. dynamic "first" .. dynamic "second")
    api:put("first", sync.items(3))
    api:put("second", sync.items(3, 11))
    local first = run(path)
    assert.equal(0, first.code, first.err)
    api:put("first", sync.items(2))
    api:put("second", sync.items(2, 11))
    api:fault { { path = "^/second", kind = "500" } }
    assert.equal(1, run(path).code)
    assert.equal("1 2 11 12 13", ids())
  end)

  it("a record with a gap proves nothing: after a kill -9 what failed keeps all that it could have produced", function()
    local dynamic = function(kind) return sync.resource(kind, { blueprint = ".bp // \"item\"" }) end
    local path = bundle("resources:\n" .. dynamic "first" .. dynamic "second")
    api:put("first", sync.items(3))
    api:put("second", sync.items(3, 11))
    assert.equal(0, run(path).code)
    local function asked()
      return select(2, support.json.encode(api:log()):gsub("/second", ""))
    end
    local before = asked()
    -- Killed in the middle: what it had produced by then need not be in the record.
    api:fault { { path = "^/second", kind = "stall" } }
    local command, options = sync.command(path, api, cwd)
    local killed = support.spawn({ "sh", "-c", 'echo begun; exec "$@"', "sh", table.unpack(command) }, options)
    support.await("the page that never comes", function()
      return asked() > before
    end)
    killed:stop "KILL"
    api:put("first", sync.items(2))
    api:fault { { path = "^/second", kind = "500" } }
    for _ = 1, 2 do -- a run that has not made it good again leaves it as it is
      local failed = run(path)
      assert.equal(1, failed.code)
      assert.equal("1 2 3 11 12 13", ids(), failed.err)
    end
    api:fault {}
    assert.equal(0, run(path).code)
    assert.equal("1 2 11 12 13", ids())
    api:put("first", sync.items(1))
    api:fault { { path = "^/second", kind = "500" } }
    assert.equal(1, run(path).code)
    assert.equal("1 11 12 13", ids())
  end)

  it("an entity of another integration on the same catalog stays", function()
    local path = bundle(sync.mapping)
    api:put("item", sync.items(3))
    assert.equal(0, run(path, { env = { OCEAN__INTEGRATION__IDENTIFIER = "first" } }).code)
    api:put("item", sync.items(3, 11))
    assert.equal(0, run(path, { env = { OCEAN__INTEGRATION__IDENTIFIER = "second" } }).code)
    assert.equal("1 2 3 11 12 13", ids())
  end)

  it("a script that swallows a failed request withholds all the same, and exits 1", function()
    local path = bundle(sync.mapping, { main = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl, timeout = 10, deadline = 20, retries = 1 }
  local res = api:get("/" .. kind, { per_page = 100 })
  if not res then return end
  coroutine.yield(res:json())
end)
]] })
    api:put("item", sync.items(10))
    assert.equal(0, run(path).code)
    api:fault { { path = "^/item", kind = "500" } }
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal(10, sync.count(sync.embedded(cwd)))
  end)

  it("a page chain left by break withholds; pages:stop() says that the rest is not wanted", function()
    local main = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl }
  local pages = api:pages("/" .. kind, { per_page = 20 })
  for page in pages do
    coroutine.yield(page)
    %s
  end
end)
]]
    api:put("item", sync.items(60))
    local path = bundle(sync.mapping)
    assert.equal(0, run(path).code)
    bundle(sync.mapping, { main = main:format "break" })
    assert.equal(1, run(path).code)
    assert.equal(60, sync.count(sync.embedded(cwd)))
    bundle(sync.mapping, { main = main:format "pages:stop()" })
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal(20, sync.count(sync.embedded(cwd)))
  end)
end)
