-- The two listeners: what a kubelet, Prometheus, Port and an operator ask, and what a stranger tries.
local support = require "spec.support"

local json = support.json

-- One raw exchange over a connection of its own: bash's /dev/tcp; the answer up to the close, at most so many seconds.
local function raw(port, text, seconds)
  local path = support.write(support.tmpdir() .. "/request", text)
  return support.run({ "bash", "-c", ("exec 3<>/dev/tcp/127.0.0.1/%s; cat %s >&3; timeout %s cat <&3"):format(port, path,
    seconds or 2) }).out
end

local function start(...)
  local process = support.spawn { support.driver "routes_driver", ... }
  local line = assert(process.line, "routes_driver did not start")
  process.public, process.admin = line:match "^listening (http://%S+)", line:match "admin (http://%S+)$"
  return process
end

local function refused(process, listener, reason)
  local text = support.request("GET", process.admin .. "/metrics").body
  return tonumber(text:match(('moontide_refused_requests_total{listener="%s",reason="%s"} (%%S+)'):format(listener, reason))) or 0
end

describe("the listeners of a service", function()
  local service, public, admin

  local function ask(url, method, body, headers)
    local res = support.request(method or "GET", url, body, headers)
    res.json = res.body:match "^[%[{]" and json.decode(res.body) or nil
    return res
  end

  setup(function()
    service = start("0", "127.0.0.1:0", "pre/fix/")
    public, admin = service.public, service.admin
    assert.is_truthy(public and admin and public ~= admin)
  end)

  teardown(function()
    assert.are.equal(0, service:stop "TERM")
  end)

  it("say that they live and are ready, at both, below the prefix too (R-OBS-01)", function()
    for _, base in ipairs { public, admin, public .. "/pre/fix" } do
      for _, check in ipairs { "live", "ready" } do
        local res = ask(base .. "/health/" .. check)
        assert.are.equal(200, res.status)
        assert.are.equal("application/json", res.headers["content-type"])
        assert.are.equal("healthy", res.json.status)
        assert.are.equal(check, res.json.check)
        assert.matches("^%d+%.%d+%.%d+$", res.json.core_version)
        assert.is_nil(res.json.reason)
      end
    end
  end)

  it("say why they are not ready, with 503, and live on", function()
    assert.are.equal(200, ask(public .. "/down/resync", "POST").status)
    local res = ask(admin .. "/health/ready")
    assert.are.equal(503, res.status)
    assert.are.equal("unhealthy", res.json.status)
    assert.are.equal('Port refused "the credentials"\n', res.json.reason)
    assert.are.equal(503, ask(public .. "/health/ready").status)
    assert.are.equal(200, ask(public .. "/health/live").status)
    ask(public .. "/up/resync", "POST")
    assert.are.equal(200, ask(public .. "/health/ready").status)
  end)

  it("give Prometheus its text (R-OBS-02)", function()
    for _, url in ipairs { public .. "/metrics", public .. "/metrics/", admin .. "/metrics", public .. "/pre/fix/metrics" } do
      local res = ask(url)
      assert.are.equal(200, res.status)
      assert.are.equal("text/plain; version=0.0.4; charset=utf-8", res.headers["content-type"])
      assert.matches("\nprocess_resident_memory_bytes %d", res.body)
      assert.matches("# EOF\n$", res.body)
    end
  end)

  it("put an id and the time taken on every answer, an id of its own (R-OBS-03)", function()
    local seen = {}
    for _, url in ipairs { public .. "/health/live", public .. "/metrics", public .. "/nothing", admin .. "/status" } do
      local res = ask(url)
      local id = res.headers["x-request-id"]
      assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+$", id)
      assert.is_nil(seen[id])
      seen[id] = true
      assert.is_true(tonumber(res.headers["x-process-time"]) < 1)
    end
    assert.is_truthy(ask(public .. "/metrics", "DELETE").headers["x-request-id"])
  end)

  it("answer HEAD as GET, without the body", function()
    for _, url in ipairs { public .. "/health/live", public .. "/metrics", admin .. "/status" } do
      local port, path = url:match ":(%d+)(/.*)"
      local out = raw(port, ("HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(path))
      assert.matches("^HTTP/1.1 200 OK\r\n", out)
      assert.is_true(tonumber(out:match "\r\nContent%-Length: (%d+)\r\n") > 2)
      assert.matches("\r\n\r\n$", out)
    end
  end)

  it("start a resync at once, of one integration by its name, whatever the body (R-LIS-11)", function()
    local function last()
      return ask(admin .. "/status").json
    end
    local before = last().resyncs
    for i, path in ipairs { "/resync", "/demo/resync", "/a%20b/resync", "/pre/fix/resync", "/pre/fix/demo/resync" } do
      local res = ask(public .. path, "POST", i % 2 == 0 and "{not json" or nil)
      assert.are.equal(200, res.status)
      assert.are.equal("null", res.body)
      assert.are.equal("application/json", res.headers["content-type"])
      assert.are.equal(before + i, last().resyncs)
    end
    assert.are.equal("demo", last().last)
    assert.are.equal(200, ask(public .. "/a%20b/resync?x=y", "POST").status)
    assert.are.equal("a b", last().last)
    assert.are.equal(200, ask(admin .. "/resync", "POST").status)
  end)

  it("know no integration of another name, nor one that has none", function()
    local before = ask(admin .. "/status").json.resyncs
    for _, path in ipairs { "/other/resync", "//resync", "/demo/resync/", "/demo/x/resync", "/de%6/resync", "/demo%00/resync",
      "/%64emo%2f/resync", "/demo", "/" .. ("x"):rep(5000) .. "/resync" } do
      local res = ask(public .. path, "POST")
      assert.are.equal(404, res.status, path)
      assert.are.equal('{"detail":"Not Found"}', res.body)
    end
    assert.are.equal(before, ask(admin .. "/status").json.resyncs)
    local nameless = start("0", "127.0.0.1:0", "/no")
    assert.are.equal(404, ask(nameless.public .. "/resync", "POST").status)
    assert.are.equal(200, ask(nameless.public .. "/demo/resync", "POST").status)
    assert.are.equal(0, nameless:stop())
  end)

  it("tell the status and reload at the admin listener only", function()
    for _, path in ipairs { "/status", "/reload", "/pre/fix/status", "/pre/fix/reload" } do
      for _, method in ipairs { "GET", "POST" } do
        assert.are.equal(404, ask(public .. path, method).status, path)
      end
    end
    assert.are.equal(404, ask(admin .. "/pre/fix/status").status)
    local res = ask(admin .. "/status")
    assert.are.equal(200, res.status)
    assert.are.equal("application/json", res.headers["content-type"])
    assert.are.equal(0, res.json.reloads)
  end)

  it("answer a reload when it is done, each caller its own, while others are served", function()
    local other = start("-1", "127.0.0.1:0")
    local files, clients = {}, {}
    for i = 1, 3 do
      files[i] = support.tmpdir() .. "/out"
      clients[i] = support.spawn { "sh", "-c", 'echo on; exec curl -s -i -X POST --data-binary "{}" "$0" >"$1"',
        other.admin .. "/reload", files[i] }
      support.await("the reload to arrive", function()
        return ask(other.admin .. "/status").json.reloads == i
      end)
    end
    assert.are.equal(200, ask(other.admin .. "/health/live").status)
    assert.are.equal(200, ask(other.admin .. "/release/resync", "POST").status)
    local codes = {}
    for i, client in ipairs(clients) do
      assert.are.equal(0, client:wait(20))
      local text = support.read(files[i])
      codes[i] = text:match "^HTTP/1.1 (%d+)"
      assert.matches('\r\n\r\n{"bundles":%[%]}$', text)
    end
    assert.are.same({ "200", "422", "200" }, codes)
    assert.are.equal(0, other:stop())
  end)

  it("drop the reloads that wait, when the service ends or the caller left", function()
    local other = start("-1", "127.0.0.1:0")
    local url = other.admin
    local client = support.spawn { "sh", "-c", 'echo on; curl -s -X POST "$0"; echo $?', url .. "/reload" }
    support.await("the reload to arrive", function()
      return ask(url .. "/status").json.reloads == 1
    end)
    os.execute(("curl -s --max-time 0.2 -X POST %s/reload >/dev/null"):format(url))
    support.await("the one that leaves", function()
      return ask(url .. "/status").json.reloads == 2
    end)
    assert.are.equal(0, other:stop "TERM")
    client:wait(20)
    assert.matches("\n52\n$", "\n" .. (client:output():gsub("^on", ""))) -- curl: an empty reply
  end)

  it("name the methods that a path takes, with 405", function()
    for path, allow in pairs { ["/health/live"] = "GET, HEAD", ["/metrics"] = "GET, HEAD", ["/resync"] = "POST",
      ["/demo/resync"] = "POST", ["/pre/fix/metrics/"] = "GET, HEAD" } do
      for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" } do
        if not allow:find(method, 1, true) then
          local res = ask(public .. path, method)
          assert.are.equal(405, res.status, method .. " " .. path)
          assert.are.equal(allow, res.headers.allow)
          assert.are.equal('{"detail":"Method Not Allowed"}', res.body)
        end
      end
    end
    assert.are.equal("POST", ask(admin .. "/reload").headers.allow)
    assert.are.equal("GET, HEAD", ask(admin .. "/status", "POST").headers.allow)
  end)

  it("give back nothing of what was asked", function()
    local marker = "<script>alert(1)</script>\"mark'"
    for _, method in ipairs { "GET", "POST" } do
      local res = ask(public .. "/%3Cscript%3Emark/resync?mark=mark", method, marker, { ["X-Request-ID"] = "mark" })
      local all = res.body
      for name, value in pairs(res.headers) do
        all = all .. name .. value
      end
      assert.is_nil(all:find("mark", 1, true))
    end
  end)

  it("write a line a request, with nothing in it but what can be printed", function()
    raw(public:match ":(%d+)$", "GET /caf\xc3\xa9\27[31m%0a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    ask(public .. "/logged")
    local _, err = service:output()
    assert.matches("public GET /logged: 404 in %d", err)
    assert.is_nil(err:find "[\27\xc3]")
    assert.is_nil(err:find("GET /health/", 1, true)) -- DEBUG
  end)

  it("count what they refuse, by listener and reason", function()
    local function all()
      return { refused(service, "public", "not_found"), refused(service, "public", "method_not_allowed"),
        refused(service, "admin", "not_found"), refused(service, "public", "body_too_large"),
        refused(service, "public", "malformed") }
    end
    local before = all()
    ask(public .. "/nothing")
    ask(public .. "/metrics", "PUT")
    ask(admin .. "/nothing")
    ask(public .. "/resync", "POST", ("b"):rep(1100000))
    raw(public:match ":(%d+)$", "nonsense\r\n\r\n")
    local after = all()
    for i, n in ipairs(before) do
      assert.are.equal(n + 1, after[i], "counter " .. i)
    end
  end)

  for _, listener in ipairs { "public", "admin" } do
    describe("the " .. listener .. " one", function()
      local url, port

      setup(function()
        url = service[listener]
        port = url:match ":(%d+)$"
      end)

      after_each(function()
        assert.are.equal(200, ask(url .. "/health/live").status)
      end)

      it("takes a body of 1 MiB and refuses a larger one", function()
        assert.are.equal(200, ask(url .. "/demo/resync", "POST", ("b"):rep(1 << 20)).status)
        assert.are.equal(413, ask(url .. "/demo/resync", "POST", ("b"):rep((1 << 20) + 1)).status)
      end)

      it("takes headers of some KiB and refuses more than 16 KiB", function()
        assert.are.equal(200, ask(url .. "/health/live", "GET", nil, { ["X-Long"] = ("y"):rep(8000) }).status)
        local status = ask(url .. "/health/live", "GET", nil, { ["X-Long"] = ("y"):rep(20000) }).status
        assert.is_true(status == 431 or status == 400, "status " .. status)
        local target = ask(url .. "/" .. ("y"):rep(20000)).status
        assert.is_true(target == 431 or target == 414 or target == 400, "status " .. target)
      end)

      it("refuses what is not HTTP", function()
        assert.matches("^HTTP/1.%d 400", raw(port, "nonsense\r\n\r\n"))
        assert.matches("^HTTP/1.%d 400", raw(port, "POST /resync HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"))
        assert.matches("^HTTP/1.%d 501", raw(port, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"))
        raw(port, ("\0\1\2\255"):rep(5000))
        raw(port, "")
      end)

      it("gives a request ten seconds, however steadily it drips #slow", function()
        local program = [[exec 3<>/dev/tcp/127.0.0.1/%s; printf 'POST /resync HTTP/1.1\r\nHost: x\r\n' >&3
          (while printf 'X-Drip: y\r\n' >&3; do sleep 0.5; done) 2>/dev/null & timeout 20 cat <&3; kill $! 2>/dev/null; echo end]]
        local from = os.time()
        local res = support.run { "bash", "-c", program:format(port) }
        local took = os.time() - from
        assert.matches("^HTTP/1.%d 408", res.out)
        assert.matches("end\n$", res.out)
        assert.is_true(took >= 9 and took <= 14, took .. " s")
        assert.is_true(refused(service, listener, "too_slow") >= 1)
      end)
    end)
  end
end)

describe("listeners that cannot be", function()
  local function fails(...)
    local res = support.run { support.driver "routes_driver", ... }
    assert.are.equal(1, res.code, res.out)
    return res.out
  end

  it("name the setting of a port in use", function()
    local other = start("0", "127.0.0.1:0")
    local public, admin = other.public:match ":(%d+)$", other.admin:match ":(%d+)$"
    assert.matches("^error io the public listener: cannot listen at 127.0.0.1 port " .. public ..
      ": Address already in use; APPLICATION__PORT sets another port, 0 picks", fails(public, ""))
    assert.matches("^error io the admin listener: cannot listen at 127.0.0.1 port " .. admin ..
      ": Address already in use; MOONTIDE__ADMIN__LISTEN sets another", fails("0", "127.0.0.1:" .. admin))
    -- The public one that was opened first is closed again: its port is free.
    assert.are.equal(0, other:stop())
    local again = start(public, "127.0.0.1:" .. admin)
    assert.are.equal("http://127.0.0.1:" .. public, again.public)
    assert.are.equal(0, again:stop())
  end)

  it("name the setting of an address that is none", function()
    for _, text in ipairs { "8001", ":8001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:80x", "127.0.0.1:65536",
      "127.0.0.1:-1", "127.0.0.1:123456", "::1:8001", "[::1]", "[]:1", "http://127.0.0.1:8001", "127.0.0.1:8001/", " :1" } do
      local out = fails("-1", text)
      local kind = text == " :1" and "^error io the admin listener: " or "^error invalid "
      assert.matches(kind, out)
      assert.is_truthy(out:find("MOONTIDE__ADMIN__LISTEN", 1, true), out)
    end
    assert.matches("^error io the admin listener: cannot listen at 203.0.113.7 port 0: .*MOONTIDE__ADMIN__LISTEN",
      fails("-1", "203.0.113.7:0"))
  end)

  it("may be left out, each of them", function()
    local public = start("0", "")
    assert.is_nil(public.admin)
    assert.are.equal(200, support.request("GET", public.public .. "/health/live").status)
    assert.are.equal(0, public:stop())
    local admin = start("-1", "[::1]:0")
    local port = admin.admin:match ":(%d+)$"
    assert.is_nil(admin.public)
    assert.are.equal(200, support.request("GET", "http://[::1]:" .. port .. "/health/live").status)
    assert.are.equal(0, admin:stop())
  end)
end)
