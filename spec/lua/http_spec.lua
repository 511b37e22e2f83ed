-- luacheck: no max line length (a case a line)
local case = require "spec.lua.case"
local support = require "spec.support"

local function ok(result)
  assert.is_truthy(result.last, result.out .. result.err)
  assert.is_true(result.last.ok, tostring(result.last.error))
  return result
end

local SAY = " local function say(v) coroutine.yield { { says = v } } end "

describe("tide.http", function()
  setup(case.start)
  teardown(case.stop)

  local function run(body, options)
    return case.run(SAY .. body, options)
  end

  describe("gives a response that", function()
    local routes = { ["GET /a"] = { { json = { id = 1, list = { 1, 2 } }, headers = { ["X-Thing"] = "yes" } } } }

    it("has status, headers in any case, body, url and JSON", function()
      local result = ok(run([[
        local res = assert(client:get("/a"))
        say { res.status, res.headers["x-thing"], res.headers["X-THING"], res.url == BASE .. "/a", res:json().id, #res:json().list }
        say(json.decode(res.body).id) say(res.headers.nothing == nil) say(tostring(res):gsub(BASE, ""))]], { routes = routes }))
      assert.are.same({ { 200, "yes", "yes", true, 1, 2 }, 1, true, "response 200 of GET /a" }, case.says(result))
      assert.are.equal("", case.faults(result))
    end)

    it("parses its body once: the same view each time", function()
      local result = ok(run([[local res = client:get("/a") say(rawequal(res:json(), res:json()))]], { routes = routes }))
      assert.is_true(case.says(result))
    end)

    it("is read as JSON also when nothing said that it is, and stays text with raw", function()
      local result = ok(run([[
        say(client:get("/t"):json().x) say(client:get("/t").body) say(client:get("/j", nil, { raw = true }).body)]],
        { routes = { ["GET /t"] = { { text = ' {"x": 7} ' } },
          ["GET /j"] = { { text = "not json", headers = { ["content-type"] = "application/json" } } } } }))
      assert.are.same({ 7, ' {"x": 7} ', "not json" }, case.says(result))
    end)

    it("has a large body parsed on a worker, also when that was asked for late (architecture 1)", function()
      local big = {}
      for i = 1, 20000 do
        big[i] = i
      end
      local result = ok(run([[
        say(#client:get("/j"):json()) local res = client:get("/t") say(#res.body > 65536) say(#res:json())]],
        { routes = { ["GET /j"] = { { json = big } }, ["GET /t"] = { { text = support.json.encode(big) } } } }))
      assert.are.same({ 20000, true, 20000 }, case.says(result))
    end)

    it("names what it has when another field is read", function()
      local result = run([[local _ = client:get("/a").statuss]], { routes = routes })
      assert.is_truthy(result.last.error:find('no field "statuss"', 1, true))
    end)
  end)

  describe("sends", function()
    it("query values of every type in the order of their names, escaped, lists repeated", function()
      local result = ok(run([[assert(client:get("/q", { b = true, a = 1.0, n = 2.5, l = { "x", 3 }, s = "ä &=" }, { accept = { 404 } }))]]))
      assert.are.same({ "GET /q?a=1&b=true&l=x&l=3&n=2.5&s=%C3%A4%20%26%3D" }, case.requests(result))
    end)

    it("a query that is text, and one beside what the path has", function()
      local result = ok(run([[client:get("/q?x=1", { y = 2 }, { accept = { 404 } }) client:get("/q?x=1", "z=3", { accept = { 404 } })]]))
      assert.are.same({ "GET /q?x=1&y=2", "GET /q?x=1&z=3" }, case.requests(result))
    end)

    it("a path below the path of base_url, with bytes escaped that a URL cannot have", function()
      local result = ok(run([[
        local c = tide.http.client { base_url = BASE .. "/api/v3/" }
        c:get("/a b", nil, { accept = { 404 } }) c:get("x#frag", nil, { accept = { 404 } }) c:get("", nil, { accept = { 404 } })]]))
      assert.are.same({ "GET /api/v3/a%20b", "GET /api/v3/x", "GET /api/v3" }, case.requests(result))
    end)

    it("tables and views as JSON, text as it is, with each method", function()
      local routes = {}
      for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
        routes[method .. " /b"] = { { json = { ok = true } } }
      end
      local result = ok(run([[
        assert(client:post("/b", { a = { 1, 2 } })) assert(client:put("/b", json.decode '{"x":1.50}'))
        assert(client:patch("/b", "plain")) assert(client:delete("/b"))
        assert(client:request { method = "POST", path = "/b", body = {}, headers = { ["Content-Type"] = "text/x" } })]],
        { routes = routes }))
      local got = {}
      for i, request in ipairs(result.log) do
        got[i] = { request.method, request.body, request.headers["content-type"] or "none" }
      end
      assert.are.same({ { "POST", '{"a":[1,2]}', "application/json" }, { "PUT", '{"x":1.50}', "application/json" } },
        { got[1], got[2] })
      assert.are.equal("plain", got[3][2])
      assert.are.same({ "DELETE", "" }, { got[4][1], got[4][2] })
      assert.are.same({ "POST", "[]", "text/x" }, got[5])
    end)

    it("the client's headers and the request's, which win", function()
      local result = ok(run([[client:get("/h", nil, { headers = { ["X-A"] = "mine", ["X-N"] = 5 }, accept = { 404 } })]],
        { client = 'headers = { ["x-a"] = "theirs", ["X-B"] = "b", ["User-Agent"] = "me" }' }))
      local headers = result.log[1].headers
      assert.are.same({ "mine", "b", "5", "me" }, { headers["x-a"], headers["x-b"], headers["x-n"], headers["user-agent"] })
    end)

    it("a User-Agent of moontide's own", function()
      local result = ok(run([[client:get("/h", nil, { accept = { 404 } })]]))
      assert.is_truthy(result.log[1].headers["user-agent"]:find "^moontide/%d")
    end)

    it("secrets inside a body", function()
      local result = ok(run([[assert(client:post("/b", { token = tide.secret "s3cret-value" }))]],
        { routes = { ["POST /b"] = { { json = {} } } } }))
      assert.are.equal('{"token":"s3cret-value"}', result.log[1].body)
    end)
  end)

  describe("gives nil and an error that", function()
    it("names method, URL, status and cause (architecture 3.3)", function()
      local result = ok(run([[
        local res, err = client:get("/e", { q = 1 })
        say { tostring(res), err.code, err.status, err.method, (err.url:gsub(BASE, "")), err.body }
        say((tostring(err):gsub(BASE, "")))]], { routes = { ["GET /e?q=1"] = { { status = 403, json = { message = "no" } } } } }))
      assert.are.same({ "nil", "http", 403, "GET", "/e?q=1", '{"message":"no"}' }, case.says(result)[1])
      assert.are.equal('GET /e?q=1: HTTP 403: {"message":"no"}', case.says(result)[2])
    end)

    it("reads well in assert, with file, line and the last requests", function()
      local result = run('client:get("/fine", nil, { accept = { 404 } })\nassert(client:get("/e"))')
      local text = result.last.error
      assert.is_false(result.last.ok)
      assert.is_truthy(text:find("^GET http://[%d.:]+/e: HTTP 404"), text)
      assert.is_truthy(text:find("main.lua:2", 1, true), text)
      assert.is_truthy(text:find "last requests:.*GET [^\n]*/fine: HTTP 404.*GET [^\n]*/e: HTTP 404", text)
    end)

    it("counts as a fault though the script swallows it (architecture 3.3)", function()
      local result = ok(run([[local res = client:get("/e") if not res then return end]]))
      assert.is_truthy(case.faults(result):find "/e: HTTP 404")
    end)

    it("is no fault when accept takes the status", function()
      local result = ok(run([[say(client:get("/e", nil, { accept = { 404 } }).status)]]))
      assert.are.equal(404, case.says(result))
      assert.are.equal("", case.faults(result))
    end)

    it("is an error still when accept takes a 403 that says not so fast", function()
      local result = ok(run([[local res, err = client:get("/r", nil, { accept = { 403 } }) say(res == nil and err.status)]],
        { client = "retries = { max = 0 }", routes = { ["GET /r"] = { { status = 403, headers = { ["Retry-After"] = "1" } } } } }))
      assert.are.equal(403, case.says(result))
      assert.are_not.equal("", case.faults(result))
    end)

    it("comes without waiting for retries when accept takes a 503", function()
      local result = ok(run([[say(client:get("/r", nil, { accept = { 503 } }).status)]],
        { routes = { ["GET /r"] = { { status = 503 } } } }))
      assert.are.equal(503, case.says(result))
      assert.are.equal(1, #result.log)
    end)

    it("cuts a long body, at a character", function()
      local result = ok(run([[local _, err = client:get("/e") say { #err.body <= 4096, #err.message <= 220, utf8.len(err.message) ~= nil, utf8.len(err.body) ~= nil }]],
        { routes = { ["GET /e"] = { { status = 400, text = ("x" .. ("ä"):rep(5000)) } } } }))
      assert.are.same({ true, true, true, true }, case.says(result))
    end)

    it("says what the network did", function()
      local result = ok(run([[
        local _, err = tide.http.client({ base_url = "http://127.0.0.1:1", retries = 0 }):get("/x")
        say { err.code, tostring(err) }]]))
      assert.are.equal("network", case.says(result)[1])
      assert.is_truthy(case.says(result)[2]:find("GET http://127.0.0.1:1/x", 1, true))
      assert.is_nil(case.says(result)[2]:find("GET.*GET"))
    end)

    it("says that a redirect led in a loop, a body was too large, or nothing came in time", function()
      local result = ok(run([[
        for _, try in ipairs { { "/loop" }, { "/big" }, { "/stall", nil, { timeout = 0.2, deadline = 0.5 } } } do
          local res, err = client:get(table.unpack(try, 1, 3)) say { res == nil, err.code, (tostring(err):gsub(BASE, "")) }
        end]], { client = "max_body = 1000, retries = 0", routes = {
        ["GET /loop"] = { { status = 302, headers = { Location = "/loop" } } }, ["GET /big"] = { { text = ("x"):rep(2000) } },
        ["GET /stall"] = { { json = {}, hold = true } } } }))
      local said = case.says(result)
      assert.are.same({ true, true, true }, { said[1][1], said[2][1], said[3][1] })
      assert.are.same({ "limit", "limit", "network" }, { said[1][2], said[2][2], said[3][2] })
      assert.is_truthy(said[1][3]:find "^GET /loop", said[1][3])
      assert.are.equal(3, #result.last.faults)
    end)

    it("comes for a body that the memory budget could not hold, while the process goes on", function()
      local result = ok(run([[local res, err = client:get("/big") say { res == nil, err.code } say(client:get("/small").status)]],
        { client = "retries = 0", args = { "--memory", tostring(4 << 20) }, routes = {
          ["GET /big"] = { { text = ("x"):rep(6 << 20) } }, ["GET /small"] = { { json = {} } } } }))
      assert.are.same({ { true, "limit" }, 200 }, case.says(result))
    end)

    it("is raised when a request of a scope fails in it, and is the scope's fault alone", function()
      local result = ok(run([[say { ctx:scope("one", function() assert(client:get("/e")) end) == nil }]]))
      for _, fault in ipairs(result.last.faults) do
        assert.are.equal("one", fault[1])
      end
      assert.is_true(#result.last.faults > 0)
    end)
  end)

  describe("asks again", function()
    it("on 5xx and 429, and gives up with the last answer", function()
      local result = ok(run([[say(client:get("/r").status) local _, err = client:get("/s") say(err.status)]], { routes = {
        ["GET /r"] = { { status = 503 }, { status = 502 }, { json = {} } }, ["GET /s"] = { { status = 500 } } } }))
      assert.are.same({ 200, 500 }, case.says(result))
      assert.are.equal(3 + 4, #result.log)
    end)

    it("on a 200 whose body should be JSON and is not, and then says so", function()
      local bad = { text = "<html>", headers = { ["content-type"] = "application/json" } }
      local result = ok(run([[
        say(client:get("/r"):json().fine) local _, err = client:get("/s") say { err.code, tostring(err) }]],
        { routes = { ["GET /r"] = { bad, { text = "", headers = bad.headers }, { json = { fine = 1 } } }, ["GET /s"] = { bad } } }))
      assert.are.equal(1, case.says(result)[1])
      assert.are.equal("data", case.says(result)[2][1])
      assert.is_truthy(case.says(result)[2][2]:find "should be JSON and is not")
      assert.is_truthy(case.faults(result):find "/s")
    end)

    it("on a large 200 that is not JSON, found out on a worker", function()
      local headers = { ["content-type"] = "application/json" }
      local result = ok(run([[say(client:get("/r"):json().fine)]], { routes = {
        ["GET /r"] = { { text = '{"a":"' .. ("x"):rep(100000), headers = headers }, { json = { fine = 1 } } } } }))
      assert.are.equal(1, case.says(result))
    end)

    it("on JSON of another kind than expect says", function()
      local result = ok(run([[
        say(#client:get("/r", nil, { expect = "array" }):json())
        local _, err = client:get("/s", nil, { expect = "object" }) say(err.message)]], { routes = {
        ["GET /r"] = { { json = { message = "busy" } }, { json = { 1 } } }, ["GET /s"] = { { json = { 1 } } } } }))
      assert.are.equal(1, case.says(result)[1])
      assert.is_truthy(case.says(result)[2]:find "is an array, an object was expected")
    end)

    it("with a POST only when retry flags it", function()
      local result = ok(run([[say(client:post("/p", {}) == nil) say(client:post("/q", {}, { retry = true }).status)]], { routes = {
        ["POST /p"] = { { status = 503 }, { json = {} } }, ["POST /q"] = { { status = 503 }, { json = {} } } } }))
      assert.are.same({ true, 200 }, case.says(result))
      assert.are.equal(3, #result.log)
    end)

    it("never past its deadline", function()
      local result = ok(run([[
        local t = tide.time.monotonic() local _, err = client:get("/r", nil, { deadline = 0.3 })
        say { err.status or err.code, tide.time.monotonic() - t < 3 }]],
        { client = "retries = { max = 100, base = 0.05 }", routes = { ["GET /r"] = { { status = 503 } } } }))
      assert.is_true(case.says(result)[2])
    end)

    it("not at all for an empty 200 of a write, nor for a 204", function()
      local headers = { ["content-type"] = "application/json" }
      local result = ok(run([[say(client:delete("/d").status) say(client:get("/n").status)]], { routes = {
        ["DELETE /d"] = { { text = "", headers = headers } }, ["GET /n"] = { { status = 204 } } } }))
      assert.are.same({ 200, 204 }, case.says(result))
      assert.are.equal(2, #result.log)
    end)
  end)

  describe("res:json()", function()
    it("raises when the body is no JSON, which is a fault though it is swallowed (architecture 3.3)", function()
      local result = ok(run([[
        local res = client:get("/t")
        local good, err = pcall(res.json, res) say { good, err.code, err.status, res.body }
        say(tostring(err):gsub(BASE, ""))]], { routes = { ["GET /t"] = { { text = "nope" } } } }))
      assert.are.same({ false, "data", 200, "nope" }, case.says(result)[1])
      assert.is_truthy(case.says(result)[2]:find "^GET /t: ")
      assert.is_truthy(case.faults(result):find "/t")
    end)

    it("raises for an empty body", function()
      local result = run([[client:get("/n"):json()]], { routes = { ["GET /n"] = { { status = 204 } } } })
      assert.is_truthy(result.last.error:find "the body is empty")
    end)
  end)

  describe("keeps credentials", function()
    local function authorization(result)
      local list = {}
      for i, request in ipairs(result.log) do
        list[i] = request.headers.authorization or "none"
      end
      return list
    end

    it("in the headers and queries that they are for", function()
      local result = ok(run([[
        local function get(auth) tide.http.client({ base_url = BASE, auth = auth }):get("/x", nil, { accept = { 404 } }) end
        get(tide.http.bearer "tok-1") get(tide.http.bearer(tide.secret "tok-2")) get(tide.http.bearer(nil)) get(tide.http.bearer "")
        get(tide.http.basic("user", "pass")) get(tide.http.header("X-Key", "key-1")) get(tide.http.query("api_key", "key/2"))
        get { tide.http.header("X-Key", "key-3"), tide.http.header("X-App", tide.secret "key-4") }]]))
      assert.are.same({ "Bearer tok-1", "Bearer tok-2", "none", "none", "Basic dXNlcjpwYXNz", "none", "none", "none" },
        authorization(result))
      assert.are.equal("key-1", result.log[6].headers["x-key"])
      assert.are.equal("/x?api_key=key%2F2", result.log[7].url)
      assert.are.same({ "key-3", "key-4" }, { result.log[8].headers["x-key"], result.log[8].headers["x-app"] })
    end)

    it("from a foreign origin: absolute URLs (architecture 3.6)", function()
      local result = ok(run([[
        local c = tide.http.client { base_url = BASE, headers = { ["X-Plain"] = "p", ["X-Secret"] = tide.secret "hidden-1", Cookie = "c=1" },
          auth = { tide.http.bearer "tok-1", tide.http.query("api_key", "key-2") } }
        c:get(OTHER .. "/x", { q = 1 }, { accept = { 404 } }) c:get(BASE .. "/x", nil, { accept = { 404 } })]]))
      local foreign, own = result.other_log[1], result.log[1]
      assert.are.equal("/x?q=1", foreign.url)
      assert.are.same({ "p" }, { foreign.headers["x-plain"], foreign.headers["x-secret"], foreign.headers.authorization,
        foreign.headers.cookie })
      assert.are.equal("/x?api_key=key-2", own.url)
      assert.are.same({ "p", "hidden-1", "Bearer tok-1", "c=1" }, { own.headers["x-plain"], own.headers["x-secret"],
        own.headers.authorization, own.headers.cookie })
    end)

    it("from a foreign origin: redirects", function()
      local result = ok(run([[assert(client:get("/r"))]], { client = 'auth = tide.http.bearer "tok-1"', routes = {
        ["GET /r"] = { { status = 302, headers = { Location = case.other .. "/there" } } } },
        other = { ["GET /there"] = { { json = {} } } } }))
      assert.are.equal("Bearer tok-1", result.log[1].headers.authorization)
      assert.is_nil(result.other_log[1].headers.authorization)
    end)

    it("from a foreign origin: secrets in a query or body are an error there, and a fault", function()
      local result = ok(run([[
        for _, try in ipairs {
          function() client:get(OTHER .. "/x", { t = tide.secret "hidden-1" }) end,
          function() client:post(OTHER .. "/x", { t = tide.secret "hidden-1" }) end,
          function() client:post(OTHER .. "/x", tide.secret "hidden-1") end,
        } do say { pcall(try) == false, (select(2, pcall(try))) } end]]))
      assert.are.equal(0, #result.other_log)
      for _, said in ipairs(case.says(result)) do
        assert.is_true(said[1])
        assert.is_truthy(said[2]:find "secret")
      end
      assert.is_truthy(case.faults(result):find "/x: .*secret")
    end)

    it("out of errors, tracebacks, logs and response URLs (architecture 3.4.7)", function()
      local echo = { status = 418, text = "you sent hunter2secret and key%2Fsecret9 and key/secret9" }
      local result = run([[
        local c = tide.http.client { base_url = BASE, auth = { tide.http.bearer "hunter2secret", tide.http.query("k", "key/secret9") } }
        local res = c:get("/ok") print(res, res.url, tide.http.bearer "hunter2secret", tide.secret "hunter2secret")
        local _, err = c:get("/e") print(err, err.body, err.message, err.url)
        log.info("%s %s", tide.secret "hunter2secret", { a = 1 })
        error(err)]], { routes = { ["GET /ok?k=key%2Fsecret9"] = { { json = {} } }, ["GET /e?k=key%2Fsecret9"] = { echo } } })
      assert.is_false(result.last.ok)
      assert.is_truthy(result.last.error:find "HTTP 418")
      assert.is_nil((result.out .. result.err):find "hunter2secret")
      assert.is_nil((result.out .. result.err):find "secret9")
    end)

    it("out of network errors", function()
      local result = ok(run([[
        local c = tide.http.client { base_url = "http://127.0.0.1:1", auth = tide.http.query("k", "key/secret9"), retries = 0 }
        local _, err = c:get("/e") print(err, err.url, err.message)]]))
      assert.is_nil((result.out .. result.err):find "secret9")
    end)

    it("out of hands that would need a base_url", function()
      local result = ok(run([[
        say(select(2, pcall(tide.http.client, { auth = tide.http.bearer "tok-1" })))
        say(select(2, pcall(tide.http.client, { headers = { ["X-K"] = tide.secret "hidden-1" } })))]]))
      for _, text in ipairs(case.says(result)) do
        assert.is_truthy(text:find "credentials need a base_url")
      end
    end)
  end)

  describe("shares admission", function()
    it("between clients of the same host and settings", function()
      local routes = {}
      for i = 1, 6 do
        routes["GET /" .. i] = { { json = {}, delay = 30 } }
      end
      local result = ok(run([[
        local tasks = {}
        for i = 1, 6 do tasks[i] = tide.async.spawn(function()
          assert(tide.http.client({ base_url = BASE, concurrency = 2 }):get("/" .. i)) end) end
        for _, t in ipairs(tasks) do t:await() end]], { routes = routes }))
      local most = 0
      for _, request in ipairs(result.log) do
        most = math.max(most, request.active)
      end
      assert.are.equal(2, most)
    end)

    it("with a rate", function()
      local result = ok(run([[for i = 1, 4 do client:get("/" .. i, nil, { accept = { 404 } }) end]],
        { client = "rate_limit = 10" }))
      assert.is_true(result.log[4].ms - result.log[1].ms >= 150, "4 requests came too fast")
    end)
  end)

  describe("refuses", function()
    local refused = {
      { "an unknown option of a client, naming the nearest", [[tide.http.client { base_ur = BASE }]], 'did you mean "base_url"' },
      { "an unknown option of a request, naming the nearest", [[client:get("/x", nil, { acept = { 404 } })]], 'did you mean "accept"' },
      { "options of another type", [[client:get("/x", nil, { accept = 404 })]], "accept is a table, got a number" },
      { "an unknown method of a client", [[client:gett("/x")]], 'did you mean "get"' },
      { "a client without options", [[tide.http.client()]], "one table of options" },
      { "a base_url that is none", [[tide.http.client { base_url = "ftp://x" }]], "is no http or https URL" },
      { "a base_url with a query", [[tide.http.client { base_url = BASE .. "?a=b" }]], "has a query" },
      { "a path without base_url", [[tide.http.client({}):get("/x")]], "no base_url" },
      { "a path that is no text", [[client:get({})]], "a path is a string" },
      { "another scheme", [[client:get("file:///etc/passwd")]], "no http or https URL" },
      { "an object in a query", [[client:get("/x", { a = { b = 1 } })]], "query: a is a object" },
      { "a list of lists in a query", [[client:get("/x", { a = { { 1 } } })]], "query: a is a array" },
      { "an infinite number in a query", [[client:get("/x", { a = 1/0 })]], "not a finite number" },
      { "a line break in a header", [[client:get("/x", nil, { headers = { a = "b\r\nc: d" } })]], "line break", core = true },
      { "a header name that is none", [[client:get("/x", nil, { headers = { ["a b"] = "c" } })]], "not a header name", core = true },
      { "a body that is a function", [[client:post("/x", print)]], "a body is a string" },
      { "a body that JSON cannot hold, with the path", [[client:post("/x", { a = { print } })]], "a%[1%]", core = true },
      { "an unknown method", [[client:request { method = "BREW", path = "/x" }]], '"BREW" is not possible' },
      { "path and url at once", [[client:request { path = "/x", url = BASE }]], "not both" },
      { "an expectation that is none", [[client:get("/x", nil, { expect = "list" })]], 'expect is "object" or "array"' },
      { "raw and json at once", [[client:get("/x", nil, { raw = true, json = true })]], "exclude each other" },
      { "a timeout of nothing", [[client:get("/x", nil, { timeout = 0 })]], "seconds above 0" },
      { "credentials of its own making", [[tide.http.client { base_url = BASE, auth = { "tok" } }]], "http.bearer" },
      { "a dot in place of a colon", [[client.get("/x")]], "call it with a colon" },
      { "graphql, which is later work", [[client:graphql("{}")]], "not in this version" },
      { "a request inside a table.sort comparator", [[table.sort({ 1, 2 }, function(a, b) client:get("/x") return a < b end)]], "table.sort", core = true },
    }
    for _, row in ipairs(refused) do
      it(row[1], function()
        local result = run(row[2])
        assert.is_false(result.last.ok)
        assert.is_truthy(result.last.error:find(row[3]), result.last.error)
        assert.is_truthy(result.last.error:find("^main.lua:1: ") or row.core and result.last.error:find("main.lua:1", 1, true),
          result.last.error)
        assert.are.equal(0, #result.log)
      end)
    end

    it("a request while main.lua loads", function()
      local result = case.run("", { top = 'tide.http.client({ base_url = BASE }):get("/x")' })
      assert.is_truthy(result.loads[1]:find "module loads")
      assert.is_truthy(result.loads[1]:find("main.lua:1", 1, true))
    end)

    it("nothing in silence: what was raised inside a request is a fault also when pcall took it", function()
      local result = ok(run([[pcall(client.get, client, "/x", { a = print })]]))
      assert.is_truthy(case.faults(result):find "/x: .*query: a is a function")
    end)
  end)

  it("counts a cancelled request as failed (architecture 3.3)", function()
    local result = run([[client:get("/slow")]], { routes = { ["GET /slow"] = { { json = {}, hold = true } } }, args = { "--cancel-ms", "300" } })
    assert.is_true(result.last.canceled)
    assert.is_truthy(case.faults(result):find "/slow: cancelled")
  end)

  it("counts a request that Lua could not wait for as failed", function()
    local result = ok(run([[pcall(table.sort, { 1, 2 }, function(a, b) client:get("/x") return a < b end)]]))
    assert.are_not.equal("", case.faults(result))
  end)
end)
