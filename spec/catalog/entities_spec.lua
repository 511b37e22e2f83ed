local client = require "spec.catalog.client"
local support = require "spec.support"
local null = support.json.null

describe("entities in the catalog", function()
  local catalog

  setup(function()
    catalog = client.start()
    catalog:blueprint("team")
    catalog:blueprint("service", {
      url = { type = "string", format = "url" },
      email = { type = "string", format = "email" },
      at = { type = "string", format = "date-time" },
      v4 = { type = "string", format = "ipv4" },
      v6 = { type = "string", format = "ipv6" },
      text = { type = "string" },
      count = { type = "number" },
      on = { type = "boolean" },
      any = { type = "object" },
      list = { type = "array" },
      names = { type = "array", items = { type = "string" } },
      links = { type = "array", items = { type = "string", format = "url" } },
      level = { type = "string", enum = { "low", "high" } },
      step = { type = "number", enum = { 1, 2 } },
    }, { owner = { target = "team" }, uses = { target = "service", many = true } })
    catalog:blueprint("strict", { name = { type = "string" } }, { owner = { target = "team", required = true } },
      { "name" })
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
  end)

  local function accepted(entity, options)
    local err = catalog:refusal("service", entity, options)
    assert.is_nil(err, err and err.message)
  end

  local function refused(entity, pattern, status, options)
    local err = assert(catalog:refusal(options and options.blueprint or "service", entity, options), "it was accepted")
    assert.equal(status or 422, err.statusCode)
    assert.matches(pattern, err.message)
    return err
  end

  it("are answered by index, with the new ones marked, errors beside successes (A-ENT-13)", function()
    local status, answer = catalog:bulk("service", {
      { identifier = "i0" }, { identifier = "i1", properties = { nope = 1 } }, { identifier = "i2" }, "text",
        { title = "x" },
    })
    assert.equal(207, status)
    assert.same({ { index = 0, identifier = "i0", created = true }, { index = 2, identifier = "i2", created = true } },
      answer.entities)
    assert.equal(3, #answer.errors)
    assert.same({ 1, 3, 4 }, { answer.errors[1].index, answer.errors[2].index, answer.errors[3].index })
    assert.equal("i1", answer.errors[1].identifier)
    assert.equal(422, answer.errors[1].statusCode)
    status, answer = catalog:bulk("service", { { identifier = "i0" } })
    assert.equal(200, status)
    assert.same({ { index = 0, identifier = "i0", created = false } }, answer.entities)
    assert.same({}, answer.errors)
  end)

  it("of more than 20 in a bulk are accepted (A-SRV-12)", function()
    local many = {}
    for i = 1, 250 do
      many[i] = { identifier = "many-" .. i }
    end
    local status, answer = catalog:bulk("service", many)
    assert.equal(200, status)
    assert.equal(250, #answer.entities)
  end)

  for _, case in ipairs {
    { "text", '"x"', "5" }, { "count", "5", '"5"' }, { "on", "false", "0" }, { "any", '{"a":[1]}', "[1]" },
    { "list", "[1,\"a\",null]", "{}" }, { "names", '["a"]', '["a",1]' }, { "links", '["http://a/"]', '["a"]' },
    { "url", '"https://a.example/?b#c"', '"a.example"' }, { "url", '"mailto:a@b"', '"https://a b"' },
    { "email", '"a@b.example"', '"a.b"' }, { "email", '"a+c@b"', '"a@@b"' },
    { "at", '"2026-11-23T09:43:28Z"', '"yesterday"' }, { "at", '"2026-11-23T09:43:28.123+02:00"', '"2026-11-23"' },
    { "at", '"2026-02-28T00:00:00Z"', '"2026-13-40T99:00:00Z"' },
    { "v4", '"10.0.0.1"', '"10.0.0.256"' }, { "v6", '"fe80::1"', '"fe80::1::2"' },
    { "level", '"low"', '"middle"' }, { "step", "1.0", "3" },
  } do
    it(("have %s = %s, and not %s (type, format, enum)"):format(case[1], case[2], case[3]), function()
      accepted(('{"identifier":"typed","properties":{"%s":%s}}'):format(case[1], case[2]))
      refused(('{"identifier":"typed","properties":{"%s":%s}}'):format(case[1], case[3]), '"' .. case[1] .. '"')
      accepted(('{"identifier":"typed","properties":{"%s":null}}'):format(case[1]))
    end)
  end

  it("with properties or relations that the blueprint lacks are refused by name", function()
    refused({ identifier = "u", properties = { colour = "red" } }, 'no property "colour"')
    refused({ identifier = "u", relations = { boss = "b" } }, 'no relation "boss"')
    refused({ identifier = "u", nonsense = 1 }, '"nonsense" is no member')
    assert.is_nil(catalog:entity("service", "u"))
  end)

  it("have identifiers of 1 to 500 bytes; numbers become text", function()
    accepted { identifier = ("x"):rep(500) }
    refused({ identifier = ("x"):rep(501) }, "501 bytes")
    refused({ identifier = "" }, "must not be empty")
    refused('{"identifier":"a\\u0000b"}', "NUL")
    for _, wrong in ipairs { "null", "true", "[]" } do
      refused('{"identifier":' .. wrong .. "}", "identifier must be")
    end
    refused({ title = "x" }, "no identifier")
    local _, answer = catalog:bulk("service", '{"entities":[{"identifier":12345678901234567},{"identifier":5.0}]}')
    assert.equal("12345678901234567", answer.entities[1].identifier)
    assert.equal("5", answer.entities[2].identifier)
  end)

  it("have texts as title and icon, and a text, list or null as team", function()
    accepted { identifier = "t", title = "T", icon = "Github", team = "one" }
    assert.equal("one", catalog:entity("service", "t").team)
    accepted { identifier = "t", team = { "one", "two" } }
    assert.same({ "one", "two" }, catalog:entity("service", "t").team)
    accepted { identifier = "t", team = null, title = null }
    assert.is_nil(catalog:entity("service", "t").title)
    assert.equal("Github", catalog:entity("service", "t").icon)
    refused({ identifier = "t", title = 5 }, "title must be text")
    refused({ identifier = "t", icon = {} }, "icon must be text")
    refused({ identifier = "t", team = 5 }, "team must be")
    refused({ identifier = "t", team = { 5 } }, "team must be")
  end)

  it("keep what a merge does not mention, and lose it without (A-SRV-09)", function()
    accepted { identifier = "m", title = "M", team = "a", properties = { text = "x", count = 1 },
      relations = { owner = "o" } }
    accepted { identifier = "m", properties = { count = null } }
    local entity = catalog:entity("service", "m")
    assert.same({ "M", "a", "x", null, "o" },
      { entity.title, entity.team, entity.properties.text, entity.properties.count, entity.relations.owner })
    accepted({ identifier = "m", properties = { on = true } }, { merge = false })
    entity = catalog:entity("service", "m")
    assert.same({ on = true }, entity.properties)
    assert.same({}, entity.relations)
    assert.is_nil(entity.title)
    assert.is_nil(entity.team)
  end)

  it("keep numbers as they were spelled (A-SRV-07)", function()
    accepted '{"identifier":"n","properties":{"any":{"a":5,"b":5.0,"c":9007199254740993,"d":1e3}}}'
    local _, body = catalog:call("GET", "/v1/blueprints/service/entities/n", nil, { raw = true })
    assert.matches('{"a":5,"b":5.0,"c":9007199254740993,"d":1e3}', body, 1, true)
  end)

  it("move their update time with every write, also an equal one, and never their creation (A-SRV-04)", function()
    accepted { identifier = "time", properties = { text = "same" } }
    local before = catalog:entity("service", "time")
    accepted { identifier = "time", properties = { text = "same" } }
    local after = catalog:entity("service", "time")
    assert.is_true(after.updatedAt > before.updatedAt)
    assert.equal(before.createdAt, after.createdAt)
  end)

  it("relate to one or many, as the blueprint says", function()
    refused({ identifier = "r", relations = { owner = { "a" } } }, '"owner" must be one identifier')
    refused({ identifier = "r", relations = { uses = "a" } }, '"uses" must be a list')
    refused({ identifier = "r", relations = { uses = { 5 } } }, "no identifier")
    refused({ identifier = "r", relations = { owner = "" } }, "must not be empty")
    refused({ identifier = "r", relations = { owner = 5 } }, '"owner" must be one identifier')
    accepted { identifier = "r", relations = { owner = null, uses = { "r", "other" } } }
    assert.same({ "r", "other" }, catalog:entity("service", "r").relations.uses)
  end)

  it("make missing targets, which belong to who asked (A-SRV-10, R-REC-08)", function()
    accepted({ identifier = "bare-1", relations = { owner = "bare-team" } }, { agent = "port-ocean/x/1/mine/exporter" })
    assert.same({}, catalog:entity("team", "bare-team").properties)
    local _, names = catalog:search { combinator = "and", rules = {
      { property = "$identifier", operator = "=", value = "bare-team" },
      { property = "$datasource", operator = "=", value = "port-ocean/x/1/mine/exporter" },
    } }
    assert.same({ "bare-team" }, names)
  end)

  it("are refused for a missing target when it must not be made (A-SRV-10, A-ENT-05)", function()
    local err = refused({ identifier = "lonely", relations = { owner = "nobody" } }, '"nobody"', 404,
      { create = false })
    assert.equal("not_found", err.error)
    assert.is_nil(catalog:entity("service", "lonely"))
    local status, answer = catalog:call("POST",
      "/v1/blueprints/service/entities?upsert=true&merge=true&create_missing_related_entities=false",
      { identifier = "lonely", relations = { owner = "nobody" } })
    assert.equal(404, status)
    assert.equal(false, answer.ok)
    assert.equal("not_found", answer.error)
    accepted({ identifier = "self", relations = { uses = { "self" } } }, { create = false })
  end)

  it("leave nothing behind when they are refused", function()
    refused({ identifier = "bad", properties = { count = "x" }, relations = { owner = "never-made" } }, "count")
    assert.is_nil(catalog:entity("service", "bad"))
    assert.is_nil(catalog:entity("team", "never-made"))
  end)

  it("need what the blueprint requires, unless a merge finds it", function()
    local strict = { blueprint = "strict" }
    refused({ identifier = "q", relations = { owner = "t" } }, 'property "name" is required', 422, strict)
    refused({ identifier = "q", properties = { name = "n" } }, 'relation "owner" is required', 422, strict)
    assert.is_nil(catalog:refusal("strict", { identifier = "q", properties = { name = "n" },
      relations = { owner = "t" } }))
    assert.is_nil(catalog:refusal("strict", { identifier = "q", title = "only" }))
    refused({ identifier = "q", properties = { name = null } }, 'property "name" is required', 422, strict)
    refused({ identifier = "q", title = "only" }, "is required", 422, { blueprint = "strict", merge = false })
  end)

  it("are only checked with validation_only, and not replaced without upsert", function()
    local path = "/v1/blueprints/service/entities?upsert=%s&validation_only=%s&create_missing_related_entities=true"
    catalog:ok("POST", path:format("true", "true"), { identifier = "v", relations = { owner = "v-team" } })
    assert.is_nil(catalog:entity("service", "v"))
    assert.is_nil(catalog:entity("team", "v-team"))
    local status, answer = catalog:call("POST", path:format("false", "false"), { identifier = "v", title = "V" })
    assert.equal(201, status)
    assert.equal("V", answer.entity.title)
    status, answer = catalog:call("POST", path:format("false", "false"), { identifier = "v", title = "W" })
    assert.equal(409, status)
    assert.equal("conflict", answer.error)
    assert.equal("V", catalog:entity("service", "v").title)
    assert.equal(400, (catalog:call("POST", path:format("maybe", "false"), { identifier = "v" })))
  end)

  it("must be of the blueprint of the address, which must exist", function()
    refused({ identifier = "w", blueprint = "team" }, 'the address names "service"')
    accepted { identifier = "w", blueprint = "service" }
    local status, answer = catalog:bulk("nowhere", { { identifier = "w" } })
    assert.equal(404, status)
    assert.equal("not_found", answer.error)
    assert.equal(404, (catalog:call("GET", "/v1/blueprints/nowhere/entities")))
    assert.equal(404, (catalog:call("GET", "/v1/blueprints/service/entities/nobody")))
  end)

  it("are found by a search identifier: one match, none is unknown, several are refused (A-SRV-11)", function()
    local function by(value)
      return { combinator = "and", rules = { { property = "text", operator = "=", value = value } } }
    end
    accepted { identifier = "s1", properties = { text = "unique" } }
    accepted { identifier = "s2", properties = { text = "double" } }
    accepted { identifier = "s3", properties = { text = "double" } }
    local _, answer = catalog:bulk("service", {
      { identifier = by "unique", title = "found" }, { identifier = by "nothing" }, { identifier = by "double" },
      { identifier = { combinator = "xor", rules = {} } },
    })
    assert.same({ { index = 0, identifier = "s1", created = false } }, answer.entities)
    assert.equal("found", catalog:entity("service", "s1").title)
    assert.equal("unknown", answer.errors[1].identifier)
    assert.not_equal("unknown", answer.errors[2].identifier)
    assert.matches("more than one", answer.errors[2].message)
    assert.matches("combinator", answer.errors[3].message)
  end)

  it("resolve search relations and search teams", function()
    catalog:blueprint "_team"
    catalog:bulk("_team", { { identifier = "red", title = "Red" }, { identifier = "blue", title = "Blue" } })
    catalog:bulk("team", { { identifier = "t-red", title = "Red" }, { identifier = "t-two", title = "Two" },
      { identifier = "t-too", title = "Two" } })
    local function titled(value)
      return { combinator = "and", rules = { { property = "$title", operator = "=", value = value } } }
    end
    accepted { identifier = "sr", team = titled "Red", relations = { owner = titled "Red", uses = titled "found" } }
    local entity = catalog:entity("service", "sr")
    assert.same({ "red" }, entity.team)
    accepted { identifier = "sr2", team = { "green", titled "Blue" } }
    assert.same({ "green", "blue" }, catalog:entity("service", "sr2").team)
    assert.equal("t-red", entity.relations.owner)
    assert.same({ "s1" }, entity.relations.uses)
    accepted { identifier = "sr", relations = { owner = titled "Nobody" } }
    assert.equal(null, catalog:entity("service", "sr").relations.owner)
    refused({ identifier = "sr", relations = { owner = titled "Two" } }, "more than one")
  end)

  it("with addresses that need escapes are found, '+' being itself (A-COM-10)", function()
    for written, identifier in pairs {
      ["a%2Fb%3Fc%23d%25e"] = "a/b?c#d%e", ["a+b%20c"] = "a+b c", ["%C3%A4%E6%9C%88"] = "ä月",
      ["%27%3B%20DROP%20TABLE%20entity%3B--"] = "'; DROP TABLE entity;--", ["%2E%2E"] = "..", ["%22%25_"] = '"%_',
    } do
      accepted { identifier = identifier }
      assert.equal(identifier, catalog:entity("service", written).identifier)
      assert.equal(200, (catalog:call("DELETE", "/v1/blueprints/service/entities/" .. written)))
      assert.equal(404, (catalog:call("DELETE", "/v1/blueprints/service/entities/" .. written)))
    end
  end)
end)

describe("deleting entities", function()
  local catalog

  setup(function()
    catalog = client.start()
    catalog:blueprint "team"
    catalog:blueprint("service", { size = { type = "number" } }, { owner = { target = "team" },
      seen = { target = "team", many = true } })
    catalog:blueprint("badge", nil, { of = { target = "service", required = true } })
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
  end)

  local function delete(blueprint, list, dependents)
    return catalog:ok("POST", ("/v1/blueprints/%s/bulk/entities/delete?delete_dependents=%s"):format(blueprint,
      tostring(dependents)), { entities = list }).deletedEntities
  end

  it("empties optional relations, without touching owner and update time of the other", function()
    catalog:bulk("service", { { identifier = "s", properties = { size = 7 }, relations = { owner = "t", seen = { "t",
      "u" } } } })
    local before = catalog:entity("service", "s")
    assert.same({ "t" }, delete("team", { "t", "unknown" }, false))
    local after = catalog:entity("service", "s")
    assert.same({ owner = null, seen = { "u" } }, after.relations)
    assert.same({ size = 7 }, after.properties)
    assert.equal(before.updatedAt, after.updatedAt)
    assert.same({ "u" }, catalog:identifiers "team")
  end)

  it("is refused while a required relation needs the entity (delete_dependents=false)", function()
    catalog:bulk("service", { { identifier = "needed" } })
    catalog:bulk("badge", { { identifier = "b", relations = { of = "needed" } } })
    assert.same({}, delete("service", { "needed" }, false))
    local status, answer = catalog:call("DELETE", "/v1/blueprints/service/entities/needed?delete_dependents=false")
    assert.equal(409, status)
    assert.matches('"b" of "badge"', answer.message)
    assert.is_truthy(catalog:entity("service", "needed"))
    assert.same({ "b" }, delete("badge", { "b" }, false))
    assert.same({ "needed" }, delete("service", { "needed" }, false))
  end)

  it("takes dependants along with delete_dependents=true, also round a cycle", function()
    catalog:blueprint("node", nil, { next = { target = "node", required = true } })
    catalog:bulk("node", { { identifier = "a", relations = { next = "b" } } })
    catalog:bulk("node", { { identifier = "b", relations = { next = "c" } }, { identifier = "c",
      relations = { next = "a" } } })
    assert.same({ "a", "b", "c" }, catalog:identifiers "node")
    assert.same({ "b" }, delete("node", { "b" }, true))
    assert.same({}, catalog:identifiers "node")
  end)

  it("of a chain in one request does not depend on its order", function()
    catalog:bulk("node", { { identifier = "x", relations = { next = "x" } } })
    catalog:bulk("node", { { identifier = "y", relations = { next = "x" } }, { identifier = "z",
      relations = { next = "y" } } })
    assert.same({ "x", "y", "z" }, delete("node", { "x", "y", "z" }, false))
  end)

  it("refuses bodies that are none", function()
    for _, body in ipairs { "{}", '{"entities":"a"}', '{"entities":[1]}' } do
      assert.equal(422, (catalog:call("POST", "/v1/blueprints/team/bulk/entities/delete", body)))
    end
    assert.equal(400, (catalog:call("POST", "/v1/blueprints/team/bulk/entities/delete?delete_dependents=1",
      { entities = { "a" } })))
    assert.equal(404, (catalog:call("POST", "/v1/blueprints/none/bulk/entities/delete", { entities = { "a" } })))
  end)
end)
