-- moontide test: a bundle's own specs, offline (issue 4.4).
local support = require "spec.support"

local SHOP = {
  ["main.lua"] = [[
local tide = require "moontide"
local prices = require "lib.prices"
local function shop()
  return tide.http.client { base_url = tide.config.shopUrl, auth = tide.http.bearer(tide.config.shopToken) }
end
tide.on_start(function() tide.log.info("start %s", tide.config.shopUrl) end)
tide.on_resync("product", function(_, ctx)
  for page in shop():pages("/products", { color = ctx.selector.color }) do
    for _, item in ipairs(page) do item.__price = prices.round(item.price) end
    coroutine.yield(page)
  end
end)
tide.on_resync("careless", function()
  pcall(function() assert(shop():get "/nothing?api_key=hidden") end)
  return { { sku = "x", name = "X", price = 1 } }
end)
tide.on_resync("patient", function()
  tide.sleep(600)
  local res = shop():post("/orders", { all = true }, { accept = { 201 } })
  return { { sku = res:json().id, name = "P", price = 1 } }
end)
tide.on_resync("counter", function()
  local n = (tide.kv.get "n" or 0) + 1
  tide.kv.set("n", n)
  return { { sku = "n" .. n, name = "N", price = n } }
end)
tide.on_resync("broken", function() error "out of order" end)
]],
  ["lib/prices.lua"] = 'local tide = require "moontide"\n'
    .. "return { round = function(p) return type(p) == 'number' and p // 1 or p end, digest = tide.crypto.sha256 }\n",
  [".port/spec.yaml"] = [[
features: [{type: exporter, resources: [{kind: product}, {kind: careless}, {kind: patient}, {kind: broken}]}]
configurations:
  - {name: shopUrl, type: url, required: true}
  - {name: shopToken, type: string, sensitive: true}
]],
  [".port/resources/port-app-config.yml"] = (function()
    local lines = { "resources:" }
    for _, kind in ipairs { "product", "careless", "patient", "counter", "broken" } do
      lines[#lines + 1] = ("  - {kind: %s, selector: {query: '.price != null', color: red}, port: {entity: {mappings: "
        .. "{identifier: .sku | ascii_downcase, title: .name, blueprint: '\"product\"', properties: {price: '.__price | tonumber'}}}}}")
        :format(kind)
    end
    return table.concat(lines, "\n") .. "\n"
  end)(),
  ["spec/recordings/shop.ndjson"] = support.json.encode {
    method = "GET", url = "https://shop.example.com/products?color=red", status = 200,
    headers = { ["content-type"] = "application/json" }, body = '[{"sku":"a","name":"A","price":1.5}]',
  } .. "\n",
}

local PRELUDE = [[
local test = require "moontide.test"
local URL = "https://shop.example.com"
local function shop(answers, config)
  config = config or {}
  config.shopUrl = config.shopUrl or URL
  return test.bundle { config = config, answers = answers }
end
]]

-- A bundle whose spec is this text.
local function bundle_with(spec, files)
  local dir = support.tmpdir() .. "/shop"
  for path, text in pairs(SHOP) do
    support.write(dir .. "/" .. path, text)
  end
  for path, text in pairs(files or {}) do
    support.write(dir .. "/" .. path, text)
  end
  if spec then
    support.write(dir .. "/spec/shop_spec.lua", PRELUDE .. spec)
  end
  return dir
end

local function run(dir, ...)
  return support.run({ support.bin, "test", dir, "--", "--output=plainTerminal", ... }, { timeout = 60 })
end

local function passes(spec, files)
  local result = run(bundle_with(spec, files))
  assert.equal(0, result.code, result.out .. result.err)
  return result
end

-- One failing case, and what it says.
local function fails(body, text)
  local result = run(bundle_with('it("case", function() ' .. body .. " end)"))
  assert.equal(1, result.code, result.out .. result.err)
  assert.matches(text, result.out, 1, true)
  return result
end

describe("moontide.test", function()
  it("runs handlers against answers of the spec, and gives batches, entities, requests and log", function()
    passes [=[
      it("works", function()
        local result = shop({
          ["GET /products?color=red"] = {
            headers = { Link = '</products?page=2>; rel="next"' }, json = { { sku = "a", name = "A", price = 1.5 } },
          },
          ["GET /products?page=2"] = { json = { { sku = "b", price = 2 }, { sku = "c", name = test.null } } },
        }, { shopToken = "t0ken" }):resync "product"
        assert.is_true(result.ok, result.error)
        assert.is_nil(result.error)
        assert.equal(2, #result.batches)
        assert.equal(1.5, result.batches[1][1].price)
        assert.equal(test.null, result.batches[2][2].name)
        assert.same({ identifier = "a", title = "A", blueprint = "product", properties = { price = 1 } }, result.entities[1])
        assert.equal(result.entities[2], result:entity("b", "product"))
        assert.is_nil(result:entity("b", "shop"))
        assert.same({ { field = "title", count = 1, message = "null" } }, result.empty)
        assert.same({}, result.faults)
        assert.same({}, result.errors)
        assert.equal(2, #result.requests)
        assert.same({ "GET", URL .. "/products?color=red", 200 },
          { result.requests[1].method, result.requests[1].url, result.requests[1].status })
        assert.equal("Bearer t0ken", result.requests[1].headers.authorization)
        assert.same({ "INFO start " .. URL }, result.log)
      end)
    ]=]
  end)

  it("answers from spec/recordings without being told, and from answers in their place", function()
    passes [=[
      it("default", function()
        assert.equal("A", test.bundle({ config = { shopUrl = URL } }):resync("product"):entity("a").title)
      end)
      it("both", function()
        local bundle = test.bundle {
          config = { shopUrl = URL }, recordings = { "spec/recordings/shop.ndjson" },
          answers = { ["GET /products?color=red"] = { json = { { sku = "z", name = "Z", price = 1 } } } },
        }
        for _ = 1, 2 do
          assert.equal("z", bundle:resync("product").entities[1].identifier)
        end
      end)
    ]=]
  end)

  it("plays a list one after the other; retries, sleep and posts wait for nobody (R-HTTP retries)", function()
    passes [=[
      it("is quick", function()
        local begin = os.time()
        local result = shop({
          ["GET /products?color=red"] = {
            { status = 503 }, { status = 429, headers = { ["Retry-After"] = "300" } }, { json = { { sku = "a", price = 1 } } },
          },
          ["POST /orders"] = { status = 201, json = { id = "o1" } },
        })
        local products, patient = result:resync "product", result:resync "patient"
        assert.is_true(products.ok, products.error)
        assert.is_true(patient.ok, patient.error)
        assert.equal(3, #products.requests)
        assert.equal("o1", patient.entities[1].identifier)
        assert.equal('{"all":true}', patient.requests[1].body)
        assert.is_true(os.time() - begin < 20)
      end)
    ]=]
  end)

  it("keeps tide.kv in memory, for each test.bundle anew", function()
    local dir = bundle_with [=[
      it("counts", function()
        local bundle = shop {}
        assert.equal("n1", bundle:resync("counter").entities[1].identifier)
        assert.equal("n2", bundle:resync("counter").entities[1].identifier)
        assert.equal("n1", shop({}):resync("counter").entities[1].identifier)
      end)
    ]=]
    local result = support.run({ support.bin, "test", "." }, { cwd = dir })
    assert.equal(0, result.code, result.out .. result.err)
    assert.is_false(support.exists(dir .. "/.moontide"))
    assert.is_false(support.exists(dir .. "/:memory:"))
  end)

  it("replaces members of the mapping's selector, and removes those that are null", function()
    passes [=[
      it("selects", function()
        local none = { json = {} }
        local bundle = shop { ["GET /products?color=blue"] = none, ["GET /products"] = none }
        assert.is_true(bundle:resync("product", { selector = { color = "blue" } }).ok)
        local result = bundle:resync("product", { selector = { color = test.null } })
        assert.equal(URL .. "/products", result.requests[1].url)
      end)
    ]=]
  end)

  it("tells what makes a kind incomplete: an error, a swallowed request, an item, each once", function()
    passes [=[
      it("errors", function()
        local broken = shop({}):resync "broken"
        assert.is_false(broken.ok)
        assert.matches("main.lua:%d+: out of order", broken.error)
        local careless = shop({ ["GET /nothing?api_key=hidden"] = { status = 500 } }):resync "careless"
        assert.is_false(careless.ok)
        assert.equal(1, #careless.faults)
        assert.equal("", careless.faults[1].scope)
        assert.matches("HTTP 500", careless.error, 1, true)
        assert.equal(1, #careless.entities)
        local item = shop({ ["GET /products?color=red"] = { json = {
          { sku = "a", price = 1 }, { sku = { 1 }, price = 1 },
        } } }):resync "product"
        assert.equal(1, #item.entities)
        assert.is_false(item.ok)
        assert.same({ 1, 2 }, { item.errors[1].batch, item.errors[1].item })
        assert.matches("identifier", item.errors[1].message, 1, true)
        assert.matches("item 2 of batch 1: ", item.error, 1, true)
      end)
    ]=]
  end)

  it("gives a spec the modules of the bundle, the library, and files beside the spec", function()
    passes([=[
      it("requires", function()
        assert.equal(2.0, require "lib.prices".round(2.7))
        assert.equal("ba7816bf", require "lib.prices".digest("abc"):sub(1, 8))
        assert.equal("fine", require "helper")
        assert.equal("fine too", require "spec.deep.helper")
        assert.same({ "x" }, { require "moontide".jq ".a" { a = "x" } })
        local ok, err = pcall(require "moontide".sleep, 1)
        assert.is_false(ok)
        assert.matches("works in a handler only", err, 1, true)
        assert.is_nil(require "moontide".config.shopUrl)
      end)
    ]=], { ["spec/helper.lua"] = "return 'fine'", ["spec/deep/helper.lua"] = "return 'fine too'" })
  end)

  it("reads no .env and no environment: what a spec finds does not depend on where it runs (R-CFG-02)", function()
    local dir = bundle_with([=[
      it("is sealed", function()
        local result = shop { ["GET /products?color=red"] = { json = {} } }:resync "product"
        assert.is_nil(result.requests[1].headers.authorization)
      end)
    ]=], { [".env"] = "OCEAN__INTEGRATION__CONFIG__SHOP_TOKEN=of-the-bundle\n" })
    local result = support.run({ support.bin, "test", "." }, {
      cwd = dir, env = { MOONTIDE__INTEGRATION__CONFIG__SHOP_TOKEN = "of-the-environment" },
    })
    assert.equal(0, result.code, result.out .. result.err)
  end)
end)

describe("a spec fails, and says why,", function()
  it("when a request is unknown, also when the script swallows the error", function()
    local result = fails('shop({ ["GET /nothin"] = {} }):resync "careless"', "GET /nothing")
    assert.matches("nearest is GET /nothin", result.out, 1, true)
    assert.matches("shop_spec.lua:%d+: a request that nothing answers", result.out)
    passes 'it("expects it", function() assert.is_false(shop({}):resync("careless", { allow_unknown = true }).ok) end)'
  end)

  it("when a setting, an option or an answer has a wrong name or value", function()
    local cases = {
      ['test.bundle { config = { shopUr = URL } }'] = 'did you mean "shopUrl"?',
      ['test.bundle()'] = "shopUrl is required and not set",
      ['shop({}, { shopUrl = "nowhere" })'] = "shopUrl",
      ['test.bundle { configs = {} }'] = 'test.bundle: unknown option "configs": did you mean "config"?',
      ['test.bundle { config = { shopUrl = URL }, recordings = { "spec/recordings/no.ndjson" } }'] = "spec/recordings/no.ndjson",
      ['shop { ["/products"] = {} }'] = 'the name is method and path, as in "GET /items?page=1"',
      ['shop { { json = {} } }'] = "the names are method and path",
      ['shop { ["GET /a"] = "text" }'] = "an answer is a table",
      ['shop { ["GET /a"] = { jsn = {} } }'] = 'an answer has no "jsn": did you mean "json"?',
      ['shop { ["GET /a"] = { status = 99 } }'] = "status is a number from 100 to 599",
      ['shop { ["GET /a"] = { json = {}, body = "" } }'] = "give one",
      ['shop { ["GET /a"] = { json = { a = print } } }'] = 'answers["GET /a"]',
      ['shop({}):resync "produkt"'] = 'the mapping has no kind "produkt"; it has: product, careless, patient, counter, broken',
      ['shop({}):resync(1)'] = "a kind is a string",
      ['shop({}):resync("product", { selector = 1 })'] = "option selector is a table, got a number",
    }
    local spec = {}
    for body in pairs(cases) do
      spec[#spec + 1] = ("it(%q, function() %s end)\n"):format(body, body)
    end
    local result = run(bundle_with(table.concat(spec)))
    assert.equal(1, result.code)
    assert.matches(("0 successes / 0 failures / %d errors"):format(#spec), result.out, 1, true)
    for body, text in pairs(cases) do
      assert.matches(text, result.out, 1, true, body)
    end
  end)

  it("when a recording is damaged, with file and line", function()
    local dir = bundle_with('it("case", function() test.bundle { config = { shopUrl = URL } } end)', {
      ["spec/recordings/shop.ndjson"] = SHOP["spec/recordings/shop.ndjson"] .. '{"method":\n',
    })
    local result = run(dir)
    assert.equal(1, result.code)
    assert.matches("spec/recordings/shop.ndjson", result.out, 1, true)
    assert.matches("2", result.out:match "shop%.ndjson[^\n]*", 1, true)
  end)

  it("when main.lua or the mapping does not load, with file and line", function()
    local case = 'it("case", function() test.bundle { config = { shopUrl = URL } } end)'
    local result = run(bundle_with(case, { ["main.lua"] = "local x =\n" }))
    assert.equal(1, result.code)
    assert.matches("main.lua:", result.out, 1, true)
    result = run(bundle_with('it("case", function() shop({}):resync "product" end)', {
      [".port/resources/port-app-config.yml"] = (SHOP[".port/resources/port-app-config.yml"]:gsub("%.sku", ".sku |")),
    }))
    assert.equal(1, result.code)
    assert.matches("identifier", result.out, 1, true)
  end)

  it("when its file has a syntax error; the other files run", function()
    local dir = bundle_with('it("works", function() end)', { ["spec/bad_spec.lua"] = "it(" })
    local result = run(dir)
    assert.equal(1, result.code)
    assert.matches("1 success / 0 failures / 1 error", result.out, 1, true)
    assert.matches("bad_spec.lua:1:", result.out, 1, true)
  end)
end)

describe("moontide test", function()
  it("hands busted its options after --, and runs the files that are named", function()
    local dir = bundle_with('it("one", function() end) it("two", function() end)', {
      ["spec/deep/more_spec.lua"] = 'it("three", function() end)',
    })
    assert.matches("3 successes", run(dir).out, 1, true)
    assert.matches("1 success ", run(dir, "--filter=two").out, 1, true)
    assert.matches("1 success ", run(dir, "spec/deep/more_spec.lua").out, 1, true)
    assert.matches("2 successes", run(dir, dir .. "/spec/shop_spec.lua").out, 1, true)
    assert.matches("ok 1 ", support.run({ support.bin, "test", dir, "--", "-o", "TAP" }).out, 1, true)
  end)

  it("runs the specs of a packed bundle, helpers and recordings too, without a folder (issue 4.3)", function()
    local dir = bundle_with([=[
      it("is packed", function()
        assert.equal("fine", require "helper")
        assert.equal("A", test.bundle({ config = { shopUrl = URL } }):resync("product"):entity("a").title)
      end)
    ]=], { ["spec/helper.lua"] = "return 'fine'" })
    local file = support.tmpdir() .. "/shop.mtb"
    assert.equal(0, support.run({ support.bin, "pack", dir, "-o", file }).code)
    os.execute("rm -r " .. dir)
    local result = run(file)
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("1 success ", result.out, 1, true)
  end)

  it("exits 2 when there is nothing to run, and says what to write", function()
    local result = run(bundle_with(nil))
    assert.equal(2, result.code)
    assert.matches("spec/NAME_spec.lua", result.err, 1, true)
    local dir = bundle_with 'it("one", function() end)'
    result = run(dir, "spec/no_spec.lua")
    assert.equal(2, result.code)
    assert.matches("no spec of the bundle is called spec/no_spec.lua", result.err, 1, true)
    result = run(dir, "--filter=nothing")
    assert.equal(2, result.code)
    assert.matches("no spec was run", result.err, 1, true)
    assert.equal(2, run(dir, "--no-such-option").code)
  end)

  it("exits 2 on wrong usage and on a bundle that does not load", function()
    for message, words in pairs {
      ["which bundle?"] = {}, ["takes one bundle, not 2"] = { "a", "b" }, ["/nonexistent"] = { "/nonexistent" },
      ["unknown option '--filter'"] = { ".", "--filter=x" },
    } do
      local result = support.run { support.bin, "test", table.unpack(words) }
      assert.equal(2, result.code)
      assert.matches(message, result.err, 1, true)
    end
  end)

  it("names the package of busted where it is missing", function()
    local result = support.run({ support.bin, "test", bundle_with 'it("one", function() end)' }, {
      env = { LUA_PATH = "/nonexistent/?.lua", LUA_PATH_5_4 = "/nonexistent/?.lua" },
    })
    assert.equal(2, result.code)
    assert.matches("install the package lua-busted", result.err, 1, true)
  end)

  it("is where moontide.test works: elsewhere it says so", function()
    local result = support.run({ "lua5.4", "-e", 'package.path = "lua/?.lua" require "moontide.test"' }, { cwd = support.root })
    assert.equal(1, result.code)
    assert.matches("moontide test BUNDLE", result.err, 1, true)
    local dir = support.tmpdir() .. "/handlers"
    support.write(dir .. "/main.lua", 'require "moontide.test"')
    result = support.run({ support.bin, "resync", dir }, { cwd = support.tmpdir() })
    assert.equal(2, result.code)
    assert.matches("moontide test BUNDLE", result.err, 1, true)
  end)
end)
