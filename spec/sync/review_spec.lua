-- What a delete takes along, what the record remembers, and what the numbers say, in the corners of architecture 3.4.1 and 3.1.
local support = require "spec.support"
local sync = require "spec.support.sync"

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

local BLUEPRINTS = [[
[{"identifier":"org","title":"Org","schema":{"properties":{"url":{"type":"string"}},"required":[]},"relations":{}},
 {"identifier":"group","title":"Group","schema":{"properties":{"url":{"type":"string"}},"required":[]},
  "relations":{"org":{"target":"org","many":false,"required":false}}},
 {"identifier":"item","title":"Item","schema":{"properties":{"url":{"type":"string"}},"required":[]},
  "relations":{"group":{"target":"group","many":false,"required":false}}}]
]]

describe("resync in corners", function()
  local api, cwd
  before_each(function()
    api = sync.api()
    cwd = support.tmpdir()
  end)
  after_each(function()
    api:stop()
  end)

  local function bundle(mapping, main)
    return sync.bundle { dir = cwd .. "/demo", main = main or MAIN, mapping = mapping, blueprints = BLUEPRINTS }
  end
  local function run(path, options)
    return sync.resync(path, api, cwd, options)
  end
  local function ids(blueprint)
    local list = {}
    for id in pairs(sync.embedded(cwd, blueprint)) do list[#list + 1] = id end
    table.sort(list, function(a, b) return #a == #b and a < b or #a < #b end)
    return table.concat(list, " ")
  end
  local function named(...)
    local list = {}
    for i, name in ipairs { ... } do list[i] = { name = tostring(name), org = "o" .. name } end
    return list
  end

  local CHAIN = "resources:\n" .. sync.resource("orgs", { blueprint = "'\"org\"'", identifier = ".name" })
    .. sync.resource("groups", { blueprint = "'\"group\"'", identifier = ".name" }) .. "          relations:\n            org: .org\n"
    .. sync.resource "item" .. "          relations:\n            group: .group\n"

  it("a proven delete does not take along an entity that is withheld, directly or through another", function()
    local path = bundle(CHAIN)
    api:put("orgs", named("og0", "og1", "og2", "oleft"))
    api:put("groups", named("g0", "g1", "g2", "left"))
    api:put("item", sync.items(6))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    api:put("orgs", named "og0")
    api:put("groups", named "g0")
    api:fault { { path = "^/item", kind = "500" } }
    result = run(path)
    assert.equal(1, result.code)
    assert.equal("1 2 3 4 5 6", ids "item")
    assert.equal("g0 g1 g2", ids "group")
    assert.equal("og0 og1 og2", ids "org")
    assert.equal(2, sync.kind(result, "groups").withheld)
    assert.equal(1, sync.kind(result, "groups").deleted)
  end)

  it("R-REC-08 without createMissingRelatedEntities the target goes, and what was produced stays", function()
    local path = bundle("createMissingRelatedEntities: false\n" .. CHAIN)
    api:put("orgs", named("og0", "og1", "og2"))
    api:put("groups", named("g0", "g1", "g2"))
    api:put("item", sync.items(6))
    assert.equal(0, run(path).code)
    api:put("groups", named("g0", "g1"))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal("g0 g1", ids "group")
    assert.equal("1 2 3 4 5 6", ids "item")
  end)

  it("what a search identifier found in a scope is kept when that scope fails", function()
    bundle("resources:\n" .. sync.resource "base")
    api:put("base", sync.items(4))
    assert.equal(0, run(cwd .. "/demo").code)
    local path = bundle("resources:\n" .. sync.resource("scoped", {
      identifier = [[{combinator: '"and"', rules: [{property: '"$identifier"', operator: '"="', value: .id | tostring}]}]] }))
    api:put("scopes", { { id = 1, name = "a", path = "of_a" }, { id = 2, name = "b", path = "of_b" } })
    api:put("of_a", sync.items(2))
    api:put("of_b", sync.items(2, 3))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal("1 2 3 4", ids "item")
    api:fault { { path = "^/of_b", kind = "500" } }
    result = run(path)
    assert.equal(1, result.code)
    assert.equal("1 2 3 4", ids "item")
    api:fault {}
    api:put("of_b", sync.items(1, 3))
    result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal("1 2 3", ids "item")
  end)

  it("a search identifier that Port refuses withholds its blueprint, whatever the record says", function()
    bundle("resources:\n" .. sync.resource("first", { blueprint = ".bp // \"item\"" }))
    api:put("first", sync.items(2))
    assert.equal(0, run(cwd .. "/demo").code)
    local path = bundle("resources:\n" .. sync.resource("first", { blueprint = ".bp // \"item\"" })
      .. sync.resource("second", { blueprint = ".bp // \"item\"",
        identifier = [[{combinator: '"and"', rules: [{property: '"$identifier"', operator: '"="', value: .id | tostring}]}]] }))
    api:put("first", sync.items(1))
    api:put("second", { { id = 2, name = "b", url = { "not", "text" } } })
    local result = run(path)
    assert.equal(1, result.code)
    assert.equal("1 2", ids "item")
  end)

  it("the record still knows which resource is which after their order in the mapping has changed", function()
    local main = [[
local tide = require "moontide"
tide.on_resync(function(_, ctx)
  local api = tide.http.client { base_url = tide.config.apiUrl, timeout = 10, deadline = 20, retries = 1 }
  for page in api:pages("/" .. ctx.selector.path, { per_page = 20 }) do coroutine.yield(page) end
end)
]]
    local first = sync.resource("item", { blueprint = ".bp // \"item\"", selector = "      path: first\n" })
    local second = sync.resource("item", { blueprint = ".bp // \"item\"", selector = "      path: second\n" })
    api:put("first", sync.items(3))
    api:put("second", sync.items(3, 11))
    assert.equal(0, run(bundle("resources:\n" .. first .. second, main)).code)
    api:put("second", sync.items(2, 11))
    api:fault { { path = "^/first", kind = "500" } }
    assert.equal(1, run(bundle("resources:\n" .. second .. first, main)).code)
    local left = " " .. ids "item" .. " "
    for id = 1, 3 do assert.is_truthy(left:find(" " .. id .. " ", 1, true), left) end
  end)

  it("an item that failed to map does not lose its place in the record", function()
    local dynamic = { blueprint = ".bp // \"item\"", query = "if .bad then error(\"no\") else true end" }
    local path = bundle("resources:\n" .. sync.resource("first", dynamic) .. sync.resource("second", dynamic))
    api:put("first", sync.items(3))
    api:put("second", sync.items(3, 3))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    local items = sync.items(3)
    items[3].bad = true
    api:put("first", items)
    assert.equal(1, run(path).code)
    api:put("second", sync.items(2, 4))
    api:fault { { path = "^/first", kind = "500" } }
    assert.equal(1, run(path).code)
    assert.equal("1 2 3 4 5", ids "item")
  end)

  it("--limit inside a scope is complete", function()
    local path = bundle("resources:\n" .. sync.resource "scoped")
    api:put("scopes", { { id = 1, name = "a", path = "of_a" }, { id = 2, name = "b", path = "of_b" } })
    api:put("of_a", sync.items(50))
    api:put("of_b", sync.items(50, 51))
    local result = run(path, { args = { "--limit", "5" } })
    assert.equal(0, result.code, result.err)
    assert.equal("complete", result.report.result)
    assert.equal(5, sync.kind(result, "scoped").items)
  end)

  it("plan exits 2 when all there is to do is to delete what no constant blueprint of the mapping names", function()
    bundle("resources:\n" .. sync.resource "item" .. sync.resource("orgs", { blueprint = "'\"org\"'", identifier = ".name" }))
    api:put("item", sync.items(2))
    api:put("orgs", named(("abcdefghijklmnopqrst"):byte(1, -1)))
    assert.equal(0, run(cwd .. "/demo").code)
    local path = bundle("resources:\n" .. sync.resource("orgs", { blueprint = "'\"org\"'", identifier = ".name" }))
    local result = run(path, { command = "plan" })
    assert.is_truthy(result.out:find('"change":"delete"', 1, true), result.out)
    assert.equal(2, result.code, result.err)
    result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal("", ids "item")
    assert.is_truthy(result.err:find("2 entities of blueprint item", 1, true), "deletes that no line of the report counts: " .. result.err)
  end)

  it("deletes of a dynamic blueprint are counted with the resource that makes it", function()
    local path = bundle("resources:\n" .. sync.resource("item", { blueprint = ".bp // \"item\"" }))
    api:put("item", sync.items(30))
    assert.equal(0, run(path).code)
    api:put("item", sync.items(28))
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.equal(2, sync.kind(result, "item").deleted)
  end)

  it("R-TOPO an entity of a cycle that lands in two steps counts as created", function()
    local path = sync.bundle { dir = cwd .. "/demo", mapping = "createMissingRelatedEntities: false\nresources:\n" .. sync.resource "item"
      .. "          relations:\n            next: .next\n", blueprints = [[
[{"identifier":"item","title":"Item","schema":{"properties":{"url":{"type":"string"}},"required":[]},
  "relations":{"next":{"target":"item","many":false,"required":false}}}] ]] }
    local items = sync.items(2)
    items[1].next, items[2].next = "2", "1"
    api:put("item", items)
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.same({ 2, 0 }, { sync.kind(result, "item").created, sync.kind(result, "item").updated })
  end)

  it("deletes dependants before what they point at and counts each of them", function()
    local path = bundle(CHAIN)
    api:put("orgs", named("og0", "og1", "og2"))
    api:put("groups", named("g0", "g1", "g2"))
    api:put("item", sync.items(30))
    assert.equal(0, run(path).code)
    local items = {}
    for _, item in ipairs(sync.items(30)) do
      if item.group ~= "g2" then items[#items + 1] = item end
    end
    api:put("orgs", named("og0", "og1"))
    api:put("groups", named("g0", "g1"))
    api:put("item", items)
    local result = run(path)
    assert.equal(0, result.code, result.err)
    assert.same({ 10, 1, 1 }, { sync.kind(result, "item").deleted, sync.kind(result, "groups").deleted, sync.kind(result, "orgs").deleted })
  end)

  describe("with a Port that fails", function()
    local catalog, proxy, url
    before_each(function()
      catalog = sync.catalog(cwd .. "/port.db")
      proxy = support.spawn { "node", support.root .. "/spec/support/proxy.mjs", "--target", catalog.url }
      url = proxy.line:match "listening (%S+)"
    end)
    after_each(function()
      proxy:stop "KILL"
      catalog:stop()
    end)
    local function fault(list)
      support.request("POST", url .. "/__fault", support.json.encode(list))
    end
    local function calls(pattern)
      local bodies, n = {}, 0
      for _, entry in ipairs(support.json.decode(support.request("GET", url .. "/__log").body)) do
        if entry.url:find(pattern) and not bodies[entry.body] then bodies[entry.body], n = true, n + 1 end
      end
      return n
    end
    local options = function() return { port = url, env = { MOONTIDE__PORT__RETRY_DEADLINE_SECONDS = "1" } } end

    it("R-DIFF-12 searches that fail for good are not tried for every chunk", function()
      local path = bundle(sync.mapping)
      api:put("item", sync.items(2000))
      fault { { path = "/entities/search", kind = "500" } }
      local result = run(path, options())
      assert.equal(0, result.code, result.err)
      assert.equal(2000, sync.kind(result, "item").created)
      -- three, and what five appliers had begun
      assert.is_true(calls "/entities/search" <= 8, calls "/entities/search" .. " chunks were asked for")
    end)

    it("deletes end when Port is gone, as upserts do", function()
      local path = bundle("entityDeletionThreshold: 1\n" .. sync.mapping)
      api:put("item", sync.items(2000))
      assert.equal(0, run(path, options()).code)
      api:put("item", sync.items(20))
      fault { { path = "/entities/delete", kind = "refuse" } }
      local result = run(path, options())
      assert.equal(1, result.code, result.err)
      assert.is_true(calls "/entities/delete" <= 8, calls "/entities/delete" .. " bulks were sent")
      assert.equal(2000, sync.count(sync.entities(catalog.url, "item")))
    end)
  end)

  it("a start that fails says why in the report too", function()
    local path = bundle((sync.mapping:gsub("url: .url", "url: '.url | ('")))
    local result = run(path)
    assert.equal(2, result.code)
    assert.equal("failed", result.report.result)
    assert.is_truthy(result.report.errors[1].message:find("properties.url", 1, true))
  end)
end)
