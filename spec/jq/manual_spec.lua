-- jq 1.8.2's own tests (corpus/jq of the shared data): the examples of its manual, and half of its language
-- tests. What our engine leaves out on purpose is listed in ASIDE.
local support = require "spec.support"
local jqtest = require "spec.jq.jqtest"
local shared = support.shared()

-- { pattern of programs, reason }: the issue sets aside what is about modules, input and the command line
local ASIDE = {
  { "^%s*import%s", "modules" },
  { "^%s*include%s", "modules" },
  { "^%s*module%s", "modules" },
  { "modulemeta", "modules" },
  { "^try input catch", "reads further inputs" },
}

local function aside(case)
  for _, rule in ipairs(ASIDE) do
    if case.program:find(rule[1]) then
      return rule[2]
    end
  end
end

local FILES = {
  { "man.test", 0.98, 231 },
  { "manonig.test", 0.98, 15 },
  { "onig.test", 0.98, 45 },
  { "base64.test", 0.98, 9 },
  { "jq-half.test", 0.95, 260 },
}

describe("jq's tests in", function()
  for _, file in ipairs(FILES) do
    local name, share, least = table.unpack(file)
    it(("%s pass, %d %% at least"):format(name, share * 100), function()
      if not shared then
        pending "needs the shared data"
        return
      end
      local cases, kept = jqtest.read(assert(support.read(shared .. "/corpus/jq/" .. name))), {}
      for _, case in ipairs(cases) do
        if not aside(case) then
          kept[#kept + 1] = case
        end
      end
      assert.is_true(#kept >= least, ("only %d cases were read"):format(#kept))
      local passed, failed = jqtest.run(kept, { PAGER = "less" })
      for _, failure in ipairs(failed) do
        io.stderr:write(("%s:%d: %s\n    input    %s\n    expected %s\n    got      %s\n"):format(name,
          failure.case.line, failure.case.program, failure.case.input or "-",
          failure.case.fails and "that it does not compile" or table.concat(failure.case.outputs, " "), failure.got))
      end
      assert.is_true(passed >= share * #kept, ("%d of %d cases pass"):format(passed, #kept))
    end)
  end
end)

-- What `builtins` of jq 1.8 gives, but for what is about input, modules and the terminal.
local BUILTINS = [[
  IN/1 IN/2 INDEX/1 INDEX/2 JOIN/2 JOIN/3 JOIN/4 abs/0 acos/0 acosh/0 add/0 add/1 all/0 all/1 all/2 any/0 any/1 any/2
  arrays/0 ascii/0 ascii_downcase/0 ascii_upcase/0 asin/0 asinh/0 atan/0 atan2/2 atanh/0 booleans/0 bsearch/1 builtins/0
  capture/1 capture/2 cbrt/0 ceil/0 combinations/0 combinations/1 contains/1 copysign/2 cos/0 cosh/0
  del/1 delpaths/1 drem/2 empty/0 endswith/1 env/0 error/0 error/1 exp/0 exp10/0 exp2/0 explode/0 expm1/0 fabs/0 fdim/2
  finites/0 first/0 first/1 flatten/0 flatten/1 floor/0 fma/3 fmax/2 fmin/2 fmod/2 format/1 frexp/0 from_entries/0
  fromdate/0 fromdateiso8601/0 fromjson/0 fromstream/1 gamma/0 getpath/1 gmtime/0 group_by/1 gsub/2 gsub/3 has/1
  have_decnum/0 have_literal_numbers/0 implode/0 in/1 index/1 indices/1 infinite/0 inside/1 isempty/1 isinfinite/0
  isnan/0 isnormal/0 iterables/0 j0/0 j1/0 join/1 keys/0 keys_unsorted/0 last/0 last/1 ldexp/2 length/0 lgamma/0
  lgamma_r/0 limit/2 localtime/0 log/0 log10/0 log1p/0 log2/0 logb/0 ltrim/0 ltrimstr/1 map/1 map_values/1 match/1
  match/2 max/0 max_by/1 min/0 min_by/1 mktime/0 modf/0 nan/0 nearbyint/0 nextafter/2 nexttoward/2 normals/0 not/0
  now/0 nth/1 nth/2 nulls/0 numbers/0 objects/0 path/1 paths/0 paths/1 pick/1 pow/2 range/1 range/2 range/3 recurse/0
  recurse/1 recurse/2 repeat/1 reverse/0 rindex/1 rint/0 round/0 rtrim/0 rtrimstr/1 scalars/0 scalb/2 scalbln/2 scan/1
  scan/2 select/1 setpath/2 significand/0 sin/0 sinh/0 skip/2 sort/0 sort_by/1 split/1 split/2 splits/1 splits/2 sqrt/0
  startswith/1 strflocaltime/1 strftime/1 strings/0 strptime/1 sub/2 sub/3 tan/0 tanh/0 test/1 test/2 tgamma/0
  to_entries/0 toarray/0 toboolean/0 todate/0 todateiso8601/0 tojson/0 tonumber/0 tostream/0 tostring/0 transpose/0
  trim/0 trimstr/1 trunc/0 truncate_stream/1 type/0 unique/0 unique_by/1 until/2 utf8bytelength/0 values/0 walk/1
  while/2 with_entries/1 y0/0 y1/0 date/0 dateadd/2 datesub/2 getpath/1 input_filename/0 get_search_list/0
]]

describe("the builtins of jq 1.8", function()
  it("are all there", function()
    local cases = {}
    for name, arity in BUILTINS:gmatch "([%w_]+)/(%d)" do
      local call = arity == "0" and name or name .. "(." .. ("; ."):rep(tonumber(arity) - 1) .. ")"
      -- in a branch that is not taken: what they compute is others' to test
      cases[#cases + 1] = { program = "if . then " .. call .. " else 1 end", input = "false", outputs = { "1" } }
    end
    assert.is_true(#cases > 200)
    local _, failed = jqtest.run(cases)
    for _, failure in ipairs(failed) do
      io.stderr:write(failure.case.program, ": ", failure.got, "\n")
    end
    assert.equal(0, #failed)
  end)
end)

describe("builtins written in jq", function()
  it("compute what jq 1.8's do", function()
    local text = {}
    for _, case in ipairs {
      { '[sub("(?<a>.)"; "\\(.a)1", "\\(.a)2")]', '"xy"', '["x1y","x2y"]' },
      { '[gsub("(?<a>.)"; if .a == "x" then "1", "2" else "3" end)]', '"xy"', '["13","2"]' },
      { '[sub("z"; "y")], [sub("x"; empty)], [gsub("x"; "")]', '"xx"', '["xx"]', '["xx"]', '[""]' },
      { 'try sub("x"; 1) catch .', '"ax"', '"string (\\"a\\") and number (1) cannot be added"' },
      { '[match("a", ["A", "gi"]) | .offset]', '"aba"', "[0,0,2]" },
      { "try match(1) catch ., try capture([]) catch .", '"a"', '"number not a string or array"', '"array not a string or array"' },
      { 'capture("(?<x>a)(?<y>z)?"), [scan("a(b)?")], [splits("b")]', '"aba"', '{"x":"a","y":null}', '[["b"],[null]]', '["a","a"]' },
      { "[limit(2; 1, 2, error)], [limit(0; error)], (try limit(-1; 1) catch .)", "null", "[1,2]", "[]",
        '"limit doesn\'t support negative count"' },
      { "[skip(1; 1, 2, 3)], [skip(0; 1)], (try skip(-1; 1) catch .)", "null", "[2,3]", "[1]",
        '"skip doesn\'t support negative count"' },
      { "nth(1; 1, 2, error), [nth(5; 1)], (try nth(-1; 1) catch .)", "null", "2", "[]", '"nth doesn\'t support negative indices"' },
      { "[first(empty)], first(1, error), [last(empty)], last(1, null), first, last, nth(1)", "[7,8]",
        "[]", "1", "[]", "null", "7", "8", "8" },
      { "isempty(empty), isempty(1, error), any(false, true, error; .), all(true, false, error; .)", "null",
        "true", "false", "true", "false" },
      { "try isempty(error(1)) catch .", "null", "1" },
      { "any(. > 1), all(. > 1), IN(.[]; 2), (.[] | IN(1, 3))", "[1,2]", "true", "false", "true", "true", "false" },
      { "[.[] as [$f, $t, $b] | [range($f; $t; $b)]]", "[[0,3,1],[3,0,-2],[0,1,0],[0,1,0.5]]", "[[0,1,2],[3,1],[],[0,0.5]]" },
      { "[range(1, 2)], [range(0, 1; 2)]", "null", "[0,0,1]", "[0,1,1]" },
      { "[tostream]", '{"a":[1,{"b":[]}]}', '[[["a",0],1],[["a",1,"b"],[]],[["a",1,"b"]],[["a",1]],[["a"]]]' },
      { "[tostream], fromstream(tostream)", "3", "[[[],3]]", "3" },
      { "[fromstream((1, [2], {a: 3}) | tostream)]", "null", '[1,[2],{"a":3}]' },
      { "[1 | truncate_stream([[0], 1], [[1, 0], 2], [[1, 0]], [[1]])]", "null", "[[[0],2],[[0]]]" },
      { "[paths], [paths(numbers)], [leaf_paths]", '{"a":[1]}', '[["a"],["a",0]]', '[["a",0]]', '[["a",0]]' },
      { "pick(.a.b, .c[1]), del(.a, .c[0]), [path(first, last)]?", '{"a":{"b":1,"x":2},"c":[3,4]}', '{"a":{"b":1},"c":[null,4]}',
        '{"c":[4]}' },
      { "[path(first, last, nth(1), select(true), recurse(.[]?; true))]", "[[1]]",
        "[[0],[-1],[1],[],[],[0],[0,0]]" },
      { "[combinations], [[0, 1] | combinations(2)]", "[[1,2],[3,4]]", "[[1,3],[1,4],[2,3],[2,4]]", "[[0,0],[0,1],[1,0],[1,1]]" },
      { "walk(if type == \"number\" then . + 1 else . end), walk(select(. != 1))", '{"a":[1,{"b":1}],"c":1}',
        '{"a":[2,{"b":2}],"c":2}', '{"a":[{}]}' },
      { "with_entries(.value += 1), map_values(empty), map_values(., 9)", '{"a":1}', '{"a":2}', "{}", '{"a":1}' },
      { "INDEX(.id), ([JOIN({\"1\": 2}; .id | tostring)] | .[0])", '[{"id":1}]', '{"1":{"id":1}}', '[[{"id":1},2]]' },
      { "[while(. < 4; . * 2)], until(. > 4; . * 2), [limit(3; repeat(., 7))], add(., 2)", "1", "[1,2]", "8", "[1,7,1]", "3" },
      { "todate, (todate | fromdate), date, dateadd(\"seconds\"; 10)", "1425599621", '"2015-03-05T23:53:41Z"', "1425599621",
        '"2015-03-05T23:53:41Z"', "1425599631" },
      { "[.[] | arrays, objects, iterables, booleans, numbers, strings, nulls, values, scalars]", "[null,1]", "[null,null,1,1,1]" },
      { "[.[] | finites], [.[] | normals]", "[0,1,1e1000]", "[0,1]", "[1]" },
      { "in({\"a\": 1}), inside(\"abc\"), ([1, 2, 3] | [_nwise(2)])", '"a"', "true", "true", "[[1,2],[3]]" },
      { "min_by(.a), max_by(.a), (sort_by(-.a), group_by(.a), unique_by(.a) | map(.a?))", '[{"a":2},{"a":1}]', '{"a":1}', '{"a":2}',
        "[2,1]", "[]", "[1,2]" },
      { "ascii, ([65] | implode), have_decnum, have_literal_numbers, input_filename", "65", '"A"', '"A"', "true", "true", "null" },
      -- names inside of a builtin and of what is passed to it do not meet
      { "def f: 5; 3 as $n | [limit(2; $n, f, 7)], (1 as $x | first(IN(1, 2; $x)))", "null", "[3,5]", "true" },
      { "def select(f): 9; [.[] | values], map(select(.))", "[1,null]", "[1]", "[9,9]" },
    } do
      text[#text + 1] = table.concat(case, "\n") .. "\n"
    end
    local cases = jqtest.read(table.concat(text, "\n"))
    assert.equal(#text, #cases)
    local _, failed = jqtest.run(cases)
    for _, failure in ipairs(failed) do
      io.stderr:write(failure.case.program, "\n    got ", failure.got, "\n")
    end
    assert.equal(0, #failed)
  end)
end)

describe("the reader of jq's test format", function()
  it("knows cases, comments, failures and byte order marks", function()
    local cases = jqtest.read("# c\n.a\n{}\nnull\n\n\n%%FAIL\n}\njq: error\n\n1,2\n\u{feff}3\n1\n2\n# c\n.\n\"x\"\n\"x\"")
    assert.equal(4, #cases)
    assert.same({ line = 2, fails = false, program = ".a", input = "{}", outputs = { "null" } }, cases[1])
    assert.equal("}", cases[2].program)
    assert.is_true(cases[2].fails)
    assert.same({ line = 11, fails = false, program = "1,2", input = "3", outputs = { "1", "2" } }, cases[3])
    assert.equal('"x"', cases[4].input)
  end)

  it("compares values, not texts", function()
    local function same(a, b)
      return jqtest.same(jqtest.decode(a), jqtest.decode(b))
    end
    for _, pair in ipairs {
      { "1", "1.0" }, { "100e-2", "1" }, { "9E999999999", "9E+999999999" }, { "-0", "0" }, { "0.1", "0.1" },
      { "[1, {\"a\": null}]", '[1,{"a":null}]' }, { '{"a":1,"b":[]}', '{"b":[],"a":1.0}' }, { '"\\u00e4"', '"ä"' },
      { "1.05e-19", "0.000000000000000000105" }, { "3.333333333333333481", "3.3333333333333335" },
    } do
      assert.is_true(same(pair[1], pair[2]), pair[1] .. " and " .. pair[2])
    end
    for _, pair in ipairs {
      { "1", "2" }, { "1", '"1"' }, { "[]", "{}" }, { "[1]", "[1,1]" }, { '{"a":1}', '{"a":1,"b":2}' }, { "null", "false" },
      { '{"a":1,"b":2}', '{"a":1}' }, { "12345678901234567890123", "12345678901234567890124" }, { '"a"', '"b"' },
      { "1E+1000", "2E+1000" },
    } do
      assert.is_false(same(pair[1], pair[2]), pair[1] .. " and " .. pair[2])
    end
  end)
end)
