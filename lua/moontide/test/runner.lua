-- What `moontide test BUNDLE` runs (runtime/cli/test.c): busted over the specs of a bundle, a folder or a packed
-- file. The bundle's files come from the program, which holds them in memory; everything else is busted's own.
-- Returns the exit code.
local core = ...
local host = type(core) == "table" and core.host
if not host then
  error("moontide.test.runner is what `moontide test BUNDLE` runs; nothing else requires it", 0)
end

local FAILED, UNUSABLE = 1, 2

local function complain(text)
  io.stderr:write("moontide test: ", text, "\n")
  return UNUSABLE
end

-- The runner ends by the exit of this table, which it takes when it is loaded: the state must be closed, and the
-- program end, in order.
local stop = {}
do
  local found, compatibility = pcall(require, "busted.compatibility")
  if not found then
    return complain("busted is not installed for Lua 5.4, which runs the specs: install the package lua-busted "
      .. "(Debian, Ubuntu), or `luarocks --lua-version 5.4 install busted`")
  end
  compatibility.exit = function(code)
    error(setmetatable({ code = code == 0 and 0 or FAILED }, stop), 0)
  end
  for _, module in ipairs { "busted.runner", "busted", "busted.core", "busted.execute", "luassert" } do
    local ok, why = pcall(require, module)
    if not ok then
      return complain(("busted does not start: %s"):format(why))
    end
  end
end

-- The library in this state: what waits or belongs to a handler is not there.
core.config = {}
core.config_names = function()
  return core.json.copy(core.json.decode(assert(host "names")))
end
core.cache_generation = function() return 0 end
core.current = function() return nil end
core.jq_program = function(program) return program end
core.jq_run = function(program, value) return core.jq(program, value)[1] end
setmetatable(core, { __index = function(_, name)
  return function()
    error(("this works in a handler only (%s): run it with test.bundle{…}:resync(kind)"):format(name), 3)
  end
end })

-- require: the library, then the bundle's modules ("lib.client" is lib/client.lua), then files beside the specs
-- ("helper" is spec/helper.lua); Lua's own way after that.
local shown = assert(host "prefix")
local function load_file(path)
  local text, why = host("read", path)
  if not text then
    return nil, why
  end
  return load(text, "@" .. shown .. path, "t")
end

table.insert(package.searchers, 2, function(name)
  if name == "moontide" or name:match "^moontide%." then
    local text = host("library", name)
    if not text then
      return ("\n\tmoontide's library has no module '%s'"):format(name)
    end
    local chunk = assert(load(text, "@" .. name:gsub("%.", "/") .. ".lua", "t"))
    return function() return chunk(core) end, name
  end
  local path = name:gsub("%.", "/") .. ".lua"
  for _, file in ipairs { path, "spec/" .. path } do
    if host("has", file) then
      local chunk, why = load_file(file)
      return chunk or error(why, 0), file
    end
  end
  return ("\n\tthe bundle has no file '%s', nor 'spec/%s'"):format(path, path)
end)

local function starts_with(path, start)
  return path == start or path:sub(1, #start + 1) == start .. "/"
end

-- Which of the bundle's specs the words after `--` mean: all, without any.
local function chosen(words, patterns, excludes)
  local files = {}
  for path in assert(host("list", "spec/")):gmatch "[^\n]+" do
    local name, fits = path:match "[^/]+$", false
    for _, pattern in ipairs(patterns) do
      fits = fits or name:find(pattern) ~= nil
    end
    for _, pattern in ipairs(excludes) do
      fits = fits and (pattern == "" or not name:find(pattern))
    end
    for _, word in ipairs(words) do
      word = word:gsub("^%./", ""):gsub("/+$", "")
      if path:match "%.lua$" and (starts_with(path, word) and (fits or path == word)
        or starts_with(shown .. path, word) and (fits or shown .. path == word)) then
        files[#files + 1] = path
        break
      end
    end
  end
  return files
end

local function cut_trace(_, info)
  info.traceback = info.traceback:match "^(.-)\n%s*%[C%]" or info.traceback
  return info
end

local loaded, ran = false, 0
for _, word in ipairs(arg) do
  ran = (word == "-l" or word == "--list") and 1 or ran -- the names are all that was asked for
end
package.loaded["busted.modules.test_file_loader"] = function(busted)
  return function(words, patterns, options)
    local files = chosen(words, patterns, options.excludes or {})
    if #files == 0 then
      complain(("no spec of the bundle is called %s"):format(table.concat(words, ", ")))
      error(setmetatable({ code = UNUSABLE }, stop), 0)
    end
    loaded = true
    busted.subscribe({ "test", "end" }, function() ran = ran + 1 end)
    for _, path in ipairs(files) do
      local chunk, why = load_file(path)
      if chunk then
        busted.executors.file(shown .. path, setmetatable({ getTrace = cut_trace }, { __call = chunk }))
      else
        busted.publish({ "error", "file" }, { descriptor = "file", name = shown .. path }, nil, why, {})
      end
    end
    return files
  end
end

local ok, outcome = xpcall(assert(load("require 'busted.runner' { standalone = false }", "@moontide test")),
  function(err)
    return getmetatable(err) == stop and err or debug.traceback(err)
  end)
if ok then
  return ran > 0 and 0 or complain "no spec was run: nothing matches what was asked for, or the files hold no it(…)"
elseif getmetatable(outcome) == stop then
  return outcome.code ~= 0 and not loaded and UNUSABLE or outcome.code
end
error(outcome, 0)
