local support = require "spec.support"
local faults = require "spec.support.faults"

local function ask(...)
  local run = support.run { support.driver "reach_driver", ... }
  assert.are.equal(0, run.code, run.err)
  return support.json.lines(run.out)
end

describe("a private address", function()
  it("is one of the ranges of R-HTTP-11, and those next to them are public", function()
    local private = {
      "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.1", "192.168.255.255", "127.0.0.1",
      "127.255.255.255", "169.254.169.254", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.255.255.255",
      "100.64.0.0", "100.127.255.255", "240.0.0.1", "::1", "::", "fe80::1", "febf::1", "fc00::1", "fdff::1", "ff02::1",
      "2001:db8::1", "100::1",
    }
    local public = {
      "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "126.255.255.255",
      "128.0.0.0", "169.253.255.255", "169.255.0.0", "1.0.0.0", "223.255.255.255", "100.63.255.255", "100.128.0.0",
      "8.8.8.8", "fec0::1", "fbff::1", "2001:db7:ffff::1", "2001:db9::1", "100:0:0:1::1", "2606:4700::1111",
    }
    for _, one in ipairs(ask("address", table.unpack(private))) do
      assert.is_truthy(one.range, one.address)
    end
    for _, one in ipairs(ask("address", table.unpack(public))) do
      assert.is_false(one.range, one.address)
    end
  end)

  it("stays one inside an IPv6 address: mapped (R-HTTP-11's flaw), compatible, NAT64, 6to4", function()
    for _, one in ipairs(ask("address", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::127.0.0.1", "64:ff9b::a9fe:a9fe",
      "2002:7f00:1::", "2002:c0a8:101::1")) do
      assert.is_truthy(one.range, one.address)
    end
    for _, one in ipairs(ask("address", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")) do
      assert.is_false(one.range, one.address)
    end
  end)

  it("of a socket that is none of the Internet is refused", function()
    assert.are.equal("not an Internet address", ask("address", "/a/socket")[1].range)
  end)

  it("is refused however it is spelled, with the reason and how to allow it (R-HTTP-10)", function()
    for _, host in ipairs { "127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "0x7f.1",
      "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "10.0.0.1:8080",
      "169.254.169.254", "0", "app.localhost" } do
      local one = ask("check", "--private", "http://" .. host .. "/latest/meta-data")[1]
      assert.is_truthy(one.error, host)
      assert.matches("^the host .+ is refused: its address is private %(.+%), and the blocker of private addresses " ..
        "is on %(OCEAN__DISABLE_IP_OUTBOUND_BLOCKER=true turns it off%)$", one.error)
    end
    assert.are.equal("the host 127.1 is refused: its address is private (127.0.0.0/8), and the blocker of private " ..
      "addresses is on (OCEAN__DISABLE_IP_OUTBOUND_BLOCKER=true turns it off)",
      ask("check", "--private", "http://127.1/")[1].error)
  end)

  it("is nothing to a request that a recording answers", function()
    assert.is_nil(ask("check", "--private", "--plays", "http://127.0.0.1/")[1].error)
  end)

  it("is not looked for behind the names of R-HTTP-10's vendors, but behind all others", function()
    local function guarded(url)
      local one = ask("check", "--private", url)[1]
      assert.is_nil(one.error)
      return one.guarded
    end
    for _, host in ipairs { "api.github.com", "API.GitHub.com", "api.github.com.", "eu.api.port.io",
      "api.getport.io:8443", "me.atlassian.net", "api.anthropic.com", "a.management.azure.com" } do
      assert.is_false(guarded("https://" .. host .. "/x"), host)
    end
    for _, host in ipairs { "github.com", "evilgithub.com", "api.github.com.evil.example", "api.github.io",
      "api-anthropic.com", "x.api.anthropic.com.evil", "evilapi.anthropic.com", "localhost", "8.8.8.8" } do
      assert.is_true(guarded("https://" .. host .. "/x"), host)
    end
    assert.is_false(ask("check", "--host", "x.io", "https://x.io/")[1].guarded)
  end)
end)

describe("the hosts that a bundle names", function()
  local function refused(entry, url)
    return ask("check", "--host", entry, url)[1].error
  end

  it("are compared without case and final dot, with the port where one is named", function()
    for _, case in ipairs {
      { "api.github.com", "https://api.github.com/x" }, { "api.github.com", "http://API.github.COM:8080/" },
      { "API.github.com", "https://api.github.com./" }, { "api.github.com.", "https://api.github.com/" },
      { "api.github.com:443", "https://api.github.com/x" }, { "api.github.com:80", "http://api.github.com" },
      { "api.github.com:8443", "https://api.github.com:8443/" }, { "*.example.com", "https://a.example.com/" },
      { "*.example.com", "https://a.b.example.com:1/" }, { "*.example.com:444", "https://a.example.com:444/" },
      { "10.1.2.3", "http://10.1.2.3:99/" }, { "::1", "http://[::1]:99/" }, { "[::1]", "http://[::1]:99/" },
      { "[::1]:99", "http://[::1]:99/" },
    } do
      assert.is_nil(refused(case[1], case[2]), case[1] .. " " .. case[2])
    end
    for _, case in ipairs {
      { "api.github.com", "https://github.com/x" }, { "api.github.com", "https://evil-api.github.com/" },
      { "api.github.com", "https://api.github.com.evil.example/" },
      { "api.github.com", "https://api.github.com@evil.example/" }, { "api.github.com:8443", "https://api.github.com/" },
      { "api.github.com:443", "http://api.github.com/" }, { "*.example.com", "https://example.com/" },
      { "*.example.com", "https://evilexample.com/" }, { "*.example.com:444", "https://a.example.com/" },
      { "*.example.com", "https://.example.com/" }, { "[::1]:99", "http://[::1]/" }, { "::1", "http://[::2]/" },
      { "127.0.0.1", "http://127.1/" }, { "api.github.com", "https://api%2egithub.com/" },
      { "*.example.com", "https://evil.com%2f.example.com/" }, { "*.example.com", "https://evil.com\\.example.com/" },
      { "*.example.com", "https://evil。com／.example.com/" },
    } do
      assert.matches("^the host .* is refused: ", refused(case[1], case[2]) or "allowed", 1, false,
        case[1] .. " " .. case[2])
    end
  end)

  it("are named, the first of them, when another one is refused", function()
    assert.are.equal("the host evil.example (port 443) is refused: it is not among those that the bundle may talk to: " ..
      "a.io, b.io, c.io and 2 more", ask("check", "--host", "a.io", "--host", "b.io", "--host", "c.io", "--host", "d.io",
      "--host", "e.io", "https://evil.example/")[1].error)
    assert.are.equal("the host \"a%2eio\" is refused: it is spelled with more than letters, digits, dots and hyphens, " ..
      "so it cannot be told which host that is", refused("a.io", "https://a%2Eio/"))
  end)
end)

if not faults.available then
  return
end
local fetch = faults.fetch

describe("a request out of reach", function()
  local home, foreign, port

  setup(function()
    home, foreign = faults.start(), faults.start()
    port = home.url:match ":(%d+)$"
  end)

  teardown(function()
    home:stop()
    foreign:stop()
  end)

  local function count(server)
    return #server:log()
  end

  it("by its host is refused before anything is sent, and not sent again", function()
    local before = count(home)
    local res = fetch("--retries", 5, "--base", 1, "--host", "api.example.com", home.url .. "/x")
    assert.are.equal("invalid", res[1].error)
    assert.matches("/x: the host 127%.0%.0%.1 %(port %d+%) is refused: it is not among those", res[1].text)
    assert.are.equal(0, res.stats.requests)
    assert.are.equal(0, res.stats.retries)
    assert.are.equal(before, count(home))
    res = fetch("--threads", 1, "--host", "api.example.com", home.url .. "/x")
    assert.are.equal("invalid", res[1].error)
  end)

  it("by its host passes when the host is listed", function()
    assert.are.equal(200, fetch("--host", "other.example", "--host", "127.0.0.1:" .. port, home.url .. "/x")[1].status)
  end)

  it("by a redirect is refused at that hop", function()
    local res = fetch("--redirects", 5, "--retries", 3, "--base", 1, "--host", "127.0.0.1:" .. port,
      home.url .. "/redirect?status=302&to=" .. foreign.url:gsub("[:/]", { [":"] = "%3A", ["/"] = "%2F" }) .. "%2Fx")
    assert.are.equal("invalid", res[1].error)
    assert.matches("redirected to " .. foreign.url:gsub("%p", "%%%0") .. "/x: the host 127%.0%.0%.1 %(port %d+%) is refused",
      res[1].text)
    assert.are.equal(1, res.stats.requests)
    assert.are.equal(0, res.stats.retries)
    assert.are.equal(0, count(foreign))
  end)

  it("by a name that resolves to a private address is refused when it is connected to (R-HTTP-10, R-HTTP-11)",
    function()
      local before = count(home)
      local res = fetch("--private", "--retries", 5, "--base", 1, "http://localhost:" .. port .. "/x")
      assert.are.equal("invalid", res[1].error)
      assert.matches("^GET http://localhost:%d+/x: the host localhost is refused: its address is private " ..
        "%([%x.:]+ of [%x.:/]+%), and the blocker", res[1].text)
      assert.are.equal(0, res.stats.retries)
      assert.are.equal(before, count(home))
    end)

  it("by its address is refused, in every spelling that libcurl would take", function()
    local before = count(home)
    for _, host in ipairs { "127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "[::ffff:127.0.0.1]",
      "%31%32%37.0.0.1", "127。0。0。1" } do
      local res = fetch("--private", "http://" .. host .. ":" .. port .. "/x")
      assert.are.equal("invalid", res[1].error, host)
      assert.matches("is refused", res[1].text)
    end
    assert.are.equal(before, count(home))
    for _, host in ipairs { "127.1", "localhost" } do -- which do reach it when the blocker is off
      assert.are.equal(200, fetch("http://" .. host .. ":" .. port .. "/x")[1].status)
    end
  end)

  it("goes over no kept connection either that somebody who may go anywhere has opened", function()
    local url = "http://localhost:" .. port .. "/x?kept"
    local res = fetch("--private", "--sequence", "--free-first", 1, "--times", 3, url)
    assert.are.equal(200, res[1].status)
    for i = 2, 3 do
      assert.are.equal("invalid", res[i].error)
      assert.matches("the host localhost is refused: its address is private %(", res[i].text)
    end
    local seen = 0
    for _, entry in ipairs(home:log()) do
      seen = seen + (entry.url == "/x?kept" and 1 or 0)
    end
    assert.are.equal(1, seen)
  end)

  it("through a proxy is judged by its spelling: the proxy's own address is exempt", function()
    local env = { HTTP_PROXY = home.url }
    assert.are.equal(200, fetch("--private", "http://api.example.invalid/proxied", env)[1].status)
    for _, url in ipairs { "http://10.0.0.1/", "http://[fd00::1]/", "http://app.localhost/" } do
      local res = fetch("--private", url, env)
      assert.are.equal("invalid", res[1].error)
      assert.matches("is refused: its address is private", res[1].text)
    end
    env.NO_PROXY = "localhost,example.org" -- which is direct again, and looked at
    assert.are.equal("invalid", fetch("--private", "http://localhost:" .. port .. "/", env)[1].error)
  end)
end)
