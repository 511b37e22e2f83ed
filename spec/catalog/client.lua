--- A catalog under test, and calls on it as an integration makes them.
local support = require "spec.support"

local client = {}
client.__index = client

local AGENT = "port-ocean/demo/0.1.0/demo-1/exporter"

--- Starts `moontide catalog` on a fresh database (or on db); the object has :call, :ok and the like.
function client.start(db)
  local self = setmetatable({ db = db or support.tmpdir() .. "/catalog.db" }, client)
  self.process = support.spawn { support.bin, "catalog", "--listen", "127.0.0.1:0", "--db", self.db }
  self.url = assert(self.process.line and self.process.line:match "^listening (http://127%.0%.0%.1:%d+)$",
    "the catalog did not start: " .. select(2, self.process:output()))
  return self
end

function client:stop(signal)
  return self.process:stop(signal)
end

--- One request with a token: status and decoded body. options: agent, headers, raw (the body stays text).
function client:call(method, path, body, options)
  options = options or {}
  if not self.token then
    local answer = support.request("POST", self.url .. "/v1/auth/access_token", { clientId = "id",
      clientSecret = "secret" })
    self.token = support.json.decode(answer.body).accessToken
  end
  local headers = { Authorization = "Bearer " .. self.token, ["User-Agent"] = options.agent or AGENT }
  for name, value in pairs(options.headers or {}) do
    headers[name] = value
  end
  local answer = support.request(method, self.url .. path, body, headers)
  if options.raw then
    return answer.status, answer.body
  end
  return answer.status, answer.body ~= "" and support.json.decode(answer.body) or nil
end

--- The same, where anything but success is a failed test.
function client:ok(...)
  local status, body = self:call(...)
  assert(status >= 200 and status < 300, "status " .. status .. ": " .. support.json.encode(body))
  return body
end

function client:blueprint(identifier, properties, relations, required)
  return self:ok("POST", "/v1/blueprints", {
    identifier = identifier,
    title = identifier,
    schema = { properties = support.json.object(properties or {}), required = required },
    relations = support.json.object(relations or {}),
  }).blueprint
end

local BULK = "/v1/blueprints/%s/entities/bulk?upsert=true&merge=%s&create_missing_related_entities=%s"
  .. "&validation_only=false"

--- Bulk upsert as Ocean sends it: status and answer. options: merge, create (both true), agent.
function client:bulk(blueprint, entities, options)
  options = options or {}
  local path = BULK:format(blueprint, tostring(options.merge ~= false), tostring(options.create ~= false))
  return self:call("POST", path, type(entities) == "string" and entities or { entities = entities }, options)
end

--- One entity by a bulk upsert: its error, or nil when it was accepted.
function client:refusal(blueprint, entity, options)
  local _, answer = self:bulk(blueprint, type(entity) == "string" and '{"entities":[' .. entity .. "]}" or { entity },
    options)
  return answer.errors[1]
end

function client:entity(blueprint, identifier)
  local status, answer = self:call("GET", ("/v1/blueprints/%s/entities/%s"):format(blueprint, identifier))
  return status == 200 and answer.entity or nil
end

--- Identifiers of a blueprint's entities, sorted.
function client:identifiers(blueprint)
  local list = {}
  for i, entity in ipairs(self:ok("GET", "/v1/blueprints/" .. blueprint .. "/entities").entities) do
    list[i] = entity.identifier
  end
  table.sort(list)
  return list
end

--- Entities that match, by include; and, sorted, their identifiers.
function client:search(query, include)
  local path = "/v1/entities/search?exclude_calculated_properties=true"
  for _, name in ipairs(include or { "blueprint", "identifier" }) do
    path = path .. "&include=" .. name
  end
  local found, names = self:ok("POST", path, query).entities, {}
  for i, entity in ipairs(found) do
    names[i] = entity.identifier
  end
  table.sort(names)
  return found, names
end

client.agent = AGENT
return client
