local client = require "spec.catalog.client"
local support = require "spec.support"

describe("a hostile client of the catalog", function()
  local catalog

  setup(function()
    catalog = client.start()
    catalog:blueprint("item", { text = { type = "string" }, any = { type = "object" } })
  end)

  -- whatever came before, the server answers and holds nothing wrong
  after_each(function()
    assert.is_truthy(catalog:ok("GET", "/v1/organization").organization)
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
    assert.equal("", (select(2, catalog.process:output())))
  end)

  local bulk = "/v1/blueprints/item/entities/bulk?upsert=true"

  it("with a bulk above 1 MiB gets 413, and one just below is taken (A-SRV-12)", function()
    local function body(size)
      local head, tail = '{"entities":[{"identifier":"huge","properties":{"text":"', '"}}]}'
      return head .. ("x"):rep(size - #head - #tail) .. tail
    end
    assert.equal(200, (catalog:call("POST", bulk, body(1024 * 1024))))
    local status, answer = catalog:call("POST", bulk, body(1024 * 1024 + 1))
    assert.equal(413, status)
    assert.equal("payload_too_large", answer.error)
    assert.equal(413, (catalog:call("POST", bulk, body(17 * 1024 * 1024), { raw = true })))
  end)

  for name, body in pairs {
    ["cut short"] = '{"entities":[{"identifier":"x"', ["with bytes after it"] = '{"entities":[]} x',
    ["that is empty"] = "",
    ["that is no object"] = "[]", ["with invalid UTF-8"] = '{"entities":[{"identifier":"\xc3\x28"}]}',
    ["with a raw control character"] = '{"entities":[{"identifier":"\1"}]}', ["of NaN"] = '{"entities":[NaN]}',
    ["nested without end"] = ("["):rep(200000),
  } do
    it("with a body " .. name .. " gets 400", function()
      local status, answer = catalog:call("POST", bulk, body)
      assert.equal(400, status)
      assert.equal("invalid_request", answer.error)
    end)
  end

  it("with an entity nested as deep as JSON may be is told or served", function()
    local nested = ("["):rep(9000) .. ("]"):rep(9000)
    local deep = '{"entities":[{"identifier":"deep","properties":{"any":{"a":' .. nested .. "}}}]}"
    assert.equal(200, (catalog:call("POST", bulk, deep)))
    local status, body = catalog:call("GET", "/v1/blueprints/item/entities/deep", nil, { raw = true })
    assert.equal(200, status)
    assert.is_not_nil(body:find(("["):rep(9000), 1, true))
    assert.equal(200, (catalog:call("GET", "/?blueprint=item&entity=deep", nil, { raw = true })))
  end)

  it("with a list of entities that is none gets 422", function()
    for _, body in ipairs { "{}", '{"entities":{}}', '{"entities":null}', '{"entities":"x"}' } do
      assert.equal(422, (catalog:call("POST", bulk, body)))
    end
    local status, answer = catalog:bulk("item", '{"entities":[null,1,[],"a",{"identifier":"good"}]}')
    assert.equal(207, status)
    assert.equal(4, #answer.errors)
    assert.equal(1, #answer.entities)
  end)

  it("with an unknown route, method or escape gets a refusal in JSON", function()
    for _, case in ipairs {
      { 404, "GET", "/v1/nothing" }, { 404, "GET", "/nothing" }, { 404, "GET", "/v1" }, { 404, "GET",
      "/v1/blueprints/item/" },
      { 404, "GET", "/v1/blueprints//entities" }, { 405, "PUT", "/v1/organization" }, { 405, "OPTIONS",
      "/v1/blueprints" },
      { 400, "GET", "/v1/blueprints/%zz" }, { 400, "GET", "/v1/blueprints/%c3%28" }, { 400, "GET", "/v1/blueprints/%" },
      { 404, "GET", "/v1/blueprints/%00" }, { 404, "GET", "/v1/blueprints/../../etc/passwd" },
    } do
      local status, answer = catalog:call(case[2], case[3])
      assert.equal(case[1], status, case[2] .. " " .. case[3])
      assert.equal(false, answer.ok)
    end
    assert.is_true(support.request("BREW", catalog.url .. "/v1/organization").status >= 400)
  end)

  it("with text that looks like SQL changes nothing but that text", function()
    local evil = "x' OR '1'='1'; DROP TABLE entity; --"
    assert.is_nil(catalog:refusal("item", { identifier = evil, title = evil, properties = { text = evil } }))
    local _, names = catalog:search { combinator = "and", rules = { { property = "text", operator = "=",
      value = evil } } }
    assert.same({ evil }, names)
    assert.equal(404, (catalog:call("GET", "/v1/blueprints/item'%20OR%20'1'%3D'1")))
  end)

  it("that names another host reaches nothing on loopback (DNS rebinding)", function()
    for _, host in ipairs { "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "" } do
      local answer = support.request("GET", catalog.url .. "/", nil, { Host = host .. ":1" })
      assert.equal(421, answer.status, host)
    end
    for _, host in ipairs { "localhost", "localhost:99", "127.0.0.1", "[::1]:80" } do
      assert.equal(200, support.request("GET", catalog.url .. "/", nil, { Host = host }).status, host)
    end
  end)

  it("without a User-Agent owns what it writes as nobody", function()
    local answer = support.request("POST", catalog.url .. bulk, '{"entities":[{"identifier":"anonymous"}]}',
      { Authorization = "Bearer " .. catalog.token, ["User-Agent"] = "" })
    assert.equal(200, answer.status)
    local _, names = catalog:search { combinator = "and", rules = { { property = "$datasource",
      operator = "isEmpty" } } }
    assert.same({ "anonymous" }, names)
  end)

  it("that asks for thousands of tokens keeps its latest", function()
    local first = catalog.token
    local dir = support.tmpdir()
    support.write(dir .. "/config",
      ('url = "%s/v1/auth/access_token"\ndata = "{\\"clientId\\":\\"a\\",\\"clientSecret\\":\\"b\\"}"\n'
      .. 'output = "/dev/null"\nsilent\nnext\n'):format(catalog.url):rep(4200):gsub("next\n$", ""), nil)
    assert.equal(0, support.run({ "curl", "-K", dir .. "/config" }, { timeout = 60 }).code)
    assert.equal(401, (catalog:call("GET", "/v1/organization")))
    catalog.token = nil
    assert.equal(200, (catalog:call("GET", "/v1/organization")))
    assert.not_equal(first, catalog.token)
  end)
end)
