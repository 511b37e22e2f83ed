-- tide.url: putting URLs together and taking them apart (RFC 3986).
local core = ...

local url = {}

--- Percent-encodes a path segment, or a name or value of a query. A secret stays a secret.
function url.escape(text)
  if math.type(text) == "integer" then
    text = ("%d"):format(text)
  end
  if type(text) ~= "string" and not core.is_secret(text) then
    error(("url.escape: a string, got a %s"):format(type(text)), 2)
  end
  return core.url_escape(text)
end

--- The text that was percent-encoded; "+" stays unless `form` is set.
function url.unescape(text, form)
  if type(text) ~= "string" then
    error(("url.unescape: a string, got a %s"):format(type(text)), 2)
  end
  if form then
    text = text:gsub("%+", " ")
  end
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function pair(name, value)
  local text = value
  if math.type(value) == "float" and math.tointeger(value) then
    text = ("%d"):format(value)
  elseif type(value) == "number" or type(value) == "boolean" then
    text = tostring(value)
  elseif type(value) ~= "string" and not core.is_secret(value) then
    error(("url.query: %s is a %s"):format(name, type(value)), 3)
  end
  return core.url_escape(name) .. "=" .. core.url_escape(text)
end

--- { a = 1, b = { "x", "y" } } → "a=1&b=x&b=y", by the order of the names. With a secret in it, it is a secret.
function url.query(parameters)
  if type(parameters) ~= "table" and core.json.kind(parameters) ~= "object" then
    error(("url.query: a table, got a %s"):format(type(parameters)), 2)
  end
  local names = {}
  for name in pairs(parameters) do
    if type(name) ~= "string" then
      error(("url.query: names are strings, got a %s"):format(type(name)), 2)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  local text, joint = "", ""
  for _, name in ipairs(names) do
    local value = parameters[name]
    local list = { value }
    if not core.is_secret(value) and (type(value) == "table" or type(value) == "userdata") then
      list = value
    end
    for _, element in ipairs(list) do
      text = text .. joint .. pair(name, element)
      joint = "&"
    end
  end
  return text
end

--- Joins a base and path segments with one slash each; the segments are escaped: url.join("/repos", owner, name).
function url.join(base, ...)
  if type(base) ~= "string" then
    error(("url.join: a string, got a %s"):format(type(base)), 2)
  end
  local parts = { (base:gsub("/+$", "")) }
  for i = 1, select("#", ...) do
    local segment = select(i, ...)
    if math.type(segment) == "integer" then
      segment = ("%d"):format(segment)
    end
    if type(segment) ~= "string" or segment == "" then
      error(("url.join: segment %d is %s"):format(i, segment == "" and "empty" or "a " .. type(segment)), 2)
    end
    parts[#parts + 1] = core.url_escape(segment)
  end
  return table.concat(parts, "/")
end

--- Resolves a reference against an absolute URL, as a browser does (RFC 3986 section 5); nil and the reason when it
--- cannot.
function url.resolve(base, reference)
  if type(base) ~= "string" or type(reference) ~= "string" then
    error("url.resolve: two strings", 2)
  end
  return core.url_resolve(base, reference)
end

--- "https://h:8443/a?b=c&b=d#e" → { scheme, host, port, path, query = { b = "d" }, raw_query, fragment }; of
--- several values of a name the last is in query. nil for what has no scheme and host.
function url.parse(text)
  if type(text) ~= "string" then
    error(("url.parse: a string, got a %s"):format(type(text)), 2)
  end
  local scheme, rest = text:match "^(%a[%w+.-]*)://(.*)$"
  if not scheme then
    return nil, "not an absolute URL"
  end
  local before, fragment = rest:match "^([^#]*)#(.*)$"
  rest = before or rest
  local head, raw = rest:match "^([^?]*)%?(.*)$"
  head = head or rest
  local authority, path = head:match "^([^/]*)(.*)$"
  authority = authority:gsub("^.*@", "")
  local host, port = authority:match "^(%[[^%]]*%]):?(%d*)$"
  if not host then
    host, port = authority:match "^([^:]*):?(%d*)$"
  end
  if not host or host == "" then
    return nil, "no host in the URL"
  end
  local query = {}
  for part in (raw or ""):gmatch "[^&]+" do
    local name, value = part:match "^([^=]*)=?(.*)$"
    query[url.unescape(name, true)] = url.unescape(value, true)
  end
  return {
    scheme = scheme:lower(), host = host:lower(), port = math.tointeger(tonumber(port)),
    path = path == "" and "/" or path, query = query, raw_query = raw, fragment = fragment,
  }
end

return url
