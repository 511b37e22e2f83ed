-- moontide.core in the interpreter that runs the specs: the very code of the program, loaded as a module.
local support = require "spec.support"

package.cpath = support.bin:gsub("bin/[^/]*$", "lib/?.so") .. ";" .. package.cpath
local core = require "moontide.core"

describe("moontide.core in a stock Lua", function()
  it("parses JSON into views and writes them again, numbers as they were spelled", function()
    local view = core.json.decode '{"a":[1,2.50,12345678901234567890],"b":null,"c":{"d":"é"}}'
    assert.equal(3, #view.a)
    assert.is_nil(view.b)
    assert.equal("é", view.c.d)
    view.c.e = { true }
    assert.equal('{"a":[1,2.50,12345678901234567890],"b":null,"c":{"d":"é","e":[true]}}', core.json.encode(view))
    assert.has_error(function() core.json.decode "[1," end)
  end)

  it("evaluates jq at once, and raises its errors", function()
    assert.same({ 1, 2 }, core.jq(".[] | .a", { { a = 1 }, { a = 2 } }))
    local ok, err = pcall(core.jq, ".a[", {})
    assert.is_false(ok)
    assert.truthy(tostring(err):find "%S")
    assert.is_false((pcall(core.jq, 'error("no")', 1)))
  end)

  it("hashes, encodes and reads times", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", core.sha256 "abc")
    assert.equal("Zm9v", core.base64_encode "foo")
    assert.equal("foo", core.base64_decode "Zm9v")
    assert.equal("a%20b%2Fc", core.url_escape "a b/c")
    assert.equal(0, core.iso_parse "1970-01-01T00:00:00Z")
  end)

  it("frees what a state holds when it closes, in the program too", function()
    local path = support.bin:gsub("bin/[^/]*$", "lib/?.so;")
    local spec = support.write(support.tmpdir() .. "/held_spec.lua", ([[
      package.cpath = %q .. package.cpath
      local core = require "moontide.core"
      it("holds", function()
        HELD = core.json.decode '[{}]'
        HELD[1].x = core.json.decode '{"y":[1]}'
        RESULTS = core.jq(".", HELD)
      end)
    ]]):format(path))
    local result = support.run { support.bin, "busted", "--output=plainTerminal", spec }
    assert.equal(0, result.code, result.out .. result.err)
  end)
end)
