local support = require "spec.support"

if not os.execute "command -v node >/dev/null 2>&1" then
  return
end

describe("the HTTP server's limits", function()
  local server, port

  local function start(...)
    server = support.spawn { support.driver "server_driver", "100000", ... }
    port = server.line:match ":(%d+)$"
  end

  after_each(function()
    assert.are.equal(0, server:stop "TERM")
    server = nil
  end)

  local function guest(...)
    local words = { "node", support.root .. "/spec/net/guests.mjs", port, ... }
    for i, word in ipairs(words) do
      words[i] = tostring(word)
    end
    local run = support.run(words, { timeout = 60 })
    assert(run.code == 0, run.err)
    return support.json.decode(run.out)
  end

  local function refused()
    return support.request("GET", "http://127.0.0.1:" .. port .. "/refused").body
  end

  local function healthy()
    assert.are.equal(200, support.request("GET", "http://127.0.0.1:" .. port .. "/echo").status)
  end

  it("end a request that is not whole by its deadline, however steadily it drips: 408", function()
    start("deadline_ms=300", "idle_ms=20000")
    local post = "POST /echo HTTP/1.1\\r\\nHost: x\\r\\n"
    for name, words in pairs {
      ["the line"] = { "drip", "GET /" .. ("a"):rep(2000) .. " HTTP/1.1\\r\\n\\r\\n", 10 },
      ["the headers"] = { "drip", "GET /echo HTTP/1.1\\r\\nHost: x\\r\\nX-Spec: " .. ("a"):rep(2000), 10 },
      ["the body"] = { "endless", post .. "Content-Length: 90000\\r\\n\\r\\n", "a", 10 },
      ["a body in chunks"] = { "endless", post .. "Transfer-Encoding: chunked\\r\\n\\r\\n", "1\\r\\na\\r\\n", 10 },
      ["a body that is too large anyway"] = { "endless", post .. "Content-Length: 900000\\r\\n\\r\\n", "a", 10 },
      ["nothing after the first byte"] = { "send", "G" },
      ["nothing after the headers"] = { "send", post .. "Content-Length: 5\\r\\n\\r\\n" },
      ["a length beyond all numbers"] = { "send", post .. "Content-Length: 99999999999999999999\\r\\n\\r\\n" },
    } do
      local res = guest(table.unpack(words))
      assert.are.same({ 408 }, res.statuses, name)
      assert.is_true(res.ms >= 290 and res.ms < 5000, name .. ": " .. res.ms .. " ms")
      assert.matches("\r\nConnection: close\r\n", res.text)
    end
    assert.are.equal(("408 "):rep(8), refused())
    healthy()
  end)

  it("give each request of a kept connection its own deadline", function()
    start("deadline_ms=400", "idle_ms=20000")
    local res = guest("keep", "GET /echo HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", 5, 6)
    assert.are.same({ 200, 200, 200, 200, 200, 200 }, res.statuses)
    assert.is_true(res.ms > 400)
    assert.are.equal("", refused())
  end)

  it("do not run while the server itself works on the answer", function()
    start("deadline_ms=100", "idle_ms=100", "max_connections=8")
    local file = support.tmpdir() .. "/out"
    local client = support.spawn { "bash", "-c", ([[exec 3<>/dev/tcp/127.0.0.1/%s
      printf 'GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3; echo sent; cat <&3 >%s]]):format(port,
      file) }
    for _ = 1, 3 do -- each takes longer than the deadline
      guest "silent"
    end
    assert.are.equal(200, support.request("GET", "http://127.0.0.1:" .. port .. "/release").status)
    assert.are.equal(0, client:wait(20))
    assert.matches("^HTTP/1.1 200 OK.*released$", support.read(file))
    assert.are.equal("", refused())
  end)

  it("close a connection that says nothing, before its first request and between two", function()
    start("idle_ms=200", "deadline_ms=20000")
    local res = guest "silent"
    assert.are.same({}, res.statuses)
    assert.is_true(res.ms >= 190 and res.ms < 5000, res.ms .. " ms")
    res = guest("send", "GET /echo HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    assert.are.same({ 200 }, res.statuses)
    assert.is_true(res.ms >= 190 and res.ms < 5000, res.ms .. " ms")
    assert.are.equal("", refused())
  end)

  it("answer what is malformed or too long with 4xx or 5xx, count it, and go on", function()
    start("max_headers=8192", "deadline_ms=5000", "idle_ms=5000", "max_connections=32")
    local expected = {}
    for _, case in ipairs {
      { 400, "send", "GET\\r\\n\\r\\n" }, { 400, "send", "GET / HTTP/9.9\\r\\n\\r\\n" },
      { 400, "send", "GET / HTTP/1.1\\r\\nno colon\\r\\n\\r\\n" }, { 400, "send", "\\u0000\\u0001\\r\\n\\r\\n" },
      { 400, "send", "POST / HTTP/1.1\\r\\nContent-Length: -5\\r\\n\\r\\n" },
      { 501, "send", "BREW / HTTP/1.1\\r\\n\\r\\n" }, { 501, "send", "TRACE / HTTP/1.1\\r\\n\\r\\n" },
      { 413, "send", "POST /echo HTTP/1.1\\r\\nContent-Length: 100001\\r\\n\\r\\n" .. ("b"):rep(100001) },
      { 400, "endless", "GET /", ("a"):rep(100), 0 },
      { 400, "endless", "GET / HTTP/1.1\\r\\nX: ", ("a"):rep(100), 0 },
      { 400, "endless", "GET / HTTP/1.1\\r\\n", "X: " .. ("a"):rep(100) .. "\\r\\n", 0 },
      { 400, "garbage", 100000 },
    } do
      local res = guest(table.unpack(case, 2))
      assert.are.same({ case[1] }, res.statuses, case[3] .. " " .. res.text)
      expected[#expected + 1] = case[1] .. " "
      if case[2] == "endless" then
        assert.is_true(res.sent < 200000, "it was read for " .. res.sent .. " bytes")
      end
    end
    assert.are.equal(table.concat(expected), refused())
    healthy()
  end)

  it("keep further connections waiting, and take them in turn", function()
    start("max_connections=4", "idle_ms=20000", "deadline_ms=20000")
    local res = guest("full", 4)
    assert.is_false(res.early)
    assert.are.same({ 200 }, res.statuses)
    assert.are.equal(500, guest("flood", 500).served)
    healthy()
  end)

  it("leave the server reachable beside 300 connections that say nothing", function()
    start("max_connections=100", "idle_ms=300", "deadline_ms=5000")
    local res = guest("idle", 300)
    assert.are.same({ 200 }, res.statuses)
    assert.is_true(res.ms < 8000, res.ms .. " ms")
    healthy()
  end)

  it("do not disturb requests that come in one piece, in their order", function()
    start("max_connections=4", "deadline_ms=5000", "idle_ms=5000")
    local res = guest("pipeline", 50)
    assert.are.equal(50, #res.order)
    for i, q in ipairs(res.order) do
      assert.are.equal(i - 1, q)
    end
    assert.are.equal("", refused())
  end)

  it("apply to a request that came with the one before it", function()
    start("deadline_ms=300", "idle_ms=20000")
    local res = guest("send", "GET /echo HTTP/1.1\\r\\nHost: x\\r\\n\\r\\nGET /echo HTTP/1.1\\r\\nHos")
    assert.are.same({ 200, 408 }, res.statuses)
    assert.is_true(res.ms >= 290 and res.ms < 5000)
  end)

  it("free the place of who closes early, at whatever byte", function()
    start("max_connections=2", "deadline_ms=20000", "idle_ms=20000")
    guest("early", "POST /echo HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 5\\r\\n\\r\\nhello", 200)
    healthy()
    assert.are.equal(50, guest("flood", 50).served)
  end)

  it("are the process's descriptors in the end: a flood beyond them is waited out, without a storm of warnings", function()
    server = support.spawn { "bash", "-c", "ulimit -n 40; exec \"$0\" 1000 idle_ms=300", support.driver "server_driver" }
    port = server.line:match ":(%d+)$"
    local res = guest("idle", 100)
    assert.are.same({ 200 }, res.statuses)
    healthy()
    assert.are.equal(0, server:stop "TERM")
    local out, err = server:output()
    assert.matches("cannot accept a connection: Too many open files", (out or "") .. (err or ""))
    assert.is_true(#(err or "") < 2000)
    start()
  end)

  it("end with the server, connections and requests under way included", function()
    start("max_connections=16", "deadline_ms=20000", "idle_ms=20000")
    local client = support.spawn { "bash", "-c", ([[exec 3<>/dev/tcp/127.0.0.1/%s 4<>/dev/tcp/127.0.0.1/%s
      printf 'GET /later HTTP/1.1\r\nHost: x\r\n\r\n' >&3; printf 'GET /ec' >&4
      echo sent; cat <&3; cat <&4]]):format(port, port) }
    assert.are.equal("sent", client.line)
    healthy()
    assert.are.equal(0, server:stop "TERM")
    assert.are.equal(0, client:wait(20))
    start()
  end)
end)

describe("a path that begins with two slashes", function()
  local server, url

  setup(function()
    server = support.spawn { support.driver "server_driver" }
    url = server.line:match "listening (%S+)"
  end)

  teardown(function()
    server:stop "TERM"
  end)

  it("reaches the handler as it is (a base URL may end with a slash)", function()
    for target, path in pairs { ["//v1/blueprints?q=1"] = "//v1/blueprints", ["//v1//x%2Fy?q=1"] = "//v1//x%2Fy",
      ["///?q=1"] = "///", ["/v1//x?q=1"] = "/v1//x" } do
      local res = support.run { "curl", "-s", "--noproxy", "*", "--path-as-is", url .. target }
      local seen = support.json.decode(res.out)
      assert.are.equal(path, seen.path)
      assert.are.equal("1", seen.q)
    end
  end)
end)
