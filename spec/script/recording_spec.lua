local support = require "spec.support"

local function line(exchange)
  exchange = setmetatable(exchange, nil)
  local headers = {}
  for name, value in pairs(exchange.headers or {}) do
    headers[#headers + 1] = support.json.encode(name) .. ":" .. support.json.encode(value)
  end
  return ('{"method":%s,"url":%s,"status":%d,"headers":{%s},"body":%s}\n'):format(
    support.json.encode(exchange.method or "GET"), support.json.encode(exchange.url), exchange.status or 200,
    table.concat(headers, ","), support.json.encode(exchange.body or "[]"))
end

local function file(...)
  local text = {}
  for i, one in ipairs { ... } do
    text[i] = type(one) == "string" and one or line(one)
  end
  return support.write(support.tmpdir() .. "/recorded.ndjson", table.concat(text))
end

-- Results of the requests, and what the driver says at the end.
local function drive(...)
  local words = { support.driver "recording_driver", ... }
  for i, word in ipairs(words) do
    words[i] = tostring(word)
  end
  local env = {}
  for _, name in ipairs { "http_proxy", "https_proxy", "all_proxy" } do
    env[name], env[name:upper()] = false, false
  end
  local run = support.run(words, { env = env, timeout = 60 })
  local results = support.json.lines(run.out)
  assert(#results > 0, run.err)
  local last = table.remove(results)
  return results, last, run
end

local function header(result, name)
  return ("\n" .. result.headers):match("\n" .. name:gsub("%p", "%%%0") .. ": ([^\n]*)")
end

describe("recordings", function()
  it("answer by method, path and query in any order, of whatever origin", function()
    local path = file({ url = "/repos?state=all&page=2", body = "two", headers = { etag = "x", Link = "<a>; rel=next" } },
      { url = "https://other.example/repos", body = "all" }, { method = "POST", url = "/repos?page=2&state=all",
        status = 201, body = "made" })
    local res, last = drive("play", path, "--", "https://api.example.com/repos?page=2&state=all",
      "http://127.0.0.1:1/repos?state=all&page=2#part", "https://x/repos", "POST=https://x/repos?state=all&page=2")
    assert.are.same({ 200, 200, 200, 201 }, { res[1].status, res[2].status, res[3].status, res[4].status })
    assert.are.same({ "two", "two", "all", "made" }, { res[1].body, res[2].body, res[3].body, res[4].body })
    assert.are.equal("x", header(res[1], "etag"))
    assert.are.equal("<a>; rel=next", header(res[1], "link"))
    assert.are.equal("https://api.example.com/repos?page=2&state=all", res[1].url)
    assert.are.equal(3, last.count)
    assert.are.equal(4, last.requests)
    assert.are.equal(3 + 3 + 3 + 4, last.bytes)
  end)

  it("take one spelling of a URL for another", function()
    local path = file({ url = "/a%20b/c-d?q=x%20y&e=&f", body = "found" })
    for _, url in ipairs { "/a%20b/c%2Dd?f&e=&q=x+y", "/a%20b/c%2dd?e=&q=x%20y&f", "/a%20b/c-d?%71=x%20y&e=&f&" } do
      assert.are.equal("found", drive("play", path, "--", "http://h" .. url)[1].body, url)
    end
    for _, url in ipairs { "/a%20b/c-d?q=x%2By&e=&f", "/a%20b/c-d?q=x%20y&e=&f=", "/a%20b/c-D?q=x%20y&e=&f",
      "/a%20b/c-d?q=x%20y%26e=&f" } do
      assert.are.equal("not_found", drive("play", path, "--", "http://h" .. url)[1].error, url)
    end
    local root = file({ url = "/", body = "root" })
    assert.are.equal("root", drive("play", root, "--", "http://h")[1].body)
    assert.are.equal("root", drive("play", root, "--", "http://h?")[1].body)
  end)

  it("are found without page size, first page, type, sort and direction when there is no exact one", function()
    local path = file({ url = "/r?per_page=100&state=all", body = "first" },
      { url = "/r?per_page=100&page=2&state=all", body = "second" }, { url = "/r?per_page=30&state=all", body = "exact" },
      { url = "/plain", body = "plain" })
    local function body(url)
      local one = drive("play", path, "--", "http://h" .. url)[1]
      return one.body or one.error
    end
    assert.are.equal("first", body "/r?state=all")
    assert.are.equal("first", body "/r?state=all&page=1&type=all&sort=name&direction=desc&per_page=50")
    assert.are.equal("exact", body "/r?state=all&per_page=30")
    assert.are.equal("second", body "/r?page=2&state=all")
    assert.are.equal("plain", body "/plain?page_size=7&limit=3")
    assert.are.equal("not_found", body "/r?state=all&page=3")
    assert.are.equal("not_found", body "/r?state=open")
    assert.are.equal("not_found", body "/plain?limit=none")
  end)

  it("of one request are answered in order, the last one for ever", function()
    local first = file({ url = "/x", body = "1" }, { url = "/y", body = "y" }, { url = "/x", body = "2" })
    local second = file({ url = "/x", body = "3" })
    local res = drive("play", first, second, "--", "http://h/x", "http://h/x?page=1", "http://h/y", "http://h/x",
      "http://h/x")
    local bodies = {}
    for i, one in ipairs(res) do
      bodies[i] = one.body
    end
    assert.are.same({ "1", "2", "y", "3", "3" }, bodies)
  end)

  it("answer 304 to the ETag that they hold", function()
    local path = file({ url = "/x", body = "text", headers = { ETag = 'W/"abc"' } })
    local res = drive("play", "--header", 'If-None-Match: W/"abc"', path, "--", "http://h/x")[1]
    assert.are.equal(304, res.status)
    assert.are.equal("", res.body)
    assert.are.equal('W/"abc"', header(res, "etag"))
    assert.are.equal(200, drive("play", "--header", 'If-None-Match: "abc"', path, "--", "http://h/x")[1].status)
  end)

  it("leave out what a limit had left when they were made, and the framing of the body", function()
    local path = file({ url = "/x", headers = { ["x-ratelimit-remaining"] = "0", ["X-RateLimit-Reset"] = "1",
      ["RateLimit"] = "remaining=0, reset=500", ["content-encoding"] = "gzip", ["Content-Length"] = "999",
      ["x-ratelimit-limit"] = "5000" } })
    local res = drive("play", path, "--", "http://h/x")[1]
    assert.are.equal("x-ratelimit-limit: 5000\n", res.headers)
  end)

  it("name what was asked and the nearest that is recorded, and are not asked again for it", function()
    local path = file({ url = "/orgs/acme" }, { url = "/repos/acme/one" }, { url = "/repos/acme/two/pulls?state=open" })
    local res, last = drive("play", "--retries", 5, path, "--", "https://api.example.com/repos/acme/two/pulls?state=all",
      "POST=https://x/orgs/acme", "http://x/elsewhere")
    assert.are.equal("not_found", res[1].error)
    assert.are.equal("GET https://api.example.com/repos/acme/two/pulls?state=all: nothing is recorded for GET " ..
      "/repos/acme/two/pulls?state=all; nearest is GET /repos/acme/two/pulls?state=open (" .. path:sub(1, 60) ..
      ":3) (1 attempt)", (res[1].text:gsub("=%*%*%*", "=all")))
    assert.matches("nothing is recorded for POST /orgs/acme; nearest is GET /orgs/acme %(", res[2].text)
    assert.matches("nothing is recorded for GET /elsewhere, nor for a path like it", res[3].text)
    assert.are.equal(3, last.requests)
    assert.are.equal(0, last.retries)
    assert.are.same({ { method = "GET", status = 0, url = "https://api.example.com/repos/acme/two/pulls?state=all" },
      { method = "POST", status = 0, url = "https://x/orgs/acme" }, { method = "GET", status = 0,
        url = "http://x/elsewhere" } }, last.asked)
    res = drive("play", "--", "http://x/y")
    assert.matches("nothing is recorded: there are no recordings to answer from", res[1].text)
  end)

  it("tell what was asked in order, without its secrets", function()
    local path = file({ url = "/x/[REDACTED]?api_key=[REDACTED]&page=2", body = "found" })
    local res, last = drive("play", "--mask", "hunter22", path, "--",
      "http://u:pa55@h/x/hunter22?api_key=k-123&page=2", "http://h/y?token=t-1")
    assert.are.equal("found", res[1].body)
    assert.are.same({ { method = "GET", status = 200, url = "http://[REDACTED]@h/x/[REDACTED]?api_key=[REDACTED]&page=2" },
      { method = "GET", status = 0, url = "http://h/y?token=[REDACTED]" } }, last.asked)
  end)

  it("go through retries, redirects and ceilings as the network does", function()
    local path = file({ url = "/flaky", status = 503, body = "no" }, { url = "/flaky", status = 500 },
      { url = "/flaky", body = "yes" }, { url = "/old", status = 301, headers = { Location = "https://new.example/new" } },
      { url = "/new", body = "moved" })
    local res, last = drive("play", "--retries", 3, "--redirects", 3, path, "--", "http://h/flaky", "http://h/old")
    assert.are.same({ "yes", 3 }, { res[1].body, res[1].attempts })
    assert.are.same({ "moved", "https://new.example/new" }, { res[2].body, res[2].url })
    assert.are.equal(5, last.requests)
    assert.are.equal(2, last.retries)
    res = drive("play", "--max-body", 4, path, "--", "http://h/new")
    assert.are.equal("limit", res[1].error)
    assert.matches("the recorded answer is larger than the 4 bytes", res[1].text)
  end)

  it("are kept to the hosts that a bundle names, and need no public address", function()
    local path = file({ url = "/x", status = 302, headers = { location = "https://evil.example/y" } }, { url = "/y" })
    local res, last = drive("play", "--redirects", 3, "--private", "--host", "127.0.0.1", path, "--",
      "http://127.0.0.1/y", "http://127.0.0.1/x", "http://evil.example/y")
    assert.are.equal(200, res[1].status)
    assert.matches("the host evil.example %(port 443%) is refused", res[2].text)
    assert.matches("the host evil.example %(port 80%) is refused", res[3].text)
    assert.are.equal(2, last.requests)
  end)

  it("may be given as text, and read from a file with a BOM, empty lines and CR LF", function()
    local res, last = drive("play", "--add", "hello.ndjson", line { url = "/x", body = "x" }, "--add", "empty", "",
      file("\xEF\xBB\xBF\r\n", (line { url = "/y", body = "y" }:gsub("\n", "\r\n")), "  \n", (line { url = "/z",
        body = "z" }:gsub("\n", ""))), "--", "http://h/x", "http://h/y", "http://h/z")
    assert.are.same({ "x", "y", "z" }, { res[1].body, res[2].body, res[3].body })
    assert.are.equal(3, last.count)
  end)

  it("that are wrong are refused with file, line and cause, and none of the file's is taken", function()
    local good = line { url = "/x" }
    local member = "the member \"%s\" is missing"
    for text, cause in pairs {
      ['{"method":"GET"'] = "not JSON, and the file ends here: was it cut short?: ",
      [good:sub(1, -5)] = "not JSON, and the file ends here: was it cut short?: ",
      ["{'a':1}\n"] = "not JSON: ",
      ["[]\n"] = "not an object {\"method\",\"url\",\"status\",\"headers\",\"body\"} but something else",
      ["12\n"] = "not an object",
      ["{}\n"] = member:format "method",
      ['{"method":"GET"}\n'] = member:format "url",
      ['{"method":"GET","url":"/x"}\n'] = member:format "body",
      ['{"method":"GET","url":"/x","body":""}\n'] = member:format "status",
      ['{"method":"GET","url":"/x","body":"","status":200}\n'] = member:format "headers",
      ['{"method":1,"url":"/x","body":"","status":200,"headers":{}}\n'] = '"method" is not a string',
      ['{"method":"G T","url":"/x","body":"","status":200,"headers":{}}\n'] = '"method" is not a word such as GET',
      ['{"method":"GET","url":"x","body":"","status":200,"headers":{}}\n'] = '"url" is neither a path that begins with /',
      ['{"method":"GET","url":"/x\\n","body":"","status":200,"headers":{}}\n'] = '"url" is neither a path',
      ['{"method":"GET","url":"/x","body":[],"status":200,"headers":{}}\n'] = '"body" is not a string (the text of the ' ..
        'body, JSON as a JSON string)',
      ['{"method":"GET","url":"/x","body":"","status":"200","headers":{}}\n'] = '"status" is not a number from 100 to 599',
      ['{"method":"GET","url":"/x","body":"","status":99,"headers":{}}\n'] = '"status" is not a number from 100 to 599',
      ['{"method":"GET","url":"/x","body":"","status":200,"headers":[]}\n'] = '"headers" is not an object',
      ['{"method":"GET","url":"/x","body":"","status":200,"headers":{"a":1}}\n'] = 'the header "a" is not a string of one ' ..
        "line",
      ['{"method":"GET","url":"/x","body":"","status":200,"headers":{"a":"b\\nc: d"}}\n'] = 'the header "a" is not',
      ['{"method":"GET","url":"/x","body":"\xff","status":200,"headers":{}}\n'] = "not JSON: ",
    } do
      local path = file(good, "\n", text)
      local _, last, run = drive("play", path, "--", "http://h/x")
      assert.are.equal(1, run.code)
      local err = support.json.lines(run.out)[1]
      assert.are.equal("data", err.error)
      assert.are.equal(path .. ":3: " .. cause, err.text:sub(1, #path + 4 + #cause), text)
      assert.are.equal(0, last.count)
    end
  end)

  it("that cannot be read are named with the cause", function()
    local dir = support.tmpdir()
    for path, cause in pairs { [dir .. "/none"] = "No such file or directory", [dir] = "Is a directory" } do
      local _, _, run = drive("play", path, "--", "http://h/x")
      assert.are.equal(1, run.code)
      assert.are.same({ error = "io", text = "cannot read the recordings " .. path .. ": " .. cause },
        support.json.lines(run.out)[1])
    end
  end)

  local shared = support.shared()
  if not shared then
    return
  end

  it("of GitHub answer a walk over 23 pages, and cost little more memory than their file", function()
    local urls = { "https://api.github.com/orgs/jenkinsci/repos?per_page=100" }
    for page = 2, 23 do
      urls[page] = "https://api.github.com/organizations/107424/repos?per_page=100&page=" .. page
    end
    local res, last = drive("play", shared .. "/recordings/github-jenkinsci-repos.ndjson", "--", table.unpack(urls))
    local repositories = 0
    for page, one in ipairs(res) do
      assert.are.equal(200, one.status)
      repositories = repositories + #support.json.decode(one.body)
      assert.are.equal(page < 23, one.headers:find('rel="next"', 1, true) ~= nil)
    end
    assert.are.equal(2204, repositories)
    assert.are.equal(25, last.count)
    assert.is_true(last.held < 14560043 + 2 ^ 20, last.held .. " bytes")
  end)
end)

if not os.execute "command -v node >/dev/null 2>&1" then
  return
end

describe("a recorder", function()
  local server

  after_each(function()
    if server then
      server:stop()
      server = nil
    end
  end)

  -- Serves the exchanges, records the requests for their paths and gives the lines of the recording.
  local function record(exchanges, options, urls)
    server = support.spawn { "node", support.root .. "/spec/script/recorded.mjs", file(table.unpack(exchanges)) }
    local base = server.line:match "listening (%S+)"
    local out = support.tmpdir() .. "/made.ndjson"
    local words = { "record", table.unpack(options) }
    words[#words + 1], words[#words + 2] = out, "--"
    for _, url in ipairs(urls) do
      words[#words + 1] = url:match "^%u+=" and url:gsub("=", "=" .. base, 1) or base .. url
    end
    local res, last = drive(table.unpack(words))
    local text = support.read(out)
    return support.json.lines(text), text, last, res, out
  end

  it("writes every exchange as it was decoded, in the format that recordings have", function()
    local body = '{"name":"caf\u{e9}","list":[1, 2.50, 1e3]}'
    local lines, text, last, res, out = record({ { url = "/x?a=1", body = body, headers = { ["content-type"] =
      "application/json", etag = '"e"', link = '<https://api.example.com/x?page=2>; rel="next"' } },
      { method = "POST", url = "/y", status = 201, body = "made" } }, {}, { "/x?a=1", "POST=/y", "/none" })
    assert.are.equal(200, res[1].status)
    assert.are.equal(body, res[1].body)
    assert.are.equal(3, last.written)
    assert.are.equal(3, #lines)
    assert.are.same({ "GET", "/x?a=1", 200, body }, { lines[1].method, lines[1].url, lines[1].status, lines[1].body })
    assert.are.equal('"e"', lines[1].headers.etag)
    assert.are.equal('<https://api.example.com/x?page=2>; rel="next"', lines[1].headers.link)
    assert.are.same({ "POST", "/y", 201, "made" }, { lines[2].method, lines[2].url, lines[2].status, lines[2].body })
    assert.are.equal(404, lines[3].status)
    for _, one in ipairs(lines) do
      for _, name in ipairs { "content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive" } do
        assert.is_nil(one.headers[name], name)
      end
    end
    assert.is_nil(text:find "[^\n]$")
    local played = drive("play", out, "--", "http://h/x?a=1", "POST=http://h/y", "http://h/none")
    assert.are.same({ body, "made", 404 }, { played[1].body, played[2].body, played[3].status })
  end)

  it("takes out the configured values wherever they occur, escaped or in base64 too", function()
    local secret = 'p"a/s s+w\u{f6}rd&1'
    local function base64(t)
      return (support.run({ "base64", "-w0" }, { stdin = t }).out)
    end
    local escaped = support.json.encode(secret):sub(2, -2)
    local percent = 'p%22a%2Fs%20s%2Bw%C3%B6rd%261'
    local traces = { secret, escaped, escaped:gsub("/", "\\/"), percent, percent:lower(), percent:gsub("%%20", "+"),
      "p\\u0022a/s s+w\\u00f6rd\\u00261" }
    local body = '{"plain":' .. support.json.encode(secret) .. ',"within":' .. support.json.encode("a " .. secret .. " b") ..
      ',"unicode":"p\\u0022a\\/s s+w\\u00f6rd\\u00261","url":"https://h/' .. percent .. '/x?k=' .. percent:lower() .. '"' ..
      ',"nested":' .. support.json.encode('{"deep":' .. support.json.encode(secret) .. ',"n":[1]}') ..
      ',"basic":"Basic ' .. base64("user:" .. secret) .. '","one":"x' .. base64("1" .. secret .. "22") ..
      '","two":"' .. base64(secret .. "\xff\xfe"):gsub("+", "-"):gsub("/", "_") .. '",' ..
      support.json.encode(secret) .. ':1,"number":424242,"other":"kept"}'
    local lines, text = record({ { url = "/x", body = body, headers = { ["x-echo"] = "key " .. percent,
      link = "<https://h/n?x=" .. percent .. "&page=2>; rel=next" } }, { url = "/text", body = "line " .. secret ..
      " and " .. base64(secret) .. "." }, { url = "/form", body = "a=1&b=" .. percent:gsub("%%20", "+") .. "&c=3" },
      { url = "/lines", body = '{"a":' .. support.json.encode(secret) .. '}\n{"b":2}\n' } },
      { "--mask", secret, "--mask", "424242" }, { "/x", "/text", "/form", "/lines", "/q/" .. percent .. "?a=" .. percent ..
        "&b=2" })
    for _, trace in ipairs(traces) do
      assert.is_nil(text:find(trace, 1, true), trace)
      assert.is_nil(text:find((support.json.encode(trace):sub(2, -2)), 1, true), trace)
    end
    for _, one in ipairs { "cCJhL3Mg", "CJhL3Mgc", base64("user:" .. secret):sub(9, 20) } do
      assert.is_nil(text:find(one, 1, true), one)
    end
    assert.is_nil(text:find "424242")
    local clean = support.json.decode(lines[1].body)
    assert.are.equal("[REDACTED]", clean.plain)
    assert.are.equal("a [REDACTED] b", clean.within)
    assert.are.equal("[REDACTED]", clean.unicode)
    assert.are.equal("https://h/[REDACTED]/x?k=[REDACTED]", clean.url)
    assert.are.same({ deep = "[REDACTED]", n = { 1 } }, support.json.decode(clean.nested))
    assert.are.equal("Basic [REDACTED]", clean.basic)
    assert.are.equal("[REDACTED]", clean.one)
    assert.are.equal("[REDACTED]", clean.two)
    assert.are.equal("[REDACTED]", clean.number)
    assert.are.equal("kept", clean.other)
    assert.are.equal(1, clean["[REDACTED]"])
    assert.are.equal("key [REDACTED]", lines[1].headers["x-echo"])
    assert.are.equal("<https://h/n?x=[REDACTED]&page=2>; rel=next", lines[1].headers.link)
    assert.are.equal("line [REDACTED] and [REDACTED].", lines[2].body)
    assert.are.equal("a=1&b=[REDACTED]&c=3", lines[3].body)
    assert.are.equal('{"a":"[REDACTED]"}\n{"b":2}\n', lines[4].body)
    assert.are.equal("/q/[REDACTED]?a=[REDACTED]&b=2", lines[5].url)
  end)

  it("takes out what stands under the names that carry credentials, and leaves page tokens", function()
    local hidden = { "access_token", "accessToken", "refresh-token", "token", "client_secret", "secret", "password",
      "db_password", "private_key", "apiKey", "x-api-key", "AWS.SecretAccessKey", "signature", "id_token", "jwt", "pwd" }
    local kept = { "next_page_token", "nextToken", "continuationToken", "cursor_token", "syncToken", "key", "keys_url",
      "tokens", "token_type", "name", "monkey" }
    local members = {}
    for _, name in ipairs(hidden) do
      members[#members + 1] = ('"%s":"hide-%d"'):format(name, #members)
    end
    for _, name in ipairs(kept) do
      members[#members + 1] = ('"%s":"kept"'):format(name)
    end
    local inner = "{" .. table.concat(members, ",") .. "}"
    local lines, text = record({ { url = "/x", body = '[{"a":' .. inner ..
      ',"password":12345,"secret":null,"token":true,"password2":"kept","credentials":{"password":"hide-x","user":"kept"}}]',
      headers = { ["set-cookie"] = "sid=hide-1", ["x-api-key"] = "hide-2", ["x-auth-token"] = "hide-3",
        ["x-client-secret"] = "hide-4", ["x-amz-signature"] = "hide-5", ["x-next-page-token"] = "kept",
        ["x-request-id"] = "kept", ["www-authenticate"] = "Basic realm=kept", location = "/y?access_token=hide-6&page=2",
        link = '<https://api.h/x?client_secret=hide-7&page=2>; rel="next"' } },
      { url = "/form", body = "access_token=hide-8&scope=repo&token_type=bearer" } }, {},
      { "/x", "/form", "/z?api_key=hide-9&page_token=kept&sig=hide-10" })
    assert.is_nil(text:match "hide%-[%w]+")
    assert.is_nil(text:find "12345")
    local one = support.json.decode(lines[1].body)[1]
    for _, name in ipairs(hidden) do
      assert.are.equal("[REDACTED]", one.a[name], name)
    end
    for _, name in ipairs(kept) do
      assert.are.equal("kept", one.a[name], name)
    end
    assert.are.equal("[REDACTED]", one.password)
    assert.is_true(one.token)
    assert.are.same({ password = "[REDACTED]", user = "kept" }, one.credentials)
    local headers = lines[1].headers
    for _, name in ipairs { "set-cookie", "x-api-key", "x-auth-token", "x-client-secret", "x-amz-signature" } do
      assert.are.equal("[REDACTED]", headers[name], name)
    end
    assert.are.equal("kept", headers["x-next-page-token"])
    assert.are.equal("Basic realm=kept", headers["www-authenticate"])
    assert.are.equal("/y?access_token=[REDACTED]&page=2", headers.location)
    assert.are.equal('<https://api.h/x?client_secret=[REDACTED]&page=2>; rel="next"', headers.link)
    assert.are.equal("access_token=[REDACTED]&scope=repo&token_type=bearer", lines[2].body)
    assert.are.equal("/z?api_key=[REDACTED]&page_token=kept&sig=[REDACTED]", lines[3].url)
  end)

  it("makes recordings that answer whoever asks with other credentials", function()
    local _, _, _, _, out = record({ { url = "/x?access_token=real-1&page=2", body = "found" } }, { "--mask", "real-1" },
      { "/x?access_token=real-1&page=2" })
    local res = drive("play", out, "--", "http://h/x?page=2&access_token=fake", "http://h/x?access_token=fake&page=3")
    assert.are.equal("found", res[1].body)
    assert.are.equal("not_found", res[2].error)
  end)

  it("leaves out answers that were asked again for, 304, and the same answer once more", function()
    local lines, _, last, res = record({ { url = "/flaky", status = 503, body = "no" }, { url = "/flaky", body = "yes" },
      { url = "/dead", status = 500, body = "never" }, { url = "/gone", status = 410 }, { url = "/same", body = "same" },
      { url = "/other", body = "1" }, { url = "/other", body = "2" }, { url = "/etag", status = 304, body = "" } },
      { "--retries", 2 }, { "/dead", "/flaky", "/gone", "/same", "/same", "/same", "/other", "/other", "/etag" })
    assert.are.equal(200, res[2].status)
    assert.are.equal(304, res[9].status)
    local seen = {}
    for i, one in ipairs(lines) do
      seen[i] = one.url .. " " .. one.status .. " " .. one.body
    end
    assert.are.same({ "/flaky 200 yes", "/gone 410 []", "/same 200 same", "/other 200 1", "/other 200 2",
      "/dead 500 never" }, seen)
    assert.are.equal(6, last.written)
  end)

  it("writes valid UTF-8, whatever the body holds, and nested JSON of any depth", function()
    local lines, text, _, res = record({ { url = "/deep", body = ("["):rep(3000) .. '"hide-me"' .. ("]"):rep(3000) } },
      { "--mask", "hide-me" }, { "/binary", "/deep" })
    assert.are.equal(200, res[1].status)
    assert.is_truthy(utf8.len(text))
    assert.are.equal("a\u{fffd}\u{fffd}b\0c", lines[1].body)
    assert.are.equal(("["):rep(3000) .. '"[REDACTED]"' .. ("]"):rep(3000), lines[2].body)
  end)

  it("records each hop of a redirect", function()
    local lines, _, _, res, out = record({ { url = "/old", status = 302, headers = { location = "/new" } },
      { url = "/new", body = "moved" } }, { "--redirects", 3 }, { "/old" })
    assert.are.equal("moved", res[1].body)
    assert.are.same({ 302, 200 }, { lines[1].status, lines[2].status })
    assert.are.equal("moved", drive("play", "--redirects", 3, out, "--", "http://h/old")[1].body)
  end)

  it("says when it cannot write", function()
    local _, last, run = drive("record", "/nowhere/at/all.ndjson", "--", "http://127.0.0.1:1/")
    assert.are.equal(1, run.code)
    assert.are.same({ error = "io", text = "cannot write the recording /nowhere/at/all.ndjson: No such file or directory" },
      last)
    if os.execute "test -c /dev/full" then
      server = support.spawn { "node", support.root .. "/spec/script/recorded.mjs", file { url = "/x" } }
      _, last, run = drive("record", "/dev/full", "--", server.line:match "listening (%S+)" .. "/x")
      assert.are.equal(1, run.code)
      assert.are.same({ error = "io", text = "cannot write the recording /dev/full: No space left on device" }, last)
    end
  end)
end)
