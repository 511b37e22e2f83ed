-- Bad input, end to end: whatever is wrong, the program says what, where and how to mend it, ends with the exit code of architecture 3.1,
-- and what is right beside it goes on. Cases run side by side in `setup`; each `it` judges one.
-- luacheck: no max line length (a case is a line)
local support = require "spec.support"
local sync = require "spec.support.sync"

local SIDE_BY_SIDE = 6
local MAPPING, BLUEPRINTS = ".port/resources/port-app-config.yml", ".port/resources/blueprints.json"

local TWO_KINDS = "resources:\n" .. sync.resource "item" .. sync.resource("good", { blueprint = "'\"group\"'" })

-- Starts a command; the returned function waits for its end and gives { code, out, err, report, cpu }. Nobody waits for the first line, so
-- that commands run side by side.
local function start(command, options, before)
  local process = support.spawn({ "bash", "-c", "echo started; TIMEFORMAT='cpu %U %S'; " .. (before or "") .. 'time timeout -k 2 50 "$0" "$@"',
    table.unpack(command) }, { cwd = options.cwd, env = options.env })
  return function()
    local code = process:wait(100)
    local out, err = process:output()
    out = out:gsub("^started\n", "")
    local user, system = err:match "\ncpu ([%d.]+) ([%d.]+)\n$"
    if not user then
      user, system = err:match "^cpu ([%d.]+) ([%d.]+)\n$"
    end
    local line = out:match "([^\n]+)\n?$"
    return { code = code, out = out, err = err, cpu = user and user + system,
      report = line and line:sub(1, 10) == '{"result":' and support.json.decode(line) or nil }
  end
end

-- Runs the cases, a few at a time: begin(case) → wait. The results are in case.result.
local function run_all(cases, begin)
  for from = 1, #cases, SIDE_BY_SIDE do
    local waiting = {}
    for i = from, math.min(from + SIDE_BY_SIDE - 1, #cases) do
      waiting[i] = begin(cases[i])
    end
    for i, wait in pairs(waiting) do
      cases[i].result = wait()
    end
  end
end

local function says(result, ...)
  local text = result.err .. result.out
  for _, word in ipairs { ... } do
    assert.is_truthy(text:find(word, 1, true), word .. "\nis not in:\n" .. text:sub(1, 3000))
  end
  assert.is_nil(text:find "Sanitizer" or text:find "runtime error:", text:sub(1, 3000))
end

local function ends(result, code)
  assert.equal(code, result.code, result.err:sub(1, 3000) .. result.out:sub(-500))
end

describe("a bundle or configuration that is wrong", function()
  -- What is written over the good bundle (false: removed), the exit codes of resync and validate (nil: not asked), what both say, what resync says.
  local main = 'local tide = require "moontide"\n'
  local cases = {
    { "a required value that is missing", {}, 2, 0, { "apiUrl is required", "OCEAN__INTEGRATION__CONFIG__API_URL" }, env = { OCEAN__INTEGRATION__CONFIG__API_URL = false } },
    { "a value of the wrong type", {}, 2, 1, { "OCEAN__INTEGRATION__CONFIG__API_URL", '"not a url" does not fit', "https://example.com" }, env = { OCEAN__INTEGRATION__CONFIG__API_URL = "not a url" } },
    { "a setting of the wrong type", {}, 2, 1, { "OCEAN__CLIENT_TIMEOUT", '"soon"', "a whole number" }, env = { OCEAN__CLIENT_TIMEOUT = "soon" } },
    { "half of the credentials", {}, 2, nil, { "port.client_secret is not", "OCEAN__PORT__CLIENT_SECRET" }, env = { OCEAN__PORT__CLIENT_ID = "x" } },
    { "a syntax error in config.yaml", { ["config.yaml"] = "\na: b: c\n" }, 2, 1, { "config.yaml:2:", "mapping values are not allowed" } },
    { "a config.yaml that is a list", { ["config.yaml"] = "- 1\n" }, 2, 1, { "config.yaml", "must be an object" } },
    { "a config.yaml that is not UTF-8", { ["config.yaml"] = "a: \xff\xfe\n" }, 2, 1, { "config.yaml", "byte 3", "UTF-8" } },
    { "a config.yaml without end of depth", { ["config.yaml"] = "a: " .. ("["):rep(5000) .. "\n" }, 2, 1, { "config.yaml:1", "nested deeper than 256" } },
    { "a syntax error in spec.yaml", { [".port/spec.yaml"] = "type: demo\nconfigurations: [\n" }, 2, 1, { ".port/spec.yaml:3:" } },
    { "a spec.yaml with a type that does not exist", { [".port/spec.yaml"] = "configurations:\n  - name: x\n    type: number\n" }, 2, 1, { ".port/spec.yaml:2:", "the type number, which does not exist" } },
    { "a spec.yaml whose configurations are no list", { [".port/spec.yaml"] = "configurations: none\n" }, 2, 1, { ".port/spec.yaml", "must be a list" } },
    { "a syntax error in the mapping", { [MAPPING] = "resources:\n  - kind: [\n" }, 2, 1, { MAPPING .. ":3:" } },
    { "an empty mapping file", { [MAPPING] = "" }, 2, 1, { MAPPING, "must be an object" } },
    { "a mapping whose expression does not compile", { [MAPPING] = sync.mapping:gsub("url: .url", "url: '.url | ('") }, 2, 1, { MAPPING, 'kind "item"', "properties.url", ".url | (", "is not closed: ')' is missing" } },
    { "a mapping whose selector does not compile", { [MAPPING] = sync.mapping:gsub("'true'", "'true)'") }, 2, 1, { MAPPING, 'kind "item"', "selector.query", "true)" } },
    { "a mapping with an unknown function", { [MAPPING] = sync.mapping:gsub("url: .url", "url: .url | nosuch") }, 2, 1, { MAPPING, "properties.url", "nosuch/0 is not defined" } },
    { "a mapping without an identifier", { [MAPPING] = sync.mapping:gsub("identifier:", "identifer:") }, 2, 1, { MAPPING, "resource 0", "identifier: is missing" } },
    { "a resource without a kind", { [MAPPING] = sync.mapping:gsub("kind: item", "knd: item") }, 2, 1, { MAPPING, "resource 0: kind" } },
    { "a syntax error in blueprints.json", { [BLUEPRINTS] = '[\n {"identifier": }]\n' }, 2, 1, { BLUEPRINTS, "line 2, column 17", "met '}'" } },
    { "blueprints.json that is not UTF-8", { [BLUEPRINTS] = '[\n {"identifier": "\xff"}]\n' }, 2, 1, { BLUEPRINTS, "line 2", "not UTF-8", "0xFF" } },
    { "blueprints.json that is no list", { [BLUEPRINTS] = "{}" }, 2, 1, { BLUEPRINTS, "must be a list" } },
    { "a syntax error in scorecards.json", { [".port/resources/scorecards.json"] = "[{]" }, 2, 1, { "scorecards.json", "line 1, column 3" } },
    { "a syntax error in actions.json", { [".port/resources/actions.json"] = "[{]" }, 2, 1, { "actions.json", "line 1, column 3" } },
    { "a syntax error in pages.json", { [".port/resources/pages.json"] = "[{]" }, 2, 1, { "pages.json", "line 1, column 3" } },
    { "an example that is no JSON", { [".port/examples/item/a.json"] = '{"a":\n tru}' }, nil, 1, { ".port/examples/item/a.json:2", "true, false and null" } },
    { "no main.lua", { ["main.lua"] = false }, 2, 2, { "is not a bundle", "main.lua" } },
    { "a syntax error in main.lua", { ["main.lua"] = main .. "if then\n" }, 2, 1, { "main.lua:2:", "unexpected symbol near 'then'" } },
    { "a main.lua that raises", { ["main.lua"] = main .. 'error "no"\n' }, 2, 1, { "main.lua:2:", "no\nstack traceback:" } },
    { "a main.lua that is bytecode", { ["main.lua"] = string.dump(function() end) }, 2, 1, { "main.lua:1:", "a binary chunk: only Lua text is loaded" } },
    { "a main.lua that is noise", { ["main.lua"] = "\xff\0\27[2J(((" }, 2, 1, { "main.lua:1:" } },
    { "a module that does not exist", { ["main.lua"] = main .. 'require "nope"\n' }, 2, 1, { "main.lua:2:", "the bundle has no nope.lua" } },
    { "a syntax error in a module", { ["main.lua"] = 'require "client"\n', ["client.lua"] = "\nx = = 1\n" }, 2, 1, { "client.lua:2:", "unexpected symbol near '='" } },
    { "a configuration that nobody declared", { ["main.lua"] = main .. "local x = tide.config.apiUlr\n" }, 2, 1, { "main.lua:2:", 'did you mean "apiUrl"' } },
    { "a main.lua that never ends", { ["main.lua"] = "\nwhile true do pcall(function() while true do end end) end\n" }, 2, 1, { "main.lua:2:", "CPU budget of 500 ms for loading the bundle is spent" }, cpu = 3 },
    { "a main.lua that eats memory", { ["main.lua"] = 'local t = {}\nfor i = 1, 1e12 do t[i] = ("x"):rep(1 << 19) .. i end\n' }, 2, 1, { "main.lua:2:", "memory budget of 256 MiB is spent" } },
    { "a main.lua that yields", { ["main.lua"] = "\ncoroutine.yield {}\n" }, 2, 1, { "main.lua:2:", "coroutine.yield" } },
    { "a main.lua that recurses without end", { ["main.lua"] = "\nlocal function f() return 1 + f() end f()\n" }, 2, 1, { "main.lua:2:", "stack overflow" } },
    { "a kind of the mapping without a handler", { ["main.lua"] = 'require("moontide").on_resync("other", function() end)\n' }, 1, 1, { "item", "handler" } },
    { "a --kind that the mapping lacks", {}, 2, nil, { "--kind nobody", "it has item" }, args = { "--kind", "nobody" } },
  }

  setup(function()
    local runs = {}
    for _, case in ipairs(cases) do
      local path = sync.bundle()
      for name, text in pairs(case[2]) do
        if text then support.write(path .. "/" .. name, text) else os.remove(path .. "/" .. name) end
      end
      for i, command in ipairs { "resync", "validate", "plan" } do
        if case[i + 2] and i < 3 or i == 3 and case[3] then
          runs[#runs + 1] = { case = case, command = command, cwd = support.tmpdir(), path = path }
        end
      end
    end
    run_all(runs, function(run)
      local words, options = sync.command(run.path, "http://127.0.0.1:1", run.cwd, { command = run.command, env = run.case.env, args = run.case.args })
      if run.command == "validate" then table.remove(words, 4) end
      return start(words, options)
    end)
    for _, run in ipairs(runs) do
      run.case[run.command] = run.result
    end
  end)

  for _, case in ipairs(cases) do
    it("is told: " .. case[1], function()
      local expected = { resync = case[3], validate = case[4], plan = case[3] and 1 }
      for _, command in ipairs { "resync", "validate", "plan" } do
        if expected[command] then
          ends(case[command], expected[command])
          says(case[command], table.unpack(case[5]))
          assert.is_true(case[command].cpu < (case.cpu or 10), case[command].cpu .. " s")
        end
      end
    end)
  end

  it("is told by moontide map: lines that are no JSON, not UTF-8, too deep, and no objects; the others are mapped", function()
    local path = sync.bundle()
    local input = '{"id":1,"name":"a"}\n{"id":\n{"id":2,"name":"\xff"}\n7\n{"id":3,"name":"c"}\n' .. ("["):rep(20000) .. "\n"
    local result = support.run({ support.bin, "map", path, "--kind", "item" }, { stdin = input })
    ends(result, 1)
    local mapped = support.json.lines(result.out)
    assert.same({ "1", "3" }, { mapped[1].identifier, mapped[2].identifier })
    assert.equal(2, #mapped)
    says(result, "stdin, line 2", "stdin, line 3", "not UTF-8", "stdin, line 4", "must be an object, not a number", "stdin, line 6", "nested deeper")
    ends(support.run({ support.bin, "map", path, "--kind", "nobody" }, { stdin = "" }), 2)
    ends(support.run({ support.bin, "map", "--mapping", path .. "/nothing.yml", "--kind", "item" }, { stdin = "" }), 2)
  end)
end)

describe("an API or a handler that is wrong", function()
  local MAIN = [[
local tide = require "moontide"
tide.on_resync("item", function(kind, ctx)
  %s
end)
tide.on_resync("good", function()
  local api = tide.http.client { base_url = tide.config.apiUrl }
  for page in api:pages("/good", {}) do coroutine.yield(page) end
end)
]]
  local function fetch(path, options, timeout)
    return ([[local api = tide.http.client { base_url = tide.config.apiUrl, timeout = %g, deadline = 20, max_body = 2000000, retries = { max = 2, base = 0.02 } }
  for page in api:pages("%s", { per_page = 3 }, %s) do coroutine.yield(page) end]]):format(timeout or 10, path, options or "{}")
  end

  local cases = {
    -- of a first page, and of one that a Link led to
    { "a page that is not UTF-8", fetch "/bad/utf8", { "/bad/utf8", "line 1, column 21", "not UTF-8", "0xE9", "main.lua:4" } },
    { "a later page that is not UTF-8 but overlong", fetch "/then/overlong", { "/bad/overlong", "not UTF-8", "0xC0" } },
    { "a body that is HTML", fetch "/bad/html", { "/bad/html", "the body should be JSON and is not", "met '<'", "3 attempts" } },
    { "a later body that is broken JSON", fetch "/then/syntax", { "/bad/syntax", "line 2, column 13" } },
    { "a 200 that is empty", fetch "/bad/nothing", { "/bad/nothing", "the body is empty" } },
    { "a later 200 that is empty", fetch "/then/nothing", { "/bad/nothing", "the body is empty" } },
    { "an object instead of a list", fetch "/bad/nolist", { "/bad/nolist", "the body is an object, an array was expected" } },
    { "a list of numbers", fetch "/bad/numbers", { "main.lua:4:", "a batch is an array of objects, element [1] is a number" } },
    { "a list with a null in it", fetch "/then/mixed", { "main.lua:4:", "element [2] is null" } },
    { "a body that is nested too deep", fetch "/bad/deep", { "/bad/deep", "nested deeper than the limit of 10000 levels" } },
    { "a body that is too large", fetch "/bad/huge", { "/bad/huge", "larger than 1.9 MB", "max_body" } },
    { "a body that never ends", fetch "/then/endless", { "/bad/endless", "larger than 1.9 MB" } },
    { "a compression bomb", fetch "/bad/bomb", { "/bad/bomb", "larger than 1.9 MB (decoded)" } },
    { "a reset in mid body", fetch "/then/reset", { "/bad/reset", "connection reset after 7 of 14 KB", "3 attempts" } },
    { "a body that is cut short", fetch "/then/truncate", { "/bad/truncate", "cut short after 7 of 14 KB" } },
    { "an answer that never comes", fetch("/bad/stall", "{}", 0.5), { "/bad/stall", "timed out" } },
    { "a body that stalls", fetch("/then/stallbody", "{}", 1), { "/bad/stallbody", "timed out after 0.1 of 14 KB" } },
    { "redirects in a loop", fetch "/bad/loop", { "/bad/loop", "redirected more than 10 times: a loop?" } },
    { "a redirect to itself", fetch "/then/selfloop", { "/bad/selfloop", "a loop?" } },
    { "a Link that leads back", fetch "/then/repeat", { "/bad/repeat", "leads back to one that was read already" } },
    { "a page number that is ignored", fetch("/bad/repeatnumber", '{ style = "page" }'), { "/bad/repeatnumber", "page 2 repeats the one before it" } },
    { "an empty page with a Link", fetch "/bad/emptynext", { "/bad/emptynext", "is empty, twice, though more pages follow it" } },
    { "a Link that is no URL", fetch "/bad/badlink", { "http://[::1:bad/", "is no http or https URL", "the API's" } },
    { "a list that is not found", fetch "/bad/notfound", { "/bad/notfound", "HTTP 404", "Not Found" } },
    { "credentials that are refused", fetch "/then/denied", { "/bad/denied", "HTTP 401", "Bad credentials" } },
    { "errors for good", fetch "/bad/down", { "/bad/down", "HTTP 500", "retried" } },
    { "what is no HTTP", fetch "/bad/nohttp", { "/bad/nohttp", "the answer is not HTTP" } },
    -- handlers
    { "an error", "local x = nil\n  return x.y", { "main.lua:4:", "attempt to index a nil value (local 'x')" } },
    { "an error without a message", "error()", { "main.lua:3: the error is nil" } },
    { "an error that is a number", "error(42)", { "main.lua:3: the error is 42", "stack traceback" } },
    { "an error that is a table", "error { code = 7 }", { "a table without a message or __tostring", "main.lua:3" } },
    { "an error that would move the cursor", 'error("a\\27[2J\\0b")', { "main.lua:3: a?[2J?b", "stack traceback" } },
    { "a yield of a number", "coroutine.yield(7)", { "main.lua:3: a batch is an array of objects, got a number" } },
    { "a yield of nothing", "coroutine.yield()", { "main.lua:3:", "got nil" } },
    { "a yield of an object", "coroutine.yield { a = 1 }", { "main.lua:3:", "got an object" } },
    { "a yield of scalars", 'coroutine.yield { { id = 1 }, "x" }', { "main.lua:3:", "element [2] is a string" } },
    { "a yield of a function", "coroutine.yield { { id = 1, f = print } }", { "main.lua:3: [1].f: a function cannot be JSON" } },
    { "a yield of a cycle", "local t = { id = 1 } t.me = t coroutine.yield { t }", { "main.lua:3:", "contains itself" } },
    { "a yield of NaN", "coroutine.yield { { id = 0/0 } }", { "main.lua:3: [1].id: NaN" } },
    { "a yield with a hole", "coroutine.yield { { l = { 1, nil, 3 } } }", { "main.lua:3: [1].l: an array with a hole" } },
    { "a yield that is not UTF-8", 'coroutine.yield { { name = "caf\\xe9" } }', { "main.lua:3: [1].name: a string that is not UTF-8" } },
    { "a yield that is nested too deep", "local t = {} local r = t for _ = 1, 1e5 do r.a = {} r = r.a end coroutine.yield { t }", { "main.lua:3:", "nested deeper than 1000" } },
    { "a return that is no batch", 'return "x"', { "returned by the handler", "got a string" } },
    { "an endless loop", "while true do end", { "main.lua:3: CPU budget of 1000 ms between two yields is spent" }, cpu = true },
    { "an endless loop inside pcall", "while true do pcall(function() while true do end end) end", { "main.lua:3: CPU budget" }, cpu = true },
    { "an endless loop in a generator", "for _ in coroutine.wrap(function() coroutine.yield(1) while true do end end) do end", { "main.lua:3: CPU budget" }, cpu = true },
    { "a memory bomb of tables", "local t = {} for i = 1, 1e12 do t[i] = { i } end", { "main.lua:3: ", "budget of" }, cpu = true }, -- in slow builds the CPU's is spent first
    { "a memory bomb of texts", 'local t = {} for i = 1, 1e12 do t[i] = ("x"):rep(1 << 19) .. i end', { "main.lua:3: memory budget of 256 MiB is spent" } },
    { "a memory bomb inside pcall", "local t = {} while true do pcall(function() while true do t[#t + 1] = { #t } end end) end", { "main.lua:3: ", "budget of" }, cpu = true },
    { "a text of a terabyte", 'local s = ("x"):rep(1 << 40)', { "main.lua:3: resulting string too large" } },
    { "endless recursion", "local function f() return 1 + f() end f()", { "main.lua:3: stack overflow" }, cpu = true },
  }
  local server, seeded

  setup(function()
    server = support.spawn { "node", support.root .. "/spec/project/bad_answers.mjs" }
    server.url = assert(server.line and server.line:match "listening (%S+)", "bad_answers.mjs did not start")
    seeded = support.tmpdir() -- a catalog that has an item which no case produces again
    local path = sync.bundle { dir = seeded .. "/demo", mapping = TWO_KINDS, main = MAIN:format "return { { id = 9001 } }" }
    ends(sync.resync(path, server, seeded), 0)
    run_all(cases, function(case)
      local cwd = support.tmpdir()
      os.execute(("cp -r %s/.moontide %s/"):format(seeded, cwd))
      return start(sync.command(sync.bundle { dir = cwd .. "/demo", mapping = TWO_KINDS, main = MAIN:format(case[2]) }, server, cwd))
    end)
  end)
  teardown(function() server:stop() end)

  for _, case in ipairs(cases) do
    it("fails its kind alone, and deletes nothing: " .. case[1], function()
      local result = case.result
      ends(result, 1)
      says(result, "ERROR item: ", table.unpack(case[3]))
      assert.equal(1, #result.report.errors, result.out)
      assert.equal(0, sync.kind(result, "item").deleted)
      assert.equal(1, result.report.withheld[1] and result.report.withheld[1].count, result.out)
      assert.equal(6, sync.kind(result, "good").items)
      assert.equal(0, sync.kind(result, "good").failed)
      assert.is_true(not case.cpu or result.cpu < 3, "of CPU: " .. result.cpu .. " s") -- 2 s for the bundle; the rest is start and end
    end)
  end

  it("an item that is nested too deep for Port fails alone, by name", function()
    local cwd = support.tmpdir()
    local result = sync.resync(sync.bundle { dir = cwd .. "/demo", mapping = TWO_KINDS, main = MAIN:format(fetch "/bad/deepitem") }, server, cwd)
    ends(result, 1)
    says(result, "ERROR item: ", "title must be text")
    assert.equal(1, sync.kind(result, "item").failed)
    assert.equal(6, sync.kind(result, "good").created)
  end)
end)

describe("a file of the program that is wrong", function()
  local seeded, api
  local path = "demo"
  local garbage = ("this is not a database\n"):rep(500)
  local HOLD = "import sqlite3,sys,time\nd=sqlite3.connect(sys.argv[1],isolation_level=None)\nd.execute('begin exclusive')\nprint('locked',flush=True)\ntime.sleep(100)"

  setup(function()
    api = sync.api()
    api:put("item", sync.items(2000))
    seeded = support.tmpdir()
    ends(sync.resync(sync.bundle { dir = seeded .. "/demo" }, api, seeded), 0)
  end)
  teardown(function() api:stop() end)

  -- A working folder, as the seeding run left it when `full`.
  local function folder(full)
    local cwd = support.tmpdir()
    sync.bundle { dir = cwd .. "/demo" }
    if full then
      os.execute(("cp -r %s/.moontide %s/"):format(seeded, cwd))
    end
    return cwd
  end
  local function run(cwd, options, before)
    local words, settings = sync.command(path, api, cwd, options)
    return start(words, settings, before)()
  end

  it("a damaged catalog ends a resync with 2 and a plan with 1, and is left alone", function()
    local cwd = folder(true)
    support.write(cwd .. "/.moontide/catalog.db", garbage)
    local result = run(cwd)
    ends(result, 2)
    says(result, ".moontide/catalog.db", "is damaged or no database", "move it away")
    ends(run(cwd, { command = "plan" }), 1)
    assert.equal(garbage, support.read(cwd .. "/.moontide/catalog.db"))
    result = support.run({ support.bin, "catalog", "--listen", "127.0.0.1:0", "--db", cwd .. "/.moontide/catalog.db" }, { timeout = 20 })
    ends(result, 1)
    says(result, "is damaged or no database")
  end)

  it("a catalog with torn pages ends a resync at once, not after retries", function()
    local cwd = folder(true)
    os.execute(("dd if=/dev/zero of=%s/.moontide/catalog.db bs=4096 seek=2 count=60 conv=notrunc 2>/dev/null"):format(cwd))
    local before = os.time()
    local result = run(cwd)
    assert.is_true(result.code == 2 or result.code == 3 or result.code == 1, result.err)
    says(result, ".moontide/catalog.db", "damaged", "move it away")
    assert.is_true(os.time() - before < 20)
  end)

  it("a catalog that another process holds ends with 2 and says what to stop", function()
    local cwd = folder(true)
    local server = sync.catalog(cwd .. "/.moontide/catalog.db")
    local result = run(cwd)
    ends(result, 2)
    says(result, ".moontide/catalog.db is open in another process", "stop that one")
    ends(run(cwd, { command = "plan" }), 1)
    assert.equal(0, server:stop())
  end)

  it("a folder where the catalog, or a file where its folder should be, is named", function()
    local cwd = folder()
    os.execute("mkdir -p " .. cwd .. "/.moontide/catalog.db")
    local result = run(cwd)
    ends(result, 2)
    says(result, ".moontide/catalog.db cannot be opened")
    cwd = folder()
    support.write(cwd .. "/.moontide", "x")
    result = run(cwd)
    ends(result, 2)
    says(result, "cannot make the folder .moontide")
  end)

  it("a full disk below the catalog ends with 1, soon, and what was acknowledged is kept", function()
    local cwd = folder()
    local before = os.time()
    local result = run(cwd, nil, "ulimit -f 400; ") -- 400 KiB a file stand for the disk
    ends(result, 1)
    says(result, ".moontide/catalog.db: ", "disk")
    assert.is_true(os.time() - before < 20)
    result = run(cwd) -- room again: the next resync mends it
    ends(result, 0)
    assert.equal(2000, sync.count(sync.embedded(cwd)))
  end)

  it("a full disk below the catalog's very beginning ends with 2", function()
    local result = run(folder(), nil, "ulimit -f 20; ")
    ends(result, 2)
    says(result, "catalog .moontide/catalog.db")
  end)

  it("a full disk below the state file fails the resync, deletes nothing, and costs nothing later", function()
    local cwd = folder()
    local catalog = sync.catalog(support.tmpdir() .. "/port.db")
    local result = run(cwd, { port = catalog.url }, "ulimit -f 100; ")
    ends(result, 1)
    says(result, "state file .moontide/state.db: cannot be written")
    assert.equal(2000, sync.count(sync.entities(catalog.url, "item")))
    result = run(cwd, { port = catalog.url })
    ends(result, 0)
    assert.equal(2000, sync.kind(result, "item").unchanged)
    assert.equal(0, catalog:stop())
  end)

  it("a damaged state file is moved aside and costs time only; a plan leaves it", function()
    local cwd = folder(true)
    support.write(cwd .. "/.moontide/state.db", garbage)
    local result = run(cwd, { command = "plan" })
    ends(result, 0)
    says(result, "state file .moontide/state.db is damaged; it is read as if it were empty")
    assert.equal(garbage, support.read(cwd .. "/.moontide/state.db"))
    result = run(cwd)
    ends(result, 0)
    says(result, "state file .moontide/state.db is damaged; it was moved to", "this costs time, no entity")
    assert.equal(2000, sync.kind(result, "item").unchanged)
    assert.equal(0, sync.kind(result, "item").deleted)
  end)

  it("a state file that another program holds ends with 2", function()
    local cwd = folder(true)
    local holder = support.spawn({ "python3", "-c", HOLD, ".moontide/state.db" }, { cwd = cwd })
    assert.equal("locked", holder.line)
    local result = run(cwd)
    holder:stop "KILL"
    ends(result, 2)
    says(result, "state file .moontide/state.db", "locked")
  end)

  it("a state file below a file, or that is a folder, is named", function()
    local cwd = folder()
    local result = run(cwd, { args = { "--state", "demo/main.lua/state.db" } })
    ends(result, 2)
    says(result, "demo/main.lua", "demo/main.lua/state.db")
    result = run(cwd, { args = { "--state", "." } })
    ends(result, 2)
    says(result, "state file .: cannot be opened")
  end)
end)
