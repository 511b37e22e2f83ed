-- The configuration of an integration: where values come from, which ones are taken, and what is said about the others.
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
  - name: pageSize
    type: integer
    default: 100
  - name: verifySsl
    type: boolean
    default: true
  - name: extraHeaders
    type: object
  - name: teamIds
    type: array
  - name: newRelicAPIKey
    type: string
    sensitive: true
  - name: aws_partition
    type: string
]]

local HOST = { OCEAN__INTEGRATION__CONFIG__API_HOST = "https://api.example.com" }

local function bundle(files)
  local dir = support.tmpdir() .. "/My_Bundle"
  files = files or {}
  if files[".port/spec.yaml"] == nil then
    files[".port/spec.yaml"] = SPEC
  end
  files["main.lua"] = files["main.lua"] or ""
  files[".port/resources/blueprints.json"] = files[".port/resources/blueprints.json"] or "[]"
  for name, text in pairs(files) do
    if text then
      support.write(dir .. "/" .. name, text)
    end
  end
  return dir
end

local function merged(base, more)
  local env = {}
  for _, from in ipairs { base, more or {} } do
    for name, value in pairs(from) do
      env[name] = value
    end
  end
  return env
end

local function run(files, env, options)
  options = options or {}
  local dir = type(files) == "string" and files or bundle(files)
  return support.run({ driver, "config", dir, options.url or "", options.state }, { env = env or HOST,
    cwd = options.cwd or support.tmpdir() })
end

local function config(files, env, options)
  local result = run(files, env, options)
  assert.are.equal(0, result.code, result.err)
  return json.decode(result.out), result.err
end

local function refuses(files, env, pattern, options)
  local result = run(files, env, options)
  assert.are.equal(1, result.code, result.out)
  assert.are.equal("", result.out)
  assert.matches(pattern, result.err)
  return result.err
end

describe("a configuration value", function()
  it("comes from the environment, .env of the working directory, .env of the bundle, config.yaml, the default, "
    .. "in this order (R-CFG-01)", function()
    local files = { ["config.yaml"] = "integration: {config: {pageSize: 1}}" }
    local name, cwd = "OCEAN__INTEGRATION__CONFIG__PAGE_SIZE", support.tmpdir()
    assert.are.equal(100, config().integration.pageSize)
    assert.are.equal(1, config(files).integration.pageSize)
    files[".env"] = name .. "=2"
    local dir = bundle(files)
    assert.are.equal(2, config(dir).integration.pageSize)
    support.write(cwd .. "/.env", name .. "=3")
    assert.are.equal(3, config(dir, HOST, { cwd = cwd }).integration.pageSize)
    assert.are.equal(4, config(dir, merged(HOST, { [name] = "4" }), { cwd = cwd }).integration.pageSize)
  end)

  it("may be named MOONTIDE__, which wins over OCEAN__ in one source, and not over a higher source", function()
    local ocean, ours = "OCEAN__INTEGRATION__CONFIG__PAGE_SIZE", "MOONTIDE__INTEGRATION__CONFIG__PAGE_SIZE"
    assert.are.equal(7, config(nil, merged(HOST, { [ours] = "7" })).integration.pageSize)
    assert.are.equal(7, config(nil, merged(HOST, { [ours] = "7", [ocean] = "8" })).integration.pageSize)
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", ours .. "=1\n" .. ocean .. "=2\n")
    assert.are.equal(1, config(nil, HOST, { cwd = cwd }).integration.pageSize)
    assert.are.equal(8, config(nil, merged(HOST, { [ocean] = "8" }), { cwd = cwd }).integration.pageSize)
  end)

  it("is found in any case, by the snake_case of its name (R-CFG-02, R-CFG-14)", function()
    local c = config(nil, { ocean__integration__Config__api_host = "https://x.example//",
      OCEAN__INTEGRATION__CONFIG__NEW_RELIC_API_KEY = "abcdef",
      OCEAN__INTEGRATION__CONFIG__AWS_PARTITION = "aws" })
    assert.are.equal("https://x.example", c.integration.apiHost)
    assert.are.equal("***", c.integration.newRelicAPIKey)
    assert.are.equal("aws", c.integration.aws_partition)
  end)

  it("may come in a section as JSON, members of their own variables win (R-CFG-03)", function()
    local c = config(nil, {
      OCEAN__INTEGRATION = '{"identifier":"abc","config":{"apiHost":"https://a.example",'
        .. '"pageSize":5,"extraHeaders":{"a":{"b":1}}}}',
      OCEAN__INTEGRATION__CONFIG = '{"page_size":6,"teamIds":[1,2]}', OCEAN__INTEGRATION__CONFIG__TEAM_IDS = "[3]" })
    assert.are.equal("abc", c.identifier)
    assert.are.same({ "https://a.example", 6, { a = { b = 1 } }, { 3 } },
      { c.integration.apiHost, c.integration.pageSize, c.integration.extraHeaders, c.integration.teamIds })
    local err = refuses(nil, { OCEAN__PORT = "hunter2secret" },
      "environment variable OCEAN__PORT must be a JSON object")
    assert.not_matches("hunter2", err)
    refuses(nil, { OCEAN__INTEGRATION__CONFIG = "[1]" }, "OCEAN__INTEGRATION__CONFIG must be a JSON object")
  end)

  it("may be named by {{ from env NAME }} in config.yaml (R-CFG-05)", function()
    local files = { ["config.yaml"] = [[
integration:
  identifier: '{{ from env MY_ID }}'
  config:
    apiHost: "{{ from env MY_HOST }}"
    apiToken: '{{ from vault TOKEN }}'
    aws_partition: '{{from env MY_ID}}'
    page_size: '{{ from env MY_SIZE }}'
]] }
    local c = config(files, { MY_ID = "me", MY_HOST = "https://h.example", MY_SIZE = "9" })
    assert.are.same({ "me", "https://h.example", json.null, "{{from env MY_ID}}", 9 },
      { c.identifier, c.integration.apiHost, c.integration.apiToken, c.integration.aws_partition,
        c.integration.pageSize })
    assert.are.equal("my-my_bundle-integration", config(files, HOST).identifier)
    refuses(files, { MY_HOST = "https://h.example", MY_SIZE = "x" },
      'environment variable MY_SIZE, named by config%.yaml: "x" does not fit: pageSize takes a whole number')
  end)
end)

describe("types of the spec", function()
  local function given(name, value)
    return merged(HOST, { ["OCEAN__INTEGRATION__CONFIG__" .. name] = value })
  end

  it("take their usual spellings (R-CFG-15)", function()
    for text, wanted in pairs { ["true"] = true, T = true, yes = true, Y = true, ON = true, ["1"] = true,
      ["false"] = false, f = false, No = false,
      n = false, off = false, ["0"] = false } do
      assert.are.equal(wanted, config(nil, given("VERIFY_SSL", text)).integration.verifySsl)
    end
    assert.are.equal(-12, config(nil, given("PAGE_SIZE", "-12")).integration.pageSize)
    assert.are.equal(12, config(nil, given("PAGE_SIZE", "+12")).integration.pageSize)
    assert.are.same({ a = 1 }, config(nil, given("EXTRA_HEADERS", '{"a":1}')).integration.extraHeaders)
    local c = config({ ["config.yaml"] = "integration: {config: {awsPartition: true, extraHeaders: {A: b}, "
      .. "teamIds: [x], verifySsl: off}}" }, HOST)
    assert.are.same({ "True", { A = "b" }, { "x" }, false },
      { c.integration.aws_partition, c.integration.extraHeaders, c.integration.teamIds, c.integration.verifySsl })
  end)

  it("refuse what does not fit, with the source and what is wanted (R-CFG-15)", function()
    refuses(nil, given("PAGE_SIZE", "many"), 'environment variable OCEAN__INTEGRATION__CONFIG__PAGE_SIZE: "many" '
      .. 'does not fit: pageSize takes a whole number')
    refuses(nil, given("PAGE_SIZE", "1.5"), "pageSize takes a whole number")
    refuses(nil, given("PAGE_SIZE", "99999999999999999999"), "pageSize takes a whole number")
    refuses(nil, given("PAGE_SIZE", ""), "pageSize takes a whole number")
    refuses(nil, given("VERIFY_SSL", "maybe"), "verifySsl takes true or false")
    refuses(nil, given("API_HOST", "example.com"), "apiHost takes a URL like https://example.com")
    refuses(nil, given("API_HOST", "https://"), "apiHost takes a URL")
    refuses(nil, given("API_HOST", "https://a b"), "apiHost takes a URL")
    refuses(nil, given("EXTRA_HEADERS", "[1]"), "extraHeaders takes an object, or one as JSON text")
    refuses(nil, given("TEAM_IDS", "a,b"), "teamIds takes a list, or one as JSON text")
    refuses({ ["config.yaml"] = "integration:\n  config:\n    apiHost: https://a.example\n    pageSize: [1]\n" }, {},
      "config%.yaml:4: integration%.config%.pageSize: the value does not fit: pageSize takes a whole number")
    refuses({ ["config.yaml"] = "integration:\n  config:\n    apiHost: https://a.example\n    pageSize: true\n" }, {},
      "pageSize takes a whole number")
  end)

  it("never show a sensitive value in an error", function()
    local spec = SPEC:gsub("name: apiToken\n    type: string", "name: apiToken\n    type: object")
    local err = refuses({ [".port/spec.yaml"] = spec }, given("API_TOKEN", "hunter2secret"),
      "API_TOKEN: the value does not fit: apiToken takes an object")
    assert.not_matches("hunter2", err)
  end)

  it("that do not exist are an error of the spec, with its line (R-CFG-14)", function()
    refuses({ [".port/spec.yaml"] = "configurations:\n  - name: a\n    type: string\n"
      .. "  - name: b\n    type: number\n" }, {},
      "%.port/spec%.yaml:4: b has the type number, which does not exist: string, integer")
    refuses({ [".port/spec.yaml"] = "configurations:\n  - name: a\n" }, {},
      "%.port/spec%.yaml:2: configurations%[0%] needs a name and a type")
    refuses({ [".port/spec.yaml"] = "configurations: {a: 1}" }, {}, "configurations must be a list")
  end)

  it("hold for defaults too (R-CFG-16)", function()
    refuses({ [".port/spec.yaml"] = "configurations:\n  - name: a\n    type: integer\n    default: lots\n" }, {},
      "%.port/spec%.yaml:2: the default of a does not fit its type integer")
    local c = config({ [".port/spec.yaml"] = "configurations:\n  - {name: a, type: string, required: true, "
      .. "default: x}\n  - {name: b, type: string}\n" }, {})
    assert.are.same({ a = "x", b = json.null }, c.integration)
  end)
end)

describe("a required value that is missing", function()
  it("is an error that says which variable to set (R-CFG-16)", function()
    refuses(nil, {}, "apiHost is required and not set: set OCEAN__INTEGRATION__CONFIG__API_HOST, or "
      .. "integration%.config%.apiHost in")
  end)

  it("is told with all the others at once", function()
    local err = refuses(nil, { OCEAN__INTEGRATION__CONFIG__PAGE_SIZE = "x", OCEAN__CLIENT_TIMEOUT = "soon" }, "also: ")
    assert.matches("apiHost is required", err)
    assert.matches("pageSize takes", err)
    assert.matches("client_timeout takes a whole number of at least 1", err)
  end)
end)

describe("a value that the spec does not name", function()
  it("is dropped with a warning that names the nearest one (R-CFG-14)", function()
    local c, err = config(nil, merged(HOST, { OCEAN__INTEGRATION__CONFIG__APITOKN = "abc",
      OCEAN__INTEGRATION__CONFIG__ZEBRA_COLOUR = "1" }))
    assert.is_nil(c.integration.apitokn)
    assert.matches("WARN .*OCEAN__INTEGRATION__CONFIG__APITOKN: the integration has no configuration apitokn: it "
      .. "is dropped; did you mean apiToken%?", err)
    assert.matches("no configuration zebra_colour: it is dropped\n", err)
  end)

  it("is passed on unchecked when there is no spec (R-CFG-14)", function()
    local c = config({ [".port/spec.yaml"] = false, ["config.yaml"] = "integration: {config: {deep: {a: [1]}, "
      .. "page_size: 5}}" },
      { OCEAN__INTEGRATION__CONFIG__API_TOKEN = "abc" })
    assert.are.same({ deep = { a = { 1 } }, pageSize = 5, apiToken = "abc" }, c.integration)
  end)
end)

describe("settings of Ocean", function()
  it("have its defaults (R-CFG-08), the jq environment apart", function()
    local s = config().settings
    assert.are.same({ 20, 60, 0, 120, 0, true, false, true, true, "POLLING", "OnPrem", "dsp", ".moontide/state.db",
      "15", "INFO", json.null },
      { s.upsert_entities_batch_max_length, s.client_timeout, s.scheduled_resync_interval,
        s["port.retry_deadline_seconds"],
        s.process_in_queue_max_workers, s.send_raw_data_examples, s.allow_environment_variables_jq_access,
          s["ssl.port.verify"],
        s.initialize_port_resources, s["event_listener.type"], s.runtime, s.processing_mode, s.state_file,
        s["integration.incremental_sync_interval"], s["application.log_level"], s["metrics.webhook_url"] })
  end)

  it("are taken from every source, in either case of YAML (R-CFG-04, R-CFG-06, R-CFG-07)", function()
    local c = config({ ["config.yaml"] = "clientTimeout: 30\nsend_raw_data_examples: false\nssl: {port: {verify: "
      .. "false}}\nteam: {name: x}\nscheduledResyncInterval: null\n" },
      merged(HOST, { APPLICATION__LOG_LEVEL = "DEBUG", OCEAN__INTEGRATION__INCREMENTAL_SYNC_INTERVAL = "1h",
        OCEAN__INTEGRATION__TYPE = "GitHub-Ocean",
        OCEAN__INTEGRATION__VERSION = "2.0.1" }))
    local s = c.settings
    assert.are.same({ 30, false, false, "DEBUG", "60", "x", 0 }, { s.client_timeout, s.send_raw_data_examples,
      s["ssl.port.verify"], s["application.log_level"],
      s["integration.incremental_sync_interval"], s["team.name"], s.scheduled_resync_interval })
    assert.are.same({ "github-ocean", "2.0.1", "my-github-ocean-integration" }, { c.type, c.version, c.identifier })
  end)

  it("that are wrong name themselves and their source", function()
    local function wrong(name, value, pattern)
      refuses(nil, merged(HOST, { [name] = value }), pattern)
    end
    wrong("OCEAN__CLIENT_TIMEOUT", "0", 'OCEAN__CLIENT_TIMEOUT: "0" does not fit: client_timeout takes a whole '
      .. 'number of at least 1')
    wrong("OCEAN__SEND_RAW_DATA_EXAMPLES", "perhaps", "takes true or false")
    wrong("OCEAN__PORT__BASE_URL", "ftp://x.example", "port%.base_url takes an address that begins with http:// "
      .. "or https://")
    wrong("OCEAN__EVENT_LISTENER__TYPE", "polling", "event_listener%.type takes one of POLLING|KAFKA|")
    wrong("OCEAN__EVENT_LISTENER__INTERVAL", "5", "event_listener%.type must be given .*R%-LIS%-02")
    wrong("OCEAN__INTEGRATION__INCREMENTAL_SYNC_INTERVAL", "20m", "takes 15m, 30m or 1h")
    wrong("OCEAN__MAX_EVENT_PROCESSING_SECONDS", "long", "takes a number of at least 0")
    wrong("OCEAN__RUNTIME", "Cloud", "runtime takes one of OnPrem|Saas")
    wrong("OCEAN__INTEGRATION__IDENTIFIER", "a b\n", "integration%.identifier is part of a request header")
    wrong("OCEAN__ACTIONS_PROCESSOR__ENABLED", "true", "needs actionsProcessingEnabled: true in the spec")
    refuses({ ["config.yaml"] = "port: 5\n" }, HOST, "config%.yaml: port must be an object")
    refuses({ ["config.yaml"] = "- 5\n" }, HOST, "config%.yaml: its top level must be an object")
    refuses({ ["config.yaml"] = "a: [\n" }, HOST, "config%.yaml:2:1: did not find expected node content")
    refuses({ ["config.yaml"] = "\n\nclientTimeout: soon\n" }, HOST,
      "config%.yaml:3: clientTimeout: \"soon\" does not fit")
    refuses({ [".port/spec.yaml"] = SPEC .. "saas: {enabled: false}\n" }, merged(HOST, { OCEAN__RUNTIME = "Saas" }),
      "saas%.enabled: false")
    refuses({ [".port/spec.yaml"] = false }, { OCEAN__RUNTIME = "Saas" }, "runtime Saas needs %.port/spec%.yaml")
  end)

  it("that weaken TLS, were removed or do not exist are warned about (R-CFG-09, R-CFG-11)", function()
    local _, err = config(nil, merged(HOST, { OCEAN__SSL__PORT__VERIFY = "false",
      OCEAN__PROCESS_EXECUTION_MODE = "multi_process",
      OCEAN__CLIENT_TIMEOT = "5", OCEAN__RESOURCES_PATH = "elsewhere", OCEAN__LIVE_EVENTS__ENABLED = "true" }))
    assert.matches("ssl%.port%.verify is off: Port's certificate is not verified", err)
    assert.matches("OCEAN__PROCESS_EXECUTION_MODE: this setting was removed", err)
    assert.matches("there is no setting client_timeot; did you mean client_timeout%?", err)
    assert.matches("OCEAN__RESOURCES_PATH: resources are read from the bundle's", err)
    assert.not_matches("live_events", err)
  end)
end)

describe("where Port is", function()
  local id, secret = { OCEAN__PORT__CLIENT_ID = "cid1" }, { OCEAN__PORT__CLIENT_SECRET = "csecret1" }
  local both = merged(merged(HOST, id), secret)

  it("is the embedded catalog with neither credentials nor a base URL", function()
    local c = config()
    assert.is_true(c.embedded)
    assert.are.equal(json.null, c.settings["port.base_url"])
    assert.is_true(config(nil, merged(HOST, { OCEAN__PORT__CLIENT_ID = "", OCEAN__PORT__CLIENT_SECRET = "",
      OCEAN__PORT__BASE_URL = "" })).embedded)
  end)

  it("is Port's own address with credentials alone (R-CFG-08)", function()
    local c = config(nil, both)
    assert.is_false(c.embedded)
    assert.are.equal("https://api.getport.io", c.settings["port.base_url"])
    assert.are.equal("***", c.settings["port.client_secret"])
  end)

  it("is the base URL, and the flag wins (R-CFG-01)", function()
    local env = merged(both, { OCEAN__PORT__BASE_URL = "http://env.example/" })
    assert.are.equal("http://env.example", config(nil, env).settings["port.base_url"])
    local c = config(nil, env, { url = "http://127.0.0.1:9", state = "/tmp/s.db" })
    assert.are.equal("http://127.0.0.1:9", c.settings["port.base_url"])
    assert.are.equal("/tmp/s.db", c.settings.state_file)
    refuses(nil, both, 'option %-%-port%-url: "nonsense" does not fit', { url = "nonsense" })
  end)

  it("is an error with half of the credentials, or an address without any", function()
    refuses(nil, merged(HOST, id), "port%.client_id is set %(environment variable OCEAN__PORT__CLIENT_ID%), "
      .. "port%.client_secret is not")
    refuses(nil, merged(HOST, secret), "port%.client_secret is set .*, port%.client_id is not: set "
      .. "OCEAN__PORT__CLIENT_ID too")
    refuses(nil, HOST, "port%.base_url is set %(option %-%-port%-url%) without credentials",
      { url = "http://127.0.0.1:9" })
  end)
end)

describe(".env", function()
  it("takes quotes, comments, export and several lines, and expands nothing", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", [[
# a comment

export OCEAN__INTEGRATION__CONFIG__API_HOST = https://e.example  # behind
OCEAN__INTEGRATION__IDENTIFIER='a#b'
OCEAN__INTEGRATION__CONFIG__AWS_PARTITION="one\ntwo \"x\" $HOME ${HOME}
three" # more
OCEAN__METRICS__WEBHOOK_URL='\n $A'
OCEAN__INTEGRATION__CONFIG__PAGE_SIZE=5
]] .. "OCEAN__INTEGRATION__CONFIG__PAGE_SIZE=6\r\n")
    local c = config(nil, {}, { cwd = cwd })
    assert.are.same({ "https://e.example", "a#b", "one\ntwo \"x\" $HOME ${HOME}\nthree", "\\n $A", 6 },
      { c.integration.apiHost, c.identifier, c.integration.aws_partition, c.settings["metrics.webhook_url"],
        c.integration.pageSize })
  end)

  it("warns about lines that it cannot read, and goes on", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", "what is this\nOCEAN__INTEGRATION__CONFIG__API_HOST=https://e.example\nA='x' "
      .. "y\nB=\"open\n")
    local c, err = config(nil, {}, { cwd = cwd })
    assert.are.equal("https://e.example", c.integration.apiHost)
    assert.matches("%.env:1: the line is ignored: not NAME=VALUE", err)
    assert.matches("%.env:3: the line is ignored: text behind the closing quote", err)
    assert.matches("%.env:4: the line is ignored: its quote is not closed", err)
  end)

  it("is read once when the bundle's folder is the working directory", function()
    local dir = bundle { [".env"] = "bad line here\nOCEAN__INTEGRATION__CONFIG__API_HOST=https://e.example\n" }
    local c, err = config(dir, {}, { cwd = dir })
    assert.are.equal("https://e.example", c.integration.apiHost)
    assert.are.equal(1, select(2, err:gsub("the line is ignored", "")))
  end)

  it("is named in errors, with its line", function()
    local cwd = support.tmpdir()
    support.write(cwd .. "/.env", "A=1\nOCEAN__CLIENT_TIMEOUT=soon\n")
    refuses(nil, HOST, '%.env:2: OCEAN__CLIENT_TIMEOUT: "soon" does not fit', { cwd = cwd })
  end)
end)

describe("secrets", function()
  it("of the configuration are masked wherever they turn up (R-CFG-17)", function()
    local spec = SPEC:gsub("name: extraHeaders\n    type: object",
      "name: extraHeaders\n    type: object\n    sensitive: true")
    local text = "tok3n-abc csecret1 cid-1234 deep-secret other 12345678"
    local result = support.run({ driver, "mask", bundle { [".port/spec.yaml"] = spec } }, { stdin = text,
      cwd = support.tmpdir(), env = merged(HOST, {
      OCEAN__INTEGRATION__CONFIG__API_TOKEN = "tok3n-abc", OCEAN__PORT__CLIENT_ID = "cid-1234",
        OCEAN__PORT__CLIENT_SECRET = "csecret1",
      OCEAN__INTEGRATION__CONFIG__EXTRA_HEADERS = '{"a":{"b":["deep-secret",12345678]}}' }) })
    assert.are.equal("[REDACTED] [REDACTED] [REDACTED] [REDACTED] other [REDACTED]", result.out)
  end)
end)
