-- Expressions that try to break out, to reach the process, or to end it: the engine stays (architecture 3.4.4, 3.4.7).
local drive = require "spec.jq.drive"
local support = require "spec.support"

local function jq(program, input)
  return drive { { op = "jq", program = program, inputs = { input or support.json.object() } } }[1]
end

describe("hostile expressions", function()
  it("do not compile when they leave their parentheses", function()
    for _, program in ipairs {
      "1) | $ENV | (1", ")", "(", "1 ]", "[1", "{", "}", '"', '"\\(', '"\\(1"', "1) , (2", "if . then 1", "end",
        "1 end",
      "# )\n)", '"a" ) "b"', "1;2", "if 1 then ) else ( end", "def f: ) | (; f", "[1) , (2]", "", "  ", "# only this",
        "\0",
      "1 \0 2", '"\\u12"', "@", "$", ".a.", "..a", "a::", 'import "a" as a; 1', 'include "a"; 1', 'module {}; 1',
      'import "/etc/passwd" as $p; $p', ("("):rep(300) .. "1" .. (")"):rep(300), "reduce", "try", "| 1", "1 |",
        "label", "as",
    } do
      local answer = jq(program)
      assert.is_truthy(answer.compile, program)
      assert.is_truthy(#answer.compile <= 320, #answer.compile)
    end
  end)

  it("see no environment, whatever they do (R-JQ-03)", function()
    for program, expected in pairs {
      ["$ENV"] = "{}", ["env"] = "{}", ["$ENV.HOME"] = "null", ["env.PATH"] = "null", ["$ENV | length"] = "0",
      ['"\\($ENV.HOME)"'] = '"null"', ["[env[]] | length"] = "0", ["def f: env; f"] = "{}",
        ["{} | env.HOME // 5"] = "5",
    } do
      local answer = jq(program)
      assert.same({ support.json.decode(expected) }, answer.results[1].v, program)
    end
  end)

  it("see it when the setting allows it (R-JQ-03)", function()
    local request = { op = "jq", program = "[$ENV.PATH, env.PATH] | map(type)", inputs = { 1 }, environment = true }
    assert.same({ { "string", "string" } }, drive({ request })[1].results[1].v)
  end)

  it("cannot end, read or print anything", function()
    for _, program in ipairs {
      "halt", "halt_error", "halt_error(1)", "input", "[inputs] | error", "modulemeta", '"a" | modulemeta',
      "1, halt", "try halt catch error",
    } do
      local answer = jq(program)
      assert.is_truthy(answer.results[1].e, program)
    end
    for program, expected in pairs {
      ["[inputs]"] = {}, ["input_filename"] = support.json.null, ["input_line_number"] = 0,
        ["stderr"] = support.json.object(),
      ["debug"] = support.json.object(), ['debug("x") | 1'] = 1, ["get_search_list"] = {},
        ["$__loc__"] = { file = "<top-level>", line = 1 },
    } do
      local answers, err = drive { { op = "jq", program = program, inputs = { support.json.object() } } }
      assert.same({ expected }, answers[1].results[1].v, program)
      assert.equal("", err, program)
    end
  end)

  it("raise where libjq 1.6 would end the process or never end", function()
    for _, program in ipairs {
      "1e300 | todate", "-1e300 | todate", "nan | todate", "infinite | gmtime", "1e300 | localtime",
        "[1e300] | mktime",
      '[1,2] | map("x") | mktime', '["a",1,1,1,1,1,1,1] | strftime("%Y")', '{} | strftime("%Y")',
        "1e300 | strflocaltime(\"%Y\")",
      '0 | strftime(1)', '"x" * 1e10', '-9223372036854775808 % 0', "[1e9] | .[1e9] = 1 | length", "setpath([1e9]; 1)",
      "{a: 1} | .a[1e9] |= 1", "error({a:1})", '["a"] | implode', "limit(-1; 1)", '" 1" | tonumber',
      '{} | implode', '"x" | @base32d | @base32d', "[limit(3; range(10))] | nth(-1; .[])", '"%zz" | @urid',
        "[] | tojson | test(1)",
      '"a" | test("(")', '"a" | test("a"; "q")', "{} | sub(\"a\"; \"b\")", "null | ltrimstr(1)", "null | trim",
    } do
      local answer = jq(program, support.json.null)
      assert.is_truthy(answer.results and answer.results[1].e, program)
    end
    for program, expected in pairs {
      ["-9223372036854775808 % -1"] = "0", ["nan % -1 | isnan"] = "true",
        ["[1114112, -1, 55296] | implode | length"] = "3",
      ['"aaa" | indices("")'] = "[]", ['"é" | gsub("";"-")'] = '"-é-"', ['"é" | [match("";"g").offset]'] = "[0,1]",
      ['"aé" | gsub("$";"x")'] = '"aéx"', ["[1,2,3] | .[nan:1]"] = "[1]", ["[1,2,3] | del(.[nan,nan])"] = "[1,2,3]",
      ["[error(null)]"] = "[]", -- 1.6 takes it for no result
      ['"" * 1000000000'] = '""', ["[limit(0; error)]"] = "[]",
    } do
      assert.same({ support.json.decode(expected) }, jq(program, support.json.null).results[1].v, program)
    end
  end)

  it("have their messages cut, so that no document gets into a log", function()
    local answer = jq("error(.)", { ("x"):rep(5000) })
    assert.is_true(#answer.results[1].e <= 200, #answer.results[1].e)
    answer = jq(".a.b", { a = ("é"):rep(5000) })
    assert.is_true(#answer.results[1].e <= 200 and utf8.len(answer.results[1].e) ~= nil)
  end)
end)
