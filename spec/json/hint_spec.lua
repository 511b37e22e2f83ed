-- Parsing with a hint (mt_doc_parse_for), and the two ways to scan: with vector instructions and without.
-- The driver compares whatever it parses with a hint with the same text parsed without, in everything that a
-- document answers, under five hints and five orders of asking.
local support = require "spec.support"

local function drive(driver, arguments, stdin)
  local result = support.run({ support.driver(driver), table.unpack(arguments) }, { stdin = stdin or "" })
  assert(result.code == 0, ("%s %s: exit %d: %s%s"):format(driver, arguments[1], result.code, result.out, result.err))
  return result.out
end

local function seconds(run)
  local from = os.time()
  run()
  return os.time() - from
end

local PAGE = '{"id":1,"name":"x","owner":{"login":"o","id":7,"tags":["a","b",{"name":"t","n":[1.50,-0]}]},'
  .. '"name":"y","\\u0061":{"a":1},"none":null,"list":[[{"k":1,"k":2}],{},[],"\\n"],"yes":true,"z":{"z":{"z":{}}}}'

local function corpus()
  local files = {}
  local pipe = assert(io.popen "ls spec/fuzz/corpus/json/*.json")
  for name in pipe:lines() do
    files[#files + 1] = name
  end
  pipe:close()
  assert(#files >= 40)
  return files
end

for _, driver in ipairs { "hint_driver", "hint_driver_portable" } do
  describe("A document that was parsed with a hint (" .. driver .. ")", function()
    it("answers as one that was not", function()
      local texts = {
        PAGE, "[" .. PAGE .. "," .. PAGE .. "]", '{"a":' .. PAGE .. "}", "{}", "[]", "1", '"s"', "null", '{"":1}',
        '{"x":1}', '{"x":1,"x":2}', '{"x":{"y":1,"y":2}}', '{"x":[{}]}', '{ "x" : 1 , "name" : [ 1 ] }',
        '[{"x":1},{"x":2,"x":3}]', '{"x":"\\n","\\n":"\\/"}', '{"name":{"x":{}},"x":{"name":{}}}',
      }
      local many = {}
      for i = 1, 60 do
        many[i] = ('"m%d":{"m%d":[%d],"a":%d}'):format(i % 50, i, i, i)
      end
      texts[#texts + 1] = "{" .. table.concat(many, ",") .. "}"
      assert.equal(("ok\n"):rep(#texts), drive(driver, { "lines" }, table.concat(texts, "\n") .. "\n"))
    end)

    it("is refused for what it leaves out just as for what it reads", function()
      for text, want in pairs {
        ['{"x":{"y":tru}}'] = "at byte 13 .*true, false and null",
        ['{"x":[1,]}'] = "at byte 8 .*expected a value",
        ['{"x":{"y":1]}'] = "at byte 11 .*expected ',' or '}'",
        ['{"x":"\xFF"}'] = "at byte 6 .*not UTF%-8",
        ['{"x":["\xC0\x80"]}'] = "at byte 7 .*not UTF%-8",
        ['{"x":["\\q"]}'] = "at byte 8 .*a backslash",
        ['{"x":[01]}'] = "at byte 7 ",
        ['{"x":1.}'] = "at byte 7 ",
        ['{"x" 1}'] = "at byte 5 ",
        ['{"x":{}'] = "at byte 7 .*the end",
        ['{"x":{}}}'] = "at byte 8 .*nothing behind",
      } do
        assert.matches(want, drive(driver, { "lines" }, text .. "\n"), 1, false, text)
      end
    end)

    it("is refused when it is cut anywhere", function()
      assert.equal(#PAGE .. "\n", drive(driver, { "cut" }, PAGE))
      local spaced = (PAGE:gsub(",", " ,\n  "))
      assert.equal(#spaced .. "\n", drive(driver, { "cut" }, spaced))
    end)

    it("takes and refuses the fuzzer's inputs, and whatever they are part of, like any other", function()
      local out = drive(driver, { "skipped", table.unpack(corpus()) })
      assert.matches("utf8.json ok\n", out)
      assert.matches("string%-overlong.json data", out)
    end)

    it("says that it had no memory for a part that was read late", function()
      local failures = tonumber(drive(driver, { "sweep" }, PAGE):match "^(%d+) failures\n$")
      assert.is_true(failures and failures >= 2)
      local wide = {}
      for i = 1, 40 do
        wide[i] = ('"member %d":{"name":"n","x":[[%d],"\\n"]}'):format(i, i)
      end
      failures = tonumber(drive(driver, { "sweep" }, "{" .. table.concat(wide, ",") .. "}"):match "^(%d+) failures\n$")
      assert.is_true(failures and failures >= 4)
    end)

    it("lives as long as somebody refers to one of its parts", function()
      local text = '{"x":{"y":[1,2]},"s":"' .. ("long "):rep(30) .. '","name":{"z":{"zz":3}}}'
      assert.equal(("[%s,%s]\n"):format(text, text:sub(2, -2):gsub('"%a+":([{"])', "%1", 1):gsub('"s":', ""):gsub('"name":', "")),
        drive(driver, { "kept" }, text))
    end)

    it("is not parsed again for each of many objects in objects, whichever is asked first", function()
      local bytes
      assert.is_true(seconds(function() bytes = tonumber(drive(driver, { "deep" }, "[1]")) end) <= 2)
      assert.is_true(bytes > 0 and bytes < 40, "bytes a byte of text: " .. bytes)
    end)

    it("may be read by many threads at once", function()
      assert.equal("same\n", drive(driver, { "threads" }, PAGE))
    end)

    it("is refused, or read, within a second or two when it is hostile", function()
      local function once(text)
        local out
        local took = seconds(function() out = drive(driver, { "once" }, text) end)
        assert.is_true(took <= 4, "took " .. took) -- parsed four times, by a build that is not optimized
        return out
      end
      assert.matches("deeper than the limit of 10000 levels, at byte 10000", once(("["):rep(1000000)))
      assert.matches("deeper than the limit of 10000 levels, at byte 50000", once(('{"a":'):rep(1000000)))
      assert.matches("deeper than the limit", once('{"x":' .. ("["):rep(1000000) .. ("]"):rep(1000000) .. "}"))
      assert.equal("ok\n", once('{"x":' .. ("["):rep(9999) .. ("]"):rep(9999) .. "}"))
      local random = {}
      math.randomseed(7)
      for i = 1, 100000 do
        random[i] = string.char(math.random(0, 255))
      end
      random = table.concat(random)
      assert.matches("at byte", once(random))
      assert.matches("at byte", once('{"x":"' .. random .. '"}'))
      assert.matches("at byte", once("[" .. ("\0"):rep(100000)))
    end)

    it("may hold a string of 100 MB, and a million members #slow", function()
      assert.equal("ok\n", drive(driver, { "once" }, '{"x":"' .. ("0123456789"):rep(10 * 1000 * 1000) .. '"}'))
      local members = {}
      for i = 1, 1000000 do
        members[i] = ('"m%d":%d'):format(i % 999999, i)
      end
      local text = "{" .. table.concat(members, ",") .. "}"
      assert.equal("ok\n", drive(driver, { "once" }, text))
      assert.equal("ok\n", drive(driver, { "once" }, '{"name":' .. text .. ',"x":' .. text .. "}"))
    end)
  end)
end

describe("Scanning without vector instructions", function()
  local function both(arguments, stdin)
    local vector, portable = drive("json_driver", arguments, stdin), drive("json_driver_portable", arguments, stdin)
    assert.equal(vector, portable)
    return vector
  end

  it("meets what scanning with them meets, wherever it stands", function()
    local texts = {}
    local filling = ("abcdefghijklmnopqrstuvwxyz0123456789"):rep(3)
    for _, met in ipairs { '"', "\\n", "\\u00e9", "\\", "\x1F", "\x7F", "\x80", "é", "😀", "\xC3", "\xED\xA0\x80", "\n" } do
      for n = 0, 70 do
        local text = '["' .. filling:sub(1, n) .. met .. filling:sub(1, (n * 7) % 40) .. '"]'
        if not text:find "\n" then
          texts[#texts + 1] = text
        end
      end
    end
    local out = both({ "lines", "write" }, table.concat(texts, "\n") .. "\n")
    local accepted, refused = 0, 0
    for line in out:gmatch "[^\n]+" do
      if line:sub(1, 1) == "[" then
        accepted = accepted + 1
      else
        refused = refused + 1
      end
    end
    assert.equal(#texts, accepted + refused)
    assert.equal(71 * 5, accepted)
  end)

  it("comes to the same answers on the fuzzer's inputs", function()
    both { "check", table.unpack(corpus()) }
  end)
end)

local shared = support.shared()
if not shared then
  return
end

describe("The JSON test suite, in parts that no hint names", function()
  for _, driver in ipairs { "hint_driver", "hint_driver_portable" } do
    it("is accepted and refused where it must be (" .. driver .. ")", function()
      local files, dir = {}, shared .. "/corpus/json"
      local pipe = assert(io.popen("ls " .. support.quote(dir)))
      for name in pipe:lines() do
        if name:match "^[yni]_" then
          files[#files + 1] = name
        end
      end
      pipe:close()
      local result = support.run({ support.driver(driver), "skipped", table.unpack(files) }, { cwd = dir })
      assert.equal(0, result.code, result.err)
      local met = { y = 0, n = 0, i = 0 }
      for name, answer in result.out:gmatch "(%S+) ([^\n]*)\n" do
        local kind = name:sub(1, 1)
        met[kind] = met[kind] + 1
        if kind ~= "i" then
          assert.equal(kind == "y", answer == "ok", name .. " " .. answer)
        end
      end
      assert.is_true(met.y > 90 and met.n > 180 and met.i > 30)
    end)
  end
end)
