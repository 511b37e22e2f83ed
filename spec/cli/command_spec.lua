-- The program's outside: commands, options, exit codes (architecture 3.1).
local support = require "spec.support"

local function moontide(...)
  return support.run { support.bin, ... }
end

describe("moontide", function()
  it("says that a command is missing and exits 2", function()
    local result = moontide()
    assert.equal(2, result.code)
    assert.equal("", result.out)
    assert.matches("moontide help", result.err, 1, true)
  end)

  it("lists its commands on stdout with help, --help and -h", function()
    local help = moontide "help"
    assert.equal(0, help.code)
    for _, name in ipairs { "validate", "map", "jq", "resync", "plan", "catalog", "version", "help" } do
      assert.matches("\n  " .. name .. " ", help.out)
    end
    assert.not_matches("busted", help.out)
    assert.equal(help.out, moontide("--help").out)
    assert.equal(help.out, moontide("-h").out)
  end)

  it("explains each command, with its usage, by help COMMAND and by COMMAND --help", function()
    for name in moontide("help").out:gmatch "\n  (%l+) " do
      local result = moontide("help", name)
      assert.equal(0, result.code)
      assert.matches("^moontide " .. name, result.out)
      assert.equal(result.out, moontide(name, "--help").out)
    end
  end)

  it("names the nearest command for one that it does not know, and exits 2", function()
    local result = moontide "resnyc"
    assert.equal(2, result.code)
    assert.matches("there is no command 'resnyc'. Did you mean 'resync'?", result.err, 1, true)
    assert.not_matches("Did you mean", moontide("frobnicate").err)
    assert.matches("Did you mean 'validate'?", moontide("help", "valdate").err, 1, true)
  end)

  it("cuts a foreign word in a message to 200 bytes", function()
    assert.is_true(#moontide(("x"):rep(10000)).err < 400)
  end)
end)

describe("moontide version", function()
  it("prints name and version, also as JSON", function()
    local version = moontide("version").out:match "^moontide (%d+%.%d+%.%d+)\n$"
    assert.is_truthy(version)
    assert.same({ name = "moontide", version = version }, support.json.decode(moontide("version", "--json").out))
    assert.equal(moontide("version").out, moontide("--version").out)
  end)

  it("exits 1 when its output cannot be written", function()
    local result = support.run { "sh", "-c", "exec " .. support.bin .. " version >/dev/full" }
    assert.equal(1, result.code)
    assert.matches("stdout: No space left", result.err, 1, true)
  end)
end)

describe("an option", function()
  local cases = {
    { "that is not known names the nearest one", { "version", "--jsno" }, "option '--jsno'. Did you mean '--json'?" },
    { "that is like no other says how a dash is passed", { "version", "--wrong-thing" }, "comes after '--'" },
    { "that is a flag takes no value", { "version", "--json=1" }, "--json takes no value" },
    { "of one dash is not one of two", { "version", "-json" }, "Did you mean '--json'?" },
    { "needs its value", { "catalog", "--listen" }, "--listen needs a value" },
    { "does not take the next option for its value", { "catalog", "--listen", "--db", "x" }, "--listen needs a value" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local result = moontide(table.unpack(case[2]))
      assert.equal(2, result.code)
      assert.equal("", result.out)
      assert.matches(case[3], result.err, 1, true)
      assert.matches("moontide help " .. case[2][1], result.err, 1, true)
    end)
  end

  it("may stand after an argument, and '--' ends options", function()
    assert.matches("it takes no argument", moontide("version", "--", "--json").err, 1, true)
    local result = support.run({ support.bin, "jq", "--", "-1" }, { stdin = "null" })
    assert.same({ 0, "-1\n" }, { result.code, result.out })
  end)
end)

describe("moontide busted", function()
  it("runs specs inside the program and ends with their result", function()
    local dir = support.tmpdir()
    support.write(dir .. "/good_spec.lua", "it('a', function() assert.equal(1, 1) end)")
    support.write(dir .. "/bad_spec.lua", "it('b', function() assert.equal(1, 2) end)")
    local good = moontide("busted", "--output=plainTerminal", dir .. "/good_spec.lua")
    assert.equal(0, good.code)
    assert.matches("1 success / 0 failures / 0 errors", good.out, 1, true)
    assert.equal(1, moontide("busted", "--output=plainTerminal", dir .. "/bad_spec.lua").code)
  end)
end)
