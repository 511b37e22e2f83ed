-- The heap of a Lua state (runtime/script/heap.h): by itself, and with a system that has no more memory to give.
local bundle = require "spec.script.bundle"
local support = require "spec.support"

local REGION = 65536

local function driver(what)
  local result = support.run({ support.driver "heap_driver", what }, { timeout = 100 })
  assert.are.equal("", result.err)
  assert.are.equal(0, result.code)
  return support.json.decode(result.out)
end

-- Sanitizers see every block: there is no heap of ours then.
local plain = driver "back".plain
local function case(name, fn)
  it(name, plain and function() end or fn)
end

describe("the heap of a Lua state", function()
  it("keeps the content of blocks of any size that grow and shrink to any other", function()
    assert.is_true(driver "sizes".ok)
  end)

  case("gives back what is free", function()
    local seen = driver "back"
    assert.is_true(seen.full < 1.25 * 80 * 200000, seen.full .. " bytes for blocks of 16 MB")
    assert.are.equal(seen.full, seen.again)
    assert.is_true(seen.forward <= seen.full / 2, seen.forward .. " of " .. seen.full .. " bytes are kept without a block")
    assert.is_true(seen.sparse > seen.full / 2, "blocks everywhere")
    assert.is_true(seen.kb_trimmed <= seen.kb_full / 3, seen.kb_trimmed .. " of " .. seen.kb_full .. " KB for one block in 400")
    assert.are.equal(0, seen.empty)
    assert.are.equal(0, seen.closed)
  end)

  case("refuses to grow when the system does, and never to shrink", function()
    local seen = driver "refuse"
    assert.is_true(seen.taken > 2000 and seen.mapped > 16 * REGION)
    assert.is_true(seen.strays > 0)
    assert.are.equal(0, seen.empty)
  end)

  case("gives Lua an error that it can catch, again and again, and nothing is left of a closed state", function()
    local seen = driver "lua"
    assert.are.equal("not enough memory", seen.error)
    assert.is_true(seen.mapped > 2 * seen.before)
    assert.is_true(seen.collected <= seen.before + 2 * REGION, seen.collected .. " bytes once it is collected")
    assert.are.equal(0, seen.closed)
  end)

  case("ends the handler that takes what the system has, or is caught there, and the next one runs", function()
    local dir = support.tmpdir()
    support.write(dir .. "/main.lua", [[
local core = require "moontide.spec"
local function take() local list for i = 1, 1e9 do list = { list, i .. "" } end end
core.register("resync", "caught", function()
  local ok, why = pcall(take)
  for i = 1, 1000 do local t = { i } end
  coroutine.yield { { why = why } }
end)
core.register("resync", "all", take)
core.register("resync", "k", function() local t = {} for i = 1, 1000 do t[i] = { i } end coroutine.yield { { n = #t } } end)]])
    local result = bundle.read(support.run({ "sh", "-c", 'ulimit -v 200000; exec "$@"', "sh", support.driver "host_driver",
      "--memory", tostring(1 << 32), "--burst", "60000", dir, "caught", "all", "k" }, { timeout = 60 }))
    assert.are.equal(3, #result.ends, result.err)
    assert.are.equal("not enough memory", result.batches[1].items[1].why)
    assert.is_true(result.ends[1].ok)
    assert.is_truthy(result.ends[2].error:find "no[t enough]* memory", result.ends[2].error)
    assert.are.equal(1000, result.batches[2].items[1].n)
    assert.is_true(result.ends[3].ok)
  end)
end)
