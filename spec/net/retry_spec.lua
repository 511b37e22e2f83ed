local faults = require "spec.support.faults"
if not faults.available then
  return
end
local fetch = faults.fetch
local BUSY = 2000 -- ms that a busy machine may take longer

describe("a retry", function()
  local server, url
  local count = 0

  setup(function()
    server = faults.start()
    url = server.url
  end)

  teardown(function()
    server:stop()
  end)

  -- A URL of its own: the server counts the hits of each.
  local function at(path)
    count = count + 1
    return url .. path .. (path:find("?", 1, true) and "&" or "?") .. "case=" .. count
  end

  -- The log's entries of a URL.
  local function hits(target)
    local found = {}
    for _, entry in ipairs(server:log()) do
      if url .. entry.url == target then
        found[#found + 1] = entry
      end
    end
    return found
  end

  local quick = { "--base", 1, "--cap", 5 }
  local function try(retries, ...)
    return fetch("--retries", retries, quick[1], quick[2], quick[3], quick[4], ...)
  end

  it("follows 429 and every 5xx until a good answer comes", function()
    for _, status in ipairs { 429, 500, 502, 503, 504, 599 } do
      local res = try(3, at(("/seq/%d,%d,200"):format(status, status)))
      assert.are.equal(200, res[1].status)
      assert.are.equal(3, res[1].attempts)
      assert.are.equal(2, res.stats.retries)
      assert.are.equal(3, res.stats.requests)
    end
  end)

  it("does not follow other statuses", function()
    for _, status in ipairs { 301, 400, 401, 403, 404, 408, 409, 413, 422 } do
      local res = try(3, at(("/seq/%d,200"):format(status)))
      assert.are.equal(status, res[1].status)
      assert.are.equal(1, res[1].attempts)
    end
  end)

  it("follows the statuses that the caller lists, and only those (A-NET-05)", function()
    local list = { "--statuses", "401,408,429,502,503,504" }
    assert.are.equal(200, try(3, list[1], list[2], at "/seq/401,408,200")[1].status)
    assert.are.equal(500, try(3, list[1], list[2], at "/seq/500,200")[1].status)
  end)

  it("gives the last answer back when the retries are used up (A-NET-07)", function()
    local res = try(3, at "/seq/503")
    assert.are.equal(503, res[1].status)
    assert.are.equal(4, res[1].attempts)
    assert.matches('"hit":3', res[1].body)
    res = try(0, at "/seq/503,200")
    assert.are.equal(503, res[1].status)
    assert.are.equal(1, res[1].attempts)
  end)

  it("follows every failure of the transport, also in the middle of a body (A-NET-06)", function()
    for _, fault in ipairs { "reset", "truncate", "nothing", "refuse", "garbage", "badgzip", "stall", "stallbody" } do
      local res = try(2, "--timeout", 400, at("/" .. fault))
      assert.are.equal(200, res[1].status, fault)
      assert.are.equal(2, res[1].attempts, fault)
      assert.are.equal(40021, res[1].length, fault)
    end
  end)

  it("ends with the last failure and the number of attempts", function()
    local res = try(2, at "/reset?times=9")
    assert.are.equal("network", res[1].error)
    assert.matches("connection reset after 12 of 39 KB %(3 attempts%)$", res[1].text)
  end)

  it("is never made of a POST or PATCH that is not flagged, not even by libcurl on a dead connection (A-NET-04)",
    function()
    for _, method in ipairs { "POST", "PATCH" } do
      for _, path in ipairs { "/seq/503,200", "/nothing", "/reset" } do
        local target = at(path)
        local res = try(3, "--method", method, "--body", "x", target)
        assert.are_not.equal(200, res[1].status)
        assert.are.equal(1, #hits(target), method .. " " .. path)
      end
      -- The server closes the connection of /reuse when the next request arrives on it.
      local target = at "/x"
      fetch("--sequence", "--method", method, "--body", "x", at "/reuse", target)
      assert.are.equal(1, #hits(target))
      target = at "/x"
      assert.are.equal(200, fetch("--sequence", at "/reuse", target)[2].status) -- a GET survives that
      assert.are.equal(2, #hits(target))
    end
  end)

  it("is made of a flagged POST, with its body", function()
    local target = at "/seq/503,200"
    assert.are.equal(200, try(3, "--method", "POST", "--any-method", "--body", "payload", target)[1].status)
    local seen = hits(target)
    assert.are.equal(2, #seen)
    assert.are.equal("payload", seen[2].body)
    local again = at "/nothing"
    assert.are.equal(200, try(3, "--method", "POST", "--any-method", "--body", "payload", again)[1].status)
  end)

  it("is made of PUT, DELETE, HEAD and OPTIONS", function()
    for _, method in ipairs { "PUT", "DELETE", "HEAD", "OPTIONS" } do
      assert.are.equal(2, try(3, "--method", method, at "/seq/503,200")[1].attempts)
    end
  end)

  it("follows a refusal by the caller's judge, who sees only answers below 400", function()
    for _, judge in ipairs { "json", "later", "takes" } do
      local res = try(3, "--judge", judge, at "/notjson")
      assert.are.equal(200, res[1].status, judge)
      assert.are.equal(2, res[1].attempts)
      assert.are.equal(judge == "takes" and 0 or 40021, res[1].length)
      assert.are.equal(2, try(3, "--judge", judge, at "/empty")[1].attempts)
    end
    local res = try(2, "--judge", "json", at "/notjson?times=9")
    assert.are.equal("data", res[1].error)
    assert.matches(": the body is not JSON %(3 attempts%)$", res[1].text)
    assert.are.equal(404, try(2, "--judge", "never", at "/seq/404")[1].status)
    assert.are.equal(1, try(0, "--judge", "json", at "/x")[1].attempts)
    local post = try(2, "--judge", "json", "--method", "POST", at "/notjson")
    assert.matches("is not JSON %(1 attempt%)", post[1].text)
  end)

  it("backs off with full jitter: below base times 2^n and below the cap", function()
    local waits = { {}, {}, {}, {}, {} } -- of five runs: one or the other is longer where the machine is busy
    for run = 1, 5 do
      local target = at "/seq/503"
      fetch("--retries", 5, "--base", 40, "--cap", 100, target)
      local seen = hits(target)
      assert.are.equal(6, #seen)
      for i = 1, 5 do
        waits[i][run] = seen[i + 1].ms - seen[i].ms
      end
    end
    for i = 1, 5 do
      table.sort(waits[i])
      assert.is_true(waits[i][3] <= math.min(100, 40 * 2 ^ (i - 1)) + 20, "wait " .. i)
    end
    -- Twenty waits of the whole range 0..100 ms that are all alike, or all short, are no jitter.
    local target = at "/seq/503"
    fetch("--retries", 20, "--base", 100, "--cap", 100, target)
    local seen = hits(target)
    local least, most = math.huge, 0
    for i = 2, #seen do
      local wait = seen[i].ms - seen[i - 1].ms
      least, most = math.min(least, wait), math.max(most, wait)
    end
    assert.is_true(most - least > 20 and most > 30)
  end)

  it("fits attempts and back-off into the deadline", function()
    local target = at "/seq/503"
    local res = fetch("--retries", 1000, "--base", 50, "--cap", 50, "--deadline", 500, target)
    assert.are.equal(503, res[1].status)
    assert.is_true(res[1].ms <= 500 + BUSY and res[1].attempts > 3, res[1].ms .. " ms")
    res = fetch("--retries", 1000, "--base", 1, "--cap", 1, "--timeout", 200, "--deadline", 500, at "/stall?times=999")
    assert.are.equal("network", res[1].error)
    assert.is_true(res[1].ms >= 400 and res[1].ms <= 500 + BUSY, res[1].ms .. " ms")
    assert.matches("%(%d attempts%)$", res[1].text)
    -- No attempt begins that could not end in time: a back-off beyond the deadline ends it at once.
    res = fetch("--retries", 5, "--base", 100000000, "--cap", 100000000, "--deadline", 10000, at "/seq/503")
    assert.are.equal(503, res[1].status)
    assert.is_true(res[1].ms < 9000)
  end)

  it("has a timeout for each attempt", function()
    local res = fetch("--timeout", 200, at "/slow?ms=5000")
    assert.are.equal("network", res[1].error)
    assert.is_true(res[1].ms < 4000)
    res = try(1, "--timeout", 500, at "/stall")
    assert.are.equal(2, res[1].attempts)
  end)

  describe("that the server announced", function()
    -- Milliseconds between the first two hits.
    local function waited(target)
      local res = try(5, target)
      local seen = hits(target)
      assert.is_true(#seen >= 2, "not sent again: " .. (res[1].text or res[1].status))
      return seen[2].ms - seen[1].ms, res
    end

    it("comes after Retry-After, in seconds or as a date, and by 5xx too (A-NET-08)", function()
      for path, least in pairs {
        ["/seq/429,200?h=Retry-After:1"] = 1000,
        ["/seq/503,200?h=Retry-After:0.2"] = 200,
        ["/seq/429,200?h=Retry-After:{date%2B2}"] = 900,
        ["/seq/429,200?h=Retry-After:{iso%2B0.5}"] = 400,
        ["/seq/429,200?h=Retry-After:0"] = 0,
      } do
        local ms, res = waited(at(path))
        assert.are.equal(200, res[1].status)
        assert.is_true(ms >= least - 5 and ms <= least + BUSY, path .. ": " .. ms .. " ms")
      end
    end)

    it("comes after the limit's reset", function()
      for _, path in ipairs {
        "/seq/429,200?h=X-RateLimit-Reset:{epochms%2B0.5}",
        "/seq/429,200?h=X-RateLimit-Reset:0.5",
        "/seq/429,200?h=RateLimit-Reset:0.5",
        "/seq/429,200?h=RateLimit:limit=1,%20remaining=0,%20reset=0.5",
      } do
        local ms, res = waited(at(path))
        assert.are.equal(200, res[1].status)
        assert.is_true(ms >= 450 and ms <= 500 + BUSY, path .. ": " .. ms .. " ms")
      end
    end)

    it("is taken from a 403 with Retry-After or a used-up limit, when the caller says that it means 429", function()
      for path, again in pairs {
        ["/seq/403,200?h=Retry-After:0.1"] = true,
        ["/seq/403,200?h=X-RateLimit-Remaining:0&h=X-RateLimit-Reset:0.1"] = true,
        ["/seq/403,200?h=X-RateLimit-Remaining:0"] = true,
        ["/seq/403,200?h=X-RateLimit-Remaining:7&h=X-RateLimit-Reset:0.1"] = false,
        ["/seq/403,200"] = false,
      } do
        assert.are.equal(again and 200 or 403, try(3, "--exhausted-403", at(path))[1].status, path)
        assert.are.equal(403, try(3, at(path))[1].status, path)
      end
    end)

    it("is outside the deadline", function()
      local admitted = try(3, "--concurrency", 1, "--deadline", 1500, at "/seq/429,429,200?h=Retry-After:0.8")
      assert.are.equal(200, admitted[1].status)
      local res = try(3, "--deadline", 1500, at "/seq/429,429,200?h=Retry-After:0.8")
      assert.are.equal(200, res[1].status)
      assert.is_true(res[1].ms >= 1600)
    end)

    it("is shown while it lasts", function()
      local before = os.time()
      local res = try(1, at "/seq/429,200?h=Retry-After:1")
      assert.is_true(res.stats.waited_until_us // 1000000 >= before)
      assert.is_true(res.stats.waited_until_us // 1000000 <= before + 3)
      assert.are.equal(0, res.stats.waiting)
      assert.are.equal(0, try(3, at "/seq/503,200").stats.waited_until_us)
    end)

    it("ends the request at once when it is longer than the caller's cap", function()
      local res = try(3, "--announced-cap", 500, at "/seq/429,200?h=Retry-After:30")
      assert.are.equal(429, res[1].status)
      assert.are.equal(1, res[1].attempts)
      assert.is_true(res[1].ms < 3000)
      assert.are.equal(429, try(3, at "/seq/429,200?h=Retry-After:3901")[1].status) -- the default: 65 min
    end)

    it("counts among the retries", function()
      assert.are.equal(3, try(2, at "/seq/429?h=Retry-After:0.05")[1].attempts)
    end)

    it("is ignored when the moment has passed: the back-off decides (A-NET-09)", function()
      local res = fetch("--retries", 3, "--base", 1, "--cap", 1, at "/seq/429,429,200?h=Retry-After:{epoch-100}")
      assert.are.equal(200, res[1].status)
      assert.are.equal(0, res.stats.waited_until_us)
    end)
  end)
end)
