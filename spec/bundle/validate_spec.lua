-- `moontide validate`: what it finds wrong with a bundle, where, and its exit codes.
local support = require "spec.support"
local json = support.json

local FILES = {
  ["main.lua"] = 'local tide = require "moontide"\ntide.on_resync("thing", function() end)\n',
  [".port/spec.yaml"] = [[
features:
  - resources:
      - kind: thing
configurations:
  - name: apiHost
    type: url
    required: true
  - name: apiToken
    type: string
    sensitive: true
]],
  [".port/resources/blueprints.json"] = [[
[
  {
    "identifier": "thing",
    "schema": {
      "properties": {
        "url": { "type": "string", "format": "url" },
        "mail": { "type": "string", "format": "email" },
        "when": { "type": "string", "format": "date-time" },
        "state": { "type": "string", "enum": ["up", "down"] },
        "count": { "type": "number" },
        "tags": { "type": "array", "items": { "type": "string" } }
      },
      "required": ["state"]
    },
    "calculationProperties": { "half": { "type": "number", "calculation": ".properties.count / 2" } },
    "relations": {
      "owner": { "target": "_user", "many": false },
      "parts": { "target": "thing", "many": true }
    }
  }
]
]],
  [".port/resources/port-app-config.yml"] = [[
resources:
  - kind: thing
    selector:
      query: "true"
    port:
      entity:
        mappings:
          identifier: .id
          blueprint: '"thing"'
          properties:
            url: .url
            mail: .mail
            when: .when
            state: .state
            count: .count
            tags: .tags
          relations:
            owner: .owner
            parts: .parts
]],
  [".port/examples/thing/a.json"] = [[
{"id":"a","url":"https://a.example","mail":"a@b.example","when":"2026-01-01T00:00:00Z",
"state":"up","count":1,"tags":["x"],"owner":"o","parts":["a"]}
]],
}
local MAPPING, BLUEPRINTS = ".port/resources/port-app-config.yml", ".port/resources/blueprints.json"
local EXAMPLE = ".port/examples/thing/a.json"
local HOST = { OCEAN__INTEGRATION__CONFIG__API_HOST = "https://a.example" }

local function bundle(changes)
  local dir = support.tmpdir() .. "/demo"
  for name, text in pairs(FILES) do
    local change = changes and changes[name]
    if change ~= false then
      support.write(dir .. "/" .. name, change or text)
    end
  end
  for name, text in pairs(changes or {}) do
    if text and not FILES[name] then
      support.write(dir .. "/" .. name, text)
    end
  end
  return dir
end

local function edited(name, from, to)
  local at, last = FILES[name]:find(from, 1, true)
  assert(at, "no " .. from)
  return { [name] = FILES[name]:sub(1, at - 1) .. to .. FILES[name]:sub(last + 1) }
end

local function validate(dir, env, ...)
  return support.run({ support.bin, "validate", dir, ... }, { env = env or HOST, cwd = support.tmpdir() })
end

-- Expects exactly this one finding.
local function finds(changes, code, line, env)
  local result = validate(bundle(changes), env)
  local first = result.out:match "^[^\n]*"
  assert.are.equal(line, first)
  assert.are.equal(code, result.code)
  assert.matches(code == 1 and "\ndemo: 1 errors, 0 warnings" or "\ndemo: 0 errors, 1 warnings", result.out)
end

describe("moontide validate", function()
  it("finds nothing wrong with a good bundle, without credentials, and leaves nothing behind", function()
    local cwd = support.tmpdir()
    local result = support.run({ support.bin, "validate", bundle() }, { env = HOST, cwd = cwd })
    assert.are.equal("demo: 0 errors, 0 warnings (1 kinds, 1 examples mapped to 1 entities)\n", result.out)
    assert.are.equal("", result.err)
    assert.are.equal(0, result.code)
    assert.are.equal("", io.popen("ls -A " .. cwd):read "a")
  end)

  it("exits 2 for what is no bundle, and for wrong usage", function()
    local result = validate "/nowhere"
    assert.are.equal(2, result.code)
    assert.matches("moontide validate: the bundle /nowhere cannot be opened", result.err)
    assert.are.equal(2, validate(support.tmpdir()).code)
    assert.are.equal(2, support.run({ support.bin, "validate" }).code)
    assert.are.equal(2, validate(bundle(), nil, "more").code)
    assert.are.equal(2, validate(bundle(), nil, "--nonsense").code)
  end)

  it("writes JSON for machines", function()
    local result = validate(bundle(edited(MAPPING, "url: .url", "ulr: .url")), nil, "--json")
    assert.are.equal(1, result.code)
    assert.are.same({ bundle = "demo", ok = false, errors = 1, warnings = 0, kinds = 1, examples = 1, entities = 1,
      findings = {
      { file = MAPPING, line = 11, level = "error", text = "kind thing, properties.ulr: blueprint thing has no "
        .. "property ulr; did you mean url?" } } },
      json.decode(result.out))
    result = validate(bundle { [".port/spec.yaml"] = "a: [\n" }, nil, "--json")
    local report = json.decode(result.out)
    assert.are.same({ false, 1, ".port/spec.yaml", 2 }, { report.ok, report.errors, report.findings[1].file,
      report.findings[1].line })
  end)
end)

describe("validate looks at the configuration", function()
  it("and only warns about values that are missing here", function()
    finds(nil, 0, ".port/spec.yaml:5: warning: apiHost is required and not set: set "
      .. "OCEAN__INTEGRATION__CONFIG__API_HOST, or "
      .. "integration.config.apiHost in the bundle's config.yaml", {})
  end)

  it("and finds wrong ones, with file and line", function()
    finds({ ["config.yaml"] = "clientTimeout: 5\nsendRawDataExamples: perhaps\n" }, 1,
      'config.yaml:2: error: sendRawDataExamples: "perhaps" does not fit: send_raw_data_examples takes true or false')
    finds({ ["config.yaml"] = "integration:\n  config:\n    apiTokn: x\n" }, 0,
      "config.yaml:3: warning: integration.config.apiTokn: the integration has no configuration api_tokn: it is "
        .. "dropped; did you mean apiToken?")
    finds({ ["config.yaml"] = "a: b: c\n" }, 1, "config.yaml:1: error: mapping values are not allowed in this context")
    finds({ [".port/spec.yaml"] = FILES[".port/spec.yaml"] .. "  - name: x\n    type: number\n" }, 1,
      ".port/spec.yaml:11: error: x has the type number, which does not exist: string, integer, boolean, object, "
        .. "array and url do")
  end)

  it("and never prints a secret", function()
    local env = { OCEAN__INTEGRATION__CONFIG__API_HOST = "https://a.example",
      OCEAN__INTEGRATION__CONFIG__API_TOKEN = "hunter2secret" }
    local result = validate(bundle { ["main.lua"] = 'error("hunter2secret is bad")\n' }, env)
    assert.are.equal(1, result.code)
    assert.matches("%[REDACTED%] is bad", result.out)
    assert.not_matches("hunter2", result.out .. result.err)
  end)
end)

describe("validate looks at the files", function()
  it("and names the line of a syntax error", function()
    for name, case in pairs { [".port/spec.yaml"] = { "a: 1\nb: [\n", "3: error: " },
      [MAPPING] = { "resources:\n  - [\n", "3: error: " },
      [BLUEPRINTS] = { '[\n  {"a": }\n]\n', "2: error: " } } do
      local result = validate(bundle { [name] = case[1] })
      assert.are.equal(1, result.code)
      assert.are.equal(name .. ":" .. case[2], result.out:sub(1, #name + 1 + #case[2]))
    end
  end)

  it("and finds an example that is no JSON", function()
    finds({ [EXAMPLE] = '{\n"id": tru }\n' }, 1, EXAMPLE .. ":2: error: "
      .. validate(bundle { [EXAMPLE] = '{\n"id": tru }\n' }).out:match "error: ([^\n]*)")
  end)

  it("and warns when there is no mapping", function()
    finds({ [MAPPING] = false }, 0, "demo: warning: there is no .port/resources/port-app-config.yml: Port must "
      .. "have a mapping already")
  end)
end)

describe("validate looks at the script", function()
  it("and names file and line of an error at load", function()
    local result = validate(bundle { ["main.lua"] = 'local tide = require "moontide"\ntide.on_resync("thing", '
      .. 'function() end)\nerror "no"\n' })
    assert.are.equal(1, result.code)
    assert.matches("^main%.lua:3: error: no", result.out)
    result = validate(bundle { ["main.lua"] = 'local tide = require "moontide"\nif then\n' })
    assert.are.equal(1, result.code)
    assert.matches("^main%.lua:2: error: ", result.out)
  end)

  it("and misses a handler", function()
    finds({ ["main.lua"] = 'require "moontide".on_resync("other", function() end)\n' }, 1,
      MAPPING .. ':2: error: kind thing has no handler: main.lua needs on_resync("thing", …)')
  end)
end)

describe("validate looks at the mapping", function()
  local function mapping(from, to, code, text)
    finds(edited(MAPPING, from, to), code, MAPPING .. ":" .. text)
  end

  it("and compiles every expression", function()
    local result = validate(bundle(edited(MAPPING, "count: .count", "count: .count |")))
    assert.are.equal(1, result.code)
    assert.matches('^%.port/resources/port%-app%-config%.yml:15: error: resource 0 %(kind "thing"%), '
      .. 'properties%.count: the jq expression %.count | does not compile', result.out)
    result = validate(bundle(edited(MAPPING, 'query: "true"', 'query: "nonsense("')))
    assert.matches("^%.port/resources/port%-app%-config%.yml:4: error: .*selector%.query", result.out)
  end)

  it("and finds wrong flags and resources, each of them", function()
    mapping("resources:", "enableMergeEntity: maybe\nresources:", 1,
      '1: error: enableMergeEntity is "maybe", it must be true or false')
    local result = validate(bundle { [MAPPING] = FILES[MAPPING] .. "  - kind: thing\n    port: {}\n  - 5\n" })
    assert.matches('\n%.port/resources/port%-app%-config%.yml:%d+: error: .*resource 2', "\n" .. result.out)
    assert.matches('%.port/resources/port%-app%-config%.yml:%d+: error: resource 1 %(kind "thing"%), selector%.query',
      result.out)
    assert.matches("demo: 2 errors", result.out)
  end)

  it("and finds what the blueprint does not have", function()
    mapping("count: .count", "cuont: .count", 1, "15: error: kind thing, properties.cuont: blueprint thing has "
      .. "no property cuont; did you mean count?")
    mapping("owner: .owner", "ownr: .owner", 1, "18: error: kind thing, relations.ownr: blueprint thing has no "
      .. "relation ownr; did you mean owner?")
    mapping("count: .count", "half: .count", 1, "15: error: kind thing, properties.half: the property half of "
      .. "blueprint thing is computed by Port and cannot be mapped")
    mapping("            state: .state\n", "", 1, "10: error: kind thing, properties: blueprint thing requires "
      .. "the property state, which is not mapped")
    mapping("'\"thing\"'", "'\"thnig\"'", 0, "9: warning: kind thing, blueprint: the bundle has no blueprint "
      .. "thnig: Port must have it already")
  end)

  it("and misses a required relation", function()
    local changes = edited(MAPPING, "            owner: .owner\n", "")
    changes[BLUEPRINTS] = FILES[BLUEPRINTS]:gsub('"target": "_user"', '"target": "_user", "required": true')
    finds(changes, 1, MAPPING .. ":17: error: kind thing, relations: blueprint thing requires the relation "
      .. "owner, which is not mapped")
  end)

  it("and knows the kinds of the spec", function()
    finds({ [".port/spec.yaml"] = FILES[".port/spec.yaml"]:gsub("kind: thing", "kind: other") }, 0,
      MAPPING .. ":2: warning: kind thing is not listed in .port/spec.yaml (features, resources)")
  end)
end)

describe("validate maps the examples", function()
  local function example(from, to, text)
    finds(edited(EXAMPLE, from, to), 1, MAPPING .. ":" .. text .. " (example a.json)")
  end

  it("and compares the results with the blueprint", function()
    example('"count":1', '"count":"1"', '15: error: kind thing, properties.count: gives a text, blueprint thing '
      .. 'wants type number: "1"')
    example('"state":"up"', '"state":"sideways"', '14: error: kind thing, properties.state: gives "sideways", '
      .. 'which is not in the enum of blueprint thing')
    example('"url":"https://a.example"', '"url":"a.example"',
      '11: error: kind thing, properties.url: gives "a.example", which is no url as blueprint thing wants it')
    example('"mail":"a@b.example"', '"mail":"nobody"', '12: error: kind thing, properties.mail: gives "nobody", '
      .. 'which is no email as blueprint thing wants it')
    example('"when":"2026-01-01T00:00:00Z"', '"when":"soon"',
      '13: error: kind thing, properties.when: gives "soon", which is no date-time as blueprint thing wants it')
    example('"tags":["x"]', '"tags":["x",5]', '16: error: kind thing, properties.tags: gives a number, blueprint '
      .. 'thing wants type string: 5')
    example('"state":"up",', '', "14: error: kind thing, properties.state: gives null, and blueprint thing requires it")
    example('"parts":["a"]', '"parts":"a"', "19: error: kind thing, relations.parts: gives a text, blueprint "
      .. "thing wants a list of identifiers (many: true)")
    example('"owner":"o"', '"owner":["o"]', "18: error: kind thing, relations.owner: gives a list, blueprint "
      .. "thing wants one identifier (many: false)")
    example('"owner":"o"', '"owner":5', "18: error: kind thing, relations.owner: gives a number; identifiers are texts")
  end)

  it("and finds one that is no object", function()
    finds({ [EXAMPLE] = '["x"]' }, 1, MAPPING .. ":3: error: kind thing, selector: an item fails: a raw item "
      .. "must be an object, not a string (example a.json)")
  end)

  it("and lets null pass where nothing is required", function()
    local result = validate(bundle { [EXAMPLE] = '{"id":"a","state":"up"}' })
    assert.are.equal(0, result.code, result.out)
  end)

  it("and takes a list of items", function()
    local one = FILES[EXAMPLE]:gsub("%s+$", "")
    local result = validate(bundle { [EXAMPLE] = ("[%s,%s]"):format(one, one) })
    assert.are.equal("demo: 0 errors, 0 warnings (1 kinds, 1 examples mapped to 2 entities)\n", result.out)
  end)

  it("and reports what fails, once a field", function()
    local changes = edited(MAPPING, "count: .count", "count: .id + 1")
    changes[".port/examples/thing/b.json"] = FILES[EXAMPLE]
    local result = validate(bundle(changes))
    assert.are.equal(0, result.code)
    assert.matches("^%.port/resources/port%-app%-config%.yml:15: warning: kind thing, properties%.count: gives "
      .. "null because of an error: .*%(example a%.json%)\ndemo: 0 errors, 1 warnings", result.out)
    result = validate(bundle(edited(MAPPING, 'query: "true"', 'query: .id + 1')))
    assert.are.equal(1, result.code)
    assert.matches("^%.port/resources/port%-app%-config%.yml:4: error: kind thing, selector%.query: an item fails: ",
      result.out)
  end)
end)

describe("validate looks at the blueprints", function()
  it("and finds doubles, missing identifiers and targets", function()
    finds({ [BLUEPRINTS] = FILES[BLUEPRINTS]:gsub("%]\n$", ',\n  {"identifier": "thing"}\n]\n') }, 1, BLUEPRINTS
      .. ":22: error: the blueprint thing is there twice")
    finds({ [BLUEPRINTS] = FILES[BLUEPRINTS]:gsub("%]\n$", ',\n  {"title": "x"}\n]\n') }, 1, BLUEPRINTS
      .. ":22: error: blueprint 1 has no identifier")
    finds(edited(BLUEPRINTS, '"target": "thing"', '"target": "thnig"'), 0, BLUEPRINTS
      .. ":18: warning: relation parts of blueprint thing leads to thnig, which the bundle does not have: Port "
        .. "must have it already")
    finds(edited(BLUEPRINTS, '"target": "thing", ', ""), 1, BLUEPRINTS
      .. ":18: error: relation parts of blueprint thing has no target")
  end)
end)

describe("the bundles that ship", function()
  for _, name in ipairs { "integrations/prometheus", "integrations/github", "examples/hello" } do
    it("are valid: " .. name, function()
      local result = support.run({ support.bin, "validate", support.root .. "/" .. name }, { cwd = support.tmpdir() })
      assert.matches(" 0 errors, 0 warnings", result.out)
    end)
  end
end)

local shared = support.shared()
if not shared then
  return
end

describe("an integration of Ocean with a new main.lua", function()
  it("validates as it is copied: jira", function()
    local dir = support.tmpdir() .. "/jira"
    support.write(dir .. "/main.lua", 'require "moontide".on_resync(function() end)')
    os.execute(("cp -r %s/corpus/ocean/jira/.port %s/"):format(shared, dir))
    local result = validate(dir)
    assert.matches("jira: 0 errors, %d+ warnings %(4 kinds, 12 examples mapped to 12 entities%)", result.out)
    assert.are.equal(0, result.code)
  end)
end)
