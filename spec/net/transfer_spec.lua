local faults = require "spec.support.faults"
local support = require "spec.support"
if not faults.available then
  return
end
local fetch, header = faults.fetch, faults.header

describe("a request", function()
  local server, url

  setup(function()
    server = faults.start()
    url = server.url
  end)

  teardown(function()
    server:stop()
  end)

  local function last()
    local log = server:log()
    return log[#log]
  end

  it("sends its method, headers and body, and the length of a body, never chunked (A-COM-01)", function()
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
      local res = fetch("--method", method, "--header", "X-One: 1", "--header", "X-Empty:", "--body", "hällo", url ..
        "/a?b=c")[1]
      assert.are.equal(200, res.status)
      local seen = last()
      assert.are.equal(method, seen.method)
      assert.are.equal("/a?b=c", seen.url)
      assert.are.equal("6", seen.headers["content-length"])
      assert.is_nil(seen.headers["transfer-encoding"])
      assert.is_nil(seen.headers["content-type"])
      assert.is_nil(seen.headers.expect)
      assert.are.equal("1", seen.headers["x-one"])
      assert.are.equal("", seen.headers["x-empty"])
      assert.are.equal("h\xc3\xa4llo", (seen.body:gsub("[\xc2\xc3][\x80-\xbf]", function(c)
        return string.char(utf8.codepoint(c)) -- the log has the bytes as latin1
      end)))
    end
  end)

  it("names itself unless the caller does, and accepts compressed answers (A-COM-01, A-COM-03)", function()
    fetch(url .. "/x")
    assert.matches("^moontide/%d", last().headers["user-agent"])
    assert.matches("gzip", last().headers["accept-encoding"])
    fetch("--header", "user-agent: port-ocean/a/1/b", url .. "/x")
    assert.are.equal("port-ocean/a/1/b", last().headers["user-agent"])
  end)

  it("says a length of 0 where a body is usual, and none with GET", function()
    for method, length in pairs { POST = "0", PUT = "0", PATCH = "0", GET = false, DELETE = false } do
      fetch("--method", method, url .. "/x")
      assert.are.equal(length or nil, last().headers["content-length"], method)
    end
  end)

  it("gets no body for HEAD", function()
    local res = fetch("--method", "HEAD", url .. "/x")[1]
    assert.are.equal(200, res.status)
    assert.are.equal(0, res.length)
    assert.is_truthy(header(res, "content-length"))
  end)

  it("sends the path as it is, dot segments too", function()
    fetch(url .. "/a/../b/./c%2Fd")
    assert.are.equal("/a/../b/./c%2Fd", last().url)
  end)

  it("gives any status, the headers in lower case, and the body", function()
    for _, status in ipairs { 200, 201, 204, 304, 400, 404, 500 } do
      local res = fetch(("%s/seq/%d?s=%d"):format(url, status, status))[1]
      assert.are.equal(status, res.status)
      assert.are.equal(1, res.attempts)
    end
    local res = fetch(url .. "/folded")[1]
    assert.are.equal("one two", header(res, "x-folded"))
    assert.are.equal("t?b", header(res, "x-odd"))
    assert.are.equal("ok", res.body)
  end)

  it("sees all Link headers of an answer as one list (RFC 9110 5.3), and not those of an informational one", function()
    local res = fetch(url .. "/links")[1]
    assert.are.equal('<https://api.w.org/>; rel="https://api.w.org/", </links?page=2>; rel="next"', header(res, "link"))
    assert.are.equal("one", header(res, "x-twice"))
    assert.is_nil(header(fetch(url .. "/early")[1], "link"))
  end)

  it("decodes compressed and chunked answers", function()
    local res = fetch(url .. "/gzip", url .. "/chunked")
    local by = { [res[1].asked] = res[1], [res[2].asked] = res[2] }
    assert.are.equal(40021, by[url .. "/gzip"].length)
    assert.are.equal(("0123456789"):rep(20), by[url .. "/chunked"].body)
    assert.are.equal(40221, res.stats.bytes)
  end)

  it("has a ceiling on the decoded body, which a compression bomb does not get past", function()
    local res = fetch("--max-body", 1000000, "--retries", 3, "--base", 1, url .. "/bomb?mb=200")
    assert.are.equal("limit", res[1].error)
    assert.matches("^GET http://127.0.0.1:%d+/bomb%?mb=200: " ..
      "the body of the answer is larger than 977 KB %(decoded%), the limit of this request %(max_body%) %(1 attempt%)$", res[1].text)
    assert.is_true(res.stats.bytes <= 1000000)
    assert.are.equal(1, res.stats.requests)
    assert.are.equal("limit", fetch("--max-body", 1023, url .. "/big?kb=1")[1].error)
    assert.are.equal(1024, fetch("--max-body", 1024, url .. "/big?kb=1")[1].length)
  end)

  it("has a ceiling on the headers", function()
    for _, path in ipairs { "/bigheaders?kb=300", "/longheader?kb=150" } do
      local res = fetch("--retries", 2, "--base", 1, url .. path)
      assert.are.equal("limit", res[1].error)
      assert.matches("the headers of the answer are larger than", res[1].text)
      assert.are.equal(1, res.stats.requests)
    end
    assert.are.equal(90 * 1024, #header(fetch(url .. "/longheader?kb=90")[1], "x-long"))
  end)

  it("uses connections again", function()
    local before = server:log()
    fetch("--sequence", "--times", 20, url .. "/x?reuse")
    local conns, log = {}, server:log()
    for i = #before + 1, #log do
      if log[i].url == "/x?reuse" then
        conns[log[i].conn] = true
      end
    end
    assert.is_truthy(next(conns))
    assert.is_nil(next(conns, next(conns)))
  end)

  it("runs side by side", function()
    local res = fetch("--times", 20, url .. "/slow?ms=200&side")
    assert.are.equal(20, #res)
    local most = 0
    for _, entry in ipairs(server:log()) do
      if entry.url:find("side", 1, true) then
        most = math.max(most, entry.active)
      end
    end
    assert.is_true(most >= 15, "at most " .. most .. " at once")
    assert.is_true(res.stats.busy_ms < 20 * 200)
  end)

  it("that cannot be sent fails with a reason, and nothing of it is sent", function()
    local before = #server:log()
    for argument, reason in pairs {
      ["ftp://h/"] = "not an absolute http or https URL",
      ["/path"] = "not an absolute http or https URL",
      [url .. "/a b"] = "holds a space or a control character",
      [url .. "/a\r\nX: y"] = "holds a space or a control character",
      [url .. "/" .. ("x"):rep(65536)] = "longer than 64 KB",
    } do
      local res = fetch(argument)
      assert.are.equal("invalid", res[1].error)
      assert.is_truthy(res[1].text:find(reason, 1, true), res[1].text)
      assert.are.equal(0, res.stats.requests)
    end
    assert.matches("the method is not a word", fetch("--method", "GET /evil", url .. "/x")[1].text)
    assert.matches("a header's name is not a word", fetch("--header", "X Y: 1", url .. "/x")[1].text)
    local res = fetch("--header", "X-One: a\r\nX-Two: s3cr3t", url .. "/x")[1]
    assert.matches("a header's value holds a control character", res.text)
    assert.is_nil(res.text:find("s3cr3t", 1, true))
    assert.are.equal(before, #server:log())
  end)

  it("says what went wrong on the way, with how much had come", function()
    local function text(...)
      local res = fetch(...)[1]
      return (res.text:gsub("127%.0%.0%.1:%d+", "HOST")), res.error
    end
    local function check(path, code, expected)
      local got, rc = text("--timeout", 400, url .. path)
      assert.are.equal("GET http://HOST" .. path .. ": " .. expected .. " (1 attempt)", got)
      assert.are.equal(code, rc)
    end
    check("/reset?1", "network", "connection reset after 12 of 39 KB")
    check("/truncate?1", "network", "the answer was cut short after 12 of 39 KB")
    check("/nothing?1", "network", "the server closed the connection without an answer")
    check("/refuse?1", "network", "connection reset")
    check("/stall?1", "network", "no complete answer within 0.4 s, timed out")
    check("/stallbody?1", "network", "no complete answer within 0.4 s, timed out after 0.1 of 39 KB")
    check("/garbage?1", "data", "the answer is not HTTP: Received HTTP/0.9 when not allowed")
    check("/badgzip?1", "data", "the compressed body is damaged after 98 of 98 bytes")
    assert.matches("^GET http://HOST/: cannot connect: Connection refused", (text "http://127.0.0.1:1/"))
    assert.matches("cannot resolve the name of the host: Could not resolve host: nobody.invalid",
      (text("http://nobody.invalid/")))
  end)

  it("does not print secrets in its errors", function()
    local res = fetch("--secret", "X-Key: hunter22", "--timeout", 200, (url:gsub("//", "//user:pa55word@")) ..
      "/stall/hunter22?access_token=abc123&page=2")[1]
    assert.are.equal("network", res.error)
    for _, secret in ipairs { "hunter22", "abc123", "pa55word" } do
      assert.is_nil(res.text:find(secret, 1, true))
    end
    assert.is_truthy(res.text:find("/stall/[REDACTED]?access_token=***&page=2", 1, true), res.text)
  end)

  it("starts over when libcurl's multi handle fails: those under way fail or are sent again, later ones work",
    function()
    local res = fetch("--fail-multi", 4, "--retries", 2, "--base", 1, "--times", 5, url .. "/slow?ms=30&rebuild")
    assert.are.equal(5, #res)
    for _, one in ipairs(res) do
      assert.are.equal(200, one.status)
    end
    assert.are.equal(5, res.stats.retries)
    assert.matches("the HTTP client starts over", res.err)
    res = fetch("--fail-multi", 4, "--times", 3, url .. "/slow?ms=30&rebuild2")
    assert.are.equal(3, #res)
    assert.matches("the HTTP library failed", res[1].text)
    assert.are.equal("network", res[1].error)
  end)

  it("is given up when the client is freed", function()
    local res = fetch("--free-at", 1, "--concurrency", 2, "--times", 6, url .. "/hold?freed", url .. "/x",
      "http://127.0.0.1:1/")
    assert.is_true(#res >= 1 and #res < 18)
  end)
end)

describe("a proxy (A-COM-13)", function()
  local proxy

  setup(function()
    proxy = faults.start()
  end)

  teardown(function()
    proxy:stop()
  end)

  local function through(env, target)
    local before = #proxy:log()
    local res = fetch("--connect-timeout", 300, "--timeout", 2000, target, env)[1]
    local entry = proxy:log()[before + 1]
    return entry and entry.url, res
  end

  it("is taken from the variables in either case", function()
    local url = "http://api.example.invalid/x"
    for _, name in ipairs { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY" } do
      local seen, res = through({ [name] = proxy.url }, url)
      assert.are.equal(url, seen, name)
      assert.are.equal(200, res.status)
    end
    assert.is_nil(through({ HTTPS_PROXY = proxy.url }, url))
    assert.are.equal(url, through({ HTTP_PROXY = proxy.url, ALL_PROXY = "http://127.0.0.1:1" }, url))
    assert.is_nil(through({ HTTP_PROXY = proxy.url, http_proxy = "" }, url))
  end)

  it("is asked for a tunnel by https", function()
    for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "ALL_PROXY" } do
      local seen, res = through({ [name] = proxy.url }, "https://api.example.invalid/x")
      assert.are.equal("api.example.invalid:443", seen, name)
      assert.are.equal("network", res.error)
    end
  end)

  it("is left out for NO_PROXY, and for this machine itself", function()
    assert.is_nil(through({ HTTP_PROXY = proxy.url, NO_PROXY = "example.invalid" }, "http://api.example.invalid/x"))
    assert.is_nil(through({ http_proxy = proxy.url, no_proxy = "*" }, "http://api.example.invalid/x"))
    local function spared(list, host)
      return not through({ http_proxy = proxy.url, no_proxy = list }, "http://" .. host .. ":1/x")
    end
    for _, case in ipairs { { "a, .example.invalid", "api.example.invalid" }, { "example.invalid", "EXAMPLE.invalid" },
      { "a 192.0.2.1", "192.0.2.1" }, { "192.0.2.0/24", "192.0.2.77" }, { "[2001:db8::1]", "[2001:db8::1]" },
      { "2001:db8::/32", "[2001:db8::7]" } } do
      assert.is_true(spared(case[1], case[2]), case[1] .. " " .. case[2])
    end
    for _, case in ipairs { { "example.invalid", "notexample.invalid" }, { ",, .", "api.example.invalid" },
      { "192.0.2.0/25", "192.0.2.200" }, { "192.0.2.0/99", "192.0.2.1" }, { "2001:db8::/32", "[2001:db9::7]" } } do
      assert.is_false(spared(case[1], case[2]), case[1] .. " " .. case[2])
    end
    for _, host in ipairs { "127.0.0.1", "localhost", "127.9.9.9", "[::1]" } do
      local seen = through({ http_proxy = proxy.url, ALL_PROXY = proxy.url }, "http://" .. host .. ":1/x")
      assert.is_nil(seen, host)
    end
  end)
end)

describe("TLS", function()
  local server, dir

  setup(function()
    dir = support.tmpdir()
    local made = support.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-keyout", dir .. "/key.pem", "-out", dir .. "/cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1",
      "-addext", "subjectAltName=IP:127.0.0.1" }
    assert(made.code == 0, made.err)
    server = faults.start("--tls", dir .. "/key.pem", dir .. "/cert.pem")
  end)

  teardown(function()
    server:stop()
  end)

  it("refuses a certificate that nobody vouches for, at once, and says what helps", function()
    local res = fetch("--retries", 5, "--base", 1, server.url .. "/x")
    assert.are.equal("network", res[1].error)
    assert.matches("the server's certificate is not trusted: .*self.signed", res[1].text)
    assert.matches("SSL_CERT_FILE", res[1].text)
    assert.are.equal(0, res.stats.retries)
    assert.are.equal(0, #server:log())
  end)

  it("trusts SSL_CERT_FILE and SSL_CERT_DIR (A-COM-13), and speaks HTTP/2", function()
    assert.are.equal(200, fetch(server.url .. "/x", { SSL_CERT_FILE = dir .. "/cert.pem" })[1].status)
    local log = server:log()
    assert.are.equal("2.0", log[#log].version)
    support.run { "mkdir", dir .. "/ca" }
    support.run { "cp", dir .. "/cert.pem", dir .. "/ca/cert.pem" }
    assert.are.equal("network", fetch(server.url .. "/x", { SSL_CERT_DIR = dir .. "/ca" })[1].error) -- not hashed yet
    support.run { "openssl", "rehash", dir .. "/ca" }
    assert.are.equal(200, fetch(server.url .. "/x", { SSL_CERT_DIR = dir .. "/ca" })[1].status)
  end)

  it("does not trust a certificate of another name", function()
    local res = fetch((server.url:gsub("127.0.0.1", "localhost")) .. "/x", { SSL_CERT_FILE = dir .. "/cert.pem" })[1]
    assert.are.equal("network", res.error)
    assert.matches("not trusted", res.text)
  end)

  it("takes any certificate when verification is off (ssl.*.verify = false)", function()
    assert.are.equal(200, fetch("--insecure", server.url .. "/x")[1].status)
  end)

  it("names a file of certificates that cannot be read", function()
    local res = fetch("--retries", 5, server.url .. "/x", { SSL_CERT_FILE = dir .. "/missing.pem" })[1]
    assert.are.equal("network", res.error)
    assert.matches("cannot read the trusted certificates .*missing.pem", res.text)
  end)

  it("carries many requests over one HTTP/2 connection at once", function()
    fetch("--insecure", server.url .. "/x")
    local res = fetch("--insecure", "--times", 30, server.url .. "/slow?ms=20")
    assert.are.equal(30, #res)
    for _, one in ipairs(res) do
      assert.are.equal(200, one.status)
    end
  end)
end)
