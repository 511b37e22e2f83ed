-- What a delete takes along, what the record remembers, and what the numbers say, in the corners of architecture 3.4.1 and 3.1.
local support = require "spec.support"
local sync = require "spec.support.sync"

local MAIN = [[
local tide = require "moontide"
local function walk(api, path)
  for page in api:pages(path, { per_page = 20 }) do coroutine.yield(page) end
end
local function client()
  return tide.http.client { base_url = tide.config.apiUrl, timeout = 1, deadline = 2, retries = 1 }
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
    for i, name in ipairs { ... } do list[i] = { name = name, org = "o" .. name } end
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
    api:put("orgs", named(table.unpack({ "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t" })))
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

  it("a start that fails says why in the report too", function()
    local path = bundle((sync.mapping:gsub("url: .url", "url: '.url | ('")))
    local result = run(path)
    assert.equal(2, result.code)
    assert.equal("failed", result.report.result)
    assert.is_truthy(result.report.errors[1].message:find("properties.url", 1, true))
  end)
end)
