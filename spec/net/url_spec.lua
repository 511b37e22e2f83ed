local support = require "spec.support"

-- Runs the operations in one process; each is { op, arg… }, the results are in their order.
local function run(operations)
  local lines = {}
  for i, operation in ipairs(operations) do
    local words = { operation[1] }
    for k = 2, #operation do
      words[k] = operation[k]:gsub("[\t\n\r%z\x80-\xff]", function(c)
        return ("\\x%02X"):format(c:byte())
      end)
    end
    lines[i] = table.concat(words, "\t") .. "\n"
  end
  local result = support.run({ support.driver "url_driver" }, { stdin = table.concat(lines) })
  assert(result.code == 0, result.err)
  local out = {}
  for line in result.out:gmatch "([^\n]*)\n" do
    out[#out + 1] = line
  end
  assert(#out == #operations, "an operation without a result:\n" .. result.out)
  return out
end

-- cases: { arg…, expected }.
local function check(op, cases)
  local operations = {}
  for i, case in ipairs(cases) do
    operations[i] = { op, table.unpack(case, 1, #case - 1) }
  end
  for i, got in ipairs(run(operations)) do
    local case = cases[i]
    assert.are.equal(case[#case], got, op .. " " .. table.concat(case, " | ", 1, #case - 1))
  end
end

describe("a URL", function()
  it("is escaped down to the unreserved characters, a space as %20 (A-COM-10)", function()
    check("escape", {
      { "azAZ09-._~", "azAZ09-._~" },
      { "a b/c?d#e&f=g+h", "a%20b%2Fc%3Fd%23e%26f%3Dg%2Bh" },
      { "%41", "%2541" },
      { "é\0\xff", "%C3%A9%00%FF" },
      { "", "" },
    })
  end)

  it("has an origin in lower case, without the default port", function()
    check("origin", {
      { "https://API.GitHub.com/repos?x=1", "https://api.github.com" },
      { "HTTP://example.com:80/", "http://example.com" },
      { "https://example.com:443", "https://example.com" },
      { "https://example.com:80", "https://example.com:80" },
      { "http://example.com:0443?q", "http://example.com:443" },
      { "http://example.com:/", "http://example.com" },
      { "http://user:p%40ss@example.com/", "http://example.com" },
      { "http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080" },
    })
    check("host", {
      { "https://API.GitHub.com:99/repos", "api.github.com" },
      { "http://[::1]:8080/x", "::1" },
      { "ftp://example.com/", "-" },
    })
  end)

  it("has no origin when two readers could see two hosts, or none", function()
    local cases = {}
    for _, url in ipairs { "", "/path", "//host/path", "example.com", "ftp://example.com/", "mailto:a@b", "http:/one",
      "http:x",
      "http://", "http:///x", "http://:80/", "http://a@b@c/", "http://good.com\\@evil.com/",
        "http://good.com\\.evil.com/",
      "http://a b/", "http://a\tb/", "http://a\0b/", "http://exa<mple/", "http://host:70000/", "http://host:8x/",
        "http://host:0/",
      "http://[::1/", "http://[]/", "http://[fe80::1%25eth0]/", "http://[::1]x/", "http://a[b]/",
        "http://host:80:90/" } do
      cases[#cases + 1] = { url, "-" }
    end
    check("origin", cases)
  end)
end)

describe("a reference", function()
  it("resolves as RFC 3986 section 5.4 lists it", function()
    local cases = {}
    for reference, target in pairs {
      ["g"] = "http://a/b/c/g", ["./g"] = "http://a/b/c/g", ["g/"] = "http://a/b/c/g/", ["/g"] = "http://a/g",
      ["//g"] = "http://g", ["?y"] = "http://a/b/c/d;p?y", ["g?y"] = "http://a/b/c/g?y",
        ["#s"] = "http://a/b/c/d;p?q#s",
      ["g#s"] = "http://a/b/c/g#s", ["g?y#s"] = "http://a/b/c/g?y#s", [";x"] = "http://a/b/c/;x",
        ["g;x"] = "http://a/b/c/g;x",
      ["g;x?y#s"] = "http://a/b/c/g;x?y#s", [""] = "http://a/b/c/d;p?q", ["."] = "http://a/b/c/",
        ["./"] = "http://a/b/c/",
      [".."] = "http://a/b/", ["../"] = "http://a/b/", ["../g"] = "http://a/b/g", ["../.."] = "http://a/",
        ["../../"] = "http://a/",
      ["../../g"] = "http://a/g", ["../../../g"] = "http://a/g", ["../../../../g"] = "http://a/g",
        ["/./g"] = "http://a/g",
      ["/../g"] = "http://a/g", ["g."] = "http://a/b/c/g.", [".g"] = "http://a/b/c/.g", ["g.."] = "http://a/b/c/g..",
      ["..g"] = "http://a/b/c/..g", ["./../g"] = "http://a/b/g", ["./g/."] = "http://a/b/c/g/",
        ["g/./h"] = "http://a/b/c/g/h",
      ["g/../h"] = "http://a/b/c/h", ["g;x=1/./y"] = "http://a/b/c/g;x=1/y", ["g;x=1/../y"] = "http://a/b/c/y",
      ["g?y/./x"] = "http://a/b/c/g?y/./x", ["g?y/../x"] = "http://a/b/c/g?y/../x",
        ["g#s/./x"] = "http://a/b/c/g#s/./x",
      ["g#s/../x"] = "http://a/b/c/g#s/../x", ["https://h/x"] = "https://h/x", ["g:h"] = "g:h",
    } do
      cases[#cases + 1] = { "http://a/b/c/d;p?q", reference, target }
    end
    check("resolve", cases)
  end)

  it("keeps empty segments and the user of its base, and percent-encodes what is legal nowhere", function()
    check("resolve", {
      { "http://h", "x", "http://h/x" },
      { "http://h?q", "x", "http://h/x" },
      { "http://h/a//b/c", "../d", "http://h/a//d" },
      { "http://h/a//b", "../../d", "http://h/d" },
      { "http://u:p@h:8/a", "/b", "http://u:p@h:8/b" },
      { "HTTPS://H/a", "b", "https://H/b" },
      { "http://h/", "  /a b?c d|é  ", "http://h/a%20b?c%20d%7C%C3%A9" },
      { "http://h/", "/a%20b%zz", "http://h/a%20b%zz" },
    })
  end)

  it("is refused with a reason when its base is none or it holds a control character", function()
    local out = run { { "resolve", "relative", "x" }, { "resolve", "http://h/", "/a\nb" }, { "resolve",
      "http://t0ken:x@a@b/", "x" },
      { "resolve", "http://h/", ("x"):rep(2 ^ 20 + 1) } }
    assert.matches('^!invalid "relative" is no absolute http or https URL', out[1])
    assert.matches("^!invalid a URL with a control character %(byte 0x0A at offset 2%)", out[2])
    assert.matches("^!invalid ", out[3])
    assert.is_nil(out[3]:find("t0ken", 1, true))
    assert.matches("^!limit a URL of more than", out[4])
  end)
end)

describe("a URL in an error", function()
  it("shows neither its user nor the values of parameters that look like credentials", function()
    check("redact", {
      { "https://user:secret@api.test/x", "https://api.test/x" },
      { "https://api.test/x?page=3&per_page=100", "https://api.test/x?page=3&per_page=100" },
      { "https://api.test/x?access_token=abc&page=2", "https://api.test/x?access_token=***&page=2" },
      { "https://api.test/x?X-Amz-Signature=a%2Fb&X-Amz-Date=1",
        "https://api.test/x?X-Amz-Signature=***&X-Amz-Date=1" },
      { "https://api.test/x?apiKey=1&client_secret=2&PASSWORD=3&code=4&sig=5",
        "https://api.test/x?apiKey=***&client_secret=***&PASSWORD=***&code=***&sig=***" },
      { "https://api.test/x?to%6Ben=abc;key=1", "https://api.test/x?to%6Ben=***;key=***" },
      { "https://api.test/x?keyword=a&monkeys=b&codec=c", "https://api.test/x?keyword=a&monkeys=b&codec=c" },
      { "https://api.test/x?token=&token", "https://api.test/x?token=&token" },
      { "https://api.test/x#access_token=abc", "https://api.test/x" },
      { "user:pass@api.test/x", "user:api.test/x" },
      { "a\nb é", "a%0Ab%20%C3%A9" },
    })
  end)

  it("is cut to 200 bytes", function()
    local out = run { { "redact", "https://api.test/" .. ("x"):rep(5000) } }
    assert.are.equal(200, #out[1])
    assert.matches("x%.%.%.$", out[1])
  end)
end)

describe("a Link header (RFC 8288)", function()
  it("gives the target of a relation, however it is written", function()
    check("link", {
      { "next", '<https://api.github.com/x?page=2>; rel="next", <https://api.github.com/x?page=9>; rel="last"',
        "https://api.github.com/x?page=2" },
      { "last", '<https://api.github.com/x?page=2>; rel="next", <https://api.github.com/x?page=9>; rel="last"',
        "https://api.github.com/x?page=9" },
      { "next", "</x?page=2>;rel=next", "/x?page=2" },
      { "next", "</x> ; REL = NEXT ; title = t", "/x" },
      { "next", '</a>; rel="prev  NEXT last"', "/a" },
      { "next", '</a,b;c"d>; rel="next"', '/a,b;c"d' },
      { "next", '</a>; title="rel=\\"next\\", <"; rel="prev", </b>; rel=next', "/b" },
      { "next", '</a>; rel="n\\ext"', "/a" },
      { "next", '</a>; results="true"; rel=prev,</b>; results="true"; rel="next"; cursor="1:2"', "/b" },
      { "next", '< /padded >; rel=next', "/padded" },
      { "next", "<>; rel=next", "" },
      { "next", 'nonsense, ;;; , "<x>", </a>; rel="next"', "/a" },
      { "next", 'nonsense; rel="next", </a>; rel="next"', "/a" },
      { "https://api.w.org/", '<https://w/>; rel="https://api.w.org/"', "https://w/" },
      { "next", '</a>; rel=next; rel=prev', "/a" },
    })
  end)

  it("gives nothing where there is no such relation", function()
    local cases = {}
    for _, header in ipairs { "", ",", "</a>", '</a>; rel="nextt"', '</a>; rel="nex"', '</a>; rel=""', "</a>; rel",
      "</a>; rel=",
      '</a>; title="next"', "</a>; rev=next", '</a>; rel=prev; rel=next', "</a", "</a>; rel=next; anchor=\"/other\"",
      '</a>; title="; rel=next', '"</a>; rel=next"', '</a>; rel="next' .. 'x', "<</a>; rel=prev" } do
      cases[#cases + 1] = { "next", header, "-" }
    end
    check("link", cases)
  end)
end)

describe("the wait that an answer announces", function()
  local now = "1700000000000000"

  local function announced(cases)
    for _, case in ipairs(cases) do
      table.insert(case, 2, now)
    end
    check("announced", cases)
  end

  it("is read from Retry-After: seconds, a date of HTTP or ISO, a moment (A-NET-09)", function()
    announced {
      { "429", "retry-after: 0", "0" },
      { "429", "retry-after: 30", "30000" },
      { "503", "retry-after: 1.5", "1500" },
      { "429", "retry-after: 20000", "20000000" },
      { "429", "retry-after: 1700000010", "10000" },
      { "429", "retry-after: Tue, 14 Nov 2023 22:13:30 GMT", "10000" },
      { "429", "retry-after: 2023-11-14T22:13:30Z", "10000" },
      { "429", "retry-after: 1699999999", "-1" },
      { "429", "retry-after: Tue, 14 Nov 2023 22:13:19 GMT", "-1" },
      { "429", "retry-after: -5", "-1" },
      { "429", "retry-after: soon", "-1" },
      { "429", "retry-after: 1e9", "-1" },
      { "429", "retry-after: 0x10", "-1" },
      { "429", "retry-after: ", "-1" },
      { "429", "-1" },
      { "429", "retry-after: nonsense", "x-ratelimit-reset: 1700000007", "7000" },
      { "429", "retry-after: 3", "x-ratelimit-reset: 1700000007", "3000" },
    }
  end)

  it("is measured by the clock of the answer's Date, where ours differs by more than a minute", function()
    announced {
      { "429", "date: Thu, 16 Nov 2023 22:13:20 GMT", "x-ratelimit-reset: 1700172830", "30000" },
      { "429", "date: Sun, 12 Nov 2023 22:13:20 GMT", "x-ratelimit-reset: 1699827230", "30000" },
      { "429", "date: Thu, 16 Nov 2023 22:13:20 GMT", "retry-after: Thu, 16 Nov 2023 22:13:25 GMT", "5000" },
      { "429", "date: Thu, 16 Nov 2023 22:13:20 GMT", "x-ratelimit-reset: 1700172799", "-1" },
      { "429", "date: Thu, 16 Nov 2023 22:13:20 GMT", "retry-after: 7", "7000" },
      { "429", "date: Tue, 14 Nov 2023 22:14:20 GMT", "x-ratelimit-reset: 1700000090", "90000" },
      { "429", "date: soon", "x-ratelimit-reset: 1700000030", "30000" },
    }
  end)

  it("is read from the limit headers, epoch, milliseconds or seconds, when the limit is used up or the status says so",
    function()
    announced {
      { "403", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 1700000060", "60000" },
      { "403", "x-ratelimit-reset: 1700000060", "60000" },
      { "403", "x-ratelimit-remaining: 4990", "x-ratelimit-reset: 1700000060", "-1" },
      { "403", "retry-after: 9", "x-ratelimit-remaining: 4990", "x-ratelimit-reset: 1700000060", "9000" },
      { "200", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 1700000060", "60000" },
      { "200", "x-ratelimit-remaining: 1", "x-ratelimit-reset: 1700000060", "-1" },
      { "503", "x-ratelimit-remaining: 5", "x-ratelimit-reset: 1700000060", "-1" },
      { "429", "x-ratelimit-remaining: 5", "x-ratelimit-reset: 1700000060", "60000" },
      { "429", "x-ratelimit-reset: 1700000060000", "60000" },
      { "429", "x-ratelimit-reset: 60", "60000" },
      { "429", "x-rate-limit-reset: 1700000060", "60000" },
      { "429", "x-ratelimit-reset: 1699999990", "-1" },
      { "429", "x-ratelimit-reset: 99999999999999999999", "4609986018427388" },
      { "429", "ratelimit-reset: 50", "50000" },
      { "200", "ratelimit-remaining: 0", "ratelimit-reset: 50", "50000" },
      { "200", "ratelimit: limit=100, remaining=0, reset=50", "50000" },
      { "200", "ratelimit: limit=100, remaining=3, reset=50", "-1" },
      { "429", 'ratelimit: "default";r=0;t=12', "12000" },
      { "200", 'ratelimit: "default";r=5;t=12', "-1" },
    }
  end)
end)
