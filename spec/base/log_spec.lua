-- The log: lines of text and of JSON, what they carry, repeats, and who else reads them.
local support = require "spec.support"

local function run(words, stdin)
  local result = support.run({ support.driver "log_driver", table.unpack(words) }, { stdin = stdin, timeout = 60 })
  assert.equal(0, result.code, result.err)
  return result.err, result.out
end

local stamp = "%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d%.%d%d%d "

local function text(message, ...)
  local err = run({ "line", "text", ... }, message)
  return (assert(err:match("^" .. stamp .. "(.*)\n$"), err))
end

local function json(message, ...)
  local err = run({ "line", "json", ... }, message)
  assert.equal(1, select(2, err:gsub("\n", "")), "one line: " .. err)
  return support.json.decode(err)
end

describe("a line of the log as text", function()
  it("R-LOG-01 is time, level and message when nothing is entered", function()
    assert.equal("WARN  message", text "message")
    assert.equal("WARN  message", text("message", "-", "-", "-", "0"))
  end)
  it("names integration, kind, run and generation behind the level, as far as they are there", function()
    assert.equal("WARN  [my-github repository] m", text("m", "my-github", "-", "repository"))
    assert.equal("WARN  [my-github repository run 1f056ea3 gen 3] m", text("m", "my-github", "1f056ea3-9ea4", "repository", "3"))
    assert.equal("WARN  [gen 12] m", text("m", "-", "-", "-", "12"))
  end)
  it("R-LOG-07 is masked in message and fields", function()
    assert.equal("WARN  [a-[REDACTED] [REDACTED]] the [REDACTED]", text("the hunter22", "a-hunter22", "-", "hunter22"))
  end)
  it("obeys no escapes of foreign text, and gives no line to what a field holds", function()
    assert.equal("WARN  [a?b ?[0m] x?[31m ??y\ttab\nline", text("x\27[31m \194\155y\ttab\nline\n\n", "a\nb", "-", "\27[0m"))
  end)
  it("is cut past 64 KB after it was masked: no begin of a secret is left", function()
    local line = text(("x"):rep(64 * 1024 - 256 - 4) .. "hunter22" .. ("y"):rep(100000))
    assert.is_nil(line:find("hunt", 1, true))
    assert.is_truthy(line:find("%[RED… %(%d+ bytes more%)$"), line:sub(-60))
  end)
end)

describe("a line of the log as JSON", function()
  it("holds time in UTC with microseconds, level and message, and only the fields that are there", function()
    local line = json "message"
    assert.is_truthy(line.timestamp:match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$", line.timestamp)
    line.timestamp = nil
    assert.same({ level = "WARNING", message = "message" }, line)
  end)
  it("holds the fields", function()
    local line = json("m", "my-github", "1f056ea3-9ea4", "repository", "3")
    line.timestamp = nil
    assert.same({ level = "WARNING", message = "m", integration = "my-github", run = "1f056ea3-9ea4", kind = "repository",
      generation = 3 }, line)
  end)
  it("is one line and valid UTF-8 whatever the message holds", function()
    local fine = "ä€😀 \"q\" \\ a\nb\r\tc \1\127"
    assert.equal(fine, json(fine).message)
    local line = json "\255a\192\128b\237\160\128c\244\144\128\128d\226\130"
    assert.equal(("?a??b???c????d??"):gsub("%?", "\u{FFFD}"), line.message)
    assert.is_truthy(utf8.len(line.message))
  end)
  it("R-LOG-07 is masked in message and fields, before it is escaped", function()
    local line = json("the hunter22", "hunter22", "hunter22", "hunter22")
    assert.same({ "the [REDACTED]", "[REDACTED]", "[REDACTED]", "[REDACTED]" },
      { line.message, line.integration, line.run, line.kind })
  end)
  it("stays whole when every byte is escaped", function()
    assert.equal(64 * 1024 - 256, select(2, json(("\1"):rep(100000)).message:gsub("\1", "")))
  end)
end)

describe("repeated lines", function()
  it("are coalesced by key and integration; what is owed carries the level and the fields", function()
    local lines = {}
    for line in run { "repeats", "text" }:gmatch("[^\n]+") do
      lines[#lines + 1] = line:match("^" .. stamp .. "(.*)$")
    end
    local gh = "[my-github repository run 1f056ea3 gen 3] "
    local first = { table.unpack(lines, 1, 9) }
    table.sort(first, function(a, b) return a < b end)
    local expected = {
      "WARN  " .. gh .. "again 0", "ERROR again 0", "ERROR [my-jira] again 1",
      "WARN  " .. gh .. "same: 3 more like this", "ERROR [my-jira] same: 2 more like this",
      "INFO  flushed once", "ERROR [my-jira] same: 1 more like this", "INFO  [my-jira] first 0", "INFO  [my-jira] first 1",
    }
    table.sort(expected)
    assert.same(expected, first)
  end)
  it("of more keys than are remembered are told all the same", function()
    local err = run { "repeats", "text" }
    assert.equal(2000, select(2, err:gsub("INFO  %[my%-jira%] first %d+\n", "")))
    assert.equal(2000, select(2, err:gsub("INFO  %[my%-jira%] key %d+: 1 more like this\n", "")))
    assert.is_nil(err:find "second")
  end)
end)

describe("a tap of the log", function()
  it("sees what is shown, masked and valid, may log and lock, and sees neither local lines nor its own (R-LOG-05)", function()
    local err, out = run { "taps", "text" }
    local seen = {}
    for line in out:gmatch "[^\n]+" do
      seen[#seen + 1] = line:gsub("%d+%-%d+%-%d+T[%d:.]+Z", "T")
    end
    assert.same({
      "a T INFO [plain [REDACTED] ä\u{FFFD}] - - - 0",
      "b T INFO [plain [REDACTED] ä\u{FFFD}] - - - 0",
      "b T ERROR [fields] x-[REDACTED] r\u{FFFD} a", "b 0", -- the kind holds a line end
      "b T WARNING [repeated] my-github 1f056ea3-9ea4-4d6a repository 3",
      "b T WARNING [key: 2 more like this] my-github 1f056ea3-9ea4-4d6a repository 3",
    }, seen)
    assert.equal(5, select(2, err:gsub("from inside tap", "")))
    assert.is_truthy(err:find("stays here", 1, true))
  end)
  it("may be added and removed while others log: none of its lines is lost, and each line is whole", function()
    local err, out = run { "threads", "json" }
    assert.equal("1\n", out)
    local count = 0
    for line in err:gmatch "[^\n]+" do
      count = count + (support.json.decode(line).message:match "^line %d+$" and 1 or 0)
    end
    assert.equal(2000, count)
  end)
end)

describe("stderr", function()
  it("that is read late, and never blocks, gets every line", function()
    assert.equal("5000\n", select(2, run { "slow" }))
  end)
end)
