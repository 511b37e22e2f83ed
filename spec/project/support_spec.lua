-- The specs' own tools: a tool that hides a failure would hide it everywhere.
local support = require "spec.support"

describe("support.run", function()
  it("gives code, output and errors of a command, with its input, environment and folder", function()
    local dir = support.tmpdir()
    local result = support.run({ "sh", "-c", "cat; echo $NAME; pwd; echo oops >&2; exit 3" },
      { stdin = "in ", env = { NAME = "a'b $HOME" }, cwd = dir })
    assert.same({ code = 3, out = "in a'b $HOME\n" .. dir .. "\n", err = "oops\n" }, result)
  end)

  it("gives 128 + n after a signal and 124 after the timeout", function()
    assert.equal(137, support.run({ "sh", "-c", "kill -9 $$" }).code)
    assert.equal(124, support.run({ "sleep", "60" }, { timeout = 0.1 }).code)
  end)

  it("keeps a developer's own settings of Ocean out", function()
    local result = support.run { "env", "OCEAN__PORT__CLIENT_ID=mine", "lua5.4", "-e",
      "local s = require 'spec.support' io.write(s.run({ 'sh', '-c', 'echo [$OCEAN__PORT__CLIENT_ID]' }).out)" }
    assert.equal("[]\n", result.out)
  end)
end)

describe("support.spawn", function()
  it("waits for the first line, sends signals, gives the exit code and the output", function()
    local proc = support.spawn { "sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done" }
    assert.equal("up", proc.line)
    assert.equal(7, proc:stop())
    assert.equal(7, proc:wait())
    assert.equal("up\nbye\n", (proc:output()))
  end)

  it("gives no line when the command ends without one", function()
    local proc = support.spawn { "false" }
    assert.is_nil(proc.line)
    assert.equal(1, proc:wait())
  end)

  it("kills what does not end in time", function()
    local proc = support.spawn { "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done" }
    proc:signal "TERM"
    assert.equal(137, proc:wait(0.2))
  end)

  it("ends what a spec left running when the specs end", function()
    local out = support.run({ "lua5.4", "-e",
      "local s = require 'spec.support' print(s.spawn({ 'sh', '-c', 'echo up; exec sleep 1000' }).pid)" }).out
    local pid = tonumber(out)
    assert.is_truthy(pid)
    assert.is_nil(support.read("/proc/" .. pid .. "/stat"))
  end)
end)

describe("support.request", function()
  it("gives status, headers and body, and says when there was no answer", function()
    local recording = support.write(support.tmpdir() .. "/r.ndjson", support.json.encode {
      method = "GET", url = "/a?x=1", status = 202, headers = { ["X-Seen"] = "yes" }, body = '{"a":[]}',
    } .. "\n")
    local server = support.recorded(recording)
    local res = support.request("GET", server.url .. "/a?x=1")
    assert.equal(202, res.status)
    assert.equal("yes", res.headers["x-seen"])
    assert.same({ a = {} }, support.json.decode(res.body))
    assert.equal(404, support.request("POST", server.url .. "/a", { b = 1 }).status)
    assert.equal("POST", server.log()[2].method)
    server:stop()
    res = support.request("GET", server.url)
    assert.equal(0, res.status)
    assert.truthy(res.error)
  end)
end)

describe("support.json", function()
  it("keeps nulls, empty lists and empty objects apart, and refuses what is no JSON", function()
    local value = support.json.decode '{"a":[],"b":{},"c":null}'
    assert.equal(support.json.null, value.c)
    assert.same({ c = support.json.null }, support.json.decode(support.json.encode { c = support.json.null }))
    assert.equal('[[],{}]', support.json.encode { value.a, value.b })
    assert.has_error(function() support.json.decode "{" end)
    assert.has_error(function() support.json.decode "1 2" end)
  end)
end)
