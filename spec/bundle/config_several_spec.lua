-- Configuration of several bundles in one process: what each has for itself, what they share, and what is said
-- when a variable could mean any of them.
local support = require "spec.support"
local json = support.json
local driver = support.driver "config_driver"

local SPEC = [[
configurations:
  - name: apiHost
    type: url
    required: true
  - name: apiToken
    type: string
    sensitive: true
]]
local HOST = "https://api.example.com"
local NAMED = "MOONTIDE__BUNDLES__MY_BUNDLE_2__"

local function bundle(files, name)
  local dir = support.tmpdir() .. "/" .. (name or "my-bundle.2")
  support.write(dir .. "/main.lua", "")
  support.write(dir .. "/.port/resources/blueprints.json", "[]")
  support.write(dir .. "/.port/spec.yaml", SPEC)
  for file, text in pairs(files or {}) do
    support.write(dir .. "/" .. file, text)
  end
  return dir
end

-- One of several unless options.alone.
local function load(dir, env, options)
  options = options or {}
  return support.run({ driver, "config", dir, options.url or "", "", not options.alone and "several" or nil },
    { env = env, cwd = options.cwd or support.tmpdir() })
end

local function config(...)
  local result = load(...)
  assert.are.equal(0, result.code, result.err)
  return json.decode(result.out), result.err
end

local function refused(...)
  local result = load(...)
  assert.are.equal(1, result.code, result.out)
  return result.err
end

describe("a variable with the bundle's name", function()
  it("means what OCEAN__ means, for this bundle alone, with one bundle too", function()
    local env = { [NAMED .. "INTEGRATION__CONFIG__API_HOST"] = HOST, [NAMED .. "INTEGRATION__IDENTIFIER"] = "one",
      [NAMED .. "EVENT_LISTENER__TYPE"] = "ONCE" }
    for _, options in ipairs { {}, { alone = true } } do
      local c = config(bundle(), env, options)
      assert.are.same({ HOST, "one", "ONCE" },
        { c.integration.apiHost, c.identifier, c.settings["event_listener.type"] })
    end
  end)

  it("takes the name in any case, and sections as JSON", function()
    local c = config(bundle(), { moontide__bundles__my_bundle_2__integration =
      '{"identifier":"two","config":{"apiHost":"https://a.example"}}' })
    assert.are.same({ "two", "https://a.example" }, { c.identifier, c.integration.apiHost })
  end)

  it("is stronger than every common one, member or section, and weaker than a flag", function()
    local dir = bundle({ ["config.yaml"] = "integration: {identifier: yaml}\n",
      [".env"] = "OCEAN__INTEGRATION__IDENTIFIER=dotenv\nOCEAN__INTEGRATION__CONFIG__API_HOST=" .. HOST .. "\n" })
    assert.are.equal("dotenv", config(dir, {}).identifier)
    local c = config(dir, { [NAMED .. "INTEGRATION"] = '{"identifier":"named"}',
      OCEAN__PORT__BASE_URL = "https://common.example", [NAMED .. "PORT__BASE_URL"] = "https://named.example",
      [NAMED .. "PORT__CLIENT_ID"] = "abcd", OCEAN__PORT__CLIENT_SECRET = "efgh" })
    assert.are.same({ "named", "https://named.example" }, { c.identifier, c.settings["port.base_url"] })
    c = config(dir, { [NAMED .. "PORT__BASE_URL"] = "https://named.example", OCEAN__PORT__CLIENT_ID = "abcd",
      OCEAN__PORT__CLIENT_SECRET = "efgh" }, { url = "https://flag.example" })
    assert.are.equal("https://flag.example", c.settings["port.base_url"])
  end)

  it("may stand in the .env of the working directory or of the bundle", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", NAMED .. "INTEGRATION__CONFIG__API_HOST=" .. HOST .. "\n")
    local c = config(bundle { [".env"] = NAMED .. "INTEGRATION__IDENTIFIER=own\n" }, {}, { cwd = cwd })
    assert.are.same({ HOST, "own" }, { c.integration.apiHost, c.identifier })
  end)

  it("that is required and missing is named in the error", function()
    assert.matches("set MOONTIDE__BUNDLES__MY_BUNDLE_2__INTEGRATION__CONFIG__API_HOST, or", refused(bundle(), {}))
    assert.matches("set OCEAN__INTEGRATION__CONFIG__API_HOST, or", refused(bundle(), {}, { alone = true }))
  end)

  it("for another bundle is dropped with a warning that names the nearest", function()
    local env = { OCEAN__INTEGRATION__CONFIG__API_HOST = HOST, MOONTIDE__BUNDLES__MY_BUNDEL_2__RUNTIME = "Saas",
      MOONTIDE__BUNDLES__ZEBRA__RUNTIME = "Saas", MOONTIDE__BUNDLES__ZEBRA__BASE_URL = "x",
      MOONTIDE__BUNDLES__MY_BUNDLE_2 = "y", MOONTIDE__BUNDLES__ = "z" }
    local c, err = config(bundle(), env, { alone = true })
    assert.are.equal("OnPrem", c.settings.runtime)
    assert.matches("MY_BUNDEL_2__RUNTIME: it is dropped: no bundle of this process is called MY_BUNDEL_2; did you "
      .. "mean MY_BUNDLE_2%?", err)
    assert.are.equal(1, select(2, err:gsub("is called ZEBRA %(MY_BUNDLE_2 is%)", "")))
    assert.matches("variable MOONTIDE__BUNDLES__MY_BUNDLE_2: it is dropped: a variable of a bundle is", err)
    assert.matches("variable MOONTIDE__BUNDLES__: it is dropped: a variable of a bundle is", err)
    assert.not_matches("there is no setting", err)
  end)

  it("for another one is fine in what all share, and not in the bundle's own .env", function()
    local dir = bundle { [".env"] = "MOONTIDE__BUNDLES__OTHER__RUNTIME=Saas\n" }
    local env = { [NAMED .. "INTEGRATION__CONFIG__API_HOST"] = HOST, MOONTIDE__BUNDLES__THIRD__RUNTIME = "Saas" }
    local _, err = config(dir, env)
    assert.matches("%.env:1: MOONTIDE__BUNDLES__OTHER__RUNTIME: it is dropped", err)
    assert.not_matches("THIRD", err)
  end)
end)

describe("with several bundles", function()
  it("each has its own .env and config.yaml, and Port is common to all", function()
    local env = { OCEAN__PORT__CLIENT_ID = "abcd", OCEAN__PORT__CLIENT_SECRET = "efgh" }
    for _, name in ipairs { "a", "b" } do
      local c = config(bundle({ [".env"] = "OCEAN__INTEGRATION__CONFIG__API_HOST=https://" .. name .. ".example\n",
        ["config.yaml"] = "integration: {identifier: id-" .. name .. "}\n" }, name), env)
      assert.are.same({ "https://" .. name .. ".example", "id-" .. name, false },
        { c.integration.apiHost, c.identifier, c.embedded })
    end
  end)

  it("OCEAN__INTEGRATION__ for all of them is refused with the right names, and no value", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", "\nMOONTIDE__INTEGRATION__IDENTIFIER=hunter1\n")
    local err = refused(bundle(), { OCEAN__INTEGRATION__CONFIG__API_TOKEN = "hunter2",
      ocean__integration__config__api_host = "https://hunter3.example", OCEAN__PORT__CLIENT_ID = "abcd",
      OCEAN__PORT__CLIENT_SECRET = "efgh" }, { cwd = cwd })
    assert.matches("the process runs several bundles", err)
    assert.matches("for my%-bundle%.2 set", err)
    assert.matches("\n  " .. NAMED .. "INTEGRATION__CONFIG__API_TOKEN for environment variable OCEAN__INTEGRATION__"
      .. "CONFIG__API_TOKEN", err)
    assert.matches(NAMED .. "integration__config__api_host for environment variable ocean__", err)
    assert.matches(NAMED .. "INTEGRATION__IDENTIFIER for %.env:2: MOONTIDE__INTEGRATION__IDENTIFIER", err)
    assert.not_matches("hunter", err)
    assert.not_matches("is required", err)
  end)

  it("it is refused as JSON too, and many are counted", function()
    assert.matches(NAMED .. "INTEGRATION for environment variable OCEAN__INTEGRATION\n",
      refused(bundle(), { OCEAN__INTEGRATION = '{"identifier":"x"}' }) .. "\n")
    local env = {}
    for i = 1, 9 do
      env["OCEAN__INTEGRATION__CONFIG__V" .. i] = "x"
    end
    assert.matches("\n  and so on for 4 more", refused(bundle(), env))
  end)

  it("the .env of the working directory is a bundle's own when that is its folder", function()
    local dir = bundle { [".env"] = "OCEAN__INTEGRATION__CONFIG__API_HOST=" .. HOST
      .. "\nAPPLICATION__PORT=9000\n" }
    local c, err = config(dir, {}, { cwd = dir })
    assert.are.same({ HOST, 9000, "" }, { c.integration.apiHost, c.settings["application.port"], err })
    assert.matches("%.env:1: OCEAN__INTEGRATION__CONFIG__API_HOST", refused(bundle(), {}, { cwd = dir }))
  end)

  it("what only the process reads has no effect in a bundle's sources, which is said", function()
    local own = "admin: {listen: '127.0.0.1:1'}\nlog: {format: json}\nmaxConcurrentResyncs: 9\nreload: "
      .. "{drainSeconds: 5}\n"
    local dir = bundle { ["config.yaml"] = own, [".env"] = "APPLICATION__PORT=9000\n" }
    local env = { [NAMED .. "APPLICATION__LOG_LEVEL"] = "DEBUG", [NAMED .. "INTEGRATION__CONFIG__API_HOST"] = HOST,
      APPLICATION__PORT = "8080" }
    local c, err = config(dir, env)
    local s = c.settings
    assert.are.same({ "127.0.0.1:8001", "text", 4, 5, 8080, "INFO" }, { s["admin.listen"], s["log.format"],
      s.max_concurrent_resyncs, s["reload.drain_seconds"], s["application.port"], s["application.log_level"] })
    assert.matches("config%.yaml:1: admin%.listen: it has no effect: admin%.listen is the process's", err)
    for _, name in ipairs { "log.format", "max_concurrent_resyncs", "application.port", "application.log_level" } do
      assert.matches("it has no effect: " .. name:gsub("%p", "%%%0"), err)
    end
    assert.are.equal(5, select(2, err:gsub("it has no effect", "")))
    s = config(dir, env, { alone = true }).settings
    assert.are.same({ "127.0.0.1:1", "json", 9, 8080, "DEBUG" }, { s["admin.listen"], s["log.format"],
      s.max_concurrent_resyncs, s["application.port"], s["application.log_level"] })
  end)
end)

describe("the bundles of a process", function()
  local function names(env, cwd, ...)
    return support.run({ driver, "names", ... }, { env = env, cwd = cwd or support.tmpdir() })
  end

  it("that are one NAME in variables are refused", function()
    local result = names({}, nil, "github", "my-app", "my.app")
    assert.are.equal(1, result.code)
    assert.matches("invalid: two bundles of this process, my%-app and my%.app, are one MY_APP in the names of "
      .. "variables", result.err)
    assert.are.equal(0, names({}, nil, "github", "git-hub").code)
  end)

  it("are what a variable's NAME is compared with, .env of the working directory included", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", "MOONTIDE__BUNDLES__GITHUP__RUNTIME=Saas\n")
    local result = names({ MOONTIDE__BUNDLES__GITHUB__RUNTIME = "Saas", MOONTIDE__BUNDLES__MY_APP__X__Y = "1",
      MOONTIDE__BUNDLES__QUITE_ELSE__RUNTIME = "Saas" }, cwd, "github", "my-app")
    assert.are.equal(0, result.code, result.err)
    assert.matches("warning: %.env:1: MOONTIDE__BUNDLES__GITHUP__RUNTIME: .* did you mean GITHUB%?", result.out)
    assert.matches("called QUITE_ELSE %(GITHUB, among others, is%)", result.out)
    assert.are.equal(2, select(2, result.out:gsub("\n", "")))
  end)
end)
