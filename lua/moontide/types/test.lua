---@meta moontide.test
-- luacheck: no unused, no max line length

-- Annotations of moontide.test for lua-language-server (LuaCATS). Not loaded by the program.

---What the specs of a bundle require, in `moontide test BUNDLE`: runs the bundle's handlers offline. Every request is
---answered from recordings or from the spec; nobody waits, retries and `tide.sleep` are over at once.
---@class moontide.test
---@field null userdata a null in batches and entities
---@field json moontide.json `json.object()` is {} where an empty table would be []
local test = {}

---One answer. `json` is written as JSON, with a Content-Type; `body` is text as it is.
---@class moontide.test.Answer
---@field status? integer 200
---@field headers? table<string, string>
---@field json? any
---@field body? string

---@class moontide.test.Options
---@field config? table<string, any> values by the names of .port/spec.yaml; its defaults and config.yaml apply, .env and the environment do not
---@field recordings? string[] files of the bundle; default: all of spec/recordings, or none when there are answers
---@field answers? table<string, moontide.test.Answer|moontide.test.Answer[]> by "METHOD /path?query"; of a list one after the other, the last one for ever; they take the place of recordings of the same request

---@param options? moontide.test.Options
---@return moontide.test.Bundle bundle with a Lua state of its own; main.lua has run
function test.bundle(options) end

---@class moontide.test.Bundle
local Bundle = {}

---@class moontide.test.ResyncOptions
---@field selector? table<string, any> replaces these members of the mapping's selector; test.null removes one
---@field allow_unknown? boolean a request that nothing answers does not fail the spec

---Runs the handlers of a kind as a resync does, and maps what they yield. Of one bundle, later calls go on where
---earlier ones ended: hooks run once, caches stay. A request that nothing answers fails the spec, also when the script
---swallows the error.
---@param kind string
---@param options? moontide.test.ResyncOptions
---@return moontide.test.Result
function Bundle:resync(kind, options) end

---@class moontide.test.Result
---@field ok boolean a resync would count the kind as complete
---@field error? string the first reason why not
---@field batches any[][] what the handlers yielded
---@field entities table[] what the mapping made of it: identifier, title, blueprint, properties, relations
---@field faults { scope: string, message: string }[] failed requests, open page chains, failed scopes: what withholds deletes
---@field errors { batch: integer, item: integer, message: string }[] items that could not be mapped
---@field empty { field: string, count: integer, message: string }[] mapped fields that gave null
---@field requests moontide.test.Request[] every transmission, retries included
---@field log string[] lines of tide.log and of the runtime: "INFO text"
local Result = {}

---The entity of that identifier, and of that blueprint where it is given.
---@param identifier string
---@param blueprint? string
---@return table?
function Result:entity(identifier, blueprint) end

---@class moontide.test.Request
---@field method string
---@field url string
---@field status integer 0: nothing answered
---@field headers table<string, string> names in lower case
---@field body? string

return test
