-- jq 1.8's meaning, of our own engine and on libjq 1.6 (runtime/jq/prelude.c, rewrite.c); R-JQ-01.
local drive = require "spec.jq.drive"
local support = require "spec.support"
local shared = support.shared()

-- program, input, outputs (all JSON text but the program)
local CASES = {
  -- 1.7: if without else; elif; if as a term
  { "if . then 1 end", "false", "false" },
  { "if . == 1 then 2 elif . == 3 then 4 end", "5", "5" },
  { "{a: if . then 1 else 2 end}", "true", '{"a":1}' },
  { "if . then {a: 1} else {} end.a", "true", "1" },
  -- operators in object values, keywords as keys and variables
  { "{a: 1 + 2, b: .x // 3}", "{}", '{"a":3,"b":3}' },
  { "{if: 1, and: 2}", "null", '{"if":1,"and":2}' },
  { "{and, or}", '{"and":1,"or":2}', '{"and":1,"or":2}' },
  { "1 as $end | $end", "null", "1" },
  { "{(\"a\", \"b\"): 1}", "null", '{"a":1}', '{"b":1}' },
  { ". as {a: $x, b: [$y]} | $x + $y", '{"a":1,"b":[2]}', "3" },
  { ". as [$a] ?// {a: $a} | $a", '{"a":7}', "7" },
  { "reduce .[] as [$a, $b] (0; . + $a * $b)", "[[1,2],[3,4]]", "14" },
  -- 1.8: as takes an expression
  { '"x" as $x | "a" + "y" as $y | $x + "," + $y', "null", '"x,ay"' },
  { "[-1 as $x | 1, $x]", "null", "[1,-1]" },
  { "reduce .[] / 2 as $x (0; . + $x)", "[2,4]", "3" },
  { "[.[] as $x | $x + 1]", "[1,2]", "[2,3]" },
  { "def f($a; g): $a | g; f(1; . + 1)", "null", "2" },
  -- .a.[0], ?//, .e0, comments
  { ".a.[0].b", '{"a":[{"b":1}]}', "1" },
  { ".[1.5:1], .[1.5:-1], .[0.5:1.5], .[:1.2], .[-1.5:]", "[0,1]", "[]", "[]", "[0,1]", "[0,1]", "[0,1]" },
  { '.a.["b"]', '{"a":{"b":1}}', "1" },
  { '.a?//"d"', "[]", '"d"' },
  { ".e0 + .E1", '{"e0":1,"E1":2}', "3" },
  { "1 # one \\\n2\n+ 1", "null", "2" },
  { "1 # ) ] }\n + 1", "null", "2" },
  { '"# no comment ( [ {"', "null", '"# no comment ( [ {"' },
  { '"a\\("b" + "(\\(1 + 1))")c"', "null", '"ab(2)c"' },
  { '@base64 "x\\(1 + 1)"', "null", '"xMg=="' },
  -- functions that are new or mended
  { "map(abs)", "[-1,0,2.5]", "[1,0,2.5]" },
  { "[.[] | toarray]", "[1,[2]]", "[[1],[2]]" },
  { "pick(.a, .b.c)", '{"a":1,"b":{"c":2,"d":3}}', '{"a":1,"b":{"c":2}}' },
  { "pick(first)", "[1,2]", "[1]" },
  { "add(.[].a)", '[{"a":1},{"a":2}]', "3" },
  { "[trim, ltrim, rtrim]", '" \\u00a0a b\\t\\n"', '["a b","a b\\t\\n"," \\u00a0a b"]' },
  { "trim", '"   "', '""' },
  { 'ltrimstr("a"), rtrimstr("c"), trimstr("a")', '"aba"', '"ba"', '"aba"', '"b"' },
  { "[limit(0; 1, 2)], [limit(2; .[])], [limit(1; .[]?)]", "[1,2,3]", "[]", "[1,2]", "[1]" },
  { "[skip(2; .[])]", "[1,2,3]", "[3]" },
  { "[nth(5; .[])], nth(1; .[])", "[1,2,3]", "[]", "2" },
  { "[last(empty)], last(.[])", "[1,2]", "[]", "2" },
  { "[first(.[]?, .[]?)]", "[1,2]", "[1]" },
  { "[first(empty)]", "null", "[]" },
  { "isempty(.[]), isempty(empty), isempty(error)?", "[1]", "false", "true" },
  { "any(.[]; . > 1), all(.[]; . > 0), any, all", "[1,2]", "true", "true", "true", "true" },
  { "IN(1, 2), IN(3)", "1", "true", "false" },
  { "(.[] | select(. > 1)) |= empty", "[1,2,3]", "[1]" },
  { "map_values(empty)", '{"a":1}', "{}" },
  { "map_values(. + 1)", '{"a":1}', '{"a":2}' },
  { ".a += 1 | .b //= 5 | .c = 7 | .d *= 2", '{"a":1,"d":3}', '{"a":2,"b":5,"c":7,"d":6}' },
  { "walk(if type == \"number\" then . + 1 else . end)", '{"b":[1],"a":2}', '{"b":[2],"a":3}' },
  { "from_entries", '[{"key":false,"value":1},{"k":"b","v":2},{"name":"c"}]', '{"false":1,"b":2,"c":null}' },
  { 'with_entries(.key |= "x" + .)', '{"a":1}', '{"xa":1}' },
  { 'indices(", ")', '"é, b, c"', "[1,4]" },
  { 'index("b"), rindex("b")', '"ébb"', "1", "2" },
  { "indices(1)", "[0,1,1]", "[1,2]" },
  { '[.[] | tonumber]', '["1","-2.5","+3","1e2",4]', "[1,-2.5,3,100,4]" },
  { "map(try tonumber catch \"no\")", '["1 "," 1","0x1","","1a"]', '["no","no","no","no","no"]' },
  { "[.[] | toboolean]", '["true",false]', "[true,false]" },
  { "@uri", [["a b!*'()é-_.~"]], '"a%20b%21%2A%27%28%29%C3%A9-_.~"' },
  { "@uri | @urid", '"a b!é☃"', '"a b!é☃"' },
  { "@base32d", '"ORUGS4ZANFZSAYJAORSXG5A="', '"this is a test"' },
  { "@text, @json, @html", [["<é>"]], [["<é>"]], [["\"<é>\""]], [["&lt;é&gt;"]] },
  { "5 % -2, -5 % 3, 5.9 % 2", "null", "1", "-2", "1" },
  { '"ab" * 2, 2 * "ab", "ab" * 0.5, {} * {a: 1}', "null", '"abab"', '"abab"', '""', '{"a":1}' },
  { "have_literal_numbers", "null", "true" },
  { "splits(\", *\")", '"a, b,c"', '"a"', '"b"', '"c"' },
  { 'split(", *"; null), split(",")', '"a, b"', '["a","b"]', '["a"," b"]' },
  { 'gsub("a"; "b"), sub("a"; "b")', '"aa"', '"bb"', '"ba"' },
  { 'gsub(""; "-"), gsub("^"; ">"), gsub("$"; "<"), gsub("x*"; "-")', '"ab"', '"-a-b-"', '">ab"', '"ab<"',
    '"-a-b-"' },
  { 'gsub("(?<l>[a-z])(?<d>\\\\d)?"; "\\(.l)\\(.d)")', '"a1b"', '"a1bnull"' },
  { '[sub("(?<x>a)"; "1", "2")]', '"ab"', '["1b","2b"]' },
  { 'gsub("[^a-z]+"; "-")', '"a  b é"', '"a-b-"' },
  { 'gsub("\\\\s+$"; "")', '"ab  "', '"ab"' },
  { 'capture("(?<y>\\\\d+)-(?<m>\\\\d+)?")', '"2024-"', '{"y":"2024","m":null}' },
  { '[scan("[a-z]"), scan("(A)"; "i")]', '"aB"', '["a",["a"]]' },
  { 'test("B"; "i"), test("x"), test(["a", "x"])', '"ab"', "true", "false", "true" },
  { '[match("a"; "g").offset], [match(["a", "g"]).offset]', '"ébaa"', "[2,3]", "[2,3]" },
  { "todate, (todate | fromdate)", "1425599621", '"2015-03-05T23:53:41Z"', "1425599621" },
  { 'strftime("%Y-%m-%d"), strftime("")', "0", '"1970-01-01"', '""' },
  { "gmtime | mktime", "1425599621", "1425599621" },
  { 'strptime("%Y-%m-%d") | mktime', '"2024-05-01"', "1714521600" },
  { "[1, 2] | implode, ([233] | implode)", "null", '"\\u0001\\u0002"', '"é"' },
  { "[.[] | ascii_downcase]", '["AÉ"]', '["aÉ"]' },
  { "getpath([\"a\", 0])", '{"a":[5]}', "5" },
  { "tojson, ([1, 2.5, null] | tojson)", '{"a":"é"}', [["{\"a\":\"é\"}"]], '"[1,2.5,null]"' },
  { "label $f | 1, break $f, 2", "null", "1" },
  { "try error(\"x\") catch .", "null", '"x"' },
  { "[.[] | (1 / .)?]", "[1,0]", "[1]" },
  { "ltrimstr(\"x\") | ascii_upcase", '"xy"', '"Y"' },
  { "del(.a, .b[0])", '{"a":1,"b":[1,2]}', '{"b":[2]}' },
  { "infinite, -infinite, nan", "null", "1.7976931348623157e308", "-1.7976931348623157e308", "null" }, -- R-JQ-17
  { "5.0, 1e3, -0.0", "null", "5", "1000", "0" }, -- R-JQ-17
  -- integers from 2^53 on are kept as long as nothing is computed with them
  { ".id, (.id | tostring), [.id], {a: .id}, \"x\\(.id)\"", '{"id":9007199254740993}', "9007199254740993",
    '"9007199254740993"', "[9007199254740993]", '{"a":9007199254740993}', '"x9007199254740993"' },
  { "map(tostring)", "[12345678901234567,100000000000000000,-9007199254740993]",
    '["12345678901234567","100000000000000000","-9007199254740993"]' },
  { ".[0]", "[12345678901234567,12345678901234568]", "12345678901234567" }, -- two that share a double
}

-- What the prelude does not mend.
local NATIVE_ONLY = { ['"ab" * 2, 2 * "ab", "ab" * 0.5, {} * {a: 1}'] = true, [".[0]"] = true }

for _, engine in ipairs { "native", "libjq" } do
describe("the language (R-JQ-01), " .. engine, function()
  local requests = {}
  for i, case in ipairs(CASES) do
    requests[i] = ('{"op":"jq","program":%s,"inputs":[%s]}'):format(support.json.encode(case[1]), case[2])
  end
  local answers = drive(requests, { MOONTIDE__ENGINE = engine })
  for i, case in ipairs(CASES) do
    it(case[1], function()
      if engine == "libjq" and NATIVE_ONLY[case[1]] then
        return
      end
      local wanted = {}
      for k = 3, #case do
        wanted[k - 2] = support.json.decode(case[k])
      end
      local answer = answers[i]
      assert.is_nil(answer.compile, answer.compile)
      local got = answer.results[1]
      assert.is_true(support.json.same(wanted, got.v), support.json.encode(got))
    end)
  end
end)
end

if not shared then
  return
end

-- Known to differ: modules, the environment, wording of errors, literals that are not integers, and what 1.6's `try`
-- catches.
local FLOOR = { ["man.test"] = 229, ["manonig.test"] = 19, ["onig.test"] = 47, ["base64.test"] = 9,
  ["jq-half.test"] = 238 }

describe("jq's own tests, the engine libjq", function()
  for name, floor in pairs(FLOOR) do
    it("pass as far as libjq 1.6 can: at least " .. floor .. " of " .. name, function()
      local requests, wanted, block = {}, {}, {}
      local function flush()
        local fail = block[1] and block[1]:match "^%%%%FAIL"
        if fail then
          requests[#requests + 1] = { op = "jq", program = block[2], inputs = {} }
          wanted[#requests] = "fail"
        elseif #block >= 2 then
          local ok = not block[2]:find("^\u{feff}") and pcall(support.json.decode, block[2])
          local outputs = {}
          for i = 3, #block do
            local good, value = pcall(support.json.decode, block[i])
            ok, outputs[i - 2] = ok and good, good and value
          end
          if ok then
            requests[#requests + 1] = ('{"op":"jq","program":%s,"inputs":[%s]}'):format(
              support.json.encode(block[1]), block[2])
            wanted[#requests] = outputs
          end
        end
        block = {}
      end
      for line in (support.read(shared .. "/corpus/jq/" .. name) .. "\n\n"):gmatch "([^\n]*)\n" do
        if line:match "^%s*$" then
          flush()
        elseif not line:match "^%s*#" then
          block[#block + 1] = line
        end
      end
      local passed = 0
      for i, answer in ipairs(drive(requests, { MOONTIDE__ENGINE = "libjq" })) do
        if wanted[i] == "fail" then
          passed = passed + (answer.compile and 1 or 0)
        elseif answer.results and support.json.same(wanted[i], answer.results[1].v) then
          passed = passed + 1
        end
      end
      assert.is_true(passed >= floor, passed .. " of " .. #requests)
    end)
  end
end)
