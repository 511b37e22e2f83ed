-- Run by `moontide test .`, offline. It is busted (https://lunarmodules.github.io/busted): describe, it, assert.
local test = require "moontide.test"

describe("Bookshop, as it was recorded", function()
  local bundle
  before_each(function()
    bundle = test.bundle() -- a fresh Lua state, the defaults of .port/spec.yaml, all of spec/recordings
  end)

  it("reads the authors page by page", function()
    local result = bundle:resync "author"
    assert.is_true(result.ok, result.error)
    assert.equal(2, #result.batches) -- what the handler yielded
    assert.equal(3, #result.entities) -- what the mapping made of it
    local lem = result:entity "2"
    assert.equal("Stanisław Lem", lem.title)
    assert.same({ country = "PL", born = 1921, url = "https://bookshop.example.com/authors/2" }, lem.properties)
  end)

  it("reads the books that are for sale, with their authors", function()
    local result = bundle:resync "book"
    assert.is_true(result.ok, result.error)
    assert.equal(3, #result.entities)
    local solaris = result:entity "9780156027601"
    assert.equal("2", solaris.relations.author)
    assert.equal("https://bookshop.example.com/shelves/science%20fiction", solaris.properties.shelf)
  end)
end)

describe("Bookshop", function()
  local NO_BOOKS = { json = { pages = 1, books = {} } }

  -- Answers may be given in the spec, too. A request that nothing answers fails the spec and is named.
  it("asks for the selector's genre, with the token", function()
    local bundle = test.bundle {
      config = { bookshopToken = "t0ken" },
      answers = { ["GET /books?genre=essay&page=1"] = NO_BOOKS },
    }
    local result = bundle:resync("book", { selector = { genre = "essay" } })
    assert.is_true(result.ok, result.error)
    assert.same({}, result.entities)
    assert.equal("Bearer t0ken", result.requests[1].headers.authorization)
  end)

  it("tries again when the API has a bad moment", function()
    local bundle = test.bundle { answers = { -- a list: one answer after the other; the last one stays
      ["GET /authors?per_page=2"] = { { status = 503 }, { json = { { id = 7, name = "Ada" } } } },
    } }
    local result = bundle:resync "author"
    assert.is_true(result.ok, result.error)
    assert.equal("Ada", result:entity("7").title)
    assert.equal(2, #result.requests) -- nobody waited
  end)

  it("fails when a page is missing, and says which", function()
    local bundle = test.bundle {
      recordings = { "spec/recordings/bookshop.ndjson" },
      answers = { ["GET /books?page=2"] = { status = 403, json = { message = "no" } } }, -- in place of the recorded one
    }
    local result = bundle:resync "book"
    assert.is_false(result.ok)
    assert.matches("/books?page=2", result.error, 1, true)
    assert.equal(2, #result.entities) -- of the first page
  end)
end)
