-- The compiler and the machine (runtime/jq/compile*.c, machine*.c): what jq's own tests (manual_spec.lua) do not
-- look at, and limits, memory, sharing, slots.
local support = require "spec.support"
local json = support.json

local function drive(requests)
  local lines = {}
  for i, request in ipairs(requests) do
    lines[i] = type(request) == "string" and request or json.encode(request)
  end
  local result = support.run({ support.driver "machine_driver" }, { stdin = table.concat(lines, "\n") .. "\n" })
  assert(result.code == 0, "machine_driver: exit " .. result.code .. ": " .. result.err)
  local answers = json.lines(result.out)
  assert(#answers == #requests, #answers .. " answers to " .. #requests)
  return answers, result.out
end

-- One program's outputs as a list of JSON texts; its error's message, if it ends in one, behind "! ".
local function request(program, input, more)
  return ('{"op":"run","program":%s,"input":%s%s}'):format(json.encode(program), input or "null", more or "")
end

local function texts(answer)
  if answer.compile then
    return { "? " .. answer.compile }
  end
  local list = {}
  for i, v in ipairs(answer.v) do
    list[i] = json.encode(v)
  end
  if answer.e then
    list[#list + 1] = "! " .. answer.e
  end
  return list
end

-- { program, input, "outputs as the elements of a JSON array", error? }
local function check(cases)
  local requests = {}
  for i, case in ipairs(cases) do
    requests[2 * i - 1] = request(case[1], case[2])
    requests[2 * i] = request(case[1], case[2], ',"stress":true')
  end
  local answers = drive(requests)
  for i, case in ipairs(cases) do
    for k = 2 * i - 1, 2 * i do
      local answer = answers[k]
      assert.is_nil(answer.broken)
      assert.is_true(json.same(json.decode("[" .. case[3] .. "]"), answer.v or {}) and case[4] == answer.e,
        case[1] .. " gives " .. table.concat(texts(answer), " ") .. (k % 2 == 0 and " when it collects" or ""))
    end
  end
end

describe("generators", function()
  it("have the orders of jq", function()
    check {
      { "(1,2) + (10,20)", "null", "11,12,21,22" },
      { "[(1,2) < (1,2)]", "null", "[false,false,true,false]" },
      { '"\\(1,2) \\(3,4)"', "null", '"1 3","2 3","1 4","2 4"' },
      { "{a: (1,2), b: (3,4)}", "null", '{"a":1,"b":3},{"a":1,"b":4},{"a":2,"b":3},{"a":2,"b":4}' },
      { '{("a","b"): (1,2)}', "null", '{"a":1},{"a":2},{"b":1},{"b":2}' },
      { "[pow(2,3; 1,2)]", "null", "[2,3,4,9]" },
      { "[range(0,1; 3,4)]", "null", "[0,1,2,0,1,2,3,1,2,1,2,3]" },
      { "[range(0; 10; 3,5)]", "null", "[0,3,6,9,0,5]" },
      { "[[1,2,3] | .[0,1:2,3]]", "null", "[[1,2],[1,2,3],[2],[2,3]]" },
      { "[[[1,2],[3,4]][0,1][0,1]]", "null", "[1,3,2,4]" },
      { "[(true,false) and (true,false)]", "null", "[true,false,false]" },
      { "[(true,false) or (true,false)]", "null", "[true,true,false]" },
      { "def f($a; $b): [$a,$b]; [f(1,2; 3,4)]", "null", "[[1,3],[1,4],[2,3],[2,4]]" },
      { "[if (true,false) then 1,2 else 3 end]", "null", "[1,2,3]" },
      { "[(1,null,2) // 3], [(null,false) // (3,4)], [empty // 5]", "null", "[1,2],[3,4],[5]" },
      { "[.[] as [$a] | .[] as $b | $a + $b[0]]", "[[1],[2]]", "[2,3,3,4]" },
      { "(.a,.b) = (1,2)", "null", '{"a":1,"b":1},{"a":2,"b":2}' },
      { ".a += (1,2)", '{"a":5}', '{"a":6},{"a":7}' },
      { ".[.k,.l] = .v", '{"k":"a","l":"b","v":1}', '{"k":"a","l":"b","v":1,"a":1,"b":1}' },
    }
  end)

  it("are lazy", function()
    check {
      { 'first(1, error("x"))', "null", "1" },
      { "first(repeat(7))", "null", "7" },
      { "[limit(3; repeat(1))]", "null", "[1,1,1]" },
      { 'isempty(1, error("x")), isempty(empty)', "null", "false,true" },
      { "any(range(infinite); . == 5), all(range(infinite); . < 5)", "null", "true,false" },
      { '[.[] | first(.[]?)]', "[[1,2],[],3,[4]]", "[1,4]" },
      { "[label $f | range(10) | ., (select(. == 3) | break $f)]", "null", "[0,1,2,3]" },
    }
    local answer = drive { request("1, 2, error(3)", "null", ',"max":2') }[1]
    assert.same({ 1, 2 }, answer.v)
    assert.is_nil(answer.e)
  end)
end)

describe("functions", function()
  it("see the names where they are written", function()
    check {
      { "def f: 1; def g: f; def f: 2; [f, g]", "null", "[2,1]" },
      { "def f(x): 10 as $v | x; 1 as $v | f($v)", "null", "1" },
      { "def f(g): def h: g; 5 | h; 3 | f(. + 1)", "null", "6" },
      { "def f(g; $x): g + $x; 1 | f(. as $y | $y + $y; 5)", "null", "7" },
      { "def f(x): x | x; 3 | f(. * .)", "null", "81" },
      { "def f($a): a, $a; 3 | [f(. + 1)], [5 | f(. + 1)]", "null", "[4,4],[6,6]" },
      { "def f($a): 100 | a, $a; 3 | [f(. + 1)]", "null", "[101,4]" },
      { "def f(a; b): def g: a + b; g; f(1; 2)", "null", "3" },
      { "def f: def g: def h: 7; h; g; f", "null", "7" },
      { "def f(x): if x > 3 then x else f(x + 1) end; f(0)", "null", "4" },
      { "def f(g): [g]; f(f(f(1)))", "null", "[[[1]]]" },
      { "def f(x; y): x as $v | y + $v; f(1; 2) as $v | f($v; 10)", "null", "13" },
      { "def map(f): 1; map(2), ([5] | any)", "null", "1,true" }, -- builtins do not see it
      { "def f: reduce .[] as $x (0; . + $x); map(f)", "[[1,2],[3]]", "[3,3]" },
      { "[.[] as $x | def f: $x * 2; f | . + $x]", "[1,2]", "[3,6]" },
      { "def fib: if . < 2 then . else (. - 1 | fib) + (. - 2 | fib) end; 15 | fib", "null", "610" },
      { "def a(f): def b(g): f + g; b(f * 10); 2 | a(.)", "null", "22" },
      { "def e: empty; [1, e, 2]", "null", "[1,2]" },
      { "def p(f): [path(f)]; p(.a[1:], .b?)", "null", '[["a",{"start":1,"end":null}],["b"]]' },
      { "def p(f): path(f); def q(f): p(f | .x); [q(.a, .b)]", "null", '[["a","x"],["b","x"]]' },
      { "def r(f): def s: ., (f | s); s; [path(r(.a | values))] | length", '{"a":{"a":{"a":null}}}', "3" },
    }
  end)

  it("can be called deep, and in constant memory from the end of a function", function()
    check {
      { "def f: if . > 100000 then . else . + 1 | f end; 0 | f", "null", "100001" },
      { "def f($n): if $n == 0 then 0 else 1 + f($n - 1) end; f(20000)", "null", "20000" },
      { "def f(g): if . > 20000 then g else . + 1 | f(g) end; 0 | f(. * 2)", "null", "40002" },
      { "last(range(100000))", "null", "99999" },
      { "0 | until(. >= 100000; . + 1)", "null", "100000" },
      { "[0 | while(. < 5; . + 1)], last(0 | recurse(if . < 50000 then . + 1 else empty end))", "null",
        "[0,1,2,3,4],50000" },
      { "[limit(3; def f: ., (. + 1 | f); 0 | f)]", "null", "[0,1,2]" },
    }
    -- 2 MiB of memory have 512 KiB of stacks
    local answers = drive {
      request("def f: if . > 1000000 then . else . + 1 | f end; 0 | f", "null", ',"memory":2097152'),
      request("last(0 | recurse(if . < 1000000 then . + 1 else empty end))", "null", ',"memory":2097152'),
      request("reduce range(1000000) as $i (0; . + $i)", "null", ',"memory":2097152'),
      request("0 | until(. > 1000000; . + 1)", "null", ',"memory":2097152'),
      request("first(range(1000000) | select(. == 999999))", "null", ',"memory":2097152'),
      request("def f(g): if . > 300000 then g else . + 1 | f(g) end; 0 | f(.)", "null", ',"memory":2097152'),
      request("[foreach range(1000000) as $i (0; . + 1; select(. % 500000 == 0))]", "null", ',"memory":2097152'),
    }
    for _, answer in ipairs(answers) do
      assert.is_nil(answer.e)
      assert.equal(1, #answer.v)
    end
  end)
end)

describe("try", function()
  it("catches what its body raises, and nothing else", function()
    check {
      { 'try error("x") catch .', "null", '"x"' },
      { "try error(null) catch .", "null", "null" },
      { "try error({a: 1}) catch .a", "null", "1" },
      { '[.[] | try error("x") catch .]', "[1,2]", '["x","x"]' },
      { '(try 1 catch 2) | error("y")', "null", "", "y" },
      { '(try (1,2) catch 3) | error("y")', "null", "", "y" },
      { 'try ((try (1,2) catch 3) | error("y")) catch ("outer " + .)', "null", '"outer y"' },
      { '[try (1, error("x"), 3) catch .]', "null", '[1,"x"]' },
      { '[(1,2) | try (., error("x")) catch .]', "null", '[1,"x",2,"x"]' },
      { 'try error("x") catch error("y " + .)', "null", "", "y x" },
      { "[.[] | (1 / .)?]", "[1,0,2]", "[1,0.5]" },
      { "[.[] | .a?]", '[{"a":1},2,{}]', "[1,null]" },
      { "[.[] | .a.b?]", '[{"a":{"b":1}},{"a":3},{}]', "[1,null]" },
      { "[.[] | .[]?]", '[[1],2,{"a":3}]', "[1,3]" },
      { '[label $f | try (1, break $f, 2) catch 3]', "null", "[1]" },
      { '[label $f | try (label $g | 1, break $f) catch 3, 4]', "null", "[1]" },
      { 'try (try error("a") catch error("b")) catch .', "null", '"b"' },
      { 'first(try (1, error("x")) catch .)', "null", "1" },
      { '[first((1,2) | try (., error("x")) catch .) | error]?', "null", "" },
      { '.a.b.c', '{"a":[]}', "", 'Cannot index array with string ("b")' },
      { "[.[] | try if . == 0 then error(\"zero\") elif . == 1 then .a else . end catch .]", "[0,1,2]",
        '["zero","Cannot index number with string (\\"a\\")",2]' },
    }
  end)

  it("does not catch limits", function()
    local answers = drive {
      request('try (def f: f | f; f) catch "caught"', "null", ',"memory":4194304'),
      request('try repeat(1) catch "caught" | empty', "null", ',"steps":100000'),
      request('(try ("x" * 100000000) catch "caught"), 1', "null", ',"memory":4194304'),
      request('(("x" * 100000000) // "other")?', "null", ',"memory":4194304'),
    }
    for _, answer in ipairs(answers) do
      assert.same({}, answer.v)
      assert.matches("MOONTIDE__JQ__", answer.e)
      assert.is_nil(answer.error)
    end
  end)

  it("lets `//` pass errors on, as jq 1.8 does", function()
    check {
      { 'error("x") // 1', "null", "", "x" },
      { '(null, error("x")) // 1', "null", "", "x" },
      { '[(1, error("x")) // 2]', "null", "", "x" },
      { ".a.b // 1", "3", "", 'Cannot index number with string ("a")' },
      { "(.a.b)? // 1", "3", "1" },
      { '(1 // 2) | error("x")', "null", "", "x" },
    }
  end)
end)

describe("destructuring", function()
  it("binds what it finds", function()
    check {
      { ". as [$a, [$b]] | [$a, $b]", "[1,[2]]", "[1,2]" },
      { ". as {a: $x, b: [$y, {c: $z}]} | [$x, $y, $z]", '{"a":1,"b":[2,{"c":3}]}', "[1,2,3]" },
      { ". as {$a, $b: [$c]} | [$a, $b, $c]", '{"a":1,"b":[3]}', "[1,[3],3]" },
      { '"k" as $n | . as {($n): $x, "l\\(1)": $y} | [$x, $y]', '{"k":1,"l1":2}', "[1,2]" },
      { '[. as {("a","b"): $x} | $x]', '{"a":1,"b":2}', "[1,2]" },
      { '"a" as $x | . as {($x): $x} | $x', '{"a":5}', "5" },
      { '.a as {(.k): $x} | $x', '{"k":"b","a":{"k":"c","c":5}}', "5" },
      { ". as [$a, {b: $c}] | [$a, $c]", "[1]", "[1,null]" },
      { ". as [$a] | $a", '{"a":1}', "", "Cannot index object with number (0)" },
      { "[.[] as [$a, $b] | {a: $a, b: $b}]", "[[0],[0,1]]", '[{"a":0,"b":null},{"a":0,"b":1}]' },
      { "[foreach .[] as [$a, $b] (0; . + $a; [., $b])]", "[[1,2],[3,4]]", "[[1,2],[4,4]]" },
    }
  end)

  it("tries alternatives, with all variables", function()
    check {
      { "[.[] as [$a] ?// {a: $a, $b} | [$a, $b]]", '[[1],{"a":2,"b":3}]', "[[1,null],[2,3]]" },
      { "[.[] as {a: $a} ?// [$a] ?// $a | [$a]]", '[[3],{"a":4},5]', "[[3],[4],[5]]" },
      { '.[] as [$a] ?// [$b] | if $a != null then error("e") else [$a, $b] end', "[[3]]", "[null,3]" },
      { ".[] as [$a] ?// {b: $a} | $a", "[5]", "", 'Cannot index number with string ("b")' },
      { "[.[] as [$a] ?// $a | $a] | length", "[[[1]],{}]", "2" },
      { "reduce .[] as [$a] ?// $a (0; . + $a)", "[[1],2]", "3" },
    }
  end)
end)

describe("reduce and foreach", function()
  it("take the last output of an update, null for none", function()
    check {
      { "reduce .[] as $x (0; . + $x, . * 10)", "[1,2]", "0" },
      { "reduce range(3) as $x (5; empty)", "null", "null" },
      { "reduce empty as $x (5; 1)", "null", "5" },
      { "[reduce .[] as $x (0, 100; . + $x)]", "[1,2]", "[3,103]" },
      { "[foreach .[] as $x (0, 1; . + $x)]", "[1,2]", "[1,3,2,4]" },
      { "[foreach range(5) as $x (0; if $x == 1 then empty else . + $x end; [$x, .])]", "null",
        "[[0,0],[2,2],[3,5],[4,9]]" },
      { "[foreach .[] as $x (0; . + $x, . * 10; .)]", "[1,2]", "[1,0,2,0]" },
      { "[foreach .[] as $x (0; . + $x; ., -.)]", "[1,2]", "[1,-1,3,-3]" },
      { "reduce .[] as $x (.; . + [$x])", "[1,2]", "[1,2,1,2]" },
      { "[.[] | reduce .[] as $x (0; . + $x)]", "[[1,2],[3]]", "[3,3]" },
    }
  end)
end)

describe("paths", function()
  it("are tracked through everything that leads to a part of the input", function()
    check {
      { "[path(.a[0].b, .c[1:2])]", "null", '[["a",0,"b"],["c",{"start":1,"end":2}]]' },
      { "[path(..)]", '{"a":[1]}', '[[],["a"],["a",0]]' },
      { "[paths(type == \"number\")]", '[1,[2,"x"]]', "[[0],[1,0]]" },
      { "path(if .a then .b else .c end), path(.x // .a), path(first(.a,.b)), path(select(.a))", '{"a":1}',
        '["b"],["a"],["a"],[]' },
      { "[path(limit(1; .a, .b))], [path(.[] | select(. > 1))]", '{"a":1,"b":2}', '[["a"]],[["b"]]' },
      { '[path(getpath(["a","b"]) | .c)], path(getpath([]))', "null", '[["a","b","c"]],[]' },
      { "path(.a | . as $x | $x), path(label $f | .a, break $f)", '{"a":1}', '["a"],["a"]' },
      { '[path(try (.a, error("x"), .b) catch empty)], [path(.a?, .b[]?)]', "null", '[["a"]],[["a"]]' },
      { "[path(.a[.i])], [path(.a[.i:])]", '{"a":[1,2],"i":1}', '[["a",1]],[["a",{"start":1,"end":null}]]' },
      { "[path(recurse(.a?; . != null))]", '{"a":{"a":1}}', '[[],["a"],["a","a"]]' },
      { "path(empty), [path(.a,.b | .c)], path(.)", "null", '[["a","c"],["b","c"]],[]' },
      { "try path(.a + 1) catch .", '{"a":1}', '"Invalid path expression with result 2"' },
      { "try path(.a | tostring | .b) catch .", '{"a":1}',
        '"Invalid path expression near attempt to access element \\"b\\" of \\"1\\""' },
      { "try path([.a][]) catch .", '{"a":1}', '"Invalid path expression near attempt to iterate through [1]"' },
      { "try (([1,2] | map(.))[0] = 5) catch .", "null",
        '"Invalid path expression near attempt to access element 0 of [1,2]"' },
      { "path(.a | path(.b) as $p | .c)", "null", '["a","c"]' },
      { "[path(.a, path(.b) | .)]", "null", "", 'Invalid path expression with result ["b"]' },
      { "[path(.[1:] | .[0])]", "[1,2]", '[[{"start":1,"end":null},0]]' },
    }
  end)

  it("say where assignments go", function()
    check {
      { ".a[1].b = 5", "null", '{"a":[null,{"b":5}]}' },
      { ".a.b += 1 | .c //= 7 | .d -= 1 | .e *= 2 | .f /= 2 | .g %= 2", '{"d":1,"e":2,"f":4,"g":5}',
        '{"d":0,"e":4,"f":2,"g":1,"a":{"b":1},"c":7}' },
      { ".[] |= . + 1, .[] += 1, (.[] | select(. > 1)) |= empty", "[1,2,3]", "[2,3,4],[2,3,4],[1]" },
      { "(.[] | select(. % 2 == 0)) |= empty", "[1,2,4,3,6]", "[1,3]" },
      { ".a |= (5, 6), .a |= empty", '{"a":1,"b":2}', '{"a":5,"b":2},{"b":2}' },
      { ".[1:3] = [9], .[1:] |= map(. * 2), del(.[0, 2])", "[1,2,3]", "[1,9],[1,4,6],[2]" },
      { ".. |= (if type == \"number\" then . + 1 else . end)", "[1,[2]]", "[2,[3]]" },
      { ".a = .b, .a |= .b", '{"a":{"b":10},"b":20}', '{"a":20,"b":20},{"a":10,"b":20}' },
      { "(.a | .b, .c) = 1", "null", '{"a":{"b":1,"c":1}}' },
      { ".a += empty", '{"a":1}', "" },
      { ".[.k] += 1 | .[.k] = [.[.k]]", '{"k":"x"}', '{"k":"x","x":[1]}' },
      { '.a = error("x")', "null", "", "x" },
      { ".[] |= .", "null", "", "Cannot iterate over null (null)" },
      { "(.a[]? |= 1), [path(.a[]?)]", "{}", '{},[]' },
      { ".a = 1", "5", "", 'Cannot index number with string ("a")' },
      { ".[0] = 1", '{}', "", "Cannot index object with number (0)" },
      { ".a.b |= 3", '{"a":5}', "", 'Cannot index number with string ("b")' },
      { ". = 5, (. |= 6), (. += 1)", "1", "5,6,2" },
      { ".a as $x | .b = $x | .a = 2 | [., $x]", '{"a":{"c":1}}', '[{"a":2,"b":{"c":1}},{"c":1}]' },
      { "to_entries, with_entries(.value += 1), map_values(. + 1)", '{"a":1}',
        '[{"key":"a","value":1}],{"a":2},{"a":2}' },
    }
  end)
end)

describe("values", function()
  -- Updates in place are seen by nobody who holds the old value.
  it("never change under who holds them", function()
    check {
      { ". as $x | (.a += 1), $x, .", '{"a":1}', '{"a":2},{"a":1},{"a":1}' },
      { "[.[0] | ., (.a = 5), .]", '[{"a":1}]', '[{"a":1},{"a":5},{"a":1}]' },
      { "{a: [1]} | . as $x | .a += [2] | [., $x]", "null", '[{"a":[1,2]},{"a":[1]}]' },
      { "{a: [1]} | [.a, (.a += [2] | .a), .a]", "null", "[[1],[1,2],[1]]" },
      { "[[1]] | .[0] as $x | .[0] += [2] | [., $x]", "null", "[[[1,2]],[1]]" },
      { "{a: {b: 1}} | .a as $x | .a.b += 1 | .a.b += 1 | [., $x]", "null", '[{"a":{"b":3}},{"b":1}]' },
      { "reduce range(3) as $i ([[]]; .[0] += [$i] | . + [.[0]])", "null", "[[0,1,2],[0],[0,1],[0,1,2]]" },
      { "[foreach range(3) as $i ({}; .a += [$i])]", "null", '[{"a":[0]},{"a":[0,1]},{"a":[0,1,2]}]' },
      { "[foreach range(3) as $i ({}; .a += [$i]; .a)] | .[0] += [9]", "null", "[[0,9],[0,1],[0,1,2]]" },
      { "{a: 1} | [(.b = 1, .b = 2), .]", "null", '[{"a":1,"b":1},{"a":1,"b":2},{"a":1}]' },
      { "[1] | [., (. + [2]), (. + [3]), .]", "null", "[[1],[1,2],[1,3],[1]]" },
      { '{a: 1} | try (.a = 2 | error("x")) catch 1, .', "null", '1,{"a":1}' },
      { "{a: [1,2]} | (.a[] |= . + 1), .", "null", '{"a":[2,3]},{"a":[1,2]}' },
      { "def f: .a += 1; {a: 1} | [f, (f | f), .]", "null", '[{"a":2},{"a":3},{"a":1}]' },
      { "{a: 1} as $c | [range(2) | $c | .a += 1]", "null", '[{"a":2},{"a":2}]' },
      { "[{a: [1]} | .a, (.a[0] = 5)]", "null", '[[1],{"a":[5]}]' },
      { '[range(2) | {l: [1,2]} | .l[0] = 7 | .l += [3]]', "null", '[{"l":[7,2,3]},{"l":[7,2,3]}]' },
      { "[limit(4; [0] | recurse(.[0] += 1))]", "null", "[[0],[1],[2],[3]]" },
      { "{a: {b: 1}} | path(.a) as $p | setpath($p; 2), getpath($p), .", "null", '{"a":2},{"b":1},{"a":{"b":1}}' },
      { "[{a: 1} | (., .) | .a += 1]", "null", '[{"a":2},{"a":2}]' },
      { "{c: {}} | reduce (\"x\", \"y\", \"x\") as $k (.; .c[$k] = (.c[$k] // 0) + 1)", "null", '{"c":{"x":2,"y":1}}' },
    }
  end)

  it("that loops update are changed in place", function()
    -- 20,000 rounds that copied what they update would take 1.6 GB and more
    local programs = {
      "reduce range(20000) as $i ([]; . + [$i])",
      "reduce range(20000) as $i ([]; .[$i] = $i)",
      "reduce range(20000) as $i ({}; .[$i | tostring] = $i)",
      'reduce range(20000) as $i ({}; .["k\\($i)"] += 1)',
      'reduce range(20000) as $i ({}; .a.b["k\\($i)"] += 1) | .a.b',
      "reduce range(20000) as $i ({a: []}; .a += [$i]) | .a",
      'reduce range(20000) as $i ({}; .["k\\($i)"] = (.["k\\($i)"] // 0) + 1)',
      'reduce range(20000) as $i ({}; .a["k\\($i)"] = (.a["k\\($i)"] // 0) + 1) | .a',
      'reduce range(20000) as $i ({}; .["k\\($i)"] |= (. // 0) + 1)',
      'reduce range(20000) as $i ({}; .["k\\($i)"] //= $i)',
      'reduce range(20000) as $i ({}; if $i >= 0 then .["k\\($i)"] = 1 else . end)',
      'reduce range(20000) as $i ({}; . + {"k\\($i)": 1})',
      'reduce range(20000) as $i ({}; setpath(["k\\($i)"]; 1))',
      'reduce (range(20000) | {k: "k\\(.)"}) as {$k} ({}; .[$k] += [1])',
      "def f($n): if $n == 0 then . else . + [$n] | f($n - 1) end; [] | f(20000)",
      "[foreach range(20000) as $i ([]; . + [$i]; length)]",
    }
    local requests = {}
    for i, program in ipairs(programs) do
      requests[i] = request(program .. " | length", "null", ',"memory":33554432')
    end
    for i, answer in ipairs(drive(requests)) do
      assert.same({ 20000 }, answer.v, programs[i] .. ": " .. tostring(answer.e))
    end
  end)
end)

describe("limits", function()
  it("end an evaluation with a message that names the setting", function()
    local answers = drive {
      request("repeat(1) | empty", "null", ',"steps":1234567'),
      request("[range(infinite)]", "null", ',"memory":4194304'),
      request("def f: 1 + f; f", "null", ',"memory":4194304'),
      request('"abc" * 1e7', "null", ',"memory":4194304'),
      request("def f: . + 1 | f; 0 | f", "null", ',"steps":100000'),
      request("[limit(3000000; repeat(1))] | sort", "null", ',"steps":20000'),
      request("reduce range(100) as $i ([1]; [., .]) | flatten | length", "null", ',"steps":1000000'),
      request("reduce range(60) as $i (\"x\"; . + .)", "null", ',"memory":4194304'),
      request("last(range(1e9))", "null", ',"steps":5000'),
    }
    assert.equal("the expression took more than 1,234,567 steps (MOONTIDE__JQ__STEPS)", answers[1].e)
    assert.equal("the expression needs more than 4 MiB (MOONTIDE__JQ__MEMORY_MB)", answers[2].e)
    assert.equal("the expression recurses too deep for 4 MiB (MOONTIDE__JQ__MEMORY_MB)", answers[3].e)
    for i, answer in ipairs(answers) do
      assert.same({}, answer.v)
      assert.matches("MOONTIDE__JQ__", answer.e, i)
      assert.is_true(answer.steps <= 50000000)
    end
  end)

  it("count anew for each start, and results survive collections", function()
    -- each needs half of the steps; the garbage of a million numbers is collected on the way
    local programs, inputs = {}, {}
    for i = 1, 5 do
      programs[i] = ("[range(%d)] | add"):format(1000 * i)
      inputs[i] = i
    end
    programs[6] = "{a: [.], b: \"x\\(.)\"}"
    local answer = drive { { op = "entries", programs = programs, inputs = inputs, stress = true } }[1]
    for i, results in ipairs(answer.results) do
      assert.equal(499500, results[1].v)
      assert.same({ a = { i }, b = "x" .. i }, results[6].v)
    end
  end)

  it("of steps count what natives go through, byte by byte or in the C library", function()
    local programs = {
      '("\\u0001ab" * 100000) as $s | [range(1000) | $s | tojson | length] | length',
      '("a" * 100000 + "b") as $n | ("a" * 1000000) | [range(100) as $i | indices($n)] | length',
      '("a" * 1000000) | indices(.[0:500000]) | length', '("é\'" * 100000) as $s | [range(1000) | $s | @sh | length] | length',
      '("ab" * 100000) as $s | [range(1000) | $s | reverse | length] | length',
      '("ab" * 100000 | @base64) as $s | [range(1000) | $s | @base64d | length] | length',
      '("[" + "1," * 100000 + "1]") as $s | [range(1000) | $s | fromjson | length] | length',
      '("é" * 100000) as $s | [range(1000) | $s | .[1:] | length] | length', 'last(range(100000) | strftime("%c %c %c %c %c"))',
      "last(range(100000) | gmtime | mktime)", "([range(1000)]) as $s | last(range(200000) | try ($s + 1) catch .)",
    }
    local requests = {}
    for i, program in ipairs(programs) do
      requests[i] = request(program, "1", ',"steps":4000000')
    end
    for i, answer in ipairs(drive(requests)) do
      assert.equal("the expression took more than 4,000,000 steps (MOONTIDE__JQ__STEPS)", answer.e, programs[i])
    end
  end)

  it("of memory hold what lives, not what is thrown away", function()
    local answers = drive {
      request("reduce range(300000) as $i (0; ([$i, \"\\($i)\"] | .[0]))", "null", ',"memory":4194304'),
      request("[range(2000)] as $l | reduce range(200) as $i (0; ($l | map(. + $i) | length))", "null",
        ',"memory":4194304'),
      request('last(range(100000) | "text \\(.)")', "null", ',"memory":4194304'),
    }
    assert.same({ 299999 }, answers[1].v, answers[1].e)
    assert.same({ 2000 }, answers[2].v, answers[2].e)
    assert.same({ "text 99999" }, answers[3].v, answers[3].e)
  end)
end)

describe("programs", function()
  it("say what needs no machine", function()
    local answer = drive { { op = "program", programs = { ".", ".a.b", '"x"', "1 + 2 * 3", '.a["c"]', '"a,b" | split(",")',
      ".a | .b", "[1, {a: (2 | -.)}]", ".a // 1", "if 1 == 1 then [] else .x end", ".a[0]", ".a[1:]", "now" } } }[1]
    local slots, constants = {}, {}
    for i, entry in ipairs(answer.entries) do
      slots[i] = entry.slot or false
      constants[i] = entry.constant == nil and "-" or json.encode(entry.constant)
    end
    assert.equal(0, slots[1])
    assert.equal(slots[2], slots[7])
    assert.is_true(slots[2] > 0 and slots[5] > 0 and slots[5] ~= slots[2] and slots[11] > 0)
    assert.is_false(slots[3] or slots[9] or slots[12])
    assert.same({ "-", "-", '"x"', "7", "-", '["a","b"]', "-", '[1,{"a":-2}]', "-", "[]", "-", "-", "-" }, constants)
    assert.same({ "a", "b", "c" }, answer.names)
  end)

  it("give a constant's own value to what is computed of it beside other things", function()
    for program, expected in pairs {
      ["map(5 | [.])"] = "[[5],[5]]", ['.[0] | . as $d | "id" | (null // .)'] = '"id"', ['[.[] | ({"a":1} | (.b // .a))]'] = "[1,1]",
      ["{k: (3 | [., 4]), v: .[0]}"] = '{"k":[3,4],"v":1}', ["[.[0], (5 | (false // .))]"] = "[1,5]", ["3 as $x | 5 | [$x, .]"] = "[3,5]",
    } do
      local answer = drive({ request(program, "[1,2]") })[1]
      assert.same({ json.decode(expected) }, answer.v, program)
    end
  end)

  it("share slots, which raise and are absent as paths do", function()
    local answer = drive { { op = "entries", programs = { ".a.b", ".a.b.c", ".a", ".a.b.c // 1", ".a?", "(.a | .b), 2",
      ".a.x == null", "error(\"x\")", "empty", ".a.b" }, inputs = { { a = { b = 1 } }, { a = { b = { c = 2 } } }, 5 } } }[1]
    local r = answer.results
    assert.equal(1, r[1][1].v)
    assert.matches("Cannot index number", r[1][2].e)
    assert.matches("Cannot index number", r[1][4].e)
    assert.equal(2, r[2][2].v)
    assert.equal(2, r[2][4].v)
    assert.equal(true, r[2][7].v)
    assert.matches("Cannot index number with string %(\"a\"%)", r[3][1].e)
    assert.equal("empty", r[3][5])
    assert.matches("Cannot index number", r[3][6].e)
    assert.equal("x", r[1][8].e)
    assert.equal("empty", r[1][9])
    assert.equal(1, r[1][10].v)
  end)

  it("that do not compile say where and why", function()
    local failed = drive { { op = "program", programs = { "foo(1)", "[1,\n mapp(.)]", "map", "$x | 1", "break $a",
      "def f(a): a; f", "def f: $y; 1", "{(1): 2}", ". as {(true): $x} | $x", "@nope", "lenght",
      "1 as $x | 2 as $y | $z", "def f: g; def g: f; g", "input", "$__prog_args", "1 | debug", "range", ".a | x::y" } } }[1].failed
    local expected = { "line 1, column 1: foo/1 is not defined", "line 2, column 2: mapp/1 is not defined; is map meant",
      "line 1, column 1: map/0 is not defined: map takes 1 parameters", "line 1, column 1: $x is not defined",
      "line 1, column 1: there is no label $a", "line 1, column 14: f/0 is not defined: f takes 1",
      "line 1, column 8: $y is not defined", "cannot be the key", "cannot be the key",
      "@nope is not a format", "is length meant", "line 1, column 21: $z is not defined",
      "line 1, column 8: g/0 is not defined", "input is not supported here", "$__prog_args", "debug is not supported here",
      "range/0 is not defined: range takes 1 or 2 or 3", "line 1" }
    assert.equal(#expected, #failed)
    for i, text in ipairs(expected) do
      assert.is_truthy(failed[i]:find(text, 1, true), failed[i] .. " does not say: " .. text)
    end
    local answers = drive { request "input", request "foo", request 'import "a" as a; 1' }
    assert.equal("not_found", answers[1].rc)
    assert.equal("invalid", answers[2].rc)
    assert.equal("not_found", answers[3].rc)
  end)

  it("compile in time that follows their length, however deep they are", function()
    -- what looked again at each level at all that is below would take minutes
    local object = {}
    for i = 1, 130 do
      object[i] = ("a%d: ., "):format(i)
    end
    object = "{" .. table.concat(object) .. "z: "
    local steps = {}
    for i = 1, 40000 do
      steps[i] = (".n%d"):format(i)
    end
    local answer = drive { { op = "program", programs = { object:rep(700) .. "." .. ("}"):rep(700),
      table.concat(steps, ","), "." .. (" + [1,2,3]"):rep(1900), ("skip(1; "):rep(200) .. "." .. (")"):rep(200),
      ("(try "):rep(300) .. "." .. " catch .)" .. (" catch .)"):rep(299), ("walk("):rep(100) .. "." .. (")"):rep(100) } } }[1]
    assert.same({}, answer.failed)
    assert.equal(6, #answer.entries)
    assert.equal(40000, #answer.names)
  end)

  it("see the environment only when they may", function()
    local answers = drive { request "$ENV, env", request("$ENV.PATH == env.PATH, ($ENV.PATH | length > 0)", "null",
      ',"environment":true') }
    assert.same({ {}, {} }, answers[1].v)
    assert.same({ true, true }, answers[2].v)
  end)

  it("are run by several threads at once", function()
    local answer = drive { { op = "threads", threads = 4, input = { a = { 1, 2, 3 } },
      program = '[range(2000)] | map({k: "k\\(. % 7)", v: [., {c: [1, 2]}]}) | group_by(.k) | map({(.[0].k): (map(.v[0]) | add)}) '
        .. '| add + {c: ({x: [1, {y: 2}]} | .x[1].y += 1 | .x)}' } }[1]
    assert.is_false(answer.differ)
    assert.equal(1, #answer.v)
    assert.same({ 1, { y = 3 } }, answer.v[1].c)
  end)
end)

describe("memory that is refused", function()
  it("ends in an error, whichever allocation it is", function()
    local programs = { "[range(3000)] | map({a: ., b: \"\\(.)\"}) | group_by(.a % 3) | length",
      "def f: if . > 3000 then . else 1 + (. + 1 | f) end; 0 | f", "[paths] | length", ".[] += 1 | .[0] |= empty",
      'reduce range(3000) as $i ({}; .["k\\($i)"] = "v\\($i)") | length', '[..] | tojson | fromjson | length',
      '{a: "x", b: [1, 2, {c: "\\(.)"}]}' }
    local requests = {}
    for i, program in ipairs(programs) do
      requests[i] = { op = "refuse", program = program, input = { 1, { 2, 3 }, "x" } }
    end
    for i, answer in ipairs(drive(requests)) do
      assert.is_true(answer.refused > 3, programs[i] .. ": " .. answer.refused)
    end
  end)
end)
