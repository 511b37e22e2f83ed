-- Authors and books of Bookshop, page by page.
--
-- This file registers handlers, one for each kind of .port/resources/port-app-config.yml. Loading it must do no I/O:
-- requests belong into handlers.
local tide = require "moontide"

-- A client is settings; it holds no connection. Values of the configuration come by their names in .port/spec.yaml;
-- those marked sensitive print as *** and go into requests only. bearer(nil) sends nothing.
local function api()
  return tide.http.client {
    base_url = tide.config.bookshopUrl,
    auth = tide.http.bearer(tide.config.bookshopToken),
    concurrency = 4, -- requests at once, whatever the handlers do
  }
end

-- Link headers (rel="next") lead from page to page: the default of :pages, nothing to say but the page's size.
-- Retries, rate limits and the check that the last page was really the last one are in there.
tide.on_resync("author", function()
  for page in api():pages("/authors", { per_page = 2 }) do
    coroutine.yield(page) -- a raw batch, straight to the mapping: no need to copy or trim it
  end
end)

-- Numbered pages: the list is a member of the body, and the body says how many pages there are.
tide.on_resync("book", function(_, ctx)
  local query = { genre = ctx.selector.genre } -- of the selector in the mapping; nil sends nothing
  local pages = api():pages("/books", query, { style = "page", items = "books", total_pages = "pages" })
  for page in pages do
    for _, book in ipairs(page) do
      book.__subject = tide.url.escape(book.genre) -- what the mapping could not work out itself may be added
    end
    coroutine.yield(page)
  end
end)

-- A request that fails for good raises here, the kind counts as failed, and nothing of it is deleted. What you expect
-- to fail belongs into accept:
--
--   local res = assert(api():get("/covers/" .. isbn, nil, { accept = { 404 } }))
--   local cover = res.status ~= 404 and res:json() or nil
--
-- Slow calls for each item run side by side, ten at a time here, in the order of the items:
--
--   tide.async.map(page, 10, function(book) book.__stock = assert(api():get("/stock/" .. book.isbn)):json() end)
