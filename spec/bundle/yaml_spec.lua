-- YAML as the bundle's files are read: PyYAML's reading of YAML 1.1, since Ocean's files were written for it.
local support = require "spec.support"
local json = support.json
local driver = support.driver "config_driver"

local function read(text)
  return support.run({ driver, "yaml", "f.yaml" }, { stdin = text })
end

local function value(text)
  local result = read(text)
  assert.are.equal("", result.err)
  return (result.out:gsub("\n$", ""))
end

local function refuses(text, pattern)
  local result = read(text)
  assert.are.equal(1, result.code)
  assert.are.equal("", result.out)
  assert.matches(pattern, result.err)
end

describe("a plain YAML scalar", function()
  local scalars = {
    { "yes", "true" }, { "Yes", "true" }, { "ON", "true" }, { "True", "true" }, { "no", "false" }, { "Off", "false" },
    { "FALSE", "false" }, { "y", '"y"' }, { "n", '"n"' }, { "yES", '"yES"' }, { "~", "null" }, { "Null", "null" },
      { "", "null" },
    { "nULL", '"nULL"' }, { "0", "0" }, { "-0", "0" }, { "+5", "5" }, { "1_000", "1000" }, { "0x1F", "31" },
      { "-0x1f", "-31" },
    { "010", "8" }, { "08", '"08"' }, { "0o17", '"0o17"' }, { "0b101", "5" }, { "1:30", "90" }, { "190:20:30",
      "685230" },
    { "-1:30", "-90" }, { "1:60", '"1:60"' }, { "0:30", '"0:30"' }, { "9007199254740993", "9007199254740993" },
    { ("9"):rep(40), ("9"):rep(40) }, { "1.5", "1.5" }, { "1.0", "1.0" }, { "1.", "1.0" }, { ".5", "0.5" }, { "-.5",
      '"-.5"' },
    { "000.5", "0.5" }, { "1_0.5_0", "10.50" }, { "1.0e+3", "1.0e+3" }, { "1e3", '"1e3"' }, { "1.5e3", '"1.5e3"' },
    { "1:30.5", "90.5" }, { ".inf", "1.7976931348623157e+308" }, { "-.INF", "-1.7976931348623157e+308" }, { ".nan",
      "null" },
    { "2001-01-01", '"2001-01-01"' }, { "2001-12-14t21:59:43.10-05:00", '"2001-12-14t21:59:43.10-05:00"' }, { "=",
      '"="' },
    { "1.2.3", '"1.2.3"' }, { "_1", '"_1"' }, { "0x_", '"0x_"' }, { "+", '"+"' },
  }
  it("is what PyYAML makes of it", function()
    local lines, wanted = {}, {}
    for i, case in ipairs(scalars) do
      lines[i], wanted[i] = "- " .. case[1], case[2]
    end
    assert.are.equal("[" .. table.concat(wanted, ",") .. "]", value(table.concat(lines, "\n")))
  end)

  it("stays text when it is quoted or a block", function()
    assert.are.equal([==[{"a":"yes","b":"0x1","c":"5\n","d":"1 2"}]==],
      value "a: 'yes'\nb: \"0x1\"\nc: |\n  5\nd: >-\n  1\n  2\n")
  end)

  it("obeys its tag", function()
    assert.are.equal('["5",7,1.5,null,true]', value "[!!str 5, !!int '7', !!float '1.5', !!null x, !!bool 'on']")
    refuses("a: !!int x", "f%.yaml:1:4: the value does not fit its tag")
    refuses("a: !!binary aGk=", "f%.yaml:1:4: a tag that is not supported")
    refuses("a: !mine b", "a tag that is not supported")
  end)

  it("is refused when it is an integer of another base that does not fit", function()
    refuses("- 1\n- 0xFFFFFFFFFFFFFFFFF", "f%.yaml:2:3: an integer that does not fit 64 bits")
  end)
end)

describe("YAML structure", function()
  it("takes the last of duplicate keys, at the first one's place", function()
    assert.are.equal('{"a":3,"b":2}', value "a: 1\nb: 2\na: 3\n")
    local lines, wanted = {}, {}
    for i = 1, 40 do
      lines[i], wanted[i] = ("k%d: %d"):format(i, i), ('"k%d":%d'):format(i, i == 7 and 99 or i)
    end
    lines[41] = "k7: 99"
    assert.are.equal("{" .. table.concat(wanted, ",") .. "}", value(table.concat(lines, "\n")))
  end)

  it("keeps keys as they are written", function()
    assert.are.equal('{"5":"x","on":1,"~":2,"1.0":3}', value "5: x\non: 1\n~: 2\n1.0: 3\n")
    refuses("? [a]\n: b\n", "f%.yaml:1:3: a list or map as a key")
  end)

  it("expands anchors, the last one of a name", function()
    assert.are.equal('{"a":[1,2],"b":[1,2],"c":"x","d":"x"}', value "a: &n [1, 2]\nb: *n\nc: &n x\nd: *n\n")
    refuses("a: *nobody", "f%.yaml:1:4: an alias of an anchor that is not defined")
    refuses("a: &x [*x]", "f%.yaml:1:8: an alias inside of the node")
  end)

  it("merges <<, own members before merged ones, earlier maps before later ones", function()
    assert.are.equal('{"x":{"b":1,"c":2},"d":{"b":1,"c":3}}', value "x: &x {b: 1, c: 2}\nd:\n  c: 3\n  <<: *x\n")
    assert.are.equal('{"b":1,"z":3,"q":0}', (value "x: &x {b: 1}\ny: &y {b: 2, z: 3}\nd:\n  q: 0\n  <<: [*x, *y]\n"
      :match '"d":(.*)}$'))
    assert.are.equal('{"<<":1}', value "'<<': 1")
    refuses("d:\n  <<: 5\n", "f%.yaml:2:7: a merge key << takes a map")
    refuses("d:\n  <<: [{a: 1}, 5]\n", "f%.yaml:2:16: a merge key << takes a map")
  end)

  it("is one document", function()
    assert.are.equal('{"a":1}', value "---\na: 1\n...\n")
    assert.are.equal("null", value "")
    assert.are.equal("null", value "# nothing\n")
    refuses("a: 1\n---\nb: 2\n", "f%.yaml:2:1: a second document")
  end)

  it("is read as UTF-8 or UTF-16, and refused otherwise", function()
    assert.are.equal('{"a":"é"}', value "\xef\xbb\xbfa: é\n")
    assert.are.equal('["a"]', value "\xff\xfe-\0 \0a\0\n\0")
    refuses("a: \xff\xff\n", "f%.yaml: byte 3: .*UTF%-8")
    refuses("a: \1\n", "control characters are not allowed")
  end)

  it("names line and column of a syntax error", function()
    refuses("a: 1\nb: [\n", "f%.yaml:3:1: did not find expected node content")
    refuses("a: b: c", "f%.yaml:1:5: mapping values are not allowed")
    refuses("a:\n\t- b\n", "f%.yaml:2:1: found character that cannot start any token")
  end)
end)

describe("a hostile YAML file", function()
  local function pyramid(first, level)
    local lines = { "a0: &a0 " .. first }
    for i = 1, 40 do
      lines[#lines + 1] = level:gsub("%%", tostring(i - 1)):gsub("@", tostring(i))
    end
    return table.concat(lines, "\n")
  end

  it("cannot multiply by aliases", function()
    refuses(pyramid("[x, x]", "a@: &a@ [*a%, *a%]"), "its aliases expand to more than 1,000,000 nodes")
  end)

  it("cannot multiply by merge keys, not even of empty maps", function()
    refuses(pyramid("{x: 1}", "a@: &a@ {<<: [*a%, *a%]}"), "its aliases expand to more than 1,000,000 nodes")
    refuses(pyramid("{}", "a@: &a@ {<<: [*a%, *a%]}"), "its aliases expand to more than 1,000,000 nodes")
  end)

  it("cannot nest without end, nor by aliases", function()
    refuses(("["):rep(300), "f%.yaml:1:258: nested deeper than 256 levels")
    local lines = { "a0: &a0 []" }
    for i = 1, 300 do
      lines[#lines + 1] = ("a%d: &a%d [*a%d]"):format(i, i, i - 1)
    end
    refuses(table.concat(lines, "\n"), "nest deeper than 256 levels")
  end)
end)

describe("a node's line", function()
  local text = "a: 1\nlist:\n  - x: 1\n    y:\n      z: 2\n  - 5\n"
  local function line(path)
    return tonumber(support.run({ driver, "line", path }, { stdin = text }).out)
  end

  it("is the key's, or the nearest one's above it", function()
    assert.are.equal(2, line "list")
    assert.are.equal(3, line "list[0].x")
    assert.are.equal(5, line "list[0].y.z")
    assert.are.equal(6, line "list[1]")
    assert.are.equal(4, line "list[0].y.missing.too")
    assert.are.equal(1, line "nothing")
  end)

  it("is unknown in a file that cannot be read", function()
    assert.are.equal("0\n", support.run({ driver, "line", "a" }, { stdin = "[" }).out)
  end)
end)

describe("a file", function()
  it("is JSON or YAML by its name", function()
    local dir = support.tmpdir()
    support.write(dir .. "/a.json", '{"a": 010}')
    support.write(dir .. "/a.yaml", '{"a": 010}')
    local result = support.run { driver, "file", dir .. "/a.json" }
    assert.are.equal(1, result.code)
    assert.matches("a%.json: not valid JSON at byte %d+ %(line 1, column %d+%)", result.err)
    assert.are.equal('{"a":8}\n', support.run({ driver, "file", dir .. "/a.yaml" }).out)
  end)

  it("that is absent or unreadable is named", function()
    assert.matches("^not_found: /nowhere/x%.yaml: cannot be opened: No such file", support.run({ driver, "file",
      "/nowhere/x.yaml" }).err)
    assert.matches("^io: /tmp: cannot be read: Is a directory", support.run({ driver, "file", "/tmp" }).err)
  end)
end)

local shared = support.shared()
if not shared then
  return
end

describe("Ocean's own files", function()
  it("are read, every one of them", function()
    local count = 0
    local pipe = assert(io.popen("ls " .. shared .. "/corpus/ocean/*/.port/*.y*ml " .. shared
      .. "/corpus/ocean/*/.port/resources/*"))
    for path in pipe:lines() do
      local result = support.run { driver, "file", path }
      assert.are.equal("", result.err)
      assert.are.equal("table", type(json.decode(result.out)))
      count = count + 1
    end
    pipe:close()
    assert.is_true(count >= 39 * 3, count .. " files")
  end)
end)
