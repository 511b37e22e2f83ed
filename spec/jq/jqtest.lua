--- Reader of jq's own test format, and what it takes to run its cases through spec/jq/jq_driver.c.
-- A case is a program, an input and its outputs, a line each, up to a blank line or a comment; `%%FAIL` stands
-- before a program that must not compile.
local support = require "spec.support"
local json = support.json
local jqtest = {}

local function ends_case(line)
  return line == nil or line:match "^%s*$" ~= nil or line:sub(1, 1) == "#"
end

--- Text of a test file → list of { line, program, input, outputs } or { line, program, fails = true }.
function jqtest.read(text)
  local lines, cases, i = {}, {}, 1
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    lines[#lines + 1] = line
  end
  while i <= #lines do
    if ends_case(lines[i]) then
      i = i + 1
    else
      local case = { line = i, fails = lines[i]:sub(1, 6) == "%%FAIL", outputs = {} }
      i = i + (case.fails and 1 or 0)
      case.program = lines[i]
      if not case.fails then
        i = i + 1
        case.input = lines[i]:gsub("^\u{feff}", "")
      end
      i = i + 1
      while not ends_case(lines[i]) do
        table.insert(case.outputs, lines[i])
        i = i + 1
      end
      cases[#cases + 1] = case
    end
  end
  return cases
end

-- JSON, with numbers as they are spelled ----------------------------------------------------------------------------

local Number = {}

-- Sign, digits and exponent of a literal, without what does not count: "-1.50e3" → "-15e2".
local function decimal(literal)
  local sign, whole, fraction, exponent = literal:match "^(%-?)(%d+)%.?(%d*)[eE]?([+-]?%d*)$"
  local digits = (whole .. fraction):gsub("^0+", "")
  local scale = (tonumber(exponent) or 0) - #fraction
  local short = digits:gsub("0+$", "")
  if short == "" then
    return "0"
  end
  return ("%s%se%.0f"):format(sign, short, scale + #digits - #short)
end

local read_value

local function blank(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function read_string(text, at)
  local i = at + 1
  while text:sub(i, i) ~= '"' do
    assert(i <= #text, "a string does not end")
    i = i + (text:sub(i, i) == "\\" and 2 or 1)
  end
  return json.decode(text:sub(at, i)), i + 1
end

local function read_list(text, at, close, read_item)
  at = blank(text, at + 1)
  if text:sub(at, at) == close then
    return at + 1
  end
  while true do
    at = blank(text, read_item(at))
    local c = text:sub(at, at)
    if c == close then
      return at + 1
    end
    assert(c == ",", "no , or " .. close .. " at byte " .. at)
    at = blank(text, at + 1)
  end
end

function read_value(text, at)
  at = blank(text, at)
  local c = text:sub(at, at)
  if c == '"' then
    return read_string(text, at)
  elseif c == "[" then
    local list = { kind = "array" }
    at = read_list(text, at, "]", function(from)
      list[#list + 1], from = read_value(text, from)
      return from
    end)
    return list, at
  elseif c == "{" then
    local object = { kind = "object", of = {} }
    at = read_list(text, at, "}", function(from)
      local name, value
      name, from = read_string(text, from)
      from = blank(text, from)
      assert(text:sub(from, from) == ":", "no : at byte " .. from)
      value, from = read_value(text, from + 1)
      object.of[name] = value
      return from
    end)
    return object, at
  end
  local literal = text:match("^%-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if literal then
    return setmetatable({ literal = literal }, Number), at + #literal
  end
  local word = text:match("^%a+", at)
  assert(word == "true" or word == "false" or word == "null", "no value at byte " .. at)
  return { kind = word }, at + #word
end

function jqtest.decode(text)
  local value, at = read_value(text, 1)
  assert(blank(text, at) > #text, "text behind the value")
  return value
end

-- Doubles are equal by value; more digits than a double has come from a literal and have to be all there.
local function same_number(expected, actual)
  if decimal(expected) == decimal(actual) then
    return true
  end
  local digits = #decimal(actual):match "^%-?(%d*)"
  local a, b = tonumber(expected) + 0.0, tonumber(actual) + 0.0
  return a == b and digits <= 17 and math.abs(a) ~= math.huge
end

--- Equality as jq's own runner has it: of values, not of texts.
function jqtest.same(expected, actual)
  if type(expected) ~= "table" or type(actual) ~= "table" then
    return expected == actual
  elseif getmetatable(expected) == Number or getmetatable(actual) == Number then
    return getmetatable(expected) == getmetatable(actual) and same_number(expected.literal, actual.literal)
  elseif expected.kind ~= actual.kind or #expected ~= #actual then
    return false
  end
  for i = 1, #expected do
    if not jqtest.same(expected[i], actual[i]) then
      return false
    end
  end
  for name, value in pairs(expected.of or {}) do
    if actual.of[name] == nil or not jqtest.same(value, actual.of[name]) then
      return false
    end
  end
  for name in pairs(actual.of or {}) do
    if expected.of[name] == nil then
      return false
    end
  end
  return true
end

-- Running -----------------------------------------------------------------------------------------------------------

-- jq reads NaN and Infinity in its input; documents do not, fromjson does.
local function request(case)
  local program, input = case.program, case.input or "null"
  if not pcall(jqtest.decode, input) then
    program, input = ("%s | fromjson | (%s)"):format(json.encode(input), program), "null"
  end
  return ('{"op":"jq","environment":true,"program":%s,"inputs":[%s]}'):format(json.encode(program), input)
end

-- nil when the case passes, else what came instead.
local function judge(case, answer)
  local compiles = not answer:match '^{"compile":'
  if case.fails or not compiles then
    return case.fails == compiles and answer or nil
  end
  local got = jqtest.decode(answer).of.results[1].of.v
  if #got ~= #case.outputs then
    return answer
  end
  for i, output in ipairs(case.outputs) do
    if not jqtest.same(jqtest.decode(output), got[i]) then
      return answer
    end
  end
  return nil
end

--- Runs cases; returns how many passed, and those that did not as { case, got }.
function jqtest.run(cases, env)
  local requests, failed, i = {}, {}, 0
  for k, case in ipairs(cases) do
    requests[k] = request(case)
  end
  local result = support.run({ support.driver "jq_driver" }, {
    stdin = table.concat(requests, "\n") .. "\n",
    env = env,
  })
  for answer in result.out:gmatch "[^\n]+" do
    i = i + 1
    local ok, got = pcall(judge, cases[i], answer)
    if not ok or got then
      failed[#failed + 1] = { case = cases[i], got = ok and got or got .. ": " .. answer }
    end
  end
  assert(result.code == 0 and i == #cases, ("jq_driver: exit %d after %d of %d answers, at the program %s: %s"):format(
    result.code, i, #cases, cases[i + 1] and cases[i + 1].program or "-", result.err))
  return #cases - #failed, failed
end

return jqtest
