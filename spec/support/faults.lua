--- The fault server (faults.mjs) and the driver of the HTTP client (spec/net/fetch_driver.c), for specs.
local support = require "spec.support"

local faults = {}

--- Whether the fault server can run here: it needs node.
faults.available = os.execute "command -v node >/dev/null 2>&1" == true

-- A proxy or a CA file of the machine is no fixture.
local clean = {}
for _, name in ipairs { "http_proxy", "https_proxy", "all_proxy", "no_proxy" } do
  clean[name], clean[name:upper()] = false, false
end
clean.SSL_CERT_FILE, clean.SSL_CERT_DIR = false, false

--- Starts the server. Gives .url, :log() → the requests so far (see faults.mjs), :stop().
function faults.start(...)
  local server = support.spawn({ "node", support.root .. "/spec/support/faults.mjs", ... })
  server.url = assert(server.line and server.line:match "listening (%S+)", "faults.mjs did not start")
  function server:log()
    return support.json.decode(support.run({ "curl", "-sk", "--noproxy", "*", self.url .. "/__log" }).out)
  end
  return server
end

--- Runs the driver: words as in its head; env: a table as the last argument. Gives the results in the order of their
-- ends, and
--- .stats, .code, .err.
function faults.fetch(...)
  local words = { support.driver "fetch_driver", ... }
  local env = setmetatable({}, { __index = clean })
  if type(words[#words]) == "table" then
    env = table.remove(words)
  end
  local all = {}
  for name, value in pairs(clean) do
    all[name] = value
  end
  for name, value in pairs(env) do
    all[name] = value
  end
  for i = 1, #words do
    words[i] = tostring(assert(words[i], "a word is nil"))
  end
  local run = support.run(words, { env = all, timeout = 60 })
  local results = {}
  for _, value in ipairs(support.json.lines(run.out)) do
    if value.stats then
      results.stats = value.stats
    else
      results[#results + 1] = value
    end
  end
  results.code, results.err = run.code, run.err
  assert(run.code == 0, "fetch_driver ended with " .. run.code .. "\n" .. run.err)
  return results
end

--- A header of a result, or nil.
function faults.header(result, name)
  return ("\n" .. result.headers):match("\n" .. name:gsub("%-", "%%-") .. ": ([^\n]*)")
end

return faults
