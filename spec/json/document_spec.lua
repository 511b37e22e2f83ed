-- The document (runtime/json/document.h), through spec/json/json_driver.c.
local support = require "spec.support"

local DRIVER = support.driver "json_driver"

local function drive(arguments, stdin)
  local command = { DRIVER }
  for word in arguments:gmatch "%S+" do
    command[#command + 1] = word
  end
  local result = support.run(command, { stdin = stdin or "" })
  assert(result.code == 0, ("json_driver %s: exit %d: %s%s"):format(arguments, result.code, result.out, result.err))
  return result.out
end

local function lines(text)
  local list = {}
  for line in text:gmatch "([^\n]*)\n" do
    list[#list + 1] = line
  end
  return list
end

-- One text as one value, written again (or its error).
local function written(text, limits)
  return (drive("write " .. (limits or ""), text):gsub("\n$", ""))
end

-- "CODE at OFFSET" and the message of a text that is refused.
local function refusal(text)
  local answer = written(text)
  local code, at = answer:match "^(%a+) .-at byte (%d+)"
  return code and code .. " at " .. at or "accepted: " .. answer, answer
end

-- The answers to questions about a document.
local function asked(document, ...)
  return lines(drive("get", document .. "\n" .. table.concat({ ... }, "\n") .. "\n"))
end

local function compared(...)
  return lines(drive("equal", table.concat({ ... }, "\n") .. "\n"))
end

local function built(...)
  return (drive("build", table.concat({ ... }, "\n") .. "\n"):gsub("\n$", ""))
end

local function all(value, count)
  local list = {}
  for i = 1, count do
    list[i] = value
  end
  return list
end

describe("JSON that is read", function()
  it("is written compactly, with its members in order and its numbers as they were spelled", function()
    assert.equal([[{"b":[1,2.50,-0,1E5,1e-7],"a":{"":null,"x":true,"y":false},"c":[],"d":{}}]],
      written ' { "b" : [ 1, 2.50 , -0,1E5,\n\t1e-7 ],\r\n "a":{"":null,"x":true , "y":false},"c":[ ],"d":{\n} } ')
  end)

  it("keeps integers of any size, digit for digit", function()
    local digits = ("1234567890"):rep(100)
    assert.equal("[9007199254740993,-9223372036854775809," .. digits .. "]",
      written("[9007199254740993, -9223372036854775809, " .. digits .. "]"))
  end)

  it("may be one scalar, and may begin with a byte order mark", function()
    for _, text in ipairs { "0", "-1.5e+3", "true", "false", "null", '""', '"a b"', "[]", "{}" } do
      assert.equal(text, written(text))
      assert.equal(text, written("\xEF\xBB\xBF " .. text .. "\n"))
    end
  end)

  it("keeps text of every language, and escapes only what must be", function()
    assert.equal('["é","日本","😀","\\u0000\\u001f\\u007f","\\b\\f\\n\\r\\t","\\"\\\\","/"]',
      written '["\\u00e9","\\u65E5\\u672c","\\uD83D\\ude00","\\u0000\\u001F\\u007f","\\b\\f\\n\\r\\t","\\"\\\\","\\/"]')
    assert.equal('["é日😀\\u007f"]', written '["é日😀\x7F"]')
    assert.equal('{"a\\nb":1,"é":2}', written '{ "a\\nb":1,"\\u00e9":2}')
  end)

  it("is copied as it stands only where nothing in it would be written otherwise", function()
    for text, want in pairs {
      ['[["a\\/b"],["\\n"]]'] = '[["a/b"],["\\n"]]',
      ['[["\\u00e9"],["\\n"]]'] = '[["é"],["\\n"]]',
      ['[["\\u000a"],[1]]'] = '[["\\n"],[1]]',
      ['[["x\x7F"],[1]]'] = '[["x\\u007f"],[1]]',
      ['[[1],[1, 2]]'] = '[[1],[1,2]]',
      ['[[{"a":1,"a":2}],[1]]'] = '[[{"a":2}],[1]]',
      ['{"\\/":[1]}'] = '{"/":[1]}',
      ['[[1], [2,[3]]]'] = "[[1],[2,[3]]]",
    } do
      assert.equal(want, written(text))
    end
  end)

  it("has U+FFFD for half a surrogate pair, and reads on behind it", function()
    local ffff = " ef bf bd"
    for text, want in pairs {
      ['"\\ud800"'] = "3:" .. ffff,
      ['"\\udc00"'] = "3:" .. ffff,
      ['"\\ud800\\u0041"'] = "4:" .. ffff .. " 41",
      ['"\\ud800\\ud83d\\ude00"'] = "7:" .. ffff .. " f0 9f 98 80",
      ['"\\ud800\\n"'] = "4:" .. ffff .. " 0a",
      ['"\\udc00\\ud800"'] = "6:" .. ffff .. ffff,
      ['"\\ud800x\\udc00"'] = "7:" .. ffff .. " 78" .. ffff,
    } do
      assert.same({ want }, asked(text, "string"), text)
    end
  end)

  it("may hold NUL in a string", function()
    assert.same({ "3: 61 00 62" }, asked('"a\\u0000b"', "string"))
  end)

  it("gives back the bytes of strings of every length around a machine word", function()
    for n = 0, 40 do
      local text = ("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"):sub(1, n)
      for _, inside in ipairs { text, text .. "é", "é" .. text, text .. '\\"', text .. "é" .. text } do
        assert.equal('"' .. inside .. '"', written('"' .. inside .. '"'))
      end
    end
  end)

  it("has the last of members with one name, at the place of the first", function()
    local twice = '{"a":1,"b":[2],"a":{"x":3},"c":4,"b":5,"a":6}'
    assert.equal('{"a":6,"b":5,"c":4}', written(twice))
    assert.equal('[[{"a":6,"b":5,"c":4}]]', written("[[" .. twice .. "]]"))
    assert.same({ "3", "a=number b=number c=number", "6", "5", "4", "none" },
      asked(twice, "count", "list", "member a", "member b", "member c", "member d"))
    assert.same({ "1", "2" }, asked('{"k":1,"\\u006b":2}', "count", "member k"))
  end)

  it("has the last of members with one name also in objects of many members", function()
    for _, n in ipairs { 7, 8, 9, 15, 16, 17, 33, 100 } do
      local members, want = {}, {}
      for i = 1, n do
        members[i] = ('"k%d":[%d]'):format(i, i)
        members[n + i] = ('"k%d":%d'):format(i, -i)
        want[i] = ('"k%d":%d'):format(i, -i)
      end
      local text = "{" .. table.concat(members, ",") .. "}"
      assert.equal("{" .. table.concat(want, ",") .. "}", written(text))
      local questions, answers = {}, {}
      for i = 1, n do
        questions[i], answers[i] = "member k" .. i, tostring(-i)
      end
      assert.same(answers, asked(text, table.unpack(questions)))
      assert.same({ tostring(n), "none", "none" }, asked(text, "count", "member k", "member k" .. n + 1))
    end
  end)

  it("answers by name, position and path, and gives nothing for what is not there", function()
    local text = '{"a":{"b":{"c":[10,[20,{"":5}],"s"]}},"":7,"n":null}'
    assert.same({ "[10,[20,{\"\":5}],\"s\"]", "none", "none", "7", "null", "none", "3", "none" },
      asked(text, "path a.b.c", "path a.b.d", "path a.b.c.d", "member ", "path n", "path n.x", "count", "index 0"))
    assert.same({ "1", "none", "none", "none", "3", "-=number -=array -=object" },
      asked('[1,[2],{"a":3}]', "index 0", "index 3", "member a", "path a", "count", "list"))
    assert.same({ "0", "", "none", "none" }, asked("[]", "count", "list", "index 0", "member a"))
    assert.same({ "0", "", "none", "none" }, asked("{}", "count", "list", "member ", "index 0"))
    assert.same({ "0", "", "none", "0:" }, asked("5", "count", "list", "index 0", "string"))
  end)

  it("reaches every element of short, long, flat and nested arrays", function()
    for _, n in ipairs { 1, 15, 16, 17, 40 } do
      for _, nested in ipairs { false, true } do
        local elements, questions = {}, {}
        for i = 1, n do
          elements[i] = nested and i % 3 == 0 and ('[%d,{"x":[]}]'):format(i) or tostring(i)
          questions[i] = "index " .. i - 1
        end
        questions[n + 1] = "index " .. n
        local want = table.move(elements, 1, n, 1, { [n + 1] = "none" })
        assert.same(want, asked("[" .. table.concat(elements, ",") .. "]", table.unpack(questions)))
      end
    end
  end)

  it("finds each of a million members and elements in linear time", function()
    local started = os.time()
    assert.equal("300000\n", drive "wide 300000")
    assert.is_true(os.time() - started < 60)
  end)

  it("has the empty answer for no value", function()
    assert.equal("nothing\n", drive "nothing")
  end)
end)

describe("JSON that is refused", function()
  it("is told by its offset, its line, and what was met there", function()
    for text, want in pairs {
      [""] = "data at 0",
      [" \n"] = "data at 2",
      ["\xEF\xBB\xBF"] = "data at 3",
      ["\xEF\xBB"] = "data at 0",
      ["[1,]"] = "data at 3",
      ["[1 2]"] = "data at 3",
      ["[1"] = "data at 2",
      ["[1}"] = "data at 2",
      ['{"a":1]'] = "data at 6",
      ['{"a"}'] = "data at 4",
      ['{"a":}'] = "data at 5",
      ['{"a":1,}'] = "data at 7",
      ["{a:1}"] = "data at 1",
      ["{1:1}"] = "data at 1",
      ["{,}"] = "data at 1",
      ["1 2"] = "data at 2",
      ["[]]"] = "data at 2",
      ["tru"] = "data at 3",
      ["trux"] = "data at 3",
      ["nul"] = "data at 3",
      ["nan"] = "data at 1",
      ["True"] = "data at 0",
      ["01"] = "data at 1",
      ["-"] = "data at 1",
      ["-a"] = "data at 1",
      ["1."] = "data at 2",
      [".5"] = "data at 0",
      ["1e"] = "data at 2",
      ["1e+"] = "data at 3",
      ["+1"] = "data at 0",
      ["0x10"] = "data at 1",
      ['"a'] = "data at 2",
      ['"a\\'] = "data at 3",
      ['"a\\x"'] = "data at 3",
      ['"\\u12"'] = "data at 5",
      ['"\\u12'] = "data at 5",
      ['"\\u123g"'] = "data at 6",
      ['"a\nb"'] = "data at 2",
      ['"a\0b"'] = "data at 2",
      ["1\0"] = "data at 1",
      ["[1\f]"] = "data at 2",
      ["'a'"] = "data at 0",
      ["/* */1"] = "data at 0",
    } do
      assert.equal(want, (refusal(text)), ("%q"):format(text))
    end
    local _, message = refusal '{\n  "a": 1,\n  "b": #\n}'
    assert.equal("data not valid JSON at byte 19 (line 3, column 8): expected a value, met '#'", message)
  end)

  it("is told by the offset of bytes that are not UTF-8", function()
    for bytes, offset in pairs {
      ["\x80"] = 0, ["\xBF"] = 0, ["\xC0\x80"] = 0, ["\xC1\xBF"] = 0, ["\xC2"] = 0, ["\xC2A"] = 0, ["\xE0\x9F\xBF"] = 0,
      ["\xE2\x82"] = 0, ["\xE2\x82A"] = 0, ["\xED\xA0\x80"] = 0, ["\xED\xBF\xBF"] = 0, ["\xF0\x8F\xBF\xBF"] = 0,
      ["\xF0\x9F\x98"] = 0, ["\xF4\x90\x80\x80"] = 0, ["\xF5\x80\x80\x80"] = 0, ["\xFF"] = 0, ["\xE9t\xE9"] = 0,
      ["é\xFF"] = 2, ["日本\xE6"] = 6, ["abcdefgh\xFFabcdefgh"] = 8, ["\\n\x80"] = 2,
    } do
      for _, name in ipairs { "", "long enough to fill some words " } do
        local want = "data at " .. 2 + #name + offset
        assert.equal(want, (refusal('["' .. name .. bytes .. '"]')), bytes)
        assert.equal(want, (refusal('{"' .. name .. bytes .. '":1}')), bytes)
      end
    end
    for _, code in ipairs { 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF } do
      local text = utf8.char(code)
      assert.equal('"' .. text .. '"', written('"' .. text .. '"'))
    end
  end)

  it("is refused with the same words by the check that builds nothing", function()
    -- `check` fails when the two do not agree; here on cut texts of every length.
    local text = '{"a":[1,-2.5e3,true,null,"é\\u00e9\\n"],"b":{"c":{}}}'
    local dir, command = support.tmpdir(), { DRIVER, "check" }
    for n = 0, #text do
      command[#command + 1] = support.write(dir .. "/" .. n, text:sub(1, n))
    end
    local result = support.run(command)
    assert.equal(0, result.code, result.err)
    local _, accepted = result.out:gsub(" ok\n", "")
    assert.equal(1, accepted)
  end)

  it("may be nested 10,000 levels deep, or as deep as the limit says, and no deeper", function()
    local function nested(n)
      return ("["):rep(n) .. ("]"):rep(n)
    end
    assert.equal(nested(10000), written(nested(10000)))
    assert.equal("limit at 10000", (refusal(nested(10001))))
    assert.equal("limit at 10000", (refusal(("["):rep(100000))))
    assert.equal("limit at 50000", (refusal(('{"a":'):rep(20000))))
    assert.equal("[[1]]", written("[[1]]", "0 2"))
    assert.matches("^limit .*limit of 2 levels, at byte 2", written("[[[1]]]", "0 2"))
    local deep = ('[{"a":'):rep(30000) .. "1" .. ("}]"):rep(30000)
    assert.equal(deep, written(deep, "0 60000"))
  end)

  it("may be as large as the limit says, and no larger", function()
    assert.equal('"12345"', written('"12345"', "7"))
    assert.matches("^limit JSON of 7 bytes is larger than the limit of 6", written('"12345"', "6"))
  end)

  it("is told from what had no memory, which loses neither the text nor memory", function()
    local text = { '{"dup":1,"dup":2' }
    for i = 1, 60 do
      text[#text + 1] = ('"member %d":["\\n", {"x": [%d, 1.5]}, []]'):format(i, i)
    end
    local out = lines(drive("sweep-parse", table.concat(text, ", ") .. "}"))
    local count = tonumber(out[#out]:match "^(%d+) allocations$")
    assert.is_true(count >= 8, out[#out])
    for i = 1, #out - 1 do -- shrinking was refused: the document is whole
      assert.equal(out[1], out[i])
      assert.matches('^{"dup":2,"member 1":%["\\n",{"x":%[1,1.5%]},%[%]%],', out[i])
    end
  end)
end)

describe("JSON numbers", function()
  it("are the nearest double, and an integer when they are exactly one", function()
    local cases = {
      { "0", "0 0" },
      { "-0", "-0 0" },
      { "5", "5 5" },
      { "-5", "-5 -5" },
      { "5.0", "5 5" },
      { "5.50", "5.5 inexact" },
      { "1e3", "1000 1000" },
      { "1E+3", "1000 1000" },
      { "1200e-2", "12 12" },
      { "1201e-2", "12.01 inexact" },
      { "0.001e3", "1 1" },
      { "0.0e99", "0 0" },
      { "0e99999999999999999999", "0 0" },
      { "0.1", "0.10000000000000001 inexact" },
      { "123456789012345678", "1.2345678901234568e+17 123456789012345678" },
      { "1234567890123456789", "1.2345678901234568e+18 1234567890123456789" },
      { "9223372036854775807", "9.2233720368547758e+18 9223372036854775807" },
      { "9223372036854775808", "9.2233720368547758e+18 inexact" },
      { "-9223372036854775808", "-9.2233720368547758e+18 -9223372036854775808" },
      { "-9223372036854775809", "-9.2233720368547758e+18 inexact" },
      { "922337203685477580700e-2", "9.2233720368547758e+18 9223372036854775807" },
      { "18446744073709551616", "1.8446744073709552e+19 inexact" },
      { "1e18", "1e+18 1000000000000000000" },
      { "1e19", "1e+19 inexact" },
      { "10000000000000000000000e-10", "1000000000000 1000000000000" },
      { "1e-1000000000000000000000", "0 inexact" },
      { "1e400", "inf inexact" },
      { "-1e400", "-inf inexact" },
      { "1.7976931348623157e308", "1.7976931348623157e+308 inexact" },
      { "4.9e-324", "4.9406564584124654e-324 inexact" },
      { "2.2250738585072011e-308", "2.2250738585072009e-308 inexact" },
      { "9007199254740993", "9007199254740992 9007199254740993" },
      { "9007199254740993.0", "9007199254740992 9007199254740993" },
      { "0.30000000000000004", "0.30000000000000004 inexact" },
      { "123456789.123456789e-5", "1234.5678912345679 inexact" },
      { "1" .. ("0"):rep(400) .. "e-400", "1 1" },
      { "0." .. ("0"):rep(400) .. "1e401", "1 1" },
      { ("1"):rep(400) .. "e-399", "1.1111111111111112 inexact" },
    }
    local input, want = {}, {}
    for i, case in ipairs(cases) do
      input[i], want[i] = case[1], case[2]
    end
    assert.same(want, lines(drive("lines number", table.concat(input, "\n") .. "\n")))
  end)

  it("that are built from doubles have their shortest form, and are whole below 1e17 (R-JQ-17)", function()
    local cases = {
      { "0.1", "0.1" }, { "5.0", "5" }, { "-5e0", "-5" }, { "1e3", "1000" }, { "-0.0", "0" },
      { "1e16", "10000000000000000" },
      { "99999999999999984", "99999999999999984" }, { "1e17", "1e+17" }, { "123456789.125", "123456789.125" },
      { "0.30000000000000004", "0.30000000000000004" }, { "1e-7", "1e-07" }, { "4.9e-324", "4.94065645841247e-324" },
      { "1.7976931348623157e308", "1.7976931348623157e+308" }, { "1e400", "1.7976931348623157e+308" },
      { "-1e400", "-1.7976931348623157e+308" }, { "2.5", "2.5" },
    }
    local input, want = {}, {}
    for i, case in ipairs(cases) do
      input[i], want[i] = case[1], case[2]
    end
    assert.same(want, lines(drive("lines double", table.concat(input, "\n") .. "\n")))
    assert.equal("[null,1.7976931348623157e+308,-1.7976931348623157e+308]",
      built("array", "double nan", "double inf", "double -inf", "end"))
  end)

  it("do not care for the locale's decimal comma", function()
    local dir = support.tmpdir()
    local made = support.run { "localedef", "-i", "de_DE", "-f", "UTF-8", dir .. "/de_DE.UTF-8" }
    if made.code > 1 then -- 1: with warnings
      return pending "localedef has no source of de_DE here"
    end
    local env = { LOCPATH = dir, LC_ALL = "de_DE.UTF-8" }
    local function answers(command)
      local input = "0.1\n2.2250738585072014e-308\n1234.5\n"
      return support.run({ DRIVER, "lines", command }, { stdin = input, env = env }).out
    end
    assert.matches("^0,1", answers "number") -- the driver's own printf: the locale is in force
    assert.equal("0.1\n2.2250738585072014e-308\n1234.5\n", answers "double")
  end)

  it("read back equal, when they are built from any double", function()
    local input = {}
    local seed = 88172645463325252
    for _ = 1, 2000 do -- xorshift: the same numbers on every run
      seed = seed ~ seed << 13
      seed = seed ~ seed >> 7
      seed = seed ~ seed << 17
      local value = string.unpack("d", string.pack("i8", seed))
      if value == value and math.abs(value) ~= math.huge then
        input[#input + 1] = ("%.17g"):format(value)
      end
    end
    assert.equal(#input, #lines(drive("lines double", table.concat(input, "\n") .. "\n")))
  end)
end)

describe("The digest of JSON", function()
  it("is the same for values that are equal, whatever their spelling, and equality says the same", function()
    for _, case in ipairs {
      { '{"a":1,"b":2}', '{"b":2,"a":1}', ' { "b" : 2.0 , "a" : 1e0 } ', '{"a":0,"b":2,"a":1}', '{"\\u0061":1,"b":2}' },
      { "1", "1.0", "1e0", "10e-1", "1.000" },
      { "0", "-0", "-0.0", "0e5", "1e-400" },
      { "9007199254740993", "9007199254740992", "9007199254740992.0", "9.007199254740992e15" },
      { '"é"', '"\\u00e9"', '"\\u00E9"' },
      { '"a/b"', '"a\\/b"' },
      { "[]", "[ ]" },
      { "{}", "{ }" },
      { '[{"x":[1,{"y":[]}]},{}]', '[ {"x":[1.0,{"y":[]}]},{}]' },
    } do
      assert.same(all("equal", #case - 1), compared(table.unpack(case)), case[1])
    end
  end)

  it("differs for values that differ, and equality says the same", function()
    for _, case in ipairs {
      { '{"a":1,"b":2}', '{"a":2,"b":1}', '{"a":1}', '{"a":1,"b":2,"c":3}', '{"a":1,"c":2}', '[1,2]', '{"b":1,"a":2}' },
      { "[1,2]", "[2,1]", "[1]", "[1,2,null]", "[[1],2]", "[1,[2]]", "[[1,2]]", "[12]" },
      { "null", "false", "true", "0", '""', "[]", "{}", "[null]" },
      { "0", "false", "null", '"0"', '""', "1", "-1", "1e-300" },
      { "1", '"1"', "true", "[1]", "1.0000000000000002" },
      { '"a"', '"A"', '"a "', '"a\\u0000"', '["a"]', '{"a":"a"}' },
      { "9007199254740993", "9007199254740994", "9007199254740991" },
      { "[[],[[]]]", "[[[]],[]]", "[[],[]]", "[[],[[],[]]]" },
      { '{"a":{"b":1}}', '{"b":{"a":1}}', '{"a":{"b":2}}', '{"a":{},"b":1}' },
      { '{"a":[1],"b":[2]}', '{"a":[2],"b":[1]}' },
      { '{"a":1,"b":1}', '{"c":1,"d":1}' },
      { "[1e400]", "[-1e400]", "[1e308]" },
    } do
      assert.same(all("different", #case - 1), compared(table.unpack(case)), case[1])
    end
  end)

  it("does not depend on the order of many members, and compares them by look-up", function()
    local there, back, other = {}, {}, {}
    for i = 1, 200 do
      there[i] = ('"k%d":{"n":%d}'):format(i, i)
      back[201 - i] = there[i]
      other[i] = ('"k%d":{"n":%d}'):format(i, i == 77 and 78 or i)
    end
    local function object(members)
      return "{" .. table.concat(members, ",") .. "}"
    end
    assert.same({ "equal", "different" }, compared(object(there), object(back), object(other)))
  end)

  it("stays what it is from version to version, since it is kept in the state file", function()
    assert.same({
      "00a42e8fe5368a9eb505c86daf76165e",
      "0a9ca373367fa509ee386d05674e1e2e",
    }, lines(drive("lines digest", '{"identifier":"a","properties":{"n":1.5,"on":true,"tags":["x",null]}}\n[]\n')))
  end)

  it("takes values nested deeper than any stack", function()
    local deep = ("["):rep(10000) .. ("]"):rep(10000)
    local deeper = ("["):rep(9999) .. "1" .. ("]"):rep(9999)
    assert.same({ "equal", "different" }, compared(deep, deep, deeper))
  end)
end)

describe("A stream of JSON values", function()
  local function split(text)
    return lines(drive("next", text))
  end

  it("is split at the end of each value", function()
    assert.same({ '[{"a":1}]', "[ []]", "[ 2]", "[ true]", '[ "x y"]', "[[1]]", "[{}]" },
      split '{"a":1} [] 2 true "x y"[1]{} ')
    assert.same({ "[1]", "[\t2]", "[\r3]" }, split "1\t2\r3\r\n\n")
    assert.same({ '["a"]', '["b"]', "[1]", '["c"]' }, split '"a""b"1"c"')
    assert.same({}, split " \t\r ")
    assert.same({}, split "")
    assert.same({ "[\xEF\xBB\xBF1]" }, split "\xEF\xBB\xBF1")
  end)

  it("is not misled by brackets and quotes in strings", function()
    assert.same({ [==[[["]","\"]","\\",{"}":"[\\\"{"}]]]==], "[ 1]" }, split [==[["]","\"]","\\",{"}":"[\\\"{"}] 1]==])
    assert.same({ [==[["\\\\"]]==], [==[["\\\""]]==] }, split [==["\\\\""\\\""]==])
  end)

  it("ends with an error where a value is cut short or is none", function()
    for text, want in pairs {
      ["[1,2"] = "data a stream of JSON values is cut short: the value at byte 0 has no end",
      [' {"a":"}'] = "data a stream of JSON values is cut short: the value at byte 1 has no end",
      ['"abc\\"'] = "data a stream of JSON values is cut short: the value at byte 0 has no end",
    } do
      assert.same({ want }, split(text), text)
    end
    for _, text in ipairs { "tru", "]", ",", "}", ":", "1x", "nan", "\xFF", "-", "\f" } do
      local out = split(text)
      assert.equal(1, #out)
      assert.matches("^data not a JSON value at byte 0 of the stream: ", out[1])
    end
    local out = split "1 2 tru 3"
    assert.same({ "[1]", "[ 2]" }, { out[1], out[2] })
    assert.matches("^data not a JSON value at byte 1 ", out[3])
  end)
end)

describe("JSON that is built", function()
  it("is what was said, in the order in which it was said", function()
    assert.equal([[{"n":null,"t":[true,false],"i":-9223372036854775808,"d":2.5,"l":1.50,"s":"a\"b\\c é","":{},"e":[]}]],
      built("object", "name n", "null", "name t", "array", "true", "false", "end", "name i", "int -9223372036854775808",
        "name d", "double 2.5", "name l", "literal 1.50", "name s", [[string a"b\c é]], "name ", "object", "end",
        "name e", "array", "end", "end"))
    assert.equal('"x"', built "string x")
    assert.equal('""', built "string ")
    assert.equal('"\\u0000\\n"', built "bytes 000a")
    assert.equal('{"a\\"b":1}', built("object", 'name a"b', "int 1", "end"))
  end)

  it("has the last of members with one name, at the place of the first", function()
    assert.equal('{"a":[3],"b":2}',
      built("object", "name a", "int 1", "name b", "int 2", "name a", "array", "int 3", "end", "end"))
  end)

  it("refers to values of other documents, and holds them", function()
    local long = ("0123456789"):rep(10)
    local page = '{"items":[{"id":1,"name":"' .. long .. '","tags":["x","\\n"],"none":{},"n":-0,"t":true,"z":null}]}'
    assert.equal('[{"whole":' .. page .. ',"two":[[1,2],{"deep":[3]}],"again":[' .. page .. "]}]",
      built("doc " .. page, 'doc [[1, 2], {"deep": [3]}]', "object", "name whole", "ref 0", "name two", "ref 1",
        "name again", "array", "ref 0", "end", "end", "make", "array", "ref 2", "end"))
  end)

  it("keeps what it refers to when all else let it go", function()
    assert.equal('[{"a":[1,2,3]},[1,2,3],{"a":[1,2,3]}]',
      built('doc {"a":[1,2,3]}', "array", "ref 0", "ref 0 a", "ref 0", "end", "forget", "finish"))
  end)

  it("refers through documents that refer themselves", function()
    assert.equal('[[3,{"x":[[1,{"y":2}]]}],[1,{"y":2}]]',
      built('doc [1,{"y":2}]', "object", "name x", "array", "ref 0", "end", "end", "make", "array", "int 3",
        "ref 1", "end", "make", "array", "ref 2", "ref 0", "end"))
  end)

  it("may itself be a reference, or a copied scalar", function()
    local long = '"' .. ("é"):rep(100) .. '"'
    local texts = { "[1,[2]]", "5", "-0", "1.50", '"a\\"b"', long, "null", "true", "false", "[]", "{}", '{"a":{}}' }
    for _, text in ipairs(texts) do
      assert.equal(text, built("doc " .. text, "ref 0"), text)
      assert.equal("[" .. text .. "]", built("doc [" .. text .. "]", "ref 0"), text)
    end
  end)

  it("keeps its numbers apart", function() -- read where they lie, 1e300 and 5 must not become 1e3005
    assert.equal('[1e300,5,0.30000000000000004,1e-300,"7"]',
      built("array", "literal 1e300", "int 5", "double 0.30000000000000004", "literal 1e-300", "string 7", "end"))
  end)

  it("takes from many documents in turn", function()
    local steps, want = {}, {}
    for i = 0, 19 do
      steps[#steps + 1] = ('doc {"page":[%d]}'):format(i)
    end
    steps[#steps + 1] = "array"
    for _ = 1, 3 do
      for i = 0, 19 do
        steps[#steps + 1] = "ref " .. i
        want[#want + 1] = ('{"page":[%d]}'):format(i)
      end
    end
    steps[#steps + 1] = "end"
    assert.equal("[" .. table.concat(want, ",") .. "]", built(table.unpack(steps)))
  end)

  it("may be a chain of references longer than any stack", function()
    assert.equal(("%d\n"):format(200000 * 7 + #'["the innermost of all"]'), drive "chain 200000")
  end)

  it("is refused, with the first mistake, when it is not a value", function()
    for want, steps in pairs {
      ["no value"] = { "forget" },
      ["a second value at the top"] = { "int 1", "int 2" },
      ["a member without a name"] = { "object", "int 1", "end" },
      ["a name outside an object"] = { "array", "name a", "int 1", "end" },
      ["a name behind a name"] = { "object", "name a", "name b", "int 1", "end" },
      ["an end behind a name, where a value belongs"] = { "object", "name a", "end" },
      ["an end without an open array or object"] = { "int 1", "end" },
      ["an array or object is still open at the end"] = { "array", "object", "end" },
      ["a reference to no value"] = { "array", "ref 3", "end" },
      ["byte 2 of a string (0xFF) is not UTF-8"] = { "array", "bytes 6162FF63", "name x", "end" },
      ['"nan" is not a JSON number'] = { "literal nan" },
      ['"01" is not a JSON number'] = { "literal 01" },
      ['"1 " is not a JSON number'] = { "literal 1 " },
      ['"" is not a JSON number'] = { "literal " },
    } do
      assert.equal("invalid building a JSON document: " .. want, built(table.unpack(steps)))
    end
  end)

  it("is refused when it is nested deeper than 10,000 levels, which could not be read back", function()
    assert.equal(("["):rep(10000) .. ("]"):rep(10000), built("repeat 10000 array", "repeat 10000 end"))
    assert.equal("limit building a JSON document: nested deeper than the limit of 10000 levels",
      built("repeat 10001 array", "repeat 10001 end"))
  end)

  it("is finished once", function()
    assert.matches("one makes one document", built("int 1", "finish", "finish"))
    assert.matches("one makes one document", built("int 1", "finish", "int 2", "finish"))
  end)

  it("is told from what had no memory", function()
    local count = tonumber(drive("sweep-build", '{"page":[1,2,3]}'):match "^(%d+) allocations\n$")
    assert.is_true(count and count >= 8)
  end)
end)

describe("Writing JSON", function()
  it("stops at the ceiling of its buffer, and says so", function()
    local text = '{"a":[1,2.5,true,false,null,"x","a\\nb",[],{}],"b\\n":{"c":"é"}}'
    assert.equal(#text .. "\n", drive("ceiling", text))
    local spaced = '{ "a": [1, 2.5, true, false, null, "x", "a\\nb", [], {}], "b\\n": {"c":"\\u00e9"} }'
    assert.equal(#text .. "\n", drive("ceiling", spaced))
  end)
end)

describe("The inputs of the fuzzer", function()
  it("are accepted or refused alike by the parser and by the check", function()
    local result = support.run { "sh", "-c", support.quote(DRIVER) .. " check spec/fuzz/corpus/json/*.json" }
    assert.equal(0, result.code, result.err)
    local count, accepted = #lines(result.out), select(2, result.out:gsub(" ok\n", ""))
    assert.is_true(count >= 40 and accepted >= 25 and accepted < count, result.out)
  end)
end)

describe("A document", function()
  it("may be read, wrapped and let go by many threads at once", function()
    local text = { '{"name":"x"' }
    for i = 1, 50 do
      text[#text + 1] = ('"m%d":[%d,1.5e300,"\\n"]'):format(i, i)
    end
    assert.matches("^%x+\n$", drive("threads", table.concat(text, ",") .. "}"))
  end)
end)

local shared = support.shared()
if not shared then
  return
end

describe("The JSON test suite", function()
  local dir = shared .. "/corpus/json"
  local function checked(prefix)
    local files = {}
    local pipe = assert(io.popen("ls " .. support.quote(dir)))
    for name in pipe:lines() do
      if name:sub(1, 2) == prefix then
        files[#files + 1] = name
      end
    end
    pipe:close()
    local result = support.run({ DRIVER, "check", table.unpack(files) }, { cwd = dir })
    assert.equal(0, result.code, result.err)
    local answers = {}
    for _, line in ipairs(lines(result.out)) do
      local name, answer = line:match "^(%S+) (.*)$"
      answers[name] = answer
    end
    assert.is_true(#files > 0)
    return files, answers
  end

  it("is accepted where it must be", function()
    local files, answers = checked "y_"
    for _, name in ipairs(files) do
      assert.equal("ok", answers[name], name)
    end
  end)

  it("is refused where it must be, with an offset", function()
    local files, answers = checked "n_"
    for _, name in ipairs(files) do
      assert.matches(" at byte %d+", answers[name] or "no answer", 1, false, name)
    end
  end)

  it("is accepted or refused, never worse, where it may be either", function()
    local files, answers = checked "i_"
    for _, name in ipairs(files) do
      assert.is_string(answers[name], name)
    end
  end)
end)
