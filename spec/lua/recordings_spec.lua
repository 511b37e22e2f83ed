-- luacheck: no max line length (a case a line)
local bundle = require "spec.script.bundle"
local support = require "spec.support"

-- Pages of a real API, recorded, with faults that go away: all of them (architecture 3.6).

local shared = support.shared()
if not shared then
  return
end

local MAIN = [[
local tide = require "moontide"
tide.on_resync("k", function()
  local api = tide.http.client { base_url = %q, timeout = 10, deadline = 50, retries = { base = 0.01, cap = 0.1 } }
  local n, last = 0, nil
  for page in api:pages(%q, { per_page = 100 }) do n, last = n + #page, page[#page].id end
  coroutine.yield { { n = n, last = last } }
end)
]]

describe("pages of recorded GitHub", function()
  local server

  local function serve(recording, ...)
    server = support.spawn { "node", shared .. "/tools/replay.mjs", shared .. "/recordings/" .. recording, ... }
    return assert(server.line:match "listening (%S+)")
  end

  local function walk(url, path)
    return bundle.run(MAIN:format(url, path), { raw = true, timeout = 60 })
  end

  after_each(function()
    server:stop()
  end)

  it("are 2,204 repositories on 23 pages", function()
    local result = walk(serve "github-jenkinsci-repos.ndjson", "/orgs/jenkinsci/repos")
    assert.are.same({ 2204, 23, 0 }, { result.batches[1].items[1].n, result.last.pages, #result.last.faults })
  end)

  it("compressed and in chunks are the same", function()
    local result = walk(serve("github-hub4j-issues.ndjson", "--gzip"), "/repos/hub4j/github-api/issues?state=closed")
    assert.are.same({ 606, 0 }, { result.batches[1].items[1].n, #result.last.faults })
  end)

  for _, kind in ipairs { "500", "reset", "truncate", "garbage", "empty" } do
    for _, every in ipairs { 2, 3, 7 } do
      it(("are whole with %s at every request number %d"):format(kind, every), function()
        local url = serve "github-hub4j-issues.ndjson"
        local set = support.request("POST", url .. "/__fault", support.json.encode { kind .. ":" .. every })
        assert.are.equal(200, set.status)
        local result = walk(url, "/repos/hub4j/github-api/issues?state=closed")
        assert.is_truthy(result.last, result.out .. result.err)
        assert.is_true(result.last.ok, result.last.error)
        assert.are.equal(606, result.batches[1].items[1].n)
        assert.are.equal(0, #result.last.faults)
      end)
    end
  end

  it("are an error when the last one is empty for good", function()
    local url = serve("github-hub4j-issues.ndjson")
    support.request("POST", url .. "/__fault", '["empty:21","empty:22"]')
    local result = walk(url, "/repos/hub4j/github-api/issues?state=closed")
    assert.is_false(result.last.ok)
    assert.is_truthy(result.last.error:find "page 21 is empty, twice")
  end)
end)
