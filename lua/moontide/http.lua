-- tide.http: clients of third-party APIs. A client is settings; what a request does (retries, admission, origin
-- rule, JSON) is in runtime/script/http.c and runtime/net. Times are seconds here and milliseconds below.
local core = ...
local flight = require "moontide.flight"
local options = require "moontide.options"
local paginate = require "moontide.paginate"

local http = {}

local DEFAULTS = { max_retries = 8, base_ms = 250, cap_ms = 20000, deadline = 60000, concurrency = 10 }
local MAX_ADMISSIONS = 256

-- Credentials
-- ----------------------------------------------------------------------------------------------------------

local Auth = { __name = "moontide.auth", __metatable = "moontide.auth" }
local auths = setmetatable({}, { __mode = "k" })

function Auth.__tostring(auth)
  return ("credential (%s %s)"):format(auths[auth].kind, auths[auth].name or "")
end

local function auth(what, fields)
  if fields.value ~= nil and type(fields.value) ~= "string" and not core.is_secret(fields.value) then
    error(("%s: a string or a secret, got a %s"):format(what, type(fields.value)), 3)
  end
  local made = setmetatable({}, Auth)
  auths[made] = fields
  return made
end

local function is_empty(value)
  return value == nil or value == "" or value == core.json.null or (core.is_secret(value) and value == core.secret "")
end

--- `Authorization: Bearer …`; nil or an empty token sends nothing.
function http.bearer(token)
  if is_empty(token) then
    return auth("http.bearer", { kind = "none" })
  end
  auth("http.bearer", { value = token })
  return auth("http.bearer", { kind = "header", name = "Authorization", value = "Bearer " .. core.secret(token) })
end

--- `Authorization: Basic …` (RFC 7617); a nil password is an empty one, a nil user sends nothing.
function http.basic(user, password)
  if is_empty(user) then
    return auth("http.basic", { kind = "none" })
  end
  auth("http.basic", { value = user })
  auth("http.basic", { value = password })
  local both = core.secret(user .. ":" .. core.secret(password or ""))
  local encoded = core.secret(core.base64_encode(both))
  return auth("http.basic", { kind = "header", name = "Authorization", value = "Basic " .. encoded })
end

local function named(what, kind, name, value)
  if type(name) ~= "string" or name == "" then
    error(("http.%s: the first argument is a name"):format(what), 2)
  end
  if is_empty(value) then
    return auth("http." .. what, { kind = "none" })
  end
  auth("http." .. what, { value = value })
  return auth("http." .. what, { kind = kind, name = name, value = core.secret(value) })
end

--- A credential in a header of another name; nil sends nothing.
function http.header(name, value)
  return named("header", "header", name, value)
end

--- A credential in the query; nil sends nothing.
function http.query(name, value)
  return named("query", "query", name, value)
end

-- Flat lists of names and values for the core
-- -----------------------------------------------------------------------------

local function sorted_names(t, what, level)
  local names = {}
  for name in pairs(t) do
    if type(name) ~= "string" then
      error(("%s: names are strings, got a %s"):format(what, type(name)), level + 1)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function text_of(value, what, name, level)
  local kind = math.type(value)
  if kind == "integer" then
    return ("%d"):format(value)
  elseif kind == "float" then
    if value ~= value or value == math.huge or value == -math.huge then
      error(("%s: %s is not a finite number"):format(what, name), level + 1)
    end
    return math.tointeger(value) and ("%d"):format(value) or ("%.14g"):format(value)
  elseif type(value) == "boolean" then
    return tostring(value)
  elseif type(value) == "string" or core.is_secret(value) then
    return value
  end
  error(("%s: %s is a %s; strings, numbers, booleans, secrets and lists of them are possible")
    :format(what, name, core.json.kind(value) or type(value)), level + 1)
end

local function is_container(value)
  return type(value) == "table" or (type(value) == "userdata" and core.json.kind(value) ~= nil
    and value ~= core.json.null and not core.is_secret(value))
end

local function flat_query(query, level)
  local flat = {}
  for _, name in ipairs(sorted_names(query, "query", level + 1)) do
    local value = query[name]
    if is_container(value) and core.json.kind(value) == "array" then
      for _, element in ipairs(value) do
        flat[#flat + 1] = name
        flat[#flat + 1] = text_of(element, "query", name, level + 1)
      end
    else
      flat[#flat + 1] = name
      flat[#flat + 1] = text_of(value, "query", name, level + 1)
    end
  end
  return flat
end

local function flat_headers(headers, level)
  local flat = {}
  for _, name in ipairs(sorted_names(headers, "headers", level + 1)) do
    flat[#flat + 1] = name
    flat[#flat + 1] = text_of(headers[name], "headers", name, level + 1)
  end
  return flat
end

-- Retries and admission
-- -----------------------------------------------------------------------------------------------------

local RETRIES = { max = "number", base = "number", cap = "number", statuses = "table", announced_cap = "number" }

local function read_retries(value, level)
  local what = "http.client: retries"
  if value == nil then
    return {}
  end
  if type(value) == "number" then
    value = { max = value }
  end
  options.check(what, value, RETRIES, level + 1)
  for _, status in ipairs(value.statuses or {}) do
    options.integer(what, "statuses", status, 400, 599, level + 1)
  end
  return {
    max_retries = options.integer(what, "max", value.max, 0, 1000, level + 1),
    base_ms = options.milliseconds(what, "base", value.base, level + 1),
    cap_ms = options.milliseconds(what, "cap", value.cap, level + 1),
    announced_cap_ms = options.milliseconds(what, "announced_cap", value.announced_cap, level + 1),
    statuses = value.statuses,
  }
end

-- One gate for all clients of a host with the same settings, for as long as the bundle is loaded: a client that a
-- handler makes anew finds the same tokens and the window that the server closed.
local admissions, admission_count = {}, 0

local function admission(origin, client)
  local key = ("%s %d %.6g"):format(origin, client.concurrency, client.rate_limit)
  local found = admissions[key]
  if not found then
    if admission_count >= MAX_ADMISSIONS then
      admissions, admission_count = {}, 0
    end
    found = core.http_admission(key, client.concurrency, client.rate_limit)
    admissions[key] = found
    admission_count = admission_count + 1
  end
  return found
end

-- The client
-- ----------------------------------------------------------------------------------------------------------------

local CLIENT = {
  base_url = "string", headers = "table", auth = "table", timeout = "number", retries = "number table",
  rate_limit = "number", concurrency = "number", max_body = "number", deadline = "number",
}

local REQUEST = {
  headers = "table", accept = "table", retry = "boolean", timeout = "number", deadline = "number", expect = "string",
  json = "boolean", raw = "boolean",
}

local WHOLE = { method = "string", path = "string", url = "string", query = true, body = true }
for name, kind in pairs(REQUEST) do
  WHOLE[name] = kind
end

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true, OPTIONS = true }

local Client = {}
local settings = setmetatable({}, { __mode = "k" }) -- client → what it was made with

local function absolute(client, path, level)
  if path == nil then
    path = ""
  elseif type(path) ~= "string" then
    error(("http: a path is a string, got a %s"):format(core.is_secret(path) and "secret" or type(path)), level + 1)
  end
  if path:find "^%a[%w+.-]*://" then
    return path
  end
  if not client.base_url then
    error(('http: "%s" is no absolute URL, and the client has no base_url'):format(path:sub(1, 200)), level + 1)
  end
  if path == "" or path:sub(1, 1) == "?" then
    return client.base_url .. path
  end
  return client.base_url .. "/" .. path:gsub("^/", "")
end

-- level: 1 in functions that are left by a tail call into send, which takes their place on the stack.
--
-- An error that is raised inside a request has left it without an answer: the data is missing, whether the script
-- swallows it or not.
local Raised = {
  __close = function(guard, err)
    if err ~= nil and not guard.answered then
      flight.fault(("%s %s: %s"):format(guard.method, guard.shown, tostring(err)))
    end
  end,
}

local function send(client, method, path, query, body, opts, what, level)
  level = level + 1
  local guard <close> = setmetatable({ method = method, shown = "" }, Raised)
  opts = options.check(what, opts, REQUEST, level)
  local url = absolute(client, path, level)
  guard.shown = core.url_redact(url)
  local flat
  if type(query) == "string" then
    if query ~= "" then
      url = url .. (url:find("?", 1, true) and "&" or "?") .. query:gsub("^%?", "")
    end
  elseif query ~= nil then
    if not is_container(query) then
      error(("%s: query is a table or a string, got a %s"):format(what, type(query)), level)
    end
    flat = flat_query(query, level)
  end
  if body ~= nil and type(body) ~= "string" and not core.is_secret(body) and not is_container(body) then
    error(("%s: a body is a string, a table, a view or a secret, got a %s"):format(what, type(body)), level)
  end
  if opts.expect ~= nil and opts.expect ~= "object" and opts.expect ~= "array" then
    error(('%s: expect is "object" or "array"'):format(what), level)
  end
  if opts.raw and (opts.json or opts.expect) then
    error(("%s: raw and %s exclude each other"):format(what, opts.json and "json" or "expect"), level)
  end
  for _, status in ipairs(opts.accept or {}) do
    options.integer(what, "a status of accept", status, 100, 599, level)
  end
  local origin = core.url_origin(url)
  if not origin then
    error(('%s: "%s" is no http or https URL%s'):format(what, guard.shown,
      what == "http.pages" and " (a next page's address is the API's)" or ""), level)
  end
  local res, err = core.http_send {
    method = method, url = url, origin = client.origin, query = flat, body = body,
    auth_query = client.auth_query, auth_headers = client.auth_headers, client_headers = client.headers,
    headers = opts.headers and flat_headers(opts.headers, level),
    accept = opts.accept, expect = opts.expect, json = opts.json, raw = opts.raw, retry = opts.retry,
    timeout = options.milliseconds(what, "timeout", opts.timeout, level) or client.timeout,
    deadline = options.milliseconds(what, "deadline", opts.deadline, level) or client.deadline,
    max_body = client.max_body, max_retries = client.max_retries, base_ms = client.base_ms, cap_ms = client.cap_ms,
    announced_cap_ms = client.announced_cap_ms, statuses = client.statuses, admission = admission(origin, client),
  }
  guard.answered = true
  return res, err
end

local function self_of(client, what, level)
  local own = settings[client]
  if not own then
    error(("%s: call it with a colon, on a client: client:%s(…)"):format(what, what:match "[%w_]+$"), level + 1)
  end
  return own
end

local MAX_LED = 100000

local function is_empty_list(res)
  return res.status == 200 and (res.headers["content-type"] or ""):find("json", 1, true)
    and core.json.kind(res:json()) == "array" and #res:json() == 0
end

-- Who walks by hand from Link to Link gets what :pages does for others: an empty list that carries a next link, or that
-- one led to, is asked for again and is then an error, for an API under load must not look like the end (architecture
-- 3.6).
local function send_get(own, path, query, opts, what)
  local res, err
  for attempt = 1, 2 do
    res, err = send(own, "GET", path, query, nil, opts, what, 2)
    if not res or (opts and (opts.raw or opts.json == false)) then
      return res, err
    end
    local next_url = core.response_link(res, "next")
    local doubtful = (next_url or own.led[core.fingerprint(res.url)]) and is_empty_list(res)
    if next_url then
      own.led_count = own.led_count + 1
      if own.led_count > MAX_LED then
        own.led, own.led_count = {}, 1
      end
      own.led[core.fingerprint(next_url)] = true
    end
    if not doubtful then
      return res
    elseif attempt == 1 then
      core.sleep(own.base_ms / 1000)
    end
  end
  err = core.data_error("the page is empty, twice, though a next link leads to it or on from it", "GET",
    core.url_redact(res.url))
  flight.fault(tostring(err))
  return nil, err
end

--- client:get(path, query, opts) → res, or nil, err
function Client.get(client, path, query, opts)
  return send_get(self_of(client, "http.get", 2), path, query, opts, "http.get")
end

local function with_body(name, method)
  local what = "http." .. name
  Client[name] = function(client, path, body, opts)
    return send(self_of(client, what, 2), method, path, nil, body, opts, what, 1)
  end
end
with_body("post", "POST")
with_body("put", "PUT")
with_body("patch", "PATCH")
with_body("delete", "DELETE")

--- client:request{method=, path= or url=, query=, body=, …the options of the others}
function Client.request(client, request)
  local own = self_of(client, "http.request", 2)
  if type(request) ~= "table" then
    error(("http.request: one table, got a %s"):format(type(request)), 2)
  end
  options.check("http.request", request, WHOLE, 2)
  local method = (request.method or "GET"):upper()
  if not METHODS[method] then
    error(('http.request: method "%s" is not possible'):format(method:sub(1, 20)), 2)
  end
  if request.path and request.url then
    error("http.request: path or url, not both", 2)
  end
  local opts = {}
  for name in pairs(REQUEST) do
    opts[name] = request[name]
  end
  return send(own, method, request.path or request.url, request.query, request.body, opts, "http.request", 1)
end

--- for page, res in client:pages(path, query, opts) do … end
function Client.pages(client, path, query, opts)
  local own = self_of(client, "http.pages", 2)
  return paginate.new(REQUEST, function(to, parameters, request)
    return send(own, "GET", to, parameters, nil, request, "http.pages", 4)
  end, own.base_ms / 1000, path, query, opts, 1)
end

function Client.graphql()
  error("http.graphql is not in this version of moontide: use client:post(path, {query = …}, {retry = true})", 2)
end

local names = { "get", "post", "put", "patch", "delete", "request", "pages" }
local ClientType = {
  __name = "moontide.client",
  __metatable = "moontide.client",
  __index = function(_, name)
    local method = Client[name]
    if not method then
      error(('a client has no "%s": %s'):format(tostring(name), options.advice(name, names)), 2)
    end
    return method
  end,
  __newindex = function()
    error("a client is read-only", 2)
  end,
  __tostring = function(client)
    return ("client of %s"):format(settings[client].base_url or "any URL")
  end,
}

local function read_auth(own, value, level)
  local list = auths[value] and { value } or value
  own.auth_headers, own.auth_query = {}, {}
  for _, one in ipairs(list) do
    local fields = auths[one]
    if not fields then
      error("http.client: auth is what http.bearer, basic, header or query gives, or a list of them", level + 1)
    end
    local flat = fields.kind == "header" and own.auth_headers or fields.kind == "query" and own.auth_query
    if flat then
      flat[#flat + 1] = fields.name
      flat[#flat + 1] = fields.value
    end
  end
  if #list == 0 and next(list) ~= nil then
    error("http.client: auth is what http.bearer, basic, header or query gives, or a list of them", level + 1)
  end
  return #own.auth_headers + #own.auth_query > 0
end

--- tide.http.client{base_url, headers, auth, timeout, retries, rate_limit, concurrency, max_body, deadline}
function http.client(opts)
  local what = "http.client"
  if type(opts) ~= "table" then
    error(("%s: one table of options, got a %s"):format(what, type(opts)), 2)
  end
  if core.is_secret(opts.base_url) then
    error("http.client: base_url is a secret; mark only the credential as sensitive", 2)
  end
  options.check(what, opts, CLIENT, 2)
  local own = read_retries(opts.retries, 2)
  own.max_retries = own.max_retries or DEFAULTS.max_retries
  own.base_ms = own.base_ms or DEFAULTS.base_ms
  own.cap_ms = math.max(own.cap_ms or DEFAULTS.cap_ms, own.base_ms)
  own.timeout = options.milliseconds(what, "timeout", opts.timeout, 2)
  own.deadline = options.milliseconds(what, "deadline", opts.deadline, 2) or DEFAULTS.deadline
  own.concurrency = options.integer(what, "concurrency", opts.concurrency, 1, 1000, 2) or DEFAULTS.concurrency
  own.max_body = options.integer(what, "max_body", opts.max_body, 1, 1 << 40, 2)
  own.rate_limit = opts.rate_limit or 0
  own.led, own.led_count = {}, 0 -- fingerprints of the next links that answers named
  if opts.rate_limit and not (opts.rate_limit > 0 and opts.rate_limit < 1e6) then
    error("http.client: rate_limit is a number of requests a second above 0", 2)
  end
  own.headers = opts.headers and flat_headers(opts.headers, 2)
  if opts.base_url then
    own.origin = core.url_origin(opts.base_url)
    if not own.origin then
      error(('http.client: base_url "%s" is no http or https URL'):format(core.url_redact(opts.base_url)), 2)
    end
    if opts.base_url:find "[?#]" then
      error("http.client: base_url has a query or a fragment; auth = http.query(name, value) sends a parameter", 2)
    end
    own.base_url = opts.base_url:gsub("/+$", "")
  end
  local secret = opts.auth and read_auth(own, opts.auth, 2)
  for _, value in ipairs(own.headers or {}) do
    secret = secret or core.is_secret(value)
  end
  if secret and not own.base_url then
    error("http.client: credentials need a base_url: they go to its origin only", 2)
  end
  local client = setmetatable({}, ClientType)
  settings[client] = own
  return client
end

return http
