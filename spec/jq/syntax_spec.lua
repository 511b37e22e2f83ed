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
