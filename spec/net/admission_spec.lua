local faults = require "spec.support.faults"
if not faults.available then
  return
end
local fetch = faults.fetch

describe("admission", function()
  local server, url

  setup(function()
    server = faults.start()
    url = server.url
  end)

  teardown(function()
    server:stop()
  end)

  local function hits(part)
    local found = {}
    for _, entry in ipairs(server:log()) do
      if entry.url:find(part, 1, true) then
        found[#found + 1] = entry
      end
    end
    return found
  end

  it("lets as many requests in at once as it has slots", function()
    local res = fetch("--concurrency", 3, "--times", 15, url .. "/slow?ms=30&slots")
    assert.are.equal(15, #res)
    local most = 0
    for _, entry in ipairs(hits "slots") do
      most = math.max(most, entry.active)
    end
    assert.are.equal(3, most)
  end)

  it("keeps the order in which they were started", function()
    local urls = {}
    for i = 1, 20 do
      urls[i] = ("%s/x?order=%d"):format(url, i)
    end
    fetch("--concurrency", 1, table.unpack(urls))
    for i, entry in ipairs(hits "order=") do
      assert.are.equal("/x?order=" .. i, entry.url)
    end
  end)

  it("does not let a request's timeout or deadline run while it waits for its turn", function()
    local res = fetch("--concurrency", 1, "--times", 8, "--timeout", 400, "--deadline", 500, url .. "/slow?ms=150&turn")
    assert.are.equal(8, #res)
    for _, one in ipairs(res) do
      assert.are.equal(200, one.status)
    end
    assert.is_true(res[8].ms >= 8 * 150)
  end)

  it("holds a rate", function()
    local res = fetch("--rate", 20, "--times", 21, url .. "/x?rate")
    assert.are.equal(21, #res)
    local seen = hits "?rate"
    -- A bucket of two, then one each 50 ms.
    assert.is_true(seen[21].ms - seen[1].ms >= 19 * 50 - 60, (seen[21].ms - seen[1].ms) .. " ms")
    for i = 1, 11 do
      assert.is_true(seen[i + 10].ms - seen[i].ms >= 380)
    end
  end)

  it("gives the slot to others while a request backs off", function()
    -- The first one fails and waits for up to a second; with one slot the others must pass meanwhile.
    local first = url .. "/seq/503,503,503,503,200?slot=a"
    local res = fetch("--concurrency", 1, "--retries", 4, "--base", 1000, "--cap", 1000, first, url .. "/x?slot=b",
      url .. "/x?slot=c")
    assert.are.equal(3, #res)
    assert.are.equal(first, res[3].asked)
    assert.are.equal(200, res[3].status)
  end)

  it("is closed for everybody while an announced wait lasts", function()
    local res = fetch("--concurrency", 2, "--retries", 2, "--times", 1, url .. "/seq/429,200?window=1&h=Retry-After:1",
      url .. "/slow?ms=100&window=2",
      url .. "/x?window=3", url .. "/x?window=4")
    assert.are.equal(4, #res)
    local at = {}
    for _, entry in ipairs(hits "window=") do
      local n = tonumber(entry.url:match "window=(%d)")
      at[n] = at[n] or {}
      table.insert(at[n], entry.ms)
    end
    assert.are.equal(2, #at[1])
    assert.is_true(at[3][1] - at[1][1] >= 950, "3 was sent into the closed window")
    assert.is_true(at[4][1] - at[1][1] >= 950, "4 was sent into the closed window")
    assert.is_true(at[1][2] <= at[3][1], "the older one goes first")
    assert.is_true(res.stats.waited_until_us > 0)
    assert.are.equal(0, res.stats.waiting)
  end)

  it("closes also after a good answer that used up the limit", function()
    fetch("--concurrency", 1, url .. "/seq/200?used=1&ok=X-RateLimit-Remaining:0&ok=X-RateLimit-Reset:{epochms%2B0.7}",
      url .. "/x?used=2")
    local seen = hits "used="
    assert.is_true(seen[2].ms - seen[1].ms >= 600, (seen[2].ms - seen[1].ms) .. " ms")
  end)

  it("stays open when the announced window is longer than the cap: each gets its own answer", function()
    local res = fetch("--concurrency", 1, "--retries", 3, "--announced-cap", 300, url ..
      "/seq/429?own=1&h=Retry-After:60", url .. "/x?own=2")
    assert.are.equal(429, res[1].status)
    assert.are.equal(200, res[2].status)
    assert.is_true(res[2].ms < 5000)
  end)

  it("is not held by failures", function()
    local res = fetch("--concurrency", 1, "http://127.0.0.1:1/", url .. "/a b", url .. "/nothing?held", url ..
      "/loop?held", url .. "/x?held=ok")
    assert.are.equal(5, #res)
    assert.are.equal(200, res[5].status)
  end)
end)
