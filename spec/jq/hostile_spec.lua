-- Expressions that try to break out, to reach the process, or to end it: the engine stays (architecture 3.4.4, 3.4.7).
local drive = require "spec.jq.drive"
local support = require "spec.support"

local function jq(program, input, engine)
  return drive({ { op = "jq", program = program, inputs = { input or support.json.object() } } },
    { MOONTIDE__ENGINE = engine })[1]
end

describe("hostile expressions", function()
  it("do not compile when they leave their parentheses", function()
    for _, program in ipairs {
      "1) | $ENV | (1", ")", "(", "1 ]", "[1", "{", "}", '"', '"\\(', '"\\(1"', "1) , (2", "if . then 1", "end",
        "1 end",
      "# )\n)", '"a" ) "b"', "1;2", "if 1 then ) else ( end", "def f: ) | (; f", "[1) , (2]", "", "  ", "# only this",
        "\0",
      "1 \0 2", '"\\u12"', "@", "$", ".a.", "..a", "a::", 'import "a" as a; 1', 'include "a"; 1', 'module {}; 1',
      'import "/etc/passwd" as $p; $p', "reduce", "try", "| 1", "1 |",
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
      "halt", "halt_error", "halt_error(1)", "input", "[inputs] | error", "1, halt", "try halt catch error",
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
      -- What the native engine has not is libjq's, which is said once; nothing else is written.
      assert.is_truthy(err == "" or err:find "^%S+ %S+ WARN  the jq expression .- is evaluated by libjq: line 1, [^\n]+\n$",
        program .. err)
    end
  end)

  for _, engine in ipairs { "native", "libjq" } do
  it("raise where libjq 1.6 would end the process or never end: " .. engine, function()
    for _, program in ipairs {
      "1e300 | todate", "-1e300 | todate", "nan | todate", "infinite | gmtime", "1e300 | localtime",
      '[1,2] | map("x") | mktime', '["a",1,1,1,1,1,1,1] | strftime("%Y")', '{} | strftime("%Y")',
        "1e300 | strflocaltime(\"%Y\")",
      '0 | strftime(1)', '"x" * 1e10', '-9223372036854775808 % 0', "[1e9] | .[1e9] = 1 | length", "setpath([1e9]; 1)",
      "{a: 1} | .a[1e9] |= 1", "error({a:1})", '["a"] | implode', "limit(-1; 1)", '" 1" | tonumber',
      '{} | implode', '"x" | @base32d | @base32d', "[limit(3; range(10))] | nth(-1; .[])", '"%zz" | @urid',
        "[] | tojson | test(1)",
      '"a" | test("(")', '"a" | test("a"; "q")', "{} | sub(\"a\"; \"b\")", "null | ltrimstr(1)", "null | trim",
      engine == "native" and "[error(null)]" or "[1e300] | mktime",
    } do
      local answer = jq(program, support.json.null, engine)
      assert.is_truthy(answer.results and answer.results[1].e, program)
    end
    for program, expected in pairs {
      ["-9223372036854775808 % -1"] = "0", ["nan % -1 | isnan"] = "true",
        ["[1114112, -1, 55296] | implode | length"] = "3",
      ['"aaa" | indices("")'] = "[]", ['"é" | gsub("";"-")'] = '"-é-"', ['"é" | [match("";"g").offset]'] = "[0,1]",
      ['"aé" | gsub("$";"x")'] = '"aéx"', ["[1,2,3] | .[nan:1]"] = "[1]", ["[1,2,3] | del(.[nan,nan])"] = "[1,2,3]",
      ['"" * 1000000000'] = '""', ["[limit(0; error)]"] = "[]",
    } do
      assert.same({ support.json.decode(expected) }, jq(program, support.json.null, engine).results[1].v, program)
    end
  end)
  end

  it("that the native engine has not do not get to libjq when it could end the process or not end itself", function()
    for program, name in pairs { ["modulemeta"] = "modulemeta", ["debug | todate"] = "todate",
      ["input_line_number | repeat(.)"] = "repeat", ["def f: debug | f; f"] = "def", ['stderr | gsub(""; "x")'] = "gsub" } do
      local answer = jq(program)
      assert.is_truthy(answer.compile and answer.compile:find("because of '" .. name .. "'", 1, true), program)
    end
  end)

  -- Each would never end, or fill the machine. With small limits, so that debug builds are quick, too.
  local runaway = {
    steps = { "[range(infinite)] | length", "def f: f; f", "last(repeat(1))", "until(false; .)", "def f: .+1 | f; 0 | f",
      "last(range(infinite))", "reduce range(infinite) as $i (0; . + 1)", "[limit(1e12; repeat(1))] | length",
      "label $out | foreach repeat(1) as $i (0; . + 1; if . < 0 then break $out else empty end)",
      "first(range(infinite) | select(. < 0))", "isempty(repeat(empty))", "while(true; .) | empty",
      "recurse(.) | empty", "[range(1000000)] | combinations | empty", "try repeat(1) catch 1 | empty", },
    memory = { "[repeat(1)]", "reduce range(100) as $i (\"xxxxxxxx\"; . + .)", "def f: [f, f]; f", "def f: 1 + f; f",
      "[range(infinite)]", "reduce range(60) as $i ([1]; . + .)", "[repeat(\"x\" * 1000)]",
      "reduce range(1000000000) as $i ({}; .[$i | tostring] = $i)", "[limit(1e12; repeat([1, 2, 3]))]" },
  }
  local function resource(field, selector)
    return { kind = "k", selector = { query = selector or "true" }, port = { entity = { mappings = {
      identifier = ".id", blueprint = '"b"', properties = { bad = field, good = ".n + 1" } } } } }
  end

  it("that never end cost their field only, and say which limit was met", function()
    local limits = { MOONTIDE__JQ__STEPS = "300000", MOONTIDE__JQ__MEMORY_MB = "16" }
    for _, list in pairs(runaway) do
      for _, program in ipairs(list) do
        local answer = drive({ { op = "map", resource = resource(program), items = { { id = "a", n = 1 },
          { id = "b", n = 2 } } } }, limits)[1]
        assert.equal(2, #(answer.entities or {}), program .. support.json.encode(answer))
        for i, entity in ipairs(answer.entities) do
          assert.same({ bad = support.json.null, good = i + 1 }, entity.body.properties, program)
        end
        assert.same({ "properties.bad", 2 }, { answer.empty[1].field, answer.empty[1].count }, program)
        assert.is_truthy(answer.empty[1].sample:find("MOONTIDE__JQ__", 1, true), program .. ": " ..
          answer.empty[1].sample)
      end
    end
  end)

  it("near the ceiling of memory end soon: what is collected again and again is work, too", function()
    for _, program in ipairs { "[range(750000)] | sort_by(-.) | length",
      "reduce range(1000000000) as $i ({}; .[$i | tostring] = $i)", "[range(infinite) | tostring]" } do
      local answer = drive({ { op = "jq", program = program, inputs = { 1 } } }, { MOONTIDE__JQ__MEMORY_MB = "64" })[1]
      assert.is_truthy(answer.results[1].e and answer.results[1].e:find("MOONTIDE__JQ__", 1, true), program)
    end
  end)

  it("are not those that the machine keeps waiting: a stop in the middle of a search costs no steps", function()
    local result = support.run { "bash", "-c", [[
      "$0" jq '[range(400000) | tostring | test("[0-4]+5$")] | length' <<<null &
      for _ in {1..12}; do kill -STOP $! 2>/dev/null || break; sleep 0.25; kill -CONT $!; sleep 0.03; done
      wait $!
    ]], support.bin }
    assert.are.equal("400000\n", result.out, result.err)
    assert.are.equal(0, result.code)
  end)

  it("that never end fail their item when they are its selector or identifier", function()
    local limits = { MOONTIDE__JQ__STEPS = "300000" }
    local request = { op = "map", resource = resource("1", "if .n == 1 then last(repeat(1)) else true end"),
      items = { { id = "a", n = 1 }, { id = "b", n = 2 } } }
    local answer = drive({ request }, limits)[1]
    assert.same({ 1, 1 }, { #answer.entities, #answer.failed })
    assert.equal("b", answer.entities[1].identifier)
    assert.is_truthy(answer.failed[1].message:find("MOONTIDE__JQ__STEPS", 1, true), answer.failed[1].message)
    request.resource = resource "1"
    request.resource.port.entity.mappings.identifier = "if .n == 1 then def f: f; f else .id end"
    answer = drive({ request }, limits)[1]
    assert.same({ 1, 1 }, { #answer.entities, #answer.failed })
  end)

  it("of long chains raise or end, and the stack holds", function()
    for _, program in ipairs {
      ("["):rep(9000) .. ("]"):rep(9000), ("-"):rep(100000) .. "1", (".a"):rep(20000), ("1+"):rep(50000) .. "1",
      "reduce range(20000) as $i (1; [.]) | tojson | length", "[range(100000)] | map([.]) | add | length",
      ("."):rep(2) .. (" | .."):rep(12), "def f(x): x | f(x | .); f(1)", "reduce range(5000) as $i (.; {a: .}) | [..] | length",
      ("if . then "):rep(3000) .. "1" .. (" end"):rep(3000), ("try "):rep(20000) .. "1", ("def f: "):rep(500) .. "1" ..
        ("; f"):rep(500),
    } do
      local answer = drive({ { op = "jq", program = program, inputs = { { a = 1 } } } },
        { MOONTIDE__JQ__STEPS = "2000000", MOONTIDE__JQ__MEMORY_MB = "64" })[1]
      assert.is_truthy(answer.compile or answer.results, program:sub(1, 100))
    end
  end)

  it("have their messages cut, so that no document gets into a log", function()
    local answer = jq("error(.)", { ("x"):rep(5000) })
    assert.is_true(#answer.results[1].e <= 200, #answer.results[1].e)
    answer = jq(".a.b", { a = ("é"):rep(5000) })
    assert.is_true(#answer.results[1].e <= 200 and utf8.len(answer.results[1].e) ~= nil)
  end)
end)
