--- What the specs of the resync share: an API to fetch from, a bundle for it, a catalog to write to, and what is in it.
local support = require "spec.support"

local sync = {}

--- A paged API (spec/support/pages.mjs). Gives a process with .url, :put(name, items), :fault(list), :latency(ms, from),
--- :log(), :reset().
function sync.api(...)
  local server = support.spawn { "node", support.root .. "/spec/support/pages.mjs", ... }
  server.url = assert(server.line and server.line:match "listening (%S+)", "pages.mjs did not start")
  local post = function(path, value)
    assert(support.request("POST", server.url .. path, support.json.encode(value)).status == 200)
  end
  local methods = {
    put = function(_, name, items) post("/__data/" .. name, setmetatable(items, { __jsontype = "array" })) end,
    fault = function(_, list) post("/__fault", setmetatable(list, { __jsontype = "array" })) end,
    latency = function(_, ms, from) post("/__latency", { ms, from }) end,
    reset = function() post("/__reset", {}) end,
    log = function() return support.json.decode(support.request("GET", server.url .. "/__log").body) end,
  }
  return setmetatable(methods, { __index = server, __gc = function() server:stop "KILL" end })
end

--- n items, each with an id, a name and a group.
function sync.items(n, from)
  local items = {}
  for i = from or 1, (from or 1) + n - 1 do
    items[#items + 1] = { id = i, name = "item " .. i, group = "g" .. i % 3, url = "https://example.com/" .. i }
  end
  return items
end

sync.blueprints = [[
[{"identifier":"group","title":"Group","schema":{"properties":{"url":{"type":"string"}},"required":[]},"relations":{}},
 {"identifier":"item","title":"Item","schema":{"properties":{"url":{"type":"string"},"label":{"type":"string"}},"required":[]},
  "relations":{"group":{"target":"group","many":false,"required":false}}}]
]]

--- A resource of a mapping, as YAML. options: selector (more lines), identifier, blueprint, properties, extra (lines below port).
function sync.resource(kind, options)
  options = options or {}
  return ([[
  - kind: %s
    selector:
      query: %s
%s    port:
%s      entity:
        mappings:
          identifier: %s
          title: .name
          blueprint: %s
          properties:
            url: .url
]]):format(kind, options.query or "'true'", options.selector or "", options.extra or "", options.identifier or ".id | tostring",
    options.blueprint or "'\"item\"'")
end

sync.mapping = "resources:\n" .. sync.resource "item"

--- A handler that yields every page of /KIND; retries are quick.
sync.main = [[
local tide = require "moontide"
tide.on_resync(function(kind, ctx)
  local api = tide.http.client { base_url = tide.config.apiUrl, timeout = 10 }
  for page in api:pages("/" .. kind, { per_page = 20 }) do
    coroutine.yield(page)
  end
end)
]]

--- A bundle below a fresh folder. parts: main, mapping, blueprints, spec (texts). Gives its path.
function sync.bundle(parts)
  parts = parts or {}
  local dir = parts.dir or support.tmpdir() .. "/demo"
  support.write(dir .. "/main.lua", parts.main or sync.main)
  support.write(dir .. "/.port/spec.yaml", parts.spec or [[
type: demo
configurations:
  - name: apiUrl
    type: url
    required: true
  - name: apiToken
    type: string
    sensitive: true
]])
  support.write(dir .. "/.port/resources/port-app-config.yml", parts.mapping or sync.mapping)
  support.write(dir .. "/.port/resources/blueprints.json", parts.blueprints or sync.blueprints)
  return dir
end

--- The command line and options of a resync of this bundle from that API, in a working folder. options: args, env, port (base
--- URL of a Port), command.
function sync.command(bundle, api, cwd, options)
  options = options or {}
  local env = { OCEAN__INTEGRATION__CONFIG__API_URL = api.url or api, APPLICATION__LOG_LEVEL = "WARNING" }
  if options.port then
    env.OCEAN__PORT__BASE_URL, env.OCEAN__PORT__CLIENT_ID, env.OCEAN__PORT__CLIENT_SECRET = options.port, "id", "a-secret-of-port"
  end
  for name, value in pairs(options.env or {}) do
    env[name] = value
  end
  local command = { support.bin, options.command or "resync", bundle, "--json" }
  table.move(options.args or {}, 1, #(options.args or {}), #command + 1, command)
  return command, { cwd = cwd, env = env, timeout = options.timeout or 120 }
end

--- Runs one resync. Gives { code, out, err, report }.
function sync.resync(bundle, api, cwd, options)
  local result = support.run(sync.command(bundle, api, cwd, options))
  local line = result.out:match "([^\n]+)\n?$"
  result.report = line and line:sub(1, 10) == '{"result":' and support.json.decode(line) or nil
  return result
end

--- A catalog server. Gives a process with .url.
function sync.catalog(db)
  local server = support.spawn { support.bin, "catalog", "--listen", "127.0.0.1:0", "--db", db }
  server.url = assert(server.line and server.line:match "listening (%S+)", "the catalog did not start: " .. select(2, server:output()))
  return server
end

local function canonical(value)
  if type(value) ~= "table" then
    return support.json.encode(value)
  end
  if value[1] ~= nil then
    local parts = {}
    for i, v in ipairs(value) do parts[i] = canonical(v) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local parts = {}
  for k, v in pairs(value) do parts[#parts + 1] = ("%q:%s"):format(k, canonical(v)) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end
sync.canonical = canonical

--- The header that a catalog wants: any credentials are good.
function sync.authorization(url)
  local answer = support.request("POST", url .. "/v1/auth/access_token", '{"clientId":"spec","clientSecret":"spec"}')
  return { Authorization = "Bearer " .. support.json.decode(answer.body).accessToken }
end

--- Entities of a blueprint at a catalog's URL: identifier → entity without its times.
function sync.entities(url, blueprint)
  local answer = support.request("GET", url .. "/v1/blueprints/" .. blueprint .. "/entities", nil, sync.authorization(url))
  local found = {}
  for _, entity in ipairs(answer.status == 200 and support.json.decode(answer.body).entities or {}) do
    entity.createdAt, entity.updatedAt = nil, nil
    found[entity.identifier] = entity
  end
  return found
end

--- The same from the embedded catalog of a working folder, which must not be in use.
function sync.embedded(cwd, blueprint)
  local server = sync.catalog(cwd .. "/.moontide/catalog.db")
  local found = sync.entities(server.url, blueprint or "item")
  assert(server:stop() == 0)
  return found
end

function sync.count(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

--- The line of a kind in a report.
function sync.kind(result, kind)
  for _, k in ipairs(assert(result.report, result.err).kinds) do
    if k.kind == kind then return k end
  end
end

return sync
