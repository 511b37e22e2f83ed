-- The mapping as a whole: flags, the form that goes to Port, and what is refused.
local support = require "spec.support"
local json = support.json
local driver = support.driver "config_driver"

local RESOURCE = [[
  - kind: thing
    selector: {query: "true"}
    port: {entity: {mappings: {identifier: .id, blueprint: '"thing"'}}}
]]

local function load(text, name)
  local path = support.write(support.tmpdir() .. "/" .. (name or "m.yaml"), text)
  return support.run { driver, "mapping", path }
end

local function loaded(text)
  local result = load(text)
  assert.are.equal(0, result.code, result.err)
  local wire, digest, flags = result.out:match "^(.-)\n(%x+)\n(.-)\n$"
  return json.decode(wire), digest, flags
end

local function refuses(text, pattern)
  local result = load(text)
  assert.are.equal(1, result.code)
  assert.matches(pattern, result.err)
end

describe("the flags of a mapping", function()
  it("have defaults (R-MAP-01)", function()
    local wire, _, flags = loaded("resources: []")
    assert.are.equal("1 1 1 0.9 0", flags)
    assert.are.same({ enableMergeEntity = true, deleteDependentEntities = true, createMissingRelatedEntities = true,
      entityDeletionThreshold = 0.9, resources = {} }, wire)
  end)

  it("may be snake_case, and camelCase wins (R-MAP-01)", function()
    local _, _, flags = loaded("enable_merge_entity: false\ndelete_dependent_entities: "
      .. "'off'\ncreate_missing_related_entities: 0\n"
      .. "entity_deletion_threshold: 0.25\nresources:\n" .. RESOURCE)
    assert.are.equal("0 0 0 0.25 1", flags)
    _, _, flags = loaded("enable_merge_entity: false\nenableMergeEntity: true\nresources: []")
    assert.are.equal("1 1 1 0.9 0", flags)
  end)

  it("that are wrong are refused with the key and the value (R-MAP-01)", function()
    refuses("enableMergeEntity: null\nresources: []", "m%.yaml: enableMergeEntity is null, it must be true or false")
    refuses("delete_dependent_entities: maybe\nresources: []",
      'delete_dependent_entities is "maybe", it must be true or false')
    refuses("createMissingRelatedEntities: 2\nresources: []",
      "createMissingRelatedEntities is 2, it must be true or false")
    refuses("entityDeletionThreshold: 1.5\nresources: []", "entityDeletionThreshold is 1%.5, it must be a number "
      .. "from 0 to 1")
    refuses("entityDeletionThreshold: null\nresources: []", "entityDeletionThreshold is null")
    refuses("entityDeletionThreshold: often\nresources: []", 'entityDeletionThreshold is "often"')
    refuses("resources: null", "resources is null, it must be a list of kinds")
    refuses("resources: {a: 1}", "resources is {\"a\":1}, it must be a list")
  end)

  it("may be texts of numbers, and the limits count (R-MAP-01)", function()
    local _, _, flags = loaded "entityDeletionThreshold: '0.5'\nresources: []"
    assert.are.equal("1 1 1 0.5 0", flags)
    _, _, flags = loaded "entityDeletionThreshold: 0\nresources: []"
    assert.are.equal("1 1 1 0 0", flags)
    _, _, flags = loaded "entityDeletionThreshold: 1\nresources: []"
    assert.are.equal("1 1 1 1 0", flags)
  end)
end)

describe("an empty mapping", function()
  it("is refused (R-MAP-07)", function()
    refuses("", "the mapping is empty %(R%-MAP%-07%)")
    refuses("{}", "the mapping is empty %(R%-MAP%-07%)")
    refuses("[]", "the mapping must be an object with resources")
    refuses("just text", "the mapping must be an object with resources")
  end)
end)

describe("a resource", function()
  it("that is wrong fails the whole mapping, with its place (R-MAP-02, R-MAP-03, R-MAP-06)", function()
    refuses("resources:\n" .. RESOURCE .. "  - kind: other\n    port: {}\n",
      'resource 1 %(kind "other"%), selector%.query')
    refuses("resources:\n  - 5\n", "resource 0: an object is expected")
    refuses("resources:\n" .. RESOURCE:gsub("identifier: .id, ", ""), "resource 0 .*identifier")
    refuses("resources:\n" .. RESOURCE:gsub("%.id", "null"), "resource 0 .*identifier")
  end)

  it("may not nest without end", function()
    refuses("resources: " .. ("["):rep(70) .. ("]"):rep(70), "nests deeper than 64 levels")
  end)
end)

describe("the form that is sent to Port", function()
  it("holds the flags, drops other top-level members and null members of resources (A-INT-13)", function()
    local wire = loaded("custom: 1\nenable_merge_entity: false\nresources:\n" .. [[
  - kind: thing
    selector: {query: 'true', branch: null, depth: 2, list: [1, null]}
    port: {itemsToParse: null, entity: {mappings: {identifier: .id, blueprint: '"b"', title: null,
      properties: {a: .a}}}}
]])
    assert.are.same({ enableMergeEntity = false, deleteDependentEntities = true, createMissingRelatedEntities = true,
      entityDeletionThreshold = 0.9, resources = { { kind = "thing", selector = { query = "true", depth = 2,
        list = { 1, json.null } },
      port = { entity = { mappings = { identifier = ".id", blueprint = '"b"', properties = { a = ".a" } } } } } } },
        wire)
  end)

  it("has the digest of what Port gives back, however it is spelled", function()
    local wire, digest = loaded("resources:\n" .. RESOURCE)
    local again = load(json.encode(wire), "m.json")
    assert.are.equal("", again.err)
    assert.matches(digest, again.out, 1, true)
    local _, other = loaded("enableMergeEntity: false\nresources:\n" .. RESOURCE)
    assert.are_not.equal(digest, other)
  end)
end)

local shared = support.shared()
if not shared then
  return
end

describe("Ocean's mapping files", function()
  it("load unchanged, all of them (R-MAP-01…06)", function()
    local count = 0
    local pipe = assert(io.popen("ls " .. shared .. "/corpus/ocean/*/.port/resources/port-app-config.*"))
    for path in pipe:lines() do
      local result = support.run { driver, "mapping", path }
      assert.are.equal(0, result.code, path .. ": " .. result.err)
      count = count + 1
    end
    pipe:close()
    assert.is_true(count >= 39, count .. " files")
  end)
end)
