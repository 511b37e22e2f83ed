-- What the health of Port's API is after which call.
local support = require "spec.support"

describe("Port's health", function()
  local port
  local function start(...)
    port = support.spawn { "node", support.root .. "/spec/port/port.mjs", ... }
    port.url = assert(port.line and port.line:match "listening (%S+)")
  end
  after_each(function()
    port:stop "KILL"
  end)

  local function calls(...)
    local result = support.run({ support.driver "port_driver", port.url, ... }, { timeout = 60 })
    assert.equal(0, result.code, result.err)
    local list = {}
    for line in result.out:gmatch "[^\n]+" do list[#list + 1] = line end
    return list, result
  end

  it("is good after an answer, also one of 404, 409 or 422: that is an answer", function()
    start()
    local list = calls("/status/200", "/status/404", "/status/409", "/status/422", "soft:/status/404")
    assert.same({
      "ok accepted=1 failed=0 requests=1 failures=0 -",
      "http accepted=1 failed=0 requests=2 failures=0 -",
      "http accepted=1 failed=0 requests=3 failures=0 -",
      "http accepted=1 failed=0 requests=4 failures=0 -",
      "ok accepted=1 failed=0 requests=5 failures=0 -",
      "observed 5",
    }, list)
  end)

  for _, status in ipairs { "500", "503", "429", "403", "reset", "text" } do
    it("is failed after " .. status .. " for good, and good again after the next answer; the reason stays", function()
      start()
      local list = calls("/status/200", "/status/" .. status, "/status/404")
      assert.is_truthy(list[2]:find("accepted=1 failed=1 requests=2 failures=1 %S"), list[2])
      assert.is_truthy(list[3]:find("accepted=1 failed=0 requests=3 failures=1 %S"), list[3])
    end)
  end

  it("is failed after a soft call's 503, with a reason of its own", function()
    start()
    local list = calls "soft:/status/503"
    assert.equal("ok accepted=1 failed=1 requests=1 failures=1 Port answered with status 503", list[1])
  end)

  it("A-NET-10 is failed after a 401 that a new token did not mend", function()
    start()
    local list = calls("/status/401,200", "/status/401,401")
    assert.equal("ok accepted=1 failed=0 requests=1 failures=0 -", list[1])
    assert.is_truthy(list[2]:find "^auth accepted=1 failed=1 requests=2 failures=1", list[2])
  end)

  it("shows no token in its reason", function()
    start()
    local list = calls "/status/503"
    assert.is_truthy(list[1]:find("ordered: 503 with the [REDACTED]", 1, true), list[1])
  end)

  it("A-NET-11 refused credentials end at once, and are not sent again for the next calls", function()
    start("--token", "401")
    local list, result = calls("/status/200", "/status/200")
    for i = 1, 2 do
      assert.is_truthy(list[i]:find(("^auth accepted=0 failed=1 requests=%d failures=%d .*CLIENT_ID"):format(i, i)), list[i])
    end
    assert.is_nil(result.out:find("secret ", 1, true))
    assert.equal(1, support.json.decode(support.request("GET", port.url .. "/__log").body).tokens)
  end)

  it("is failed when there is no token to be had, and when nobody is there", function()
    start("--token", "503")
    assert.is_truthy(calls("/status/200")[1]:find "^http accepted=0 failed=1 requests=1 failures=1 ")
    port:stop "KILL"
    assert.is_truthy(calls("/status/200")[1]:find "^network accepted=0 failed=1 requests=1 failures=1 cannot reach Port")
  end)

  it("A-AUTH-05 a call that waits for the token that another one asks for ends at its own deadline, or when it is cancelled", function()
    start("--token", "hold")
    local list = calls("beside:/status/200", "/status/200", "cancel:/status/200")
    assert.equal("network accepted=0 failed=1 requests=1 failures=1 cannot reach Port: no token within 1.0 s", list[1])
    assert.is_truthy(list[2]:find "^canceled ", list[2])
    assert.equal("beside under way", list[3])
    assert.equal(1, support.json.decode(support.request("GET", port.url .. "/__log").body).tokens)
  end)

  it("A-AUTH-05 calls at the same time ask for one token", function()
    start()
    assert.is_truthy(calls("beside:/status/200", "/status/200")[1]:find "^ok ")
    assert.equal(1, support.json.decode(support.request("GET", port.url .. "/__log").body).tokens)
  end)

  it("does not change by what is cancelled, nor by calls of an ingest address", function()
    start("--ingest", "503,503,200")
    local list = calls("/status/200", "cancel:/status/503", port.url .. "/ingest", "/status/404")
    assert.equal("canceled accepted=1 failed=0 requests=1 failures=0 -", list[2])
    assert.equal("http accepted=1 failed=0 requests=1 failures=0 -", list[3])
    assert.equal("http accepted=1 failed=0 requests=2 failures=0 -", list[4])
    assert.equal("observed 3", list[5])
  end)
end)
