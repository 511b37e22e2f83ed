-- client:pages: walks over the pages of a list, which know their end and do not take a failure for it (architecture
-- 3.6).
--
-- A chain holds the place of the next page, fingerprints of those it has seen, and no page. It is open from its
-- first request to its end; one that is left open (break, an error in the loop, the end of its handler or scope) is
-- a fault, because the rest of the list was not read, unless stop() says that the rest is not wanted.
local core = ...
local flight = require "moontide.flight"
local options = require "moontide.options"

local paginate = {}

local MAX_PAGES = 100000
local LATER = { offset = true, token = true, next_url = true, relay = true, graphql = true }
local STYLES = { "link", "page", "cursor" }
local OPTIONS = {
  style = "string", items = "string function", max_pages = "number", confirm_empty = "boolean",
  param = "string", start = "number", size = "number", size_param = "string", total_pages = "string function",
  next = "string function",
}
local ONLY = { -- options that belong to one style
  start = "page", size = "page", size_param = "page", total_pages = "page", next = "cursor",
}

local function walk(value, path)
  for name in path:gmatch "[^.]+" do
    if core.json.kind(value) ~= "object" then
      return nil
    end
    value = value[name]
  end
  return value
end

local function pick(how, body, res)
  if type(how) == "function" then
    return how(body, res)
  end
  return walk(body, how)
end

-- Ends the chain with an error: {code = "data", …}, a fault.
local function fail(chain, message)
  chain.state = "failed"
  core.on_scope_end(chain.on_end, false)
  local err = core.data_error(message, "GET", chain.shown)
  flight.fault(tostring(err))
  error(err, 0)
end

local function finish(chain)
  chain.state = "done"
  core.on_scope_end(chain.on_end, false)
  chain.send, chain.query, chain.seen, chain.place = nil, nil, nil, nil
  return nil
end

local function leave(chain, how)
  if chain.state == "open" then
    chain.state = "left"
    flight.fault(("GET %s: the page chain was %s after %d page(s), before its end; "
      .. "pages:stop() says that the rest is not wanted"):format(chain.shown, how, chain.count))
  end
end

-- Have we been there? Fingerprints, so that 100,000 pages cost a few megabytes.
local function mark(chain, place)
  local print = core.fingerprint(place)
  if chain.seen[print] then
    return true
  end
  chain.seen[print] = true
  return false
end

-- The styles: first(chain) sets path and query of the first page; advance(chain, body, res) tells where the next
-- one is: a place, or nil at the end; go(chain, place) makes it the current one. endless: only an empty page can
-- end it.
local styles = {}

styles.link = {
  first = function() end,
  advance = function(chain, _, res)
    if chain.count == 0 then
      mark(chain, res.url)
    end
    return core.response_link(res, "next")
  end,
  go = function(chain, place)
    chain.path, chain.query = place, nil
  end,
}

styles.cursor = {
  first = function() end,
  advance = function(chain, body, res)
    local cursor = pick(chain.opts.next, body, res)
    if cursor == nil or cursor == false or cursor == "" or cursor == core.json.null then
      return nil
    elseif math.type(cursor) == "integer" then
      return ("%d"):format(cursor)
    elseif type(cursor) ~= "string" then
      fail(chain, ("the cursor is a %s, a string or an integer was expected")
        :format(core.json.kind(cursor) or type(cursor)))
    end
    return cursor
  end,
  go = function(chain, place)
    chain.query[chain.opts.param] = place
  end,
}

styles.page = {
  first = function(chain)
    chain.number = chain.opts.start or 1
    chain.query[chain.opts.param or "page"] = chain.number
    if chain.opts.size then
      chain.query[chain.opts.size_param or "per_page"] = chain.opts.size
    end
  end,
  advance = function(chain, body, res)
    if not chain.opts.total_pages then
      return chain.number + 1
    end
    local total = pick(chain.opts.total_pages, body, res)
    if type(total) ~= "number" or not math.tointeger(total) or total < 0 then
      fail(chain, ("total_pages is %s, a number of pages was expected"):format(core.json.kind(total) or type(total)))
    end
    local last = (chain.opts.start or 1) + math.tointeger(total) - 1
    return chain.number < last and chain.number + 1 or nil
  end,
  go = function(chain, place)
    chain.number = place
    chain.query[chain.opts.param or "page"] = place
  end,
}

-- One answer: items (nil: there is no list in it), the next place (or what is there in the list's stead),
-- whether the status was one that the script accepts as "no list".
local function read(chain, style)
  local res, err = chain.send(chain.path, chain.query, chain.request)
  if not res then
    chain.state = "failed"
    core.on_scope_end(chain.on_end, false)
    error(err, 0)
  end
  chain.shown = core.url_redact(res.url)
  if res.status >= 400 then
    return nil, res, nil, true
  end
  local body, items
  if res.status == 204 then
    items = {}
  else
    body = res:json()
    items = body
    if chain.opts.items then
      items = pick(chain.opts.items, body, res)
    end
    local kind = core.json.kind(items)
    if kind ~= "array" then
      return nil, res, kind or type(items), false
    end
  end
  core.pages(1)
  return items, res, res.status ~= 204 and style.advance(chain, body, res) or nil, false
end

local function next_page(chain)
  local style = styles[chain.opts.style]
  if chain.state == "new" then
    chain.state = "open"
    core.on_scope_end(chain.on_end)
    style.first(chain)
  elseif chain.place == nil then
    return finish(chain)
  else
    if chain.count >= chain.max_pages then
      fail(chain, ("more than %d pages: max_pages is the ceiling"):format(chain.max_pages))
    end
    if chain.opts.style ~= "page" and mark(chain, chain.place) then
      fail(chain, ("page %d leads back to one that was read already"):format(chain.count))
    end
    style.go(chain, chain.place)
  end
  local counted = chain.opts.style == "page" and not chain.opts.total_pages -- no end marker
  for attempt = 1, 2 do
    local items, res, place, accepted = read(chain, style)
    if accepted then
      if chain.count > 0 then
        fail(chain, ("HTTP %d on page %d: accept is for a list that is not there at all")
          :format(res.status, chain.count + 1))
      end
      return finish(chain)
    elseif not items then
      if attempt == 2 then
        fail(chain, ("there is no list %s: %s"):format(chain.opts.items and type(chain.opts.items) == "string"
          and ('at "%s"'):format(chain.opts.items) or "in the body", place))
      end
      core.sleep(chain.pause)
    elseif #items > 0 then
      if chain.opts.style == "page" then
        local digest = core.digest(items)
        if digest == chain.digest then
          fail(chain, ("page %d repeats the one before it"):format(chain.number))
        end
        chain.digest = digest
      end
      chain.count, chain.place = chain.count + 1, place
      return items, res
    elseif not counted and (chain.count > 0 or place ~= nil) then
      if attempt == 2 then
        fail(chain, ("page %d is empty, twice, though %s"):format(chain.count + 1,
          place ~= nil and "more pages follow it" or "the page before it led to it"))
      end
      core.sleep(chain.pause)
    elseif attempt == 2 or chain.opts.confirm_empty == false then
      return finish(chain)
    end
  end
end

local Chain = { __name = "moontide.pages", __metatable = "moontide.pages" }
local methods = {}
local inside = setmetatable({}, { __mode = "k" }) -- chain object → its state

Chain.__index = function(_, name)
  local method = methods[name]
  if not method then
    error(('pages have no "%s": %s'):format(tostring(name), options.advice(name, { "stop" })), 2)
  end
  return method
end

Chain.__newindex = function()
  error("pages are read-only", 2)
end

-- The step has failed or was cancelled half-way: the chain stays open unless it was told otherwise.
local Busy = {
  __close = function(guard)
    guard.chain.busy = false
  end,
}

function Chain.__call(object)
  local chain = inside[object]
  if chain.busy then
    error("another task reads these pages", 2)
  end
  if chain.state ~= "new" and chain.state ~= "open" then
    return nil
  end
  chain.busy = true
  local _ <close> = setmetatable({ chain = chain }, Busy)
  return next_page(chain)
end

-- The fourth value of the generic for: called after break, an error in the loop, or the end.
function Chain.__close(object)
  local chain = inside[object]
  leave(chain, "left")
  if chain.state == "left" then
    core.on_scope_end(chain.on_end, false)
  end
end

function Chain.__tostring(object)
  local chain = inside[object]
  return ("pages of %s (%s, %d read)"):format(chain.shown, chain.state, chain.count)
end

--- The rest is not wanted: the chain counts as read to its end.
function methods.stop(object)
  local chain = inside[object]
  if not chain then
    error("call it with a colon: pages:stop()", 2)
  end
  if chain.state == "open" then
    finish(chain)
  elseif chain.state == "new" then
    chain.state = "done"
  end
end

local function copy_query(query, style, level)
  if query == nil then
    return {}
  elseif type(query) == "string" then
    if style ~= "link" then
      error(('http.pages: style "%s" needs the query as a table'):format(style), level + 1)
    end
    return query
  elseif type(query) ~= "table" and core.json.kind(query) ~= "object" then
    error(("http.pages: query is a table or a string, got a %s"):format(type(query)), level + 1)
  end
  local copy = {}
  for name, value in pairs(query) do
    copy[name] = value
  end
  return copy
end

local function split(opts, known, level)
  local all = {}
  for name, kind in pairs(known) do
    all[name] = kind
  end
  for name, kind in pairs(OPTIONS) do
    all[name] = kind
  end
  options.check("http.pages", opts, all, level + 1)
  local own, request = {}, {}
  for name, value in pairs(opts or {}) do
    (OPTIONS[name] and own or request)[name] = value
  end
  return own, request
end

--- known: names of the options of a request; send(path, query, opts) → res | nil, err; pause: seconds before a
--- doubtful page is asked for again.
function paginate.new(known, send, pause, path, query, opts, level)
  level = level + 1
  local own, request = split(opts, known, level)
  own.style = own.style or "link"
  if LATER[own.style] then
    error(('http.pages: style "%s" is not in this version of moontide; there are: link, page, cursor')
      :format(own.style), level)
  elseif not styles[own.style] then
    error(('http.pages: unknown style "%s": %s'):format(own.style, options.advice(own.style, STYLES)), level)
  end
  for name, style in pairs(ONLY) do
    if own[name] ~= nil and style ~= own.style then
      error(('http.pages: option %s belongs to style "%s", not "%s"'):format(name, style, own.style), level)
    end
  end
  if own.param ~= nil and own.style == "link" then
    error('http.pages: option param belongs to the styles "page" and "cursor"', level)
  end
  if own.style == "cursor" and (own.param == nil or own.next == nil) then
    error('http.pages: style "cursor" needs param (its name in the query) and next (where it is in the body)', level)
  end
  own.start = options.integer("http.pages", "start", own.start, 0, 1 << 53, level)
  own.size = options.integer("http.pages", "size", own.size, 1, 1000000, level)
  if request.raw then
    error("http.pages: raw is not possible: pages are read as JSON", level)
  end
  if own.items == nil then
    request.expect = request.expect or "array"
  elseif type(own.items) == "string" then
    request.expect = request.expect or "object"
  else
    request.json = true
  end
  local chain = {
    send = send, pause = pause, opts = own, request = request, state = "new", count = 0, seen = {},
    path = path, shown = type(path) == "string" and core.url_redact(path) or tostring(path),
    query = copy_query(query, own.style, level),
    max_pages = options.integer("http.pages", "max_pages", own.max_pages, 1, 1 << 40, level) or MAX_PAGES,
  }
  chain.on_end = function()
    leave(chain, "still open at the end of its handler or scope,")
  end
  local object = setmetatable({}, Chain)
  inside[object] = chain
  return object, nil, nil, object
end

return paginate
