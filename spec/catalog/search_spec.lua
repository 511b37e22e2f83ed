local client = require "spec.catalog.client"
local support = require "spec.support"
local null = support.json.null

describe("searching the catalog", function()
  local catalog

  setup(function()
    catalog = client.start()
    catalog:blueprint "team"
    catalog:blueprint("service", {
      name = { type = "string" }, size = { type = "number" }, tags = { type = "array" }, at = { type = "string" },
      on = { type = "boolean" }, note = { type = "string" },
    }, { owner = { target = "team" }, uses = { target = "service", many = true } })
    catalog:bulk("service", {
      { identifier = "a", title = "Alpha", team = "red", properties = { name = "alpha", size = 5, tags = { "x", "y" },
        at = "2026-01-01T00:00:00Z", on = true, note = null }, relations = { owner = "t1" } },
      { identifier = "b", title = "Beta", team = { "red", "blue" }, properties = { name = "beta", size = 10, tags = {},
        at = "2026-01-01T03:00:00+02:00" }, relations = { owner = "t2", uses = { "a" } } },
      { identifier = "c", properties = { name = "", size = 2.5 } },
    })
    catalog:bulk("service", { { identifier = "foreign", title = "Gamma" } },
      { agent = "port-ocean/other/2/x/exporter" })
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
  end)

  local function find(...)
    local rules = { { property = "$blueprint", operator = "=", value = "service" }, ... }
    local _, names = catalog:search { combinator = "and", rules = rules }
    return table.concat(names, " ")
  end

  for _, case in ipairs {
    { "$identifier", "=", "a", "a" }, { "$identifier", "!=", "a", "b c foreign" },
    { "$identifier", "in", { "a", "c", "zz" }, "a c" }, { "$identifier", "in", { "a", "a" }, "a" },
    { "$identifier", "notIn", { "a", "c" }, "b foreign" },
    { "$identifier", "beginsWith", "for", "foreign" }, { "$identifier", "doesNotBeginWith", "for", "a b c" },
    { "$identifier", "endsWith", "ign", "foreign" }, { "$identifier", "doesNotEndWith", "ign", "a b c" },
    { "$title", "contains", "lph", "a" }, { "$title", "doesNotContain", "lph", "b c foreign" }, { "$title", "isEmpty",
    nil, "c" },
    { "$title", "isNotEmpty", nil, "a b foreign" }, { "$team", "=", "red", "a b" }, { "$team", "contains", "blue",
    "b" },
    { "$datasource", "contains", "port-ocean/demo/", "a b c" }, { "$createdAt", ">", "2020-01-01T00:00:00Z",
    "a b c foreign" },
    { "$updatedAt", "<", "2020-01-01T00:00:00Z", "" }, { "size", "=", 5, "a" }, { "size", ">", 4, "a b" }, { "size",
    ">=", 5, "a b" },
    { "size", "<", 5, "c" }, { "size", "<=", 5, "a c" }, { "size", "in", { 10, 5 }, "a b" },
    { "size", "between", { from = 3, to = 5 }, "a" }, { "size", "notBetween", { from = 3, to = 10 }, "c foreign" },
    { "at", "=", "2026-01-01T00:00:00Z", "a" }, { "at", ">", "2026-01-01T00:30:00Z", "b" }, { "on", "=", true, "a" },
    { "tags", "contains", "x", "a" }, { "tags", "containsAny", { "q", "y" }, "a" }, { "tags", "isEmpty", nil,
    "b c foreign" },
    { "name", "=", "beta", "b" }, { "name", "isEmpty", nil, "c foreign" }, { "note", "=", null, "a b c foreign" },
    { "owner", "=", "t2", "b" },
    { "uses", "contains", "a", "b" }, { "owner", "isNotEmpty", nil, "a b" }, { "nothing", "=", "x", "" }, { "$icon",
    "isEmpty", nil, "a b c foreign" },
  } do
    it(("by %s %s finds '%s' (A-SRV-08)"):format(case[1], case[2], case[4]), function()
      assert.equal(case[4], find { property = case[1], operator = case[2], value = case[3] })
    end)
  end

  it("answers the three shapes that the framework sends (A-ENT-29)", function()
    local owned = {
      { property = "$datasource", operator = "contains", value = "port-ocean/demo/" },
      { property = "$datasource", operator = "contains", value = "/demo-1/exporter" },
    }
    local _, names = catalog:search { combinator = "and", rules = {
      { property = "$identifier", operator = "in", value = { "a", "foreign", "b" } },
      { property = "$blueprint", operator = "=", value = "service" }, owned[1], owned[2],
    } }
    assert.same({ "a", "b" }, names)
    local function one(identifier, blueprint)
      return { combinator = "and", rules = { { property = "$identifier", operator = "=", value = identifier },
        { property = "$blueprint", operator = "=", value = blueprint } } }
    end
    local either = { combinator = "or", rules = { one("a", "service"), one("t1", "team"), one("a", "team") } }
    _, names = catalog:search { combinator = "and", rules = { either, owned[1] } }
    assert.same({ "a", "t1" }, names)
    _, names = catalog:search { combinator = "and", rules = { { combinator = "or", rules = {} } } }
    assert.same({}, names)
  end)

  it("nests and goes over all blueprints", function()
    local _, names = catalog:search { combinator = "or", rules = {
      { property = "size", operator = ">", value = 9 },
      { combinator = "and", rules = { { property = "$blueprint", operator = "=", value = "team" },
        { property = "$identifier", operator = "=", value = "t1" } } },
    } }
    assert.same({ "b", "t1" }, names)
  end)

  it("answers exactly the members asked for, nulls included, absent ones not (A-SRV-07)", function()
    local query = { combinator = "and", rules = { { property = "$identifier", operator = "=", value = "a" },
      { property = "$blueprint", operator = "=", value = "service" } } }
    local found = catalog:search(query, { "identifier", "team", "properties.size", "properties.note", "properties.none",
      "relations.owner", "relations.uses" })
    assert.same({ { identifier = "a", team = "red", properties = { size = 5, note = null },
      relations = { owner = "t1" } } }, found)
    assert.same({ { title = "Alpha" } }, (catalog:search(query, { "title", "icon" })))
    local whole = catalog:ok("POST", "/v1/entities/search", query).entities[1]
    assert.equal("alpha", whole.properties.name)
    assert.is_truthy(whole.updatedAt)
    local status, answer = catalog:call("POST", "/v1/entities/search?include=colour", query)
    assert.equal(422, status)
    assert.matches("colour", answer.message)
  end)

  it("refuses what is no query, and says why", function()
    local deep = '{"property":"$title","operator":"=","value":1}'
    for _ = 1, 30 do
      deep = '{"combinator":"and","rules":[' .. deep .. "]}"
    end
    for body, expected in pairs {
      ["{}"] = "combinator", ['{"combinator":"and"}'] = "rules", ['{"combinator":"nor","rules":[]}'] = '"nor"',
      ['{"combinator":"and","rules":[5]}'] = "object", ['{"combinator":"and","rules":[{}]}'] = "operator",
      ['{"combinator":"and","rules":[{"property":"a","operator":"like","value":1}]}'] = '"like"',
      ['{"combinator":"and","rules":[{"operator":"=","value":1}]}'] = "no property",
      ['{"combinator":"and","rules":[{"property":"$nope","operator":"=","value":1}]}'] = '"$nope"',
      ['{"combinator":"and","rules":[{"property":"a","operator":"="}]}'] = "no value",
      ['{"combinator":"and","rules":[{"property":"a","operator":"in","value":1}]}'] = "list",
      ['{"combinator":"and","rules":[{"property":"a","operator":"between","value":1}]}'] = "from",
      [deep] = "nested deeper",
    } do
      local status, answer = catalog:call("POST", "/v1/entities/search", body)
      assert.equal(422, status, body)
      assert.matches(expected, answer.message, 1, true)
    end
  end)
end)

describe("the ownership listing", function()
  local catalog
  local prefix, suffix = "port-ocean/demo/", "/demo-1/exporter"

  setup(function()
    catalog = client.start()
    catalog:blueprint("item", nil, { parent = { target = "item" } })
    local mine, theirs = {}, {}
    for i = 1, 25 do
      mine[i], theirs[i] = { identifier = "m" .. i }, { identifier = "o" .. i }
    end
    catalog:bulk("item", mine)
    catalog:bulk("item", theirs, { agent = "port-ocean/demo/0.1.0/demo-2/exporter" })
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
  end)

  local function list(body)
    body.datasource_prefix, body.datasource_suffix = body.datasource_prefix or prefix, body.datasource_suffix or suffix
    return catalog:ok("POST", "/v1/blueprints/entities/datasource-entities", body)
  end

  it("goes page by page until next is null, also while entities go (A-ENT-24, A-SRV-06)", function()
    local seen, count, from = {}, 0, nil
    repeat
      local page = list { limit = 10, from = from }
      for _, entity in ipairs(page.entities) do
        assert.equal("item", entity.blueprint)
        assert.is_nil(seen[entity.identifier])
        seen[entity.identifier], count = true, count + 1
      end
      if not from then
        catalog:ok("DELETE", "/v1/blueprints/item/entities/m1") -- on the page that was read
      end
      from = page.next
    until from == null
    assert.equal(25, count)
    catalog:bulk("item", { { identifier = "m1" } })
  end)

  it("ends on a page that is exactly full", function()
    local page = list { limit = 25 }
    assert.equal(25, #page.entities)
    assert.equal(null, page.next)
    assert.equal(25, #list({}).entities)
  end)

  it("ignores the version of the writer, not its type, name or feature (A-SRV-03, A-COM-05)", function()
    catalog:bulk("item", { { identifier = "m1" } }, { agent = "port-ocean/demo/9.9.9/demo-1/exporter" })
    assert.equal(25, #list({}).entities)
    assert.equal(0, #list({ datasource_suffix = "/demo-1/gitops" }).entities)
    assert.equal(0, #list({ datasource_prefix = "port-ocean/dem/" }).entities)
    catalog:bulk("item", { { identifier = "m2" } }, { agent = "port-ocean/demo/0.1.0/demo-2/exporter" })
    assert.equal(24, #list({}).entities)
    catalog:bulk("item", { { identifier = "m2" } })
  end)

  it("leaves out what was written since `before`, also equal writes (A-SRV-04)", function()
    local before = catalog:entity("item", "m3").updatedAt:gsub("Z$", "+00:00")
    catalog:bulk("item", { { identifier = "m3" } })
    local names = {}
    for _, entity in ipairs(list({ before = before }).entities) do
      names[entity.identifier] = true
    end
    assert.is_nil(names.m3)
    assert.equal(0, #list({ before = "2020-01-01T00:00:00.000000+00:00" }).entities)
    assert.equal(25, #list({ before = "2999-01-01T00:00:00Z" }).entities)
  end)

  it("refuses tokens, times and limits that are none", function()
    for body, expected in pairs {
      ["{}"] = "datasource_prefix",
      ['{"datasource_prefix":"a","datasource_suffix":"b","from":"x"}'] = "token",
      ['{"datasource_prefix":"a","datasource_suffix":"b","from":"99999999999999999999"}'] = "token",
      ['{"datasource_prefix":"a","datasource_suffix":"b","from":5}'] = "from",
      ['{"datasource_prefix":"a","datasource_suffix":"b","before":"soon"}'] = "before",
      ['{"datasource_prefix":"a","datasource_suffix":"b","limit":0}'] = "limit",
      ['{"datasource_prefix":"a","datasource_suffix":"b","limit":"x"}'] = "limit",
    } do
      local status, answer = catalog:call("POST", "/v1/blueprints/entities/datasource-entities", body)
      assert.equal(422, status, body)
      assert.matches(expected, answer.message, 1, true)
    end
  end)
end)
