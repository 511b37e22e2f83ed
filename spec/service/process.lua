--- `moontide run` for specs: a Port (the catalog behind a proxy that logs and fails on request), an API, bundles, and the process.
local support = require "spec.support"
local sync = require "spec.support.sync"

local json = support.json
local service = {}

--- Waits for its page as long as it takes: the specs stall the API to keep a resync at work.
service.main = [[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl, timeout = 120, retries = 0 }
  for page in api:pages("/" .. kind, { per_page = 20 }) do
    coroutine.yield(page)
  end
end)
]]

-- Port -----------------------------------------------------------------------------------------------------------------

local port = {}
port.__index = port

--- A Port of its own. Gives .url, :states(identifier), :fault(list), :request(identifier), :integration(identifier),
--- :entities(blueprint).
function service.port()
  local dir = support.tmpdir()
  local self = setmetatable({ catalog = sync.catalog(dir .. "/catalog.db") }, port)
  self.proxy = support.spawn { "node", support.root .. "/spec/support/proxy.mjs", "--target", self.catalog.url }
  self.url = assert(self.proxy.line and self.proxy.line:match "listening (%S+)", "proxy.mjs did not start")
  return self
end

function port:stop()
  self.proxy:stop "KILL"
  self.catalog:stop "KILL"
end

function port:fault(list)
  support.request("POST", self.url .. "/__fault", json.encode(setmetatable(list, { __jsontype = "array" })))
end

function port:release()
  support.request("POST", self.url .. "/__release")
end

function port:log()
  return json.decode(support.request("GET", self.url .. "/__log").body)
end

--- The states that were reported for an integration, in their order, as one text.
function port:states(identifier)
  local list = {}
  for _, entry in ipairs(self:log()) do
    if entry.url:find("/" .. (identifier or "my-demo-integration") .. "/resync-state", 1, true) and entry.method ~= "GET" then
      list[#list + 1] = json.decode(entry.body).status
    end
  end
  return table.concat(list, " ")
end

--- Asks straight, past the log and the faults.
function port:ask(method, path, body)
  self.authorization = self.authorization or sync.authorization(self.catalog.url)
  return support.request(method, self.catalog.url .. "/v1" .. path, body, self.authorization)
end

--- Asks for a resync, as Port's page does.
function port:request(identifier)
  local res = self:ask("POST", "/integration/" .. (identifier or "my-demo-integration") .. "/resync-request", "{}")
  assert(res.status < 300, res.body)
end

function port:integration(identifier)
  local res = self:ask("GET", "/integration/" .. (identifier or "my-demo-integration"))
  return res.status == 200 and json.decode(res.body).integration or nil
end

function port:entities(blueprint)
  return sync.entities(self.catalog.url, blueprint or "item")
end

function port:await_states(wanted, identifier)
  local seen
  local ok = pcall(support.await, wanted, function()
    seen = self:states(identifier)
    return seen == wanted
  end)
  if not ok then
    error(("states at Port: wanted %q, got %q"):format(wanted, seen), 2)
  end
end

-- The process ----------------------------------------------------------------------------------------------------------

local process = {}

function process:status()
  local res = support.request("GET", self.admin .. "/status")
  assert(res.status == 200, "GET /status: " .. res.status .. " " .. (res.error or res.body))
  return json.decode(res.body)
end

--- The first bundle of /status, or the one of this name.
function process:bundle(name)
  for _, bundle in ipairs(self:status().bundles) do
    if not name or bundle.name == name then
      return bundle
    end
  end
end

function process:reload()
  local res = support.request("POST", self.admin .. "/reload")
  return res.status, json.decode(res.body).bundles
end

function process:err()
  return (select(2, self:output()))
end

--- Waits until the standard error holds a text, and gives what follows it.
function process:await_err(text, plain)
  local ok, found = pcall(support.await, text, function()
    return self:err():match((plain and text:gsub("%p", "%%%0") or text) .. ".*")
  end)
  if not ok then
    error("waited in vain for " .. text .. " in\n" .. self:err(), 2)
  end
  return found
end

function process:metric(line)
  local text = support.request("GET", self.admin .. "/metrics").body
  for found in text:gmatch "[^\n]+" do
    if found:sub(1, #line) == line then
      return tonumber(found:match "(%S+)$")
    end
  end
end

function process:ready()
  support.await("readiness", function()
    return support.request("GET", self.admin .. "/health/ready").status == 200
  end)
end

--- Words and environment of a run. options: port, api, args, env, cwd, speed (of the clock), before (words in front of it).
function service.command(bundles, options)
  local command = table.move(options.before or {}, 1, #(options.before or {}), 1, {})
  table.move({ support.bin, "run" }, 1, 2, #command + 1, command)
  for _, bundle in ipairs(type(bundles) == "table" and bundles or { bundles }) do
    command[#command + 1] = bundle
  end
  table.move(options.args or {}, 1, #(options.args or {}), #command + 1, command)
  local env = {
    APPLICATION__PORT = "0",
    MOONTIDE__ADMIN__LISTEN = "127.0.0.1:0",
    MOONTIDE_CLOCK_SPEED = options.speed,
    OCEAN__APPLICATION__ENABLE_HTTP_LOGGING = "false",
  }
  if options.api then
    env.OCEAN__INTEGRATION__CONFIG__API_URL = options.api.url
  end
  if options.port then
    env.OCEAN__PORT__BASE_URL, env.OCEAN__PORT__CLIENT_ID, env.OCEAN__PORT__CLIENT_SECRET = options.port.url, "id", "a-secret-of-port"
  end
  for name, value in pairs(options.env or {}) do
    env[name] = value
  end
  return command, { env = env, cwd = options.cwd or support.tmpdir(), timeout = options.timeout }
end

--- Starts it and waits until it listens. Gives a process with .public and .admin.
function service.start(bundles, options)
  local command, how = service.command(bundles, options)
  local self = support.spawn(command, how)
  local own = getmetatable(self).__index
  for name, method in pairs(process) do
    self[name] = method
  end
  self.cwd = how.cwd
  if not self.line then
    error("moontide run ended with " .. tostring(self:wait()) .. ": " .. select(2, own.output(self)), 2)
  end
  self.public, self.admin = self.line:match "^listening (http://%S+)", self.line:match "admin (http://%S+)$"
  return self
end

--- Runs it to its end. Gives { code, out, err }.
function service.run(bundles, options)
  options.timeout = options.timeout or 60
  return support.run(service.command(bundles, options))
end

--- A bundle whose handlers wait as long as the API takes.
function service.bundle(parts)
  parts = parts or {}
  parts.main = parts.main or service.main
  return sync.bundle(parts)
end

--- Runs a case and ends the process even if it fails.
function service.case(fn)
  return function()
    local started = {}
    local function start(...)
      local p = service.start(...)
      started[#started + 1] = p
      return p
    end
    local ok, err = xpcall(fn, function(e)
      return type(e) == "table" and e or debug.traceback(e)
    end, start)
    for _, p in ipairs(started) do
      if not ok and not p.code and type(err) == "string" then
        err = err .. "\nstandard error of the process:\n" .. p:err():sub(-3000)
      end
      p:stop "KILL"
    end
    if not ok then
      error(err, 0)
    end
  end
end

return service
