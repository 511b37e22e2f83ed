-- `moontide map`, as architecture 3.1 says.
local support = require "spec.support"

local MAPPING = [[
resources:
  - kind: thing
    selector: { query: '.skip != true' }
    port: { entity: { mappings: { identifier: .id, title: .name, blueprint: '"thing"', properties: { n: .n + 1 } } } }
  - kind: other
    selector: { query: 'true' }
    port: { entity: { mappings: { identifier: .id, blueprint: '"other"' } } }
  - kind: thing
    selector: { query: 'true' }
    port: { entity: { mappings: { identifier: .id, blueprint: '"again"' } } }
]]

local dir = support.tmpdir()
local file = support.write(dir .. "/port-app-config.yml", MAPPING)

local function map(stdin, ...)
  return support.run({ support.bin, "map", "--mapping", file, ... }, { stdin = stdin })
end

local function identifiers(result)
  local list = {}
  for i, entity in ipairs(support.json.lines(result.out)) do
    list[i] = entity.identifier
  end
  return table.concat(list, " ")
end

describe("moontide map", function()
  it("writes the entities of one resource, one a line", function()
    local result = map('{"id":"a","name":"A","n":1}\n{"id":"b","n":2,"skip":true}\n', "--index", "0")
    assert.equal('{"identifier":"a","title":"A","blueprint":"thing","properties":{"n":2}}\n', result.out)
    assert.equal(0, result.code)
    assert.equal("", result.err)
  end)

  it("takes all resources of a kind", function()
    local result = map('{"id":"a","n":1}', "--kind", "thing")
    assert.equal("a a", identifiers(result))
    assert.is_truthy(result.out:find('"blueprint":"again"', 1, true))
  end)

  it("reads NDJSON, values one after another, pretty-printed ones, and arrays, from stdin or a file", function()
    for text, expected in pairs {
      ['{"id":"a"}\n{"id":"b"}\n'] = "a b",
      ['{"id":"a"}{"id":"b"} {"id":"c"}'] = "a b c",
      ['[{"id":"a"},{"id":"b"}]'] = "a b",
      ['[\n  {"id":"a"},\n  {\n    "id": "b"\n  }\n]\n[{"id":"c"}]\n{"id":"d"}'] = "a b c d",
      ['{\n  "id": "a",\n  "x": {\n "y": "}"\n }\n}\n{\n"id":"b"}'] = "a b",
      ["\u{feff}{\"id\":\"a\"}\r\n\r\n  {\"id\":\"b\"}\r\n"] = "a b",
      -- a byte order mark of each of several files, one put behind another
      ["\u{feff}{\"id\":\"a\"}\n\u{feff}{\"id\":\"b\"}\n{\"id\":\"c\"}"] = "a b c",
      ["[\u{feff}{\"id\":\"a\"},\u{feff}\u{feff}{\"id\":\"b\"}]\u{feff}"] = "a b",
      -- without indentation: lines inside look like items
      ['{"id":"a","x":[\n{"id":"b"},\n{"id":"c"}\n]\n}\n{"id":"d"}'] = "a d",
      ['{\n"id": "a",\n"x": [\n{},\n{\n"y": 1\n}\n]\n}\n{\n"x": {},\n"id": "b"\n}\n'] = "a b",
      ['{"id":"a","x":[\n{"y":1}\n\n ,{"y":2}\n]}'] = "a",
      ["[]"] = "", ["[ ]\n"] = "", [""] = "", [" \n\n"] = "",
    } do
      local result = map(text, "--index", "1")
      assert.same({ expected, 0, "" }, { identifiers(result), result.code, result.err }, text)
      local path = support.write(dir .. "/items", text)
      assert.equal(expected, identifiers(map(nil, "--index", "1", path)))
      assert.equal(expected, identifiers(map(text, "--index", "1", "-")))
    end
  end)

  it("names a broken line, maps the others, and exits 1", function()
    for text, expected in pairs {
      ['{"id":"a"}\n{"id":\n{"id":"c"}\n'] = "a c|line 2 (byte 11)",
      ['{"id":\n{"id":"b"}\n{"id":"c"}\n'] = "b c|line 1 (byte 0)",
      ['{"id":"a"}\nnonsense\n{"id":"c"}\n'] = "a c|line 2 (byte 11)",
      ['{"id":"a"}\n{"id":"b"}}\n{"id":"c"}\n'] = "a b c|line 2 (byte 21)",
      ['{"id":"a"}\n{"id":"b",}\n{"id":"c"}\n'] = "a c|line 2 (byte 11)",
      ['{"id":"a"}\n{"id":"b"'] = "a|line 2 (byte 11)",
      ['{"id":"a"}\n{"id":"\xff"}\n{"id":"c"}\n'] = "a c|line 2 (byte 11)",
      ['{"id":"a"}\n{\n  "id": "b",\n}\n{"id":"c"}\n'] = "a c|line 2 (byte 11)",
      ['[{"id":"a"},\n{"id":"b"'] = "a|line 2 (byte 13)",
      ['[{"id":"a"}\n{"id":"b"}]'] = "a|line 2 (byte 12)",
      ['[{"id":"a"},'] = "a|the array ends without ]",
      ['[{"id":"a"},\n{"id":tru},{"id":"c"}]'] = "a c|line 2 (byte 13)",
      ['{"id":"a"}\n{"id":["\n{"id":"c"}\n'] = "a c|line 2 (byte 11)",
      ['{"id":"a"}\n{"id":"b","x":' .. ("["):rep(9999) .. ("]"):rep(9999) .. '}\n{"id":"c"}'] = "a c|line 2 (byte 11)",
    } do
      local ids, message = expected:match "^(.-)|(.*)$"
      local result = map(text, "--index", "1")
      assert.same({ ids, 1 }, { identifiers(result), result.code }, text .. result.err)
      assert.is_truthy(result.err:find(message, 1, true), text .. result.err)
      assert.equal(1, select(2, result.err:gsub("\n", "\n")), result.err)
    end
  end)

  it("takes a number that the reading cuts in two for one", function()
    local text = "[" .. ("7,"):rep(65534) .. '12345,{"id":"a"}]' -- 128 KiB are read at a time
    local result = map(text, "--index", "1")
    assert.same({ "a", 1 }, { identifiers(result), result.code }, result.err:sub(-300))
    assert.equal(65535, select(2, result.err:gsub("a raw item must be an object", "")))
  end)

  it("is not held up by values that have no end, nor by values of many short lines", function()
    local unclosed = map(('{"x":[\n'):rep(200000) .. '{"id":"a"}\n', "--index", "1")
    assert.same({ "a", 1 }, { identifiers(unclosed), unclosed.code })
    assert.equal(200000, select(2, unclosed.err:gsub("not valid JSON", "")))
    local short = map('{"id":"a","x":[\n' .. ("[\n1\n],\n"):rep(100000) .. "1\n]\n}\n", "--index", "1")
    assert.same({ "a", 0, "" }, { identifiers(short), short.code, short.err })
  end)

  it("tells lines that only look like items from items", function()
    for text, expected in pairs {
      ['{"id":"a"}{"id":"b"}\n{"id":"c"}'] = "a b c|", -- more than one a line
      ['{"id":"a"} {"id":"b"} 5\n{"id":"c"}'] = "a b c|line 1: resource 1: a raw item must be an object",
      ['{"id":"a","x":{}\n,"y":{}}\n{"id":"b"}'] = "a b|", -- goes on in the next line
      ['{"id":"a","x":{"y":1}\n}\n{"id":"b"}'] = "a b|",
      ['{"id":"a","x":{}},{"id":"b"}\n{"id":"c"}'] = "a c|line 1 (byte 17)",
      -- two broken lines that are one item with a comma between them, and a third that makes up for it
      ['{"id":"a","x":[{}\n{}]}\n{"id":"b"},{"id":"c"}\n'] = "b|line 3 (byte 33)",
      ['{"id":"a","x":[{}\n{}]}\n'] = "|line 2 (byte 20)",
      ['{"id":"a"}\r\n{"id":"b"} \r\n\r\n{"id":"c"}\t\n'] = "a b c|",
    } do
      local ids, message = expected:match "^(.-)|(.*)$"
      for _, threads in ipairs { "1", "3" } do
        local result = map(text, "--index", "1", "--threads", threads)
        assert.same({ ids, message == "" and 0 or 1 }, { identifiers(result), result.code }, text .. result.err)
        assert.is_truthy(result.err:find(message, 1, true), text .. result.err)
      end
    end
  end)

  it("gives the same by either engine for alternatives, numbers beyond doubles, and what cannot be evaluated here", function()
    local several = support.write(dir .. "/several.yml", [[
resources:
  - kind: a
    selector: { query: 'true' }
    port:
      entity:
        mappings:
          identifier: .id
          blueprint: '"b"'
          team: .n
          properties: { p: '. as {id: $i} ?// [$i] | $i', q: '(. as [$i] ?// {id: $i} | $i), 2', r: 'error("x") as [$i] ?// $i | $i' }
  - kind: b
    selector: { query: 'file://x' }
    port: { entity: { mappings: { identifier: 'file://id', blueprint: 'search://b' } } }
]])
    for _, engine in ipairs { "native", "libjq" } do
      local function run(index)
        return support.run({ support.bin, "map", "--mapping", several, "--index", index, "--engine", engine },
          { stdin = '{"id":"1","n":1e400}\n' })
      end
      local result = run "0"
      assert.equal('{"identifier":"1","blueprint":"b","team":"1.7976931348623157e+308","properties":{"p":"1","q":"1","r":null}}\n',
        result.out, engine .. result.err) -- R-JQ-17
      result = run "1"
      assert.same({ 1, "" }, { result.code, result.out }, engine)
      assert.is_truthy(result.err:find("selector.query (file://x): must give true or false, not null", 1, true), result.err)
    end
  end)

  it("has what the native engine does not take done by libjq, and says so once", function()
    local mixed = support.write(dir .. "/mixed.yml", [[
resources:
  - kind: thing
    selector: { query: 'input_line_number == 0 and .skip != true' }
    port:
      entity: { mappings: { identifier: .id, blueprint: '"thing"', properties: { a: .n + 1, b: '.n | debug', c: '.l[0].x' } } }
  - kind: list
    selector: { query: 'true' }
    port:
      itemsToParse: .l | debug
      entity: { mappings: { identifier: .id + .item.x, blueprint: '"thing"', properties: { n: .n, d: .n | debug } } }
]])
    local lines = {}
    for i = 1, 1000 do
      lines[i] = ('{"id":"%d","n":%d,"l":[{"x":"y"}],"skip":%s}'):format(i, i, i % 2 == 0)
    end
    local function run(index)
      return support.run({ support.bin, "map", "--mapping", mixed, "--index", index, "--threads", "3" },
        { stdin = table.concat(lines, "\n") })
    end
    local result = run "0"
    local entities = support.json.lines(result.out)
    assert.same({ 0, 500 }, { result.code, #entities }, result.err)
    assert.same({ identifier = "999", blueprint = "thing", properties = { a = 1000, b = 999, c = "y" } }, entities[500])
    for _, expression in ipairs { ".n | debug", "input_line_number == 0 and .skip != true" } do
      local _, count = result.err:gsub("WARN  the jq expression " .. expression:gsub("%p", "%%%0") .. " is evaluated by", "")
      assert.equal(1, count, result.err)
    end
    entities = support.json.lines(run("1").out)
    assert.equal(1000, #entities)
    assert.same({ identifier = "7y", blueprint = "thing", properties = { n = 7, d = 7 } }, entities[7])
  end)

  it("gives the same with either engine", function()
    local text = '{"id":"a","name":"A","n":1}\n{"id":"b","n":2,"skip":true}\n{"id":"c","n":"x"}\n{"id":{"b":1,"a":2}}\n'
    local native, libjq = map(text, "--kind", "thing", "--engine", "native"), map(text, "--kind", "thing", "--engine", "libjq")
    assert.equal(native.out, libjq.out)
    assert.equal(7, #support.json.lines(native.out))
  end)

  it("names a failed item with its line, resource, expression and cause, and exits 1", function()
    local result = map('{"id":"a"}\n\n{"id":"b","n":"x"}\n5\n', "--index", "0")
    assert.equal(1, result.code)
    assert.equal("a b", identifiers(result))
    assert.is_truthy(result.err:find("stdin, line 4: resource 0: a raw item must be an object, not a number", 1,
      true), result.err)
    assert.is_truthy(result.err:find("resource 0: title (.name): null 2 times; first in a: null", 1, true),
      result.err)
    assert.is_truthy(result.err:find("resource 0: properties.n (.n + 1): null 1 times; first in b: string", 1, true),
      result.err)
  end)

  it("keeps the order on any number of threads, over many batches, and counts", function()
    local lines, expected = {}, {}
    for i = 1, 3000 do
      lines[i] = ('{"id":"%d","n":%d,"pad":"%s"}'):format(i, i, ("x"):rep(i % 700))
      expected[i] = tostring(i)
    end
    lines[1500] = "{broken"
    table.remove(expected, 1500)
    local text = table.concat(lines, "\n")
    local one = map(text, "--index", "0", "--threads", "1", "--stats")
    local four = map(text, "--index", "0", "--threads", "4", "--stats")
    assert.equal(table.concat(expected, " "), identifiers(one))
    assert.equal(one.out, four.out)
    assert.is_truthy(
      four.err:find("2999 items, 2999 selected, 2999 mapped, 0 failed, 0 rejected, 0 skipped, 1 broken", 1, true),
      four.err)
    local array = map("[" .. table.concat(lines, ","):gsub("{broken", '{"id":"1500","n":1500}') .. "]", "--index",
      "0", "--threads", "3")
    assert.equal(0, array.code)
    assert.equal(3000, #support.json.lines(array.out))
  end)

  it("takes an item of many lines and one of many megabytes", function()
    local members = {}
    for i = 1, 50000 do
      members[i] = ('  "m%d": "%s"'):format(i, ("y"):rep(20))
    end
    local text = "{\n" .. table.concat(members, ",\n") .. ',\n  "id": "big"\n}\n{"id":"small"}\n'
    local result = map(text, "--index", "1")
    assert.same({ "big small", 0 }, { identifiers(result), result.code }, result.err)
    assert.equal("big small", identifiers(map((text:gsub("\n", "", 50002)), "--index", "1")))
  end)

  it("names the ceiling of an item that passes it, and maps those beside it #slow", function()
    local script = [[
      { echo '{"id":"a"}'; printf '{"id":"%s'; head -c 270000000 /dev/zero | tr '\\0' x; echo '"}'; echo '{"id":"b"}'; } | "$0" "$@"
    ]]
    local result = support.run { "bash", "-c", script, support.bin, "map", "--mapping", file, "--index", "1" }
    assert.same({ "a b", 1 }, { identifiers(result), result.code }, result.err)
    assert.is_truthy(result.err:find("stdin, line 2 (byte 11): the item is larger than 256 MiB", 1, true), result.err)
  end)

  it("exits 2 on wrong usage, and says what is right", function()
    for words, message in pairs {
      [""] = "--kind or --index", ["--kind thing --index 0"] = "--kind or --index",
        ["--index 3"] = "3 resources, counted from 0",
      ["--index -1"] = "counted from 0", ["--index x"] = "counted from 0",
        ["--kind nope"] = "has no kind 'nope'; it has: thing, other, thing",
      ["--index 0 --threads 0"] = "a number from 1 to", ["--index 0 --engine none"] = "native or libjq",
        ["--index 0 a b"] = "too many",
      ["--index 0 /nonexistent"] = "No such file", ["--index 0 --nope"] = "unknown option",
    } do
      local command = { support.bin, "map", "--mapping", file }
      for word in words:gmatch "%S+" do
        command[#command + 1] = word
      end
      local result = support.run(command, { stdin = "" })
      assert.equal(2, result.code, words)
      assert.is_truthy(result.err:find(message, 1, true), words .. ": " .. result.err)
    end
    assert.equal(2, support.run({ support.bin, "map" }).code)
    assert.equal(2, support.run({ support.bin, "map", dir .. "/nothing", "--index", "0" }).code)
    assert.equal(2, support.run({ support.bin, "map", "--mapping", dir .. "/nothing.yml", "--index", "0" }).code)
  end)

  it("exits 2 with the expression that does not compile", function()
    local bad = support.write(dir .. "/bad.yml", (MAPPING:gsub("%.n %+ 1", ".n +")))
    local result = support.run({ support.bin, "map", "--mapping", bad, "--index", "0", "--threads", "2" },
      { stdin = '{"id":"a"}' })
    assert.same({ 2, "" }, { result.code, result.out })
    assert.is_truthy(result.err:find("properties.n: the jq expression .n + does not compile", 1, true), result.err)
    assert.equal(0, support.run({ support.bin, "map", "--mapping", bad, "--index", "1" },
      { stdin = '{"id":"a"}' }).code)
  end)

  it("reads the mapping of a bundle", function()
    support.write(dir .. "/bundle/main.lua", "")
    support.write(dir .. "/bundle/.port/resources/port-app-config.yml", MAPPING)
    local result = support.run({ support.bin, "map", dir .. "/bundle", "--kind", "other" }, { stdin = '{"id":"a"}' })
    assert.equal("a", identifiers(result), result.err)
    support.write(dir .. "/empty/main.lua", "")
    result = support.run({ support.bin, "map", dir .. "/empty", "--kind", "other" }, { stdin = "" })
    assert.equal(2, result.code)
    assert.is_truthy(result.err:find("port%-app%-config"), result.err)
  end)
end)
