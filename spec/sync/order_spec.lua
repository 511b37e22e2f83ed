local support = require "spec.support"

describe("the order of dependencies (R-TOPO-02, R-TOPO-05)", function()
  local function driver(...)
    return support.run { support.driver "order_driver", ... }
  end

  it("agrees with plain reachability on random graphs", function()
    local result = driver "5000"
    assert.equal("ok 5000\n", result.out)
  end)

  it("takes chains and cycles of a million nodes without recursion", function()
    assert.equal("ok 1000000\n", driver("0", "1000000").out)
    assert.equal("ok 1\n", driver("0", "1000001").out)
  end)
end)
