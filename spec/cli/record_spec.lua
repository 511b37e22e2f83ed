-- moontide record and map --replay: recordings from a real server, and raw items out of recordings (issue 4.4, 4.5).
local support = require "spec.support"

local bundle = support.root .. "/examples/bookshop"
local made_up = bundle .. "/spec/recordings/bookshop.ndjson"
local URL, TOKEN = "MOONTIDE__INTEGRATION__CONFIG__BOOKSHOP_URL", "MOONTIDE__INTEGRATION__CONFIG__BOOKSHOP_TOKEN"

-- The example's recording as a server has it: paths, and Link headers without an origin.
local function serve(change)
  local text = support.read(made_up):gsub("https://bookshop%.example%.com", "")
  return support.recorded(support.write(support.tmpdir() .. "/api.ndjson", change and change(text) or text))
end

local function copy()
  local dir = support.tmpdir() .. "/bookshop"
  os.execute(("cp -r %s %s"):format(bundle, dir))
  return dir
end

describe("moontide record", function()
  local server, dir
  before_each(function()
    dir = copy()
  end)
  after_each(function()
    if server then
      server:stop()
      server = nil
    end
  end)

  local function record(...)
    return support.run({ support.bin, "record", dir, ... }, {
      env = { [URL] = server and server.url or "http://127.0.0.1:1", [TOKEN] = "t0ken-of-ada" },
    })
  end

  it("writes what the API answered, so that the specs run on it, and no secret", function()
    server = serve(function(text)
      return (text:gsub("Solaris", "Solaris t0ken-of-ada"))
    end)
    local result = record()
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("author: 2 answers, 3 items in 2 batches\n", result.out, 1, true)
    assert.matches("book: 2 answers, 4 items in 2 batches\n", result.out, 1, true)
    assert.matches("Look through it before you commit it", result.out, 1, true)
    local text = support.read(dir .. "/spec/recordings/recorded.ndjson")
    assert.equal(4, #support.json.lines(text))
    assert.not_matches("t0ken", text, 1, true)
    assert.equal("Bearer t0ken-of-ada", server.log()[1].headers.authorization)
    os.remove(dir .. "/spec/recordings/bookshop.ndjson")
    support.write(dir .. "/spec/bookshop_spec.lua", [[
      local test = require "moontide.test"
      it("reads what was recorded", function()
        local bundle = test.bundle()
        assert.equal(3, #bundle:resync("author").entities)
        assert.equal(3, #bundle:resync("book").entities)
      end)
    ]])
    result = support.run { support.bin, "test", dir }
    assert.equal(0, result.code, result.out .. result.err)
  end)

  it("records the kinds that are named, up to the limit, into the file that is named", function()
    server = serve()
    local file = support.tmpdir() .. "/deep/some.ndjson"
    local result = record("--kind", "author", "--limit", "2", "-o", file)
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("author: 1 answers, 2 items in 1 batches, cut off by --limit\n", result.out, 1, true)
    assert.not_matches("book:", result.out, 1, true)
    assert.equal(1, #support.json.lines(support.read(file)))
    assert.is_false(support.exists(dir .. "/spec/recordings/recorded.ndjson"))
  end)

  it("reports a kind that failed, keeps what was recorded and exits 1", function()
    server = serve(function(text)
      return (text:gsub('("url": "/books%?page=2", "status": )200', "%1403"))
    end)
    local result = record()
    assert.equal(1, result.code, result.out)
    assert.matches("book: 2 answers, 2 items in 1 batches, FAILED\n", result.out, 1, true)
    assert.matches("kind book: ", result.err, 1, true)
    assert.matches("HTTP 403", result.err, 1, true)
    assert.equal(4, #support.json.lines(support.read(dir .. "/spec/recordings/recorded.ndjson")))
  end)

  it("does not overwrite a recording without --force, and never with nothing", function()
    local file = support.write(dir .. "/spec/recordings/recorded.ndjson", "precious\n")
    local result = record()
    assert.equal(2, result.code)
    assert.matches("exists: --force replaces it", result.err, 1, true)
    support.write(dir .. "/main.lua", 'require "moontide".on_resync("author", function() return {} end)')
    result = record("--force", "--kind", "author")
    assert.equal(1, result.code)
    assert.matches("nothing was recorded", result.err, 1, true)
    assert.equal("precious\n", support.read(file))
    assert.is_false(support.exists(file .. ".part"))
    server = serve()
    support.write(dir .. "/main.lua", support.read(bundle .. "/main.lua"))
    assert.equal(0, record("--force").code)
    assert.equal(4, #support.json.lines(support.read(file)))
  end)

  it("refuses wrong usage, and a place that cannot be written", function()
    for message, words in pairs {
      ["--limit 0: a number of items"] = { "--limit", "0" }, ["takes one bundle, not 2"] = { "more" },
      ['no such kind; it has: author, book'] = { "--kind", "autor" },
    } do
      local result = record(table.unpack(words))
      assert.equal(2, result.code)
      assert.matches(message, result.err, 1, true)
    end
    assert.matches("say where to with -o FILE", support.run({ support.bin, "record", "a.mtb" }).err, 1, true)
    local result = record("-o", "/proc/nowhere/x.ndjson")
    assert.equal(1, result.code)
    assert.matches("/proc/nowhere", result.err, 1, true)
  end)
end)

describe("moontide map --replay", function()
  local function map(...)
    return support.run { support.bin, "map", ... }
  end

  it("maps what the handlers yield from recordings", function()
    local result = map(bundle, "--kind", "book", "--stats", "--replay", made_up)
    assert.equal(0, result.code, result.err)
    local ids = {}
    for i, entity in ipairs(support.json.lines(result.out)) do
      ids[i] = entity.identifier
    end
    assert.same({ "9780441478125", "9780156027601", "9781590172681" }, ids)
    assert.matches("4 items, 3 selected, 3 mapped", result.err, 1, true)
    assert.equal(3, #support.json.lines(map(bundle, "--index", "0", "--replay", made_up).out))
  end)

  it("gives each resource of a kind the items of its own handlers", function()
    local dir = copy()
    local file = dir .. "/.port/resources/port-app-config.yml"
    local text = support.read(file)
    local book = text:sub((text:find("  - kind: book", 1, true)))
    support.write(file, text .. book:gsub("      # genre: essay[^\n]*", "      genre: essay"):gsub("bookshopBook", "bookshopEssay"))
    local essays = support.json.encode {
      method = "GET", url = "/books?genre=essay&page=1", status = 200, headers = { ["content-type"] = "application/json" },
      body = '{"pages":1,"books":[{"isbn":"1","title":"E","author_id":1,"year":1,"price":1,"genre":"essay"}]}',
    }
    local extra = support.write(support.tmpdir() .. "/essays.ndjson", essays .. "\n")
    local result = map(dir, "--kind", "book", "--replay", made_up, extra)
    assert.equal(0, result.code, result.err)
    local count = {}
    for _, entity in ipairs(support.json.lines(result.out)) do
      count[entity.blueprint] = (count[entity.blueprint] or 0) + 1
    end
    assert.same({ bookshopBook = 3, bookshopEssay = 1 }, count)
  end)

  it("names a request that is not recorded, maps what came before, and exits 1", function()
    local part = support.read(made_up):match("^(.-\n.-\n.-\n)")
    local result = map(bundle, "--kind", "book", "--replay", support.write(support.tmpdir() .. "/part.ndjson", part))
    assert.equal(1, result.code)
    assert.equal(2, #support.json.lines(result.out))
    assert.matches("GET /books?page=2", result.err, 1, true)
  end)

  it("refuses recordings that are not there, a FILE beside them and --mapping", function()
    assert.matches("/nonexistent", map(bundle, "--kind", "book", "--replay", "/nonexistent").err, 1, true)
    for _, words in ipairs { { bundle, "-", "--kind", "book" }, { "--mapping", "x.yml", "--kind", "book" } } do
      table.move({ "--replay", made_up }, 1, 2, #words + 1, words)
      local result = map(table.unpack(words))
      assert.equal(2, result.code)
      assert.matches("--replay takes the items from a bundle's handlers", result.err, 1, true)
    end
  end)
end)
