-- luacheck: no max line length (a case a line)
local case = require "spec.lua.case"
local support = require "spec.support"

local SAY = " local function say(v) coroutine.yield { { says = v } } end "

describe("moontide", function()
  setup(case.start)
  teardown(case.stop)

  local function run(body, options)
    local result = case.run(SAY .. body, options)
    assert.is_truthy(result.last, result.out .. result.err)
    return result
  end

  local function says(body, options)
    local result = run(body, options)
    assert.is_true(result.last.ok, tostring(result.last.error))
    return case.says(result), result
  end

  -- Cases: what they are, code, what it says.
  local function table_of(title, cases)
    describe(title, function()
      for _, row in ipairs(cases) do
        it(row[1], function()
          assert.are.same(row[3], (says(row[2])))
        end)
      end
    end)
  end

  local function refusals(title, cases)
    describe(title, function()
      for _, row in ipairs(cases) do
        it(row[1], function()
          local result = run(row[2])
          assert.is_false(result.last.ok)
          assert.is_truthy(result.last.error:find("^main.lua:1: .*" .. row[3]), result.last.error)
        end)
      end
    end)
  end

  describe("runs", function()
    it("the handlers of a kind and those for every kind (R-RES-05)", function()
      local result = case.run("coroutine.yield { { id = 'k' } }", { bottom = [[
        tide.on_resync(function(kind) coroutine.yield { { id = kind .. " of all" } } end)
        tide.on_resync("other", function() return { { id = "returned" } } end)]], kinds = { "k", "other" } })
      assert.are.same({ "k", "k of all", "returned", "other of all" }, case.items(result))
    end)

    it("hooks at their moment", function()
      local result = case.run("coroutine.yield { { id = said } }", { top = [[local said = ""
        tide.on_start(function() said = said .. "a" end) tide.on_resync_start(function() said = said .. "b" end)
        tide.on_resync_complete(function() said = said .. "c" end)]], kinds = { "@start", "@resync_start", "@resync_complete", "k" } })
      assert.are.same({ "abc" }, case.items(result))
    end)

    it("a request that failed in a hook as a fault", function()
      local result = case.run("", { top = [[tide.on_start(function() tide.http.client({ base_url = BASE }):get("/x") end)]], kinds = { "@start" } })
      assert.is_truthy(case.faults(result):find "/x: HTTP 404")
    end)
  end)

  describe("config", function()
    local options = { args = { "--config", '{"orgName":"acme","token":"hunter2secret","list":[1,2],"unset":null}', "--sensitive", "token" } }

    it("has the values by name, the unset ones as nil, and a secret for what is sensitive", function()
      assert.are.same({ "acme", "***", 2, true }, (says(
        "local c = tide.config say { c.orgName, tostring(c.token), #c.list, c.unset == nil }", options)))
    end)

    it("gives each name once to pairs", function()
      assert.are.same({ "list", "orgName", "token", "unset" }, (says(
        "local n = {} for name in pairs(tide.config) do n[#n + 1] = name end table.sort(n) say(n)", options)))
    end)

    it("names the nearest to one that it does not have", function()
      local result = run("local _ = tide.config.orgNme", options)
      assert.is_truthy(result.last.error:find('^main.lua:1: the configuration has no "orgNme".*did you mean "orgName"'), result.last.error)
    end)

    it("is read-only", function()
      assert.is_truthy(run("tide.config.orgName = 1", options).last.error:find "read%-only")
    end)

    it("sends a sensitive value and prints none", function()
      local _, result = says([[
        local c = tide.http.client { base_url = BASE, auth = tide.http.bearer(tide.config.token) }
        local _, err = c:get("/x") print(tide.config.token, err) log.info("%s", tide.config) say(1)]], options)
      assert.are.equal("Bearer hunter2secret", result.log[1].headers.authorization)
      assert.is_nil((result.out .. result.err):find "hunter2secret")
    end)
  end)

  table_of("secret", {
    { "prints as ***, also joined to text", [[local s = tide.secret "abcd-efg" say { tostring(s), tostring("x" .. s), s == tide.secret "abcd-efg" }]],
      { "***", "***", true } },
    { "stays one through base64 and url.escape", [[
      say { tostring(tide.base64.encode(tide.secret "abcd-efg")), tostring(tide.url.escape(tide.secret "a/b/c/d")),
        tostring(tide.url.query { a = tide.secret "abcd-efg" }) }]], { "***", "***", "***" } },
    { "cannot be turned into JSON", [[local ok, err = pcall(json.encode, { a = { tide.secret "abcd-efg" } })
      say { ok, tostring(err):find("a[1]", 1, true) ~= nil, tostring(err):find("abcd-efg", 1, true) }]], { false, true } },
  })

  table_of("time", {
    { "parses ISO 8601, with offset and fraction", [[
      local t = tide.time say { t.parse "2024-05-01T12:00:00Z", t.parse "2024-05-01T14:00:00+02:00", t.parse "2024-05-01", t.parse "1970-01-01T00:00:00.5Z" }]],
      { 1714564800, 1714564800, 1714521600, 0.5 } },
    { "gives nil and the reason for what is no time", [[local v, why = tide.time.parse "soon" say { v == nil, why }]],
      { true, 'not an ISO 8601 date or time: "soon"' } },
    { "formats seconds, with milliseconds when asked", [[
      local t = tide.time say { t.format(1714564800), t.format(1714564800.25, true), t.format(-1), t.format(-62135596800) }]],
      { "2024-05-01T12:00:00Z", "2024-05-01T12:00:00.250Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z" } },
    { "reads HTTP dates", [[say(tide.time.parse_http "Wed, 01 May 2024 12:00:00 GMT")]], 1714564800 },
    { "counts back from now", [[
      local t = tide.time local d = t.now() - t.ago { days = 1, hours = 2 } say { math.abs(d - 93600) < 5, math.abs(t.now() - t.ago(10) - 10) < 5 }]], { true, true } },
    { "measures forward", [[local a = tide.time.monotonic() say(tide.time.monotonic() >= a)]], true },
  })
  refusals("time refuses", {
    { "a unit that it does not know", [[tide.time.ago { day = 1 }]], 'did you mean "days"' },
    { "what is no number", [[tide.time.format("x")]], "seconds since the epoch" },
    { "a year that has five digits", [[tide.time.format(1e15)]], "years 1 to 9999" },
    { "a parse of a number", [[tide.time.parse(5)]], "a string, got a number" },
  })

  table_of("url", {
    { "escapes and unescapes", [[say { tide.url.escape "a b/ä", tide.url.unescape "a%20b%2f+", tide.url.unescape("a+b", true) }]],
      { "a%20b%2F%C3%A4", "a b/+", "a b" } },
    { "writes queries in the order of names", [[say(tide.url.query { b = 2, a = { "x", true }, c = 1.0 })]], "a=x&a=true&b=2&c=1" },
    { "joins escaped segments", [[say { tide.url.join("/repos/", "a/b", 5), tide.url.join("https://h", "x") }]], { "/repos/a%2Fb/5", "https://h/x" } },
    { "resolves as RFC 3986 says", [[say { tide.url.resolve("http://h/a/b?c", "../d"), tide.url.resolve("http://h/a", "//o/x") }]],
      { "http://h/d", "http://o/x" } },
    { "takes URLs apart", [[
      local u = tide.url.parse "HTTPS://me@Host:8443/a/b?x=1&y=a+b&x=%32#end" say { u.scheme, u.host, u.port, u.path, u.query.x, u.query.y, u.fragment }
      local v = tide.url.parse "http://[::1]:80" say { v.host, v.port, v.path }
      say { tide.url.parse "nothing" == nil, (select(2, tide.url.parse "nothing")) }]],
      { { "https", "host", 8443, "/a/b", "2", "a b", "end" }, { "[::1]", 80, "/" }, { true, "not an absolute URL" } } },
  })
  refusals("url refuses", {
    { "to join nothing", [[tide.url.join("/a", "")]], "segment 1 is empty" },
    { "a table in a query", [[tide.url.query { a = { {} } }]], "url.query: a is a table" },
  })

  table_of("base64", {
    { "encodes and decodes both alphabets (RFC 4648)", [[
      local b = tide.base64 say { b.encode "\xfb\xff", b.encode_url "\xfb\xff", b.decode "+/8=" == "\xfb\xff", b.decode "-_8" == "\xfb\xff", b.decode "Zm9v\nYmFy\n" , b.encode "" }]],
      { "+/8=", "-_8", true, true, "foobar", "" } },
    { "gives nil and the reason for what is none", [[local v, why = tide.base64.decode "a*b" say { v == nil, why:find "not base64" ~= nil }]],
      { true, true } },
  })

  table_of("crypto", {
    { "knows SHA-256 (FIPS 180-4) and HMAC (RFC 4231, case 2)", [[say { tide.crypto.sha256 "abc", tide.crypto.hmac_sha256("Jefe", "what do ya want for nothing?") }]],
      { "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" } },
    { "takes secrets", [[say(tide.crypto.hmac_sha256(tide.secret "Jefe", "what do ya want for nothing?"))]],
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
  })
  refusals("crypto refuses", { { "what is no text", [[tide.crypto.sha256 {}]], "crypto.sha256: a string or a secret, got a table" } })

  describe("log", function()
    local function line(body)
      local _, result = says(body .. " say(1)")
      return result.err
    end

    it("formats as string.format, tables and views as JSON, secrets as ***", function()
      local text = line [[log.info("%d of %s, %s, %s, %s", 3, "acme", { a = { 1 } }, json.decode '{"b":null}', tide.secret "abcd-efg")]]
      assert.is_truthy(text:find('INFO  3 of acme, {"a":[1]}, {"b":null}, ***', 1, true), text)
    end)

    it("has levels", function()
      local text = line [[log.debug "d" log.warn "w" log.error "e"]]
      assert.is_truthy(text:find "WARN%s+w")
      assert.is_truthy(text:find "ERROR%s+e")
    end)

    it("never raises: a format that does not fit is written as it is", function()
      local text = line [[log.info("%d items", "many") log.info(nil) log.info({ 1, 2 }) log.info("100%") log.info("%s", print)]]
      assert.is_truthy(text:find("%d items many", 1, true), text)
      assert.is_truthy(text:find("[1,2]", 1, true))
      assert.is_truthy(text:find("100%", 1, true))
    end)
  end)

  table_of("jq", {
    { "gives the first result, views for containers", [[
      local f = tide.jq ".a[]" say { f { a = { 1, 2 } }, f({ a = {} }) == nil } say(tide.jq "{b: .a}"({ a = "x" }).b)]], { { 1, true }, "x" } },
    { "takes views, scalars and nil", [[say { tide.jq ".x" (json.decode '{"x":5}'), tide.jq ". + 1" (2), tide.jq "." (nil) == nil, tide.jq "length" "äb" }]],
      { 5, 3, true, 2 } },
    { "does not show the environment (R-JQ-03)", [[say(tide.jq "$ENV | length" (1))]], 0 },
    { "raises what jq says, and for a program that does not compile", [[
      local ok, err = pcall(tide.jq "error(\"boom\")", 1) say { ok, tostring(err):find "boom" ~= nil }
      local good, why = pcall(tide.jq ".a b c", 1) say { good, why.code }]], { { false, true }, { false, "invalid" } } },
    { "runs in tasks side by side", [[
      local f = tide.jq ". * 2" local r = tide.async.map({ 1, 2, 3, 4 }, 4, function(v) return f(v) end) say { r[1], r[2], r[3], r[4] }]], { 2, 4, 6, 8 } },
  })

  it("lets jq programs be made while main.lua loads, and cancels one that runs", function()
    local result = case.run("coroutine.yield { { id = f { a = 4 } } }", { top = "local f = tide.jq '.a'" })
    assert.are.same({ 4 }, case.items(result))
    local canceled = run([[tide.jq "last(repeat(1))" (1)]], { args = { "--cancel-ms", "100" } })
    assert.is_true(canceled.last.canceled)
  end)

  table_of("json", {
    { "decodes views, encodes values, tells {} from []", [[
      say { json.encode(json.decode '{"a":[1,null]}'), json.encode {}, json.encode(json.object()), json.decode "[null]"[1] == json.null }]],
      { '{"a":[1,null]}', "[]", "{}", true } },
  })

  describe("says that it is later work:", function()
    for _, name in ipairs { "on_incremental_resync", "on_webhook", "on_action", "register_raw", "unregister_raw" } do
      it(name, function()
        local result = run(("tide.%s('a', print)"):format(name))
        assert.is_truthy(result.last.error:find("^main.lua:1: " .. name .. " is not in this version of moontide"), result.last.error)
      end)
    end
  end)

  refusals("refuses", {
    { "a part that it does not have, naming the nearest", "tide.asinc.map()", 'did you mean "async"' },
    { "to be changed", "tide.http = 1", "read%-only" },
    { "a secret of nothing", "tide.secret(5)", "a string, got a number" },
  })

  it("registers handlers while loading only, and functions only", function()
    for _, row in ipairs {
      { "tide.on_resync('x')", "a function, got a nil" }, { "tide.on_resync(5, print)", "a kind is a string" }, { "tide.on_start 'x'", "a function, got a string" },
    } do
      local result = case.run("", { top = row[1] })
      assert.is_truthy(result.loads[1] and result.loads[1]:find("main.lua:1: .*" .. row[2]), result.loads[1])
    end
    assert.is_truthy(run("tide.on_resync('x', print)").last.error:find "while main.lua loads")
  end)

  it("has annotations for every public function (LuaCATS)", function()
    local types = support.read(support.root .. "/lua/moontide/types/moontide.lua")
    for _, name in ipairs(says [[
      local names = {}
      for _, part in ipairs { "http", "async", "cache", "time", "url", "base64", "crypto", "log", "json" } do
        for name, fn in pairs(tide[part]) do if type(fn) == "function" then names[#names + 1] = part .. "." .. name end end
      end
      for _, name in ipairs { "sleep", "secret", "jq", "on_start", "on_resync", "on_resync_start", "on_resync_complete" } do names[#names + 1] = name end
      say(names)]]) do
      assert.is_truthy(types:find("function moontide." .. name .. "(", 1, true), name .. " has no annotation")
    end
    for _, name in ipairs { "get", "post", "put", "patch", "delete", "request", "pages" } do
      assert.is_truthy(types:find("function Client:" .. name .. "(", 1, true), "client:" .. name .. " has no annotation")
    end
  end)
end)
