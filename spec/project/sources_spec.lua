-- What holds for every source file: the direction of the includes (architecture, rooms), sizes, and words
-- that have no place.
local support = require "spec.support"

local function lines_of(command)
  local pipe = assert(io.popen((command:gsub("\n", " "))))
  local list = {}
  for line in pipe:lines() do
    list[#list + 1] = line
  end
  pipe:close()
  return list
end

local function files(where, ...)
  local names = {}
  for i, pattern in ipairs { ... } do
    names[i] = "-name " .. support.quote(pattern)
  end
  local list = lines_of(("find %s -type f \\( %s \\) | LC_ALL=C sort"):format(where, table.concat(names, " -o ")))
  assert(#list > 0, "no files below " .. where)
  return list
end

-- { file, line, "room/file.h" or "file.h", quoted? }
local function includes(list)
  local found = {}
  for _, file in ipairs(list) do
    local number = 0
    for line in io.lines(file) do
      number = number + 1
      local quoted = line:match '^%s*#%s*include%s+"([^"]+)"'
      local system = line:match "^%s*#%s*include%s+<([^>]+)>"
      if quoted or system then
        found[#found + 1] = {
          at = ("%s:%d"):format(file, number),
          file = file,
          name = quoted or system,
          quoted = quoted ~= nil,
        }
      end
    end
  end
  return found
end

local allowed = {
  base = "",
  json = "base",
  jq = "base json",
  net = "base",
  script = "base json jq net",
  bundle = "base json jq",
  port = "base json net",
  state = "base net",
  catalog = "base json net",
  observe = "base json net",
  sync = "base json jq net script bundle port state catalog observe",
  service = "base json jq net script bundle port state catalog observe sync",
  cli = "base json jq net script bundle port state catalog observe sync service",
}

local function room_of(path)
  return path:match "^runtime/([^/]+)/"
end

local function is_allowed(from, to)
  return from == to or (" " .. allowed[from] .. " "):find(" " .. to .. " ", 1, true) ~= nil
end

describe("the rooms of runtime/", function()
  local all = includes(files("runtime", "*.c", "*.h"))

  it("import in one direction only: base, json, jq; base, net, script; everything, sync, service, cli", function()
    local wrong = {}
    for _, include in ipairs(all) do
      local from = room_of(include.file)
      local to = include.quoted and include.name:match "^([^/]+)/"
      if not allowed[from] then
        wrong[#wrong + 1] = include.file .. " lies in no room"
      elseif to and (not allowed[to] or not is_allowed(from, to)) then
        wrong[#wrong + 1] = include.at .. " includes " .. include.name
      end
    end
    assert.same({}, wrong)
  end)

  it("show nothing of the catalog to sync but its header", function()
    local wrong = {}
    for _, include in ipairs(all) do
      local inner = include.name:match "^catalog/" and include.name ~= "catalog/catalog.h"
      if inner and room_of(include.file) ~= "catalog" then
        wrong[#wrong + 1] = include.at .. " includes " .. include.name
      end
    end
    assert.same({}, wrong)
  end)

  -- header → which files may include it, and how many of them
  local third_parties = {
    {
      what = "Lua's",
      headers = { "lua.h", "lauxlib.h", "lualib.h", "luaconf.h" },
      where = { "^runtime/script/", "^runtime/cli/busted%.c$" },
    },
    { what = "libjq's", headers = { "jq.h", "jv.h" }, where = { "^runtime/jq/" }, most = 1 },
    { what = "curl's", headers = { "curl/.*" }, where = { "^runtime/net/" }, most = 2 },
    { what = "SQLite's", headers = { "sqlite3.h" }, where = { "^runtime/state/", "^runtime/catalog/" } },
    { what = "libevent's", headers = { "event2/.*", "event.h" }, where = { "^runtime/net/", "^runtime/sync/", "^runtime/service/" } },
    { what = "libyaml's", headers = { "yaml.h" }, where = { "^runtime/bundle/" } },
    { what = "libarchive's", headers = { "archive.h", "archive_entry.h" }, where = { "^runtime/bundle/" }, most = 1 },
  }
  for _, party in ipairs(third_parties) do
    it("include " .. party.what .. " headers only where they belong", function()
      local wrong, users, count = {}, {}, 0
      for _, include in ipairs(all) do
        for _, header in ipairs(party.headers) do
          if not include.quoted and include.name:match("^" .. header .. "$") then
            local fine = false
            for _, pattern in ipairs(party.where) do
              fine = fine or include.file:match(pattern) ~= nil
            end
            if not fine then
              wrong[#wrong + 1] = include.at
            end
            if not users[include.file] then
              users[include.file] = true
              count = count + 1
            end
          end
        end
      end
      assert.same({}, wrong)
      if party.most then
        assert.is_true(count <= party.most, ("%d files include them"):format(count))
      end
    end)
  end

  it("refuse an arrow that points back (the check itself works)", function()
    assert.is_false(is_allowed("base", "json"))
    assert.is_false(is_allowed("port", "script"))
    assert.is_false(is_allowed("jq", "port"))
    assert.is_true(is_allowed("sync", "script"))
    assert.is_true(is_allowed("net", "net"))
    local text = '#include "sync/resync.h"\n# include <lua.h>\n'
    local found = includes { support.write(support.tmpdir() .. "/a.c", text) }
    assert.equal("sync/resync.h", found[1].name)
    assert.is_false(found[2].quoted)
  end)
end)

describe("a source file", function()
  local own = lines_of [[
    find . \( -path ./build -o -path ./.git -o -path ./.cache -o -path ./.moontide \) -prune -o -type f \(
      -name '*.[ch]' -o -name '*.lua' -o -name '*.mjs' -o -name '*.txt' -o -name '*.cmake' -o -name '*.md'
      -o -name '*.y*ml'      -o -path './scripts/*' -o -path './.ci/*' \) -print | LC_ALL=C sort]]

  it("has no more than 600 lines: one noun a file", function()
    local wrong = {}
    for _, file in ipairs(own) do
      local count = 0
      for _ in io.lines(file) do
        count = count + 1
      end
      local code = file:match "%.[ch]$" or file:match "%.lua$"
      if code and count > 600 and not file:match "^%./spec/" then
        wrong[#wrong + 1] = ("%s: %d lines"):format(file, count)
      end
    end
    assert.same({}, wrong)
  end)

  it("is called after what it holds, not util, common, misc or helpers", function()
    local wrong = {}
    for _, file in ipairs(own) do
      local name = file:match "([^/]+)%.[%w]+$" or ""
      for _, word in ipairs { "util", "utils", "common", "misc", "helper", "helpers" } do
        if name == word then
          wrong[#wrong + 1] = file
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("leaves nothing to do, and names no machine or registry that a user does not have", function()
    local words = { -- in two parts, so that this file does not hold them
      "TO" .. "DO", "FIX" .. "ME", "X" .. "XX[^X%x]", "HA" .. "CK", "/wo" .. "rk/", "registry%.np" .. "mjs",
      "py" .. "pi%.org", "artif" .. "actory", "snapshot%.deb" .. "ian",
    }
    local wrong = {}
    for _, file in ipairs(own) do
      local number = 0
      for line in io.lines(file) do
        number = number + 1
        for _, word in ipairs(words) do
          if line:find("%f[%w/]" .. word) then
            wrong[#wrong + 1] = ("%s:%d: %s"):format(file, number, line:sub(1, 80))
          end
        end
      end
    end
    assert.same({}, wrong)
  end)
end)
