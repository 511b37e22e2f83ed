-- Values of the jq engine (runtime/jq/value.h: heap, strings, arrays, objects, paths, order, operators) through
-- spec/jq/value_driver.c.
local support = require "spec.support"

local function drive(requests)
  local lines = {}
  for i, request in ipairs(requests) do
    lines[i] = support.json.encode(request)
  end
  local result = support.run({ support.driver "value_driver" }, { stdin = table.concat(lines, "\n") .. "\n" })
  assert(result.code == 0, "value_driver: exit " .. result.code .. ": " .. result.err)
  local answers = support.json.lines(result.out)
  assert(#answers == #requests, "value_driver gave " .. #answers .. " answers to " .. #requests)
  for i, answer in ipairs(answers) do
    assert(not answer.bad, tostring(answer.bad) .. ": " .. lines[i])
  end
  return answers
end

-- Cases { name, input, argument…, expected text }, on values of documents and on computed ones.
local function check(cases)
  local requests = {}
  for i, case in ipairs(cases) do
    local inputs, steps, call = {}, {}, { 9, case[1] }
    for k = 2, #case - 1 do
      inputs[k - 1] = case[k]
      steps[#steps + 1] = { k - 1, "input", k - 2 }
      call[k + 1] = k - 1
    end
    local own = {}
    for k, step in ipairs(steps) do
      own[2 * k - 1] = step
      own[2 * k] = { k, "own", -k }
    end
    steps[#steps + 1] = call
    own[#own + 1] = call
    requests[2 * i - 1] = { inputs = inputs, steps = steps }
    requests[2 * i] = { inputs = inputs, steps = own, collect = true }
  end
  local answers = drive(requests)
  for i, case in ipairs(cases) do
    for k = 2 * i - 1, 2 * i do
      local text = assert(answers[k].v, answers[k].fault)[9]
      local expected = case[#case]
      if expected:find "^error: " then
        text = support.json.decode(text)
      end
      assert.equal(expected, text, table.concat(case, " ") .. (k % 2 == 0 and " (computed)" or ""))
    end
  end
end

describe("operators", function()
  it("add", function()
    check {
      { "+", "1", "2", "3" },
      { "+", "null", "2.50", "2.50" },
      { "+", '"a"', "null", '"a"' },
      { "+", '"ä"', '"\\u0000x"', '"ä\\u0000x"' },
      { "+", "[1]", '[2,"x"]', '[1,2,"x"]' },
      { "+", '{"a":1,"b":2}', '{"c":3,"a":9}', '{"a":9,"b":2,"c":3}' },
      { "+", "13911860366432393", "0", "13911860366432392" },
      { "+", "{}", "[]", "error: object ({}) and array ([]) cannot be added" },
      { "+", '"long string of more"', "1",
        'error: string ("long string of more") and number (1) cannot be added' },
    }
  end)

  it("subtract", function()
    check {
      { "-", "1", "0.5", "0.5" },
      { "-", "[1,1,2,3]", "[1]", "[2,3]" },
      { "-", '[1,[2],{"a":3},null,"x",2.0,11,12]', '[0,1,2,3,4,5,6,7,8,[2],{"a":3},"x"]', "[null,11,12]" },
      { "-", "{}", "{}", "error: object ({}) and object ({}) cannot be subtracted" },
      { "-", "13911860366432393", "-13911860366432393" },
      { "-", "-1E+1000", "1E+1000" },
      { "-", '"foo"', 'error: string ("foo") cannot be negated' },
      { "-", '"very-long-long-long-long-string"', 'error: string ("very-long-long-long-long...") cannot be negated' },
      { "-", '"xxxxxxxx☆☆☆☆☆☆☆☆"', 'error: string ("xxxxxxxx☆☆☆☆☆...") cannot be negated' },
    }
  end)

  it("multiply", function()
    check {
      { "*", "3", "0.5", "1.5" },
      { "*", '"ab"', "3", '"ababab"' },
      { "*", "2.9", '"ab"', '"abab"' },
      { "*", '"ab"', "0.5", '""' },
      { "*", '"ab"', "-1", "null" },
      { "*", '""', "1000000000", '""' },
      { "*", '"abc"', "1000000000", "error: Repeat string result too long" },
      { "*", '{"k":{"a":1,"b":2},"h":{"x":1}}', '{"k":{"a":0,"c":3},"h":1}', '{"k":{"a":0,"b":2,"c":3},"h":1}' },
      { "*", '{"a":{"b":{"c":1}}}', '{"a":{"b":{"d":2}},"e":5}', '{"a":{"b":{"c":1,"d":2}},"e":5}' },
      { "*", "[1]", "2", "error: array ([1]) and number (2) cannot be multiplied" },
    }
  end)

  it("divide", function()
    check {
      { "/", "1", "4", "0.25" },
      { "/", "1", "0", "error: number (1) and number (0) cannot be divided because the divisor is zero" },
      { "/", '"a, bc,d"', '", "', '["a","bc,d"]' },
      { "/", '"a,"', '","', '["a",""]' },
      { "/", '"äb"', '""', '["ä","b"]' },
      { "/", '""', '","', "[]" },
      { "/", "5", '"a"', 'error: number (5) and string ("a") cannot be divided' },
      { "%", "-7", "7", "0" },
      { "%", "-8", "7", "-1" },
      { "%", "5.9", "-3.9", "2" },
      { "%", "1e1000", "5", "2" },
      { "%", "-1e1000", "-1", "0" },
      { "%", "5", "1e1000", "5" },
      { "%", "5", "0.5",
        "error: number (5) and number (0.5) cannot be divided (remainder) because the divisor is zero" },
      { "%", "5", "[]", "error: number (5) and array ([]) cannot be divided (remainder)" },
    }
  end)

  it("refuse a product that the ceiling does not allow", function()
    local answer = drive { {
      inputs = { '"xxxxxxxxxx"', "100000" },
      steps = { { 1, "input", 0 }, { 2, "input", 1 }, { 3, "*", 1, 2 } },
      max = 900000,
    } }[1]
    assert.equal("memory", answer.fault)
    assert.equal(2, answer.at - 1)
  end)
end)

describe("numbers", function()
  it("keep their spelling as jq 1.8 does", function()
    local cases = {}
    for text, expected in pairs {
      ["1"] = "1", ["-0"] = "-0", ["3.0"] = "3.0", ["1.000"] = "1.000", ["100e-2"] = "1.00", ["1e2"] = "1E+2",
      ["0.10"] = "0.10", ["1E1234567890"] = "1.7976931348623157e+308", ["-1E1234567890"] = "-1.7976931348623157e+308",
      ["1e1000"] = "1E+1000", ["100000000000000000000"] = "100000000000000000000", ["0.000001"] = "0.000001",
      ["0.0000001"] = "1E-7", ["-0.00000012"] = "-1.2E-7", ["12.5e3"] = "1.25E+4", ["0e10"] = "0E+10",
      ["0.00"] = "0.00", ["1234e-2"] = "12.34", ["1234e-4"] = "0.1234", ["1234e-6"] = "0.001234",
      ["12345678909876543212345"] = "12345678909876543212345", ["9999999999E999999990"] = "9.999999999E+999999999",
      ["0.12345678901234567890123456789"] = "0.12345678901234567890123456789",
    } do
      cases[#cases + 1] = { "same", text, expected }
    end
    check(cases)
  end)

  it("are written with the fewest digits when they were computed", function()
    local cases = {}
    for text, expected in pairs {
      ["1e15"] = "1000000000000000", ["3.0"] = "3", ["-0"] = "-0", ["0.1"] = "0.1", ["1e-5"] = "1e-05",
      ["0.0001"] = "0.0001", ["0.00012345678901234567"] = "0.00012345678901234567", ["1.5e300"] = "1.5e+300",
      ["1e1000"] = "1.7976931348623157e+308", ["12345678909876543212345"] = "12345678909876543000000",
      ["5e-324"] = "5e-324", ["2.2250738585072014e-308"] = "2.2250738585072014e-308",
      ["123456789.123"] = "123456789.123", ["0.30000000000000004"] = "0.30000000000000004",
      ["1234567890123456789"] = "1234567890123456800", ["9007199254740993"] = "9007199254740992",
      ["1.7976931348623157e308"] = "1.7976931348623157e+308", ["-1.5e-7"] = "-1.5e-07", ["0.001"] = "0.001",
      ["123.456e10"] = "1234560000000",
      -- More than 15 zeros behind the last digit that counts: an exponent.
      ["1e16"] = "1e+16", ["1e17"] = "1e+17", ["12345e15"] = "12345000000000000000", ["1.2345e20"] = "1.2345e+20",
      ["99999999999999990"] = "99999999999999980",
      -- A literal is rounded to 17 digits first, half to even.
      ["9007199254740992.99999"] = "9007199254740992", ["9007199254740993.00001"] = "9007199254740992",
      ["-0.500000000000000055511151231257827"] = "-0.5000000000000001",
      ["0.500000000000000055511151231257826"] = "0.5000000000000001",
      ["0.500000000000000054"] = "0.5",
      ["1234567890123456.55"] = "1234567890123456.5",
    } do
      cases[#cases + 1] = { "double", text, expected }
    end
    check(cases)
  end)

  it("compare by their digits where both are spelled", function()
    check {
      { "order", "100000000000000000001", "100000000000000000000", "1" },
      { "equal", "13911860366432393", "13911860366432392", "false" },
      { "equal", "1.000", "1", "true" },
      { "equal", "100e-2", "1", "true" },
      { "equal", "1.00000000000000000000001", "1", "false" },
      { "order", "0.12345678901234567890123456788", "0.12345678901234567890123456789", "-1" },
      { "order", "-100000000000000000001", "-100000000000000000000", "-1" },
      { "order", "1e999999999", "1e-1147483646", "1" },
      { "equal", "0.000", "-0", "true" },
      { "order", "-1e400", "1e400", "-1" },
      { "order", "1e401", "1e400", "1" },
    }
    local answer = drive { {
      inputs = { "13911860366432393", "13911860366432392" },
      steps = { { 1, "input", 0 }, { 2, "input", 1 }, { 3, "double", 1 }, { 4, "equal", 3, 1 }, { 5, "equal", 3, 2 } },
    } }[1]
    assert.equal("true", answer.v[4])
    assert.equal("true", answer.v[5])
  end)

  it("are exact integers or not", function()
    check {
      { "int64", "9223372036854775807", '"9223372036854775807"' },
      { "int64", "-9223372036854775808", '"-9223372036854775808"' },
      { "int64", "9223372036854775808", '"none"' },
      { "int64", "5.0", '"5"' },
      { "int64", "1e3", '"1000"' },
      { "int64", "1.5", '"none"' },
      { "int64", "0.0e99999999", '"0"' },
      { "int64", "123456e-3", '"none"' },
      { "int64", "123000e-3", '"123"' },
      { "int64", "1e18", '"1000000000000000000"' },
    }
  end)
end)

describe("the order of values", function()
  it("is jq's", function()
    local sorted = {
      "null", "false", "true", "-1e400", "-1", "0", "0.5", "1e400", '""', '"a"', '"aa"', '"b"', '"ä"', '"☆"', "[]",
      "[0]", "[0,1]", "[1]", "{}", '{"a":2}', '{"a":1,"b":2}', '{"b":2,"a":2}', '{"a":0,"c":0}', '{"b":0}',
    }
    local cases = {}
    for i, a in ipairs(sorted) do
      for k, b in ipairs(sorted) do
        cases[#cases + 1] = { "order", a, b, i < k and "-1" or i > k and "1" or "0" }
        cases[#cases + 1] = { "equal", a, b, i == k and "true" or "false" }
      end
    end
    check(cases)
  end)

  it("of nan is below every number, nan too", function()
    local answer = drive { {
      inputs = { "-1e400", "[1,2]" },
      steps = { { 1, "nan" }, { 2, "input", 0 }, { 3, "order", 1, 2 }, { 4, "order", 2, 1 }, { 5, "order", 1, 1 },
        { 6, "equal", 1, 1 }, { 7, "input", 1 }, { 8, "append", -7, 1 }, { 8, "append", -8, 1 }, { 9, "unique", 8 } },
    } }[1]
    assert.same({ "-1", "1", "-1", "false" }, { table.unpack(answer.v, 3, 6) })
    assert.equal("[null,null,1,2]", answer.v[9])
  end)

  it("is what sorting natives sort by", function()
    check {
      { "sort", '[8,3,null,6,"x",[1],{},false]', '[null,false,3,6,8,"x",[1],{}]' },
      { "sort", "5", "error: number (5) cannot be sorted, as it is not an array" },
      { "_sort_by", '[{"a":3},{"a":1,"n":1},{"a":1,"n":2}]', "[[3],[1],[1]]", '[{"a":1,"n":1},{"a":1,"n":2},{"a":3}]' },
      { "_sort_by", "{}", "[]", "error: object ({}) and array ([]) cannot be sorted, as they are not both arrays" },
      { "_group_by", '["b","a","c","d"]', "[[2],[1],[2],[1]]", '[["a","d"],["b","c"]]' },
      { "_group_by", "[]", "[]", "[]" },
      { "unique", "[1,2,5,3,5,3,1,3]", "[1,2,3,5]" },
      { "_unique_by", '["chunky","bacon","kitten","cicada"]', "[[6],[5],[6],[6]]", '["bacon","chunky"]' },
      { "min", "[5,4,2,7]", "2" },
      { "max", "[]", "null" },
      { "min", "5", "error: number (5) and number (5) cannot be iterated over" },
      { "_min_by", '["x","y","z"]', "[[2],[1],[1]]", '"y"' },
      { "_max_by", '["x","y","z"]', "[[2],[1],[2]]", '"z"' },
      { "bsearch", "[1,2,3]", "4", "-4" },
      { "bsearch", "[1,2,3]", "0", "-1" },
      { "bsearch", "[1,2,3]", "2", "1" },
      { "bsearch", '"aa"', "0", 'error: string ("aa") cannot be searched from' },
    }
  end)

  it("sorts long arrays, stably", function()
    local values, keys, index = {}, {}, {}
    for i = 1, 1000 do
      local key = (i * 7919) % 101
      values[i], keys[i], index[i] = tostring(i), ("[%d]"):format(key), { key, i }
    end
    table.sort(index, function(a, b)
      return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
    end)
    local expected = {}
    for i, pair in ipairs(index) do
      expected[i] = tostring(pair[2])
    end
    check { { "_sort_by", "[" .. table.concat(values, ",") .. "]", "[" .. table.concat(keys, ",") .. "]",
      "[" .. table.concat(expected, ",") .. "]" } }
  end)

  it("takes steps", function()
    local answers = drive {
      { inputs = { "[9,8,7,6,5,4,3,2,1,0,-1,-2,-3,-4,-5]" }, steps = { { 1, "input", 0 }, { 2, "sort", 1 } }, work = 40 },
      { inputs = { "[9,8,7,6,5,4,3,2,1,0,-1,-2,-3,-4,-5]" }, steps = { { 1, "input", 0 }, { 2, "sort", 1 } }, work = 400 },
    }
    assert.equal("steps", answers[1].fault)
    assert.equal("[-5,-4,-3,-2,-1,0,1,2,3,4,5,6,7,8,9]", answers[2].v[2])
  end)
end)

describe("reading a part", function()
  it("takes what jq takes as a key", function()
    check {
      { "get", '{"a":1}', '"a"', "1" },
      { "get", '{"a":1}', '"b"', "null" },
      { "get", "[1,2,3]", "1.7", "2" },
      { "get", "[1,2,3]", "-1", "3" },
      { "get", "[1,2,3]", "-4", "null" },
      { "get", "[1,2,3]", "1e300", "null" },
      { "get", "null", '"a"', "null" },
      { "get", "null", '{"start":1,"end":null}', "null" },
      { "get", "[0,1,2,3,4]", '{"start":1.5,"end":3.5}', "[1,2,3]" },
      { "get", '"äbcdef"', '{"start":-5,"end":4}', '"bcd"' },
      { "get", "[1,2,1,2,1]", "[1,2]", "[0,2]" },
      { "get", "[1]", "[]", "[]" },
      { "get", "1", '"a"', 'error: Cannot index number with string ("a")' },
      { "get", "[1]", '"code_generation_activity_count"',
        'error: Cannot index array with string ("code_generation_activity...")' },
      { "get", "{}", "0", "error: Cannot index object with number (0)" },
      { "get", "[1]", "true", "error: Cannot index array with boolean (true)" },
      { "get", "[1]", "{}", "error: Start and end indices of an array slice must be numbers" },
      { "get_slice", "[1,2,3]", "null", "2", "[1,2]" },
      { "get_slice", '"abcdefghi"', "3", "2", '""' },
      { "get_slice", '"abcdefghi"', "-2", "null", '"hi"' },
      { "get_slice", "[1,2]", "0", "1e18", "[1,2]" },
      { "get_slice", "null", "1", "null", "null" },
      { "get_slice", "5", "1", "null", 'error: Cannot index number with object ({"start":1,"end":null})' },
      { "getpath", '{"a":[{"b":5}]}', '["a",0,"b"]', "5" },
      { "getpath", "null", '["a","b"]', "null" },
      { "getpath", "5", "5", "error: Path must be specified as an array" },
      { "getpath", '{"a":5}', '["a","b"]', 'error: Cannot index number with string ("b")' },
    }
  end)

  it("of a string by code points, of any length", function()
    check {
      { "get_slice", '"🇬🇧oo"', "1", "3", '"🇧o"' },
      { "get_slice", '"☆☆☆☆"', "-2", "null", '"☆☆"' },
      { "length", '"☆ä🇬x"', "4" },
    }
  end)
end)

describe("changing a part", function()
  it("makes what is missing", function()
    check {
      { "assign", "null", '"a"', "1", '{"a":1}' },
      { "assign", "null", "2", "1", "[null,null,1]" },
      { "assign", "[0,1,2]", "-1", "5", "[0,1,5]" },
      { "assign", "[0,1,2,3,4,5,6,7]", '{"start":2,"end":4}', '["a","b","c"]', '[0,1,"a","b","c",4,5,6,7]' },
      { "assign", "[1,2,3]", '{"start":5,"end":7}', '["x"]', '[1,2,3,"x"]' },
      { "assign", "[1,2,3]", '{"start":2,"end":0}', '["x"]', '[1,2,"x",3]' },
      { "assign", "null", '{"start":1,"end":3}', "[5]", "[5]" },
      { "assign", "null", "-1", "0", "error: Out of bounds negative array index" },
      { "assign", "null", "999999999", "0", "error: Array index too large" },
      { "assign", "[1]", '{"start":1,"end":null}', "5", "error: A slice of an array can only be assigned another array" },
      { "assign", '"foobar"', '{"start":1,"end":3}', '"x"', "error: Cannot update string slices" },
      { "assign", "[1]", "[1]", "1", "error: Cannot update field at array index of array" },
      { "assign", "[1]", '"a"', "1", 'error: Cannot index array with string ("a")' },
      { "setpath", "null", '["a","b"]', "1", '{"a":{"b":1}}' },
      { "setpath", '{"a":[{"b":1,"c":2}]}', '["a",0,"b"]', "9", '{"a":[{"b":9,"c":2}]}' },
      { "setpath", "5", "[]", "1", "1" },
      { "setpath", "5", "5", "1", "error: Path must be specified as an array" },
      { "delpaths", '{"a":{"b":1},"x":{"y":2}}', '[["a","b"]]', '{"a":{},"x":{"y":2}}' },
      { "delpaths", "[0,1,2,3,4,5,6,7,8,9]", '[[1],[-6],[2],[{"start":-3,"end":9}]]', "[0,3,5,6,9]" },
      { "delpaths", "[[1,2],[3]]", "[[0,0],[1,0]]", "[[2],[]]" },
      { "delpaths", '[{"a":1}]', '[[0,"a"],[0]]', "[]" },
      { "delpaths", '{"a":1}', '[["b","c"]]', '{"a":1}' },
      { "delpaths", "5", "[[]]", "null" },
      { "delpaths", "5", "[]", "5" },
      { "delpaths", "{}", "0", "error: Paths must be specified as an array" },
      { "delpaths", "[1]", '[["a"]]', "error: Cannot delete string element of array" },
      { "delpaths", '{"a":1}', "[[0]]", "error: Cannot delete number field of object" },
      { "delpaths", '{"a":1}', '[["a","b"]]', "error: Cannot delete fields from number" },
    }
  end)

  it("follows no path of more than 10,000 keys", function()
    local path = "[" .. ("0,"):rep(10000) .. "0]"
    check {
      { "setpath", "null", path, "0", "error: Path too deep" },
      { "getpath", "null", path, "error: Path too deep" },
      { "delpaths", "null", "[" .. path .. "]", "error: Path too deep" },
    }
  end)
end)

describe("natives of containers", function()
  it("measure and name", function()
    check {
      { "length", "[1,2]", "2" },
      { "length", '{"a":2}', "1" },
      { "length", "null", "0" },
      { "length", "-5", "5" },
      { "length", "1000000000000000002", "1000000000000000002" },
      { "length", "true", "error: boolean (true) has no length" },
      { "utf8bytelength", '"μ"', "2" },
      { "utf8bytelength", "5", "error: number (5) only strings have UTF-8 byte length" },
      { "type", "[]", '"array"' },
      { "keys", '{"abc":1,"abcd":2,"Foo":3}', '["Foo","abc","abcd"]' },
      { "keys", "[42,3,35]", "[0,1,2]" },
      { "keys", "null", "error: null (null) has no keys" },
      { "keys_unsorted", '{"b":1,"a":2}', '["b","a"]' },
      { "has", '{"a":1}', '"a"', "true" },
      { "has", "[0,1]", "2", "false" },
      { "has", "[0,1]", "-1", "false" },
      { "has", "[0,1]", "1.5", "true" },
      { "has", "[1]", '"a"', "error: Cannot check whether array has a string key" },
      { "toarray", "1", "[1]" },
      { "toarray", "[1]", "[1]" },
      { "sorted", '{"b":{"d":1,"c":2},"a":[{"z":1,"y":2}]}', '"{\\"a\\":[{\\"y\\":2,\\"z\\":1}],\\"b\\":{\\"c\\":2,\\"d\\":1}}"' },
    }
  end)

  it("search", function()
    check {
      { "contains", '"foobar"', '"bar"', "true" },
      { "contains", '"ab\\u0000cd"', '"b\\u0000cd"', "true" },
      { "contains", '["foobar","foobaz","blarp"]', '["baz","bar"]', "true" },
      { "contains", '["foobar","foobaz","blarp"]', '["bazzzzz","bar"]', "false" },
      { "contains", '{"foo":12,"bar":[1,2,{"barp":12,"blip":13}]}', '{"foo":12,"bar":[{"barp":12}]}', "true" },
      { "contains", '{"foo":12,"bar":[1,2,{"barp":12,"blip":13}]}', '{"foo":12,"bar":[{"barp":15}]}', "false" },
      { "contains", "5", '"a"', 'error: number (5) and string ("a") cannot have their containment checked' },
      { "contains", "true", "false",
        "error: boolean (true) and boolean (false) cannot have their containment checked" },
      { "indices", '"a,b, cd, efg, hijk"', '", "', "[3,7,12]" },
      { "indices", "[0,1,2,1,3,1,4]", "1", "[1,3,5]" },
      { "indices", "[0,1,2,3,1,4,2,5,1,2,6,7]", "[1,2]", "[1,8]" },
      { "indices", '"🇬🇧oo"', '"o"', "[2,3]" },
      { "indices", '"xababababax"', '"aba"', "[1,3,5,7]" },
      { "indices", '""', '""', "[]" },
      { "indices", "null", "1", "null" },
      { "indices", '"a"', "1", "error: Cannot index string with number (1)" },
      { "index", '"здравствуй мир!"', '"!"', "14" },
      { "index", '""', '""', "null" },
      { "index", "[0,1,2,3,1,4,2,5,1,2,6,7]", "[1,2]", "1" },
      { "rindex", '"xababababax"', '"aba"', "7" },
      { "rindex", "[0,1,2,1,3,1,4]", "1", "5" },
      { "rindex", "[]", "1", "null" },
      { "_strindices", '"abc"', "123", "error: number (123) is not a string" },
    }
  end)

  it("rebuild", function()
    check {
      { "add", "[]", "null" },
      { "add", "[1,2,3]", "6" },
      { "add", '["a","b","c"]', '"abc"' },
      { "add", "[[3],[4,5],[6]]", "[3,4,5,6]" },
      { "add", '[{"a":1},{"b":2},{"a":3}]', '{"a":3,"b":2}' },
      { "add", '{"x":1,"y":2}', "3" },
      { "add", '["a",1]', 'error: string ("a") and number (1) cannot be added' },
      { "add", "5", "error: Cannot iterate over number (5)" },
      { "any", "[false,null]", "false" },
      { "any", '{"a":true}', "true" },
      { "all", "[]", "true" },
      { "all", "null", "error: Cannot iterate over null (null)" },
      { "flatten", "[0,[1],[[2]],[[[3]]]]", "[0,1,2,3]" },
      { "flatten", '{"a":[1]}', "[1]" },
      { "flatten", "[0,[1],[[2]],[[[3]]]]", "2", "[0,1,2,[3]]" },
      { "flatten", "[0,[1]]", "0", "[0,[1]]" },
      { "flatten", "[1]", "-1", "error: flatten depth must not be negative" },
      { "flatten", "[[1]]", '"a"', 'error: string ("a") and number (1) cannot be subtracted' },
      { "flatten", "[1]", '"a"', "[1]" },
      { "reverse", "[1,2,3,4]", "[4,3,2,1]" },
      { "reverse", '"äb☆"', '"☆bä"' },
      { "reverse", "null", "[]" },
      { "reverse", "{}", "[]" },
      { "reverse", '{"a":1}', "error: Cannot index object with number (0)" },
      { "to_entries", '{"a":1,"b":null}', '[{"key":"a","value":1},{"key":"b","value":null}]' },
      { "to_entries", "[5]", '[{"key":0,"value":5}]' },
      { "from_entries", '[{"k":"a","v":1},{"name":"b","Value":2},{"Key":"c","V":3},{"Name":5,"value":false}]',
        '{"a":1,"b":2,"c":3,"5":false}' },
      { "from_entries", '[{"key":false,"value":1},{"key":null,"value":null}]', '{"false":1,"null":null}' },
      { "from_entries", "[5]", 'error: Cannot index number with string ("key")' },
      { "transpose", "[[1],[2,3]]", "[[1,2],[null,3]]" },
      { "transpose", "[]", "[]" },
    }
  end)
end)

describe("strings", function()
  it("have U+FFFD for each broken sequence", function()
    check {
      { "bytes", "[97,255,98]", '"a\u{FFFD}b"' },
      { "bytes", "[226,152,97]", '"\u{FFFD}a"' },
      { "bytes", "[237,160,128]", '"\u{FFFD}"' },
      { "bytes", "[240,159,145,141,128]", '"👍\u{FFFD}"' },
      { "bytes", "[97,98,99,100,101,102,103,104,105,192,175,106]", '"abcdefghi\u{FFFD}j"' },
    }
  end)

  it("that are continued differently do not see each other", function()
    local steps = { { 1, "input", 0 }, { 2, "input", 1 }, { 3, "same", 1 } }
    for _ = 1, 100 do
      steps[#steps + 1] = { 3, "+", -3, 2 }
    end
    steps[#steps + 1] = { 4, "same", 3 }
    for _ = 1, 3 do
      steps[#steps + 1] = { 4, "+", -4, 1 }
      steps[#steps + 1] = { 3, "+", -3, 2 }
    end
    for _, collect in ipairs { false, true } do
      local answer = drive { { inputs = { '"ab"', '"cdef"' }, steps = steps, collect = collect } }[1]
      assert.equal('"ab' .. ("cdef"):rep(103) .. '"', answer.v[3])
      assert.equal('"ab' .. ("cdef"):rep(100) .. "ababab" .. '"', answer.v[4])
    end
  end)
end)

describe("growing is linear in memory and work", function()
  -- { inputs…, steps before, step of the loop, bytes for each turn }
  local function grow(n, inputs, before, loop, bytes)
    local steps = { table.unpack(before) }
    steps[#steps + 1] = { "loop", n, loop }
    local answer = drive { { inputs = inputs, steps = steps } }[1]
    assert(answer.v, answer.fault)
    assert.is_true(answer.used < n * bytes, ("%d bytes for %d turns"):format(answer.used, n))
    assert.is_true(answer.work < n * 20, ("%d steps for %d turns"):format(answer.work, n))
    return answer
  end

  it("for strings, arrays and objects", function()
    local answer = grow(100000, { '""', '"x"' }, { { 1, "input", 0 }, { 2, "input", 1 } }, { { 1, "+", -1, 2 } }, 60)
    assert.equal(100002, #answer.v[1])
    answer = grow(100000, { "[]", "[1]" }, { { 1, "input", 0 }, { 2, "input", 1 } }, { { 1, "+", -1, 2 } }, 80)
    assert.equal(200001, #answer.v[1])
    grow(100000, { "[]" }, { { 1, "input", 0 } }, { { 2, "counter" }, { 1, "append", -1, 2 } }, 80)
    grow(100000, { "{}", "1" }, { { 1, "input", 0 }, { 2, "input", 1 } },
      { { 3, "name" }, { 1, "set", -1, 3, 2 } }, 260)
    grow(100000, { "null", '["a",0,"b"]' }, { { 1, "input", 0 }, { 2, "input", 1 } },
      { { 3, "counter" }, { 1, "setpath", -1, 2, 3 } }, 64)
  end)

  it("for a queue, and for an array that others hold", function()
    local answer = grow(50000, { "[1,2,3]", "0" }, { { 1, "input", 0 }, { 2, "input", 1 }, { 3, "input", 0 }, { 3, "own", 3 } },
      { { 3, "append", -3, 2 }, { 4, "same", 3 }, { 5, "counter" }, { 6, "counter" } }, 150)
    assert.equal(2 * 50003 + 1, #answer.v[3])
  end)

  it("for 10^6 members, and taking them away again", function()
    local n = 1000000
    local answer = drive { { inputs = { "{}", "1", '"key 5"' }, steps = {
      { 1, "input", 0 }, { 2, "input", 1 }, { "loop", n, { { 3, "name" }, { 1, "set", -1, 3, 2 } } },
      { 4, "length", 1 }, { 5, "input", 2 }, { 6, "member", 1, 5 }, { 7, "keys", 1 }, { 7, "length", -7 },
      { 8, "own", -1 }, { "loop", n - 2, { { 3, "old name" }, { 8, "unset", -8, 3 } } },
    } } }[1]
    assert.same({ "1000000", "1", "1000000", '{"key 999998":1,"key 999999":1}' },
      { answer.v[4], answer.v[6], answer.v[7], answer.v[8] })
  end)
end)

describe("nesting", function()
  local function nest(n, empty, wrap, after)
    local steps = { { 1, "input", 0 }, { 2, "input", 0 }, { 3, "input", 1 }, { 1, "own", -1 } }
    steps[#steps + 1] = { "loop", n, wrap }
    for _, step in ipairs(after) do
      steps[#steps + 1] = step
    end
    return drive { { inputs = { empty, '"a"' }, steps = steps } }[1]
  end
  local array = { { 4, "same", -1 }, { 1, "own", 2 }, { 1, "append", -1, -4 } }
  local object = { { 4, "same", -1 }, { 1, "own", 2 }, { 1, "set", -1, 3, -4 } }

  it("deeper than 10,000 levels is an error for who walks it", function()
    local function message(answer, register)
      return support.json.decode(assert(answer.v, answer.fault)[register])
    end
    local answer = nest(10001, "[]", array, { { 5, "contains", 1, 1 }, { 6, "order", 1, 1 }, { 1, "same", -8 } })
    assert.equal("error: Containment check too deep", message(answer, 5))
    assert.equal("error: Comparison too deep", message(answer, 6))
    answer = nest(10001, "{}", object, { { 5, "*", 1, 1 }, { 6, "equal", 1, 1 }, { 1, "same", -8 } })
    assert.equal("error: Object merge too deep", message(answer, 5))
    assert.equal("error: Comparison too deep", message(answer, 6))
  end)

  it("deeper than 10,001 levels is left out when it is written", function()
    local answer = nest(10000, "[]", array, { { 5, "order", 1, 1 }, { 4, "same", 8 } })
    assert.equal(("["):rep(10001) .. ("]"):rep(10001), answer.v[1])
    assert.equal("0", answer.v[5])
    answer = nest(10000, "{}", object, { { 4, "same", -1 }, { 1, "own", 2 }, { 5, "set", -1, 3, -4 }, { 6, "shown", 5 } })
    assert.equal('"object ({\\"a\\":{\\"a\\":{\\"a\\":{\\"a\\":{\\"a\\":...})"', answer.v[6])
  end)

  it("has an end", function()
    local answer = nest(10250, "[]", array, { { 4, "same", 8 } })
    assert.equal('"error: A value nests deeper than 10240 levels"', answer.v[1]:match '"error.-"')
  end)
end)

-- The same steps on a naive model, whose values never change.
local NULL = {}

local function copy(v)
  if type(v) ~= "table" or v == NULL then
    return v
  end
  local c = { kind = v.kind, n = v.n }
  for k, part in pairs(v) do
    c[k] = part
  end
  if v.names then
    c.names, c.map = { table.unpack(v.names) }, {}
    for name, part in pairs(v.map) do
      c.map[name] = part
    end
  end
  return c
end

local function list(...)
  local v = { kind = "array", n = select("#", ...), ... }
  return v
end

local function text_of(v)
  if v == NULL then
    return "null"
  elseif type(v) == "table" then
    local parts = {}
    if v.kind == "array" then
      for i = 1, v.n do
        parts[i] = text_of(v[i])
      end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for i, name in ipairs(v.names) do
      parts[i] = ("%q:%s"):format(name, text_of(v.map[name]))
    end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return type(v) == "string" and ("%q"):format(v) or tostring(v)
end

local function set(object, name, value)
  local o = copy(object)
  if o.map[name] == nil then
    o.names[#o.names + 1] = name
  end
  o.map[name] = value
  return o
end

local function unset(object, name)
  local o = copy(object)
  for i, met in ipairs(o.names) do
    if met == name then
      table.remove(o.names, i)
      o.map[name] = nil
      break
    end
  end
  return o
end

local function put(array, i, value)
  local a = copy(array)
  for k = a.n + 1, i do
    a[k] = NULL
  end
  a.n = math.max(a.n, i + 1)
  a[i + 1] = value
  return a
end

local function slice(array, from, to)
  local a = { kind = "array", n = 0 }
  for i = from, math.min(to, array.n) - 1 do
    a.n = a.n + 1
    a[a.n] = array[i + 1]
  end
  return a
end

local function concat(a, b)
  local c = copy(a)
  for i = 1, b.n do
    c[c.n + i] = b[i]
  end
  c.n = c.n + b.n
  return c
end

local function setpath(v, path, at, value)
  local key = path[at]
  if key == nil then
    return value
  elseif type(key) == "string" then
    v = v == NULL and { kind = "object", names = {}, map = {} } or v
    return set(v, key, setpath(v.map[key] or NULL, path, at + 1, value))
  end
  v = v == NULL and list() or v
  return put(v, key, setpath(v[key + 1] or NULL, path, at + 1, value))
end

local function delpath(v, path, at)
  local key = path[at]
  if v == NULL then
    return v
  elseif at == #path then
    if type(key) == "string" then
      return unset(v, key)
    end
    return concat(slice(v, 0, key), slice(v, key + 1, v.n))
  elseif type(key) == "string" then
    local part = v.map[key] or NULL
    return part == NULL and v or set(v, key, delpath(part, path, at + 1))
  end
  local part = v[key + 1] or NULL
  return part == NULL and v or put(v, key, delpath(part, path, at + 1))
end

describe("values that change in place where nobody can tell", function()
  local names = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l" }
  local inputs = {
    '[1,2,{"a":[5,"x"],"b":{"c":[]}},[[]]]',
    '{"a":{"b":[1,{"c":2}]},"c":"s","d":[],"e":3,"f":{}}',
    "[]", "{}", "7", '"text"',
  }
  local function parsed(text)
    local function take(v)
      if v == support.json.null then
        return NULL
      elseif type(v) ~= "table" then
        return math.type(v) == "float" and math.tointeger(v) or v
      end
      return v
    end
    -- Small texts, whose members come in the order of the alphabet.
    local function build(v)
      v = take(v)
      if type(v) ~= "table" or v == NULL then
        return v
      elseif getmetatable(v).__jsontype == "array" then
        local a = list()
        for i, part in ipairs(v) do
          a = put(a, i - 1, build(part))
        end
        return a
      end
      local o = { kind = "object", names = {}, map = {} }
      local sorted = {}
      for name in pairs(v) do
        sorted[#sorted + 1] = name
      end
      table.sort(sorted)
      for _, name in ipairs(sorted) do
        o = set(o, name, build(v[name]))
      end
      return o
    end
    return build(support.json.decode(text))
  end

  local function random_path(v)
    local path, random = {}, math.random
    for _ = 1, random(3) do
      if v == NULL or (type(v) == "table" and v.kind == "object") then
        local known = v ~= NULL and v.names[random(#v.names + 1)]
        path[#path + 1] = known or names[random(#names)]
        v = v ~= NULL and v.map[path[#path]] or NULL
      elseif type(v) == "table" then
        path[#path + 1] = random(0, v.n)
        v = v[path[#path] + 1] or NULL
      else
        break
      end
    end
    return path
  end

  -- One random program: steps for the driver, and the registers that have to come out. Registers 1 to 6 hold
  -- values, the others operands.
  local function program(seed, count)
    math.randomseed(seed)
    local random = math.random
    local texts, steps, model = { table.unpack(inputs) }, {}, {}
    for i = 1, 9 do
      model[i] = NULL
    end
    local function constant(register, v)
      texts[#texts + 1] = text_of(v)
      steps[#steps + 1] = { register, "input", #texts - 1 }
      model[register] = v
      return register
    end
    -- A register as an operand: shared, or taken out of it.
    local function operand(register, moved)
      local v = model[register]
      if moved then
        model[register] = NULL
      end
      return moved and -register or register, v
    end
    local function step(to, name, result, ...)
      steps[#steps + 1] = { to, name, ... }
      model[to] = result
    end
    for _ = 1, count do
      local to, from, with, kind = random(6), random(6), random(6), random(12)
      local v = model[from]
      local array, object = type(v) == "table" and v.kind == "array", type(v) == "table" and v.kind == "object"
      if kind == 1 or not (array or object) or #text_of(v) > 1500 then
        local i = random(#inputs)
        step(from, "input", parsed(inputs[i]), i - 1)
        if random(3) == 1 then
          step(from, "own", model[from], -from)
        end
      else
        -- What is needed besides is fetched before the container is taken out of its register.
        local value = random(2) == 1 and with ~= from and with or constant(7, random(9))
        local path, a, b = random_path(v), random(0, v.n or 0), random(0, v.n or 0)
        a, b = math.min(a, b), math.max(a, b)
        local name = object and v.names[random(#v.names + 1)] or names[random(#names)]
        local call
        if kind <= 3 and object then
          call = { "set", constant(8, name), value }
        elseif kind <= 3 then
          call = { "append", value }
        elseif kind == 4 and array then
          call = { "put", constant(8, a + random(0, 2)), value }
        elseif kind == 5 and array and type(model[value]) == "table" and model[value].kind == "array" then
          call = { random(2) == 1 and "+" or "concat", value }
        elseif kind == 6 and array then
          call = { "slice", constant(8, a), constant(9, b) }
        elseif kind == 7 and array then
          local bounds = set(set({ kind = "object", names = {}, map = {} }, "start", a), "end", b)
          call = { "get", constant(8, bounds) }
        elseif kind <= 9 then
          call = { "setpath", constant(8, list(table.unpack(path))), value }
        elseif kind == 10 and #path > 0 then
          call = { "delpaths", constant(8, list(list(table.unpack(path)))) }
        elseif kind == 11 and object then
          call = { "unset", constant(8, name) }
        elseif kind == 12 and object then
          call = { "get", constant(8, name) }
        else
          call = { "same" }
        end
        local given, container = operand(from, random(2) == 1)
        local results = {
          set = function(key, part) return set(container, key, part) end,
          append = function(part) return put(container, container.n, part) end,
          put = function(i, part) return put(container, i, part) end,
          ["+"] = function(more) return concat(container, more) end,
          concat = function(more) return concat(container, more) end,
          slice = function(first, last) return slice(container, first, last) end,
          setpath = function(keys, part) return setpath(container, keys, 1, part) end,
          delpaths = function(keys) return delpath(container, keys[1], 1) end,
          unset = function(key) return unset(container, key) end,
          get = function(key)
            if type(key) == "table" then
              return slice(container, key.map.start, key.map["end"])
            end
            return container.map[key] == nil and NULL or container.map[key]
          end,
          same = function() return container end,
        }
        local given_values, values = {}, {}
        for k = 2, #call do
          given_values[k - 1], values[k - 1] = operand(call[k], random(2) == 1)
        end
        step(to, call[1], results[call[1]](table.unpack(values)), given, table.unpack(given_values))
      end
    end
    return { inputs = texts, steps = steps }, model
  end

  local function same(answer, model, seed)
    for i = 1, 9 do
      assert.equal(text_of(model[i]), assert(answer.v, answer.fault)[i], ("register %d of program %d"):format(i, seed))
    end
  end

  it("are what values that never change would be, also when everything is collected at every step", function()
    local requests, models = {}, {}
    for seed = 1, 400 do
      local request, model = program(seed, 60)
      requests[2 * seed - 1], models[2 * seed - 1] = request, model
      requests[2 * seed] = { inputs = request.inputs, steps = request.steps, collect = true }
      models[2 * seed] = model
    end
    for i, answer in ipairs(drive(requests)) do
      same(answer, models[i], (i + 1) // 2)
    end
  end)

  it("are on a frozen heap what they were, whatever is made of them", function()
    local requests, models = {}, {}
    for seed = 1001, 1100 do
      local request, model = program(seed, 40)
      local steps = { { 9, "own input", 0 }, table.unpack(request.steps) }
      -- What reads the first two inputs reads what is frozen; at the end it still is what it was.
      for i = 2, #steps do
        if steps[i][2] == "input" and steps[i][3] == 0 then
          steps[i] = { steps[i][1], "kept" }
        end
      end
      steps[#steps + 1] = { 9, "kept" }
      model[9] = parsed(inputs[1])
      requests[#requests + 1] = { inputs = request.inputs, steps = steps, freeze = true, collect = seed % 2 == 0 }
      models[#models + 1] = model
    end
    for i, answer in ipairs(drive(requests)) do
      same(answer, models[i], 1000 + i)
    end
  end)

  it("end in a fault when memory ends, whichever allocation it is", function()
    local requests = {}
    local request = program(7, 60)
    for max = 0, 12000, 48 do
      requests[#requests + 1] = { inputs = request.inputs, steps = request.steps, max = max }
    end
    local faults, last = 0, nil
    for _, answer in ipairs(drive(requests)) do
      if answer.fault then
        assert.equal("memory", answer.fault)
        faults = faults + 1
      else
        last = last or answer.v
        assert.same(last, answer.v)
      end
    end
    assert.is_true(faults > 10 and last ~= nil, faults .. " faults")
    requests = {}
    for fail = 0, 12 do
      requests[#requests + 1] = {
        inputs = { '""', '"0123456789abcdef"' },
        steps = { { 1, "input", 0 }, { 2, "input", 1 }, { "loop", 9000, { { 1, "+", -1, 2 } } }, { 3, "length", 1 }, { 1, "same", 9 } },
        fail = fail,
      }
    end
    faults = 0
    for _, answer in ipairs(drive(requests)) do
      if answer.fault then
        assert.equal("memory", answer.fault)
        faults = faults + 1
      else
        assert.equal("144000", answer.v[3])
      end
    end
    assert.is_true(faults >= 3 and faults <= 12, faults .. " faults")
  end)
end)
