-- What the fuzzers and spec/fuzz/differential.lua found, each once.
local drive = require "spec.jq.drive"

local function run(program, ...)
  return drive({ { op = "jq", program = program, inputs = { ... } } })[1].results
end

describe("found by fuzzing", function()
  it("no bytes at all are the empty string", function()
    assert.same({ { v = { "" } } }, run("@base64d", ""))
    assert.same({ { v = { "" } } }, run("@base32d", ""))
  end)
end)
