-- Several bundles in one process, and what a start refuses.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local case = service.case

-- A bundle that needs no network: n items, and a configuration that says how they are called.
local function local_bundle(name, n)
  return service.bundle {
    dir = support.tmpdir() .. "/" .. name,
    spec = ("type: %s\nconfigurations:\n  - name: label\n    type: string\n    default: none\n"):format(name),
    main = ([[
local tide = require "moontide"
tide.on_resync("item", function()
  local batch = {}
  for id = 1, %d do
    batch[id] = { id = "%s-" .. id, name = tide.config.label, url = "https://example.com/" .. id }
  end
  return batch
end)
]]):format(n, name),
  }
end

describe("several bundles of moontide run", function()
  local port, first, second

  before_each(function()
    port = service.port()
    first, second = local_bundle("first", 3), local_bundle("se-cond", 2)
  end)

  after_each(function()
    port:stop()
  end)

  local function await_both(n)
    for _, id in ipairs { "my-first-integration", "my-se-cond-integration" } do
      support.await(id, function()
        local _, count = port:states(id):gsub("completed", "")
        return count == n
      end)
    end
  end

  it("resync beside each other, each with its own configuration and its own entities", case(function(start)
    local run = start({ first, second }, { port = port, env = {
      MOONTIDE__BUNDLES__FIRST__INTEGRATION__CONFIG__LABEL = "one", MOONTIDE__BUNDLES__SE_COND__INTEGRATION__CONFIG__LABEL = "two" } })
    await_both(1)
    local items = port:entities()
    assert.are.equal(5, sync.count(items))
    assert.are.equal("one", items["first-1"].title)
    assert.are.equal("two", items["se-cond-2"].title)
    run:ready()
    local bundles = run:status().bundles
    assert.are.equal(2, #bundles)
    assert.are.equal("my-first-integration", bundles[1].identifier)
    assert.are.equal("my-se-cond-integration", bundles[2].identifier)
    assert.are.equal(0, run:stop())
  end))

  it("A-BP-08 that share blueprints find them made whole", case(function(start)
    local blueprints = support.json.encode(setmetatable({ {
      identifier = "item", title = "Item", schema = { properties = { url = { type = "string" } } },
      relations = { parent = { target = "item", title = "Parent", required = false, many = false } },
    } }, { __jsontype = "array" }))
    local mapping = [[
resources:
  - kind: item
    selector: {query: "true"}
    port:
      entity:
        mappings: {identifier: .id, blueprint: '"item"', relations: {parent: .id}}
]]
    for _, bundle in ipairs { first, second } do
      support.write(bundle .. "/.port/resources/blueprints.json", blueprints)
      support.write(bundle .. "/.port/resources/port-app-config.yml", mapping)
    end
    -- The first to come has made the blueprint, but not its relation yet; the other one is about to look for it.
    port:fault { { path = "/blueprints$", method = "POST", times = 1, kind = "hold" } }
    local run = start({ first, second }, { port = port })
    support.request("GET", port.url .. "/__held")
    support.await("both records", function()
      local mapped = 0
      for _, entry in ipairs(port:log()) do
        mapped = mapped + (entry.url:find("/config$") and 1 or 0)
      end
      return mapped == 2
    end)
    port:release()
    await_both(1)
    assert.are.equal(5, sync.count(port:entities()))
    local seen = {}
    for _, entry in ipairs(port:log()) do
      if entry.url:find "^/v1/blueprints" then
        local who = entry.agent:match "^port%-ocean/([^/]+)"
        assert.is_true(entry.method ~= "PATCH" or seen[1] == who and #seen == 1, "the blueprint was looked for too early")
        seen[#seen + 1] = seen[#seen] ~= who and who or nil
      end
    end
    assert.are.equal(0, run:stop())
  end))

  it("are resynced by /IDENTIFIER/resync with WEBHOOK, one without the other", case(function(start)
    local run = start({ first, second }, { port = port, env = { OCEAN__EVENT_LISTENER__TYPE = "WEBHOOK",
      OCEAN__EVENT_LISTENER__APP_HOST = "https://tide.example.com" } })
    run:ready()
    assert.are.equal(404, support.request("POST", run.public .. "/resync").status)
    assert.are.equal(404, support.request("POST", run.public .. "/nobody/resync").status)
    assert.are.equal(200, support.request("POST", run.public .. "/my-first-integration/resync").status)
    support.await("the resync", function()
      return port:states "my-first-integration" == "running completed"
    end)
    assert.are.equal("", port:states "my-se-cond-integration")
    assert.are.equal("https://tide.example.com/my-first-integration/resync",
      port:integration("my-first-integration").changelogDestination.url)
    assert.are.equal(0, run:stop())
  end))

  it("are reloaded one by one: a broken one keeps none of the others back", case(function(start)
    local run = start({ first, second }, { port = port })
    await_both(1)
    support.write(first .. "/main.lua", "x = = 1\n")
    support.write(second .. "/main.lua", support.read(second .. "/main.lua") .. "\n-- changed\n")
    local status, bundles = run:reload()
    assert.are.equal(422, status)
    local results = {}
    for _, bundle in ipairs(bundles) do
      results[bundle.name] = bundle.result .. " " .. bundle.generation
    end
    assert.are.same({ first = "refused 1", ["se-cond"] = "reloaded 2" }, results)
    assert.are.equal(0, run:stop())
  end))

  it("answer a reload that was asked for during a first load that is refused, and end", case(function(start)
    -- A match of some seconds, which no CPU budget cuts short.
    support.write(first .. "/main.lua", 'local _ = ("a"):rep(140):find ".-.-.-.-b"\nx = nil + 1\n')
    local run = start({ first }, { port = port })
    local res = support.request("POST", run.admin .. "/reload")
    assert.are.equal(422, res.status, run:err())
    assert.matches("the process ends", res.body)
    assert.are.equal(2, run:wait())
  end))

  it("refuse OCEAN__INTEGRATION__ settings, with the names to use instead", function()
    local run = service.run({ first, second }, { port = port, env = { OCEAN__INTEGRATION__CONFIG__LABEL = "one" } })
    assert.are.equal(2, run.code, run.err)
    assert.is_truthy(run.err:find("OCEAN__INTEGRATION__CONFIG__LABEL", 1, true), run.err)
    assert.is_truthy(run.err:find("MOONTIDE__BUNDLES__FIRST__INTEGRATION__CONFIG__LABEL", 1, true), run.err)
    assert.are.equal("", port:states "my-first-integration")
  end)

  it("refuse the same identifier twice, naming both", function()
    local run = service.run({ first, second }, { port = port, env = {
      MOONTIDE__BUNDLES__FIRST__INTEGRATION__IDENTIFIER = "same", MOONTIDE__BUNDLES__SE_COND__INTEGRATION__IDENTIFIER = "same" } })
    assert.are.equal(2, run.code, run.err)
    assert.is_truthy(run.err:find(first, 1, true) and run.err:find(second, 1, true) and run.err:find("same", 1, true), run.err)
    assert.matches("MOONTIDE__BUNDLES__", run.err)
    run = service.run({ first, first }, { port = port })
    assert.are.equal(2, run.code, run.err)
  end)

  it("name a variable that means none of them", case(function(start)
    local run = start({ first, second }, { port = port, env = { MOONTIDE__BUNDLES__FRIST__INTEGRATION__CONFIG__LABEL = "x" } })
    run:await_err "FRIST"
    assert.matches("did you mean FIRST%?", run:err())
    assert.are.equal(0, run:stop())
  end))
end)

describe("moontide run does not start", function()
  local bundle, port

  before_each(function()
    bundle, port = local_bundle("lonely", 1), service.port()
  end)

  after_each(function()
    port:stop()
  end)

  local function refuses(bundles, options, ...)
    options.port = options.port or port
    local run = service.run(bundles, options)
    assert.are.equal(2, run.code, run.err)
    assert.are.equal("", run.out)
    for _, text in ipairs { ... } do
      assert.is_truthy(run.err:find(text, 1, true), run.err)
    end
    return run
  end

  it("without a bundle, with one that is not there, or is no bundle", function()
    refuses({}, {}, "bundle")
    refuses(bundle .. "/nowhere", {}, "nowhere")
    refuses(support.tmpdir(), {}, "main.lua")
    refuses(support.write(support.tmpdir() .. "/x.mtb", "no archive"), {}, "x.mtb")
    refuses(bundle, { args = { "--nonsense" } }, "nonsense")
  end)

  it("with a bundle that does not load", function()
    support.write(bundle .. "/main.lua", "local x = = 1\n")
    local run = service.run(bundle, { port = port })
    assert.are.equal(2, run.code, run.err)
    assert.matches("main.lua:1:", run.err)
    support.write(bundle .. "/main.lua", "while true do end\n")
    run = service.run(bundle, { port = port })
    assert.are.equal(2, run.code, run.err)
    assert.matches("main.lua", run.err)
  end)

  it("with a port in use, naming the setting", case(function(start)
    local run = start(bundle, { port = port })
    local public, admin = run.public:match ":(%d+)$", run.admin:match ":(%d+)$"
    refuses(bundle, { env = { APPLICATION__PORT = public } }, public, "Address already in use", "APPLICATION__PORT")
    refuses(bundle, { env = { MOONTIDE__ADMIN__LISTEN = "127.0.0.1:" .. admin } }, admin, "Address already in use",
      "MOONTIDE__ADMIN__LISTEN")
    assert.are.equal(0, run:stop())
  end))

  it("with settings that are none, naming them", function()
    refuses(bundle, { env = { APPLICATION__PORT = "70000" } }, "APPLICATION__PORT", "70000")
    refuses(bundle, { env = { MOONTIDE__ADMIN__LISTEN = "here" } }, "MOONTIDE__ADMIN__LISTEN", "here")
    refuses(bundle, { env = { OCEAN__EVENT_LISTENER__TYPE = "POLING" } }, "POLING")
    refuses(bundle, { env = { OCEAN__EVENT_LISTENER__TYPE = "WEBHOOK" } }, "APP_HOST")
    refuses(bundle, { env = { OCEAN__SCHEDULED_RESYNC_INTERVAL = "often" } }, "often")
    refuses(bundle, { args = { "--trust", "/nowhere.pub" } }, "--trust")
    refuses(bundle, { args = { "--replay", "/nowhere.ndjson" } }, "/nowhere.ndjson")
  end)

  -- The service stays up: the resync fails, and everybody can see why.
  local function fails_with(start, state, ...)
    local run = start(bundle, { port = port, args = { "--state", state } })
    support.await("the failed resync", function()
      return run:bundle().last_resync ~= support.json.null
    end)
    local last = run:bundle().last_resync
    assert.are.equal("failed", last.result)
    for _, text in ipairs { ... } do
      assert.is_truthy(tostring(last.error):find(text, 1, true), tostring(last.error))
    end
    assert.are.equal(1, run:metric 'moontide_resyncs_total{integration="my-lonely-integration",result="failed"}')
    assert.are.equal(200, support.request("GET", run.public .. "/health/live").status)
    assert.are.equal(0, sync.count(port:entities()))
    assert.are.equal(0, run:stop())
  end

  it("a resync with a state file that is a folder, or where none can be", case(function(start)
    local folder = support.tmpdir()
    fails_with(start, folder, folder)
    local below = support.write(support.tmpdir() .. "/file", "") .. "/state.db"
    fails_with(start, below, below)
  end))

  it("a resync whose state file another process holds, and says who", case(function(start)
    local state = support.tmpdir() .. "/state.db"
    local held = service.bundle { dir = support.tmpdir() .. "/lonely", spec = "type: lonely\n",
      main = 'local t = require "moontide"; t.on_resync(function() t.sleep(100) end)' }
    local other = start(held, { port = port, args = { "--state", state } })
    support.await("its resync", function()
      return port:states "my-lonely-integration" == "running"
    end)
    fails_with(start, state, tostring(other.pid))
    other:stop "KILL"
  end))
end)
