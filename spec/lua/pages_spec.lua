-- luacheck: no max line length (a case a line)
local case = require "spec.lua.case"

-- client:pages (architecture 3.6): the end of a list is proven, a failure is never taken for it.

local function link(to)
  return { Link = ('<%s>; rel="next"'):format(to) }
end

local function page(ids, headers)
  local items = {}
  for i, id in ipairs(ids) do
    items[i] = { id = id }
  end
  return { json = #items > 0 and items or nil, text = #items == 0 and "[]" or nil, headers = #items > 0 and headers
    or (function()
      local all = { ["content-type"] = "application/json" }
      for k, v in pairs(headers or {}) do
        all[k] = v
      end
      return all
    end)() }
end

local EMPTY = page {}

-- Walks and passes every page on.
local function walk(options, routes, more)
  more = more or {}
  more.routes = routes
  return case.run(("for page in client:pages('/l', %s, %s) do coroutine.yield(page) end")
    :format(more.query or "nil", options), more)
end

local function complete(result, ids)
  assert.is_truthy(result.last, result.out .. result.err)
  assert.is_true(result.last.ok, tostring(result.last.error))
  assert.are.equal("", case.faults(result))
  assert.are.same(ids, case.items(result))
end

local function broken(result, pattern)
  assert.is_truthy(result.last, result.out .. result.err)
  assert.is_false(result.last.ok)
  assert.is_truthy(result.last.error:find(pattern), result.last.error)
  assert.is_truthy(result.last.error:find("main.lua:1", 1, true), result.last.error)
  assert.are_not.equal("", case.faults(result))
end

describe("pages", function()
  setup(case.start)
  teardown(case.stop)

  describe("by Link", function()
    it("follow absolute and relative links to the end, and count", function()
      local result = walk("nil", {
        ["GET /l?per_page=2"] = { page({ 1, 2 }, link "{base}/l?page=2") },
        ["GET /l?page=2"] = { page({ 3, 4 }, link "/l?page=3") },
        ["GET /l?page=3"] = { page({ 5 }, link "?page=4") },
        ["GET /l?page=4"] = { page { 6 } },
      }, { query = "{ per_page = 2 }" })
      complete(result, { 1, 2, 3, 4, 5, 6 })
      assert.are.equal(4, result.last.pages)
    end)

    it("give the response beside the page", function()
      local result = case.run([[for page, res in client:pages "/l" do coroutine.yield { { id = res.status + #page } } end]],
        { routes = { ["GET /l"] = { page { 1, 2 } } } })
      complete(result, { 202 })
    end)

    it("are inside the body with items, a path or a function", function()
      local routes = { ["GET /l"] = { { json = { data = { list = { { id = 1 } } } }, headers = link "/m" } },
        ["GET /m"] = { { json = { data = { list = { { id = 2 } } } } } } }
      complete(walk("{ items = 'data.list' }", routes), { 1, 2 })
      complete(walk("{ items = function(body) return body.data.list end }", routes), { 1, 2 })
    end)

    it("send credentials to their own origin only", function()
      local result = walk("nil", { ["GET /l"] = { page({ 1 }, link(case.other .. "/l")) } },
        { client = "auth = tide.http.bearer 'tok-1'", other = { ["GET /l"] = { page { 2 } } } })
      complete(result, { 1, 2 })
      assert.are.equal("Bearer tok-1", result.log[1].headers.authorization)
      assert.is_nil(result.other_log[1].headers.authorization)
    end)

    it("send a credential of the query once, though the link carries it already", function()
      local result = walk("nil", { ["GET /l?k=key-12"] = { page({ 1 }, link "/l?k=key-12&p=2") },
        ["GET /l?k=key-12&p=2"] = { page { 2 } } }, { client = "auth = tide.http.query('k', 'key-12')" })
      complete(result, { 1, 2 })
    end)

    it("ask an empty page in the chain again, and go on when it was a hiccup", function()
      local result = walk("nil", { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { page({}, link "/n"), page({ 2 }, link "/n") },
        ["GET /n"] = { EMPTY, page { 3 } } })
      complete(result, { 1, 2, 3 })
      assert.are.equal(5, #result.log)
    end)

    it("that are empty and carry a next link are an error, after they were asked twice", function()
      local result = walk("nil", { ["GET /l"] = { page({}, link "/m") }, ["GET /m"] = { page { 2 } } })
      broken(result, "page 1 is empty, twice, though more pages follow it")
      assert.are.equal(2, #result.log)
    end)

    it("that are empty and were reached through a link are an error, also as the last", function()
      local result = walk("nil", { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { EMPTY } })
      broken(result, "page 2 is empty, twice, though the page before it led to it")
      assert.are.same({ 1 }, case.items(result))
    end)

    it("ask an empty first page once more before it counts as an empty list", function()
      local result = walk("nil", { ["GET /l"] = { EMPTY } })
      complete(result, {})
      assert.are.equal(2, #result.log)
      complete(walk("nil", { ["GET /l"] = { EMPTY, page { 1 } } }), { 1 })
    end)

    it("trust an empty first page with confirm_empty = false, and none in the chain", function()
      local result = walk("{ confirm_empty = false }", { ["GET /l"] = { EMPTY } })
      complete(result, {})
      assert.are.equal(1, #result.log)
      broken(walk("{ confirm_empty = false }", { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { EMPTY } }), "is empty")
    end)

    it("take a 204 for an empty page", function()
      complete(walk("nil", { ["GET /l"] = { { status = 204 } } }), {})
    end)

    it("that lead back to one that was read are an error", function()
      local result = walk("nil", { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { page({ 2 }, link "/l") } })
      broken(result, "leads back")
      assert.are.same({ 1, 2 }, case.items(result))
    end)

    it("that lead to themselves are an error", function()
      local result = walk("nil", { ["GET /l"] = { page({ 1 }, link "/l") } })
      broken(result, "leads back")
      assert.are.equal(1, #result.log)
    end)

    it("end with an error at max_pages", function()
      local routes = { ["GET /l"] = { page({ 0 }, link "/1") } }
      for i = 1, 5 do
        routes["GET /" .. i] = { page({ i }, link("/" .. i + 1)) }
      end
      broken(walk("{ max_pages = 3 }", routes), "more than 3 pages")
    end)

    it("that fail in the middle end with the request's error", function()
      local result = walk("nil", { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { { status = 500 } } })
      broken(result, "^GET [^\n]*/m: HTTP 500")
    end)

    it("that are garbage, truncated JSON or of another kind are asked again, then an error", function()
      local headers = { ["content-type"] = "application/json" }
      for _, bad in ipairs { { text = "<html>" }, { text = '[{"id":', headers = headers }, { json = { message = "busy" } }, { text = "", headers = headers } } do
        complete(walk("nil", { ["GET /l"] = { bad, page { 1 } } }), { 1 })
        broken(walk("nil", { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { bad } }), "/m: ")
      end
    end)

    it("without the list where items says it is are asked again, then an error that names the path", function()
      complete(walk("{ items = 'data' }", { ["GET /l"] = { { json = { oops = 1 } }, { json = { data = { { id = 1 } } } } } }), { 1 })
      broken(walk("{ items = 'data' }", { ["GET /l"] = { { json = { oops = 1 } } } }), 'no list at "data": null')
    end)

    it("are no list at all where accept says so, which is no fault", function()
      local result = walk("{ accept = { 404 } }", {})
      complete(result, {})
    end)

    it("with an accepted status in the middle are an error", function()
      broken(walk("{ accept = { 404 } }", { ["GET /l"] = { page({ 1 }, link "/gone") } }), "HTTP 404 on page 2")
    end)
  end)

  describe("by number", function()
    local function numbered(list)
      local routes = {}
      for i, ids in ipairs(list) do
        routes["GET /l?page=" .. i] = { ids.json and ids or ids.text and ids or page(ids) }
      end
      return routes
    end

    it("end at an empty page that was asked twice; short pages are no end", function()
      local result = walk("{ style = 'page' }", numbered { { 1, 2 }, { 3 }, { 4, 5 }, {} })
      complete(result, { 1, 2, 3, 4, 5 })
      assert.are.equal(5, #result.log)
    end)

    it("go on when the empty page was a hiccup", function()
      local routes = numbered { { 1 }, { 2 }, {} }
      routes["GET /l?page=2"] = { EMPTY, page { 2 } }
      complete(walk("{ style = 'page' }", routes), { 1, 2 })
    end)

    it("trust the first empty page with confirm_empty = false", function()
      local result = walk("{ style = 'page', confirm_empty = false }", numbered { { 1 }, {} })
      complete(result, { 1 })
      assert.are.equal(2, #result.log)
    end)

    it("start where and are called and sized as the options say", function()
      local result = walk("{ style = 'page', param = 'p', start = 0, size = 2, size_param = 'n' }",
        { ["GET /l?n=2&p=0&x=1"] = { page { 1 } }, ["GET /l?n=2&p=1&x=1"] = { EMPTY } }, { query = "{ x = 1 }" })
      complete(result, { 1 })
    end)

    it("that repeat the one before are an error: the API does not know the parameter", function()
      local result = walk("{ style = 'page' }", numbered { { 1, 2 }, { 1, 2 } })
      broken(result, "page 2 repeats the one before it")
      assert.are.same({ 1, 2 }, case.items(result))
    end)

    it("end at the total that the body names", function()
      local routes = { ["GET /l?page=1"] = { { json = { n = { total = 2 }, list = { { id = 1 } } } } },
        ["GET /l?page=2"] = { { json = { n = { total = 2 }, list = { { id = 2 } } } } } }
      local options = "{ style = 'page', items = 'list', total_pages = 'n.total' }"
      local result = walk(options, routes)
      complete(result, { 1, 2 })
      assert.are.equal(2, #result.log)
      complete(walk("{ style = 'page', items = 'list', total_pages = function(body) return body.n.total end }", routes), { 1, 2 })
    end)

    it("that are empty before the total are asked again, then an error", function()
      local empty = { text = '{"total":3,"list":[]}', headers = { ["content-type"] = "application/json" } }
      local routes = { ["GET /l?page=1"] = { { json = { total = 3, list = { { id = 1 } } } } }, ["GET /l?page=2"] = { empty } }
      broken(walk("{ style = 'page', items = 'list', total_pages = 'total' }", routes), "page 2 is empty, twice")
    end)

    it("of a total of 0 are asked once more", function()
      local empty = { text = '{"total":0,"list":[]}', headers = { ["content-type"] = "application/json" } }
      local result = walk("{ style = 'page', items = 'list', total_pages = 'total' }", { ["GET /l?page=1"] = { empty } })
      complete(result, {})
      assert.are.equal(2, #result.log)
    end)

    it("without the total that the options promise are an error", function()
      broken(walk("{ style = 'page', items = 'list', total_pages = 'total' }",
        { ["GET /l?page=1"] = { { json = { list = { { id = 1 } } } } } }), "total_pages is null")
    end)
  end)

  describe("by cursor", function()
    local OPTIONS = "{ style = 'cursor', param = 'c', items = 'list', next = 'meta.next' }"

    local function at(id, cursor)
      return { json = { list = { { id = id } }, meta = { next = cursor } } }
    end

    local function empty(cursor)
      return { text = ('{"list":[],"meta":{"next":%s}}'):format(cursor), headers = { ["content-type"] = "application/json" } }
    end

    it("end where the body has no cursor, whatever stands in its place", function()
      for _, last in ipairs { "null", '""', "false" } do
        local tail = { text = ('{"list":[{"id":3}],"meta":{"next":%s}}'):format(last), headers = { ["content-type"] = "application/json" } }
        complete(walk(OPTIONS, { ["GET /l?x=1"] = { at(1, "a/b") }, ["GET /l?c=a%2Fb&x=1"] = { at(2, 17) },
          ["GET /l?c=17&x=1"] = { tail } }, { query = "{ x = 1 }" }), { 1, 2, 3 })
      end
    end)

    it("take it from a function", function()
      complete(walk("{ style = 'cursor', param = 'c', next = function(_, res) return res.headers['X-Next'] end }",
        { ["GET /l"] = { page({ 1 }, { ["X-Next"] = "q" }) }, ["GET /l?c=q"] = { page { 2 } } }), { 1, 2 })
    end)

    it("that repeat a cursor are an error", function()
      broken(walk(OPTIONS, { ["GET /l"] = { at(1, "a") }, ["GET /l?c=a"] = { at(2, "b") }, ["GET /l?c=b"] = { at(3, "a") } }), "leads back")
    end)

    it("that are empty and have a cursor, or were reached by one, are an error after they were asked twice", function()
      broken(walk(OPTIONS, { ["GET /l"] = { empty '"a"' } }), "page 1 is empty, twice, though more pages follow it")
      broken(walk(OPTIONS, { ["GET /l"] = { at(1, "a") }, ["GET /l?c=a"] = { empty "null" } }), "page 2 is empty, twice")
      complete(walk(OPTIONS, { ["GET /l"] = { at(1, "a") }, ["GET /l?c=a"] = { empty "null", at(2) } }), { 1, 2 })
      complete(walk(OPTIONS, { ["GET /l"] = { empty "null" } }), {})
    end)

    it("whose cursor is an object are an error", function()
      broken(walk(OPTIONS, { ["GET /l"] = { { json = { list = { { id = 1 } }, meta = { next = { a = 1 } } } } } }), "cursor is a object")
    end)
  end)

  describe("left before their end", function()
    local routes = { ["GET /l"] = { page({ 1 }, link "/m") }, ["GET /m"] = { page { 2 } } }

    local function run(body, more)
      more = more or {}
      more.routes = more.routes or routes
      local result = case.run(body, more)
      assert.is_truthy(result.last, result.out .. result.err)
      return result
    end

    it("by break withhold deletes (architecture 3.3)", function()
      local result = run [[for page in client:pages "/l" do break end]]
      assert.is_true(result.last.ok)
      assert.is_truthy(case.faults(result):find "page chain was left after 1 page")
      assert.are.equal(1, #result.last.faults)
    end)

    it("by stop() and break withhold nothing", function()
      local result = run [[local pages = client:pages "/l" for page in pages do pages:stop() break end]]
      assert.is_true(result.last.ok)
      assert.are.equal("", case.faults(result))
      result = run [[local pages = client:pages "/l" for page in pages do coroutine.yield(page) pages:stop() end]]
      complete(result, { 1 })
    end)

    it("by break without the loop's fourth value withhold when the handler ends", function()
      local result = run [[local pages = client:pages "/l" for page in pages do break end]]
      assert.is_truthy(case.faults(result):find "still open at the end")
      assert.are.equal(1, #result.last.faults)
    end)

    it("by a generator that nobody reads on withhold", function()
      local result = run [[
        local items = coroutine.wrap(function() for page in client:pages "/l" do for _, item in ipairs(page) do coroutine.yield(item) end end end)
        coroutine.yield { items() }]]
      assert.are.same({ 1 }, case.items(result))
      assert.is_truthy(case.faults(result):find "still open at the end")
    end)

    it("in a scope are that scope's fault", function()
      local result = run [[
        ctx:scope("one", function() local pages = client:pages "/l" pages() end)
        ctx:scope("two", function() for page in client:pages "/l" do end end)]]
      assert.are.equal(1, #result.last.faults)
      assert.are.equal("one", result.last.faults[1][1])
    end)

    it("by an error in the loop withhold though it is swallowed", function()
      local result = run [[pcall(function() for page in client:pages "/l" do error "x" end end)]]
      assert.is_true(result.last.ok)
      assert.is_truthy(case.faults(result):find "page chain was left")
    end)

    it("by cancelling withhold", function()
      local result = run([[for page in client:pages "/l" do tide.sleep(60) end]], { args = { "--cancel-ms", "300" } })
      assert.is_true(result.last.canceled)
      assert.is_truthy(case.faults(result):find "page chain was left")
    end)

    it("before they began withhold nothing", function()
      local result = run [[local _ = client:pages "/l"]]
      assert.are.equal("", case.faults(result))
      assert.are.equal(0, #result.log)
    end)

    it("at a page that failed, and swallowed, are one fault of the request", function()
      local result = run([[local good, err = pcall(function() for page in client:pages "/l" do end end)
        coroutine.yield { { says = err.status } }]], { routes = { ["GET /l"] = { { status = 500 } } } })
      assert.are.equal(500, case.says(result))
      assert.are.equal(1, #result.last.faults)
    end)
  end)

  it("give nothing more after their end", function()
    local result = case.run([[local pages = client:pages "/l" local n = #pages() coroutine.yield { { says = { n, pages() == nil, pages() == nil, tostring(pages):match "%((.*)%)" } } }]],
      { routes = { ["GET /l"] = { page { 1 } } } })
    assert.are.same({ 1, true, true, "done, 1 read" }, case.says(result))
  end)

  it("are read by one task at a time", function()
    local result = case.run([[
      local pages = client:pages "/l"
      local a = tide.async.spawn(function() return pages() end)
      local b = tide.async.spawn(function() return pages() end)
      a:await() b:await()]], { routes = { ["GET /l"] = { page { 1 } } } })
    assert.is_truthy(result.last.error:find "another task reads these pages")
  end)

  it("pass on as views without growing: 300 pages of 200 KB in 32 MiB", function()
    local routes = {}
    local items = {}
    for i = 1, 100 do
      items[i] = { id = i, text = ("x"):rep(2000) }
    end
    for i = 1, 3 do
      routes["GET /" .. i] = { { json = items, headers = link("/" .. (i % 3 + 1) .. "?") } }
    end
    local result = case.run([[
      local n = 0
      for i = 1, 300 do
        local pages = client:pages("/" .. i % 3 + 1, nil, { max_pages = 1 })
        n = n + #pages() pages:stop()
      end
      coroutine.yield { { says = n } }]], { routes = routes, args = { "--memory", tostring(32 << 20) }, timeout = 60 })
    assert.is_true(result.last.ok, result.last.error)
    assert.are.equal(30000, case.says(result))
  end)

  describe("refuse", function()
    local refused = {
      { "an unknown option", "{ stile = 'link' }", 'did you mean "style"' },
      { "an unknown style", "{ style = 'lnk' }", 'did you mean "link"' },
      { "a style that is later work", "{ style = 'offset' }", "not in this version" },
      { "a cursor without its place", "{ style = 'cursor', param = 'c' }", "needs param" },
      { "an option of another style", "{ next = 'a' }", 'option next belongs to style "cursor"' },
      { "a ceiling of nothing", "{ max_pages = 0 }", "max_pages is an integer" },
      { "raw", "{ raw = true }", "raw is not possible" },
    }
    for _, row in ipairs(refused) do
      it(row[1], function()
        local result = walk(row[2], {})
        assert.is_false(result.last.ok)
        assert.is_truthy(result.last.error:find("^main.lua:1: http.pages: .*" .. row[3]), result.last.error)
        assert.are.equal(0, #result.log)
      end)
    end
  end)
end)
