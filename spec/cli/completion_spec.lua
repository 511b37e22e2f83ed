-- Completions of the shells, made from the texts of the commands. bash is run; zsh and fish are where they are
-- installed.
local support = require "spec.support"

local function script(shell)
  local result = support.run { support.bin, "completions", shell }
  assert.same({ 0, "" }, { result.code, result.err })
  return result.out
end

local function installed(shell)
  return support.run({ "sh", "-c", "command -v " .. shell }).code == 0
end

describe("completion in bash", function()
  local dir = support.tmpdir()
  support.write(dir .. "/moontide", script "bash")
  support.write(dir .. "/folder/bundle.mtb", "")

  -- What <TAB> offers at the end of these words.
  local function offers(...)
    local words = { "moontide", ... }
    for i, word in ipairs(words) do
      words[i] = support.quote(word)
    end
    local text = ([[
      source ./moontide
      COMP_WORDS=(%s)
      COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
      _moontide
      printf '%%s\n' "${COMPREPLY[@]}"]]):format(table.concat(words, " "))
    local result = support.run({ "bash", "--norc", "-u", "-c", text }, { cwd = dir })
    assert.same({ 0, "" }, { result.code, result.err })
    local list = {}
    for word in result.out:gmatch "[^\n]+" do
      list[#list + 1] = word
    end
    table.sort(list)
    return list
  end

  it("offers every command of the help, and no hidden one", function()
    local names = { "--help", "--version" }
    for name in support.run({ support.bin, "help" }).out:gmatch "\n  (%l+) " do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.is_true(#names > 9)
    assert.same(names, offers "")
    assert.same({ "resync" }, offers "resy")
    assert.same({}, offers "busted")
  end)

  it("offers the options of the command", function()
    local options = table.concat(offers("resync", "--"), " ")
    for _, name in ipairs { "--kind", "--limit", "--state", "--json", "--help" } do
      assert.matches(name, options, 1, true)
    end
    assert.same({ "--limit" }, offers("resync", "folder", "--li"))
    assert.same({ "--json" }, offers("version", "--j"))
  end)

  it("offers what a value may be: files, words, or nothing", function()
    assert.same({ "folder" }, offers("resync", "--state", "fo"))
    assert.same({ "DEBUG" }, offers("resync", "--log-level", "D"))
    assert.same({ "DEBUG" }, offers("resync", "--log-level", "=", "D"))
    assert.same({ "CRITICAL", "DEBUG", "ERROR", "INFO", "WARNING" }, offers("resync", "--log-level", "="))
    assert.same({}, offers("resync", "--limit", ""))
  end)

  it("offers bundles, commands and shells where they are arguments", function()
    assert.same({ "folder/bundle.mtb" }, offers("resync", "folder/b"))
    assert.same({ "resync" }, offers("help", "res"))
    assert.same({ "bash", "fish", "zsh" }, offers("completions", ""))
    assert.same({}, offers("version", ""))
    assert.same({}, offers("nonsense", ""))
  end)
end)

describe("the completions of zsh and fish", function()
  it("describe each command", function()
    local zsh, fish = script "zsh", script "fish"
    assert.matches("^#compdef moontide\n", zsh)
    for name, summary in support.run({ support.bin, "help" }).out:gmatch "\n  (%l+) +([^\n]+)" do
      assert.matches(("'%s:%s'"):format(name, (summary:gsub("'", "'\\''"))), zsh, 1, true)
      assert.matches(("-a %s -d '%s'"):format(name, (summary:gsub("'", "\\'"))), fish, 1, true)
    end
  end)

  it("are read by their shells", function()
    local dir = support.tmpdir()
    for shell, option in pairs { zsh = "-n", fish = "--no-execute" } do
      if installed(shell) then
        support.write(dir .. "/" .. shell, script(shell))
        local result = support.run { shell, option, dir .. "/" .. shell }
        assert.same({ 0, "" }, { result.code, result.err })
      end
    end
  end)
end)

describe("moontide completions", function()
  it("says which shells there are", function()
    local none = support.run { support.bin, "completions" }
    assert.equal(2, none.code)
    assert.matches("which shell? bash, zsh or fish", none.err, 1, true)
    local other = support.run { support.bin, "completions", "tcsh" }
    assert.same({ 2, "" }, { other.code, other.out })
    assert.matches("not for 'tcsh'", other.err, 1, true)
    assert.equal(2, support.run({ support.bin, "completions", "bash", "zsh" }).code)
  end)
end)
