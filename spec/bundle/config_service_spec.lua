-- Settings of a process that stays: listeners, schedule, logs; and that loading them again and again costs
-- nothing.
local support = require "spec.support"
local json = support.json
local driver = support.driver "config_driver"

local function bundle(files)
  local dir = support.tmpdir() .. "/thing"
  support.write(dir .. "/main.lua", "")
  support.write(dir .. "/.port/resources/blueprints.json", "[]")
  support.write(dir .. "/.port/spec.yaml", "configurations:\n  - {name: token, type: string, sensitive: true}\n")
  for file, text in pairs(files or {}) do
    support.write(dir .. "/" .. file, text)
  end
  return dir
end

local function load(env, files)
  return support.run({ driver, "config", type(files) == "string" and files or bundle(files) }, { env = env,
    cwd = support.tmpdir() })
end

local function settings(env, files)
  local result = load(env, files)
  assert.are.equal(0, result.code, result.err)
  return json.decode(result.out).settings, result.err
end

local function refused(env, pattern, files)
  local result = load(env, files)
  assert.are.equal(1, result.code, result.out)
  assert.matches(pattern, result.err)
  return result.err
end

local LISTENER = "OCEAN__EVENT_LISTENER__"

describe("settings of the service", function()
  it("have their defaults", function()
    local s = settings {}
    assert.are.same({ "127.0.0.1:8001", "text", 4, 600, 8000, 60, true },
      { s["admin.listen"], s["log.format"], s.max_concurrent_resyncs, s["reload.drain_seconds"],
        s["application.port"], s["event_listener.interval"], s["event_listener.resync_on_start"] })
  end)

  it("are taken from variables and config.yaml", function()
    local s = settings({ MOONTIDE__ADMIN__LISTEN = "[::1]:0", OCEAN__LOG__FORMAT = "json",
      MOONTIDE__MAX_CONCURRENT_RESYNCS = "1", MOONTIDE__RELOAD__DRAIN_SECONDS = "0", APPLICATION__PORT = "0" })
    assert.are.same({ "[::1]:0", "json", 1, 0, 0 }, { s["admin.listen"], s["log.format"], s.max_concurrent_resyncs,
      s["reload.drain_seconds"], s["application.port"] })
    s = settings({ MOONTIDE__LOG = '{"format":"json"}', MOONTIDE__ADMIN__LISTEN = "" })
    assert.are.same({ "json", "" }, { s["log.format"], s["admin.listen"] })
    s = settings({}, { ["config.yaml"] = "admin: {listen: '0.0.0.0:9'}\nlog: {format: json}\n" })
    assert.are.same({ "0.0.0.0:9", "json" }, { s["admin.listen"], s["log.format"] })
  end)

  it("that are wrong name themselves and what they take", function()
    for _, value in ipairs { "8001", ":8001", "localhost", "localhost:", "localhost:x", "localhost:65536",
      "::1:80", "[]:80", "http://localhost:80", "a b:80" } do
      refused({ MOONTIDE__ADMIN__LISTEN = value }, "admin%.listen takes HOST:PORT as in 127%.0%.0%.1:8001")
    end
    refused({ MOONTIDE__LOG__FORMAT = "xml" }, "log%.format takes one of text|json")
    refused({ MOONTIDE__MAX_CONCURRENT_RESYNCS = "0" }, "takes a whole number of at least 1")
    refused({ MOONTIDE__RELOAD__DRAIN_SECONDS = "-1" }, "takes a whole number of at least 0")
    refused({ APPLICATION__PORT = "70000" }, "application%.port takes a port: 1 to 65535")
    refused({ MOONTIDE__LOG = "json" }, "MOONTIDE__LOG must be a JSON object")
    refused({}, "config%.yaml: admin must be an object", { ["config.yaml"] = "admin: 8001\n" })
  end)

  it("hold for the process without a bundle too", function()
    local result = support.run({ driver, "config", "-" }, { env = { MOONTIDE__LOG__FORMAT = "json" },
      cwd = support.tmpdir() })
    assert.are.equal(0, result.code, result.err)
    assert.are.equal("json", json.decode(result.out).settings["log.format"])
  end)
end)

describe("the event listener", function()
  it("decides what is served, unless the flags are set themselves (R-LIS-01, R-LIS-02)", function()
    local function flags(env)
      local s = settings(env)
      return { s["event_listener.should_resync"], s["event_listener.should_process_webhooks"],
        s["event_listener.should_run_actions"] }
    end
    assert.are.same({ true, true, true }, flags {})
    assert.are.same({ true, true, true }, flags { [LISTENER .. "TYPE"] = "POLLING" })
    assert.are.same({ true, false, false }, flags { [LISTENER .. "TYPE"] = "ONCE" })
    assert.are.same({ false, true, false }, flags { [LISTENER .. "TYPE"] = "WEBHOOKS_ONLY" })
    assert.are.same({ true, true, true }, flags { [LISTENER .. "TYPE"] = "WEBHOOK",
      [LISTENER .. "APP_HOST"] = "https://me.example" })
    assert.are.same({ true, true, false }, flags { [LISTENER .. "TYPE"] = "ONCE",
      [LISTENER .. "SHOULD_PROCESS_WEBHOOKS"] = "true" })
    assert.are.same({ false, true, true }, flags { [LISTENER .. "TYPE"] = "POLLING",
      [LISTENER .. "SHOULD_RESYNC"] = "no" })
  end)

  it("needs its type with any other member, and compares it exactly (R-LIS-02)", function()
    refused({ [LISTENER .. "RESYNC_ON_START"] = "false" }, "event_listener%.type must be given .*R%-LIS%-02")
    refused({ [LISTENER .. "TYPE"] = "Once" }, '"Once" does not fit: event_listener%.type takes one of')
  end)

  it("WEBHOOK needs app_host, a URL that no message shows (R-LIS-01, R-CFG-17)", function()
    refused({ [LISTENER .. "TYPE"] = "WEBHOOK" }, "WEBHOOK needs the address at which Port reaches this process .*"
      .. "OCEAN__EVENT_LISTENER__APP_HOST")
    local err = refused({ [LISTENER .. "TYPE"] = "WEBHOOK", [LISTENER .. "APP_HOST"] = "hunter2" },
      "event_listener%.app_host takes an address")
    assert.not_matches("hunter2", err)
    assert.not_matches("WEBHOOK needs", err)
    local result = support.run({ driver, "mask", bundle() }, { stdin = "to https://me.example now",
      cwd = support.tmpdir(), env = { [LISTENER .. "TYPE"] = "WEBHOOK", [LISTENER .. "APP_HOST"] =
        "https://me.example/" } })
    assert.are.equal("to [REDACTED] now", result.out)
  end)

  it("KAFKA and ACTIONS_ONLY, and incremental syncs, are refused with what to use instead", function()
    for _, type in ipairs { "KAFKA", "ACTIONS_ONLY" } do
      refused({ [LISTENER .. "TYPE"] = type }, "OCEAN__EVENT_LISTENER__TYPE: moontide does not serve the event "
        .. "listener " .. type .. ": use POLLING, .* or WEBHOOK")
    end
    refused({ OCEAN__INTEGRATION__INCREMENTAL_SYNC_ENABLED = "true" }, "INCREMENTAL_SYNC_ENABLED: moontide does not "
      .. "serve incremental syncs: unset it; .* scheduled_resync_interval")
    settings { OCEAN__INTEGRATION__INCREMENTAL_SYNC_ENABLED = "false" }
  end)
end)

describe("the schedule", function()
  it("takes minutes, and numbers with a unit (R-LIS-21, R-ST-04)", function()
    for text, wanted in pairs { ["90"] = { 90, 5400 }, ["45s"] = { 1, 45 }, ["61s"] = { 2, 61 }, ["15m"] = { 15, 900 },
      ["2h"] = { 120, 7200 }, ["1d"] = { 1440, 86400 }, [" 1w "] = { 10080, 604800 } } do
      local s = settings { OCEAN__SCHEDULED_RESYNC_INTERVAL = text }
      assert.are.same(wanted, { s.scheduled_resync_interval, s.scheduled_resync_interval_seconds })
    end
    assert.are.equal(0, settings({}).scheduled_resync_interval_seconds)
    assert.are.equal(30, settings({}, { ["config.yaml"] = "scheduledResyncInterval: 30\n" }).scheduled_resync_interval)
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "0", "-5m", "h", "", "5y", "1.5h", "5 m", "99999999999h", "99999999999999999999" } do
      refused({ OCEAN__SCHEDULED_RESYNC_INTERVAL = text }, "takes minutes, or a number with its unit: 45s, 90m")
    end
  end)
end)

describe("the runtime", function()
  it("decides on the IP blocker, which may be set itself (R-CFG-08, R-HTTP-10)", function()
    assert.is_true(settings({}).disable_ip_outbound_blocker)
    assert.is_false(settings({ OCEAN__RUNTIME = "Saas" }).disable_ip_outbound_blocker)
    assert.is_true(settings({ OCEAN__RUNTIME = "Saas", OCEAN__DISABLE_IP_OUTBOUND_BLOCKER = "true" })
      .disable_ip_outbound_blocker)
    assert.is_false(settings({ OCEAN__DISABLE_IP_OUTBOUND_BLOCKER = "false" }).disable_ip_outbound_blocker)
  end)

  it("Saas needs a spec that does not forbid it (R-CFG-10)", function()
    refused({ OCEAN__RUNTIME = "Saas" }, "saas%.enabled: false %(R%-CFG%-10%)",
      { [".port/spec.yaml"] = "saas: {enabled: false}\n" })
    local dir = support.tmpdir() .. "/bare"
    support.write(dir .. "/main.lua", "")
    refused({ OCEAN__RUNTIME = "Saas" }, "runtime Saas needs %.port/spec%.yaml %(R%-CFG%-10%)", dir)
    settings({ OCEAN__RUNTIME = "Saas" }, { [".port/spec.yaml"] = "saas: {enabled: true}\n" })
  end)

  it("warns of weak TLS and of a removed setting (R-CFG-09, R-CFG-11)", function()
    local _, err = settings { OCEAN__SSL__THIRD_PARTY__VERIFY = "false", OCEAN__SSL__PORT__X509__STRICT = "false",
      OCEAN__PROCESS_EXECUTION_MODE = "multi_process" }
    assert.matches("THIRD_PARTY__VERIFY: ssl%.third_party%.verify is off: certificates of the third party are not", err)
    assert.matches("ssl%.port%.x509%.strict is off", err)
    assert.matches("PROCESS_EXECUTION_MODE: this setting was removed and does nothing", err)
  end)
end)

describe("loading the configuration again and again", function()
  it("on another thread keeps nothing of 10,000 loads, the list of secrets included (R-CFG-17)", function()
    local dir = bundle { ["config.yaml"] = "log: {format: json}\nintegration: {config: {token: '{{ from env TOK }}'}}\n",
      [".env"] = "OCEAN__INTEGRATION__IDENTIFIER=x\nOCEAN__PORT='{\"clientId\":\"abcdef\"}'\n" }
    local result = support.run({ driver, "loads", dir, "10000" }, { cwd = support.tmpdir(), env = { TOK = "secret-1",
      OCEAN__PORT__CLIENT_SECRET = "secret-2", MOONTIDE__BUNDLES__THING__RUNTIME = "OnPrem" } })
    assert.are.equal(0, result.code, result.err)
    -- The caches of the allocator move, by as much for 80,000 loads as for 10,000 (94 KB seen); a single byte kept by
    -- a load would be 5,000 blocks, 160 KB.
    assert.is_true(math.abs(assert(tonumber(result.out))) < 131072, result.out)
  end)
end)
