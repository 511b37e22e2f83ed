-- The GitHub bundle on recorded answers of the real API: 2,204 repositories of an organization (needs the shared recordings and node).
local support = require "spec.support"
local sync = require "spec.support.sync"
local shared = support.shared()
if not shared or not os.execute "command -v node >/dev/null" then
  return
end
local RECORDING = shared .. "/recordings/github-jenkinsci-repos.ndjson"
local BUNDLE = support.root .. "/integrations/github"

local function run(api, cwd, port)
  return sync.resync(BUNDLE, "unused", cwd, {
    port = port,
    args = { "--kind", "organization", "--kind", "repository" },
    env = { OCEAN__INTEGRATION__CONFIG__API_URL = false, OCEAN__INTEGRATION__CONFIG__GITHUB_HOST = api.url,
      OCEAN__INTEGRATION__CONFIG__GITHUB_ORGANIZATION = "jenkinsci" },
  })
end

-- The recording with n repositories of its second page removed; gives its path and their names.
local function without(n, dir)
  local lines, names = {}, {}
  for line in io.lines(RECORDING) do
    local exchange = support.json.decode(line)
    local body = support.json.decode(exchange.body)
    if #names == 0 and exchange.url:find("[?&]page=2") and #body > n then
      for _ = 1, n do names[#names + 1] = table.remove(body, 5).name end
      exchange.body = support.json.encode(body)
      line = support.json.encode(exchange)
    end
    lines[#lines + 1] = line
  end
  return support.write(dir .. "/fewer.ndjson", table.concat(lines, "\n") .. "\n"), names
end

for _, where in ipairs { "the embedded catalog", "a separately started catalog" } do
  describe("2,204 recorded repositories #slow in " .. where, function()
    it("land, are left alone by a second run, and exactly the ten that vanish are deleted", function()
      local cwd = support.tmpdir()
      local catalog = where ~= "the embedded catalog" and sync.catalog(cwd .. "/separate.db")
      local port = catalog and catalog.url
      local function repositories()
        return catalog and sync.entities(catalog.url, "githubRepository") or sync.embedded(cwd, "githubRepository")
      end
      local api = support.replay(RECORDING)
      local first = run(api, cwd, port)
      assert.equal(0, first.code, first.err)
      assert.equal(2204, sync.kind(first, "repository").created)
      local all = repositories()
      assert.equal(2204, sync.count(all))
      local second = run(api, cwd, port)
      assert.equal(0, second.code, second.err)
      local kind = sync.kind(second, "repository")
      assert.same({ 0, 0, 2204, 0 }, { kind.created, kind.updated, kind.unchanged, kind.deleted })
      api:stop()
      local path, names = without(10, cwd)
      local fewer = support.replay(path)
      local third = run(fewer, cwd, port)
      assert.equal(0, third.code, third.err)
      assert.equal(10, sync.kind(third, "repository").deleted)
      local left = repositories()
      assert.equal(2194, sync.count(left))
      for _, name in ipairs(names) do assert.is_nil(left[name]) end
      fewer:stop()
      if catalog then catalog:stop() end
    end)
  end)
end
