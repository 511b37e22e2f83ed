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
  "null", "true", "false", "0", "1", "-1", "2", "3.5", "-0.5", "10", "100", "1234567", "9007199254740993", '""', '"a"', '"ab"',
  '"a,b, c"', '"äöü€😀"', '"2015-03-05T23:51:47Z"', '"12"', '"x y  z"', '"A-b_C"', '"true"', '"\\u0000"', '"a/b/c"', "1425599507",
}
local NAMES = { "a", "b", "c", "id", "name", "key", "value", "items", "é" }

local function value(depth)
  local shape = math.random(10)
  if depth == 0 or shape <= 4 then
    return pick(SCALARS)
  end
  local parts = {}
  for i = 1, math.random(0, 4) do
    parts[i] = (shape <= 7 and "" or ('"%s":'):format(pick(NAMES))) .. value(depth - 1)
  end
  return (shape <= 7 and "[%s]" or "{%s}"):format(table.concat(parts, ","))
end

-- Programs. VARS and LABELS are what is bound where the expression stands.
local UNARY = {
  "length", "utf8bytelength", "not", "keys", "keys_unsorted", "values", "type", "add", "any", "all", "flatten", "floor", "sqrt", "sort",
  "unique", "group_by(.)", "reverse", "tostring", "tonumber", "tojson", "fromjson", "ascii_downcase", "ascii_upcase", "explode",
  "implode", "to_entries", "from_entries", "min", "max", "first", "last", "empty", "error", "recurse", "..", "env | type", "transpose",
  "ltrimstr(\"a\")", "rtrimstr(\"c\")", "startswith(\"a\")", "endswith(\"b\")", "split(\",\")", "split(\", *\"; null)", "join(\"-\")",
  "ascii", "todate", "fromdate", "gmtime", "mktime", "tostream", "paths", "leaf_paths", "isinfinite", "isnan", "isnormal",
  "infinite", "nan | isnan", "abs",
  "toarray", "trim", "ltrim", "rtrim", "arrays", "objects", "iterables", "booleans", "numbers",
  "strings", "nulls", "scalars", "combinations", "@text", "@json", "@csv", "@tsv", "@html", "@uri", "@sh", "@base64", "@base64d",
  "splits(\", \")", "ceil", "round", "fabs", "test(\"a\")", "[match(\"[a-z]+\"; \"g\").string]", "capture(\"(?<x>[a-z])\")",
  "[scan(\"[a-c]\")]", "sub(\"a\"; \"z\")", "gsub(\"[a-c]\"; \"<\\(.)>\")", "gsub(\"(?<l>[a-z])\"; .l + .l)", "isvalid(.a)",
  "with_entries(.value |= tostring)", "map_values(.)", "walk(.)", "del(.a)", "del(.[0])", "del(.[1:])", "to_entries | from_entries",
  "indices(\"a\")", "index(\",\")", "rindex(\",\")", "indices(1)", "inside([1,2,3])", "contains(\"a\")", "has(\"a\")", "has(0)",
  "getpath([\"a\",\"b\"])", "[paths]", "[splits(\" +\")]", "ascii_downcase | ascii_upcase", "fromjson?", "tojson | fromjson",
  "[.[]?]", ".[]?", ".[0]?", ".a?", ".[1:]?", ".[:-1]?", ".[-1:]?", "unique_by(length)", "min_by(length)", "max_by(length)",
  "sort_by(length)", "group_by(type)", "[limit(3; .[]?)]", "first(.[]?)", "isempty(.[]?)", "[range(3)]", "strftime(\"%Y-%m-%d\")",
  "(tojson | length)", "getpath([])", "pick(.a)", "[.[]? | numbers]", "add(.[]?)", "limit(2; .[]?)",
  "[skip(1; .[]?)]", "have_literal_numbers",
}
local OPERATORS = { "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "//" }
local UPDATES = { "=", "|=", "+=", "-=", "*=", "//=" }

local expression

local function path(depth)
  local shape = math.random(8)
  if depth > 0 and shape == 1 then
    return ("(%s | %s)"):format(path(depth - 1), path(depth - 1))
  elseif depth > 0 and shape == 2 then
    return ("(%s, %s)"):format(path(depth - 1), path(depth - 1))
  elseif shape == 3 then
    return pick { ".[]?", ".[0]", ".[1:]", ".[-1]", "..", ".[:1]", "first", "last", "recurse", "empty", "getpath([\"a\"])" }
  elseif depth > 0 and shape == 4 then
    return ("(.[]? | select(%s))"):format("true")
  end
  return "." .. pick { "a", "b", "id", "name", "items" } .. pick { "", "", "?", "[]?", ".a" }
end

function expression(depth, vars)
  if depth <= 0 then
    local bound = #vars > 0 and pick(vars) or "."
    return pick { ".", "." .. pick { "a", "b", "c", "id", "name" }, pick(SCALARS), pick(SCALARS), pick(UNARY), bound }
  end
  local function e(more)
    local inner = vars
    if more then
      inner = table.move(vars, 1, #vars, 1, {})
      inner[#inner + 1] = more
    end
    return expression(depth - 1, inner)
  end
  local make = {
    function() return ("(%s | %s)"):format(e(), e()) end,
    function() return ("(%s | %s)"):format(e(), pick(UNARY)) end,
    function() return ("(%s, %s)"):format(e(), e()) end,
    function() return ("(%s %s %s)"):format(e(), pick(OPERATORS), e()) end,
    function() return ("(%s %s %s)"):format(e(), pick(OPERATORS), e()) end,
    function() return ("[%s]"):format(e()) end,
    function() return ("{a: (%s), (%s | tostring): 1}"):format(e(), e()) end,
    function() return ("{%s: (%s)}"):format(pick { "a", "id", '"x y"', "name" }, e()) end,
    function() return ("(if %s then %s else %s end)"):format(e(), e(), e()) end,
    function() return ("(if %s then %s end)"):format(e(), e()) end,
    function() return ("(try (%s) catch .)"):format(e()) end,
    function() return ("((%s)?)"):format(e()) end,
    function() return ("(try (%s) catch %s)"):format(e(), "\"caught\"") end,
    function() return ("((%s) as $x | %s)"):format(e(), e "$x") end,
    function() return ("((%s) as [$x, $y] | %s)"):format(e(), e "$y") end,
    function() return ("((%s) as {a: $x} | %s)"):format(e(), e "$x") end,
    function() return ("(reduce (%s) as $x (%s; %s))"):format(e(), e(), e "$x") end,
    function() return ("[limit(10; foreach (%s) as $x (%s; %s))]"):format(e(), e(), e "$x") end,
    function() return ("[foreach (%s) as $x (0; . + 1; [., %s])]"):format(e(), e "$x") end,
    function() return ("(label $l | (%s) | if %s then break $l else . end)"):format(e(), e()) end,
    function() return ("[limit(3; %s)]"):format(e()) end,
    function() return ("first(%s)"):format(e()) end,
    function() return ("[.[]? | %s]"):format(e()) end,
    function() return ("map(%s)?"):format(e()) end,
    function() return ("map(select(%s))?"):format(e()) end,
    function() return ("(sort_by(%s))?"):format(e()) end,
    function() return ("(group_by(%s))?"):format(e()) end,
    function() return ("(with_entries(%s))?"):format(e()) end,
    function() return ("any(%s)"):format(e()) end,
    function() return ("all(.[]?; %s)"):format(e()) end,
    function() return ("(def f: %s; f | f)"):format(e()) end,
    function() return ("(def f(g): g | %s; f(%s))"):format(e(), e()) end,
    function() return ("(def f($v; g): %s; f(%s; %s))"):format(e "$v", e(), e()) end,
    function() return ("(%s %s (%s))"):format(path(1), pick(UPDATES), e()) end,
    function() return ("((%s) |= (%s))"):format(path(2), e()) end,
    function() return ("[path(%s)]"):format(path(2)) end,
    function() return ("del(%s)"):format(path(1)) end,
    function() return ("to_entries | map(%s)"):format(e()) end,
    function() return ('"x\\(%s)y"'):format(e()) end,
    function() return ('@%s "v=\\(%s)"'):format(pick { "json", "base64", "uri", "html", "sh", "text" }, e()) end,
    function() return ("-(%s)"):format(e()) end,
    function() return (".[%s]?"):format(e()) end,
    function() return (".[%s:%s]?"):format(pick { "0", "1", "-1", "" }, pick { "2", "-1", "3" }) end,
    function() return ("[range(%s; %s)]"):format(pick { "0", "1", "-2" }, pick { "3", "5", "0" }) end,
    function() return ("[recurse(if type == \"number\" and . < 3 then . + 1 else empty end)]") end,
    function() return ("isempty(%s)"):format(e()) end,
    function() return ("walk(if type == \"number\" then %s else . end)"):format(pick { ". + 1", "tostring", "empty", "-." }) end,
    function() return ("(%s | until(. == null or (type != \"number\") or . > 50; . * 2 + 1))"):format(e()) end,
    function() return ("[(%s) as [$p] ?// {a: $p} ?// $p | $p]"):format(e()) end,
  }
  return pick(make)()
end

-- What is left of 1.6 behind the definitions, by what the program says or what came out.
local KNOWN = {
  { "until 1.7 a try caught what was raised behind its body too", function(p, _, _, native, libjq)
    return (p:find(")?", 1, true) and native and native.e and not libjq.e) or p:find("(try ", 1, true)
  end },
  { "?// tries the next pattern for errors of the body only since 1.7", function(p) return p:find("?//", 1, true) end },
  { "what a caught error says", function(p) return p:find("catch .", 1, true) end },
  { "1.6 writes numbers of 17 digits and of 1e17 on otherwise", function(p, _, text)
    return text:find "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d" or text:find "e%+%d%d" or p:find "9007199254740993"
  end },
}

local function near(a, b)
  if type(a) == "number" and type(b) == "number" then
    return a == b or math.abs(a - b) <= 1e-12 * math.max(math.abs(a), math.abs(b))
  elseif type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for k, v in pairs(a) do
    if not near(v, b[k]) then
      return false
    end
  end
  for k in pairs(b) do
    if a[k] == nil then
      return false
    end
  end
  return true
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
      stdin = table.concat(rest, "\n") .. "\n", env = { MOONTIDE__ENGINE = engine, ASAN_OPTIONS = "detect_leaks=0" }, timeout = 120,
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
        if not near(x.v, y.v) or (x.e == nil) ~= (y.e == nil) then
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
