local faults = require "spec.support.faults"
if not faults.available then
  return
end
local fetch = faults.fetch

-- Each case: the moment, and the words of the driver. A request that would not end by itself within 30 s, so that
-- only the cancel can.
local function cases(url, tag)
  return {
    { "while it is connecting", "now", "--connect-timeout", "30000", "http://203.0.113.1:81/" },
    { "while its name is looked up", "now", "--connect-timeout", "30000", "http://nobody.invalid/" },
    { "before an answer", "requests", "--timeout", "30000", url .. "/stall?times=99&" .. tag },
    { "in the middle of a body", "bytes", "--timeout", "30000", url .. "/stallbody?times=99&" .. tag },
    { "while it backs off", "retries", "--retries", "3", "--base", "4000000", "--cap", "4000000", "--deadline",
      "8000000",
      url .. "/seq/503?" .. tag },
    { "in an announced wait", "waiting", "--retries", "3", url .. "/seq/429?h=Retry-After:40&" .. tag },
    { "in an announced wait of its admission", "waiting", "--concurrency", "1", "--retries", "3", url ..
      "/seq/429?h=Retry-After:41&" .. tag },
  }
end

describe("a cancelled request", function()
  local server, url

  setup(function()
    server = faults.start()
    url = server.url
  end)

  teardown(function()
    server:stop()
  end)

  it("ends at once and without a callback in each phase", function()
    for _, case in ipairs(cases(url, "one")) do
      local res = fetch("--cancel-when", case[2], table.unpack(case, 3))
      assert.are.equal(1, #res, case[1])
      assert.is_true(res[1].cancelled, case[1])
      assert.is_true(res.stats.busy_ms < 10000, case[1])
      assert.are.equal(0, res.stats.waiting, case[1])
    end
  end)

  it("ends at once in each phase when a thread waits for it", function()
    for _, case in ipairs(cases(url, "two")) do
      local res = fetch("--threads", 3, "--times", 3, "--cancel-when", case[2], table.unpack(case, 3))
      assert.are.equal(3, #res, case[1])
      for _, one in ipairs(res) do
        assert.are.equal("canceled", one.error, case[1])
        assert.matches("^GET request cancelled", one.text)
      end
      assert.is_true(res.stats.busy_ms < 10000, case[1])
      assert.are.equal(0, res.stats.waiting, case[1])
    end
  end)

  it("leaves the queue of the admission, and the others go on", function()
    local res = fetch("--concurrency", 1, "--cancel-when", "requests", "--cancel-last", url .. "/slow?ms=100&q=1",
      url .. "/x?q=2", url .. "/x?q=3")
    assert.are.equal(3, #res)
    assert.is_true(res[1].cancelled)
    assert.are.equal(2, res[1].index)
    assert.are.equal(200, res[2].status)
    assert.are.equal(200, res[3].status)
    for _, entry in ipairs(server:log()) do
      assert.are_not.equal("/x?q=3", entry.url)
    end
  end)

  it("tells a judge who still owes a judgement, and needs it no more", function()
    local res = fetch("--judge", "never", "--cancel-when", "judging", url .. "/x")
    assert.are.equal("judgement not needed", res[1].told)
    assert.is_true(res[2].cancelled)
    assert.are.equal(2, #res)
  end)

  it("may be cancelled by its judge", function()
    local res = fetch("--judge", "cancels", "--times", 3, url .. "/x")
    assert.are.equal(6, #res)
  end)

  it("tells a judge when the client is freed", function()
    local res = fetch("--judge", "never", "--free-at", 1, url .. "/x", url .. "/seq/404?judge", url .. "/stall?freed")
    assert.is_true(#res >= 1)
    assert.are.equal(404, res[1].status)
  end)
end)

describe("a thread that waits for a request", function()
  local server, url

  setup(function()
    server = faults.start()
    url = server.url
  end)

  teardown(function()
    server:stop()
  end)

  it("gets the answers, retried and redirected as any other", function()
    local res = fetch("--threads", 8, "--times", 40, "--retries", 5, "--base", 1, "--redirects", 3, url .. "/chain/2",
      url .. "/seq/503,200", url .. "/gzip",
      url .. "/seq/404")
    assert.are.equal(160, #res)
    local statuses = {}
    for _, one in ipairs(res) do
      statuses[one.status] = (statuses[one.status] or 0) + 1
    end
    assert.are.same({ [200] = 120, [404] = 40 }, statuses)
    assert.are.equal(1, res.stats.retries)
  end)

  it("gets errors", function()
    local res = fetch("--threads", 4, "--times", 4, "http://127.0.0.1:1/", url .. "/nothing?times=99", "ftp://x/")
    assert.are.equal(12, #res)
    local codes = {}
    for _, one in ipairs(res) do
      codes[one.error] = (codes[one.error] or 0) + 1
    end
    assert.are.same({ network = 8, invalid = 4 }, codes)
  end)
end)
