-- The fault matrix: whatever the API does, a resync ends with the same catalog as without faults and exit 0, or with exit 1 and no entity
-- deleted. Never anything else. Cases run side by side: their time is waiting (Retry-After, stalls), not work.
local support = require "spec.support"
local sync = require "spec.support.sync"

local PAGES, PER_PAGE, SIDE_BY_SIDE = 6, 20, 40
local KINDS = { "429", "403rate", "500", "502", "503", "reset", "truncate", "garbage", "empty", "stall" }

local MAIN = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl, timeout = 1, deadline = 8, retries = { max = 8, base = 0.05 } }
  for page in api:pages("/" .. kind, { per_page = 20 }) do coroutine.yield(page) end
end)
]]
-- The author who walks by hand and swallows errors: deletes have to be withheld all the same.
local SWALLOWING = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl, timeout = 1, deadline = 4, retries = { max = 3, base = 0.05 } }
  local path, query = "/" .. kind, { per_page = 20 }
  while path do
    local res = api:get(path, query)
    if not res then return end
    local ok, page = pcall(function() return res:json() end)
    if not ok then return end
    coroutine.yield(page)
    path, query = (res.headers.link or ""):match '<([^>]+)>; rel="next"', nil
  end
end)
]]

describe("the fault matrix #slow", function()
  local items, good, full

  -- Starts a case; the returned function waits for its end and judges it.
  local function start(case)
    local api = sync.api()
    local cwd = support.tmpdir()
    api:put("item", items)
    if case.full then
      os.execute(("cp -r %s/.moontide %s/"):format(full, cwd))
    end
    local faults = {}
    for _, fault in ipairs(case.faults) do faults[#faults + 1] = fault end
    api:fault(faults)
    local path = sync.bundle { dir = cwd .. "/demo", main = case.main or MAIN }
    local command, options = sync.command(path, api, cwd)
    local process = support.spawn({ "sh", "-c", 'echo started; exec "$0" "$@"', table.unpack(command) }, options)
    return function()
      local code = process:wait(100)
      api:stop()
      local out, err = process:output()
      local found = sync.embedded(cwd)
      local name = case.name .. (case.full and " on a full catalog" or " on a fresh catalog") .. "\n" .. err:sub(-1500) .. out:sub(-300)
      if code == 0 then
        assert.equal(sync.canonical(good), sync.canonical(found), name)
      else
        assert.equal(1, code, name)
        if case.full then
          assert.is_truthy(found["9001"], "an entity was deleted: " .. name)
          assert.equal(#items + 1, sync.count(found), "an entity was deleted: " .. name)
        end
      end
      return code
    end
  end

  local function run_all(cases)
    local ended = {}
    for from = 1, #cases, SIDE_BY_SIDE do
      local waiting = {}
      for i = from, math.min(from + SIDE_BY_SIDE - 1, #cases) do
        waiting[#waiting + 1] = start(cases[i])
      end
      for i, finish in ipairs(waiting) do
        ended[from + i - 1] = finish()
      end
    end
    return ended
  end

  -- Both catalogs of every case.
  local function both(cases)
    local list = {}
    for _, case in ipairs(cases) do
      list[#list + 1] = case
      list[#list + 1] = setmetatable({ full = true }, { __index = case })
    end
    return list
  end

  setup(function()
    items = sync.items(PAGES * PER_PAGE)
    local api = sync.api()
    full = support.tmpdir()
    local path = sync.bundle { dir = full .. "/demo" }
    local stale = sync.items(1, 9001)
    for i, item in ipairs(items) do stale[i + 1] = item end
    api:put("item", stale)
    assert.equal(0, sync.resync(path, api, full).code)
    local fresh = support.tmpdir()
    api:put("item", items)
    assert.equal(0, sync.resync(path, api, fresh).code)
    good = sync.embedded(fresh)
    api:stop()
  end)

  it("every fault at every 2nd, 3rd, 5th and 7th request", function()
    local cases = {}
    for _, kind in ipairs(KINDS) do
      for _, every in ipairs { 2, 3, 5, 7 } do
        cases[#cases + 1] = { name = kind .. ":" .. every, faults = { { kind = kind, every = every } } }
      end
    end
    local codes = run_all(both(cases))
    local complete = 0
    for _, code in ipairs(codes) do complete = complete + (code == 0 and 1 or 0) end
    -- Retries get through nearly all of it; a client that gave up at the first fault would pass the rule and be of no use.
    assert.is_true(complete >= #codes * 0.8, complete .. " of " .. #codes .. " were complete")
  end)

  it("the last page empty, garbled, truncated or 500 for good: exit 1 and nothing deleted", function()
    local cases = {}
    for _, kind in ipairs { "empty", "garbage", "truncate", "500" } do
      cases[#cases + 1] = { name = "last page " .. kind, faults = { { kind = kind, last = true } } }
    end
    for i, code in ipairs(run_all(both(cases))) do
      assert.equal(1, code, cases[(i + 1) // 2].name)
    end
  end)

  it("a script that swallows errors", function()
    local cases = {}
    for _, kind in ipairs(KINDS) do
      cases[#cases + 1] = { name = "swallowed " .. kind .. ":3", main = SWALLOWING, full = true, faults = { { kind = kind, every = 3 } } }
      cases[#cases + 1] = { name = "swallowed " .. kind .. " for good", main = SWALLOWING, full = true,
        faults = { { kind = kind, path = "page=5" } } }
      cases[#cases + 1] = { name = "swallowed " .. kind .. " on the last page", main = SWALLOWING, full = true,
        faults = { { kind = kind, last = true } } }
    end
    run_all(cases)
  end)
end)

describe("kill -9 #slow", function()
  it("at 20 random moments: one undisturbed resync gives the same catalog", function()
    local api = sync.api("--latency", "5")
    local items = sync.items(1000)
    api:put("item", items)
    local fresh = support.tmpdir()
    local path = sync.bundle { dir = fresh .. "/demo" }
    local before = os.time()
    assert.equal(0, sync.resync(path, api, fresh).code)
    assert.is_true(os.time() - before < 60)
    local good = sync.canonical(sync.embedded(fresh))
    math.randomseed(20)
    for _ = 1, 20 do
      local cwd = support.tmpdir()
      local command, options = sync.command(path, api, cwd)
      local process = support.spawn({ "sh", "-c", 'echo started; exec "$0" "$@"', table.unpack(command) }, options)
      local delay = ("%.3f"):format(math.random() * 0.8)
      os.execute("timeout " .. delay .. " tail --pid=" .. process.pid .. " -s 0.01 -f /dev/null") -- or its end, if that is sooner
      process:stop "KILL"
      local result = sync.resync(path, api, cwd)
      assert.equal(0, result.code, result.err)
      assert.equal(good, sync.canonical(sync.embedded(cwd)), "killed after " .. delay .. " s")
    end
    api:stop()
  end)
end)
