local support = require "spec.support"

local function driver(...)
  return support.run { support.driver "base_driver", ... }
end

describe("the key set", function()
  it("adds, finds and removes as a set does, at no more than 48 bytes a key while it grows", function()
    local count, zero, bytes = driver("keyset", "1000000").out:match "count (%d+) zero (%d) bytes (%d+)"
    assert.equal(tostring(1000000 - 333334 + 1), count)
    assert.equal("1", zero)
    assert.is_true(tonumber(bytes) <= 48, bytes)
  end)
end)

describe("buffers", function()
  it("refuse what passes their ceiling, keep what they had, and stay refused until cleared", function()
    assert.equal('12345 1 1 5\n1234567890 0\n"a\\"\\\\\\n\\t\\u0001\\u007f\\u0000z"\n', driver("buffer").out)
  end)
end)

describe("errors", function()
  it("are cut at a character, and carry their context", function()
    local length, last, context = driver("errors").out:match "^(%d+) (%x+)\n(.*)$"
    assert.is_true(tonumber(length) <= 999)
    assert.is_truthy(last == "a4" or last == "78", last) -- the end of an a-umlaut, or an x
    assert.equal("io: outer x: inner 5\n", context)
  end)
end)

describe("moments", function()
  local cases = {
    { "iso", "2026-11-23T09:43:28.997323+00:00", "2026-11-23T09:43:28.997323+00:00" },
    { "iso", "2026-11-23T09:43:28Z", "2026-11-23T09:43:28.000000+00:00" },
    { "iso", "2026-11-23 09:43", "2026-11-23T09:43:00.000000+00:00" },
    { "iso", "2026-11-23", "2026-11-23T00:00:00.000000+00:00" },
    { "iso", "2026-11-23T01:00:00+02:30", "2026-11-22T22:30:00.000000+00:00" },
    { "iso", "2026-11-23T01:00:00.5-0100", "2026-11-23T02:00:00.500000+00:00" },
    { "iso", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000+00:00" },
    { "iso", "2026-13-01", "refused" },
    { "iso", "2026-02-32", "refused" },
    { "iso", "2026-11-23T25:00", "refused" },
    { "iso", "2026-11-23T01:00:00Zx", "refused" },
    { "iso", "", "refused" },
    { "httpdate", "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000000+00:00" },
    { "httpdate", "Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37.000000+00:00" },
    { "httpdate", "Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37.000000+00:00" },
    { "httpdate", "tomorrow", "refused" },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " " .. case[2] .. " (A-NET-09, RFC 9110 5.6.7)", function()
      assert.equal(case[3] .. "\n", driver(case[1], case[2]).out)
    end)
  end
end)

describe("the mask", function()
  it("R-LOG-06 replaces every occurrence, the longest secret first, also several in one text", function()
    local out = driver("mask", "a hunter22 and hunter2222, hunter22", "hunter22", "hunter2222").out
    assert.equal("a [REDACTED] and [REDACTED], [REDACTED]", out:match "^[^\n]+")
    assert.is_nil(out:find("hunter", 1, true))
  end)

  it("R-LOG-07 trims secrets and ignores empty and very short ones", function()
    local out = driver("mask", "None of this is abc secret-x", "", "  ", "abc", " secret-x\n").out
    assert.equal("None of this is abc [REDACTED]", out:match "^[^\n]+")
  end)
end)

describe("the log", function()
  it("R-LOG-01 writes time, level and the masked message, and coalesces repeats into one more line", function()
    local err = driver("log", "WARNING", "token hunter22", "hunter22").err
    assert.is_truthy(err:find "^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d%.%d%d%d WARN  token %[REDACTED%]\n")
    local _, lines = err:gsub("\n", "")
    assert.equal(3, lines, err)
    assert.is_truthy(err:find("repeated: 4 more like this", 1, true), err)
  end)
end)
