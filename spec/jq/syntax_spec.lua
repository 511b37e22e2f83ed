-- What Ocean does to expressions before jq sees them (runtime/jq/syntax.h).
local drive = require "spec.jq.drive"

local function each(op, cases, check)
  local requests = {}
  for i, case in ipairs(cases) do
    requests[i] = { op = op, text = case[1] }
  end
  local answers = drive(requests)
  for i, case in ipairs(cases) do
    check(case, answers[i])
  end
end

describe("single quotes (R-JQ-02)", function()
  it("become double quotes at the ends and beside blanks, and nowhere else", function()
    each("quotes", {
      { "'x'", '"x"' },
      { "''", '""' },
      { ".a + '/' + .b", '.a + "/" + .b' },
      { ".a + '' + .b", '.a + "" + .b' },
      { "if . then 'a' else 'b' end", 'if . then "a" else "b" end' },
      { "('x')", "('x')" },
      { "['a', 'b']", "['a', \"b']" },
      { ".a + ' ' + .b", ".a + ' ' + .b" },
      { "' '", "\" '" }, -- at the ends of the text there is no blank to look back at
      { ".a == 'it''s'", ".a == \"it''s\"" },
      { "don't", "don't" },
      { '"it\'s"', '"it\'s"' },
      { "'\"x\"'", "'\"x\"'" },
      { ".a +\n'x'\n+ .b", '.a +\n"x"\n+ .b' },
      { "\u{a0}'x'\u{a0}", '\u{a0}"x"\u{a0}' },
      { "'", '"' },
      { "", "" },
      { "é 'é' é", 'é "é" é' },
    }, function(case, answer)
      assert.equal(case[2], answer.text, case[1])
    end)
  end)
end)

describe("the path that itemsToParse is about (R-ITP-04, R-ITP-05)", function()
  it("is found as the table of the reference says", function()
    each("path", {
      { ".a.b", ".a.b" },
      { "(.a.b)", ".a.b" },
      { ". as $all | .a.b", ".a.b" },
      { ". as $all | ($all | .a.b) as $i | $i", ".a.b" },
      { ".a // []", ".a" },
      { ".[0].k", ".[0].k" },
      { ".a[0].b", ".a[0].b" },
      { ".items[]", ".items" },
      { ".a?", ".a" },
      { ".[] | .a", ".a" },
      { "(.a) + (.b)", ".a" },
      { "(.a | map(.b))", ".a" },
      { ".a.b[0:2]", ".a.b[0:2]" },
      { "$items" }, { "." }, { "(.a.b" }, { '."a"' }, { "[.a,.b]" }, { "map(.a)" }, { ".." },
      { "" }, { "   " }, { "|" }, { "(" }, { "()" },
      { "  .a.b  ", ".a.b" },
      { ". | .a", ".a" },
      { '.a["x y"].b', '.a["x y"].b' },
      { ".a.[0]", ".a.[0]" },
      { ".größe.x", ".größe.x" },
      { ".a–b", ".a" }, -- a dash of Unicode is no letter
      { ". as $x_1 | .b", ".b" },
      { ". as [$x] | .b", ".b" },
    }, function(case, answer)
      assert.equal(case[2], answer.path, case[1])
    end)
  end)
end)

describe("plain paths and literals", function()
  local function plain(text, input)
    return drive { ('{"op":"plain","text":%s,"input":%s}'):format(
      require "spec.support".json.encode(text), input or "null") }[1]
  end

  it("need no engine", function()
    for text, expected in pairs {
      [".a.b"] = 1, [' .a["b"] '] = 1, ['."a"."b"'] = 1, ['.["a"].b'] = 1, [".a.[\"b\"]"] = 1, ["(.a.b)"] = 1,
      [".l[0]"] = 5, [".l[-1]"] = 6, [".l.[1]"] = 6, ["5"] = 5, ['"x\\n"'] = "x\n", ["true"] = true, ["-2.5"] = -2.5,
      ['."\\u0061".b'] = 1, [".e0"] = 7, [".a?.b?"] = 1,
    } do
      local answer = plain(text, '{"a":{"b":1},"l":[5,6],"e0":7}')
      assert.is_true(answer.plain, text)
      assert.same(expected, answer.v, text)
    end
  end)

  it("leave everything else to the engine", function()
    for _, text in ipairs {
      "..", ".a + .b", ".a // 1", ".[]", ".a[]", ".a[0:1]", '."a\\(.b)"', '"\\(.a)"', ".a | .b", "a", ".a.", ".a[",
      ".a[\"b]", ".a[1.5]", "(.a)(.b)", ".a # x", "1e1000", "12345678901234567890", "- 1", "", " ", ".a?//1",
        ".a[.b]",
      ". a", "1 2", "[1]", "{}", ".a)", "\"a\nb\"",
    } do
      assert.is_false(plain(text).plain, text)
    end
  end)

  it("give null for what is missing, and jq's errors for what cannot be", function()
    assert.equal(require "spec.support".json.null, plain(".a.b.c", "{}").v)
    assert.equal(require "spec.support".json.null, plain(".a[3].x", '{"a":[1]}').v)
    assert.equal('Cannot index string with "b"', plain(".a.b", '{"a":"x"}').e)
    assert.equal('Cannot index array with "b"', plain(".a.b", '{"a":[]}').e)
    assert.equal("Cannot index object with number", plain(".[0]", "{}").e)
    assert.is_true(plain(".a.b?", '{"a":1}').empty)
    assert.is_true(plain(".a.b.c?", '{"a":1}').empty)
    assert.is_truthy(plain(".a?.b", '{"a":1}').e)
  end)

  it("keep the literal of a number", function()
    assert.equal(9007199254740993, plain(".id", '{"id":9007199254740993}').v)
  end)
end)
