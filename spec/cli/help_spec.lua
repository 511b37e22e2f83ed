-- moontide help: the list, one command, the manual page; and that the texts tell the truth about the options.
local support = require "spec.support"

local function moontide(...)
  return support.run { support.bin, ... }
end

local function has(program)
  return support.run({ "sh", "-c", "command -v " .. program }).code == 0
end

-- { { command, option, takes a value } … }, read from what is made of the help texts for fish.
local function documented()
  local list = {}
  for line in moontide("completions", "fish").out:gmatch "[^\n]+" do
    local command, kind, name, rest = line:match "__fish_seen_subcommand_from (%l+)' %-([ls]) (%S+)(.*)$"
    if command then
      local dashes = kind == "l" and "--" or "-"
      list[#list + 1] = { command, dashes .. name, rest:match "^ %-[xr]" ~= nil }
    end
  end
  return list
end

describe("moontide help", function()
  it("puts every command into a group", function()
    local out = moontide("help").out
    for _, title in ipairs { "Write an integration", "Run it", "Look around" } do
      assert.matches("\n" .. title .. "\n  %l", out)
    end
    assert.not_matches("\nMore\n", out)
  end)

  it("names no option that the command does not take", function()
    local options = documented()
    assert.is_true(#options > 15)
    for _, option in ipairs(options) do
      local command, name, value = table.unpack(option)
      local words = { command, name }
      if value then
        words[#words + 1] = "1"
      end
      words[#words + 1] = "--no-such-option-here"
      local result = moontide(table.unpack(words))
      assert.equal(2, result.code, command .. " " .. name)
      assert.matches("unknown option '--no-such-option-here'", result.err, 1, true)
    end
  end)

  it("refuses two commands, and --man with one", function()
    assert.matches("one command at a time", moontide("help", "map", "jq").err, 1, true)
    local result = moontide("help", "--man", "map")
    assert.equal(2, result.code)
    assert.matches("it takes no COMMAND", result.err, 1, true)
  end)
end)

describe("the manual page", function()
  local page = moontide("help", "--man").out

  it("has a section for every command, with each of its options", function()
    local names = {}
    for name in moontide("help").out:gmatch "\n  (%l+) " do
      names[#names + 1] = name
      assert.matches("\n.SS " .. name .. "\n", page, 1, true)
    end
    assert.is_true(#names >= 8)
    for _, option in ipairs(documented()) do
      local section = assert((page .. "\n.S"):match("\n%.SS " .. option[1] .. "\n(.-)\n%.S"), option[1])
      assert.matches(option[2]:gsub("%-", "\\-"), section, 1, true)
    end
    assert.not_matches("\n.SS busted\n", page, 1, true)
  end)

  it("is made of ASCII, and no text of it is taken for a request", function()
    assert.not_matches("[\128-\255]", page)
    for line in page:gmatch "[^\n]+" do
      local request = line:match "^[.'](.*)$"
      if request then
        local name = request:match '^%a*' -- a comment has none
        assert.matches(" " .. name .. " ", "  TH SH SS PP TP B BR BI RI I IR EX EE nr ad br ", 1, true)
      end
    end
  end)

  it("goes through groff without a warning", function()
    if not has "groff" then
      return
    end
    local dir = support.tmpdir()
    support.write(dir .. "/moontide.1", page)
    local result = support.run { "groff", "-ww", "-man", "-Tutf8", "-P-c", dir .. "/moontide.1" }
    assert.same({ 0, "" }, { result.code, result.err })
    local text = result.out:gsub(".\b", "")
    assert.matches("moontide resync BUNDLE", text, 1, true)
    assert.matches("OCEAN__PORT__CLIENT_ID", text, 1, true)
  end)

  it("goes through mandoc without a warning but that of the missing date", function()
    if not has "mandoc" then
      return
    end
    local out = support.run({ "mandoc", "-Tlint", "-Wwarning" }, { stdin = page }).out
    for line in out:gmatch "[^\n]+" do
      assert.matches("missing date", line, 1, true)
    end
  end)
end)
