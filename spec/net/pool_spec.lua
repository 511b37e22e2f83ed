local support = require "spec.support"

local function run(...)
  local result = support.run({ support.driver "pool_driver", ... }, { timeout = 60 })
  assert(result.code == 0, result.err)
  return result.out
end

describe("the loop and its workers", function()
  it("work off every job once, keep posted calls in order and on the loop's thread, and fire timers in time", function()
    -- 1 more job and the call "late" come after the loop has ended: they are done when pool and loop are freed.
    assert.matches("^worked 10001 finished 10001 workers 4 most [0-3] order 0 thread 0 posted 20000 timers abclate\n$",
      run("10000", "4", "loop"))
  end)

  it("work without a loop, done on the worker", function()
    assert.matches("^worked 5001 finished 5001 workers 3 most [0-2] order 0 thread 0 posted 0 timers \n$", run("5000",
      "3", "none"))
  end)

  it("make a call that was posted while others waited, however many these are", function()
    -- The loop takes 256 calls a turn: a call that came between two turns was left lying after the second.
    assert.are.equal("ended 1100 times\n", run("calls", "1100"))
  end)

  it("are as many as the CPUs that the process may use, unless it is said", function()
    local usable = support.run { "nproc" }.out:match "%d+"
    assert.matches("workers " .. usable .. " ", run("10", "0", "loop"))
    local one = support.run { "taskset", "-c", "0", support.driver "pool_driver", "10", "0", "loop" }
    if one.code ~= 127 then
      assert.matches("workers 1 ", one.out)
    end
  end)
end)
