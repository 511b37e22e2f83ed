local client = require "spec.catalog.client"
local support = require "spec.support"
local null = support.json.null

describe("blueprints in the catalog", function()
  local catalog

  before_each(function()
    catalog = client.start()
  end)

  after_each(function()
    assert.equal(0, catalog:stop())
  end)

  it("are answered with what a client needs of them (A-BP-01)", function()
    catalog:ok("POST", "/v1/blueprints", '{"identifier":"bare","title":null,"schema":{}}')
    local answer = catalog:ok("GET", "/v1/blueprints/bare").blueprint
    assert.same({}, answer.schema.properties)
    assert.same({}, answer.relations)
    assert.equal("bare", answer.identifier)
    catalog:ok("POST", "/v1/blueprints",
      '{"identifier":"linked","schema":{},"relations":{"to":{"target":"bare","title":"To","many":null}}}')
    assert.same({ target = "bare", title = "To", many = false, required = false },
      catalog:ok("GET", "/v1/blueprints/linked").blueprint.relations.to)
    assert.equal(2, #catalog:ok("GET", "/v1/blueprints").blueprints)
    assert.equal(404, (catalog:call("GET", "/v1/blueprints/none")))
  end)

  it("are made in stages whose members add up (A-BP-07)", function()
    catalog:ok("POST", "/v1/blueprints",
      '{"identifier":"a","title":"A","icon":"I","schema":{"properties":{"x":{"type":"string"}}}}')
    catalog:ok("PATCH", "/v1/blueprints/a", '{"identifier":"a","relations":{"self":{"target":"a"}}}')
    catalog:ok("PATCH", "/v1/blueprints/a", '{"mirrorProperties":{"m":{"path":"self.x"}}}')
    local a = catalog:ok("GET", "/v1/blueprints/a").blueprint
    assert.equal("a", a.relations.self.target)
    assert.equal("string", a.schema.properties.x.type)
    assert.equal("self.x", a.mirrorProperties.m.path)
    assert.equal("I", a.icon)
    catalog:ok("PUT", "/v1/blueprints/a", '{"identifier":"a","schema":{"properties":{}}}')
    assert.is_nil(catalog:ok("GET", "/v1/blueprints/a").blueprint.mirrorProperties)
  end)

  it("are refused when they are none, with what is wrong", function()
    catalog:blueprint "there"
    for body, expected in pairs {
      ["{}"] = "needs an identifier",
      ['{"identifier":""}'] = "must not be empty",
      ['{"identifier":5}'] = "needs an identifier",
      ['{"identifier":"x"}'] = "needs a schema",
      ['{"identifier":"x","title":5,"schema":{}}'] = "title",
      ['{"identifier":"x","schema":{"properties":[]}}'] = "schema.properties",
      ['{"identifier":"x","schema":{"properties":{"a":5}}}'] = '"a"',
      ['{"identifier":"x","schema":{"properties":{"a":{"type":5}}}}'] = '"a"',
      ['{"identifier":"x","schema":{"properties":{"a":{"enum":5}}}}'] = '"a"',
      ['{"identifier":"x","schema":{"properties":{"a":{"type":"array","items":5}}}}'] = '"a"',
      ['{"identifier":"x","schema":{"properties":{},"required":["b"]}}'] = '"b"',
      ['{"identifier":"x","schema":{"properties":{},"required":5}}'] = "required",
      ['{"identifier":"x","schema":{},"relations":[]}'] = "relations must be an object",
      ['{"identifier":"x","schema":{},"relations":{"r":{}}}'] = '"r"',
      ['{"identifier":"x","schema":{},"relations":{"r":{"target":"gone"}}}'] = '"gone"',
      ['{"identifier":"x","schema":{},"relations":{"r":{"target":"there","many":1}}}'] = '"r"',
      ['{"identifier":"x","schema":{"properties":{"r":{}}},"relations":{"r":{"target":"there"}}}'] = '"r"',
    } do
      local status, answer = catalog:call("POST", "/v1/blueprints", body)
      assert.equal(422, status, body)
      assert.matches(expected, answer.message, 1, true)
    end
    assert.equal(409, (catalog:call("POST", "/v1/blueprints", '{"identifier":"there","schema":{}}')))
    assert.equal(404, (catalog:call("PATCH", "/v1/blueprints/gone", "{}")))
    assert.equal(422, (catalog:call("PATCH", "/v1/blueprints/there", '{"identifier":"other"}')))
    assert.equal(1, #catalog:ok("GET", "/v1/blueprints").blueprints)
  end)

  it("of a type that nobody knows take values as they come", function()
    catalog:blueprint("odd", { state = { type = "enum", enum = { "Up", "Down" } } })
    assert.is_nil(catalog:refusal("odd", { identifier = "a", properties = { state = "Up" } }))
    assert.matches("enum", catalog:refusal("odd", { identifier = "a", properties = { state = "Sideways" } }).message)
  end)

  it("take properties and changed relations out of their entities when those go", function()
    catalog:blueprint "t"
    catalog:blueprint("a", { x = { type = "string" }, y = { type = "string" } },
      { r = { target = "t" }, many = { target = "t", many = true } })
    catalog:bulk("a", { { identifier = "1", properties = { x = "x", y = "y" }, relations = { r = "t1",
      many = { "t1" } } } })
    catalog:ok("PATCH", "/v1/blueprints/a", { schema = { properties = { y = { type = "string" } } },
      relations = { r = { target = "t" }, many = { target = "t", many = false } } })
    local entity = catalog:entity("a", "1")
    assert.same({ y = "y" }, entity.properties)
    assert.same({ r = "t1" }, entity.relations)
    catalog:ok("DELETE", "/v1/blueprints/t/entities/t1")
    assert.same({ r = null }, catalog:entity("a", "1").relations)
  end)

  it("are deleted when empty, with what points at them, so that a roll-back works (A-BP-09)", function()
    catalog:blueprint "t"
    catalog:blueprint("a", nil, { r = { target = "t", required = true } })
    catalog:bulk("a", { { identifier = "1", relations = { r = "t1" } } })
    local status, answer = catalog:call("DELETE", "/v1/blueprints/t")
    assert.equal(409, status)
    assert.matches("1 entities", answer.message)
    catalog:ok("DELETE", "/v1/blueprints/a/entities/1")
    catalog:ok("DELETE", "/v1/blueprints/t/entities/t1")
    catalog:ok("DELETE", "/v1/blueprints/t")
    assert.same({}, catalog:ok("GET", "/v1/blueprints/a").blueprint.relations)
    assert.equal(404, (catalog:call("DELETE", "/v1/blueprints/t")))
  end)

  it("go with all their entities, as a migration that is over (A-BP-10, A-MIG-01)", function()
    catalog:blueprint "t"
    catalog:blueprint("a", nil, { r = { target = "t", required = true } })
    catalog:bulk("a", { { identifier = "1", relations = { r = "t1" } }, { identifier = "2",
      relations = { r = "t2" } } })
    local id = catalog:ok("DELETE", "/v1/blueprints/t/all-entities?delete_blueprint=true").migrationId
    local migration = catalog:ok("GET", "/v1/migrations/" .. id).migration
    assert.same({ "COMPLETE", "t", id }, { migration.status, migration.sourceBlueprint, migration.id })
    assert.equal(404, (catalog:call("GET", "/v1/blueprints/t")))
    assert.same({ "1", "2" }, catalog:identifiers "a")
    assert.equal(404, (catalog:call("GET", "/v1/migrations/nothing")))
    catalog:ok("DELETE", "/v1/blueprints/a/all-entities?delete_blueprint=false")
    assert.same({}, catalog:identifiers "a")
  end)

  it("have scorecards, and actions and pages are kept beside them (A-BP-11, A-BP-12, A-BP-13)", function()
    catalog:blueprint "a"
    for _ = 1, 2 do -- the embedded catalog's client sends them at every start
      catalog:ok("POST", "/v1/blueprints/a/scorecards", { identifier = "s", rules = {} })
      catalog:ok("POST", "/v1/actions", { identifier = "act" })
      catalog:ok("POST", "/v1/pages", { identifier = "p" })
    end
    assert.equal(404, (catalog:call("POST", "/v1/blueprints/none/scorecards", { identifier = "s" })))
    assert.equal(422, (catalog:call("POST", "/v1/actions", { title = "no identifier" })))
    catalog:ok("DELETE", "/v1/pages/p")
    assert.equal(404, (catalog:call("DELETE", "/v1/pages/p")))
  end)
end)
