local support = require "spec.support"

-- One raw exchange over a connection of its own: bash's /dev/tcp, the answer up to the close or 2 s of silence.
local function raw(port, text)
  local path = support.write(support.tmpdir() .. "/request", text)
  return support.run({ "bash", "-c", ("exec 3<>/dev/tcp/127.0.0.1/%s; cat %s >&3; timeout 2 cat <&3"):format(port,
    path) }).out
end

describe("the HTTP server", function()
  local server, url, port

  setup(function()
    server = support.spawn { support.driver "server_driver", "100000" }
    url = server.line:match "listening (%S+)"
    port = url:match ":(%d+)$"
  end)

  teardown(function()
    assert.are.equal(0, server:stop "TERM")
  end)

  it("hands over method, path, query, header and body", function()
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
      local sends = method == "POST" or method == "PUT" or method == "PATCH"
      local res = support.request(method, url .. "/a%2Fb/c%20d?x=1&q=%C3%A9+%2B&q=2", sends and "hello" or nil,
        { ["X-Spec"] = "yes" })
      assert.are.equal(200, res.status)
      assert.are.equal("application/json", res.headers["content-type"])
      assert.are.same({ method = method, path = "/a%2Fb/c%20d", query = "x=1&q=%C3%A9+%2B&q=2", q = "é +",
        header = "yes",
        body = sends and "hello" or "", length = sends and 5 or 0 }, support.json.decode(res.body))
    end
  end)

  it("finds parameters by their decoded name, and tells an empty one from none", function()
    local function q(query)
      return support.json.decode(support.request("GET", url .. "/echo" .. query).body).q
    end
    assert.are.equal("", q "?q")
    assert.are.equal("", q "?a=1&q=&q=2")
    assert.are.equal("x=y", q "?%71=x=y")
    assert.are.equal("%zz", q "?q=%zz")
    assert.is_nil(q "?qq=1&a=q")
    assert.is_nil(q "")
  end)

  it("answers HEAD with the length of the body, and without it", function()
    local out = raw(port, "HEAD /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert.matches("^HTTP/1.1 200 OK\r\n", out)
    assert.matches("\r\nContent%-Length: 300000\r\n", out)
    assert.matches("\r\n\r\n$", out)
  end)

  it("sends 204 and 304 without a body, other statuses with theirs", function()
    for _, status in ipairs { 200, 201, 207, 400, 404, 409, 422, 500, 599 } do
      local res = support.request("GET", url .. "/status/" .. status)
      assert.are.equal(status, res.status)
      assert.are.equal("body of this status", res.body)
    end
    for _, status in ipairs { 204, 304 } do
      local out = raw(port, ("GET /status/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(status))
      assert.matches("^HTTP/1.1 " .. status, out)
      assert.is_nil(out:find("body of", 1, true))
    end
    local res = support.request("GET", url .. "/empty")
    assert.are.equal(200, res.status)
    assert.are.equal("0", res.headers["content-length"])
  end)

  it("sends large answers whole", function()
    local res = support.request("GET", url .. "/big")
    assert.are.equal(("x"):rep(300000), res.body)
  end)

  it("takes a body up to its limit and answers 413 to a larger one, that the client can read", function()
    local good = support.request("POST", url .. "/echo", ("b"):rep(100000))
    assert.are.equal(100000, support.json.decode(good.body).length)
    for _, size in ipairs { 100001, 5000000 } do
      local res = support.request("POST", url .. "/echo", ("b"):rep(size))
      assert.are.equal(413, res.status, size .. " bytes")
    end
    local chunked = support.request("POST", url .. "/echo", ("b"):rep(200000), { ["Transfer-Encoding"] = "chunked" })
    assert.are.equal(413, chunked.status)
    assert.are.equal(200, support.request("GET", url .. "/echo").status)
  end)

  it("reads a chunked body", function()
    local res = support.request("POST", url .. "/echo", "chunky", { ["Transfer-Encoding"] = "chunked" })
    assert.are.equal("chunky", support.json.decode(res.body).body)
  end)

  it("refuses what is not HTTP, headers without end and unknown methods, and goes on", function()
    assert.matches("^HTTP/1.%d 400", raw(port, "nonsense\r\n\r\n"))
    assert.matches("^HTTP/1.%d 400", raw(port, "GET / HTTP/1.1\r\n" .. ("X: " .. ("y"):rep(1000) .. "\r\n"):rep(100) ..
      "\r\n"))
    assert.matches("^HTTP/1.%d 501", raw(port, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert.matches("^HTTP/1.%d 400", raw(port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"))
    assert.are.equal(200, support.request("GET", url .. "/echo").status)
  end)

  it("reads the body of a DELETE, and never takes a body for the next request", function()
    local smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    local function ask(method)
      return raw(port, ("%s /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" ..
        "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(method, #smuggled, smuggled))
    end
    assert.matches('"path":"/echo".*"body":"GET /smuggled', ask "DELETE")
    for _, method in ipairs { "GET", "HEAD", "DELETE", "OPTIONS", "PATCH" } do
      local out = ask(method)
      assert.matches("^HTTP/1.1 200 OK", out)
      assert.is_nil(out:find('"path":"/smuggled"', 1, true), method)
      assert.is_nil(out:find "HTTP/1.1 [^2]", method)
      assert.is_truthy(out:find('"path":"/last"', 1, true) or out:find("Connection: close", 1, true), method)
    end
  end)

  it("answers pipelined requests in order, also when the first one takes its time", function()
    local file = support.tmpdir() .. "/out"
    -- The bytes of the second request arrive while the first is still unanswered: libevent would end the process.
    local client = support.spawn({ "bash", "-c", ([[exec 3<>/dev/tcp/127.0.0.1/%s
      printf 'GET /later HTTP/1.1\r\nHost: x\r\n\r\n' >&3; sleep 0.1
      printf 'GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3; sleep 0.1
      echo sent; cat <&3 >%s]]):format(port, file) })
    assert.are.equal("sent", client.line)
    assert.are.equal(200, support.request("GET", url .. "/release").status)
    assert.are.equal(0, client:wait(20))
    local out = support.read(file)
    assert.matches("released.*/second", out)
  end)

  it("survives a client that leaves before its answer", function()
    os.execute(("curl -s --max-time 0.3 %s/later >/dev/null"):format(url))
    assert.are.equal(200, support.request("GET", url .. "/release").status)
    assert.are.equal(200, support.request("GET", url .. "/echo").status)
  end)

  it("keeps connections open between requests", function()
    local out = support.run({ "curl", "-sv", url .. "/echo", url .. "/echo" }).err
    assert.matches("Re%-using existing connection", out)
  end)

  it("ends while requests are unanswered", function()
    local other = support.spawn { support.driver "server_driver", "1000" }
    local base = other.line:match "listening (%S+)"
    local client = support.spawn({ "bash", "-c", ([[exec 3<>/dev/tcp/127.0.0.1/%s
      printf 'GET /later HTTP/1.1\r\nHost: x\r\n\r\n' >&3; echo sent; cat <&3]]):format(base:match ":(%d+)$") })
    assert.are.equal("sent", client.line)
    assert.are.equal(200, support.request("GET", base .. "/echo").status)
    assert.are.equal(0, other:stop "TERM")
    assert.are.equal(0, client:wait(20))
  end)

  it("says why it cannot listen", function()
    local taken = support.run { support.driver "server_driver", "1000", "127.0.0.1", port }
    assert.are.equal(1, taken.code)
    assert.matches("^error io cannot listen at 127.0.0.1 port " .. port .. ": Address already in use", taken.out)
    assert.matches("^error io cannot listen at 203.0.113.7 port 0: Cannot assign", support.run {
      support.driver "server_driver", "1000", "203.0.113.7", "0" }.out)
    assert.matches("^error io cannot listen at not a host", support.run { support.driver "server_driver", "1000",
      "not a host", "0" }.out)
    assert.matches("^error invalid port 70000", support.run { support.driver "server_driver", "1000", "127.0.0.1",
      "70000" }.out)
  end)
end)
