-- Memory that the system refuses, one allocation after the other, while a program or a mapping is compiled and run.
local support = require "spec.support"
local json = support.json

local function drive(requests)
  for i, request in ipairs(requests) do
    requests[i] = type(request) == "string" and request or json.encode(request)
  end
  local result = support.run({ support.driver "refusal_driver" }, { stdin = table.concat(requests, "\n") .. "\n" })
  assert(result.code == 0, "refusal_driver: exit " .. result.code .. ": " .. result.err)
  local answers = json.lines(result.out)
  assert(#answers == #requests, "refusal_driver gave " .. #answers .. " answers to " .. #requests)
  return answers
end

local PROGRAMS = {
  "[range(3000)] | map({a: ., b: \"\\(.)\"}) | group_by(.a % 3) | map(length)",
  "def f: if . > 3000 then . else 1 + (. + 1 | f) end; 0 | f",
  "[paths] | length, (.[] |= tostring), (.[1][0] |= empty), del(.[1:])",
  "[match(\"(?<a>.)b\"; \"g\").captures[].string], gsub(\"b\"; \"\\(1)\"), test(\"x\"), @base64, (explode | implode), ascii_upcase",
  "tojson, (tojson | fromjson), @json, (. as [$a, [$b]] ?// $a | [$a, $b]), [limit(3; repeat(.[]))], first(range(5))",
  "reduce range(200) as $i ({}; .[\"k\\($i % 50)\"] += [$i]) | length, (keys | length), (to_entries | length), (tojson | length)",
  "strptime(\"%Y\")? // todate, (1425599507 | todate | fromdate), ([.[]?] | sort_by(.) | unique | length), input_line_number?",
  "([range(500)] | map(. * 7 % 101) | sort | .[3:9]), ([range(500) | tostring] | join(\"-\") | length), (\"ab\" * 3000 | length)",
  "[.. | numbers], walk(if type == \"number\" then . + 1 else . end), ([tostream] | fromstream(.[])), pick(.[0])",
}

describe("memory that is refused", function()
  for _, rest in ipairs { false, true } do
    local all = rest and ", and all that comes after it," or ""
    it(("ends a program with an error that says so: each allocation%s in turn"):format(all), function()
      local requests = {}
      for i, program in ipairs(PROGRAMS) do
        local input = i == 4 and '"abxb ab"' or i == 7 and "1425599507" or '[1,[2,3],"x"]'
        requests[i] = ('{"op":"run","program":%s,"input":%s,"rest":%s}'):format(json.encode(program), input, rest)
      end
      for i, answer in ipairs(drive(requests)) do
        assert.same({}, answer.wrong, PROGRAMS[i])
        assert.is_true(answer.refused > 3 and answer.told > 0, PROGRAMS[i] .. ": " .. answer.refused .. ", " .. answer.told)
      end
    end)

    it(("fails a mapping, or the items concerned, in words: each allocation%s in turn"):format(all), function()
      local query = { combinator = "'and'", rules = { { property = "'$title'", operator = "'='", value = ".name" } } }
      local resource = {
        kind = "k", selector = { query = ".name != \"no\"" },
        port = { itemsToParse = ".parts", entity = { mappings = {
          identifier = ".name + (.item.id | tostring)", blueprint = "'b'", title = ".name", team = "[.item.team]",
          properties = { text = "\"\\(.item)\"", sum = "[range(.item.id * 500)] | map(tostring) | add",
            first = "first(.parts[])", n = ".none" },
          relations = { one = query, many = "[.parts[].team]" },
        } } },
      }
      local items = {
        { name = "a", parts = { { id = 1, team = "x" }, { id = 2, team = "y" } } },
        { name = "no", parts = { { id = 3 } } },
        { name = "c", parts = { { id = "z" } } },
      }
      local answer = drive { { op = "map", resource = resource, items = items, rest = rest } }[1]
      assert.same({}, answer.wrong)
      assert.is_true(answer.refused > 10 and answer.told > 5, answer.refused .. ", " .. answer.told)
    end)
  end
end)
