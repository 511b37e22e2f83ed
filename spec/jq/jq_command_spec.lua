-- `moontide jq`, as architecture 3.1 says.
local support = require "spec.support"

local function jq(program, stdin, ...)
  return support.run({ support.bin, "jq", program, ... }, { stdin = stdin or "" })
end

describe("moontide jq", function()
  it("writes each result compact, one a line", function()
    local result = jq(".[]", '[1, {"a": [ ]}, "x\\u00e9", null]  [true]')
    assert.same({ '1\n{"a":[]}\n"xé"\nnull\ntrue\n', 0, "" }, { result.out, result.code, result.err })
    assert.equal("1\n2\n34\n", jq(".", "1\n2 34").out)
    assert.equal("", jq("empty", "1").out)
    assert.equal("", jq(".", "").out)
  end)

  it("reads a file", function()
    local path = support.write(support.tmpdir() .. "/in.json", '{"a":9007199254740993}')
    assert.equal("9007199254740993\n", jq(".a", nil, path).out)
    local result = jq(".a", nil, path .. "x")
    assert.equal(2, result.code)
  end)

  it("keeps order and content over many chunks of input", function()
    local lines, expected = {}, {}
    for i = 1, 20000 do
      lines[i] = ('{"n":%d,"s":"%s"}'):format(i, ("z"):rep(i % 50))
      expected[i] = tostring(i)
    end
    assert.equal(table.concat(expected, "\n") .. "\n", jq(".n", table.concat(lines, " ")).out)
    local big = '"' .. ("x"):rep(3000000) .. '"'
    assert.equal("3000000\n5\n", jq("if type == \"string\" then length end", big .. " 5").out)
  end)

  it("exits 3 when the program does not compile", function()
    local result = jq(".a +", "1")
    assert.same({ 3, "" }, { result.code, result.out })
    assert.is_truthy(result.err:find("^jq: error: line 1, column 5: "), result.err)
    assert.equal(3, jq("nope", "1").code)
    assert.equal(3, jq("", "1").code)
    assert.equal(3, jq('import "a" as a; 1', "1").code)
  end)

  it("exits 5 when an input raises, and goes on with the next", function()
    local result = jq("1, .a", '{"a":2} "x" {"a":3}')
    assert.same({ 5, "1\n2\n1\n1\n3\n" }, { result.code, result.out })
    assert.is_truthy(result.err:find('jq: error (at <stdin>:8): Cannot index string with string ("a")', 1, true),
      result.err)
    assert.equal(5, jq("halt", "1").code)
  end)

  it("exits 5 when the input is no JSON, after what came before it", function()
    for _, text in ipairs { '1 {"a":', "1 nope", "1 {\"a\":}", "1 \"\xff\"", '1 [1' } do
      local result = jq(".", text)
      assert.same({ 5, "1\n" }, { result.code, result.out }, text)
      assert.is_truthy(result.err:find("jq: error (at <stdin>:", 1, true), result.err)
    end
  end)

  it("goes on behind the line of a word that is no JSON, and with files put one behind another", function()
    local result = jq(".", "1 nope 2\n3\n[4")
    assert.same({ 5, "1\n3\n" }, { result.code, result.out })
    assert.is_truthy(result.err:find("(at <stdin>:2): not a JSON value", 1, true), result.err)
    assert.is_truthy(result.err:find("the rest of its line is left out", 1, true), result.err)
    result = jq(".", '\u{feff}1\n\u{feff}{"a":2}\n \u{feff}')
    assert.same({ 0, '1\n{"a":2}\n', "" }, { result.code, result.out, result.err })
  end)

  it("takes either engine", function()
    for _, engine in ipairs { "native", "libjq" } do
      assert.equal("[1,2]\n", jq("[.[] | tonumber]", '["1", "2"]', "--engine", engine).out, engine)
      local result = support.run({ support.bin, "jq", "map(.)" }, { stdin = "[1]", env = { MOONTIDE__ENGINE = engine } })
      assert.same({ "[1]\n", 0 }, { result.out, result.code }, engine)
    end
    local result = jq(".", "1", "--engine", "gojq")
    assert.same({ 2, "" }, { result.code, result.out })
    assert.is_truthy(result.err:find("--engine gojq: native or libjq is expected", 1, true), result.err)
    for name, value in pairs { MOONTIDE__ENGINE = "gojq", MOONTIDE__JQ__STEPS = "0", MOONTIDE__JQ__MEMORY_MB = "1x" } do
      result = support.run({ support.bin, "jq", "." }, { stdin = "1", env = { [name] = value } })
      assert.equal(2, result.code)
      assert.is_truthy(result.err:find(name, 1, true), result.err)
    end
  end)

  it("ends what never ends, and goes on with the next input", function()
    local result = support.run({ support.bin, "jq", "if . == 1 then last(repeat(1)) else . end" },
      { stdin = "1 2", env = { MOONTIDE__JQ__STEPS = "100000" } })
    assert.same({ 5, "2\n" }, { result.code, result.out })
    assert.is_truthy(result.err:find("MOONTIDE__JQ__STEPS", 1, true), result.err)
  end)

  it("exits 2 without a program", function()
    assert.equal(2, support.run({ support.bin, "jq" }).code)
    assert.equal(2, support.run({ support.bin, "jq", ".", "a", "b" }).code)
  end)
end)
