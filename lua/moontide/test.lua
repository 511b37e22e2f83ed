-- moontide.test: what the specs of a bundle require, for `moontide test BUNDLE`. It runs the bundle's handlers, maps
-- what they yield with the bundle's mapping, and answers every request from recordings or from the spec itself; no
-- request leaves the machine, and nobody waits: retries and tide.sleep are over at once.
--
--   local test = require "moontide.test"
--   local bundle = test.bundle {
--     config = { apiUrl = "https://api.example.com" },          -- the names of .port/spec.yaml; defaults apply
--     recordings = { "spec/recordings/shop.ndjson" },           -- without it: all of spec/recordings
--     answers = { ["GET /items?page=1"] = { json = { … } } },   -- they go before recordings
--   }
--   local result = bundle:resync("item", { selector = { state = "open" } })
--   assert.is_true(result.ok, result.error)
local core = ...
local host = type(core) == "table" and core.host
if not host then
  error("moontide.test works in the specs that `moontide test BUNDLE` runs: it has the handlers, the mapping and the "
    .. "recorded answers. Not in handlers, and not under busted or lua5.4 alone", 0)
end
local options = require "moontide.options"

local json = core.json
local test = {
  null = json.null, -- a null in batches and entities
  json = json,      -- json.object() is {} where a table alone would be []
}

local function ask(what, argument, level)
  local answer, why = host(what, argument)
  if not answer then
    error(why, level + 1)
  end
  return answer
end

local function encode_object(members, what, level)
  local ok, text = pcall(json.encode, next(members) == nil and json.object() or members)
  if not ok then
    error(("%s: %s"):format(what, tostring(text)), level + 1)
  end
  return text
end

-- Answers
-- ----------------------------------------------------------------------------------------------------------

local ANSWER = { status = true, headers = true, json = true, body = true }
local STATUS, NO_ANSWER = 200, "answers[%q]: %s"

local function recording(key, answer, level)
  local method, url = key:match "^(%u+) (%S+)$"
  if not method then
    error(NO_ANSWER:format(key, 'the name is method and path, as in "GET /items?page=1"'), level + 1)
  elseif type(answer) ~= "table" then
    error(NO_ANSWER:format(key, "an answer is a table { status=, headers=, json= or body= }, or a list of them"), level + 1)
  end
  for name in pairs(answer) do
    if not ANSWER[name] then
      error(NO_ANSWER:format(key, ('an answer has no "%s": %s'):format(tostring(name),
        options.advice(name, { "status", "headers", "json", "body" }))), level + 1)
    end
  end
  local status, headers, body = answer.status or STATUS, json.object(), answer.body
  if math.type(status) ~= "integer" or status < 100 or status > 599 then
    error(NO_ANSWER:format(key, "status is a number from 100 to 599"), level + 1)
  elseif body ~= nil and answer.json ~= nil then
    error(NO_ANSWER:format(key, "json and body are two ways to say the same; give one"), level + 1)
  elseif body ~= nil and type(body) ~= "string" then
    error(NO_ANSWER:format(key, "body is text; a table goes into json"), level + 1)
  end
  if answer.json ~= nil then
    local ok, text = pcall(json.encode, answer.json)
    if not ok then
      error(NO_ANSWER:format(key, tostring(text)), level + 1)
    end
    body, headers["content-type"] = text, "application/json"
  end
  for name, value in pairs(answer.headers or {}) do
    headers[name:lower()] = tostring(value)
  end
  return json.encode { method = method, url = url, status = status, headers = headers, body = body or "" }
end

-- One recording for each answer, those of one request in their order.
local function recordings_of(answers, level)
  local names, lines = {}, {}
  for key in pairs(answers) do
    if type(key) ~= "string" then
      error('answers: the names are method and path, as in "GET /items?page=1"', level + 1)
    end
    names[#names + 1] = key
  end
  table.sort(names)
  for _, key in ipairs(names) do
    local list = answers[key]
    if type(list) ~= "table" or list[1] == nil then
      list = { list }
    end
    for _, answer in ipairs(list) do
      lines[#lines + 1] = recording(key, answer, level + 1)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- A recording's text without what the spec answers itself: of two recordings of one request both would be played.
local function without(text, answers)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n?" do
    local ok, exchange = pcall(json.decode, line)
    local url = ok and type(exchange) ~= "string" and exchange.url
    local path = url and url:gsub("^%a[%w+.-]*://[^/]*", "")
    local taken = url and (answers[exchange.method .. " " .. url] or answers[exchange.method .. " " .. path])
    lines[#lines + 1] = taken and "" or line -- an empty line: the others keep their numbers
  end
  return table.concat(lines, "\n")
end

-- Bundles
-- ----------------------------------------------------------------------------------------------------------

local Result = {}
Result.__index = Result

--- The entity of that identifier, and of that blueprint where it is given; nil when there is none.
function Result:entity(identifier, blueprint)
  for _, entity in ipairs(self.entities) do
    if entity.identifier == identifier and (not blueprint or entity.blueprint == blueprint) then
      return entity
    end
  end
  return nil
end

local Bundle = { __name = "moontide.test.bundle" }
Bundle.__index = Bundle

function Bundle:__gc()
  host("close", json.encode { id = self.id })
end

--- Makes a Lua state for the bundle under test, with its configuration; main.lua runs. Raises what makes that
-- impossible.
function test.bundle(given)
  given = options.check("test.bundle", given, { config = "table", recordings = "table", answers = "table" }, 2)
  local answers, tapes = given.answers, {}
  local recordings = given.recordings
  if not recordings then
    recordings = {}
    if not answers then
      for path in ask("list", "spec/recordings/", 2):gmatch "[^\n]+" do
        if path:match "%.ndjson$" then
          recordings[#recordings + 1] = path
        end
      end
    end
  end
  if answers then
    tapes[1] = { name = "answers", text = recordings_of(answers, 2) }
  end
  for _, path in ipairs(recordings) do
    if type(path) ~= "string" then
      error('recordings: files of the bundle, as "spec/recordings/shop.ndjson"', 2)
    end
    local text, why = host("read", path)
    if not text then
      error(("recordings: %s"):format(why), 2)
    end
    tapes[#tapes + 1] = { name = path, text = answers and without(text, answers) or nil }
  end
  local config = encode_object(given.config or {}, "config", 2)
  local id = ask("open", ('{"config":%s,"tapes":%s}'):format(config, json.encode(tapes)), 2)
  return setmetatable({ id = math.tointeger(tonumber(id)) }, Bundle)
end

local function say_unknown(unknown)
  local lines = { #unknown == 1 and "a request that nothing answers:" or "requests that nothing answers:" }
  for _, text in ipairs(unknown) do
    lines[#lines + 1] = "  " .. text
  end
  lines[#lines + 1] = "(record it, add it to answers, or expect it with { allow_unknown = true })"
  return table.concat(lines, "\n")
end

--- Runs the handlers of a kind as a resync does. Of one bundle, later calls go on where earlier ones ended: hooks run
-- once, caches stay, of several answers to one request the next one is played. options: selector (members that
-- replace those of the mapping's; test.null removes one), allow_unknown (a request that nothing answers does not
-- fail the spec).
--
-- Gives { ok, error, batches, entities, faults, errors, empty, requests, log }.
function Bundle:resync(kind, given)
  if type(kind) ~= "string" then
    error(("resync: a kind is a string, got a %s"):format(type(kind)), 2)
  end
  given = options.check("resync", given, { selector = "table", allow_unknown = "boolean" }, 2)
  local selector = given.selector and encode_object(given.selector, "selector", 2) or "null"
  local reply = ask("run", ('{"id":%d,"kind":%s,"selector":%s}'):format(self.id, json.encode(kind), selector), 2)
  reply = json.copy(json.decode(reply))
  local result = setmetatable(reply.result, Result)
  result.log = reply.log
  for i, line in ipairs(result.log) do
    result.log[i] = line:gsub("^%S+ %S+ (%u+) +", "%1 ")
  end
  if result.error == json.null then
    result.error = nil
  end
  local unknown = result.unknown
  result.unknown = nil
  if #unknown > 0 and not given.allow_unknown then
    require "busted".fail(say_unknown(unknown), 2)
  end
  return result
end

return test
