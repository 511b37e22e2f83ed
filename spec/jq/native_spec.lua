-- The natives over strings, formats, regular expressions, dates and numbers (strings.c, format.c, encode.c,
-- fromjson.c, regex.c, dates.c, numbers.c), through spec/jq/native_driver.c: no program, no machine.
local support = require "spec.support"
local driver = support.driver "native_driver"

local function ask(lines, env)
  local result = support.run({ driver }, { stdin = table.concat(lines, "\n") .. "\n", env = env })
  assert(result.code == 0, "native_driver: exit " .. result.code .. ": " .. result.err)
  local answers = support.json.lines(result.out)
  assert(#answers == #lines)
  return answers
end

local function request(case)
  return ('{"input":%s,"calls":[%s]%s}'):format(case[1], case[2], case.more and "," .. case.more or "")
end

-- { input, calls, result as jq writes it } or { input, calls, e = message } (all JSON text but the message),
-- more = further members of the request.
local function check(cases, env)
  local lines = {}
  for i, case in ipairs(cases) do
    lines[i] = request(case)
  end
  for i, answer in ipairs(ask(lines, env)) do
    local case = cases[i]
    if case.fault then
      assert.equal(case.fault, answer.fault, lines[i])
    elseif case.e then
      assert.equal(case.e, answer.e, lines[i])
    else
      assert.equal(case[3], answer.text, lines[i] .. " raised " .. tostring(answer.e or answer.fault))
    end
  end
end

local function repeated(text, n)
  return '"' .. text:rep(n) .. '"'
end

describe("natives over strings", function()
  it("split and join", function()
    check {
      { '"a, b,c,d, e, "', '["split",", "]', '["a","b,c,d","e",""]' },
      { '""', '["split",","]', "[]" },
      { '""', '["split",""]', "[]" },
      { '"aé😀"', '["split",""]', '["a","é","😀"]' },
      { '"abcb"', '["split","b"]', '["a","c",""]' },
      { '"ab1ab"', '["split","ab"]', '["","1",""]' },
      { "1", '["split",","]', e = "split input and separator must be strings" },
      { '"a"', '["split",1]', e = "split input and separator must be strings" },
      { '[1,null,"x",true,1.50,100000000000000000000]', '["join",","]', '"1,,x,true,1.50,100000000000000000000"' },
      { "[]", '["join",","]', '""' },
      { '["a",null]', '["join",null]', '"a"' },
      { '{"a":"x","b":"y"}', '["join","-"]', '"x-y"' },
      { "[[1]]", '["join",","]', e = 'string ("") and array ([1]) cannot be added' },
      { '["a",{}]', '["join",","]', e = 'string ("a,") and object ({}) cannot be added' },
      { '["a","b"]', '["join",1]', e = 'string ("a") and number (1) cannot be added' },
      { '["a"]', '["join",1]', '"a"' },
      { "null", '["join",""]', e = "Cannot iterate over null (null)" },
    }
  end)

  it("beginnings, ends and blanks", function()
    check {
      { '"foobar"', '["startswith","foo"]', "true" },
      { '"fo"', '["startswith","foo"]', "false" },
      { '"foobar"', '["endswith","bar"]', "true" },
      { '"foobar"', '["endswith","foo"]', "false" },
      { '"a"', '["startswith",1]', e = "startswith() requires string inputs" },
      { "1", '["endswith","a"]', e = "endswith() requires string inputs" },
      { '"foobar"', '["ltrimstr","foo"]', '"bar"' },
      { '"afoo"', '["ltrimstr","foo"]', '"afoo"' },
      { '"barfoo"', '["rtrimstr","foo"]', '"bar"' },
      { '"foob"', '["rtrimstr","foo"]', '"foob"' },
      { '"foobarfoo"', '["trimstr","foo"]', '"bar"' },
      { '"foo"', '["trimstr","foo"]', '""' },
      { '"foofoo"', '["trimstr","foo"]', '""' },
      { '"x"', '["trimstr",""]', '"x"' },
      { "1", '["ltrimstr","a"]', e = "startswith() requires string inputs" },
      { '"hi"', '["rtrimstr",1]', e = "endswith() requires string inputs" },
      { "{}", '["trimstr","a"]', e = "startswith() requires string inputs" },
      { [["\u0085\u2003 a b\u3000\n"]], '["trim"]', '"a b"' },
      { [["\u0085\u2003 a\u3000\n"]], '["ltrim"]', [["a　\n"]] },
      { [[" a\u3000\n"]], '["rtrim"]', '" a"' },
      { [["\u200b"]], '["trim"]', '"​"' },
      { '" "', '["trim"]', '""' },
      { "1", '["trim"]', e = "trim input must be a string" },
      { "null", '["ltrim"]', e = "trim input must be a string" },
      { "[]", '["rtrim"]', e = "trim input must be a string" },
    }
  end)

  it("letters and code points", function()
    check {
      { '"aZ[é`{@"', '["ascii_upcase"]', '"AZ[é`{@"' },
      { '"aZ[é`{@"', '["ascii_downcase"]', '"az[é`{@"' },
      { "1", '["ascii_upcase"]', e = "explode input must be a string" },
      { [["aé😀\u0000"]], '["explode"]', "[97,233,128512,0]" },
      { "[]", '["explode"]', e = "explode input must be a string" },
      { "[-1,0,1,2,3,1114111,1114112,55295,55296,57343,57344,1.1,1.9]", '["implode"],["explode"]',
        "[65533,0,1,2,3,1114111,65533,55295,65533,65533,57344,1,1]" },
      { "[1e300,-1e300]", '["implode"],["explode"]', "[65533,65533]" },
      { '"a"', '["implode"]', e = "implode input must be an array" },
      { '[65,"a"]', '["implode"]', e = [[string ("a") can't be imploded, unicode codepoint needs to be numeric]] },
    }
  end)
end)

describe("formats", function()
  it("rows", function()
    check {
      { [=[[1,"a\"b",null,true,3.0,100000000000000000000]]=], '["format","csv"]',
        [=["1,\"a\"\"b\",,true,3.0,100000000000000000000"]=] },
      { "[]", '["format","csv"]', '""' },
      { "1", '["format","csv"]', e = "number (1) cannot be csv-formatted, only an array can be" },
      { "[{}]", '["format","csv"]', e = "object ({}) is not valid in a csv row" },
      { [=[["a\u0000b"]]=], '["format","csv"]', [=["\"a\\0b\""]=] },
      { [=[["a\u0000b"]]=], '["format","tsv"]', [=["a\\0b"]=] },
      { [=["a\u0000b"]=], '["format","sh"]', [=["'a\\0b'"]=] },
      { [=["a\u0000b"]=], '["format","html"]', [=["a\\0b"]=] },
      { [=[["a\tb\\\r\n",1,null]]=], '["format","tsv"]', [=["a\\tb\\\\\\r\\n\t1\t"]=] },
      { "{}", '["format","tsv"]', e = "object ({}) cannot be tsv-formatted, only an array can be" },
      { [["O'Hara"]], '["format","sh"]', [["'O'\\''Hara'"]] },
      { '[1,"a b",null,false]', '["format","sh"]', [["1 'a b' null false"]] },
      { "{}", '["format","sh"]', e = "object ({}) can not be escaped for shell" },
      { "[[1]]", '["format","sh"]', e = "array ([1]) can not be escaped for shell" },
    }
    local nan = ask { '{"input":{"$":"nan"},"calls":[["tostring"]]}' }[1]
    assert.equal('"null"', nan.text)
  end)

  it("text", function()
    check {
      { [["<&'\">é"]], '["format","html"]', '"&lt;&amp;&#39;&quot;&gt;é"' },
      { '["<"]', '["format","html"]', '"[&quot;&lt;&quot;]"' },
      { '"aé ~-_.!\'()*"', '["format","uri"]', '"a%C3%A9%20~-_.%21%27%28%29%2A"' },
      { '"a%C3%A9+%20%f0%9F%98%80"', '["format","urid"]', '"aé+ 😀"' },
      { '"%C3%41%80"', '["format","urid"]', '"�A�"' },
      { '"%C3"', '["format","urid"]', e = 'string ("%C3") is not a valid uri encoding' },
      { '"%4"', '["format","urid"]', e = 'string ("%4") is not a valid uri encoding' },
      { '"%zz"', '["format","urid"]', e = 'string ("%zz") is not a valid uri encoding' },
      { "[1,2]", '["format","json"]', '"[1,2]"' },
      { "[1,2]", '["format","text"]', '"[1,2]"' },
      { '"a"', '["format","text"]', '"a"' },
      { '"a"', '["format","json"]', [["\"a\""]] },
      { "1", '["format","zz"]', e = "zz is not a valid format" },
      { "1", '["format",2]', e = "number (2) is not a valid format" },
    }
  end)

  it("base64 and base32", function()
    check {
      { '"This is a message"', '["format","base64"]', '"VGhpcyBpcyBhIG1lc3NhZ2U="' },
      { '""', '["format","base64"]', '""' },
      { '"a"', '["format","base64"]', '"YQ=="' },
      { '"ab"', '["format","base64"]', '"YWI="' },
      { [["foóbar\n"]], '["format","base64"]', '"Zm/Ds2Jhcgo="' },
      { '"Zm/Ds2Jhcgo="', '["format","base64d"]', [["foóbar\n"]] },
      { '"YQ"', '["format","base64d"]', '"a"' },
      { '"YWI=garbage"', '["format","base64d"]', '"ab"' },
      { '"="', '["format","base64d"]', '""' },
      { '"gA=="', '["format","base64d"]', '"�"' },
      { '"Not base64 data"', '["format","base64d"]', e = 'string ("Not base64 data") is not valid base64 data' },
      { '"QUJDa"', '["format","base64d"]', e = 'string ("QUJDa") trailing base64 byte found' },
      { '"This is"', '["format","base32"]', '"KRUGS4ZANFZQ===="' },
      { '"KRUGS4ZANFZQ===="', '["format","base32d"]', '"This is"' },
      { '"a1"', '["format","base32d"]', e = 'string ("a1") is not valid base32 data' },
    }
    local lines = {}
    for n = 0, 40 do
      local text = repeated("x", n)
      lines[#lines + 1] = ('{"input":%s,"calls":[["format","base64"],["format","base64d"]]}'):format(text)
      lines[#lines + 1] = ('{"input":%s,"calls":[["format","base32"],["format","base32d"]]}'):format(text)
    end
    for i, answer in ipairs(ask(lines)) do
      assert.equal(repeated("x", (i - 1) // 2), answer.text, lines[i])
    end
  end)
end)

describe("conversions", function()
  it("tonumber", function()
    check {
      { '"12"', '["tonumber"]', "12" },
      { "3.0", '["tonumber"]', "3.0" },
      { '"+5.43"', '["tonumber"]', "5.43" },
      { '".89"', '["tonumber"]', "0.89" },
      { '"5."', '["tonumber"]', "5" },
      { '"007"', '["tonumber"]', "7" },
      { '"12345678901234567890"', '["tonumber"]', "12345678901234567890" },
      { '"-876"', '["tonumber"]', "-876" },
      { '"nan"', '["tonumber"]', "null" },
      { '"-Infinity"', '["tonumber"]', "-1.7976931348623157e+308" },
      { '" 4"', '["tonumber"]', e = 'string (" 4") cannot be parsed as a number' },
      { '"5 "', '["tonumber"]', e = 'string ("5 ") cannot be parsed as a number' },
      { '"0x1"', '["tonumber"]', e = 'string ("0x1") cannot be parsed as a number' },
      { '""', '["tonumber"]', e = 'string ("") cannot be parsed as a number' },
      { '"."', '["tonumber"]', e = 'string (".") cannot be parsed as a number' },
      { '"1e"', '["tonumber"]', e = 'string ("1e") cannot be parsed as a number' },
      { [["123\u0000456"]], '["tonumber"]', e = [[string ("123\u0000456") cannot be parsed as a number]] },
      { "null", '["tonumber"]', e = "null (null) cannot be parsed as a number" },
      { "[]", '["tonumber"]', e = "array ([]) cannot be parsed as a number" },
    }
  end)

  it("tostring, tojson, toboolean", function()
    check {
      { '"a"', '["tostring"]', '"a"' },
      { "[1,1.000]", '["tostring"]', '"[1,1.000]"' },
      { "null", '["tojson"]', '"null"' },
      { "true", '["tojson"]', '"true"' },
      { "12345678909876543212345", '["tojson"]', '"12345678909876543212345"' },
      { '"a"', '["tojson"]', [["\"a\""]] },
      { '"true"', '["toboolean"]', "true" },
      { "false", '["toboolean"]', "false" },
      { '"tru"', '["toboolean"]', e = 'string ("tru") cannot be parsed as a boolean' },
      { "0", '["toboolean"]', e = "number (0) cannot be parsed as a boolean" },
    }
  end)

  it("fromjson takes what jq takes, and says what jq says", function()
    local good = {
      ["[1, {\"a\": [null, true, false, \"x\\n\\u00e9\\ud83d\\ude00\"]}]"] = '[1,{"a":[null,true,false,"x\\né😀"]}]',
      [" 1 "] = "1",
      ["{\"a\":1,\"a\":2}"] = '{"a":2}',
      ["[nan,NaN,-nan]"] = "[null,null,null]",
      ["[+1,.5,5.,01]"] = "[1,0.5,5,1]",
      ["\"\\ud800\""] = '"�"',
      ["\xEF\xBB\xBF[1]"] = "[1]",
      ["100000000000000000000"] = "100000000000000000000",
    }
    local bad = {
      [""] = "Expected JSON value",
      ["nope"] = "Invalid numeric literal at EOF at line 1, column 4",
      ["  pad "] = "Invalid numeric literal at line 1, column 6",
      ["[bot]"] = "Invalid numeric literal at line 1, column 5",
      ["user@example.com"] = "Invalid numeric literal at EOF at line 1, column 16",
      ["{'a': 123}"] = "Invalid string literal; expected \", but got ' at line 1, column 5",
      ["nul"] = "Invalid literal at EOF at line 1, column 3",
      ["tru["] = "Invalid literal at line 1, column 4",
      ["NaN10"] = "Invalid numeric literal at EOF at line 1, column 5",
      ["[1,\n2,\nx]"] = "Invalid numeric literal at line 3, column 2",
      ["[1,]"] = "Expected another array element at line 1, column 4",
      ["[,1]"] = "Expected value before ',' at line 1, column 2",
      ["[1 2]"] = "Expected separator between values at line 1, column 5",
      ["{\"a\":1,}"] = "Expected another key-value pair at line 1, column 8",
      ["{\"a\"}"] = "Objects must consist of key:value pairs at line 1, column 5",
      ["{1:2}"] = "Object keys must be strings at line 1, column 3",
      ["{\"a\":}"] = "Unmatched '}' at line 1, column 6",
      ["{\"a\":1:2}"] = "':' not as part of an object at line 1, column 7",
      ["{:1}"] = "Expected string key before ':' at line 1, column 2",
      ["[1}"] = "Objects must consist of key:value pairs at line 1, column 3",
      ["{]"] = "Unmatched ']' at line 1, column 2",
      ["["] = "Unfinished JSON term at EOF at line 1, column 1",
      ["\"abc"] = "Unfinished string at EOF at line 1, column 4",
      ["\"a\tb\""] = "Invalid string: control characters from U+0000 through U+001F must be escaped "
        .. "at line 1, column 5",
      ["\"\\x\""] = "Invalid escape at line 1, column 4",
      ["\"\\u12\""] = "Invalid \\uXXXX escape at line 1, column 6",
      ["\"\\u12zz\""] = "Invalid characters in \\uXXXX escape at line 1, column 8",
      ["1 2"] = "Unexpected extra JSON values",
      ["1 x"] = "Invalid numeric literal at EOF at line 1, column 3",
    }
    local cases = {}
    for text, result in pairs(good) do
      cases[#cases + 1] = { support.json.encode(text), '["fromjson"]', result }
    end
    for text, message in pairs(bad) do
      cases[#cases + 1] =
        { support.json.encode(text), '["fromjson"]', e = ("%s (while parsing '%s')"):format(message, text) }
    end
    cases[#cases + 1] = { "null", '["fromjson"]', e = "null (null) only strings can be parsed" }
    check(cases)
  end)

  it("fromjson bounds the nesting", function()
    local deep = ("["):rep(10000) .. ("]"):rep(10000)
    local answers = ask {
      ('{"input":"%s","calls":[["fromjson"],["tojson"]]}'):format(deep),
      ('{"input":"[%s]","calls":[["fromjson"]]}'):format(deep),
    }
    assert.equal('"' .. deep .. '"', answers[1].text)
    assert.truthy(answers[2].e:find("Exceeds depth limit for parsing", 1, true))
  end)
end)

describe("regular expressions", function()
  local function match(text, groups)
    return ('{"offset":%d,"length":%d,"string":"%s","captures":[%s]}'):format(text[1], text[2], text[3], groups or "")
  end

  it("_match gives offsets in code points", function()
    local none = '{"offset":-1,"length":0,"string":null,"name":null}'
    check {
      { '"abc"', '["_match","( )*","g",false]', ("[%s,%s,%s,%s]"):format(match({ 0, 0, "" }, none),
        match({ 1, 0, "" }, none), match({ 2, 0, "" }, none), match({ 3, 0, "" }, none)) },
      { '"abc"', '["_match","( )*","gn",false]', "[]" },
      { '"āb bar"', '["_match","bar",null,false]', ("[%s]"):format(match { 3, 3, "bar" }) },
      { '"é1é2"', '["_match","(?<=(?<w>é))\\\\d","g",false]', ("[%s,%s]"):format(
        match({ 1, 1, "1" }, '{"offset":0,"length":1,"string":"é","name":"w"}'),
        match({ 3, 1, "2" }, '{"offset":2,"length":1,"string":"é","name":"w"}')) },
      { '"c"', '["_match","(?<x>a?)?b?",null,false]',
        ("[%s]"):format(match({ 0, 0, "" }, '{"offset":0,"length":0,"string":"","name":"x"}')) },
      { '"xABC"', '["_match","a b c # comment","ix",true]', "true" },
      { '"xAB"', '["_match","abc",null,true]', "false" },
      { "1", '["_match","a",null,false]', e = "number (1) cannot be matched, as it is not a string" },
      { '"a"', '["_match",1,null,false]', e = "number (1) cannot be matched, as it is not a string" },
      { '"a"', '["_match","a",1,false]', e = "number (1) is not a string" },
      { '"a"', '["_match","a","gq",false]', e = "gq is not a valid modifier string" },
      { '"a"', '["_match","(",null,false]',
        e = "( (at offset 0) is not a valid regex: end pattern with unmatched parenthesis" },
    }
  end)

  it("test, split and what scan, capture and sub stand on", function()
    check {
      { '"a1"', '["test","\\\\d"]', "true" },
      { '"a"', '["test",["A","i"]]', "true" },
      { '"a"', '["test",["A"]]', "false" },
      { '"a"', '["test",[]]', e = "array not a string or array" },
      { '"a"', '["test",1]', e = "number not a string or array" },
      { '"ab,cd, ef"', '["split",", *",null]', '["ab","cd","ef"]' },
      { '"ab"', '["split","",null]', '["","a","b",""]' },
      { '"aXbxc"', '["split","x","i"]', '["a","b","c"]' },
      { '"a"', '["split","x",1]', e = 'number (1) and string ("g") cannot be added' },
      { '"xyzzy-14"', '["_captures","(?<a>[a-z]+)-(?<n>[0-9]+)(?<none>x)?(y)?",null]',
        '[{"a":"xyzzy","n":"14","none":null}]' },
      { '"abaab"', '["_scan","(a+)(b)",null]', '[["a","b"],["aa","b"]]' },
      { '"abAB"', '["_scan","ab","i"]', '["ab","AB"]' },
      { '"123foo456bar"', '["_edits","[^a-z]*(?<x>[a-z]*)","g"]', '["",{"x":"foo"},"",{"x":"bar"},"",{"x":""},""]' },
      { '"a1b2"', '["_edits","\\\\d",null]', '["a",{},"b2"]' },
      { '"none"', '["_edits","\\\\d","g"]', '["none"]' },
      { '"aaa"', '["_replace","^.*?a","g","b"]', '"baa"' },
      { '"é"', '["_replace","","g","a"]', '"aéa"' },
      { '"a b c"', '["_replace"," ",null,"-"]', '"a-b c"' },
      { '"qux"', '["_replace","(?=u)","g","u"]', '"quux"' },
      { '"none"', '["_replace","x","g",1]', '"none"' },
      { '"axb"', '["_replace","x","g",1]', e = 'string ("a") and number (1) cannot be added' },
    }
  end)

  it("keeps more expressions in use than it caches", function()
    local calls = {}
    for round = 1, 3 do
      for i = 1, 200 do
        calls[#calls + 1] = ('["_replace","^x%d$",null,"x%d"]'):format(i, i + 1)
      end
      calls[#calls + 1] = '["_replace","^x201$",null,"x1"]'
      assert.truthy(round)
    end
    check { { '"x1"', table.concat(calls, ","), '"x1"' } }
  end)

  it("ends patterns that explode", function()
    local function raises(input, pattern, words)
      local answer = ask { ('{"input":%s,"calls":[["test",%s]]}'):format(input, support.json.encode(pattern)) }[1]
      assert.is_nil(answer.v, pattern)
      if words then
        assert.truthy(answer.e:find(words, 1, true), answer.e)
      end
    end
    raises(repeated("a", 50):sub(1, -2) .. 'b"', "(a+)+$", "retry-limit-in-match over")
    raises(repeated("x", 200000), "(x*)(x*)(x*)(?=\\d)", "retry-limit")
    raises(repeated("a", 100000), "(?<x>a\\g<x>?)b", "-limit-in-search over") -- of calls or of retries
    raises('"a"', "a{100000}{100000}", "too big number for repeat range")
    raises('"a"', ("("):rep(5000) .. (")"):rep(5000), "parse depth limit over")
    raises('"a"', ("(a)"):rep(40000), "longer than the 65536")
    -- Every search is below its own limit, all of them together are above the budget.
    local answer = ask { ('{"input":%s,"calls":[["_match","(a|aa)+$|b","g",false]]}'):format(
      '"' .. (("a"):rep(24) .. "cb"):rep(20000) .. '"') }[1]
    assert.equal("steps", answer.fault)
  end)

  it("does not take a step a byte for each of many matches", function()
    local answer = ask { ('{"input":%s,"calls":[["_scan","x",null]],"steps":30000000}'):format(
      repeated("aaax", 200000)) }[1]
    assert.equal(200000, #answer.v)
  end)
end)

describe("dates", function()
  it("seconds to fields and back", function()
    check {
      { "1425599507.25", '["gmtime"]', "[2015,2,5,23,51,47.25,4,63]" },
      { "-1.5", '["gmtime"]', "[1969,11,31,23,59,59.5,3,364]" },
      { "[2024,8,21]", '["mktime"]', "1726876800" },
      { "[2015,2,5,23,51,47.9,4,63]", '["mktime"]', "1425599507" },
      { "[1969,11,31,23,59,59]", '["mktime"]', "-1" },
      { "[2024,13,32]", '["mktime"]', "1741046400" },
      { '["a",1,2,3,4,5,6,7]', '["mktime"]', e = "mktime requires parsed datetime inputs" },
      { '"a"', '["mktime"]', e = "mktime requires array of 6 numbers" },
      { "[1e300,1e300,1e300,1e300,1e300,1e300]", '["mktime"]', e = "invalid gmtime representation" },
      { '"a"', '["gmtime"]', e = "gmtime() requires a number" },
      { "null", '["localtime"]', e = "localtime() requires a number" },
    }
    for _, seconds in ipairs { "1e300", "-1e300", "1e18", '{"$":"nan"}', '{"$":"infinite"}', '{"$":"-infinite"}' } do
      for _, call in ipairs { '["gmtime"]', '["localtime"]', '["strftime","%Y"]', '["strflocaltime","%Y"]' } do
        local case = { seconds, call, e = "error converting number of seconds since epoch to datetime" }
        check { case }
      end
    end
  end)

  it("to text", function()
    check {
      { "1435677542.822351", '["strftime","%A, %B %d, %Y"]', '"Tuesday, June 30, 2015"' },
      { "[2024,8,21]", '["strftime","%A %F %T %j"]', '"Saturday 2024-09-21 00:00:00 265"' },
      { "253402300800", '["strftime","%Y-%m-%dT%H:%M:%SZ"]', '"10000-01-01T00:00:00Z"' },
      { "0", '["strftime",""]', '""' },
      { "0", '["strftime","é%%"]', '"é%"' },
      { "0", '["strftime","%300d"]', '"' .. ("0"):rep(299) .. '1"' },
      { "0", '["strftime","%5000000Y"]', e = "strftime/1: unknown system failure" },
      { "0", '["strftime",[]]', e = "strftime/1 requires a string format" },
      { "{}", '["strftime","%Y"]', e = "strftime/1 requires parsed datetime inputs" },
      { "[[]]", '["strftime","%Y"]', e = "strftime/1 requires parsed datetime inputs" },
      { "0", '["strflocaltime",1]', e = "strflocaltime/1 requires a string format" },
      { '["a",1,2,3,4,5,6,7]', '["strflocaltime","%Y"]', e = "strflocaltime/1 requires parsed datetime inputs" },
    }
  end)

  it("local time is the process's", function()
    check({
      { "1720000000", '["strflocaltime","%F %T %z"]', '"2024-07-03 18:46:40 +0900"' },
      { "1720000000", '["localtime"]', "[2024,6,3,18,46,40,3,184]" },
      { "[2024,6,3,18,46,40]", '["strflocaltime","%F %T %z"]', '"2024-07-03 18:46:40 +0900"' },
      { "1720000000", '["strftime","%F %T %z"]', '"2024-07-03 09:46:40 +0000"' },
    }, { TZ = "JST-9" })
  end)

  it("from text", function()
    check {
      { '"2015-03-05T23:51:47Z"', '["strptime","%Y-%m-%dT%H:%M:%SZ"]', "[2015,2,5,23,51,47,4,63]" },
      { '"2015-03-05T23:51:47Z"', '["strptime","%Y-%m-%dT%H:%M:%SZ"],["mktime"]', "1425599507" },
      { '"10:20 rest"', '["strptime","%H:%M"]', '[1900,0,0,10,20,0,8,367," rest"]' },
      { '"10:20rest"', '["strptime","%H:%M"]', e = 'date "10:20rest" does not match format "%H:%M"' },
      { '"0.1"', '["strptime","%s"]', e = 'date "0.1" does not match format "%s"' },
      { "1", '["strptime","%Y"]', e = "strptime/1 requires string inputs and arguments" },
      { '"1"', '["strptime",1]', e = "strptime/1 requires string inputs and arguments" },
      { repeated("x", 1000), '["strptime","%s"]',
        e = ('date "%s" does not match format "%%s"'):format(("x"):rep(400)) },
    }
  end)

  it("now is the time", function()
    local before = os.time()
    local now = ask { '{"input":null,"calls":[["now"]]}' }[1].v
    assert.truthy(now >= before - 1 and now <= os.time() + 1)
  end)
end)

describe("numbers", function()
  it("compute as libm does", function()
    check {
      { "-1.5", '["floor"]', "-2" },
      { "-1.5", '["ceil"]', "-1" },
      { "2.5", '["round"]', "3" },
      { "2.5", '["rint"]', "2" },
      { "-2.7", '["trunc"]', "-2" },
      { "16", '["sqrt"]', "4" },
      { "-8", '["cbrt"]', "-2" },
      { "8", '["log2"]', "3" },
      { "3", '["exp10"]', "1000" },
      { "10", '["significand"]', "1.25" },
      { "10", '["logb"]', "3" },
      { "5", '["tgamma"]', "24" },
      { "8", '["frexp"]', "[0.5,4]" },
      { "1e1000", '["frexp"]', "[1.7976931348623157e+308,0]" },
      { "-1.5", '["modf"]', "[-0.5,-1]" },
      { "-0.5", '["lgamma_r"]', "[1.2655121234846454,-1]" },
      { "null", '["pow",2,10]', "1024" },
      { "null", '["atan2",0,1]', "0" },
      { "null", '["fmin",1,2]', "1" },
      { "null", '["ldexp",3,2]', "12" },
      { "null", '["ldexp",1,1e300]', "1.7976931348623157e+308" },
      { "null", '["scalb",3,1.5]', "null" },
      { "null", '["scalbln",3,-1e300]', "0" },
      { "null", '["drem",10,3]', "1" },
      { "null", '["fma",2,3,4]', "10" },
      { '"a"', '["floor"]', e = 'string ("a") number required' },
      { "null", '["pow",1,"a"]', e = 'string ("a") number required' },
      { "null", '["fma",1,{},"a"]', e = "object ({}) number required" },
    }
  end)

  it("abs keeps the spelling", function()
    check {
      { "-10", '["abs"]', "10" },
      { "-1.10", '["abs"]', "1.10" },
      { "-1E+1000", '["abs"]', "1E+1000" },
      { "-1000000000000000002", '["abs"]', "1000000000000000002" },
      { "-1.5", '["floor"],["abs"]', "2" },
      { "null", '["abs"]', e = "null (null) has no absolute value" },
    }
  end)

  it("nan and infinities", function()
    check {
      { "null", '["infinite"]', "1.7976931348623157e+308" },
      { "null", '["nan"],["isnan"]', "true" },
      { "null", '["infinite"],["isinfinite"]', "true" },
      { "1e1000", '["isinfinite"]', "true" },
      { "0", '["isnormal"]', "false" },
      { "1", '["isnormal"]', "true" },
      { "null", '["isnan"]', e = "null (null) number required" },
    }
  end)
end)

describe("all of these natives", function()
  it("take arguments of every kind #slow", function()
    assert.truthy(ask { '{"sweep":true}' }[1].calls > 1000000)
  end)

  it("run on several threads at once", function()
    assert.is_true(ask { '{"threads":4}' }[1].same)
  end)

  it("stop at the budgets", function()
    local text = repeated("a,", 500000)
    check {
      { text, '["split",","]', more = '"steps":1000', fault = "steps" },
      { text, '["split",""]', more = '"memory":1000000', fault = "memory" },
      { text, '["explode"]', more = '"steps":1000', fault = "steps" },
      { text, '["format","uri"]', more = '"memory":1000000', fault = "memory" },
      { text, '["format","base64"]', more = '"memory":1000000', fault = "memory" },
      { text, '["format","json"]', more = '"memory":100000', fault = "memory" },
      { text, '["ascii_upcase"]', more = '"steps":1000', fault = "steps" },
      { text, '["_scan","a",null]', more = '"steps":100000', fault = "steps" },
      { text, '["_replace","a","g","bbbbbbbb"]', more = '"memory":1000000', fault = "memory" },
    }
  end)

  it("are linear in long strings", function()
    local answers = ask {
      ('{"input":%s,"calls":[["split",","],["join",";"],["_replace",";","g",","]]}'):format(repeated("é,", 500000)),
    }
    assert.equal(repeated("é,", 500000), answers[1].text)
  end)
end)
