--- What the specs share: running programs, files, HTTP, JSON. Pure Lua on top of sh, coreutils and curl, so
-- that the same specs run under a stock lua5.4 and inside `moontide busted`.
local dkjson = require "dkjson"

local support = {}

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function shell_lines(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read("a")
  pipe:close()
  return (text:gsub("\n$", ""))
end

support.quote = quote
--- The repository: specs are started from its top.
support.root = shell_lines("pwd")
--- The program under test.
support.bin = os.getenv "MOONTIDE_BIN" or support.root .. "/build/dev/bin/moontide"
if support.bin:sub(1, 1) ~= "/" then
  support.bin = support.root .. "/" .. support.bin
end

--- Path of a driver executable that a spec/ROOM/CMakeLists.txt builds: they lie beside the program.
function support.driver(name)
  return (support.bin:gsub("[^/]*$", "")) .. name
end

--- Folder of the shared data (corpus/, recordings/, tools/), or nil: specs that need it are skipped then.
function support.shared()
  for _, path in ipairs { os.getenv "MOONTIDE_SHARED" or "", support.root .. "/../shared" } do
    local file = path ~= "" and io.open(path .. "/corpus/README.md")
    if file then
      file:close()
      return shell_lines("cd " .. quote(path) .. " && pwd")
    end
  end
  return nil
end

-- Files --------------------------------------------------------------------------------------------------------------

local alive = {} -- processes that were not waited for: they stay until the specs end
support.running = alive
local made = {}  -- temporary folders; made first, so finalized last
support.folders = setmetatable(made, {
  __gc = function()
    for i = 1, #made, 50 do
      os.execute("rm -rf " .. table.concat(made, " ", i, math.min(i + 49, #made)))
    end
  end,
})

--- A fresh folder; removed when the specs end.
function support.tmpdir()
  local path = shell_lines "mktemp -d -t moontide-spec.XXXXXXXX"
  assert(path ~= "", "mktemp failed")
  made[#made + 1] = path
  return path
end

--- Writes a file, with the folders above it.
function support.write(path, text)
  local file = io.open(path, "wb")
  if not file then
    os.execute("mkdir -p " .. quote((path:gsub("[^/]*$", ""))))
    file = assert(io.open(path, "wb"))
  end
  assert(file:write(text))
  assert(file:close())
  return path
end

--- Content of a file, or nil and the reason.
function support.read(path)
  local file, err = io.open(path, "rb")
  if not file then
    return nil, err
  end
  local text = file:read("a")
  file:close()
  return text
end

function support.exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- JSON ---------------------------------------------------------------------------------------------------------------

--- decode(text) → value, or raises; a null is support.json.null. encode(value) → text; object(t) marks an
-- empty table as {}.
support.json = { null = dkjson.null }

function support.json.decode(text)
  local value, at, err = dkjson.decode(text, 1, dkjson.null)
  if err then
    error("not JSON: " .. err .. "\n" .. text:sub(1, 300), 2)
  end
  local rest = text:match("^%s*(.-)%s*$", at)
  if rest ~= "" then
    error("text after the JSON value: " .. rest:sub(1, 300), 2)
  end
  return value
end

function support.json.encode(value)
  return (assert(dkjson.encode(value)))
end

function support.json.object(members)
  return setmetatable(members or {}, { __jsontype = "object" })
end

--- The values of NDJSON text, one a line.
function support.json.lines(text)
  local values = {}
  for line in text:gmatch "[^\n]+" do
    values[#values + 1] = support.json.decode(line)
  end
  return values
end

--- Whether two decoded values are one; 3 and 3.0 are. equal(a, b), if given, compares what is no table.
function support.json.same(a, b, equal)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b or equal ~= nil and equal(a, b)
  end
  for k, v in pairs(a) do
    if not support.json.same(v, b[k], equal) then
      return false
    end
  end
  for k in pairs(b) do
    if a[k] == nil then
      return false
    end
  end
  return true
end

-- Programs -----------------------------------------------------------------------------------------------------------

-- The shell text that runs a command with its folder and environment: env is { NAME = "value" } (false
-- unsets), beside the environment of the specs, whose own settings of Ocean and moontide are removed: a
-- developer's token is no fixture.
local settings = shell_lines "env | grep -Eo '^(OCEAN|MOONTIDE)__[A-Za-z0-9_]+'"
local function command_line(command, options)
  local words = {}
  if options.cwd then
    words[#words + 1] = "cd " .. quote(options.cwd) .. " &&"
  end
  words[#words + 1] = "exec env"
  local sets, unsets = {}, {}
  for name in settings:gmatch "%S+" do
    unsets[#unsets + 1] = "-u " .. quote(name)
  end
  for name, value in pairs(options.env or {}) do
    if value == false then
      unsets[#unsets + 1] = "-u " .. quote(name)
    else
      sets[#sets + 1] = quote(name .. "=" .. tostring(value))
    end
  end
  for _, list in ipairs { unsets, sets } do
    table.move(list, 1, #list, #words + 1, words)
  end
  if options.timeout then
    words[#words + 1] = "timeout -k 5 " .. options.timeout
  end
  for _, word in ipairs(command) do
    words[#words + 1] = quote(word)
  end
  return table.concat(words, " ")
end

local function exit_code(_, how, code)
  return how == "signal" and 128 + code or code
end

--- Runs a command to its end. options: stdin (text), env, cwd, timeout (seconds; 120). Gives { code, out, err
-- }; code is 128 + n after signal n, 124 after the timeout.
function support.run(command, options)
  options = setmetatable({ timeout = options and options.timeout or 120 }, { __index = options })
  local dir = support.tmpdir()
  local input = "/dev/null"
  if options.stdin then
    input = support.write(dir .. "/in", options.stdin)
  end
  local text = ("exec 2>/dev/null; (%s) <%s >%s/out 2>%s/err"):format(command_line(command, options), quote(input), dir, dir)
  local code = exit_code(os.execute(text))
  local result = { code = code, out = support.read(dir .. "/out") or "", err = support.read(dir .. "/err") or "" }
  os.execute("rm -rf " .. dir)
  return result
end

local process = {}
process.__index = process

-- At the end of the state objects are finalized in the reverse order of their creation: this comes before
-- the pipe's own finalizer, which would wait for a process that nobody told to end.
process.__gc = function(self)
  if not self.code then
    self:signal "KILL"
    self.pipe:close()
  end
end

-- $1: folder for its files. The command's text is in "$1/command". The shell hands the first line of stdout
-- to whoever reads this pipe and keeps draining the rest into "$1/out"; the exit code ends up in "$1/rc". The process writes
-- "$1/pid" itself, before its first line.
local SUPERVISOR = [[
d=$1
mkfifo "$d/fifo"
(sh -c 'echo $$ >"$0/pid"; exec sh "$0/command"' "$d" >"$d/fifo" 2>"$d/err" </dev/null & wait $!; echo $? >"$d/rc") >/dev/null 2>&1 &
exec 3<"$d/fifo"
if IFS= read -r line <&3; then printf '%s\n' "$line" | tee "$d/out"; else printf '%s' "$line" | tee "$d/out"; fi
exec >/dev/null
cat <&3 >>"$d/out"
wait
]]

--- Starts a command and waits for the first line of its stdout. options: env, cwd. Gives a process: .line
-- (that line, or nil when it ended before), .pid, :output() → out, err so far; :stop([signal]) → exit code;
-- :wait([seconds]) → exit code. What still runs when the specs end is killed.
function support.spawn(command, options)
  options = options or {}
  local dir = support.tmpdir()
  support.write(dir .. "/command", command_line(command, { env = options.env, cwd = options.cwd }))
  local pipe = assert(io.popen(("sh -c %s supervisor %s"):format(quote(SUPERVISOR), dir), "r"))
  local self = setmetatable({ pipe = pipe, dir = dir }, process)
  self.line = pipe:read "l"
  self.pid = tonumber((support.read(dir .. "/pid")))
  alive[self] = true
  return self
end

function process:output()
  return support.read(self.dir .. "/out") or "", support.read(self.dir .. "/err") or ""
end

--- Waits until it has ended; after so many seconds (60) it is killed, and the code is 137.
function process:wait(seconds)
  if not self.code then
    os.execute(("timeout %s tail --pid=%d -s 0.02 -f /dev/null || kill -KILL %d 2>/dev/null")
      :format(seconds or 60, self.pid, self.pid))
    self.pipe:close()
    self.code = tonumber((support.read(self.dir .. "/rc")))
    alive[self] = nil
  end
  return self.code
end

--- Sends a signal ("TERM") and waits for the end.
function process:stop(signal)
  if not self.code then
    self:signal(signal or "TERM")
  end
  return self:wait()
end

function process:signal(signal)
  os.execute(("kill -%s %d 2>/dev/null"):format(signal, self.pid))
end

--- Asks again and again until check() gives a true value, which it returns; raises after so many seconds (20).
function support.await(what, check, seconds)
  local deadline = os.time() + (seconds or 20)
  while true do
    local value = check()
    if value then
      return value
    end
    if os.time() > deadline then
      error("waited in vain for " .. what, 2)
    end
    os.execute "sleep 0.05"
  end
end

--- A TCP port of 127.0.0.1 that nobody listens on, for programs that cannot choose one themselves.
function support.free_port()
  return tonumber(shell_lines "bash -c 'for p in $(shuf -i 20000-32000 -n 100); do \
    (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; exit; }; done'")
end

-- HTTP ---------------------------------------------------------------------------------------------------------------

--- One request by curl, redirects not followed. body: text, or a table (sent as JSON). headers: { Name =
-- "value" }. Gives { status, headers (names in lower case), body }; status 0 and .error when there was no
-- answer.
function support.request(method, url, body, headers)
  local dir = support.tmpdir()
  local words = { "curl -sS --globoff --path-as-is --max-time 120 -o", dir .. "/body", "-D", dir .. "/headers" }
  words[#words + 1] = method == "HEAD" and "-I" or "-X " .. quote(method)
  local sent = {}
  for name, value in pairs(headers or {}) do
    sent[name:lower()] = true
    words[#words + 1] = "-H " .. quote(name .. ": " .. value)
  end
  if body then
    if type(body) == "table" then
      body = support.json.encode(body)
    end
    if not sent["content-type"] then
      words[#words + 1] = "-H 'Content-Type: application/json'"
    end
    words[#words + 1] = "-H Expect: --data-binary @" .. support.write(dir .. "/sent", body)
  end
  words[#words + 1] = quote(url) .. " 2>" .. dir .. "/err"
  local ok = os.execute(table.concat(words, " "))
  local result = { status = 0, headers = {}, body = support.read(dir .. "/body") or "" }
  for line in (support.read(dir .. "/headers") or ""):gmatch "[^\r\n]+" do
    local status = line:match "^HTTP/%S+ (%d+)"
    if status then
      result.status, result.headers = tonumber(status), {}
    else
      local name, value = line:match "^([^:]+):%s*(.*)$"
      if name then
        result.headers[name:lower()] = value
      end
    end
  end
  if not ok then
    result.status, result.error = 0, support.read(dir .. "/err")
  end
  os.execute("rm -rf " .. dir)
  return result
end

--- A server of recorded HTTP exchanges (spec/support/replay.mjs): recordings as words. Gives a process with
-- .url and :log().
function support.recorded(...)
  local server = support.spawn { "node", support.root .. "/spec/support/replay.mjs", ... }
  server.url = assert(server.line and server.line:match "listening (%S+)", "replay.mjs did not start")
  function server.log()
    return support.json.decode(support.request("GET", server.url .. "/__log").body)
  end
  return server
end

--- The same with the shared data's server, which fails on request: options as words, then recordings. Nil
-- without the shared data.
function support.replay(...)
  local shared = support.shared()
  if not shared then
    return nil
  end
  local server = support.spawn { "node", shared .. "/tools/replay.mjs", ... }
  server.url = assert(server.line and server.line:match "listening (%S+)", "replay.mjs did not start")
  return server
end

return support
