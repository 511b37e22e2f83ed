--- Runs a handler against a server that answers as the case says: what the specs of the Lua library share.
local bundle = require "spec.script.bundle"
local support = require "spec.support"

local case = {}

local PRELUDE = 'local tide = require "moontide" local json, log = tide.json, tide.log '
local server, other

--- URL of the server, and of a second one: another origin.
function case.start()
  server = support.spawn({ "node", "spec/lua/answers.mjs" }, { cwd = support.root })
  other = support.spawn({ "node", "spec/lua/answers.mjs" }, { cwd = support.root })
  case.url = assert(server.line:match "listening (%S+)", server.line)
  case.other = assert(other.line:match "listening (%S+)", other.line)
end

function case.stop()
  server:stop()
  other:stop()
end

local function set_routes(url, routes)
  local empty = next(routes) == nil
  local put = support.request("PUT", url .. "/__routes", empty and "{}" or support.json.encode(routes))
  assert(put.status == 200, "the server refused its routes")
end

function case.log(url)
  return support.json.decode(support.request("GET", (url or case.url) .. "/__log").body)
end

--- The server's answers, without a run.
function case.routes(routes, other_routes)
  set_routes(case.url, routes or {})
  set_routes(case.other, other_routes or {})
end

--- Runs body as the handler of kind "k", with tide, json, log, BASE, OTHER and client (short back-off) in scope.
--- options: routes, other (routes of the other origin), client (Lua text of further options), top and bottom (Lua text
--- around the handler), and bundle.run's.
--- Gives what bundle.run gives, with log and other_log.
function case.run(body, options)
  options = options or {}
  case.routes(options.routes, options.other)
  local source = ("%slocal BASE, OTHER = %q, %q %s tide.on_resync('k', function(kind, ctx) "):format(PRELUDE, case.url,
    case.other, options.top or "")
    .. ("local client = tide.http.client { base_url = BASE, retries = { base = 0.01, cap = 0.05, max = 3 }, %s } ")
      :format(options.client or "")
    .. body .. "\nend)\n" .. (options.bottom or "")
  local result = bundle.run(source, {
    raw = true, args = options.args, kinds = options.kinds, files = options.files, timeout = options.timeout,
  })
  assert(not result.err:find "Sanitizer" and not result.err:find "runtime error: ", result.err)
  result.log = case.log()
  result.other_log = case.log(case.other)
  return result
end

--- The batches' items, one after another, as the values of one member.
function case.items(result, member)
  local list = {}
  for _, batch in ipairs(result.batches) do
    for _, item in ipairs(batch.items) do
      list[#list + 1] = item[member or "id"]
    end
  end
  return list
end

--- What the handler says by yielding {{ says = … }}.
function case.says(result)
  local list = case.items(result, "says")
  return #list == 1 and list[1] or list
end

function case.requests(result)
  local list = {}
  for i, request in ipairs(result.log) do
    list[i] = request.method .. " " .. request.url
  end
  return list
end

--- Messages of the faults, joined; "" when there are none.
function case.faults(result)
  local list = {}
  for i, fault in ipairs(result.last.faults) do
    list[i] = (fault[1] ~= "" and fault[1] .. ": " or "") .. fault[2]
  end
  return table.concat(list, "\n")
end

return case
