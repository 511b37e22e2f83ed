-- The two jq engines against each other: programs and inputs made at random, each run by our own engine and by libjq.
--
--   lua5.4 spec/fuzz/differential.lua [SECONDS [SEED]]   from the top of the repository, MOONTIDE_BIN set; exit 1: differences
--
-- libjq runs as `--engine libjq` runs it, behind the definitions that make 1.6 mean what 1.8 means. What is left of 1.6 is listed
-- in KNOWN by rule: a difference that a rule explains is counted under its name, any other is printed and counted as unexplained.
-- Outputs are compared as values, in order; of an error only that there is one and after which outputs.
package.path = "./?.lua;./?/init.lua;" .. package.path
local support = require "spec.support"

local SECONDS, SEED = tonumber(arg[1]) or 60, tonumber(arg[2]) or os.time()
local PROGRAMS = 25 -- in one process of the driver: libjq takes 20 to 41 ms to compile one
math.randomseed(SEED)

local function pick(list)
  return list[math.random(#list)]
end

-- Inputs: small values of all kinds, and objects as APIs answer them.
local SCALARS = {
  "null", "true", "false", "0", "1", "-1", "2", "3", "3.5", "-0.5", "10", "100", "1234567", "4294967296", '""', '"a"', '"ab"', '"b"',
  '"a,b, c"', '"äöü€😀"', '"2015-03-05T23:51:47Z"', '"12"', '"x y  z"', '"A-b_C"', '"true"', '"\\u0000"', '"a/b/c"', "1425599507",
  '"abcabcab"', '"é"', '" pad "',
}
local RARE = { "9007199254740993", "100000000000000000000", "1e1000", "-0", "1.5e-300", "123456789012" }
local NAMES = { "a", "b", "c", "id", "name", "key", "value", "items", "é", "start", "end" }

local function scalar()
  return math.random(80) == 1 and pick(RARE) or pick(SCALARS)
end

local function value(depth)
  local shape = math.random(10)
  if depth == 0 or shape <= 4 then
    return scalar()
  end
  local parts = {}
  local many = math.random(20) == 1
  for i = 1, many and 30 or math.random(0, 4) do -- many members have an index
    local name = many and ("k%d"):format(math.random(40)) or pick(NAMES)
    parts[i] = (shape <= 7 and "" or ('"%s":'):format(name)) .. value(many and 0 or depth - 1)
  end
  return (shape <= 7 and "[%s]" or "{%s}"):format(table.concat(parts, ","))
end

local UNARY = {
  "length", "utf8bytelength", "not", "keys", "keys_unsorted", "values", "type", "add", "any", "all", "flatten", "floor", "sqrt", "sort",
  "unique", "group_by(.)", "reverse", "tostring", "tonumber", "tojson", "fromjson", "ascii_downcase", "ascii_upcase", "explode",
  "implode", "to_entries", "from_entries", "min", "max", "first", "last", "empty", "error", "recurse", "..", "env | type", "transpose",
  "ltrimstr(\"a\")", "rtrimstr(\"c\")", "startswith(\"a\")", "endswith(\"b\")", "split(\",\")", "split(\", *\"; null)", "join(\"-\")",
  "todate", "fromdate", "gmtime", "mktime", "tostream", "paths", "leaf_paths", "isinfinite", "isnan", "isnormal",
  "infinite", "nan | isnan", "abs",
  "toarray", "trim", "ltrim", "rtrim", "arrays", "objects", "iterables", "booleans", "numbers",
  "strings", "nulls", "scalars", "combinations", "@text", "@json", "@csv", "@tsv", "@html", "@uri", "@sh", "@base64", "@base64d",
  "splits(\", \")", "ceil", "round", "fabs", "test(\"a\")", "[match(\"[a-z]+\"; \"g\").string]", "capture(\"(?<x>[a-z])\")",
  "[scan(\"[a-c]\")]", "sub(\"a\"; \"z\")", "gsub(\"[a-c]\"; \"<\\(.)>\")", "gsub(\"(?<l>[a-z])\"; .l + .l)",
  "with_entries(.value |= tostring)", "map_values(.)", "walk(.)", "del(.a)", "del(.[0])", "del(.[1:])", "to_entries | from_entries",
  "indices(\"a\")", "index(\",\")", "rindex(\",\")", "indices(1)", "inside([1,2,3])", "contains(\"a\")", "has(\"a\")", "has(0)",
  "getpath([\"a\",\"b\"])", "[paths]", "[splits(\" +\")]", "ascii_downcase | ascii_upcase", "[fromjson?]", "tojson | fromjson",
  "[.[]?]", "[.[0]?]", "[.a?]", "[.[1:]?]", "[.[:-1]?]", "[.[-1:]?]", "unique_by(length)", "min_by(length)", "max_by(length)",
  "sort_by(length)", "group_by(type)", "[limit(3; .[])]", "first(.[])", "isempty(.[])", "[range(3)]", "strftime(\"%Y-%m-%d\")",
  "(tojson | length)", "getpath([])", "pick(.a)", "[.[] | numbers]", "add(.[])", "limit(2; .[])", "[skip(1; .[])]",
  "have_literal_numbers", ".[-1]", ".[2:]", ".[:-2]", ".[-3:-1]", "sort_by(type)", "[paths(type == \"number\")]", "[leaf_paths]",
  "pick(.a.b)", "pick(.[1])", "pick(.a, .b)", "delpaths([[\"a\"], [\"b\", 0]])", "delpaths([paths] | .[1:])", "delpaths([[0], [-1]])",
  "setpath([\"a\", \"b\"]; 1)", "setpath([0]; .)", "setpath([]; 5)", "trimstr(\"a\")", "ltrimstr(1)", "to_entries | length",
  "with_entries(select(.key != \"a\"))", "fromstream(tostream)", "[tostream] | length", "indices(\"ab\")", "indices([1])", "index(\"\")",
  "flatten(1)", "splits(\",\")", "ascii_downcase", "tojson | tojson", "@json \"\\(.)\"", "[.[] | length]", "[..] | length",
  "getpath([\"a\", 0])", "any(. == 1)", "all(. != null)", "IN(1, 2, null)", "INDEX(type)", "group_by(type) | map(length)",
  "map(type) | unique", "implode | explode", "ltrimstr(\"\")", "join(\",\")", "join(\", \") | length", "limit(0; .[])", "last(.[])",
  "nth(1)", "nth(1; .[])", "until(type == \"string\" or length < 2; .[1:])", "[while(length > 1; .[1:])]", "[limit(9; repeat(.[1:], 1))]",
  "[recurse | scalars]", "[recurse(.[]; . != null)]", "tojson | ascii_downcase", "test(\"A\"; \"i\")", "sub(\"(?<x>.)\"; \"[\\(.x)]\")",
  "[match(\"(a)|(b)\"; \"g\") | .captures | length]", "ascii", "@html \"<\\(.)>\"", "tojson | @sh", "toarray | @csv", "toarray | @tsv",
  "limit(1; .[], 1)", "bsearch(1)", "combinations(2)", "[combinations] | length", "min_by(type)", "unique_by(type)", "add / length",
  "error(null)", "$__loc__ | .line", "splits(\"a\") | length", "getpath([\"a\"]) = 5", "paths |= .", "to_entries[0]",
  "trunc", "significand", "logb", "exp2", "pow(.; 2)", "log2", "ldexp(.; 2)", "tojson | explode | implode",
}
local BINARY = {
  "ltrimstr", "rtrimstr", "trimstr", "startswith", "endswith", "has", "contains", "inside", "split", "join", "indices", "index",
  "rindex", "flatten", "error", "IN", "in", "test",
}
local OPERATORS = { "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "//" }
local UPDATES = { "=", "|=", "+=", "-=", "*=", "//=", "/=", "%=" }

local expression

local function path(depth, vars)
  local shape = math.random(14)
  if depth > 0 and shape <= 2 then
    return ("(%s | %s)"):format(path(depth - 1, vars), path(depth - 1, vars))
  elseif depth > 0 and shape == 3 then
    return ("(%s, %s)"):format(path(depth - 1, vars), path(depth - 1, vars))
  elseif shape == 4 then
    return pick {
      ".[]", ".[0]", ".[1:]", ".[-1]", "..", ".[:1]", "first", "last", "recurse", "empty", "getpath([\"a\"])", ".[2:4]", ".[-2:]",
      "getpath([\"b\", 0])", "paths", ".[]?", "error", "scalars", "strings", "arrays", "objects", "to_entries",
    }
  elseif depth > 0 and shape == 5 then
    return ("(.[] | select(%s))"):format(expression(depth - 1, vars))
  elseif depth > 0 and shape == 6 then
    return (".[%s]"):format(expression(depth - 1, vars))
  elseif depth > 0 and shape == 7 then
    return (".[%s:%s]"):format(pick { "0", "1", "-1", "" }, expression(depth - 1, vars))
  elseif depth > 0 and shape == 8 then
    return ("(if %s then %s else %s end)"):format(expression(depth - 1, vars), path(depth - 1, vars), path(depth - 1, vars))
  elseif depth > 0 and shape == 9 then
    return ("(%s // %s)"):format(path(depth - 1, vars), path(depth - 1, vars))
  elseif depth > 0 and shape == 10 then
    return ("(%s as $p | %s)"):format(expression(depth - 1, vars), path(depth - 1, vars))
  elseif depth > 0 and shape == 11 then
    return pick { "first(%s)", "limit(2; %s)", "last(%s)", "(label $q | %s | ., break $q)", "(def f: %s; f)", "(def f(g): g | g; f(%s))",
      "recurse(%s)", "(reduce (0, 1) as $i (.; %s))", "(foreach (0, 1) as $i (.; %s))", "getpath([paths] | .[0]) | %s" }
      :gsub("%%s", (path(depth - 1, vars):gsub("%%", "%%%%")))
  end
  return "." .. pick { "a", "b", "id", "name", "items" } .. pick { "", "", "", "[]", ".a", "[0]", "[1:]", ".b.c" }
end

-- Without the arrays libjq 1.6 catches what is raised behind the body, too.
local function tried(text)
  return math.random(6) == 1 and ("(%s)"):format(text) or ("([%s] | .[])"):format(text)
end

function expression(depth, vars)
  if depth <= 0 then
    local bound = #vars > 0 and pick(vars) or "."
    return pick { ".", "." .. pick { "a", "b", "c", "id", "name" }, scalar(), scalar(), pick(UNARY), bound, bound }
  end
  local function e(more)
    local inner = vars
    if more then
      inner = table.move(vars, 1, #vars, 1, {})
      for name in more:gmatch "%S+" do
        inner[#inner + 1] = name
      end
    end
    return expression(depth - 1, inner)
  end
  local function p()
    return path(math.min(depth, 2), vars)
  end
  local make = {
    function() return ("(%s | %s)"):format(e(), e()) end,
    function() return ("(%s | %s)"):format(e(), pick(UNARY)) end,
    function() return ("(%s | %s)"):format(e(), pick(UNARY)) end,
    function() return ("(%s, %s)"):format(e(), e()) end,
    function() return ("(%s %s %s)"):format(e(), pick(OPERATORS), e()) end,
    function() return ("(%s %s %s)"):format(e(), pick(OPERATORS), e()) end,
    function() return ("(%s %s %s %s %s)"):format(e(), pick { "+", "-", "*" }, e(), pick { "+", "/", "==" }, e()) end,
    function() return ("[%s]"):format(e()) end,
    function() return ("[%s, %s]"):format(e(), e()) end,
    function() return ("{a: (%s), (%s | tostring): 1}"):format(e(), e()) end,
    function() return ("{%s: (%s)}"):format(pick { "a", "id", '"x y"', "name", "@base64 \"k\"", '"a\\(1)"' }, e()) end,
    function() return ("{a: (%s), b: (%s), (%s | type): .}"):format(e(), e(), e()) end,
    function() return ("(%s as $k | {$k, id, \"name\"})"):format(e()) end,
    function() return ("(if %s then %s else %s end)"):format(e(), e(), e()) end,
    function() return ("(if %s then %s elif %s then %s end)"):format(e(), e(), e(), e()) end,
    function() return tried(("try (%s) catch %s"):format(e(), pick { '"caught"', "type", "null", "empty", '"c", "d"' })) end,
    function() return tried(("try (%s) catch ."):format(e())) end,
    function() return tried(("(%s)?"):format(e())) end,
    function() return tried(("try (%s) catch (%s)"):format(e(), e())) end,
    function() return ("((%s) as $x | %s)"):format(e(), e "$x") end,
    function() return ("((%s) as [$x, $y] | %s)"):format(e(), e "$x $y") end,
    function() return ("((%s) as {a: $x, $b} | %s)"):format(e(), e "$x $b") end,
    function() return ("((%s) as {a: [$x], (%s | tostring): $z} | %s)"):format(e(), e(), e "$x $z") end,
    function() return ("(reduce (%s) as $x (%s; %s))"):format(e(), e(), e "$x $x") end,
    function() return ("(reduce (%s) as [$x, $y] (%s; %s))"):format(e(), e(), e "$x $y") end,
    function() return ("(reduce (.[] | %s) as $x ([]; . + [%s]))"):format(e(), e "$x") end,
    function() return ("(reduce (%s) as $x ({}; .[$x | tostring] += %s))"):format(e(), e "$x") end,
    function() return ("[limit(10; foreach (%s) as $x (%s; %s))]"):format(e(), e(), e "$x") end,
    function() return ("[foreach (%s) as $x (0; . + 1; [., %s])]"):format(e(), e "$x") end,
    function() return ("[limit(20; foreach (%s) as [$x, $y] (%s; %s; %s))]"):format(e(), e(), e "$x $y", e "$x $y") end,
    function() return ("(label $l | (%s) | if %s then break $l else . end)"):format(e(), e()) end,
    function()
      return ("(label $l | (label $m | %s | if %s then break $l elif %s then break $m else . end), %s)"):format(e(), e(), e(), e())
    end,
    function() return ("[label $l | foreach (%s) as $x (0; . + 1; if . > 2 then ., break $l else %s end)]"):format(e(), e "$x") end,
    function() return ("[limit(%s; %s)]"):format(pick { "0", "1", "3", "(1, 2)" }, e()) end,
    function() return ("first(%s)"):format(e()) end,
    function() return ("[last(%s), nth(1; %s)]"):format(e(), e()) end,
    function() return ("[skip(%s; %s)]"):format(pick { "0", "1", "2" }, e()) end,
    function() return ("[.[] | %s]"):format(e()) end,
    function() return ("map(%s)"):format(e()) end,
    function() return ("map_values(%s)"):format(e()) end,
    function() return ("map(select(%s))"):format(e()) end,
    function() return ("%s(%s)"):format(pick { "sort_by", "group_by", "unique_by", "min_by", "max_by" }, e()) end,
    function() return ("(map({k: %s, v: .}) | %s(.k) | map(.v)?)"):format(e(), pick { "sort_by", "unique_by" }) end,
    function() return ("with_entries(%s)"):format(e()) end,
    function() return ("with_entries(.value |= (%s))"):format(e()) end,
    function() return ("any(%s)"):format(e()) end,
    function() return ("all(.[]; %s)"):format(e()) end,
    function() return ("(def f: %s; f | f)"):format(e()) end,
    function() return ("(def f(g): g | %s; f(%s))"):format(e "g", e()) end,
    function() return ("(def f(g): g, (%s); f(%s))"):format(e "g", e()) end,
    function() return ("(def f($v; g): %s; f(%s; %s))"):format(e "$v g v", e(), e()) end,
    function() return ("(def f(g; h): def k(g): [g, h]; k(h | %s); f(%s; %s))"):format(e "g h", e(), e()) end,
    function() return ("(def f($n): if $n > 0 then (%s | f($n - 1)) else %s end; f(3))"):format(e "$n", e "$n") end,
    function() return ("(def f(g; $n): if $n > 0 then f(g | %s; $n - 1) else g end; f(%s; 2))"):format(e "$n", e()) end,
    function() return ("((%s) as $x | def f: $x; %s as $x | [f, $x, %s])"):format(e(), e "$x", e "$x f") end,
    function() return ("(%s %s (%s))"):format(p(), pick(UPDATES), e()) end,
    function() return ("((%s) |= (%s))"):format(p(), e()) end,
    function() return ("((%s) |= (%s))"):format(p(), e()) end,
    function() return ("(. as $o | ((%s) = (%s)) | [., $o])"):format(p(), e "$o") end,
    function() return ("(. as $o | (%s) |= (%s) | (%s) += (%s) | [., $o])"):format(p(), e "$o", p(), e "$o") end,
    function() return ("[path(%s)]"):format(p()) end,
    function() return ("[paths(%s)]"):format(e()) end,
    function() return ("pick(%s)"):format(p()) end,
    function() return ("del(%s)"):format(p()) end,
    function() return ("del(%s, %s)"):format(p(), p()) end,
    function() return ("(delpaths([path(%s)]))"):format(p()) end,
    function() return ("[getpath(path(%s))]"):format(p()) end,
    function() return ("(reduce path(%s) as $x (.; setpath($x; %s)))"):format(p(), e "$x") end,
    function() return ("([paths] as $a | getpath($a[(%s | numbers) // 0]))"):format(e()) end,
    function() return ("to_entries | map(%s)"):format(e()) end,
    function() return ('"x\\(%s)y\\(%s)"'):format(e(), e()) end,
    function() return ('@%s "v=\\(%s)"'):format(pick { "json", "base64", "uri", "html", "sh", "text", "csv", "tsv" }, e()) end,
    function() return ("-(%s)"):format(e()) end,
    function() return ("[.[%s]?]"):format(e()) end,
    function() return ("(%s | .[%s])"):format(e(), e()) end,
    function()
      return (".[%s:%s]"):format(pick { "0", "1", "-1", "", "-2", "1.5", "null" }, pick { "2", "-1", "3", "100", "1.2", "null" })
    end,
    function() return ("(%s | .[%s:%s])"):format(e(), e(), e()) end,
    function() return ("(%s | %s(%s))"):format(e(), pick(BINARY), e()) end,
    function() return ("[range(%s; %s)]"):format(pick { "0", "1", "-2" }, pick { "3", "5", "0" }) end,
    function() return ("[limit(20; range(0; %s; %s))]"):format(pick { "3", "-5", "(2.5, 2)" }, pick { "1", "-2", "0.5", "(1, 2)" }) end,
    function() return "[recurse(if type == \"number\" and . < 3 then . + 1 else empty end)]" end,
    function() return ("[limit(20; recurse(%s; %s))]"):format(e(), e()) end,
    function() return ("[limit(5; repeat(%s, 1))]"):format(e()) end,
    function() return ("isempty(%s)"):format(e()) end,
    function() return ("add(%s)"):format(e()) end,
    function() return ("walk(if type == \"number\" then %s else . end)"):format(pick { ". + 1", "tostring", "empty", "-." }) end,
    function()
      local update = pick { "keys", "length", "del(.a)", "del(.[0])", "[.]", ".[1:]" }
      return ("walk(if type == \"%s\" then %s else . end)"):format(pick { "object", "array", "string" }, update)
    end,
    function() return ("(%s | until(. == null or (type != \"number\") or . > 50; . * 2 + 1))"):format(e()) end,
    function() return ("[(%s) as [$p] ?// {a: $p} ?// $p | $p]"):format(e()) end,
    function()
      return ("([range(%d)] | map({key: \"k\\(. * 7 %% 23)\", value: .}) | from_entries | %s)"):format(math.random(5, 40), e())
    end,
    function() return ("(tojson | fromjson | %s)"):format(e()) end,
    function() return ("[splits(\"a\"; \"g\")?, (%s)]"):format(e()) end,
    function() return ("limit(3; %s) as $x | [$x, %s]"):format(e(), e "$x") end,
    function() return ("(%s | tojson)"):format(e()) end,
    function() return ("(%s | %s)"):format(pick(SCALARS), e()) end, -- computed by the compiler, beside what is not
    function() return ("[.[]? | (%s | [., %s])]"):format(pick(SCALARS), e()) end,
  }
  return pick(make)()
end

-- What is left of 1.6 behind the definitions, by what the program says or what came out.
local function has_raw_try(p)
  local rest = p:gsub("%(%?<", "("):gsub("%[try ", "["):gsub("%?%]", "]"):gsub("%?//", "")
  return rest:find("?", 1, true) or rest:find("try ", 1, true)
end
local function says(...)
  local words = { ... }
  return function(p)
    for _, word in ipairs(words) do
      if p:find(word, 1, true) then
        return true
      end
    end
  end
end
local KNOWN = {
  { "until 1.7 a try caught what was raised behind its body too", has_raw_try },
  { "?// tries the next pattern for errors of the body only since 1.7", says "?//" },
  { "what a caught error says", says("catch .", "catch (") },
  { "1.6 has no literals, and writes numbers of 17 digits and of 1e17 on otherwise", function(p, input, text)
    for _, t in ipairs { p, input, text } do
      if t:find "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d" or t:find "%de[%+-]?%d%d" or t:find "%-0[^.%d]" then
        return true
      end
    end
  end },
  { "1.6 reverses no strings", says "reverse" },
  { "isnormal, isinfinite and isnan of what is no number is an error since 1.7", says("isn", "isinfinite") },
  { "an error that is null was none until 1.7", says "error" },
  { "paths(f) asks f about the input itself, too, since 1.7", says "paths(" },
  { "bsearch refuses what is no array since 1.8", says "bsearch" },
  { "an index with a fraction was null until 1.7", function(p)
    return p:find "%[[^%]:]*%d%.%d[^%]:]*%]"
  end },
  { "a minus is a part of its term only since 1.8", function(p)
    return p:find "%-[%d.]+ [*/%%]"
  end },
  { "the absent parts of a broken down time are 1900 and 0 since 1.8", function(p, _, outcome)
    return (p:find "date" or p:find "time") and (outcome:find "1899%-12%-31" or outcome:find "%-2209075200")
  end },
  { "transpose takes objects since 1.7", says "transpose" },
}

-- Doubles that two ways of computing them leave apart in the last digits.
local function near(a, b)
  return type(a) == "number" and type(b) == "number" and math.abs(a - b) <= 1e-12 * math.max(math.abs(a), math.abs(b))
end

-- Answers of one engine to a list of requests; a request that ends the process is answered by {died = …}.
local function ask(engine, requests)
  local answers = {}
  while #answers < #requests do
    local rest = {}
    for i = #answers + 1, #requests do
      rest[#rest + 1] = requests[i]
    end
    local result = support.run({ support.driver "jq_driver" }, {
      stdin = table.concat(rest, "\n") .. "\n", env = { MOONTIDE__ENGINE = engine, ASAN_OPTIONS = "detect_leaks=0" }, timeout = 20,
    })
    for line in result.out:gmatch "[^\n]+" do
      answers[#answers + 1] = support.json.decode(line)
    end
    if #answers < #requests then
      answers[#answers + 1] = { died = result.code, why = result.err }
    end
  end
  return answers
end

local counts, unexplained, programs, cases, died = {}, 0, 0, 0, 0
local until_ = os.time() + SECONDS
print(("seed %d"):format(SEED))
while os.time() < until_ do
  local requests, texts = {}, {}
  for i = 1, PROGRAMS do
    local inputs = {}
    for k = 1, 6 do
      inputs[k] = value(3)
    end
    texts[i] = expression(math.random(1, 4), {})
    requests[i] = ('{"op":"jq","program":%s,"inputs":[%s]}'):format(support.json.encode(texts[i]), table.concat(inputs, ","))
  end
  local native, libjq = ask("native", requests), ask("libjq", requests)
  for i, request in ipairs(requests) do
    programs = programs + 1
    local a, b = native[i], libjq[i]
    local function report(input, what, x, y)
      for _, rule in ipairs(KNOWN) do
        if rule[2](texts[i], input, what, x, y) then
          counts[rule[1]] = (counts[rule[1]] or 0) + 1
          return
        end
      end
      unexplained = unexplained + 1
      print(("%s\n  input %s\n  %s"):format(texts[i], input, what))
    end
    if a.died then
      unexplained = unexplained + 1
      print(("DIED (%s) %s\n%s"):format(a.died, request, a.why:sub(-2000)))
    elseif b.died then
      died = died + 1
    elseif a.compile or b.compile then
      if not (a.compile and b.compile) then
        report("-", "native: " .. tostring(a.compile) .. " libjq: " .. tostring(b.compile))
      end
    else
      local inputs = support.json.decode(request).inputs
      for k, input in ipairs(inputs) do
        cases = cases + 1
        local x, y = a.results[k], b.results[k]
        if not support.json.same(x.v, y.v, near) or (x.e == nil) ~= (y.e == nil) then
          report(support.json.encode(input), ("native %s %s\n  libjq  %s %s"):format(support.json.encode(x.v), tostring(x.e),
            support.json.encode(y.v), tostring(y.e)), x, y)
        end
      end
    end
  end
end
print(("%d programs, %d cases, %d programs that ended libjq, %d unexplained differences"):format(programs, cases, died, unexplained))
for name, count in pairs(counts) do
  print(("  %6d  %s"):format(count, name))
end
os.exit(unexplained == 0 and 0 or 1)
