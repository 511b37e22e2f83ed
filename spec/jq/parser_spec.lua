-- The parser of jq programs (runtime/jq/parser*.c, lexer.c) and the builtins that are written in jq
-- (definition.c), through spec/jq/parser_driver.c, which shows trees as S-expressions.
local support = require "spec.support"
local driver = support.driver "parser_driver"

local function parse(programs)
  local lines = {}
  for i, program in ipairs(programs) do
    lines[i] = support.json.encode(program)
  end
  local result = support.run({ driver }, { stdin = table.concat(lines, "\n") .. "\n" })
  assert(result.code == 0, "parser_driver: exit " .. result.code .. ": " .. result.err)
  local answers = support.json.lines(result.out)
  assert(#answers == #programs)
  return answers
end

-- { program, tree } …
local function trees(cases)
  local programs = {}
  for i, case in ipairs(cases) do
    programs[i] = case[1]
  end
  for i, answer in ipairs(parse(programs)) do
    assert.equal(cases[i][2], answer.tree or answer.error, cases[i][1])
  end
end

-- { program, column, words of the message … }
local function errors(cases)
  local programs = {}
  for i, case in ipairs(cases) do
    programs[i] = case[1]
  end
  for i, answer in ipairs(parse(programs)) do
    local case = cases[i]
    assert.is_nil(answer.tree, case[1])
    assert.equal(case[2], answer.column, case[1] .. ": " .. answer.error)
    assert.truthy(answer.error:find(("line %d, column %d: "):format(answer.line, answer.column), 1, true), answer.error)
    for k = 3, #case do
      assert.truthy(answer.error:find(case[k], 1, true), case[1] .. ": " .. answer.error .. " (" .. case[k] .. ")")
    end
  end
end

describe("operators", function()
  it("bind as in jq 1.8", function()
    trees {
      { "1 + 2 * 3 - 4", "(- (+ 1 (* 2 3)) 4)" },
      { "1 | 2, 3 | 4", "(| 1 (| (, 2 3) 4))" },
      { "1 // 2 // 3", "(// 1 (// 2 3))" },
      { ".a // .b = 1", '(// (index . "a") (set = (index . "b") 1))' },
      { "1 = 2 or 3", "(set = 1 (or 2 3))" },
      { "1 or 2 and 3 or 4", "(or (or 1 (and 2 3)) 4)" },
      { "1 and 2 == 3 + 4", "(and 1 (== 2 (+ 3 4)))" },
      { "1 % 2 / 3", "(/ (% 1 2) 3)" },
      { "1 < 2, 3 >= 4, 5 != 6, 7 <= 8, 9 > 0", "(, (< 1 2) (, (>= 3 4) (, (!= 5 6) (, (<= 7 8) (> 9 0)))))" },
      { ".a |= 1", '(set | (index . "a") 1)' },
      { ".a //= 1 | .b += 2 | .c -= 3 | .d *= 4 | .e /= 5 | .f %= 6",
        '(| (set ? (index . "a") 1) (| (set + (index . "b") 2) (| (set - (index . "c") 3) ' ..
        '(| (set * (index . "d") 4) (| (set / (index . "e") 5) (set % (index . "f") 6))))))' },
      { "-1 + -.a[0]", '(+ (negate 1) (negate (index (index . "a") 0)))' },
      { "- -1", "(negate (negate 1))" },
      { "1 -1", "(- 1 1)" },
      { "(1, 2) * 3", "(* (, 1 2) 3)" },
    }
  end)

  it("without a side do not chain", function()
    errors {
      { "1 == 2 == 3", 8, "comparison", "parentheses" },
      { "1 < 2 >= 3", 7, "comparison" },
      { ".a = .b = 1", 9, "assignment", "(a = b) = c" },
      { ".a |= .b += 1", 10, "assignment" },
    }
  end)

  it("leave def, as and label all that follows", function()
    trees {
      { "1 as $x | 2, $x | 3", "(as 1 $x (| (, 2 $x) 3))" },
      { "0, 1 as $x | 2 | $x", "(, 0 (as 1 $x (| 2 $x)))" },
      { "0 | 1, def f: 2; f, 3 | 4", "(| 0 (, 1 (def f 2 (| (, (call f) 3) 4))))" },
      { "label $a | 1 | break $a, 2", "(label a (| 1 (, (break a) 2)))" },
      { "1 + 2 as $x | $x", "(as (+ 1 2) $x $x)" },
      { "-1 as $x | $x", "(as (negate 1) $x $x)" },
      { "1 as $x | 2 as $y | def f: 3; label $l | f", "(as 1 $x (as 2 $y (def f 3 (label l (call f)))))" },
      { "(1 as $x | $x), 2", "(, (as 1 $x $x) 2)" },
      { "reduce 1 as $x (0; .) as $y | $y", "(as (reduce 1 $x 0 .) $y $y)" },
    }
  end)
end)

describe("terms", function()
  it("are paths", function()
    trees {
      { ".", "." }, { "..", ".." },
      { ".a.b", '(index (index . "a") "b")' },
      { '."a"."b"', '(index (index . "a") "b")' },
      { '.["a"].["b"].[0]', '(index (index (index . "a") "b") 0)' },
      { '."x\\(1)"', '(index . (text "x" 1))' },
      { '.@json "x\\(1)"', '(index . (text json "x" 1))' },
      { ".[]", "(each .)" }, { ".[].a[]", '(each (index (each .) "a"))' },
      { ".[1:2]", "(slice . 1 2)" }, { ".[1:]", "(slice . 1)" }, { ".[:2]", "(slice . - 2)" },
      { "$x[0].a", '(index (index $x 0) "a")' },
      { "[1][0]", "(index (array 1) 0)" }, { "{}.a", '(index (object) "a")' }, { '"x".a', '(index "x" "a")' },
      { "f(1).a", '(index (call f 1) "a")' },
      { "if . then 1 end.a", '(index (if . 1) "a")' },
      { ".and.if.end.__loc__", '(index (index (index (index . "and") "if") "end") "__loc__")' },
      { ".e0, .E1, .E-1", '(, (index . "e0") (, (index . "E1") (- (index . "E") 1)))' },
      { ". [0]", "(index . 0)" }, { ".a [0]", '(index (index . "a") 0)' }, { '. "a"', '(index . "a")' },
      { ".. .a", '(index .. "a")' },
      { "if . then . else . end", "(if . . .)" }, { ". and .", "(and . .)" }, { ". as $x | .", "(as . $x .)" },
    }
  end)

  it("catch the errors of their last step only", function()
    trees {
      { ".a?", '(try (index . "a"))' },
      { ".a.b?", '(| (index . "a") (try (index . "b")))' },
      { ".a?.b", '(index (try (index . "a")) "b")' },
      { ".a[]?", '(| (index . "a") (try (each .)))' },
      { ".a[.b]?", '(as (index . "b") $*key (| (index . "a") (try (index . $*key))))' },
      { ".[.a:.b]?", '(as (index . "a") $*from (as (index . "b") $*to (try (slice . $*from $*to))))' },
      { ".[:1]?", "(try (slice . - 1))" },
      { ".a??", '(try (try (index . "a")))' },
      { "(.a.b)?", '(try (index (index . "a") "b"))' },
      { "f?", "(try (call f))" }, { "1?", "(try 1)" },
      { ".a?//1", '(// (try (index . "a")) 1)' },
      { "f?//1", "(// (try (call f)) 1)" },
      { ".a?//=1", '(set ? (try (index . "a")) 1)' },
      { "try f catch . + 1", "(+ (try (call f) .) 1)" },
      { "try f.a catch g[0], 1", '(, (try (index (call f) "a") (index (call g) 0)) 1)' },
      { "1 + try 2 catch 3 + 4", "(+ (+ 1 (try 2 3)) 4)" },
      { "try -1", "(try (negate 1))" }, { "-.a?", '(negate (try (index . "a")))' },
      { "try try 1", "(try (try 1))" },
    }
  end)

  it("are values and calls", function()
    trees {
      { "null, true, false, not", "(, null (, true (, false (call not))))" },
      { "true(1)", "(call true 1)" },
      { "f(1, 2; g)", "(call f (, 1 2) (call g))" },
      { "f(def g: 1; g; . as $x | $x)", "(call f (def g 1 (call g)) (as . $x $x))" },
      { "[]", "(array)" }, { "[1, 2]", "(array (, 1 2))" }, { "[] | {}", "(| (array) (object))" },
      { "$ENV.a", '(index $ENV "a")' }, { "$end", "$end" }, { "$__prog_args", "$__prog_args" },
      { "@base64", "@base64" }, { "@json | 1", "(| @json 1)" },
      { "1\n| $__loc__", '(| 1 (object "file" "<top-level>" "line" 2))' },
      { "break $x", "(break x)" },
    }
  end)

  it("have numbers in all of jq's spellings, made JSON's", function()
    trees {
      { "0", "0" }, { "12.50", "12.50" }, { ".5", "0.5" }, { "1.", "1" }, { "1.e3", "1e3" }, { "1E+1000", "1E+1000" },
      { "007", "7" }, { "00", "0" }, { "00.5", "0.5" }, { "100000000000000000000", "100000000000000000000" },
      { "[1.,.5]", "(array (, 1 0.5))" }, { "1e-5", "1e-5" },
    }
    errors { { "0x10", 1, "0x10" }, { "1e", 1, "'1e'" }, { "2a", 1, "'2a'" } }
  end)

  it("have if, reduce and foreach", function()
    trees {
      { "if 1 then 2 else 3 end", "(if 1 2 3)" },
      { "if 1, 2 then 3 | 4 end", "(if (, 1 2) (| 3 4))" },
      { "if 1 then 2 elif 3 then 4 elif 5 then 6 else 7 end", "(if 1 2 (if 3 4 (if 5 6 7)))" },
      { "if 1 then 2 elif 3 then 4 end", "(if 1 2 (if 3 4))" },
      { "reduce .[] as $x (0; . + $x)", "(reduce (each .) $x 0 (+ . $x))" },
      { "reduce 1 + 2 as [$x] (0; 1, 2)", "(reduce (+ 1 2) [ $x ] 0 (, 1 2))" },
      { "foreach . as $x (0; 1)", "(foreach . $x 0 1)" },
      { "foreach . as $x (0; 1; 2)", "(foreach . $x 0 1 2)" },
      { "-reduce -. as $x (0; .)", "(negate (reduce (negate .) $x 0 .))" },
    }
  end)
end)

describe("strings", function()
  it("hold escapes and interpolations", function()
    trees {
      { '"a\\"\\\\\\/\\b\\f\\n\\r\\tb"', [["a\"\\/\b\f\n\r\tb"]] },
      { '"\\u00e4\\u20AC\\ud83d\\ude00"', '"ä€😀"' },
      { '"\\ud83d"', '"\u{fffd}"' }, { '"\\ude00x"', '"\u{fffd}x"' }, { '"\\ud83d\\u0041"', '"\u{fffd}A"' },
      { '"\\ud83d\\ud83d\\ude00"', '"\u{fffd}😀"' },
      { '"a\nb"', '"a\\nb"' }, { '""', '""' },
      { '"a\\(1)b\\(2)"', '(text "a" 1 "b" 2)' }, { '"\\(1)\\(2)"', "(text 1 2)" },
      { '"\\("x")"', '(text (| . "x"))' },
      { '"\\("a\\("b" + "c")d")"', '(text (text "a" (+ "b" "c") "d"))' },
      { '"\\(")")"', '(text (| . ")"))' },
      { '@base64 "x\\(1)"', '(text base64 "x" 1)' }, { '@base64 "x"', '"x"' },
      { '@sh "\\("\\(1)")"', "(text sh (text 1))" },
      { '"# no comment"', '"# no comment"' },
    }
    errors {
      { '"a\\z"', 3, "'\\z'", "\\uXXXX" }, { '"\\ä"', 2, "'\\ä'" }, { '"\\u12"', 2, "hexadecimal" },
      { ' "abc', 2, "does not end" }, { '"a\\(1)b', 1, "does not end" }, { '"a\\', 1, "does not end" },
      { '"a\\(1"', 6, "\\(" }, { '"a\\(1; 2)"', 6, "unexpected ';'" }, { '"a\\()"', 5, "expression" },
    }
  end)
end)

describe("objects", function()
  it("write their shortcuts out", function()
    trees {
      { "{}", "(object)" },
      { "{a: 1, b: 2}", '(object "a" 1 "b" 2)' },
      { "{a, $x, \"b c\"}", '(object "a" (index . "a") "x" $x "b c" (index . "b c"))' },
      { "{$x: 1}", "(object $x 1)" },
      { "{$__loc__}", '(object "__loc__" (object "file" "<top-level>" "line" 1))' },
      { "{(1, 2 | tostring): 3}", "(object (| (, 1 2) (call tostring)) 3)" },
      { '{@base64 "x": 1, @base64 "y\\(1)": 2}', '(object "x" 1 (text base64 "y" 1) 2)' },
      { '{"a\\(1, 2)"}', '(as (text "a" (, 1 2)) $*1 (object $*1 (index . $*1)))' },
      { "{if: 1, and, then: 2}", '(object "if" 1 "and" (index . "and") "then" 2)' },
      { "{a: 1 | 2, b: 3 + 4 // 5}", '(object "a" (| 1 2) "b" (// (+ 3 4) 5))' },
      { "{a: -1, b: . == 2 and 3}", '(object "a" (negate 1) "b" (and (== . 2) 3))' },
      { "{a: 1 | 2?,}", '(object "a" (| 1 (try 2)))' },
      { "{a: if . then 1 end}", '(object "a" (if . 1))' },
      { "{a:reduce . as $x (0; 1)}", '(object "a" (reduce . $x 0 1))' },
      { "{null: 1, true}", '(object "null" 1 "true" (index . "true"))' },
    }
    errors {
      { "{1: 2}", 2, "parentheses" }, { "{1+2: 3}", 2, "parentheses" }, { "{.a: 1}", 2, "parentheses" },
      { "{a.b: 1}", 3, "parentheses" }, { "{a b}", 4, "a : is expected" }, { "{a = 1}", 4, "between" },
      { "{a: 1 as $x | 2}", 7, "parentheses" }, { "{a: def f: 1; f}", 5, "parentheses" },
      { "{(1): 2}", 3, "number" }, { "{(true): 2}", 3, "boolean" }, { "{(null): 2}", 3, "null" }, { "{([]): 1}", 3, "array" },
      { "{(f)}", 5, "a : is expected" }, { "{,}", 2, "key" }, { "{a: 1 b: 2}", 7, "operator" },
      { "{a: 1", 6, "'{' of line 1, column 1 is not closed" }, { "{@base64: 1}", 9, "string" }, { "{a:}", 4, "expression" },
    }
  end)
end)

describe("patterns", function()
  it("take values apart", function()
    trees {
      { ". as [$a, [$b]] | 1", "(as . [ $a [ $b ] ] 1)" },
      { ". as {a: $x, $b, $c: [$d], \"e\": $f, (\"g\", \"h\"): $i, if: $j, \"k\\(1)\": $l} | 1",
        '(as . { "a" $x $b "b" - $c "c" [ $d ] "e" $f (, "g" "h") $i "if" $j (text "k" 1) $l } 1)' },
      { ". as [$a] ?// {a: $a} ?// $a | $a", '(as . [ $a ] { "a" $a } $a $a)' },
      { "reduce . as {a: $a} ?// $a (0; 1)", '(reduce . { "a" $a } $a 0 1)' },
      { ". as $end | $end", "(as . $end $end)" },
    }
    errors {
      { ". as {} | 1", 7, "key" }, { ". as [] | 1", 7, "pattern" }, { ". as [$a,] | 1", 10, "comma" },
      { ". as {a} | 1", 8, ":" }, { ". as x | 1", 6, "pattern" }, { ". as {(true): $x} | 1", 8, "boolean" },
      { ". as $x", 8, "| is expected" }, { ". as $x, 1", 8, "| is expected" }, { ". as [$a | $a", 10, "closing bracket" },
      { ". as $a::b | 1", 6, "::" }, { ". as $__loc__ | 1", 6, "__loc__" },
    }
  end)
end)

describe("definitions", function()
  it("have parameters of both kinds", function()
    trees {
      { "def f: 1; f", "(def f 1 (call f))" },
      { "def f(g; $x): g | $x; f(1; 2)", "(def f(g;$x) (| (call g) $x) (call f 1 2))" },
      { "def f: def g: 1; g; f", "(def f (def g 1 (call g)) (call f))" },
      { "def f: 1; def f(a): 2; f", "(def f 1 (def f(a) 2 (call f)))" },
    }
    errors {
      { "def f: 1;", 10, "too early" }, { "def f: 1", 9, "semicolon" }, { "def f 1; f", 7, ":" }, { "def f(a, b): 1; f", 8, ";" },
      { "def f(): 1; f", 7, "without parentheses" },
      { "def f(1): 1; f", 7, "parameter" }, { "def 1: 1; f", 5, "name" }, { "def a::b: 1; 1", 5, "::" },
      { "1 + def f: 1; f", 5, "parentheses" }, { "def if: 1; 1", 5, "name" },
    }
  end)
end)

describe("comments and blanks", function()
  it("are between tokens", function()
    trees {
      { "1 # one\n+ 2", "(+ 1 2)" }, { "1 # one \\\n + 2\n+ 3", "(+ 1 3)" }, { "1 # one \\\\\n + 2", "(+ 1 2)" },
      { "1 # one \\\r\n + 2\r\n+ 3", "(+ 1 3)" }, { "1 # a\rb", "1" }, { "1 #", "1" }, { "1 # \\", "1" },
      { "#\n1", "1" }, { "\t1\r\n", "1" }, { "1 # ä€\n", "1" },
    }
  end)
end)

describe("errors", function()
  it("name what is not closed, and where it began", function()
    errors {
      { "(1", 3, "'(' of line 1, column 1 is not closed: ')' is missing" },
      { "[1, (2]", 7, "'(' of line 1, column 5 is not closed" },
      { ".a[", 4, "'[' of line 1, column 3" },
      { "f(1; 2", 7, "'(' of line 1, column 2" },
      { "if . then 1", 12, "`if` of line 1, column 1 is not closed: 'end' is missing" },
      { "if . then 1 else if . then 2 end", 33, "elif" },
      { "if . then (1 end", 14, "bracket" },
      { "1)", 2, "no bracket is open" },
      { "(1 + )", 6, "an expression is expected" },
      { "reduce . as $x (0; 1", 21, "'('" },
    }
  end)

  it("hint at what is often meant", function()
    errors {
      { "", 1, "empty" }, { " # nothing", 11, "empty" },
      { ".a == 'x'", 7, "double quotes" }, { ".a == “x”", 7, "typographic" }, { "`x`", 1, "double quotes" },
      { ".a && .b", 4, "`and`" }, { ".a || .b", 5, "`or`" }, { "!.a", 1, "not" },
      { ".a === 1", 6, "==" }, { ".a =< 1", 5, "<=" }, { ".a => 1", 5, ">=" }, { ".a <> 1", 5, "!=" },
      { "2 ** 3", 4, "pow" }, { "2 ^ 3", 3, "pow" }, { ".a\u{a0}.b", 3, "no-break" }, { ".a – 1", 4, "dash" },
      { "elif", 1, "no `if`" }, { "1 else 2", 3, "no `if`" }, { "catch 1", 1, "no `try`" },
      { "[1, 2,]", 7, "comma" }, { ".a |", 5, "|" }, { "| .a", 1, "expression" }, { ".a | | .b", 6, "|" },
      { ".a .b c", 7, "operator is missing", "|" }, { "1 2", 3, "operator is missing" }, { '"a" "b"', 5, "operator is missing" },
      { ". foo", 3, '.["foo"]' }, { ".a.", 4, "name" }, { ".a-b.", 6, "name" }, { "..a", 3, "|" },
      { "f()", 1, "without parentheses" }, { "$", 1, "name" }, { "$ x", 1, "directly" }, { "@", 1, "format" },
      { "1; 2", 2, ";" }, { "reduce 1 (2; 3)", 10, "`as`" }, { "foreach 1 as $x (2)", 19, "foreach" },
      { "break", 6, "label" }, { "label x | 1", 7, "label" }, { "label $x 1", 10, "|" }, { ".[:]", 2, "slice" },
      { "a ? b : c", 5, "operator" }, { "\u{feff}.", 1, "invisible" }, { "\\", 1, "backslash" },
    }
  end)

  it("say that there are no modules", function()
    errors {
      { 'import "a" as a; 1', 1, "modules are not supported" }, { 'include "a"; 1', 1, "modules are not supported" },
      { "module {}; 1", 1, "modules are not supported" }, { "a::b", 1, "modules are not supported" },
      { "$a::b", 1, "modules are not supported" }, { "{a::b}", 2, "modul" }, { "1 | import", 5, "modules are not supported" },
    }
  end)

  it("count lines, and columns in characters", function()
    local answers = parse { ".a\n| ä", '"ä€😀" | )', "1 |\n\n  }" }
    assert.same({ 2, 3, 5 }, { answers[1].line, answers[1].column, answers[1].at })
    assert.same({ 1, 9, 14 }, { answers[2].line, answers[2].column, answers[2].at })
    assert.same({ 3, 3, 7 }, { answers[3].line, answers[3].column, answers[3].at })
  end)

  it("stay short, and valid UTF-8", function()
    for _, program in ipairs { ("ä"):rep(3000), "f " .. ("a"):rep(3000), "$ " .. ("😀"):rep(500), '"\\' .. ("€"):rep(200) } do
      local answer = parse { program }[1]
      assert.truthy(answer.error)
      assert.is_true(#answer.error < 256)
      assert.truthy(utf8.len(answer.error), answer.error)
    end
  end)
end)

describe("size", function()
  local function repeated(...)
    local result = support.run { driver, "repeat", ... }
    assert(result.code == 0, "parser_driver: exit " .. result.code .. ": " .. result.err)
    return support.json.decode(result.out)
  end
  local STACK = 1 << 20 -- in a Debug build with sanitizers, too

  it("of a nest is bounded, on less than 1 MiB of stack", function()
    for _, pieces in ipairs {
      { "(", "1", ")" }, { "[", "1", "]" }, { "{a:", "1", "}" }, { '"\\(', "1", ')"' }, { "if 1 then ", "2", " end" },
      { "f(", "2", ")" }, { ".[", "2", "]" }, { "def f: ", "2", "; 1" }, { "if 1 then 2 else ", "3", " end" },
      { "reduce ", "1", " as $x (1; 2)" }, { "reduce 1 as {(", '"a"', "): $x} (1; 2)" },
    } do
      local fine, deep = repeated("500", table.unpack(pieces)), repeated("40000", pieces[1], "")
      assert.truthy(fine.height, pieces[1] .. ": " .. tostring(fine.text))
      assert.truthy(deep.error, pieces[1])
      assert.truthy(deep.text == "" or deep.text:find("deep", 1, true), deep.text)
      assert.is_true(fine.stack < STACK and deep.stack < STACK, pieces[1])
    end
    for _, piece in ipairs { "-", "try ", "1//", "1//1=1 or 1 and 1==1+1*(", "[(", ". as [", ". as {(", '"\\("' } do
      local deep = repeated("40000", piece, "1")
      assert.truthy(deep.error, piece)
      assert.is_true(deep.stack < STACK, piece)
    end
  end)

  it("of a chain of | or of , is not", function()
    for _, piece in ipairs { ".a|", "1,", "1,2|" } do
      local answer = repeated("100000", piece, "1")
      assert.truthy(answer.height, piece .. tostring(answer.text))
      assert.is_true(answer.height < 200 and answer.stack < 65536, piece)
    end
  end)

  it("of other chains is bounded by the height of the tree", function()
    for _, piece in ipairs { "1+", ".a", "1 as $x|", "label $x|", "def f: 1; ", "if 1 then 2 el" } do
      local last = piece == "if 1 then 2 el" and "if 1 then 2 end" or "1"
      local fine = repeated("900", piece, piece == ".a" and "" or last)
      assert.truthy(fine.height, piece .. tostring(fine.text))
      local long = repeated("40000", piece, piece == ".a" and "" or last)
      assert.truthy(long.error, piece)
      assert.truthy(long.text == "" or long.text:find("2000 deep", 1, true) or long.text:find("more than", 1, true), long.text)
      assert.is_true(long.stack < 65536, piece)
    end
  end)

  it("of the text is bounded, and so are its bytes", function()
    errors { { (" "):rep(1048576) .. "1", 1, "1048576" } }
    local broken = repeated("1", ".a\255", "")
    assert.equal("3", broken.error)
    assert.equal("line 1, column 3: byte 0xff is not UTF-8", broken.text)
    assert.truthy(parse { (" "):rep(1048575) .. "1" }[1].tree)
  end)
end)

describe("memory", function()
  it("that is refused is an error, at every step", function()
    local pieces = {}
    for i = 1, 300 do
      pieces[i] = ('{"a%d": [.b | f("x\\(1)"; $c)], d: (. as [$e, {f: $g}] | def h($i): $i; h(1))}'):format(i)
    end
    local result = support.run { driver, "starve", table.concat(pieces, ",") }
    local answer = support.json.decode(result.out)
    assert.is_nil(answer.error)
    assert.is_true(answer.allocations >= 8, answer.allocations .. " allocations")
    assert.equal("", result.err)
  end)
end)

describe("builtins written in jq", function()
  it("all parse, and are found by name and arity", function()
    local result = support.run { driver, "definitions" }
    assert.equal(0, result.code)
    local seen = {}
    for _, answer in ipairs(support.json.lines(result.out)) do
      assert.is_nil(answer.error, answer.name .. ": " .. tostring(answer.error))
      local name, arity = answer.name:match "^([%w_]+)/(%d)$"
      local defined, parameters = answer.tree:match "^%(def ([%w_]+)(%b())"
      local count = 0
      if parameters and answer.tree:find("(def " .. defined .. "(", 1, true) == 1 then
        count = select(2, parameters:gsub(";", "")) + 1
      end
      defined = answer.tree:match "^%(def ([%w_]+)"
      assert.equal(name, defined)
      assert.equal(tonumber(arity), count, answer.name)
      assert.is_nil(seen[answer.name], answer.name)
      seen[answer.name] = true
    end
    for _, name in ipairs { "map/1", "IN/2", "walk/1", "sub/3", "limit/2", "_pattern/0" } do
      assert.truthy(seen[name], name)
    end
  end)
end)
