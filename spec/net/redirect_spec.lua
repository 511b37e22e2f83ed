local faults = require "spec.support.faults"
if not faults.available then
  return
end
local fetch = faults.fetch

describe("a redirect", function()
  local home, foreign

  setup(function()
    home, foreign = faults.start(), faults.start()
  end)

  teardown(function()
    home:stop()
    foreign:stop()
  end)

  local function escape(text)
    return (text:gsub("[^%w]", function(c)
      return ("%%%02X"):format(c:byte())
    end))
  end

  local function to(target, status)
    return ("%s/redirect?status=%d&to=%s"):format(home.url, status or 302, escape(target))
  end

  local function last(server)
    local log = server:log()
    return log[#log]
  end

  it("is given back as it is when none are to be followed (A-COM-12)", function()
    local res = fetch(to "/x")[1]
    assert.are.equal(302, res.status)
    assert.are.equal("/x", faults.header(res, "location"))
  end)

  it("is followed, also relative ones, and the answer says where it came from", function()
    local res = fetch("--redirects", 5, home.url .. "/chain/5")[1]
    assert.are.equal(200, res.status)
    assert.are.equal(home.url .. "/chain/0", res.url)
    assert.are.equal(1, res.attempts)
  end)

  it("without a Location is given back", function()
    assert.are.equal(302, fetch("--redirects", 5, home.url .. "/nolocation")[1].status)
  end)

  it("in a loop, or one too many, ends with an error", function()
    local res = fetch("--redirects", 5, "--retries", 3, home.url .. "/loop")
    assert.are.equal("limit", res[1].error)
    assert.matches("^GET http://127.0.0.1:%d+/loop, redirected to http://127.0.0.1:%d+/loop%?n=5: " ..
      "redirected more than 5 times: a loop%? %(1 attempt%)$",
      res[1].text)
    assert.are.equal(6, res.stats.requests)
    assert.are.equal("limit", fetch("--redirects", 4, home.url .. "/chain/5")[1].error)
  end)

  it("to anything but http and https ends with an error", function()
    for _, target in ipairs { "ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://x/", "http://a@b@c/",
      "javascript:alert(1)" } do
      local res = fetch("--redirects", 5, to(target))[1]
      assert.are.equal("http", res.error, target)
      assert.are.equal(302, res.error_status)
      assert.matches("only http and https are followed", res.text)
    end
  end)

  it("changes the method as RFC 9110 15.4 says", function()
    for _, case in ipairs {
      { 301, "POST", "GET" }, { 302, "POST", "GET" }, { 303, "POST", "GET" }, { 303, "PUT", "GET" }, { 303, "HEAD",
        "HEAD" },
      { 307, "POST", "POST" }, { 308, "POST", "POST" }, { 301, "PUT", "PUT" }, { 302, "DELETE", "DELETE" }, { 302,
        "GET", "GET" },
    } do
      local status, method, expected = table.unpack(case)
      local body = method ~= "GET" and method ~= "HEAD"
      local words = { "--redirects", 1, "--method", method, "--header", "Content-Type: text/plain" }
      if body then
        table.move({ "--body", "payload" }, 1, 2, #words + 1, words)
      end
      words[#words + 1] = to("/landed", status)
      assert.are.equal(200, fetch(table.unpack(words))[1].status)
      local seen = last(home)
      assert.are.equal("/landed", seen.url)
      assert.are.equal(expected, seen.method, status .. " " .. method)
      local kept = body and expected == method
      assert.are.equal(kept and "payload" or "", seen.body)
      if not kept and body then
        assert.is_nil(seen.headers["content-type"])
      end
    end
  end)

  it("within the origin keeps the credentials", function()
    fetch("--redirects", 1, "--secret", "Authorization: Bearer abcdef", to "/landed")
    assert.are.equal("Bearer abcdef", last(home).headers.authorization)
  end)

  it("to a foreign origin takes no secret header along, whatever its name", function()
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      local res = fetch("--redirects", 3, "--secret", "Authorization: Bearer abcdef", "--secret", "X-Api-Key: abcdef",
        "--header", "Accept: text/plain",
        to(foreign.url .. "/landed", status))[1]
      assert.are.equal(200, res.status)
      local seen = last(foreign)
      assert.is_nil(seen.headers.authorization)
      assert.is_nil(seen.headers["x-api-key"])
      assert.are.equal("text/plain", seen.headers.accept)
    end
    -- Another name for the same machine is another origin, too.
    fetch("--redirects", 3, "--secret", "Authorization: Bearer abcdef", to((home.url:gsub("127.0.0.1", "localhost")) ..
      "/landed"))
    assert.are.equal("/landed", last(home).url)
    assert.is_nil(last(home).headers.authorization)
  end)

  it("to a foreign origin takes no body along either", function()
    local before = #foreign:log()
    local res = fetch("--redirects", 3, "--method", "POST", "--body", '{"clientSecret":"x"}', to(foreign.url ..
      "/landed", 307))[1]
    assert.are.equal("http", res.error)
    assert.matches("status 307 redirects the body of the request to another origin", res.text)
    assert.are.equal(before, #foreign:log())
    assert.are.equal(200, fetch("--redirects", 3, "--method", "POST", "--body", "x", to(foreign.url .. "/landed",
      303))[1].status)
  end)

  it("begins at the first URL again when the request is sent again", function()
    local target = to(foreign.url .. "/seq/503,200")
    local res = fetch("--redirects", 3, "--retries", 2, "--base", 1, target)
    assert.are.equal(200, res[1].status)
    assert.are.equal(2, res[1].attempts)
    assert.are.equal(4, res.stats.requests)
  end)
end)
